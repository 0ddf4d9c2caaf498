"""`structkit analogy --guide`: which map belongs to which picture, what a changed map does, and what is refused."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from structkit.media.pictures import read_picture
from structkit_cli.run.parts import NAME

from .conftest import paint
from .test_analogy_video import film


def shown(call: dict) -> list[list[str]]:
    """The names of the maps of a call."""
    return [[Path(picture.name).as_posix() for picture in maps] for maps in call["guides"]]


@pytest.fixture
def maps(run, tmp_path) -> tuple[str, str]:
    return paint(tmp_path / "sm.png", 3).name, paint(tmp_path / "tm.png", 4).name


def test_maps_and_weights_come_to_the_engine_in_their_order(run, engine, pair, maps):
    assert run("analogy", *pair, "--guide", *maps).code == 0
    assert (
        run("analogy", *pair, "--guide", *maps, "--guide", *maps[::-1], "--guide-weight", "2", "-o", "b.png").code == 0
    )
    more = ("--guide-weight", "2", "--guide-weight", "0.5")
    assert run("analogy", *pair, "--guide", *maps, "--guide", *maps[::-1], *more, "-o", "c.png").code == 0
    assert [call["guide_weight"] for call in engine.calls] == [[1.0], [2.0, 2.0], [2.0, 0.5]]
    assert shown(engine.calls[0]) == [[*maps]] and shown(engine.calls[2]) == [[*maps], [*maps[::-1]]]


def test_without_a_guide_the_engine_hears_of_none_and_records_are_those_of_before(run, engine, pair):
    run("analogy", *pair, "-o", "out/", "--exists", "skip")
    assert not engine.calls[0].keys() & {"guides", "guide_weight"}
    assert json.loads(Path("out", NAME).read_text())["inputs"].keys() == {"source", "target"}


def test_both_exchanges_the_maps_too(run, engine, pair, maps):
    assert run("analogy", *pair, "--both", "--guide", *maps).code == 0
    assert [shown(call) for call in engine.calls] == [[[*maps]], [[*maps[::-1]]]]


def test_a_comparison_shows_the_two_pictures_and_the_result(run, engine, pair, maps):
    widths = []
    for more in ((), ("--guide", *maps)):
        run("analogy", *pair, "--compare", "strip.png", "--exists", "overwrite", *more)
        widths.append(read_picture("strip.png").width)
    assert widths[0] == widths[1]


def test_a_changed_map_or_weight_makes_the_output_again_and_nothing_else_does(run, engine, pair, maps, tmp_path):
    command = ("analogy", *pair, "--guide", *maps, "-o", "out/", "--exists", "skip")
    assert run(*command).code == run(*command).code == 0
    assert len(engine.calls) == 1
    paint(tmp_path / maps[0], 9)
    assert run(*command).code == 0 and len(engine.calls) == 2
    refused = run(*command, "--guide-weight", "3")
    assert refused.code == 1 and "was made with other options" in refused.err
    paint(tmp_path / "other.png", 8)
    refused = run("analogy", *pair, "--guide", "other.png", maps[1], "-o", "out/", "--exists", "skip")
    assert refused.code == 1 and "was made from sm.png: name another place" in refused.err
    refused = run("analogy", *pair, "-o", "out/", "--exists", "skip")
    assert refused.code == 1 and len(engine.calls) == 2


def test_records_name_the_maps(run, pair, maps):
    ran = run("analogy", *pair, "--guide", *maps, "--guide", *maps, "--json")
    record = json.loads(ran.out.splitlines()[0])
    assert record["with"] == {
        "target": "cake.png",
        **{"source_map": "sm.png", "target_map": "tm.png", "source_map_2": "sm.png", "target_map_2": "tm.png"},
    }


def test_a_folder_has_the_maps_of_many_by_their_names(run, engine, tmp_path, maps):
    for name in ("a", "deep/b"):
        paint(tmp_path / f"in/{name}.jpg", 1), paint(tmp_path / f"masks/{name}.png", 2)
    paint(tmp_path / "masks/nobody.png", 2), paint(tmp_path / "t.png", 3)
    assert run("analogy", "in", "t.png", "--guide", "masks", maps[1], "-o", "out/").code == 0
    assert [shown(call) for call in engine.calls] == [
        [["masks/a.png", "tm.png"]],
        [["masks/deep/b.png", "tm.png"]],
    ]
    paint(tmp_path / "masks/a.png", 7)
    assert run("analogy", "in", "t.png", "--guide", "masks", maps[1], "-o", "out/").paths == ["out/a.png"]
    assert run("analogy", "in", "t.png", "--guide", *maps, "-o", "one/").code == 0  # one map for all
    assert run("analogy", "t.png", "in", "--guide", maps[1], "masks", "-o", "turned/").code == 0
    assert shown(engine.calls[-1]) == [["tm.png", "masks/deep/b.png"]]


def test_a_batch_of_pictures_that_lack_a_map_is_refused_before_any_work(run, engine, tmp_path, maps):
    for name in ("a.png", "b.png"):
        paint(tmp_path / "in" / name, 1)
    paint(tmp_path / "masks/a.png", 1), paint(tmp_path / "t.png", 1)
    ran = run("analogy", "in", "t.png", "--guide", "masks", maps[1], "-o", "out/")
    fact = "--guide masks has no map of the name of SOURCE in/b.png: give it one, or name a single map"
    assert ran.code == 2 and fact in ran.err
    paint(tmp_path / "masks/b.png", 1), paint(tmp_path / "masks/b.jpg", 1)
    ran = run("analogy", "in", "t.png", "--guide", "masks", maps[1], "-o", "out/")
    assert ran.code == 2 and "masks/b.jpg and masks/b.png for SOURCE in/b.png: leave one of them" in ran.err
    assert engine.calls == []


def test_results_do_not_go_into_a_folder_of_maps(run, tmp_path, maps):
    paint(tmp_path / "in/a.png", 1), paint(tmp_path / "masks/a.png", 1), paint(tmp_path / "t.png", 1)
    ran = run("analogy", "in", "t.png", "--guide", "masks", maps[1], "-o", "masks/")
    assert ran.code == 2 and ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--guide-weight", "2"), "--guide-weight weighs guides, and there are none: give a --guide, or leave it out"),
        (("--guide", "sm.png"), "--guide is without its value: say --guide SOURCE_MAP TARGET_MAP: "),
        (("--guide", "sm.png", "-o", "x.png"), "--guide takes SOURCE_MAP TARGET_MAP, and -o came in their place"),
        (
            ("--guide", "sm.png", "tm.png", "--guide-weight", "1", "--guide-weight", "2"),
            "2 times --guide-weight and 1 times --guide: give one weight for all guides, or one for each",
        ),
        (
            ("--guide", "sm.png", "tm.png", "--guide-weight", "101"),
            "--guide-weight is 101: it must be between 0 and 100",
        ),
        (("--guide", "sm.png", "tm.png", "--engine", "gan"), "--guide is of the patch engine, not of a trained pair"),
        (("--guide", "-", "-"), "SOURCE, TARGET or maps of --guide are standard input (-): it can be read only once"),
        (("--guide", "film.mkv", "tm.png"), "film.mkv, a video, for SOURCE house.png, a picture: give one map"),
    ],
)
def test_guides_that_cannot_be_are_refused_in_one_line(run, engine, pair, maps, arguments, message):
    film(Path("film.mkv"))
    ran = run("analogy", *pair, *arguments)
    assert (ran.code, engine.calls, ran.err.count("\n")) == (2, [], 1) and message in ran.err


def test_a_map_that_is_not_there_fails_as_a_picture_does(run, engine, pair, maps):
    ran = run("analogy", *pair, "--guide", maps[0], "nowhere.png")
    assert (ran.code, engine.calls, ran.err) == (1, [], "structkit: error: nowhere.png: no such file; check the path\n")


def test_guides_may_stand_in_a_file_and_in_the_environment(run, engine, pair, maps, tmp_path, monkeypatch):
    printed = run("analogy", "--print-config", "--guide", *maps, "--guide", *maps, "--guide-weight", "2").out.decode()
    assert tomllib.loads(printed)["analogy"]["guide"] == [[*maps], [*maps]]
    for text in (printed, 'guide = [["sm.png", "tm.png"], ["sm.png", "tm.png"]]', 'guide = ["sm.png", "tm.png"]'):
        (tmp_path / "c.toml").write_text(text)
        assert run("analogy", *pair, "--config", "c.toml", "--exists", "overwrite").code == 0
    assert [len(call["guides"]) for call in engine.calls] == [2, 2, 1]
    (tmp_path / "c.toml").write_text('guide = [["sm.png"]]')
    assert """c.toml sets 'guide' to [["sm.png"]]: it has 2""" in run("analogy", *pair, "--config", "c.toml").err
    monkeypatch.setenv("STRUCTKIT_ANALOGY_GUIDE", "sm.png:tm.png:sm.png:tm.png")
    assert run("analogy", *pair, "--exists", "overwrite").code == 0 and len(engine.calls[-1]["guides"]) == 2
    monkeypatch.setenv("STRUCTKIT_ANALOGY_GUIDE", "sm.png:tm.png:sm.png")
    fact = "--guide has 3 values: it takes SOURCE_MAP TARGET_MAP, and again (from STRUCTKIT_ANALOGY_GUIDE)"
    assert fact in run("analogy", *pair).err


class TestVideos:
    """With the real engine."""

    QUICK = ("--rounds", "1", "--patch", "5", "--coarsest", "16")

    @pytest.fixture
    def engine(self, real_engine):
        """No stand-in."""

    @pytest.fixture
    def scene(self, run, tmp_path) -> tuple[str, ...]:
        """A command of a video, and a folder with the maps of its frames."""
        film(tmp_path / "clip.mkv"), paint(tmp_path / "look.png", 1, side=24)
        rng = np.random.default_rng(0)
        from structkit.media.pictures import Picture, write_picture

        for name in ("masks/8.png", "masks/9.png", "masks/10.png", "tm.png"):
            (tmp_path / "masks").mkdir(exist_ok=True)
            side = 24 if name == "tm.png" else 20
            pixels = np.zeros((side, 24, 3), np.uint8)
            pixels[:, int(rng.integers(8, 16)) :] = 255
            write_picture(Picture(pixels), tmp_path / name)
        return "analogy", "clip.mkv", "look.png", *self.QUICK

    def test_a_folder_has_a_map_for_each_frame_and_a_changed_one_makes_the_video_again(self, run, scene, tmp_path):
        command = (*scene, "--guide", "masks", "tm.png", "-o", "out.mkv", "--exists", "skip", "--json")
        first = json.loads(run(*command).out.splitlines()[0])
        assert (first["status"], first["frames"], first["with"]["source_map"]) == ("written", 3, "masks")
        assert json.loads(run(*command).out.splitlines()[0])["status"] == "skipped"
        (tmp_path / "masks/9.png").write_bytes((tmp_path / "masks/8.png").read_bytes())
        assert json.loads(run(*command).out.splitlines()[0])["status"] == "written"
        (tmp_path / "masks/10.png").unlink()
        ran = run(*scene, "--guide", "masks", "tm.png", "-o", "few.mkv")
        assert ran.code == 1 and "a guide has 2 maps, and clip.mkv has more frames" in ran.err
        assert not (tmp_path / "few.mkv").exists()

    def test_in_a_batch_each_video_has_its_own_folder_of_maps(self, run, scene, tmp_path):
        film(tmp_path / "in/one.mkv")
        (tmp_path / "masks").rename(tmp_path / "one"), (tmp_path / "masks").mkdir()
        (tmp_path / "one").rename(tmp_path / "masks/one")
        command = ("analogy", "in", *scene[2:], "--guide", "masks", "tm.png", "-o", "out/")
        assert run(*command).paths == ["out/one.mp4"]
