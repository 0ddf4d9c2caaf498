"""Guides through the Python interface: pictures, videos frame by frame, and what is refused."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import structkit
from structkit.errors import InputError, OptionError
from structkit.media.pictures import Picture, write_picture
from structkit.media.video import Frame, VideoReader
from structkit.media.video_writer import VideoWriter
from structkit.verbs.guides import map_frames

pytestmark = pytest.mark.usefixtures("few_drafts")

FAST = {"rounds": 1, "patch": 5, "coarsest": 24, "device": "cpu"}
SIDE = 32


def noise(seed: int, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 120, (side, side, 3)).astype(np.uint8)


def halves() -> tuple[Picture, Picture]:
    """A picture, red on its left and blue on its right, and its map."""
    pixels, labels = noise(5), np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[:, : SIDE // 2, 0] += 120
    pixels[:, SIDE // 2 :, 2] += 120
    labels[:, SIDE // 2 :] = (0, 200, 0)
    return Picture(pixels, name="halves"), Picture(labels, name="halves' map")


def square(left: int = 8, side: int = SIDE, name: str = "square") -> Picture:
    """A map with a label within a square."""
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[side // 4 : -side // 4, left * side // SIDE : (left + 16) * side // SIDE] = (0, 200, 0)
    return Picture(pixels, name=name)


def agreement(result: np.ndarray, labels: Picture) -> float:
    """The share of pixels that are blue within the label, and red elsewhere."""
    return float(((result[..., 2] > result[..., 0]) == (labels.pixels[..., 1] > 0)).mean())


SOURCE, (TARGET, LABELS) = Picture(noise(1), name="source"), halves()


def analogy(guides, **options) -> Picture:
    return structkit.analogy(SOURCE, TARGET, guides=guides, **{**FAST, **options})[0]


def film(path: Path, pictures) -> Path:
    with VideoWriter(path, width=SIDE, height=SIDE, quality=100) as writer:
        for step, picture in enumerate(pictures):
            writer.write(Frame(picture.pixels, Fraction(step, 10)))
    return path


def frames(path: Path) -> list[np.ndarray]:
    with VideoReader(path) as reader:
        return [frame.pixels for frame in reader]


@pytest.mark.parametrize("side", [SIDE, 3 * SIDE, SIDE // 2])
def test_a_map_of_any_size_is_followed(side):
    assert agreement(analogy([(square(side=side), LABELS)], guide_weight=10).pixels, square()) > 0.9
    assert agreement(analogy([]).pixels, square()) < 0.75


def test_a_map_may_be_a_file(tmp_path):
    for picture in (square(), LABELS):
        write_picture(picture, tmp_path / f"{picture.name}.png")
    named = [(tmp_path / "square.png", str(tmp_path / "halves' map.png"))]
    assert np.array_equal(analogy(named).pixels, analogy([(square(), LABELS)]).pixels)


def test_a_weight_is_for_all_guides_or_for_each_and_zero_is_none():
    pair, plain = (square(), LABELS), analogy([])
    assert np.array_equal(analogy([pair], guide_weight=0).pixels, plain.pixels)
    assert np.array_equal(analogy([pair, pair], guide_weight=[2, 0]).pixels, analogy([pair], guide_weight=2).pixels)
    assert np.array_equal(
        analogy([pair, pair], guide_weight=2).pixels, analogy([pair, pair], guide_weight=[2, 2]).pixels
    )


def test_labels_that_the_target_does_not_have_are_told():
    other = square()
    other.pixels[:8] = (200, 0, 200)
    [note] = analogy([(other, LABELS)]).notes
    assert note == "square: 25 % of it in colours that halves' map does not have: nothing is asked for there"


def video(source: Path, target, output: Path, guides, **options):
    return structkit.analogy_video(source, target, output, guides=guides, **{**FAST, **options})


@pytest.fixture
def moving(tmp_path) -> tuple[Path, list[Picture]]:
    """A video at rest, and a map for each of its frames, whose square moves on."""
    maps = [square(left) for left in (2, 6, 10)]
    folder = tmp_path / "maps"
    folder.mkdir()
    for number, picture in enumerate(maps):
        write_picture(picture, folder / f"{9 + number}.png")  # in natural order 9, 10, 11
    return film(tmp_path / "source.mkv", [SOURCE] * 3), maps


def test_each_frame_follows_its_map_from_a_video_a_folder_or_a_sequence(moving, tmp_path):
    source, maps = moving
    made = []
    for given in (film(tmp_path / "maps.mkv", maps), tmp_path / "maps", maps):
        video(source, TARGET, tmp_path / "out.mkv", [(given, LABELS)], guide_weight=20, quality=100)
        made.append(frames(tmp_path / "out.mkv"))
        for shown, labels in zip(made[-1], maps, strict=True):
            assert agreement(shown, labels) > 0.85
    assert all(np.array_equal(one, other) for one, other in zip(*made[1:], strict=True))


def test_one_picture_is_the_map_of_all_frames(moving, tmp_path):
    source, _ = moving
    results = []
    for given in (square(), [square()] * 3):
        video(source, TARGET, tmp_path / "out.mkv", [(given, LABELS)])
        results.append((tmp_path / "out.mkv").read_bytes())
    assert results[0] == results[1]


def test_maps_are_read_as_their_frames_come(moving, tmp_path):
    """A film's maps are never in memory together."""

    class Counted(list):
        asked = 0

        def __iter__(self):
            for picture in super().__iter__():
                Counted.asked += 1
                yield picture

    seen: list[int] = []
    video(moving[0], TARGET, tmp_path / "out.mkv", [(Counted(moving[1]), LABELS)],
          progress=lambda share, note: seen.append(Counted.asked))  # fmt: skip
    assert seen == [1, 2, 3]


