"""The laws of drawing batches: what is moved or mirrored is moved and mirrored, no more."""

from __future__ import annotations

import pytest
import torch

from structkit.data.batches import drawn, mirrored, shifted, signed, smaller


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int, height: int = 5, width: int = 6) -> torch.Tensor:
    """(count, 2, H, W) from 1 up: every pixel is told apart, and none is 0."""
    return torch.arange(1.0, count * 2 * height * width + 1).view(count, 2, height, width)


def test_the_ends_of_eight_bits_are_those_of_the_range_and_steps_are_even():
    every = signed(torch.arange(256, dtype=torch.uint8))
    assert every.dtype == torch.float32 and every[0] == -1 and every[-1] == 1
    torch.testing.assert_close(every.diff(), torch.full((255,), 1 / 127.5), atol=1e-6, rtol=0)


def test_smaller_pictures_are_means_of_squares_and_of_their_own_size_the_same():
    pictures = torch.randint(0, 256, (3, 3, 12, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert torch.equal(smaller(pictures, 12), pictures) and smaller(pictures[:0], 6).shape == (0, 3, 6, 6)
    means = pictures.float().unfold(2, 4, 4).unfold(3, 4, 4).mean((4, 5))
    assert (smaller(pictures, 3).float() - means).abs().max() <= 0.5 + 1e-3


@pytest.mark.parametrize("of", [1, 3, 100])
def test_a_batch_may_be_larger_than_what_it_is_drawn_from(of):
    indices = drawn(400, of, seeded())
    assert indices.shape == (400,) and indices.min() >= 0 and indices.max() < of
    assert len(indices.unique()) > 0.9 * of


@pytest.mark.parametrize(
    "draw", [lambda g: drawn(9, 50, g), lambda g: mirrored(numbered(9), g), lambda g: shifted(numbered(9), 2, g)]
)
def test_what_is_drawn_is_the_generators(draw):
    assert torch.equal(draw(seeded(1)), draw(seeded(1))) and not torch.equal(draw(seeded(1)), draw(seeded(2)))


def test_each_picture_is_mirrored_or_not():
    images = numbered(200)
    turned = [torch.equal(one, image.flip(2)) for one, image in zip(mirrored(images, seeded()), images, strict=True)]
    kept = [torch.equal(one, image) for one, image in zip(mirrored(images, seeded()), images, strict=True)]
    assert all(a != b for a, b in zip(turned, kept, strict=True)) and 70 < sum(turned) < 130


def test_twice_mirrored_by_the_same_coins_is_the_picture():
    assert torch.equal(mirrored(mirrored(numbered(20), seeded(3)), seeded(3)), numbered(20))


@pytest.mark.parametrize("most", [0, 1, 3])
def test_what_is_shifted_is_somewhere_within_its_reach_and_zeros_come_in(most):
    images = numbered(100)
    height, width = images.shape[2:]
    seen = set()
    for one, image in zip(shifted(images, most, seeded()), images, strict=True):
        assert one.shape == image.shape
        wide = torch.nn.functional.pad(image, (most,) * 4)
        places = [(y, x) for y in range(2 * most + 1) for x in range(2 * most + 1)]
        [place] = [(y, x) for y, x in places if torch.equal(one, wide[:, y : y + height, x : x + width])]
        seen.add(place)
    assert len({y for y, _ in seen}) == len({x for _, x in seen}) == 2 * most + 1  # every distance, both ways


def test_channels_go_together():
    """A mask that is stacked upon a picture stays on what it covers."""
    image = numbered(30)[:, :1]
    pair = shifted(mirrored(torch.cat([image, -image], 1), seeded(4)), 2, seeded(5))
    assert torch.equal(pair[:, 0], -pair[:, 1])
