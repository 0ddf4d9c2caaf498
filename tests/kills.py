"""Kills: commands that die by kill -9 at random moments and are run again, beside runs that nobody disturbed.

    python tests/kills.py [segment remove transfer difference analogy classifier] [--kills N] [--seed 1]

The laws: the second run ends well; it leaves the same files, hidden ones too, with the same bytes.  Each command runs
in a fork of this process, which has loaded what it needs, so that the moments fall into its own work.  They are drawn
from the seed, as parts of the time that an undisturbed run takes; where one comes after the end, the run is told as
whole, and where there is a file by then, as begun.
By default batches of 60 pictures are killed 60 times and each training 10 times, which takes some ten minutes.
Prints a row for each command and a line for each failure; exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

import structkit.engines.transfer.model
import structkit.recipes.domains
import structkit.recipes.labels
import structkit.verbs.content
import structkit.verbs.pair  # noqa: F401  what is loaded here is loaded once
from structkit.media.pictures import Picture, write_picture
from structkit_cli.__main__ import main

CPU = ("--device", "cpu")
CODES = ("--size", "16", "--width", "4", "--widest", "8", "--separate", "2", "--batch", "4", "--steps", "12", *CPU)
PAINTER = ("--painter", "4", "--rounds", "2", "--painter-steps", "6", "--placer-steps", "6", "--painter-size", "32")
PYRAMID = ("--size", "30", "--coarsest", "18", "--width", "4", "--widest", "4", "--steps", "12", *CPU)
NAMES = ("--width", "4", "--side", "16", "--batch", "6", "--epochs", "4", *CPU)
COMMANDS = {
    "segment": ("segment", "in", "--model", "glasses", *CPU, "-o", "{}/"),
    "remove": ("remove", "in", "--model", "glasses", *CPU, "-o", "{}/"),
    "transfer": ("train", "transfer", "--with", "in", "--without", "other", *CODES, *PAINTER, "-o", "{}/m.safetensors"),
    "difference": ("train", "difference", "in", "other", *CODES, "-o", "{}/m.safetensors"),
    "analogy": ("train", "analogy", "in/0.png", "in/1.png", *PYRAMID, "-o", "{}/m.safetensors"),
    "classifier": ("train", "classifier", "kinds", *NAMES, "-o", "{}/m.safetensors"),
}
KILLS = {"segment": 60, "remove": 60, "transfer": 10, "difference": 10, "analogy": 10, "classifier": 10}


def fill(count: int) -> None:
    """Pictures for all commands, in the current folder: `count` in each of two folders, 8 in each of two classes."""
    for seed, folder in enumerate(("in", "other", "kinds/one", "kinds/two")):
        Path(folder).mkdir(parents=True)
        rng = np.random.default_rng(seed)
        for i in range(8 if folder.startswith("kinds") else count):
            coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            write_picture(Picture(np.repeat(np.repeat(coarse, 8, 0), 8, 1)), Path(folder, f"{i}.png"))


def ended(command: Sequence[str], folder: Path, dies_after: float | None = None) -> tuple[int, float]:
    """Run a command in a child; returns its exit code, -9 for one that was killed, and the seconds that it took.

    folder: takes the place of {} in the command, and is made.
    dies_after: seconds; None lets it live.
    """
    folder.mkdir(exist_ok=True)
    began = time.monotonic()
    if not (child := os.fork()):
        code = 99
        try:
            log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1), os.dup2(log, 2)
            code = main([word.format(folder) for word in command])
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    death = threading.Timer(dies_after, os.kill, (child, signal.SIGKILL)) if dies_after is not None else None
    if death:
        death.start()
    while not (status := os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)):  # its number stays until it is reaped
        pass
    if death:
        death.cancel(), death.join()
    os.waitpid(child, 0)
    return status.si_status * (-1 if status.si_code != os.CLD_EXITED else 1), time.monotonic() - began


def contents(folder: Path) -> Mapping[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def differences(found: Mapping[str, bytes], calm: Mapping[str, bytes]) -> list[str]:
    """What differs from the files of an undisturbed run, in words."""
    facts = [f"{name} is missing" for name in sorted(calm.keys() - found.keys())]
    facts += [f"{name} was left" for name in sorted(found.keys() - calm.keys())]
    return facts + [f"{name} differs" for name in sorted(calm.keys() & found.keys()) if found[name] != calm[name]]


def killed(name: str, kills: int, moments: random.Random) -> list[str]:
    """Kill a command so many times, each time in a new folder; prints a row, and returns the failures."""
    command, failures, whole, begun = COMMANDS[name], [], 0, 0
    code, took = ended(command, Path(f"{name}-calm"))
    if code:
        return [f"{name}: undisturbed, it ended with {code}: {Path('log').read_text()}"]
    calm = contents(Path(f"{name}-calm"))
    for i in range(kills):
        moment, folder = moments.uniform(0, took), Path(f"{name}-{i}")
        first, _ = ended(command, folder, moment)
        whole += first == 0
        begun += bool(contents(folder))
        again, _ = ended(command, folder)
        facts = differences(contents(folder), calm)
        facts += [f"the first run ended with {first}"] * (first not in (0, -9))
        facts += [f"the second run ended with {again}: {Path('log').read_text()}"] * (again != 0)
        failures += [f"{name}: killed at {moment:.3f} s of {took:.3f}: {'; '.join(facts)}"] if facts else []
    print(
        f"{name:<12}{kills:>6} kills{whole:>6} whole{begun:>6} begun{len(failures):>6} failed{took:>8.2f} s", flush=True
    )
    return failures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=f"of {', '.join(COMMANDS)}; else all")
    parser.add_argument("--kills", type=int, help="of each command")
    parser.add_argument("--pictures", type=int, default=60, help="of the batch, and of each domain")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    given = parser.parse_args()
    torch.set_num_threads(1)  # a process that has computed with more cannot be forked
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # what optimisers load takes seconds
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        fill(given.pictures)
        failures = []
        for name in given.commands or COMMANDS:
            failures += killed(name, given.kills or KILLS[name], random.Random(f"{name} {given.seed}"))
        os.chdir("/")
    print("\n".join(failures), end="\n" * bool(failures))
    sys.exit(bool(failures))
