"""The scenes of examples/streets.py: their labels are exact, and a seed decides on all of it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import structkit

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL = (120, 90)


@pytest.fixture(scope="module")
def streets():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        import streets

        yield streets
    for name in ("streets", "easel", "facades", "roadside", "traffic", "textures"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def scenes(streets):
    return [streets.scene(5, number, SMALL) for number in range(10)]


def test_the_same_seed_gives_the_same_bytes_and_another_number_another_street(streets, scenes):
    again = streets.scene(5, 3, SMALL)
    assert all(np.array_equal(a, b) for a, b in zip(scenes[3], again, strict=True))
    assert not np.array_equal(scenes[3][0], scenes[4][0]) and not np.array_equal(scenes[3][1], scenes[4][1])


def test_a_label_is_one_of_the_eleven_classes_and_each_of_them_occurs(scenes):
    kinds = np.stack([labels for _, labels in scenes])
    shares = np.bincount(kinds.ravel(), minlength=11) / kinds.size
    assert kinds.dtype == np.uint8 and kinds.shape[1:] == SMALL[::-1] and len(shares) == 11
    assert shares.min() > 2e-4
    sky, building, _, road, *_ = shares
    assert sky > 0.05 and building > 0.05 and road > 0.15


def test_dusk_changes_the_light_and_no_label(streets, scenes):
    for number in (0, 1):
        day, labels = scenes[number]
        dark, same = streets.scene(5, number, SMALL, 0.9)
        assert np.array_equal(labels, same)
        assert dark[labels == streets.ROAD].mean() < 0.6 * day[labels == streets.ROAD].mean()


def test_colour_and_label_of_a_thing_have_one_outline(streets):
    """On a flat easel, what was painted in one colour is what was marked with its class, to the pixel."""
    view = streets.View((90, 120), 100.0, 60.0, 45.0, 1.5, 0.0, 0.0, 0.0, 0.0)
    easel = streets.Easel(view, (0, 0, 0), 1e9, 0.0)
    easel.polygon([(-1, 0, 3), (1, 0, 3), (1, 2, 5), (-1, 2, 5)], (200, 0, 0), 8)
    easel.disc((2, 1, 4), 0.3, (200, 0, 0), 8)
    easel.line((-2, 0, 6), (-2, 3, 6), 0.1, (200, 0, 0), 8)
    easel.hang([Image.new("RGB", (8, 8), (200, 0, 0))], [(2, 3, 6), (3, 3, 8), (3, 1, 8), (2, 1, 6)], 1.0, 8)
    red, marked = np.asarray(easel.picture)[..., 0] > 100, np.asarray(easel.classes) == 8
    assert marked.sum() > 500 and np.array_equal(red, marked)


def test_the_ground_is_seen_where_a_point_of_it_is_painted(streets):
    view = streets.View((90, 120), 100.0, 58.0, 40.0, 1.5, 0.4, 0.1, 0.02, 1e-3)
    u, z, ahead = view.ground()
    for row, column in ((60, 20), (80, 100), (50, 60)):
        seen = view.seen((u[row, column], 0.0, z[row, column]))
        assert view.place(seen) == pytest.approx((column, row), abs=0.05)
        assert seen[2] == pytest.approx(ahead[row, column], rel=1e-3)
    assert np.isinf(ahead[:30]).all()


@pytest.mark.parametrize(
    "words", [("--size", "abc"), ("--size", "0x5"), ("--dusk", "7"), ("--count", "0")], ids=" ".join
)
def test_what_cannot_be_drawn_is_refused(streets, tmp_path, monkeypatch, capsys, words):
    monkeypatch.setattr(sys, "argv", ["streets.py", str(tmp_path / "out"), "--count", "1", *words])
    with pytest.raises(SystemExit, match="2"):
        streets.main()
    assert words[0] in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_command_writes_pictures_and_labels_of_the_size_asked_for(streets, tmp_path, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["streets.py", str(tmp_path), "--first", "7", "--count", "2", "--size", "64x48", "--seed", "9"]
    )
    streets.main()
    assert [path.name for path in sorted((tmp_path / "labels").iterdir())] == ["00007.png", "00008.png"]
    for folder, mode in (("images", "RGB"), ("labels", "L")):
        with Image.open(tmp_path / folder / "00007.png") as picture:
            assert picture.size == (64, 48) and picture.mode == mode


@pytest.mark.parametrize(("picture", "dusk", "least"), [("street.png", 0.0, 0.8), ("street-dusk.png", 0.85, 0.75)])
def test_the_model_that_ships_tells_what_the_example_shows(streets, picture, dusk, least):
    """What the README's line does: `structkit segment examples/street.png --model streets`."""
    told = structkit.segment(structkit.read_picture(EXAMPLES / picture), "streets", device="cpu").palette.indices
    labels = streets.scene(7, 11, dusk=dusk)[1]
    assert told.shape == labels.shape and (told == labels).mean() > least
    for kind in (streets.SKY, streets.ROAD):
        there, said = labels == kind, told == kind
        assert (there & said).sum() / (there | said).sum() > 0.8
