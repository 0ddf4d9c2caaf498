"""`structkit analogy` with a video for SOURCE: the real engine on tiny ones, and the contract of the command line."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import types
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from structkit.errors import InputError, OutputError
from structkit.media.pictures import Picture, write_picture
from structkit.media.video import Frame, VideoReader
from structkit.media.video_writer import VideoWriter

from .conftest import Ran, paint
from .test_end_to_end import ONE_THREAD
from .test_json import SCHEMA, faults

QUICK = ("--rounds", "1", "--patch", "5", "--coarsest", "16")


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


def film(path: Path, steps: int = 3, shift: int = 0) -> Path:
    """A dark square on its way across a ramp, 24 x 20 px, at uneven times."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, width=24, height=20) as writer:
        for step in range(steps):
            pixels = np.broadcast_to(np.arange(100, 220, 5, dtype=np.uint8)[None, :, None], (20, 24, 3)).copy()
            pixels[6:14, 3 + 2 * step + shift : 11 + 2 * step + shift] = (30, 40, 90)
            writer.write(Frame(pixels, Fraction(step * step, 20)))
    return path


def times(source) -> list[Fraction]:
    with VideoReader(source) as reader:
        return [frame.time for frame in reader]


def files(folder: Path) -> list[str]:
    return sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")
    )


@pytest.fixture
def pair(run, tmp_path) -> tuple[str, str]:
    """moving.mp4 and cake.png, a smooth picture that encoding does little to, in the current folder."""
    y, x = np.mgrid[:24, :24]
    cake = np.stack([120 + 60 * np.sin(x / 4), 120 + 50 * np.sin(x / 5 + y / 7), 130 + 40 * np.cos(y / 4)], -1)
    write_picture(Picture(cake.astype(np.uint8)), tmp_path / "cake.png")
    return film(tmp_path / "moving.mp4").name, "cake.png"


@pytest.fixture
def go(run, pair):
    def go(*arguments: str, source: str = "moving.mp4") -> Ran:
        return run("analogy", source, "cake.png", *QUICK, *arguments)

    return go


def test_a_video_gives_a_video_with_the_same_times_of_frames(go, tmp_path):
    ran = go()
    assert (ran.code, ran.paths) == (0, ["moving-cake.mp4"]), ran.err
    assert times(tmp_path / "moving-cake.mp4") == [0, Fraction(1, 20), Fraction(1, 5)]
    assert files(tmp_path) == ["cake.png", "moving-cake.mp4", "moving.mp4"]


@pytest.mark.parametrize(("name", "head"), [("o.mkv", b"\x1aE\xdf\xa3"), ("o.webm", b"\x1aE\xdf\xa3"), ("new/", None)])
def test_output_names_the_container_or_a_folder(go, tmp_path, name, head):
    ran = go("-o", name)
    assert ran.paths == [name if head else "new/moving-cake.mp4"], ran.err
    assert head is None or (tmp_path / name).read_bytes().startswith(head)


def test_the_record_tells_frames_and_flicker(go, tmp_path):
    ran = go("--json", "-o", "o.mp4", "--seed", "7")
    one, summary = found = [json.loads(line) for line in ran.out.splitlines()]
    assert [faults(record, SCHEMA) for record in found] == [[], []]
    assert (one["status"], one["frames"], one["seed"], one["output"]) == ("written", 3, 7, "o.mp4")
    assert 0 < one["flicker"] < 10 and summary["written"] == 1
    assert one["sha256"] == hashlib.sha256((tmp_path / "o.mp4").read_bytes()).hexdigest()


