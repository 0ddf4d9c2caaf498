"""`structkit genvideo`: clips in, clips out, by the rules of the command line; the engine is a stand-in."""

from __future__ import annotations

import errno
import io
import json
import sys
import types
import weakref
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import structkit
from structkit.errors import StructkitError
from structkit.media.formats import WRITTEN
from structkit.media.moving_pictures import Clip, read_clip, write_clip
from structkit.media.pictures import read_picture
from structkit_cli.pages import genvideo_plan

from .conftest import paint, small_clip
from .test_json import SCHEMA, faults


def films(folder: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_clip(small_clip(seed=seed), folder / name)


@pytest.fixture
def birds(run, tmp_path) -> str:
    films(tmp_path, "birds.mp4")
    return "birds.mp4"


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_four_numbered_clips_of_the_clips_length_and_rate(run, birds):
    ran = run("genvideo", birds)
    assert (ran.code, ran.paths) == (0, [f"birds-genvideo-{i}.mp4" for i in range(1, 5)]), ran.err
    found = [read_clip(path) for path in ran.paths]
    assert {(clip.count, clip.width, clip.height, clip.rate) for clip in found} == {(5, 24, 16, 10)}
    assert not np.array_equal(found[0].frames, found[1].frames)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "gif", "webp", "png"])
def test_output_names_one_clip_and_its_format(run, birds, engine, suffix):
    ran = run("genvideo", birds, "-o", f"new/o.{suffix}")
    assert (ran.code, ran.paths) == (0, [f"new/o.{suffix}"]), ran.err
    assert read_clip(f"new/o.{suffix}").count == 5 and [call["seed"] for call in engine.calls] == [0]


@pytest.mark.parametrize("format", ["gif", "webm"])
def test_format_says_what_becomes_of_the_names_of_a_folder(run, birds, format):
    ran = run("genvideo", birds, "-n", "2", "--format", format, "-o", "out/")
    assert ran.paths == [f"out/birds-genvideo-{i}.{format}" for i in (1, 2)], ran.err
    assert read_clip(ran.paths[0]).count == 5


def test_the_ith_result_is_that_of_its_seed(run, birds):
    (
        run("genvideo", birds, "-n", "3", "--seed", "4", "-o", "a.png"),
        run("genvideo", birds, "--seed", "6", "-o", "b.png"),
    )
    assert Path("a-3.png").read_bytes() == Path("b.png").read_bytes()


@pytest.mark.parametrize(
    ("options", "frames"), [(("--extend", "3"), 8), (("--extend-back", "2"), 5), (("--slow", "2"), 5)]
)
def test_what_keeps_the_clip_is_drawn_once(run, birds, engine, options, frames):
    ran = run("genvideo", birds, *options)
    assert (ran.code, ran.paths) == (0, ["birds-genvideo.mp4"]), ran.err
    assert read_clip(ran.paths[0]).count == frames and len(engine.calls) == 1
    if "--slow" not in options:
        assert run("genvideo", birds, *options, "-n", "2", "-o", "two/").paths == [
            f"two/birds-genvideo-{i}.mp4" for i in (1, 2)
        ]


def test_options_reach_the_engine(run, birds, engine):
    ran = run("genvideo", birds, "--size", "48x16", "--frames", "9", "--loop", "--variety", "0.2", "-o", "o.gif")
    assert ran.code == 0, ran.err
    [call] = engine.calls
    assert (call["size"], call["frames"], call["loop"], call["variety"]) == ((48, 16), 9, True, 0.2)


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_animated_pictures_are_clips(run, tmp_path, engine, kind):
    films(tmp_path, f"a.{kind}")
    ran = run("genvideo", f"a.{kind}", "-o", "o.mp4")
    assert ran.code == 0, ran.err
    assert np.array_equal(engine.calls[0]["clip"].frames, read_clip(f"a.{kind}").frames)


def test_a_clip_is_reduced_as_it_is_read(run, tmp_path, engine):
    write_clip(small_clip(3, 100, 301), tmp_path / "wide.webp")
    ran = run("genvideo", "wide.webp", "-o", "o.mp4")
    assert (ran.code, engine.calls[0]["clip"].frames.shape) == (0, (3, 84, 256, 3)), ran.err
    assert run("genvideo", "wide.webp", "-o", "p.mp4", "--max-side", "64").code == 0
    assert engine.calls[1]["clip"].frames.shape == (3, 20, 64, 3)


