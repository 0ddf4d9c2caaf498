"""Laws of patch synthesis: pictures and clips, values apart from keys."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from structkit.engines.patch.synthesis import Synthesis, SynthesisPlan, SynthesisState, fill_hidden, synthesis_shapes
from structkit.errors import OptionError
from structkit.kernels.patches import extract
from structkit.kernels.pyramid import resize

from ..pictures import dark_spots_on_light, red_spots_on_green

# Exact search and PatchMatch (more than 1,414 patches), levels below and above the layout's, a guide, and completeness.
PLANS = {
    "plain": SynthesisPlan(2, 1),
    "guided": SynthesisPlan(2, 1, guidance=1.0, guided_to=80),
    "complete": SynthesisPlan(2, 1, first_rounds=3, alpha=0.05),
}
plans = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def synthesised(start: Tensor, target: Tensor, shape: tuple[int, ...], plan: SynthesisPlan, **how) -> Tensor:
    how = {"patch": 5, "coarsest": 30, **how}
    made = Synthesis(target, shape, generator=generator(), **how)
    return made.painted(made.run(SynthesisState(start), range(len(made.shapes)), plan, start))


def film(frames: int = 6, height: int = 24, width: int = 28) -> Tensor:
    """(1, 3, T, H, W): spots that go to the right."""
    picture = red_spots_on_green(height, width)
    return torch.stack([picture.roll(2 * step, -1) for step in range(frames)], 2)


@plans
@pytest.mark.parametrize("hidden", [False, True])
def test_a_clip_of_one_frame_gives_the_pictures_bits(plan, hidden):
    start, target = dark_spots_on_light(66, 72), red_spots_on_green(70, 60)
    usable = torch.ones(1, 1, 70, 60)
    usable[..., 20:40, 10:30] = 0 if hidden else 1
    picture = synthesised(start, target, (66, 72), plan, usable=usable)
    clip = synthesised(start[:, :, None], target[:, :, None], (1, 66, 72), plan, usable=usable[:, :, None])
    assert torch.equal(clip[:, :, 0], picture)


@plans
def test_values_that_are_the_keys_change_nothing(plan):
    start, target = dark_spots_on_light(66, 72), red_spots_on_green(70, 60)
    apart = synthesised(start, target, (66, 72), plan, values=target)
    assert torch.equal(apart, synthesised(start, target, (66, 72), plan))


@plans
@pytest.mark.parametrize("space", [(66, 72), (4, 20, 24)])
def test_recoloured_values_give_the_recoloured_result(plan, space):
    start, target = (dark_spots_on_light(*space[-2:]), red_spots_on_green(70, 60))
    if len(space) == 3:
        start, target = start[:, :, None].expand(-1, -1, space[0], -1, -1), film()
    usable = torch.ones_like(target[:, :1])
    usable[..., 10:16, 10:16] = 0
    colours = [2, 0, 1, 0]
    how = {"usable": usable, "coarsest": 16, "patch": 5 if len(space) == 2 else (3, 5, 5)}
    result = synthesised(start, target, space, plan, values=target[:, colours], **how)
    assert torch.equal(result, synthesised(start, target, space, plan, **how)[:, colours])


def test_what_is_compared_is_the_keys_alone():
    start, target = dark_spots_on_light(), red_spots_on_green()
    noise = torch.rand(1, 1, 48, 48, generator=generator())
    made = [Synthesis(target, (48, 48), coarsest=24, patch=5, generator=generator(), values=v) for v in (noise, None)]
    states = [m.run(SynthesisState(start), range(len(m.shapes)), PLANS["plain"]) for m in made]
    assert torch.equal(states[0].picture, states[1].picture) and torch.equal(states[0].field, states[1].field)
    assert made[0].painted(states[0]).shape == (1, 1, 48, 48)


def test_values_are_seen_at_any_level():
    target, start = red_spots_on_green(), dark_spots_on_light()
    made = Synthesis(target, (48, 48), coarsest=24, patch=5, generator=generator(), values=target.flip(1))
    for level in range(len(made.shapes)):
        state = made.run(SynthesisState(start), range(level + 1), PLANS["plain"])
        assert torch.equal(made.painted(state), state.picture.flip(1))


@pytest.mark.parametrize("patch", [3, (3, 5, 5), (1, 5, 5), (5, 3, 7)])
@pytest.mark.parametrize("frame_ratio", [1.0, 0.8])
def test_a_clip_with_its_own_patches_stays_as_it_is(patch, frame_ratio):
    target = film()
    shape = tuple(target.shape[2:])
    made = Synthesis(target, shape, coarsest=12, patch=patch, generator=generator(), frame_ratio=frame_ratio)
    last = len(made.shapes) - 1
    assert torch.equal(made.run(SynthesisState(target), [last], PLANS["plain"]).picture, target)


@pytest.mark.parametrize("axes", [2, 3])
def test_patches_with_a_side_per_axis_are_those_of_one_side(axes):
    shape = (66, 72) if axes == 2 else (4, 20, 24)
    target = red_spots_on_green(70, 60) if axes == 2 else film()
    start = resize(target.flip(-1), shape)
    one, each = (synthesised(start, target, shape, PLANS["plain"], coarsest=16, patch=p) for p in (3, (3,) * axes))
    assert torch.equal(one, each)


def test_a_clip_in_which_nothing_moves_stays_still():
    target, start = red_spots_on_green(24, 28)[:, :, None], dark_spots_on_light(24, 28)[:, :, None]
    still = synthesised(start, target, (1, 24, 28), PLANS["plain"], coarsest=14)
    copies = (x.expand(-1, -1, 4, -1, -1) for x in (start, target))
    result = synthesised(*copies, (4, 24, 28), PLANS["plain"], coarsest=14, patch=(4, 5, 5))
    torch.testing.assert_close(result, still.expand(-1, -1, 4, -1, -1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("frame_ratio", [1.0, 0.85, 0.5])
@pytest.mark.parametrize("shape", [(13, 144, 256), (1, 40, 90), (8, 65, 30)])
def test_levels_of_a_clip_are_the_pictures_and_end_in_all_frames(shape, frame_ratio):
    shapes = synthesis_shapes(shape, coarsest=15, frame_ratio=frame_ratio, least=(3,))
    assert [s[1:] for s in shapes] == synthesis_shapes(shape[1:], coarsest=15)
    frames = [s[0] for s in shapes]
    assert shapes[-1] == shape and frames == sorted(frames) and frames[0] >= min(3, shape[0])
    assert (frame_ratio == 1) == (set(frames) == {shape[0]}) or shape[0] == 1


def test_the_target_has_the_results_frame_rate_at_each_level_and_never_fewer_frames_than_a_patch():
    made = Synthesis(film(12), (6, 24, 28), coarsest=10, patch=(3, 5, 5), generator=generator(), frame_ratio=0.7)
    assert [s[0] for s in made.shapes] == [3, 3, 4, 6] and [s[0] for s in made.key_shapes] == [6, 6, 8, 12]
    assert [s[1:] for s in made.shapes] == [s[1:] for s in made.key_shapes]
    short = Synthesis(film(2), (6, 24, 28), coarsest=10, patch=(3, 5, 5), generator=generator(), frame_ratio=0.7)
    assert short.patch == (2, 5, 5) and [s[0] for s in short.key_shapes] == [2, 2, 2, 2]


@plans
@pytest.mark.parametrize("space", [(48, 48), (5, 20, 24)])
def test_no_patch_with_a_hidden_pixel_is_used(plan, space):
    target = red_spots_on_green() if len(space) == 2 else film(*space)
    usable = torch.ones_like(target[:, :1])
    usable[..., 12:, :10] = 0
    made = Synthesis(target, space, coarsest=16, patch=3, generator=generator(), usable=usable)
    state = made.run(SynthesisState(target.flip(-1)), range(len(made.shapes)), plan)
    assert (extract(usable[0], 3).amin(1)[state.field] == 1).all()


def test_hidden_pixels_are_filled_from_around_in_space_and_time():
    clip, usable = film(), torch.ones(1, 1, 6, 24, 28)
    usable[:, :, 2] = 0
    assert torch.equal(fill_hidden(clip, torch.ones_like(usable)), clip)
    filled = fill_hidden(clip, usable)
    assert torch.equal(filled[:, :, [0, 1, 3, 4, 5]], clip[:, :, [0, 1, 3, 4, 5]])
    assert (filled[:, :, 2] - clip[:, :, 2]).abs().mean() < 0.3
    one = usable[:, :, :1].clone()
    one[..., 5:9, 7:15] = 0
    assert torch.equal(fill_hidden(clip[:, :, :1], one)[:, :, 0], fill_hidden(clip[:, :, 0], one[:, :, 0]))


def test_errors_name_the_fact():
    with pytest.raises(OptionError, match=r"a target \(1, 3, 48, 48\) for a result of \(4, 20, 24\): all must have"):
        Synthesis(red_spots_on_green(), (4, 20, 24), coarsest=12, patch=5, generator=generator())
    with pytest.raises(OptionError, match=r"with values \(1, 1, 9, 9\)"):
        values = torch.zeros(1, 1, 9, 9)
        Synthesis(red_spots_on_green(), (20, 24), coarsest=12, patch=5, generator=generator(), values=values)
    with pytest.raises(OptionError, match="the ratio between the frames of levels is 1"):
        synthesis_shapes((4, 20, 24), coarsest=12, frame_ratio=1.5)
