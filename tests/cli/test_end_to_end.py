"""The real engine behind the command, in processes of their own, on small pictures."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from structkit.media.pictures import Picture, read_picture, write_picture

STRUCTKIT = f"{shlex.quote(sys.executable)} -m structkit_cli"
QUICK = "--iterations 1"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """A folder with stripes.png, rings.png and dots.png, 64 px wide and 48 high."""
    folder = tmp_path_factory.mktemp("pictures")
    y, x = np.mgrid[:48, :64]
    rings = np.hypot(y - 24, x - 32)
    for name, wave in {"stripes": x / 4 + y / 9, "rings": rings / 3, "dots": np.sin(x / 3) * np.sin(y / 3) * 3}.items():
        colours = np.stack([np.sin(wave), np.sin(wave + 1), np.cos(wave)], axis=-1)
        write_picture(Picture((127.5 + 127 * colours).astype(np.uint8)), folder / f"{name}.png")
    return folder


def shell(folder: Path, command: str) -> subprocess.CompletedProcess:
    script = f'set -o pipefail; structkit() {{ {STRUCTKIT} "$@"; }}; {command}'
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True)


def test_one_picture_in_one_picture_out_and_the_same_bytes_again(pictures):
    ran = shell(pictures, f"structkit analogy stripes.png rings.png {QUICK} -o one.png")
    assert (ran.returncode, ran.stdout) == (0, b"one.png\n"), ran.stderr
    assert (read_picture(pictures / "one.png").width, read_picture(pictures / "one.png").height) == (64, 48)
    assert shell(pictures, f"structkit analogy - rings.png {QUICK} -o two.png < stripes.png").returncode == 0
    assert (pictures / "one.png").read_bytes() == (pictures / "two.png").read_bytes()


def test_two_commands_in_a_pipe(pictures):
    pipe = f"cat stripes.png | structkit analogy - rings.png {QUICK} -o - | structkit analogy - dots.png {QUICK} -o out.png"
    ran = shell(pictures, pipe)
    assert (ran.returncode, ran.stdout) == (0, b"out.png\n"), ran.stderr
    steps = f"structkit analogy stripes.png rings.png {QUICK} -o a.png && structkit analogy a.png dots.png {QUICK} -o b.png"
    assert shell(pictures, steps).returncode == 0
    assert (pictures / "b.png").read_bytes() == (pictures / "out.png").read_bytes()


def test_the_other_verbs(pictures):
    ran = shell(pictures, f"structkit sample dots.png -n 2 --size 40x32 {QUICK} -o s/")
    assert ran.stdout.split() == [b"s/dots-sample-1.png", b"s/dots-sample-2.png"], ran.stderr
    ran = shell(pictures, f"structkit retarget rings.png --size 80x48 {QUICK} -o r.png")
    assert ran.stdout == b"r.png\n", ran.stderr
    sizes = [(p.width, p.height) for p in map(read_picture, (pictures / "s/dots-sample-1.png", pictures / "r.png"))]
    assert sizes == [(40, 32), (80, 48)]
    ran = shell(pictures, f"structkit refine stripes.png --patches-of dots.png {QUICK} -o f.png")
    assert ran.stdout == b"f.png\n", ran.stderr


def test_a_device_that_is_not_there_is_refused_in_one_line(pictures):
    ran = shell(pictures, "structkit analogy stripes.png rings.png --device cuda:99 -o never.png")
    assert (ran.returncode, ran.stdout, ran.stderr.count(b"\n")) == (3, b"", 1)
    assert ran.stderr.startswith(b"structkit: error: ") and not (pictures / "never.png").exists()