def test_a_batch_mirrors_the_tree_and_passes_over_stills(run, tmp_path):
    films(tmp_path / "in", "a.mp4", "deep/b.gif", "deep/c.webp")
    paint(tmp_path / "in/still.png", 1), paint(tmp_path / "in/still.webp", 2), (tmp_path / "in/notes.txt").touch()
    ran = run("genvideo", "in", "-n", "2", "-o", "out")
    assert ran.code == 0 and "3 other files passed over" in ran.err
    assert ran.paths == [f"out/{name}-{i}.mp4" for name in ("a", "deep/b", "deep/c") for i in (1, 2)]
    assert run("genvideo", "in/*", "-o", "out2", "-n", "1").paths == ["out2/a.mp4"]


def test_what_is_there_is_made_again_only_where_something_has_changed(run, tmp_path):
    films(tmp_path / "in", "a.mp4", "b.mp4")
    assert run("genvideo", "in", "-n", "1", "-o", "out").paths == ["out/a.mp4", "out/b.mp4"]
    ran = run("genvideo", "in", "-n", "1", "-o", "out")
    assert (ran.code, ran.paths) == (0, []) and "2 skipped" in ran.err
    films(tmp_path / "in", "b.mp4", "x.mp4")
    assert run("genvideo", "in", "-n", "1", "-o", "out").paths == ["out/b.mp4", "out/x.mp4"]
    ran = run("genvideo", "in", "-n", "1", "-o", "out", "--variety", "1")
    assert ran.code == 1 and "out/a.mp4 exists and was made with other options" in ran.err


