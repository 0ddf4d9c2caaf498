"""A trained pair: what it makes, and that a file gives it back."""

from __future__ import annotations

import pytest
import torch

from structkit import checkpoint
from structkit.configs import PairConfig
from structkit.data.levels import level_shapes
from structkit.engines.pair.model import PairAnalogy, swapped
from structkit.errors import CheckpointError
from structkit.nets.patch import PatchNet

CONFIG = PairConfig(size=40, coarsest=14, width=4, steps=1).filled()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def pair() -> PairAnalogy:
    """Of 28 x 56 px at most; its networks are as they are born, and loud."""
    made = PairAnalogy(CONFIG, level_shapes(40, 20, 2.0))
    for level in range(len(made.shapes)):
        made.add_level(PatchNet(made.stack(level), seeded(level)), torch.tensor([0.1, 0.2]))
    made.pictures.random_(0, 256, generator=seeded(9))
    made.dtype = torch.float64
    return made.double()


def test_what_it_makes_has_the_size_of_the_finest_level_and_follows_the_seed(pair):
    first, again, other = (pair.analogy(2, seeded(seed)) for seed in (1, 1, 2))
    for part in first:
        assert part.shape == (2, 6, *pair.shapes[-1]) and part.abs().max() <= 1
    assert torch.equal(first[1], again[1]) and not torch.equal(first[1], other[1])
    assert not torch.equal(first[0][0], first[0][1])


def test_an_analogy_is_the_other_domains_picture_through_the_finest_level(pair):
    own, analogies = pair.analogy(1, seeded())
    noise, zeros = pair.noise(1, seeded()), torch.zeros(1, 6, *pair.shapes[0]).double()
    state = pair.climb(zeros, 0, pair.finest, noise)
    unclamped = pair.render(pair.finest, pair.noised(pair.finest, state, noise), state)
    torch.testing.assert_close(own, unclamped.clamp(-1, 1))
    across = swapped(unclamped)
    torch.testing.assert_close(analogies, pair.render(pair.finest, across, across).clamp(-1, 1))


def test_the_last_two_levels_paint_anew_and_the_others_add(pair):
    images, skip = torch.rand(1, 6, 20, 20).double(), torch.rand(1, 6, 20, 20).double()
    added = [
        not torch.equal(pair.render(k, images, skip), pair.render(k, images, 0 * skip)) for k in range(len(pair.shapes))
    ]
    assert added == [k < len(pair.shapes) - 2 for k in range(len(pair.shapes))]


@pytest.mark.parametrize("domain", [0, 1])
def test_a_picture_that_is_injected_in_one_domain_gives_what_it_gives_in_both(pair, domain):
    part = slice(3 * domain, 3 * domain + 3)
    other = slice(3 - 3 * domain, 6 - 3 * domain)
    noise = pair.noise(1, seeded(3))
    both = pair.analogy(1, seeded(3), inject=1)[1]
    for level in range(1, len(pair.shapes)):  # in the order in which `analogy` asks for them
        noise(level)
    alone = pair.translated(pair.reals[:, part], 1, lambda level: noise(level)[:, part], domain)
    torch.testing.assert_close(alone, both[:, other])


def test_refining_keeps_the_size_and_follows_its_noise(pair):
    picture = torch.rand(2, 3, 28, 56).double()
    first, other = (pair.refined(picture, 1, pair.noise(2, seeded(s), domains=1)) for s in (1, 2))
    assert first.shape == (2, 3, *pair.shapes[-1]) and not torch.equal(first, other)


def test_noise_is_the_same_when_it_is_asked_for_again(pair):
    noise = pair.noise(2, seeded())
    assert torch.equal(noise(1), noise(1)) and noise(1).shape == (2, 6, *pair.shapes[1])


@pytest.mark.parametrize("trained", [1, 3])
def test_a_file_gives_it_back_even_when_only_some_levels_are_trained(pair, trained, tmp_path):
    pair, pair.dtype = pair.float(), torch.float32
    pair.generators, pair.amplitudes = pair.generators[:trained], pair.amplitudes[:trained]
    pair.save(tmp_path / "pair.safetensors", seed=4)
    loaded = PairAnalogy.load(tmp_path / "pair.safetensors")
    assert loaded.card["seed"] == 4 and loaded.config == CONFIG and loaded.shapes == pair.shapes
    for mine, theirs in zip(loaded.analogy(1, seeded()), pair.analogy(1, seeded()), strict=True):
        assert torch.equal(mine, theirs)
    assert loaded.analogy(1, seeded())[0].shape[-2:] == pair.shapes[trained - 1]


def test_a_file_of_another_width_is_refused(pair, tmp_path):
    pair.float().save(tmp_path / "pair.safetensors")
    text = (tmp_path / "pair.safetensors").read_bytes()
    wider = text.replace(b'\\"width\\": 4', b'\\"width\\": 8')
    assert wider != text
    (tmp_path / "wider.safetensors").write_bytes(wider)
    with pytest.raises(CheckpointError, match="shape"):
        PairAnalogy.load(tmp_path / "wider.safetensors")


@pytest.mark.parametrize(
    ("facts", "fact"),
    [
        ({"trained_levels": 9}, "9 trained levels of"),
        ({"shapes": [[2**70, 3]]}, "sides"),
        ({"shapes": [[-1, 3]]}, "sides"),
    ],
)
def test_facts_that_cannot_be_are_refused_before_anything_is_made(pair, tmp_path, facts, fact):
    pair.float().save(tmp_path / "pair.safetensors")
    tensors, card = checkpoint.load(tmp_path / "pair.safetensors", kind=PairAnalogy.kind)
    card["facts"] |= {"trained_levels": 0} | facts
    checkpoint.save(tmp_path / "pair.safetensors", tensors, card)
    with pytest.raises(CheckpointError, match=fact):
        PairAnalogy.load(tmp_path / "pair.safetensors")
