"""Commands run in process, in an empty folder, on a stand-in for the engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from structkit.media.pictures import Picture, write_picture
from structkit_cli.__main__ import main

from .fake_engine import FakeEngine


def paint(path: Path, seed: int, side: int = 8) -> Path:
    """A small random picture on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    write_picture(Picture(pixels), path)
    return path


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
