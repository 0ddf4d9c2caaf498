"""Where outputs go, and what is refused before any work."""

from __future__ import annotations

import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from structkit.media.formats import FORMATS as MEDIA_FORMATS
from structkit.media.pictures import Picture, read_picture, write_picture
from structkit_cli.options import FORMATS

from .conftest import paint


def files(folder) -> list[str]:
    return sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")
    )


def test_without_output_the_name_is_made_of_the_inputs_in_the_current_folder(run, tmp_path):
    paint(tmp_path / "a/house.jpg", 1), paint(tmp_path / "b/cake.png", 2)
    assert run("analogy", "a/house.jpg", "b/cake.png").paths == ["house-cake.png"]
    assert run("retarget", "a/house.jpg", "--size", "16x16").paths == ["house-retarget.png"]
    assert run("refine", "a/house.jpg", "--patches-of", "b/cake.png").paths == ["house-refine.png"]
    assert run("sample", "a/house.jpg", "-n", "10").paths[::9] == ["house-sample-01.png", "house-sample-10.png"]


@pytest.mark.parametrize("folder", ["new/", "there", "there/", "new/deep/"])
def test_a_folder_is_one_that_exists_or_ends_in_a_slash(run, pair, tmp_path, folder):
    (tmp_path / "there").mkdir()
    assert run("analogy", *pair, "-o", folder).paths == [f"{folder.rstrip('/')}/house-cake.png"]


@pytest.mark.parametrize("name", ["o.png", "o.jpg", "o.jpeg", "o.webp", "o.tif", "o.TIFF", "o.bmp", "o.gif", "o.avif"])
def test_the_suffix_decides_the_format(run, pair, tmp_path, name):
    assert run("analogy", *pair, "-o", name).paths == [name]
    assert read_picture(tmp_path / name).width == 8


def test_format_decides_where_no_suffix_does(run, pair, tmp_path):
    assert run("analogy", *pair, "--format", "jpeg").paths == ["house-cake.jpg"]
    assert run("analogy", *pair, "-o", "plain", "--format", "bmp").paths == ["plain"]
    assert (tmp_path / "plain").read_bytes()[:2] == b"BM"
    assert run("analogy", *pair, "-o", "-", "--format", "gif").out[:3] == b"GIF"


def test_the_formats_are_those_of_the_library():
    assert sorted(FORMATS) == sorted(f.name.lower() for f in MEDIA_FORMATS)


@pytest.mark.parametrize("verb", [("analogy", "clear.png", "cake.png"), ("sample", "-n", "1", "clear.png")])
def test_transparency_that_the_format_cannot_hold_is_found_before_painting(run, engine, pair, tmp_path, verb):
    colours = read_picture(tmp_path / "house.png").pixels
    write_picture(Picture(colours, np.full(colours.shape[:2], 100, np.uint8)), tmp_path / "clear.png")
    ran = run(*verb, "-o", "o.jpg")
    assert (ran.code, ran.out, engine.calls) == (1, b"", [])
    fact = "o.jpg: JPEG cannot hold the transparency of clear.png"
    assert ran.err == f"structkit: error: {fact}; write .png, .webp, .tif, .avif or .gif\n"
    assert run(*verb, "-o", "o.webp").code == 0
    write_picture(Picture(colours, np.full(colours.shape[:2], 255, np.uint8)), tmp_path / "clear.png")
    assert run(*verb, "-o", "o.jpg").code == 0


def test_quality_changes_the_bytes(run, pair, tmp_path):
    run("analogy", *pair, "-o", "low.jpg", "--quality", "5")
    run("analogy", *pair, "-o", "high.jpg", "--quality", "99")
    assert (tmp_path / "low.jpg").stat().st_size < (tmp_path / "high.jpg").stat().st_size


def test_samples_are_numbered_and_each_is_the_one_of_its_seed(run, pair, tmp_path):
    assert run("analogy", *pair, "-o", "o.png", "--count", "3", "--seed", "5").paths == [
        "o-1.png",
        "o-2.png",
        "o-3.png",
    ]
    run("analogy", *pair, "-o", "lone.png", "--seed", "6")
    assert (
        (tmp_path / "o-2.png").read_bytes()
        == (tmp_path / "lone.png").read_bytes()
        != (tmp_path / "o-1.png").read_bytes()
    )


