"""Commands run in process, in an empty folder, on a stand-in for the engine."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from structkit.media.moving_pictures import Clip
from structkit.media.pictures import Picture, write_picture
from structkit_cli.__main__ import main

from .fake_engine import FakeEngine


def paint(path: Path, seed: int, side: int = 8) -> Path:
    """A small random picture on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    write_picture(Picture(pixels), path)
    return path


def small_clip(frames: int = 5, height: int = 16, width: int = 24, seed: int = 0) -> Clip:
    """A square on its way over a slope with some texture, ten frames a second."""
    y, x = np.mgrid[:height, :width]
    grain = np.random.default_rng(seed).integers(0, 30, (height, width))
    ground = np.stack([6 * x + grain, 8 * y + grain, 90 + grain], -1).clip(0, 255).astype(np.uint8)
    made = np.stack([ground] * frames)
    for i in range(frames):
        left = 2 + i * (width - 10) // frames
        made[i, 4 : 4 + height // 3, left : left + 7] = (250, 60, 30)
    return Clip(made, Fraction(10), "small")


@pytest.fixture
def engine(monkeypatch) -> FakeEngine:
    fake = FakeEngine()
    fake.install(monkeypatch.setattr, monkeypatch.setitem)
    return fake


@pytest.fixture
def real_engine(one_thread):
    """For an `engine` that is none.  One thread: a process that has computed with more cannot be forked."""


@dataclass
class Ran:
    code: int
    out: bytes
    err: str

    @property
    def paths(self) -> list[str]:
        return self.out.decode().splitlines()


@pytest.fixture
def run(engine, tmp_path, monkeypatch, capfdbinary):
    """Run a command in process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ran:
        capfdbinary.readouterr()
        code = main([str(a) for a in arguments])
        out, err = capfdbinary.readouterr()
        return Ran(code, out, err.decode())

    return run


@pytest.fixture
def pair(run, tmp_path) -> tuple[str, str]:
    """Two pictures in the current folder."""
    return paint(tmp_path / "house.png", 1).name, paint(tmp_path / "cake.png", 2).name
