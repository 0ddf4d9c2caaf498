"""Segmenters under torchrun: two processes that are stopped, and started again, end where those that were not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...training.programs import python

PROGRAM = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
import torch
from domains import training_of
from toy import forked
from structkit.training.loop import train
from structkit.training.meeting import joined

def trained(output, adapt, stop):
    torch.set_num_threads(1)
    training = training_of(adapt, padain=0.3, **({} if adapt == "bn" else {"pair_batch": 4}))
    step = training.step

    def interrupted(draw):
        if (draw.stage, draw.step, training.processes.rank) == (*(stop or (None, None)), 1):
            signal.raise_signal(signal.SIGINT)
        return step(draw)

    training.step = interrupted
    with joined("cpu") as (processes, _):
        train(training, output, seed=7, run={}, processes=processes, save_every=0)

os.chdir(sys.argv[1])
for name, stop in (("bn", (1, 2)), ("fada", (1, 2)), ("selftrain", (1, 3))):
    ended = []
    for output, when in (("calm", None), ("stopped", stop), ("stopped", None)):
        ended += forked(*[lambda: trained(f"{name}.{output}", name, when)] * 2)
    print(name, *ended, flush=True)
"""


@pytest.mark.slow
def test_two_processes_that_were_stopped_end_in_the_same_bytes(tmp_path):
    ended = python("-c", PROGRAM, str(tmp_path), str(Path(__file__).parent))
    names = ("bn", "fada", "selftrain")
    assert ended.stdout.splitlines() == [f"{name} 0 0 1 1 0 0" for name in names], ended.stderr
    for name in names:
        assert (tmp_path / f"{name}.calm").read_bytes() == (tmp_path / f"{name}.stopped").read_bytes()
