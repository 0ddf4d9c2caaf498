"""Models of one clip: counts, shapes, seeds, levels from which a clip is refined, and that a picture is a clip of one
frame.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from structkit.configs import GenvideoConfig
from structkit.data.levels import levels
from structkit.engines.genvideo import networks
from structkit.engines.genvideo.model import PatchVaeGan, risen
from structkit.errors import InputError, OptionError

VARIANTS = ("hpvaegan", "singan3d", "consingan3d")
SHAPES = [(2, 4, 6), (2, 6, 9), (3, 9, 12), (5, 12, 16)]
SMALL = GenvideoConfig(width=4, latent=3, layers=3, encoder_layers=2, window=5, strides="4,2,1", vae_levels=2).filled()


def model(config: GenvideoConfig = SMALL, shapes=SHAPES, trained: int | None = None) -> PatchVaeGan:
    torch.manual_seed(1)
    made = PatchVaeGan(config, shapes, 5 if len(shapes[0]) == 3 else 1, trained_levels=trained or len(shapes))
    made.amplitudes += 0.5
    generator = torch.Generator().manual_seed(2)
    made.clip.copy_(torch.randint(256, made.clip.shape, generator=generator, dtype=torch.uint8))
    return made.eval()


def drawn(made: PatchVaeGan, seed: int = 3, count: int = 1, **how) -> torch.Tensor:
    return made.samples(count, torch.Generator().manual_seed(seed), **how)


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("axes", "encoder", "decoder", "block", "critic"),
    [(3, 669_184, 780_483, 564_483, 560_257), (2, 484_291 - 260_931, 260_931, 188_931, 187_009)],
)
def test_the_parameters_are_the_published_ones_but_for_the_biases_that_a_norm_takes_away(
    axes, encoder, decoder, block, critic
):
    config = GenvideoConfig(preset="paper").filled()
    biases = 6 * config.width  # in front of the six norms of a decoder or block
    assert count(networks.encoder(config, axes)) == encoder
    assert count(networks.level_network(config, 0, axes)) + biases == decoder
    assert count(networks.level_network(config, 1, axes)) + biases == block
    assert count(networks.critic(config, axes)) == critic


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [None, (5, 12, 16), (9, 12, 30), (1, 20, 8)])
def test_samples_have_the_shape_that_is_asked_for_and_are_clamped(variant, shape):
    made = model(replace(SMALL, variant=variant))
    samples = drawn(made, count=2, shape=shape)
    assert samples.shape == (2, 3, *(shape or SHAPES[-1]))
    assert samples.abs().max() <= 1 and not torch.equal(samples[0], samples[1])


def test_all_levels_are_scaled_alike():
    assert model().scaled_shapes((10, 12, 8)) == [(4, 4, 3), (4, 6, 4), (6, 9, 6), (10, 12, 8)]
    assert model().scaled_shapes() == SHAPES
    with pytest.raises(OptionError, match=r"shape \(12, 16\): 3 sides of 1 or more are needed"):
        model().scaled_shapes((12, 16))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_seed_decides_on_the_samples_one_after_another(variant):
    made = model(replace(SMALL, variant=variant))
    assert torch.equal(drawn(made, 3, count=2), drawn(made, 3, count=2))
    assert torch.equal(drawn(made, 3, count=2)[:1], drawn(made, 3))
    assert not torch.equal(drawn(made, 3), drawn(made, 4))


@pytest.mark.parametrize(("first", "noisy"), [(0, [2, 3]), (1, [2, 3]), (2, [2, 3]), (3, [3])])
def test_from_a_level_on_a_clip_is_refined_with_the_noise_of_levels_that_have_critics(first, noisy):
    made = model()
    generator = torch.Generator().manual_seed(3)
    real = made.real
    if first:
        state = levels_of(real, SHAPES[first - 1])
    else:
        mean, variance = made.encoded(levels_of(real, SHAPES[0]))
        state = made.first(mean + torch.randn(mean.shape, generator=generator) * (variance / 2).exp())
    for level in range(max(1, first), 4):
        images = risen(state, SHAPES[level])
        larger = images
        if level in noisy:
            images = images + made.amplitudes[level] * torch.randn(images.shape, generator=generator)
        state = torch.tanh(made.levels[level](images) + larger)
    torch.testing.assert_close(drawn(made, first=first), state, rtol=1e-4, atol=1e-5)


def levels_of(clip: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    return levels(clip, [shape])[0]


def test_another_clip_can_be_refined_and_levels_that_there_are_not_are_refused():
    made = model()
    other = torch.rand(1, 3, 7, 20, 20) * 2 - 1
    assert not torch.equal(drawn(made, first=3), drawn(made, first=3, clip=other))
    assert drawn(made, first=2, shape=(9, 12, 30), clip=other).shape == (1, 3, 9, 12, 30)
    with pytest.raises(OptionError, match=r"--inject is 4: the model has the levels 0 to 3"):
        drawn(made, first=4)
    with pytest.raises(OptionError, match="levels hand on features, and not clips"):
        drawn(model(replace(SMALL, variant="consingan3d")), first=2)
    with pytest.raises(OptionError, match="level 0 begins with noise"):
        drawn(model(replace(SMALL, variant="singan3d")), first=0)
    assert drawn(model(replace(SMALL, variant="singan3d")), first=1).shape == (1, 3, *SHAPES[-1])


def test_without_noise_at_vae_levels_a_code_decides_on_everything():
    made = model(replace(SMALL, vae_levels=64))
    made.amplitudes += 100
    assert torch.equal(drawn(made, 3), drawn(made, 3)) and not any(made.is_noisy(level) for level in range(4))
    baseline = model(replace(SMALL, variant="singan3d"))
    assert [baseline.is_noisy(level) for level in range(4)] == [False, True, True, True]


@pytest.mark.parametrize("first", [None, 2])
def test_a_clip_of_one_frame_is_the_picture(first):
    shapes = [shape[1:] for shape in SHAPES]
    clips, pictures = model(SMALL, [(1, *shape) for shape in shapes]), model(SMALL, shapes)
    middle = {
        name: value[:, :, 1] if value.dim() == 5 and "clip" not in name else value
        for name, value in clips.state_dict().items()
    }
    pictures.load_state_dict(middle | {"clip": clips.clip[:, :, 0]})
    assert [clips.is_noisy(k) for k in range(4)] == [pictures.is_noisy(k) for k in range(4)] == [False, *[True] * 3]
    torch.testing.assert_close(drawn(clips, first=first)[:, :, 0], drawn(pictures, first=first), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shapes", [SHAPES, [shape[1:] for shape in SHAPES]])
def test_a_saved_model_is_the_same_again(variant, shapes, tmp_path):
    made = model(replace(SMALL, variant=variant), shapes, trained=3)
    made.save(tmp_path / "clip.safetensors")
    again = PatchVaeGan.load(tmp_path / "clip.safetensors")
    assert torch.equal(drawn(again), drawn(made))
    assert again.amplitudes.tolist() == made.amplitudes.tolist() and len(again.amplitudes) == 3
    assert (again.rate, again.shapes, again.frames) == (made.rate, made.shapes, made.frames)


def test_risen_corners_stay_the_corners():
    clip = torch.rand(1, 2, 3, 4, 5)
    assert torch.equal(risen(clip, (7, 9, 11))[..., ::6, ::8, ::10], clip[..., ::2, ::3, ::4])


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"shapes": []}, "shapes must be pairs, or triples"),
        ({"shapes": [[2, 3], [2, 3, 4]]}, "shapes must be pairs, or triples"),
        ({"shapes": [[1, 2, 0]]}, "sides of levels must be from 1"),
        ({"shapes": SHAPES, "frames": "5"}, "must be whole numbers"),
        ({"shapes": SHAPES, "trained_levels": 5}, "5 trained levels of 4"),
        ({"shapes": SHAPES, "rate": "fast"}, "rate must be a text"),
        ({"shapes": SHAPES, "rate": None}, "rate must be a text"),
        ({"shapes": SHAPES, "rate": "-1"}, "rate must be a text"),
    ],
)
def test_facts_that_cannot_be_are_refused(facts, words):
    with pytest.raises(InputError, match=words):
        PatchVaeGan(SMALL, **facts)