def test_both_is_the_exchange_of_source_and_target(run, pair, tmp_path):
    assert run("analogy", *pair, "-o", "o.png", "--both").paths == ["o.png", "o-swapped.png"]
    run("analogy", *reversed(pair), "-o", "turned.png")
    assert (tmp_path / "o-swapped.png").read_bytes() == (tmp_path / "turned.png").read_bytes()


def test_compare_writes_a_strip_of_all_results(run, pair, tmp_path):
    ran = run("analogy", *pair, "-o", "o.png", "--count", "2", "--compare", "strip.png")
    assert ran.paths == ["o-1.png", "o-2.png", "strip.png"]
    strip = read_picture(tmp_path / "strip.png")
    assert strip.width > 4 * strip.height * 0.8  # four pictures
    run("analogy", *pair, "-o", "-", "--compare", "other.png")
    assert (tmp_path / "other.png").exists()


def test_a_strip_is_of_one_quality_and_opaque_whatever_the_results_are(run, pair, tmp_path):
    colours = read_picture(tmp_path / "house.png").pixels
    write_picture(Picture(colours, np.full(colours.shape[:2], 100, np.uint8)), tmp_path / "clear.png")
    strips = []
    for quality in ((), ("--quality", "5")):
        ran = run("analogy", "clear.png", "cake.png", "-o", f"{len(strips)}.webp", *quality, "--compare", "strip.jpg")
        assert ran.code == 0, ran.err
        strips.append((tmp_path / "strip.jpg").read_bytes())
        (tmp_path / "strip.jpg").unlink()
    assert strips[0] == strips[1]
    assert (tmp_path / "0.webp").read_bytes() != (tmp_path / "1.webp").read_bytes()


def test_compare_in_a_batch_is_a_folder(run, pair, tmp_path):
    paint(tmp_path / "in/deep/a.png", 3)
    assert run("analogy", "in", "cake.png", "-o", "out", "--compare", "strips").paths == [
        "out/deep/a.png",
        "strips/deep/a.png",
    ]
    assert run("analogy", "in", "cake.png", "-o", "out", "--compare", "s.png").code == 2


def test_the_tree_is_mirrored_in_natural_order_and_foreign_files_are_counted(run, pair, tmp_path):
    for name in ("10.png", "2.jpg", "sub/x.y.png", "sub/.hidden.png", ".git/a.png"):
        paint(tmp_path / "in" / name, 3)
    (tmp_path / "in/notes.txt").touch()
    ran = run("analogy", "in", "cake.png", "-o", "out")
    assert (ran.code, ran.paths) == (0, ["out/2.png", "out/10.png", "out/sub/x.y.png"])
    assert "3 written, 1 other file passed over" in ran.err
    assert files(tmp_path / "out") == ["10.png", "2.png", "sub/x.y.png"]


def test_a_folder_of_outputs_inside_the_folder_of_inputs_is_not_read(run, tmp_path):
    paint(tmp_path / "in/a.png", 1)
    assert run("sample", "in", "-n", "1", "-o", "in/out").paths == ["in/out/a.png"]
    again = run("sample", "in", "-n", "1", "-o", "in/out")
    assert (again.code, again.paths) == (0, [])


@pytest.mark.parametrize("pattern", ["in/**/*.png", "in/*/*.png", "i*/**/*.png", "**/*.png"])
def test_a_folder_of_outputs_that_a_pattern_would_find_is_not_read(run, tmp_path, pattern):
    paint(tmp_path / "in/deep/a.png", 1)
    command = ("sample", pattern, "-n", "1", "-o", "in/out")
    assert len(run(*command).paths) == 1
    before = files(tmp_path)
    again = run(*command)
    assert (again.code, again.paths, files(tmp_path)) == (0, [], before)