def test_it_is_a_filter_too(go, tmp_path):
    """A video is known by its first bytes, and an MP4 comes out: in a process, since stdin is read as bytes."""
    assert go("-o", "o.mp4").code == 0
    command = [sys.executable, "-m", "structkit_cli", "analogy", "-", "cake.png", *QUICK, "-o", "-"]
    ran = subprocess.run(
        command, cwd=tmp_path, env=ONE_THREAD, input=(tmp_path / "moving.mp4").read_bytes(), capture_output=True
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == (tmp_path / "o.mp4").read_bytes()


def test_standard_input_that_is_a_picture_still_gives_a_picture(go, monkeypatch, tmp_path):
    monkeypatch.setattr(
        sys,
        "stdin",
        types.SimpleNamespace(isatty=lambda: False, buffer=io.BytesIO((tmp_path / "cake.png").read_bytes())),
    )
    assert go(source="-").paths == ["stdin-cake.png"]


def test_a_folder_may_hold_videos_and_pictures_and_goes_on_where_it_stopped(go, tmp_path):
    film(tmp_path / "in/deep/a.mkv"), film(tmp_path / "in/b.mp4", 2, 3), paint(tmp_path / "in/c.png", 5, 20)
    (tmp_path / "in/notes.txt").touch()
    ran = go("-o", "out", source="in")
    assert ran.paths == ["out/b.mp4", "out/c.png", "out/deep/a.mp4"], ran.err
    assert "1 other file passed over" in ran.err
    (tmp_path / "out/b.mp4").rename(tmp_path / "first.mp4")
    again = go("-o", "out", source="in")
    assert (again.code, again.paths) == (0, ["out/b.mp4"]) and "2 skipped" in again.err
    assert (tmp_path / "out/b.mp4").read_bytes() == (tmp_path / "first.mp4").read_bytes()
    again = go("-o", "out", "--seed", "5", "--exists", "overwrite", source="in")
    assert again.paths == ["out/b.mp4", "out/c.png", "out/deep/a.mp4"]


def test_a_suffix_is_not_enough_in_a_folder(go, tmp_path):
    film(tmp_path / "in/a.mp4", 1)
    others = {"code.ts": b"let a = 1\n", "module.mts": b"", "song.ogg": b"OggS", "photo.mov": b"\0\0\0\x18ftypheic"}
    for name, data in others.items():
        (tmp_path / "in" / name).write_bytes(data)
    ran = go("-o", "out", source="in")
    assert (ran.code, ran.paths) == (0, ["out/a.mp4"]) and "4 other files passed over" in ran.err
    assert go("-o", "there", source="in/*").paths == ["there/a.mp4"]
    ran = go("-o", "o.mp4", source="in/code.ts")
    assert ran.code == 1 and "in/code.ts: not a video of a known container" in ran.err


def test_what_exists_is_not_lost(go, tmp_path):
    (tmp_path / "o.mp4").write_bytes(b"mine")
    ran = go("-o", "o.mp4")
    assert (ran.code, (tmp_path / "o.mp4").read_bytes()) == (
        2,
        b"mine",
    ) and "o.mp4 exists: choose another name" in ran.err
    assert go("-o", "o.mp4", "--exists", "overwrite").code == 0
    assert len(times(tmp_path / "o.mp4")) == 3
    assert go("-o", "moving.mp4", "--exists", "overwrite").code == 0  # in place, said aloud


def test_a_link_to_another_disk_is_followed(go, tmp_path, monkeypatch):
    replace = os.replace

    def on_one_disk(source, target):
        if Path(source).parent.resolve() != Path(target).parent.resolve():
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        replace(source, target)

    monkeypatch.setattr(os, "replace", on_one_disk)
    film(tmp_path / "disk/real.mp4", 1)
    (tmp_path / "o.mp4").symlink_to(tmp_path / "disk/real.mp4")
    assert go("-o", "o.mp4", "--exists", "overwrite").paths == ["o.mp4"]
    assert (tmp_path / "o.mp4").is_symlink() and len(times(tmp_path / "disk/real.mp4")) == 3
    assert [p.name for p in (tmp_path / "disk").iterdir()] == ["real.mp4"]


@pytest.mark.parametrize(("kind", "code"), [(InputError, 1), (OutputError, 3)])
def test_messages_name_the_output_and_not_the_hidden_file(go, tmp_path, monkeypatch, kind, code):
    def fails(self) -> None:
        raise kind(f"{self.name}: the end")

    monkeypatch.setattr(VideoWriter, "_finish", fails)
    ran = go("-o", "o.mp4")
    assert ran.code == code and "structkit: error: o.mp4: the end\n" in ran.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cake.png", "moving.mp4"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_of_a_film_leaves_nothing_of_it(go, tmp_path, monkeypatch, number, code):
    film(tmp_path / "in/a.mp4"), film(tmp_path / "in/b.mp4", 5, 3), film(tmp_path / "in/c.mp4")
    write, written = VideoWriter.write, []

    def interrupted(self, frame: Frame) -> None:
        write(self, frame)
        written.append(frame)
        if len(written) == 3 + 2:  # the second film's second
            signal.raise_signal(number)

    monkeypatch.setattr(VideoWriter, "write", interrupted)
    ran = go("-o", "out", "--quiet", source="in")
    assert (ran.code, ran.paths, ran.err.count("\n")) == (
        code,
        ["out/a.mp4"],
        1,
    ) and "structkit: interrupted: 1 written" in ran.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [".structkit-manifest.jsonl", "a.mp4"]
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert go("-o", "out", source="in").paths == ["out/b.mp4", "out/c.mp4"]


def test_a_damaged_video_fails_alone_and_leaves_nothing(go, tmp_path):
    whole = film(tmp_path / "in/a.mkv", 12).read_bytes()
    (tmp_path / "in/b.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    ran = go("-o", "out", source="in")
    assert (ran.code, ran.paths) == (1, ["out/a.mp4"])
    assert "structkit: error: in/b.mkv: " in ran.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [".structkit-manifest.jsonl", "a.mp4"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--count", "2"), "--count is for pictures, and moving.mp4 is a video: leave one of them out"),
        (("--both",), "--both is for pictures, and moving.mp4 is a video"),
        (("--compare", "s.png"), "--compare is for pictures, and moving.mp4 is a video"),
        (
            ("--format", "png"),
            "--format is for pictures, and moving.mp4 is a video: name the output, such as --output NAME.mkv",
        ),
        (("-o", "o.png"), "--output o.png is to be a video: end the name in one of .mp4 .m4v .mov .mkv .webm"),
        (("-o", "o.avi"), "--output o.avi is to be a video"),
        (("-o", "-", "--json"), "--json and --output - would both write to stdout"),
        (("--size", "8x32"), "--size is 8x32: each side must be 16 to 8192 px"),
    ],
)
def test_what_makes_no_sense_for_a_video_is_refused_before_any_work(go, tmp_path, arguments, message):
    ran = go(*arguments)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, b"", 1)
    assert f"structkit: error: {message}" in ran.err
    assert files(tmp_path) == ["cake.png", "moving.mp4"]