def test_one_bad_clip_does_not_stop_the_others(run, tmp_path):
    films(tmp_path / "in", "a.mkv", "c.mkv")
    whole = (tmp_path / "in/a.mkv").read_bytes()
    (tmp_path / "in/b.mkv").write_bytes(whole[: len(whole) * 3 // 4])
    ran = run("genvideo", "in", "-n", "1", "-o", "out")
    assert (ran.code, ran.paths) == (1, ["out/a.mp4", "out/c.mp4"])
    assert "structkit: error: in/b.mkv: truncated MKV/WebM" in ran.err and "--tolerant" in ran.err


def test_a_corrupt_tail_is_said_where_it_is_tolerated(run, tmp_path):
    write_clip(small_clip(12), tmp_path / "a.mkv")
    whole = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(whole[: len(whole) * 3 // 4])
    ran = run("genvideo", "a.mkv", "-o", "o.mp4", "--tolerant", "--json")
    record = json.loads(ran.out.splitlines()[0])
    assert ran.code == 0 and any("truncated" in warning for warning in record["warnings"])
    assert 3 <= record["frames"] < 12


def test_a_record_for_each_clip_and_for_what_compares_them(run, birds):
    ran = run("genvideo", birds, "-n", "2", "--json", "--compare", "c.html", "-o", "out/")
    *outputs, summary = found = [json.loads(line) for line in ran.out.splitlines()]
    assert [faults(record, SCHEMA) for record in found] == [[]] * 4
    assert [record["role"] for record in outputs] == ["result", "result", "comparison"]
    assert [record.get("frames") for record in outputs] == [5, 5, None]
    assert (summary["written"], summary["verb"]) == (3, "genvideo")


def test_a_sheet_shows_the_clip_and_all_results(run, birds):
    ran = run("genvideo", birds, "-n", "2", "--compare", "sheet.png", "-o", "out/")
    assert ran.paths == ["out/birds-genvideo-1.mp4", "out/birds-genvideo-2.mp4", "sheet.png"], ran.err
    assert read_picture("sheet.png").height > 3 * 16


def test_in_a_batch_sheets_go_into_a_folder(run, tmp_path):
    films(tmp_path / "in", "a.mp4", "b.mp4")
    ran = run("genvideo", "in", "-n", "1", "-o", "out", "--compare", "sheets/")
    assert ran.paths == ["out/a.mp4", "sheets/a.png", "out/b.mp4", "sheets/b.png"], ran.err
    (tmp_path / "sheets/b.png").unlink()
    again = run("genvideo", "in", "-n", "1", "-o", "out", "--compare", "sheets/")
    assert (again.code, again.paths) == (0, ["sheets/b.png"])
    ran = run("genvideo", "in", "-n", "1", "-o", "new", "--compare", "sheets/", "--variety", "1")
    assert ran.err.count("sheets/a.png exists and was made with other options: name another place with --compare") == 1
    (tmp_path / "file").touch()
    ran = run("genvideo", "in", "-n", "1", "-o", "new", "--compare", "file/sheets/")
    assert "file is not a folder: a.png cannot be written below it; name another place with --compare" in ran.err


def test_a_page_plays_the_clip_and_all_results(run, birds):
    assert run("genvideo", birds, "-n", "3", "--compare", "page.html", "-o", "out/").code == 0
    page = Path("page.html").read_text()
    assert [f'"label": "{label}"' in page for label in ("clip", "result 1", "result 3", "result 4")] == [True] * 3 + [
        False
    ]


@pytest.mark.parametrize("compare", [(), ("--compare", "c.png"), ("--compare", "c.html")])
def test_results_are_kept_in_memory_only_where_they_are_shown(run, birds, monkeypatch, compare):
    monkeypatch.setattr(genvideo_plan, "MOST_SHOWN", 2)
    draw, made, most = structkit.genvideo, weakref.WeakSet(), 0

    def counted(*given, **call):
        nonlocal most
        [clip] = draw(*given, **call)
        made.add(clip)
        most = max(most, len(made))
        return [clip]

    monkeypatch.setattr(structkit, "genvideo", counted)
    ran = run("genvideo", birds, "-n", "6", "-o", "out/", "--format", "png", *compare)
    assert (ran.code, most) == (0, 4 if compare else 2), ran.err
    assert ("of 6 results the first 2 are shown" in ran.err) is bool(compare)


def test_what_begins_before_the_clip_is_shown_in_step_with_it(run, birds, engine):
    real = structkit.genvideo
    structkit.genvideo = lambda clip, **call: [
        replace(made, frames=np.concatenate([made.frames[:1].repeat(call["extend_back"], 0), made.frames]))
        for made in real(clip, **call)
    ]
    assert run("genvideo", birds, "--extend-back", "3", "-o", "o.png", "--compare", "c.html").code == 0
    assert Path("c.html").read_text().count('"frames": 8') == 2


def test_avif_and_apng_in_folders_are_clips_and_what_is_damaged_is_told(run, tmp_path):
    films(tmp_path / "in", "a.png", "c.webp", "d.gif")
    (tmp_path / "in/a.png").rename(tmp_path / "in/a.apng")
    frames = [Image.fromarray(frame) for frame in small_clip().frames]
    frames[0].save(tmp_path / "in/b.avif", save_all=True, append_images=frames[1:], duration=100)
    for name, share in (("c.webp", 2), ("d.gif", 9)):
        whole = (tmp_path / "in" / name).read_bytes()
        (tmp_path / "in" / name).write_bytes(whole[: len(whole) // share])
    ran = run("genvideo", "in", "-n", "1", "-o", "out")
    assert (ran.code, ran.paths) == (1, ["out/a.mp4", "out/b.mp4"])
    assert "in/c.webp: damaged or truncated WebP" in ran.err and "in/d.gif: damaged or truncated GIF" in ran.err


@pytest.mark.parametrize("format", [None, "gif", "webm"])
def test_it_is_a_filter_too(run, birds, monkeypatch, format):
    assert run("genvideo", birds, "-o", f"o.{format or 'mp4'}").code == 0
    buffer = io.BytesIO(Path(birds).read_bytes())
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(isatty=lambda: False, buffer=buffer))
    ran = run("genvideo", "-", "-o", "-", *(["--format", format] if format else []))
    assert ran.code == 0, ran.err
    assert ran.out == Path(f"o.{format or 'mp4'}").read_bytes()


def test_quality_is_that_of_the_encoding_and_refused_where_there_is_none(run, birds):
    for suffix in ("mp4", "webp"):
        run("genvideo", birds, "-o", f"low.{suffix}", "--quality", "5")
        run("genvideo", birds, "-o", f"high.{suffix}", "--quality", "95")
        assert Path(f"low.{suffix}").stat().st_size < Path(f"high.{suffix}").stat().st_size
    ran = run("genvideo", birds, "-o", "o.gif", "--quality", "5")
    assert (ran.code, ran.err) == (
        2,
        "structkit: error: --quality means nothing for gif: leave it out (see: structkit genvideo --help)\n",
    )


REFUSED = [
    (
        (),
        "Missing argument 'CLIP': name a video or an animated picture, or draw from a trained model with --model alone",
    ),
    (
        ("birds.mp4", "--loop", "--extend", "3"),
        "--extend goes on from the clip's end, and a --loop has none: leave one",
    ),
    (("birds.mp4", "--loop", "--extend-back", "3"), "--extend-back goes on from the clip's end"),
    (
        ("birds.mp4", "--frames", "9", "--extend", "3"),
        "--frames and --extend both say how long the result is: give one",
    ),
    (
        ("birds.mp4", "--slow", "2", "--loop"),
        "--slow keeps the clip's frames and puts others between, --loop makes new",
    ),
    (("birds.mp4", "--slow", "2", "--extend", "3"), "--slow keeps the clip's frames"),
    (("birds.mp4", "--slow", "2", "--frames", "9"), "--slow keeps the clip's frames"),
    (("birds.mp4", "--slow", "2", "-n", "2"), "--count is 2, and slow motion has one result"),
    (("birds.mp4", "--slow", "2", "--variety", "1"), "--variety changes nothing with --slow"),
    (("birds.mp4", "--extend", "2", "--upright", "0"), "--upright changes nothing with --extend"),
    (("birds.mp4", "--loop", "--coarsest", "20"), "--coarsest changes nothing with --loop"),
    (
        ("birds.mp4", "--size", "32x32", "--extend", "3"),
        "--size makes all frames anew, and --extend keeps those of the",
    ),
    (("birds.mp4", "--size", "32x32", "--slow", "2"), "--size makes all frames anew, and --slow keeps"),
    (("birds.mp4", "--size", "8x8"), "--size is 8x8: each side must be 16 to 8192 px"),
    (("birds.mp4", "--slow", "17"), "--slow is 17: it must be between 1 and 16"),
    (("birds.mp4", "--frames", "2"), "--frames is 2: it must be between 3 and 100000"),
    (("birds.mp4", "--minutes", "5"), "--minutes is of a training: leave it out, or say --engine vaegan"),
    (("birds.mp4", "--vae-levels", "2"), "--vae-levels is of a training: leave it out, or say --engine vaegan"),
    (("birds.mp4", "--dtype", "float32"), "--dtype is of a training"),
    (
        ("birds.mp4", "--refine", "patches"),
        "--refine is for a trained model: leave it out, say --engine vaegan, or name",
    ),
    (("birds.mp4", "--engine", "vaegan", "--variety", "1"), "--variety is of the patch engine, not of a trained model"),
    (("birds.mp4", "--engine", "vaegan", "--slow", "2"), "--slow is not what a trained model can do: leave it out, or"),
    (("birds.mp4", "--engine", "vaegan", "--loop"), "--loop is not what a trained model can do"),
    (("birds.mp4", "--engine", "vaegan", "-o", "-"), "--output - leaves no place for the trained model: name one with"),
    (
        ("birds.mp4", "--engine", "vaegan", "--model", "m.mp4"),
        "--model is m.mp4: a checkpoint is a file whose name ends",
    ),
    (("birds.mp4", "--model", "m.safetensors"), "--model m.safetensors draws from what it has learned: leave CLIP out"),
    (("--engine", "vaegan"), "Missing argument 'CLIP'"),
    (
        ("birds.mp4", "-o", "o.avi"),
        "--output o.avi is to be a clip: end the name in one of .mp4 .m4v .mov .mkv .webm .gif",
    ),
    (
        ("birds.mp4", "-o", "o.mp4", "--format", "gif"),
        "--output o.mp4 says mp4 and --format says gif: change one of them",
    ),
    (("birds.mp4", "-n", "2", "-o", "-"), "--output - writes one result to stdout, and there are 2"),
    (("birds.mp4", "-o", "o.mp4", "--compare", "c.mp4"), "--compare c.mp4 names a video, and a picture goes there"),
    (
        ("in", "-o", "out/", "--compare", "page.html"),
        "--compare page.html is a file, and there may be several outputs: name a folder, such as page/",
    ),
    (
        ("birds.mp4", "-o", "o.mp4", "--compare", "c.txt"),
        f"--compare c.txt has a suffix that names no format: use one of {' '.join(WRITTEN)} .html",
    ),
    (("in", "-o", "o.mp4"), "--output o.mp4 is a file, and there may be several outputs: name a folder, such as o/"),
    (("in", "--engine", "vaegan", "--model", "m.safetensors", "-o", "out/"), "--model m.safetensors is one model, and"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_what_makes_no_sense_is_refused_before_any_work(run, birds, tmp_path, engine, arguments, message):
    films(tmp_path, *(["in/a.mp4", "in/b.mp4"] if "in" in arguments else []))
    before = names(tmp_path)
    ran = run("genvideo", *arguments)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, b"", 1)
    assert f"structkit: error: {message}" in ran.err and engine.calls == []
    assert names(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "photo.png",
            "photo.png: a still PNG picture, where a clip is needed; name a video, or an animated GIF, WebP,",
        ),
        ("named.mp4", "named.mp4: a still PNG picture, where a clip is needed"),
        ("two.gif", "two.gif: 2 frames, and a clip needs 3 at least; give a longer one, or draw from a picture with"),
        ("one.mp4", "one.mp4: 1 frame, and a clip needs 3 at least"),
        ("text.mp4", "text.mp4: not a video of a known container"),
        ("none.mp4", "none.mp4: no such file"),
        ("thin.mkv", "thin.mkv: the result would be 256 x 7 px, each side must be at least 16: give a larger size"),
    ],
)
def test_what_is_no_clip_is_refused_in_words(run, tmp_path, engine, name, message):
    paint(tmp_path / "photo.png", 1), (tmp_path / "named.mp4").write_bytes((tmp_path / "photo.png").read_bytes())
    write_clip(small_clip(2), tmp_path / "two.gif"), write_clip(small_clip(1), tmp_path / "one.mp4")
    (tmp_path / "text.mp4").write_text("no video"), write_clip(small_clip(3, 24, 900), tmp_path / "thin.mkv")
    ran = run("genvideo", name, "-o", "o.mp4")
    assert (ran.code, engine.calls) == (1, []) and f"structkit: error: {message}" in ran.err


def test_notes_of_the_clip_are_warnings(run, tmp_path):
    frames = [Image.fromarray(frame) for frame in small_clip(4).frames]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=[100, 330, 100, 100])
    ran = run("genvideo", "a.gif", "-o", "o.mp4")
    assert ran.code == 0 and "a.gif: frames at uneven times: taken as evenly spaced" in ran.err


def test_an_odd_size_is_said_where_a_video_cannot_have_it(run, birds, engine):
    made = Clip(np.zeros((3, 17, 25, 3), np.uint8), Fraction(10))
    structkit.genvideo = lambda clip, **call: [made]
    try:
        assert "25 x 17 pixels made 26 x 18" in run("genvideo", birds, "-o", "o.mp4").err
        assert "pixels made" not in run("genvideo", birds, "-o", "o.webp").err
    finally:
        structkit.genvideo = engine.genvideo


def test_what_exists_is_not_lost(run, birds):
    Path("o.mp4").write_bytes(b"mine")
    ran = run("genvideo", birds, "-o", "o.mp4")
    assert ran.code == 2 and "o.mp4 exists: choose another name" in ran.err and Path("o.mp4").read_bytes() == b"mine"
    assert run("genvideo", birds, "-o", "o.mp4", "--exists", "overwrite").code == 0
    assert run("genvideo", birds, "-o", birds).code == 2


@pytest.mark.parametrize("name", ["o.mp4", "o.gif"])
def test_a_full_disk_ends_in_words_and_leaves_nothing(run, birds, tmp_path, monkeypatch, name):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    ran = run("genvideo", birds, "-o", name)
    assert ran.code == 3 and "the disk is full" in ran.err
    assert names(tmp_path) == ["birds.mp4"]


def test_results_that_are_no_numbers_are_an_error_and_no_black_clip(run, birds, engine, tmp_path):
    def broken(call: dict) -> None:
        raise StructkitError("genvideo of birds.mp4: 7 of 99 values are not finite; check the model's weights")

    engine.then = broken
    ran = run("genvideo", birds, "-o", "o.mp4")
    assert ran.code == 1 and "7 of 99 values are not finite" in ran.err and names(tmp_path) == ["birds.mp4"]