@pytest.mark.parametrize(("pattern", "folder"), [("in/*.png", "in"), ("in/**/*.png", "in/"), ("*.png", ".")])
def test_the_outputs_of_a_pattern_go_to_another_folder(run, engine, tmp_path, pattern, folder):
    paint(tmp_path / "in/a.png", 1), paint(tmp_path / "a.png", 1)
    ran = run("sample", pattern, "-n", "2", "-o", folder)
    assert (ran.code, engine.calls) == (2, [])
    assert "is a folder of inputs too: write elsewhere with --output, or say --exists overwrite" in ran.err
    assert run("sample", pattern, "-n", "2", "-o", folder, "--exists", "overwrite").code == 0


def test_links_to_folders_are_followed_but_not_in_a_circle(run, tmp_path):
    paint(tmp_path / "elsewhere/a.png", 1)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/circle").symlink_to(tmp_path / "in")
    assert run("sample", "in", "-n", "1", "-o", "out").paths == ["out/link/a.png"]


def test_patterns_and_lists(run, tmp_path):
    for name in ("a/1.png", "a/b/2.png", "a/odd [1].png", "c d/é\n3.png"):
        paint(tmp_path / name, 1)
    assert run("sample", "a/**/*.png", "-n", "1", "-o", "o1").paths == ["o1/1.png", "o1/b/2.png", "o1/odd [1].png"]
    assert run("sample", "a/odd [1].png", "-n", "1").paths == ["odd [1]-sample.png"]  # a file of that very name
    (tmp_path / "list.txt").write_text("a/1.png\r\n\n./a/b\n")
    assert run("sample", "@list.txt", "-n", "1", "-o", "o2").paths == ["o2/1.png", "o2/2.png"]
    assert run("sample", "c d", "-n", "1", "-o", "o3").out.decode() == "o3/é\n3.png\n"


def test_names_with_leading_dashes_and_bytes_that_are_no_text(run, tmp_path):
    paint(tmp_path / "-x.png", 1)
    assert run("sample", "-n", "1", "--", "-x.png").paths == ["-x-sample.png"]
    odd = os.fsdecode(b"\xff.png")
    paint(tmp_path / "x.png", 1).rename(tmp_path / odd)
    assert run("sample", "-n", "1", odd).out == b"\xff-sample.png\n"


def test_messages_keep_to_one_line_whatever_the_name(run):
    ran = run("sample", "a\nb\x1b(31m.png", "-n", "1")
    assert ran.err == "structkit: error: a\\nb\\x1b(31m.png: no such file; check the path\n"


def test_pairs_of_two_folders_have_equal_names(run, engine, tmp_path):
    (
        paint(tmp_path / "s/x/1.png", 1),
        paint(tmp_path / "s/2.png", 2),
        paint(tmp_path / "t/x/1.jpg", 3),
        paint(tmp_path / "t/2.png", 4),
    )
    assert run("analogy", "s", "t", "-o", "out").paths == ["out/2.png", "out/x/1.png"]
    paint(tmp_path / "t/3.png", 5)
    ran = run("analogy", "s", "t", "-o", "new")
    assert (ran.code, len(engine.calls)) == (2, 2)
    assert "t/3.png has no partner of the same name on the other side" in ran.err
    (tmp_path / "t/3.png").rename(tmp_path / "t/2.jpg")
    assert "t/2.png are of the same name but for the suffix" in run("analogy", "s", "t", "-o", "new").err


def test_names_that_clash_are_found_before_any_work(run, engine, tmp_path):
    paint(tmp_path / "in/a.png", 1), paint(tmp_path / "in/a.jpg", 2)
    ran = run("sample", "in", "-n", "1", "-o", "out")
    assert (ran.code, engine.calls) == (2, [])
    assert "in/a.jpg and in/a.png would both be written to out/a.png: rename one, or say --keep-suffix" in ran.err
    paint(tmp_path / "other/b.png", 3), (tmp_path / "more").mkdir()
    (tmp_path / "more/c.png").symlink_to("b.png")
    (tmp_path / "p").mkdir(), paint(tmp_path / "p/b.png", 1), paint(tmp_path / "p/c.png", 1)
    ran = run("sample", "p", "-n", "1", "-o", "more", "--exists", "overwrite")
    assert (
        "p/b.png and p/c.png would both be written to more/c.png: rename one" in ran.err
        and "--keep-suffix" not in ran.err
    )


