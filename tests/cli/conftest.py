"""A stand-in for the engine: the laws of the command line do not depend on what the pictures look like."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from structkit_cli.__main__ import main

import structkit
from structkit.errors import DeviceError
from structkit.media.pictures import Picture, read_picture, write_picture


def paint(path: Path, seed: int, side: int = 8) -> Path:
    """A small random picture on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    write_picture(Picture(pixels), path)
    return path


class FakeEngine:
    """Answers like the Python interface; remembers its calls, and does what a test asks for on a call (`then`)."""

    def __init__(self) -> None:
        self.calls: list[dict] = []
        self.then = lambda call: None

    def _blend(self, pictures: list[Picture], call: dict) -> Picture:
        self.calls.append(call)
        self.then(call)
        call.get("progress", lambda fraction, note: None)(0.5, "level 1")
        first, last = pictures[0].pixels.astype(int), pictures[-1].pixels.astype(int)
        mix = 2 * first + np.resize(last, first.shape) + call["seed"] + round(10 * call.get("strength", 0))
        return Picture((mix % 256).astype(np.uint8), notes=("made up",) if call["seed"] == 99 else ())

    def analogy(self, source, target, **call):
        return [self._blend([source, target], {**call, "seed": call["seed"] + i}) for i in range(call["samples"])]

    def sample(self, picture, **call):
        return [self._blend([picture], {**call, "seed": call["seed"] + i}) for i in range(call["count"])]

    def retarget(self, picture, size, **call):
        return self._blend([picture], {**call, "size": size})

    def refine(self, picture, patches_of, **call):
        return self._blend([picture, patches_of], call)


def resolve(name: str) -> str:
    if name not in ("auto", "cpu"):
        raise DeviceError(f"--device {name}: there is none here: use --device cpu")
    return "cpu"


@pytest.fixture
def engine(monkeypatch) -> FakeEngine:
    fake = FakeEngine()
    for name in ("analogy", "sample", "retarget", "refine"):
        monkeypatch.setattr(structkit, name, getattr(fake, name), raising=False)
    monkeypatch.setitem(sys.modules, "structkit.device", types.SimpleNamespace(resolve=resolve))
    return fake


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


__all__ = ["Ran", "paint", "read_picture"]
