"""A toy training that is watched, and what it leaves."""

from __future__ import annotations

import pytest

from structkit.training.loop import train

from .toy import RUN, STEPS, ToyTraining

OUT, STATE, LOG, PREVIEW, LOCK = (
    "m.safetensors",
    "m.resume.safetensors",
    "m.log.jsonl",
    "m.preview.png",
    ".structkit-m.lock",
)
TOTAL = sum(STEPS)


class Stop(Exception):
    """Stands for a death."""


class Watched(ToyTraining):
    """It calls `then` after the updates whose numbers are given, counted over the stages."""

    def __init__(self, at=(), then=lambda: None, **options):
        super().__init__(**options)
        self.at, self.then, self.updates = at, then, 0

    def step(self, draw):
        losses = super().step(draw)
        self.updates += 1
        if draw.stage * STEPS[0] + draw.step in self.at:
            self.then()
        return losses


def run(folder, training=None, **options):
    return train(training or ToyTraining(), folder / OUT, **{"seed": 5, "run": RUN, "save_every": 0, **options})


def left(folder):
    """What is in a folder, byte for byte."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def raiser(error):
    def fail(*_, **__):
        raise error

    return fail


@pytest.fixture(scope="module", autouse=True)
def toys_have_one_thread(one_thread):
    """As in the programs of `toy`, with whose bytes theirs are compared."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder)
    return left(folder)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A toy and its log, trained by one process with the whole batch."""
    folder = tmp_path_factory.mktemp("alone")
    model = train(ToyTraining(dropout=0), folder / "m.safetensors", seed=5, run=RUN)
    return model, (folder / "m.log.jsonl").read_text().splitlines()