def test_all_names_that_clash_are_told_at_once(run, engine, tmp_path):
    for i in range(5):
        paint(tmp_path / f"in/{i}.jpg", i), paint(tmp_path / f"in/{i}.png", i)
    paint(tmp_path / "in/0.bmp", 1)
    ran = run("sample", "in", "-n", "1", "-o", "out")
    assert (ran.code, engine.calls) == (2, [])
    assert ran.err.startswith(
        "structkit: error: 5 outputs would be written by several inputs each: in/0.bmp, in/0.jpg and in/0.png to "
        "out/0.png; in/1.jpg and in/1.png to out/1.png; in/2.jpg and in/2.png to out/2.png; and 2 more: rename these, "
        "or say --keep-suffix"
    )
    ran = run("sample", "in", "-n", "1", "-o", "out", "--keep-suffix")
    assert ran.paths[:3] == ["out/0.bmp.png", "out/0.jpg.png", "out/0.png.png"] and len(ran.paths) == 11


def test_a_suffix_is_kept_wherever_a_name_is_made_of_the_inputs(run, pair, tmp_path):
    kept = ("--keep-suffix",)
    paint(tmp_path / "in/deep/a.jpg", 1), paint(tmp_path / "to/deep/a.bmp", 1)
    assert run("sample", "house.png", "-n", "2", *kept).paths == ["house.png-sample-1.png", "house.png-sample-2.png"]
    assert run("retarget", "in", "--size", "16x16", "-o", "o1", *kept).paths == ["o1/deep/a.jpg.png"]
    assert run("analogy", *pair, *kept).paths == ["house.png-cake.png.png"]
    assert run("analogy", "in", "cake.png", "-o", "o2", "--format", "jpeg", *kept).paths == ["o2/deep/a.jpg.jpg"]
    assert run("analogy", "cake.png", "to", "-o", "o3", *kept).paths == ["o3/deep/a.bmp.png"]
    ran = run("analogy", "in", "to", "-o", "o4", "--compare", "o5", *kept)
    assert ran.paths == ["o4/deep/a.jpg.png", "o5/deep/a.jpg.png"]


@pytest.mark.parametrize("output", ["o.png", "-"])
def test_a_suffix_cannot_be_kept_in_a_name_that_is_given(run, engine, pair, output):
    ran = run("analogy", *pair, "-o", output, "--keep-suffix")
    fact = f"--keep-suffix means nothing with --output {output}, which is the whole name: leave one of them out"
    assert (ran.code, engine.calls) == (2, []) and ran.err.startswith(f"structkit: error: {fact}")


def test_an_output_that_others_need_as_a_folder(run, engine, tmp_path):
    paint(tmp_path / "in/a.jpg", 1), paint(tmp_path / "in/a.png/b.jpg", 2)
    ran = run("sample", "in", "-n", "1", "-o", "out")
    assert (ran.code, engine.calls) == (2, [])
    assert "which others need as a folder" in ran.err


def test_the_same_file_twice_is_one_input(run, pair):
    assert run("sample", "house.png", "house.png", "-n", "1", "-o", "out").paths == ["out/house.png"]


def test_exists_error_is_the_default_for_one(run, engine, pair, tmp_path):
    (tmp_path / "o.png").write_bytes(b"mine")
    ran = run("analogy", *pair, "-o", "o.png")
    assert (ran.code, engine.calls, (tmp_path / "o.png").read_bytes()) == (2, [], b"mine")
    said = "o.png exists: choose another name, or say --exists overwrite (see: structkit analogy --help)"
    assert ran.err == f"structkit: error: {said}\n"
    assert run("analogy", *pair, "-o", "o.png", "--exists", "overwrite").code == 0
    assert read_picture(tmp_path / "o.png").width == 8


