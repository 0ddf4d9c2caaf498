"""HP-VAE-GAN's training: the fast step is the published one at every kind of level; what stands still stands still; it
resumes and stops.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from structkit.configs import GenvideoConfig
from structkit.engines.genvideo import networks
from structkit.engines.genvideo.training import ClipBatch, GenvideoTraining, critic_losses, pyramid
from structkit.errors import InputError, OptionError
from structkit.kernels.penalty import gradient_penalty
from structkit.training.draw import Draw
from structkit.training.graph import undone
from structkit.training.parallel import Processes

from .plain import Published, step

SMALL = GenvideoConfig(size=20, coarsest=9, width=4, latent=3, layers=3, encoder_layers=2, steps=3, vae_levels=2)
FREE = replace(SMALL, gradient_clip=1e6)  # gradients as they are
RATE = 1e-4  # so small that power iterations, which differ, agree to far below the tolerance


def clip(frames: int | None = 13, height: int = 18, width: int = 30, seed: int = 1) -> torch.Tensor:
    """A clip, or for None a picture; float64."""
    shape = (1, 3, height, width) if frames is None else (1, 3, frames, height, width)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def trained_to(level: int, config: GenvideoConfig = SMALL, given: torch.Tensor | None = None) -> GenvideoTraining:
    """At the beginning of a level, after a step in each of those below."""
    given = clip() if given is None else given
    training = GenvideoTraining(given, config, dtype=given.dtype)
    for stage in range(level + 1):
        training.begin(stage, Draw(7, stage, 0))
        if stage < level:
            training.step(Draw(7, stage, 1))
    return training


def settle(training: GenvideoTraining) -> None:
    """Turn the spectral norms until they are exact."""
    for network in filter(None, (training.net.encoder.train(), training.critic)):
        for _ in range(400):
            network.layers()


@pytest.mark.parametrize("frames", [13, None])
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_a_step_is_the_published_one_in_values_and_gradients(level, frames):
    training = trained_to(level, replace(FREE, batch=1), clip(frames))
    settle(training)
    training.generator_adam = torch.optim.SGD(
        [p for group in training.generator_adam.param_groups for p in group["params"]], RATE
    )
    plain = Published.of(training.net, training.critic)
    learning = [plain.encoder, plain.decoder, *plain.blocks[-1:]] if level < 2 else plain.blocks[-1:]
    optimisers = [torch.optim.SGD([p for network in learning for p in network.parameters()], RATE)]
    if level >= 2:
        training.critic_adam = torch.optim.SGD(training.critic.parameters(), RATE)
        optimisers.append(torch.optim.SGD(plain.critic.parameters(), RATE))
    before = Published.of(training.net, training.critic)

    wanted = step(plain, training.inputs(Draw(7, level, 1)), training.config, *optimisers)
    got = training.step(Draw(7, level, 1))
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(got[name], value, rtol=1e-7, atol=1e-9, msg=name)
    after = Published.of(training.net, training.critic)
    for name, changed in slopes(before, plain).items():
        if "weight_u" in name or "weight_v" in name or "running" in name or "num_batches" in name:
            continue
        if is_before_a_norm(name, after):
            continue
        torch.testing.assert_close(slopes(before, after)[name], changed, rtol=1e-5, atol=1e-7, msg=name)


def slopes(before: Published, after: Published) -> dict[str, torch.Tensor]:
    """The changes of all parameters, in units of the learning rate, by name."""
    found = {}
    for part in ("encoder", "decoder", "critic", *range(len(before.blocks))):
        one, other = ((p.blocks[part] if isinstance(part, int) else getattr(p, part)) for p in (before, after))
        if one is not None:
            news = dict(other.named_parameters())
            found |= {f"{part}/{name}": (value - news[name]) / RATE for name, value in one.named_parameters()}
    return found


def is_before_a_norm(name: str, p: Published) -> bool:
    """True for the bias of a convolution that a norm takes away again."""
    part, _, parameter = name.partition("/")
    network = p.blocks[int(part)] if part.isdecimal() else getattr(p, part)
    number, _, kind = parameter.partition(".")
    following = network[int(number) + 1] if int(number) + 1 < len(network) else None
    return kind == "bias" and "Norm" in type(following).__name__


@pytest.mark.parametrize("longest", [1e-3, 5.0])
def test_the_gradient_is_cut_to_its_longest_norm(longest):
    training = trained_to(0, replace(SMALL, gradient_clip=longest))
    training.generator_adam.step = lambda: None
    training.step(Draw(7, 0, 1))
    parameters = [p for group in training.generator_adam.param_groups for p in group["params"]]
    norm = torch.stack([p.grad.norm() for p in parameters]).norm()
    assert norm <= longest * (1 + 1e-6) and (longest > 1 or norm > 0.99 * longest)


@pytest.mark.parametrize(
    ("options", "level", "learns"),
    [
        ({}, 0, "encoder 0"),
        ({}, 1, "encoder 0 1"),
        ({"vae_levels": 64}, 2, "encoder 0 2"),
        ({"vae_levels": 64, "train_depth": 2}, 3, "encoder 0 2 3"),
        ({}, 2, "2"),
        ({}, 3, "3"),
        ({"train_depth": 2}, 2, "2"),
        ({"train_depth": 2}, 3, "2 3"),
        ({"train_all": True, "train_depth": 4}, 3, "encoder 0 1 2 3"),
        ({"train_all": True, "train_depth": 3}, 3, "1 2 3"),
        ({"variant": "singan3d"}, 1, "1"),
        ({"variant": "consingan3d", "train_depth": 2}, 1, "0 1 tail"),
        ({"variant": "consingan3d", "layers": 4}, 2, "2 tail"),
    ],
)
def test_only_what_may_learn_changes_in_a_level(options, level, learns):
    training = trained_to(level, replace(SMALL, **options))
    net, before = training.net, copy.deepcopy(training.net.state_dict())
    for number in (1, 2):
        training.step(Draw(7, level, number))
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    parts = {name.removeprefix("levels.").partition(".")[0] for name in changed}
    assert parts == set(learns.split())


def test_the_rates_fall_from_the_newest_level_down():
    def rates(level: int, **options) -> list[float]:
        return [group["lr"] for group in trained_to(level, replace(SMALL, **options)).generator_adam.param_groups]

    assert rates(0) == [5e-4, 5e-4]  # encoder, decoder
    assert rates(1) == pytest.approx([1e-4, 1e-4, 5e-4])
    assert rates(2, vae_levels=64) == pytest.approx([2e-5, 2e-5, 5e-4])
    assert rates(3, train_depth=2) == pytest.approx([1e-4, 5e-4])


def test_a_level_begins_with_the_block_and_the_critic_below_but_for_the_first_of_each():
    training = trained_to(0)
    for level in (1, 2, 3):
        block, critic = (copy.deepcopy(n and n.state_dict()) for n in (training.net.levels[-1], training.critic))
        training.begin(level, Draw(7, level, 0))
        if level > 1:
            assert all(torch.equal(block[k], v) for k, v in training.net.levels[-1].state_dict().items())
        if level > 2:
            assert all(torch.equal(critic[k], v) for k, v in training.critic.state_dict().items())
        assert (training.critic is None) == (level < 2)
        training.step(Draw(7, level, 1))


def test_the_amplitude_is_a_tenth_of_what_the_copied_block_misses_over_the_batch():
    for batch in (1, 2):
        training = trained_to(2, replace(SMALL, batch=batch))
        inputs = training.inputs(Draw(7, 2, 0), shared=False)
        again, _, _ = training._given_back(inputs)
        wanted = 0.1 * (again - inputs.real).square().mean().sqrt() / batch
        torch.testing.assert_close(training.net.amplitudes[2], wanted)
        assert training.net.amplitudes[0] == 1 and len(training.net.amplitudes) == 3
    assert trained_to(2, replace(SMALL, constant_noise=True)).net.amplitudes.tolist() == [1, 1, 1]


def test_the_critics_losses_are_those_with_autograds_penalty():
    training = trained_to(2)
    critic, inputs = training.critic.eval(), training.inputs(Draw(7, 2, 1))
    made = torch.rand_like(inputs.real)
    losses = critic_losses(critic, inputs, made, torch.float64, training.config)
    points = inputs.mix * inputs.real + (1 - inputs.mix) * made
    torch.testing.assert_close(losses["penalty"], 0.1 * gradient_penalty(critic, points).mean())
    torch.testing.assert_close(losses["critic"], critic(made).mean() - critic(inputs.real).mean())


@pytest.mark.parametrize("variant", ["hpvaegan", "singan3d", "consingan3d"])
@pytest.mark.parametrize("level", [1, 3])
def test_it_goes_on_from_its_state(variant, level):
    undisturbed, again = (trained_to(level, replace(SMALL, variant=variant, hflip=True), clip(20)) for _ in range(2))
    undisturbed.step(Draw(7, level, 1))
    again.restore(level, {name: value.clone() for name, value in undisturbed.state().items()})
    for training in (undisturbed, again):
        training.step(Draw(7, level, 2))
    assert undisturbed.state().keys() == again.state().keys()
    for name, value in undisturbed.state().items():
        assert torch.equal(again.state()[name], value), name


@pytest.mark.parametrize("variant", ["hpvaegan", "singan3d"])
@pytest.mark.parametrize("level", [1, 3])
def test_updates_before_a_recording_are_undone_with_the_turns_of_spectral_norms(variant, level):
    training = trained_to(level, replace(SMALL, variant=variant))
    training.step(Draw(7, level, 1))
    before = {name: value.clone() for name, value in training.state().items()}
    with undone(*training.changing()):
        for number in (2, 3, 4):
            training.update(training.inputs(Draw(7, level, number)))
        assert not all(torch.equal(value, before[name]) for name, value in training.state().items())
    for name, value in training.state().items():
        assert torch.equal(value, before[name]), name


def test_two_processes_learn_what_one_does_of_twice_the_batch():
    whole = trained_to(2, replace(FREE, batch=2), clip(20))
    parts = [trained_to(2, replace(FREE, batch=1), clip(20)) for _ in range(2)]
    for rank, part in enumerate(parts):
        part.restore(2, {name: value.clone() for name, value in whole.state().items()})
        part.processes = Processes(rank, 2)
    inputs, halves = whole.inputs(Draw(7, 2, 1)), [part.inputs(Draw(7, 2, 1)) for part in parts]
    for one, left, right in zip(inputs.tensors(), *(half.tensors() for half in halves), strict=True):
        torch.testing.assert_close(one, one if len(one) == 1 else torch.cat([left, right]))
    for part in parts:
        part.processes = Processes()
    means = zip(*(gradients(part, half) for part, half in zip(parts, halves, strict=True)), strict=True)
    for wanted, (left, right) in zip(gradients(whole, inputs), means, strict=True):
        torch.testing.assert_close((left + right) / 2, wanted)


def gradients(training: GenvideoTraining, inputs: ClipBatch) -> list[torch.Tensor]:
    """The gradients of an update: that of the generators, then that of the critic, each in a row; no weight changes."""
    optimisers, _ = training.changing()
    for optimiser in optimisers:
        optimiser.step = lambda: None
    training.update(inputs)
    return [
        torch.cat([p.grad.flatten() for group in optimiser.param_groups for p in group["params"]])
        for optimiser in optimisers
    ]


@pytest.mark.parametrize("level", [1, 3])
def test_in_bfloat16_gradients_point_where_those_in_float32_do(level):
    plain, short = (trained_to(level, FREE, clip().float()) for _ in range(2))
    short.dtype = short.net.dtype = torch.bfloat16
    inputs = plain.inputs(Draw(7, level, 1))
    for one, other in zip(gradients(plain, inputs), gradients(short, inputs), strict=True):
        assert not torch.equal(one, other) and torch.cosine_similarity(one, other, dim=0) >= 0.99


@pytest.mark.parametrize("hflip", [False, True])
def test_windows_of_a_long_clip_are_drawn_anew_and_mirrored_only_where_that_is_asked_for(hflip):
    training = trained_to(0, replace(SMALL, hflip=hflip), clip(16))
    seen = {tuple(training.inputs(Draw(7, 0, n)).real.flatten()[:40].tolist()) for n in range(40)}
    assert len(seen) == (8 if hflip else 4)


def test_the_levels_of_the_published_preset_are_the_papers():
    config = GenvideoConfig(preset="paper").filled()
    assert pyramid(config, torch.zeros(1, 3, 13, 144, 256)) == [
        *[(4, 18, 33), (4, 23, 41), (4, 28, 51), (5, 36, 65), (5, 45, 81), (5, 57, 102)],
        *[(7, 72, 129), (7, 91, 162), (7, 114, 204), (13, 144, 256)],
    ]
    assert {stage.steps for stage in GenvideoTraining(torch.zeros(1, 3, 13, 9, 16), config).stages} == {50_000}
    portrait = pyramid(config, torch.zeros(1, 3, 13, 256, 144))
    assert portrait[0] == (4, 58, 33) and portrait[-1] == (13, 455, 256)


@pytest.mark.parametrize(
    ("options", "strides", "window"),
    [
        ({}, "4,3,2,1", 13),
        ({"window": 25}, "4,3,2,1", 25),
        ({"window": 9}, "4,2,1", 9),
        ({"window": 7}, "3,2,1", 7),
        ({"window": 6}, "1", 6),
        ({"window": 1}, "4,3,2,1", 1),
        ({"strides": "2,1"}, "2,1", 3),
        ({"strides": " 8, 4,2,1 "}, "8,4,2,1", 9),
    ],
)
def test_window_and_strides_fit_each_other_where_one_is_given(options, strides, window):
    filled = GenvideoConfig(**options).filled()
    assert (filled.strides, filled.window) == (strides, window)
    assert filled.filled() == filled


def test_options_that_cannot_be_are_refused_with_a_way_out():
    with pytest.raises(OptionError, match=r"--window is 8: with --strides 4,2 it must be 1, 5, 9 or"):
        GenvideoConfig(strides="4,2", window=8).filled()
    with pytest.raises(OptionError, match=r"--frames is 5, and a window 13: use --frames 13 or more, or --window 5$"):
        GenvideoConfig(frames=5).filled()
    with pytest.raises(OptionError, match=r"--frames is 7, and a window 9: .* or --window 5$"):
        GenvideoConfig(frames=7, window=9, strides="4,2,1").filled()
    for text in ("", "1,2", "4,x", "0", "4,,1", "10000", "²"):
        with pytest.raises(OptionError, match="--strides is"):
            GenvideoConfig(strides=text)
    with pytest.raises(OptionError, match=r"--coarsest is 60: it must be at most --size, which is 48"):
        GenvideoConfig(coarsest=60).filled()


def test_clips_that_cannot_be_learned_are_refused_with_a_way_out():
    with pytest.raises(InputError, match=r"the clip has 7 frames, and a window 13: use --window 7 or less"):
        GenvideoTraining(clip(7), SMALL)
    trained_to(1, replace(SMALL, window=7), clip(7))
    with pytest.raises(
        InputError, match=r"coarsest level is 9 x 1 px, and a side must be 3 px or more: use --coarsest 15"
    ):
        GenvideoTraining(clip(13, 6, 30), SMALL)
    GenvideoTraining(clip(13, 6, 30), replace(SMALL, coarsest=15))
    broken = clip()
    broken[0, 0, 3, 2, 1] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        GenvideoTraining(broken, SMALL)


def test_the_preview_shows_the_clip_and_a_new_one_and_changes_nothing():
    for given, width in ((clip(), 3), (clip(None), 1)):
        training = trained_to(2, SMALL, given)
        before = {name: value.clone() for name, value in training.state().items()}
        *_, height, side = training.shapes[2]
        assert training.preview(Draw(7, 2, 1)).shape == (1, 3, 2 * height, width * side)
        assert all(torch.equal(value, before[name]) for name, value in training.state().items())


@pytest.mark.parametrize("variant", ["hpvaegan", "singan3d", "consingan3d"])
def test_the_critic_is_the_same_for_all_variants_but_for_how_it_begins(variant):
    critic = networks.critic(replace(SMALL, variant=variant), 3)
    assert critic.stack.norm == "spectral" and critic.stack.init == ("uniform" if variant == "hpvaegan" else "normal")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("level", [1, 3])
def test_on_cuda_the_recorded_step_is_the_step(level):
    recorded, plain = (GenvideoTraining(clip().float(), SMALL, device="cuda") for _ in range(2))
    for training in (recorded, plain):
        for stage in range(level + 1):
            training.begin(stage, Draw(7, stage, 0, "cuda"))
    for number in range(1, 4):
        draw = Draw(7, level, number, "cuda")
        losses = recorded.step(draw)
        for name, value in plain.update(plain.inputs(draw)).items():
            torch.testing.assert_close(losses[name], value, rtol=5e-3, atol=1e-3)


def test_a_level_that_is_run_again_to_save_memory_learns_the_same(monkeypatch):
    held, again = (trained_to(3) for _ in range(2))
    losses = held.step(Draw(7, 3, 1))
    monkeypatch.setattr("structkit.engines.genvideo.model.MANY", 1)
    for name, value in again.step(Draw(7, 3, 1)).items():
        torch.testing.assert_close(value, losses[name])
    for name, value in held.state().items():
        torch.testing.assert_close(again.state()[name], value, msg=name)
