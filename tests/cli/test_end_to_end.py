"""The real engine behind the command, on small pictures."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import structkit
from structkit.media.pictures import Picture, read_picture, write_picture

from .test_resume import contents

QUICK = ("--rounds", "1", "--patch", "5")
SMALL = ("--max-side", "32")
ONE_THREAD = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
}  # on small pictures more threads wait for each other, above all on a busy machine


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


@pytest.fixture
def pictures(run, tmp_path) -> Path:
    """The current folder, with stripes.png, rings.png and dots.png, 64 px wide and 48 high."""
    y, x = np.mgrid[:48, :64]
    rings = np.hypot(y - 24, x - 32)
    for name, wave in {"stripes": x / 4 + y / 9, "rings": rings / 3, "dots": np.sin(x / 3) * np.sin(y / 3) * 3}.items():
        colours = np.stack([np.sin(wave), np.sin(wave + 1), np.cos(wave)], axis=-1)
        write_picture(Picture((127.5 + 127 * colours).astype(np.uint8)), tmp_path / f"{name}.png")
    return tmp_path


def shape(path: Path) -> tuple[int, int]:
    picture = read_picture(path)
    return picture.width, picture.height


def same(one: Picture, other: Picture) -> bool:
    return np.array_equal(one.pixels, other.pixels)


def test_two_commands_in_a_pipe_give_what_two_steps_give(run, pictures):
    python, options = shlex.quote(sys.executable), shlex.join(QUICK + SMALL)
    pipe = (
        f"cat stripes.png | structkit analogy - rings.png {options} -o - | structkit analogy - dots.png {options} "
        "-o out.png"
    )
    script = f'set -o pipefail; structkit() {{ {python} -m structkit_cli "$@"; }}; {pipe}'
    ran = subprocess.run(["bash", "-c", script], cwd=pictures, env=ONE_THREAD, capture_output=True)
    assert (ran.returncode, ran.stdout) == (0, b"out.png\n"), ran.stderr
    assert run("analogy", "stripes.png", "rings.png", *QUICK, *SMALL, "-o", "a.png").paths == ["a.png"]
    assert run("analogy", "a.png", "dots.png", *QUICK, *SMALL, "-o", "b.png").code == 0
    assert (pictures / "b.png").read_bytes() == (pictures / "out.png").read_bytes()
    assert shape(pictures / "out.png") == (32, 24)


def test_n_samples_are_those_of_n_commands_and_of_the_python_interface(run, pictures):
    command = ("analogy", "stripes.png", "rings.png", *QUICK, *SMALL)
    assert run(*command, "--count", "2", "--seed", "7", "-o", "s.png").paths == ["s-1.png", "s-2.png"]
    assert run(*command, "--seed", "8", "-o", "one.png").code == 0
    assert (pictures / "s-2.png").read_bytes() == (pictures / "one.png").read_bytes()
    drawn = structkit.analogy("stripes.png", "rings.png", count=2, seed=7, rounds=1, patch=5, max_side=32, device="cpu")
    assert [same(result, read_picture(pictures / f"s-{i}.png")) for i, result in enumerate(drawn, 1)] == [True, True]
    assert not same(*drawn)


def test_what_the_engine_has_to_say_is_in_the_records(run, pictures):
    write_picture(Picture(read_picture("dots.png").pixels[:16, :16]), "tiny.png")
    ran = run("analogy", "stripes.png", "tiny.png", *QUICK, *SMALL, "-o", "o.png", "--json")
    record, _ = map(json.loads, ran.out.splitlines())
    assert record["warnings"] == ["tiny.png: enlarged 1.5 times, the result cannot be sharper"]
    assert "structkit: warning: o.png: tiny.png: enlarged 1.5 times" in ran.err


def test_sample(run, pictures):
    ran = run("sample", "dots.png", "-n", "2", "--size", "40x32", *QUICK, "-o", "s/")
    assert ran.paths == ["s/dots-sample-1.png", "s/dots-sample-2.png"], ran.err
    first, second = map(read_picture, ran.paths)
    assert shape(pictures / ran.paths[0]) == (40, 32) and not same(first, second)
    assert same(second, structkit.sample("dots.png", size=(40, 32), seed=1, rounds=1, patch=5, device="cpu")[0])


def test_retarget(run, pictures):
    ran = run("retarget", "rings.png", "--size", "80x48", *QUICK, "-o", "r.png")
    assert (ran.code, ran.paths) == (0, ["r.png"]), ran.err
    assert shape(pictures / "r.png") == (80, 48)


def test_refine(run, pictures):
    ran = run("refine", "stripes.png", "--patches-of", "dots.png", *QUICK, *SMALL, "-o", "f.png")
    assert (ran.code, ran.paths) == (0, ["f.png"]), ran.err
    assert shape(pictures / "f.png") == (32, 24)


def test_a_device_that_is_not_there_is_refused_in_one_line(run, pictures):
    ran = run("analogy", "stripes.png", "rings.png", "--device", "cuda:99", "-o", "never.png")
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, b"", 1)
    assert ran.err.startswith("structkit: error: --device cuda:99: there is no such device here: choose cpu")
    assert not (pictures / "never.png").exists()


def test_a_size_that_the_engine_refuses_is_a_usage_error(run, pictures):
    ran = run("retarget", "rings.png", "--size", "8x48", "-o", "never.png")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, b"", 1)
    assert "--size is 8x48: each side must be 16 to 8192 px" in ran.err


@pytest.mark.slow
def test_a_batch_that_is_killed_and_started_again_ends_in_the_same_files(run, pictures):
    picture = read_picture("stripes.png")
    (pictures / "in").mkdir()
    for i in range(8):
        write_picture(Picture(np.roll(picture.pixels, 3 * i, axis=1)), pictures / f"in/{i}.png")
    arguments = ("analogy", "in", "rings.png", *QUICK, *SMALL)
    command = [sys.executable, "-m", "structkit_cli", *arguments, "-o", "killed"]
    for outputs in (1, 2):  # of this run, before it dies
        child = subprocess.Popen(
            command, cwd=pictures, env=ONE_THREAD, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for _ in range(outputs):
            assert child.stdout.readline().endswith(b".png\n")
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
    assert 3 <= sum(name.endswith(".png") for name in contents(pictures / "killed")) < 8
    assert run(*arguments, "-o", "killed").code == 0
    assert len(run(*arguments, "-o", "calm").paths) == 8
    assert contents(pictures / "killed") == contents(pictures / "calm")