def test_a_file_that_appears_during_the_work_is_not_overwritten(run, engine, pair, tmp_path):
    engine.then = lambda call: (tmp_path / "o.png").write_bytes(b"mine")
    ran = run("analogy", *pair, "-o", "o.png")
    assert (ran.code, (tmp_path / "o.png").read_bytes()) == (1, b"mine")


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_in_place_is_said_aloud_and_links_are_seen_through(run, engine, pair, tmp_path, link):
    link("house.png", "alias.png")
    before = (tmp_path / "house.png").read_bytes()
    for exists in ([], ["--exists", "skip"], ["--exists", "error"]):
        ran = run("analogy", *pair, "-o", "alias.png", *exists)
        assert (ran.code, engine.calls, (tmp_path / "house.png").read_bytes()) == (2, [], before)
        assert "alias.png is an input too: write elsewhere with --output, or say --exists overwrite" in ran.err
    assert run("analogy", *pair, "-o", "house.png", "--exists", "overwrite").code == 0
    assert (tmp_path / "house.png").read_bytes() != before


def test_an_output_is_never_the_input_of_another(run, engine, pair, tmp_path):
    paint(tmp_path / "in/a.png", 1), paint(tmp_path / "in/b.png", 2)
    ran = run("analogy", "in", "in/b.png", "-o", "in", "--exists", "overwrite")
    assert (ran.code, engine.calls) == (2, [])
    assert "in/b.png is an output of one input and an input of another" in ran.err


def test_stdin_and_stdout(run, engine, pair, tmp_path, monkeypatch):
    run("analogy", *pair, "-o", "file.png")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((tmp_path / "house.png").read_bytes())))
    ran = run("analogy", "-", "cake.png", "-o", "-")
    assert (ran.code, ran.out) == (0, (tmp_path / "file.png").read_bytes())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((tmp_path / "house.png").read_bytes())))
    ran = run("analogy", "-", "cake.png", "--both")  # read once, used twice
    assert (ran.code, ran.paths) == (0, ["stdin-cake.png", "stdin-cake-swapped.png"])


def test_a_damaged_picture_on_stdin(run, engine, pair, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    ran = run("analogy", "-", "cake.png")
    assert (ran.code, engine.calls) == (1, [])
    assert ran.err.startswith("structkit: error: standard input: an empty file")


def test_terminals_are_neither_read_as_pictures_nor_fed_with_them(run, pair, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert "that is the terminal: send it a file or a pipe" in run("analogy", "-", "cake.png").err
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert "the result's bytes to the terminal" in run("analogy", *pair, "-o", "-").err


def test_a_named_pipe_is_read_once(run, pair, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    if os.fork() == 0:
        (tmp_path / "pipe").write_bytes((tmp_path / "house.png").read_bytes())
        os._exit(0)
    assert run("analogy", "pipe", "cake.png", "-o", "out/", "--exists", "skip").code == 0
    os.wait()


def test_max_pixels(run, engine, pair):
    ran = run("analogy", *pair, "--max-pixels", "60")
    assert (ran.code, engine.calls) == (1, [])
    assert "house.png: 8 x 8 pixels" in ran.err


def test_a_damaged_picture_is_refused_or_taken_with_a_warning(run, engine, pair, tmp_path):
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2] + b"\xff\xd9")
    ran = run("analogy", "cut.jpg", pair[1], "-o", "out.png")
    assert (ran.code, engine.calls) == (1, []) and "take what is left of it with --tolerant" in ran.err
    ran = run("analogy", "cut.jpg", pair[1], "-o", "out.png", "--tolerant", "--json")
    assert ran.code == 0
    assert json.loads(ran.out.splitlines()[0])["warnings"] == [
        "cut.jpg: damaged JPEG: its coded data end before the picture does"
    ]


def test_options_reach_the_engine(run, engine, pair):
    run(
        "analogy",
        *pair,
        "--size",
        "24x16",
        "--strength",
        "0.7",
        "--mode",
        "style",
        "--seed",
        "3",
        "--device",
        "cpu",
    )
    call = engine.calls[0]
    wanted = {
        "size": (24, 16),
        "strength": 0.7,
        "mode": "style",
        "seed": 3,
        "device": "cpu",
        "count": 1,
    }
    assert {name: call[name] for name in wanted} == wanted
    assert type(call["mode"]) is str


def test_the_same_command_gives_the_same_bytes(run, pair, tmp_path):
    run("analogy", *pair, "-o", "1.png")
    run("analogy", *pair, "-o", "2.png")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()
