"""A training that dies three times on its way and is started again, beside one that nothing disturbs; each in a process
of its own.

    python mortal.py CALM STOPPED train analogy ...

CALM, STOPPED: their outputs.  Prints the exit code of every process.  Death comes by the system's clock of a process's
own work, so that it finds the training on its way however busy the machine is; and as by kill -9, no Python is run on
it.  Which parts of the work are done by then is drawn from SEED, so that a failure comes again.
"""

from __future__ import annotations

import os
import random
import signal
import sys

import torch

import structkit.recipes.domains
import structkit.verbs.pair  # noqa: F401  what is loaded here is loaded once
from structkit_cli.__main__ import main

SEED = 1


def ended(arguments: list[str], dies_after: float = 0.0) -> float:
    """Run a command in a child; returns the CPU seconds that it took.  dies_after: so many; 0 lets it live."""
    if not (child := os.fork()):
        signal.setitimer(signal.ITIMER_PROF, dies_after)
        os._exit(main(arguments))
    _, status, used = os.wait4(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # what optimisers load takes seconds
    calm, stopped, *command = sys.argv[1:]
    whole = ended([*command, "-o", calm])
    parts = random.Random(SEED)
    for _ in range(3):
        ended([*command, "-o", stopped], dies_after=parts.uniform(0.1, 0.3) * whole)
    ended([*command, "-o", stopped])