def test_a_picture_takes_no_video_for_a_target_and_gives_none(run, pair):
    ran = run("analogy", "cake.png", "moving.mp4")
    assert (ran.code, ran.err) == (
        2,
        "structkit: error: moving.mp4 is a video, and SOURCE cake.png is a picture: give a video for SOURCE, too, or "
        "name one of its frames (see: structkit analogy --help)\n",
    )
    ran = run("analogy", "cake.png", "cake.png", "-o", "o.mp4")
    fact = "cake.png is a picture, and --output o.mp4 names a video: end the name in .png, or give a video"
    assert ran.code == 2 and ran.err.startswith(f"structkit: error: {fact}")
    frames = [Image.new("RGB", (32, 32), (40 * i, 0, 0)) for i in range(3)]
    frames[0].save("anim.gif", save_all=True, append_images=frames[1:])
    ran = run("analogy", "anim.gif", "cake.png", "-o", "o.mp4")
    assert (ran.code, ran.err) == (
        2,
        "structkit: error: anim.gif is an animation, of which only the first picture is read: convert it to a video, "
        "such as .mp4, or end --output o.mp4 in .png (see: structkit analogy --help)\n",
    )
    assert "anim.gif is an animation" in run("analogy", "anim.gif", "cake.png", "-o", "o.y4m").err
    assert "cake.png is a picture, and" in run("analogy", "cake.png", "anim.gif", "-o", "o.mp4").err
    ran = run("analogy", "moving.mp4", "missing.png", "-o", "o.mp4")
    assert ran.code == 1 and "missing.png: no such file" in ran.err


def test_the_target_may_be_a_video_too(run, pair, tmp_path):
    film(tmp_path / "other.mp4", steps=4, shift=2)
    ran = run("analogy", "moving.mp4", "other.mp4", *QUICK, "--json")
    record = json.loads(ran.out.splitlines()[0])
    assert (ran.code, record["output"], record["frames"]) == (0, "moving-other.mp4", 3), ran.err
    assert times(tmp_path / "moving-other.mp4") == times(tmp_path / "moving.mp4")
    assert not faults(record, SCHEMA)


