"""Laws of maps as channels: labels never blend, shades are compared as they look, and what tells nothing is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from structkit.data.guide_maps import MOST_LABELS, MapCoding
from structkit.errors import InputError
from structkit.media.pictures import Picture

COLOURS = np.array([(0, 0, 0), (250, 0, 0), (0, 250, 0), (60, 60, 250), (255, 255, 255)], np.uint8)


def labelled(count: int, side: int = 24, seed: int = 0, name: str = "map") -> Picture:
    """Stripes of labels."""
    places = np.random.default_rng(seed).integers(0, count, side)
    places[:count] = range(count)
    return Picture(np.repeat(COLOURS[places][None], side, 0), name=name)


def shaded(side: int = 24, *, dtype=np.uint8, name: str = "depth") -> Picture:
    levels = np.linspace(0, np.iinfo(dtype).max, side * side).astype(dtype).reshape(side, side)
    return Picture(np.repeat(levels[..., None], 3, 2), name=name)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_two_labels_are_as_far_apart_as_black_and_white_whatever_they_are(count):
    coding = MapCoding([labelled(count)], labelled(count, seed=1))
    channels = coding.channels(labelled(count), (24, 24))
    labels = channels[0, :, 0, :count]
    apart = (labels[:, :, None] - labels[:, None]).square().mean(0) * coding.weight
    assert torch.allclose(apart, 4 * (1 - torch.eye(count)))


@pytest.mark.parametrize("shape", [(24, 24), (9, 7), (50, 40)])
def test_in_any_size_the_shares_of_labels_make_a_whole(shape):
    channels = MapCoding([labelled(5)], labelled(5)).channels(labelled(5), shape)
    assert channels.shape == (1, 5, *shape)
    assert torch.allclose(((channels + 1) / 2).sum(1), torch.ones(1, *shape), atol=0.2)  # ringing is cut off


def test_the_colours_themselves_change_nothing():
    """The same regions in other colours are the same channels, but for their order."""
    other = Picture(labelled(3).pixels[..., ::-1].copy() // 2)
    one, two = (MapCoding([picture], picture).channels(picture, (24, 24)) for picture in (labelled(3), other))
    assert sorted(channel.sum().item() for channel in one[0]) == sorted(channel.sum().item() for channel in two[0])


def test_the_noise_of_a_compressed_map_changes_nothing():
    clean = labelled(4)
    noisy = np.random.default_rng(1).integers(-20, 21, clean.pixels.shape) + clean.pixels.astype(int)
    noisy = Picture(noisy.clip(0, 255).astype(np.uint8))
    coding = MapCoding([clean], noisy)
    assert torch.equal(coding.channels(noisy, (24, 24)), coding.channels(clean, (24, 24))) and coding.unknown == 0


def test_ids_are_labels_although_all_look_black():
    ids = Picture(np.repeat(np.arange(12, dtype=np.uint8).repeat(2)[None, :, None], 24, 0).repeat(3, 2))
    channels = MapCoding([ids], ids).channels(ids, (24, 24))
    assert channels.shape[1] == 12 and set(channels.unique().tolist()) == {-1.0, 1.0}


def test_a_label_that_the_target_does_not_have_is_as_far_from_all():
    coding = MapCoding([labelled(3)], labelled(5))
    assert 0 < coding.unknown < 1
    channels = coding.channels(labelled(5), (24, 24))
    assert channels[0, :, 0, 4].tolist() == pytest.approx([-1 / 3] * 3)
    two = MapCoding([labelled(2)], labelled(5)).channels(labelled(5), (24, 24))
    assert two[0, :, 0, 4].tolist() == [0.0]


def test_what_is_transparent_is_a_label_whatever_its_colour():
    alpha = np.full((24, 24), 255, np.uint8)
    alpha[:12] = 0
    hidden = Picture(np.random.default_rng(0).integers(0, 255, (24, 24, 3)).astype(np.uint8), alpha)
    hidden.pixels[12:] = (255, 0, 0)
    channels = MapCoding([hidden], hidden).channels(hidden, (24, 24))
    assert channels.shape[1] == 1 and sorted(set(channels.unique().tolist())) == [-1.0, 1.0]


def test_shades_are_compared_by_their_brightness_at_any_depth():
    eight, sixteen = (shaded(dtype=dtype) for dtype in (np.uint8, np.uint16))
    coding = MapCoding([eight], sixteen)
    one, two = coding.channels(eight, (24, 24)), coding.channels(sixteen, (24, 24))
    assert one.shape == (1, 1, 24, 24) and torch.allclose(one, two, atol=0.02)
    assert (one.min(), one.max()) == (-1, 1)


def test_few_levels_of_depth_are_shades_and_many_colours_are_compared_as_they_look():
    steps = Picture((shaded().pixels // 25) * 25)
    assert MapCoding([steps], steps).channels(steps, (24, 24)).shape[1] == 1
    many = Picture(np.random.default_rng(0).integers(0, 255, (24, 24, 3)).astype(np.uint8))
    assert MapCoding([many], many).channels(many, (24, 24)).shape[1] == 3
    assert len(np.unique(many.pixels.reshape(-1, 3), axis=0)) > MOST_LABELS


def test_the_labels_of_several_frames_are_all_known():
    frames = [labelled(2), labelled(3), labelled(2)]
    assert MapCoding(frames, labelled(2)).channels(labelled(3), (24, 24)).shape[1] == 3


def test_maps_that_tell_nothing_are_refused():
    plain = Picture(np.full((24, 24, 3), 9, np.uint8), name="plain.png")
    with pytest.raises(InputError, match=r"plain.png: a map of one colour, which tells nothing apart; give each part"):
        MapCoding([plain], labelled(2))
    other = Picture(np.full((24, 24, 3), (90, 0, 160), np.uint8), name="other.png")
    with pytest.raises(InputError, match=r"other.png: no colour in common with map; paint what means the same"):
        MapCoding([labelled(2)], other)