def test_two_videos_have_maps_of_their_frames(moving, tmp_path):
    source, maps = moving
    target, theirs = film(tmp_path / "target.mkv", [TARGET] * 4), film(tmp_path / "theirs.mkv", [LABELS] * 4)
    for given in (LABELS, theirs, [LABELS] * 4):
        video(source, target, tmp_path / "out.mkv", [(maps, given)], guide_weight=20, quality=100)
        assert agreement(frames(tmp_path / "out.mkv")[0], maps[0]) > 0.75
    with pytest.raises(InputError, match="a guide has 2 maps for 4 frames: give a map for each frame"):
        video(source, target, tmp_path / "no.mkv", [(maps, [LABELS] * 2)])
    assert not (tmp_path / "no.mkv").exists()


def test_too_few_maps_are_refused_and_leave_nothing(moving, tmp_path):
    with pytest.raises(InputError, match=r"a guide has 2 maps, and .*source.mkv has more frames: give a map for each"):
        video(moving[0], TARGET, tmp_path / "no.mkv", [(moving[1][:2], LABELS)])
    assert not (tmp_path / "no.mkv").exists()


def test_no_maps_at_all_are_refused(moving, tmp_path):
    for target in (TARGET, moving[0]):
        with pytest.raises(InputError, match="a guide has no maps: give a map for each frame, or one for all"):
            video(moving[0], target, tmp_path / "no.mkv", [([], LABELS)])


@pytest.mark.parametrize(
    ("guides", "weight", "message"),
    [
        ([("a.png",)], None, "it must be two maps, the source's and the target's"),
        (["ab"], None, "a guide is 'ab': it must be two maps"),
        (
            (square(), LABELS),
            None,
            "a guide is a Picture: it must be two maps",
        ),  # not in a list
        ([], 1, "--guide-weight weighs guides, and there are none"),
        ([(square(), LABELS)], [1, 2], "2 times --guide-weight and 1 times --guide: give one weight for all guides"),
        ([(square(), LABELS)], -1, "--guide-weight is -1: it must be between 0 and 100"),
        ([(square(), LABELS)], 101, "--guide-weight is 101: it must be between 0 and 100"),
        ([(square(), LABELS)], math.nan, "--guide-weight is nan: it must be between 0 and 100"),
        ([(square(), LABELS)], "2", "--guide-weight is '2': it must be a number"),
        ([(square(), LABELS)], [None], "--guide-weight is None: it must be a number"),
        ([(square(), LABELS)], True, "--guide-weight is True: it must be a number"),
    ],
)
def test_guides_that_cannot_be_are_refused(guides, weight, message):
    with pytest.raises(OptionError, match=message):
        analogy(guides, guide_weight=weight)


def test_a_map_of_another_shape_is_refused():
    wide = Picture(np.repeat(square().pixels, 2, 1), name="wide")
    with pytest.raises(InputError, match="wide: a map of 64 x 32 px, and source has 32 x 32 px: give it the shape of"):
        analogy([(wide, LABELS)])


def test_maps_of_frames_are_refused_where_there_is_one_picture(moving, tmp_path):
    for given in (tmp_path / "maps", moving[0], moving[1]):
        with pytest.raises(InputError, match="maps of many frames, and source is one picture: give one map"):
            analogy([(given, LABELS)])


def test_a_picture_is_a_map_for_ever():
    endless = map_frames(square())
    assert all(next(endless) is first for first in [next(endless)] * 3)