def test_videos_of_two_folders_make_pairs(run, pair, tmp_path):
    for folder in ("calm", "wild"):
        film(tmp_path / folder / "one.mp4", steps=2)
    write_picture(Picture(np.full((24, 24, 3), 90, np.uint8)), tmp_path / "wild" / "two.png")
    film(tmp_path / "calm" / "two.mp4", steps=2)
    ran = run("analogy", "calm/", "wild/", *QUICK, "-o", "out/")
    assert (ran.code, sorted(Path(path).name for path in ran.paths)) == (0, ["one.mp4", "two.mp4"]), ran.err
    assert "2 skipped" in run("analogy", "calm/", "wild/", *QUICK, "-o", "out/").err


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (("moving.mp4", "cake.png"), "--match motion compares how things move, and cake.png is a picture"),
        (("cake.png", "cake.png"), "--match motion compares how things move, and cake.png is a picture"),
        (("cake.png", "moving.mp4"), "moving.mp4 is a video, and SOURCE cake.png is a picture"),
        (("moving.mp4", "moving.mp4", "--mode", "paint"), "--match motion is the published analogy and has no --mode"),
        (("moving.mp4", "moving.mp4", "--both"), "--both is for pictures, and moving.mp4 is a video"),
    ],
)
def test_motion_is_of_two_videos(run, pair, tmp_path, inputs, message):
    ran = run("analogy", *inputs, "--match", "motion", "-o", "o.mp4")
    assert ran.code == 2 and f"structkit: error: {message}" in ran.err
    assert files(tmp_path) == ["cake.png", "moving.mp4"]


def test_a_trained_pair_has_no_video_for_a_target(run, pair):
    ran = run("analogy", "moving.mp4", "moving.mp4", "--engine", "gan", "-o", "o.mp4")
    assert ran.code == 2 and "moving.mp4 is a video, and TARGET must be a picture: name one of its frames" in ran.err


@pytest.mark.parametrize("more", [(), ("--tolerant",), ("--max-pixels", "9")])
def test_a_picture_is_not_decoded_to_refuse_the_name_of_a_video(run, pair, tmp_path, more):
    """A damaged one is refused for the same reason, whatever is tolerated."""
    whole = (tmp_path / "cake.png").read_bytes()
    (tmp_path / "torn.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no picture")
    ran = run("analogy", "torn.png", "cake.png", "-o", "o.mp4", *more)
    assert ran.code == 2 and "torn.png is a picture, and --output o.mp4 names a video" in ran.err
    for name in ("text.png", "missing.png"):
        ran = run("analogy", name, "cake.png", "-o", "o.mp4", *more)
        assert ran.code == 2 and "error: --output o.mp4 names a video, and a picture goes there" in ran.err


def test_quality_is_that_of_the_encoding(go, tmp_path):
    assert go("-o", "low.mp4", "--quality", "5").code == go("-o", "high.mp4", "--quality", "95").code == 0
    assert (tmp_path / "low.mp4").stat().st_size < (tmp_path / "high.mp4").stat().st_size


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_video_that_was_cut_is_refused_in_words_or_taken_as_far_as_it_goes(go, tmp_path, suffix):
    whole = film(tmp_path / f"whole.{suffix}", steps=6)
    (tmp_path / f"cut.{suffix}").write_bytes(whole.read_bytes()[:-40])
    ran = go("-o", "o.mp4", source=f"cut.{suffix}")
    assert (ran.code, ran.out) == (1, b"") and "--tolerant" in ran.err and "unexpected" not in ran.err
    assert f"structkit: error: cut.{suffix}: truncated " in ran.err and not (tmp_path / "o.mp4").exists()
    ran = go("-o", "o.mp4", "--tolerant", "--json", source=f"cut.{suffix}")
    record = json.loads(ran.out.splitlines()[0])
    assert ran.code == 0 and any("truncated" in warning for warning in record["warnings"])
    came = times(tmp_path / "o.mp4")
    assert 0 < len(came) < 6 and came == times(whole)[: len(came)]


def test_damage_on_the_way_is_an_error_in_words_and_names_no_hidden_file(go, tmp_path):
    data = film(tmp_path / "whole.mkv", steps=6).read_bytes()
    with av.open(io.BytesIO(data)) as container:
        packet = bytes(list(container.demux(video=0))[3])
    (tmp_path / "hurt.mkv").write_bytes(data.replace(packet, packet[:4] + b"\x65" * (len(packet) - 4)))
    ran = go("-o", "o.mp4", source="hurt.mkv")
    assert ran.code == 1 and "structkit: error: hurt.mkv: damaged MKV/WebM after " in ran.err
    assert "unexpected" not in ran.err and ".structkit-" not in ran.err


def test_a_source_that_cannot_be_opened_is_told_by_whoever_reads_it(go, tmp_path, monkeypatch):
    opened = Path.open

    def refuse(path: Path, *how, **options):
        if path.name == "closed.png":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *how, **options)

    (tmp_path / "closed.png").write_bytes((tmp_path / "cake.png").read_bytes())
    monkeypatch.setattr(Path, "open", refuse)
    ran = go("-o", "o.mp4", source="closed.png")
    assert ran.code == 2 and "unexpected" not in ran.err
