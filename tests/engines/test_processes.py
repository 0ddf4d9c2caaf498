"""Trainings under torchrun: two processes that are stopped, and started again, end where those that were not do."""

from __future__ import annotations

import pytest

from ..training.programs import python

PROGRAM = """
import os, signal, sys
import torch
from toy import forked
from structkit.configs import ClassifierConfig, DifferenceConfig, PairConfig, TransferConfig
from structkit.data.labelled import LabelledPictures
from structkit.engines.difference.training import DifferenceTraining
from structkit.engines.padain.classifier import ClassifierTraining
from structkit.engines.pair.training import PairTraining
from structkit.engines.transfer.training import TransferTraining
from structkit.training.loop import train
from structkit.training.meeting import joined

def folder(count, side):
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)

def picture(seed):
    return torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(seed)) * 2 - 1

def labelled(count):
    labels = torch.arange(count) % 2
    pixels = folder(count, 16).permute(0, 2, 3, 1).numpy()
    names = [str(i) for i in range(count)]
    return LabelledPictures(["a", "b"], labels, names, pixels, torch.arange(count).numpy())

class Labels(ClassifierTraining):
    def __init__(self, one, other, config):
        super().__init__(one, config, held=other)

labels = dict(width=4, side=16, batch=6, epochs=2, padain=0.3, ema=0.5, keep="best", checks=3)
codes = dict(size=16, width=8, separate=4, batch=6, steps=4)
pair = dict(size=24, coarsest=14, layers=2, width=4, steps=4)
painter = dict(narrow=8, painter=4, rounds=2, painter_steps=4, placer_steps=2, painter_size=32)
content = TransferConfig(widest=16, **codes, **painter)
cases = {
    "transfer": (TransferTraining, folder(20, 32), folder(15, 32), content, (3, 3)),
    "difference": (DifferenceTraining, folder(20, 16), folder(15, 16), DifferenceConfig(widest=32, **codes), (0, 3)),
    "analogy": (PairTraining, picture(1), picture(2), PairConfig(**pair), (1, 2)),
    "classifier": (Labels, labelled(11), labelled(7), ClassifierConfig(**labels), (0, 2)),
}

def trained(output, kind, one, other, config, stop=None):
    class Interrupted(kind):
        def step(self, draw):
            if (draw.stage, draw.step, self.processes.rank) == (*(stop or (None, None)), 1):
                signal.raise_signal(signal.SIGINT)
            return super().step(draw)

    torch.set_num_threads(1)
    with joined("cpu") as (processes, _):
        train(Interrupted(one, other, config), output, seed=7, run={}, processes=processes, save_every=0)

os.chdir(sys.argv[1])
for name, (*case, stop) in cases.items():
    ended = []
    for output, when in (("calm", None), ("stopped", stop), ("stopped", None)):
        ended += forked(*[lambda: trained(f"{name}.{output}", *case, when)] * 2)
    print(name, *ended, flush=True)
"""


@pytest.mark.slow
def test_two_processes_that_were_stopped_end_in_the_same_bytes(tmp_path):
    """What each of them has gathered of its own share is in no state; here labels are found with it, after the stop."""
    ended = python("-c", PROGRAM, str(tmp_path))
    names = ("transfer", "difference", "analogy", "classifier")
    assert ended.stdout.splitlines() == [f"{name} 0 0 1 1 0 0" for name in names], ended.stderr
    for name in names:
        assert (tmp_path / f"{name}.calm").read_bytes() == (tmp_path / f"{name}.stopped").read_bytes()
