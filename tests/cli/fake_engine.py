"""A stand-in for the engine: the laws of the command line do not depend on what the pictures look like.

As a script it is the command with a slow engine, to be killed and interrupted: python fake_engine.py SECONDS PICTURES
analogy ... Each picture takes SECONDS; after so many PICTURES it waits until there is a file `go` in the current
folder.
"""

from __future__ import annotations

import itertools
import sys
import time
import types
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

import structkit
from structkit.configs import AnalogyConfig
from structkit.engines.patch.draft_ways import drafts_of
from structkit.errors import DeviceError
from structkit.media.pictures import Picture
from structkit.verbs.drafts import draft_metadata, draft_of


class FakeEngine:
    """Answers like the Python interface; remembers its calls, and does what a test asks for on a call (`then`)."""

    def __init__(self) -> None:
        self.calls: list[dict] = []
        self.then = lambda call: None

    def install(self, setattr: Callable, setitem: Callable) -> None:
        """Take the place of the Python interface."""
        for name in ("analogy", "analogy_drafts", "sample", "retarget", "refine", "genvideo"):
            setattr(structkit, name, getattr(self, name), raising=False)
        setitem(
            sys.modules,
            "structkit.device",
            types.SimpleNamespace(resolve=resolve, keep_memory=nothing, load_torch=nothing),
        )

    def _blend(self, pictures: list[Picture], call: dict) -> Picture:
        self.calls.append(call)
        call["progress"](0.5, "level 1")
        self.then(call)
        first, last = pictures[0].pixels.astype(int), pictures[-1].pixels.astype(int)
        mix = 2 * first + np.resize(last, first.shape) + call["seed"] + round(10 * call.get("strength", 0))
        notes = [f"{picture.name}: {note}" for picture in pictures for note in picture.notes]
        return Picture((mix % 256).astype(np.uint8), notes=("made up",) if call["seed"] == 99 else tuple(notes))

    def analogy(self, source, target, **call):
        if "like" in call:
            draft_of(call["like"], config_of(call))
        return [self._blend([source, target], {**call, "seed": call["seed"] + i}) for i in range(call["count"])]

    def analogy_drafts(self, source, target, **call):
        first, made = self._blend([source, target], call), []
        for rank, draft in enumerate(drafts_of(config_of(call), (8, 8))):
            scores = dict.fromkeys(("layout", "edges", "parts", "incoherence", "incompleteness"), 0.5)
            facts = {"name": draft.name, "scores": scores | {"total": 1 - rank / 10}}
            pixels, metadata = first.pixels + np.uint8(rank), draft_metadata(draft.name)
            made.append(replace(first, pixels=pixels, metadata=metadata, draft=facts))
        return made

    def sample(self, picture, **call):
        return [self._blend([picture], {**call, "seed": call["seed"] + i}) for i in range(call["count"])]

    def retarget(self, picture, size, **call):
        return self._blend([picture], {**call, "size": size})

    def refine(self, picture, patches_of, **call):
        return self._blend([picture, patches_of], call)

    def genvideo(self, clip, **call):
        self.calls.append({**call, "clip": clip})
        call["progress"](0.5, "level 1")
        self.then(call)
        frames = np.roll(clip.frames, call["seed"], 2)
        if extra := call.get("extend", 0):
            frames = np.concatenate([frames, frames[-1:].repeat(extra, 0)])
        notes = [f"{clip.name}: {note}" for note in clip.notes]
        return [replace(clip, frames=frames, notes=("made up",) if call["seed"] == 99 else tuple(notes))]


def config_of(call: dict) -> AnalogyConfig:
    """The configuration of a call of analogy."""
    return AnalogyConfig(**{field.name: call[field.name] for field in fields(AnalogyConfig)})


def nothing() -> None:
    pass


def resolve(name: str) -> str:
    if name not in ("auto", "cpu"):
        raise DeviceError(f"--device {name}: there is none here: use --device cpu")
    return "cpu"


if __name__ == "__main__":
    from structkit_cli.__main__ import main

    SECONDS, PICTURES = float(sys.argv[1]), int(sys.argv[2])
    del sys.argv[1:3]

    def paints(call: dict) -> None:
        time.sleep(SECONDS)
        while next(begun) >= PICTURES and not Path("go").exists():
            time.sleep(0.01)

    engine, begun = FakeEngine(), itertools.count()
    engine.then = paints
    engine.install(lambda owner, name, value, raising: setattr(owner, name, value), dict.__setitem__)
    sys.exit(main())
