"""Batches of many small pictures: CPU seconds and peak memory of planning, and of a rerun in which all is there.

    python tests/benchmarks/bench_batch.py [--count 5000] [--side 128] [--repeat 3]

Each row is a fresh process, its start included.  "plan" is `structkit segment` with a stand-in for the networks, whose
masks are never made: inputs are found, checked and hashed, outputs named.  "rerun" is the command itself, where all
outputs are there: each is hashed, and neither torch nor NumPy is loaded.  The aims: planning 5,000 pictures under 3 CPU
seconds, and at most 150 MiB above one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from bench_start import measured
from measure import natural_picture, record

VERB = ["segment", "in/", "--model", "glasses", "-o", "out/"]
# The command, with a maker in the place of the networks.  argv: 1 to write a file for each mask.
PLANNED = """
import dataclasses, os, sys
os.chdir(sys.argv[1])
from structkit_cli.run import batch
from structkit_cli.run.plan import Maker
from structkit_cli.run.results import TextResult

class Blank(Maker):
    works_ahead = True

    def make(self, task, missing, device, progress):
        return [(output, TextResult("mask")) for output in missing if int(sys.argv[2])]

run = batch.run
batch.run = lambda plan, running: run(dataclasses.replace(plan, maker=Blank()), running)
batch._Batch._device = lambda self: "cpu"
from structkit_cli.__main__ import main
sys.exit(main(sys.argv[3:]))
"""
RERUN = """
import os, sys
os.chdir(sys.argv[1])
from structkit_cli.__main__ import main
code = main(sys.argv[3:])
assert not {"torch", "numpy"} & sys.modules.keys()
sys.exit(code)
"""


def fill(folder: Path, count: int, side: int) -> Path:
    """A folder with `count` pictures of `side` px below it, and nothing else; returns it."""
    from structkit.media.pictures import encode_picture
    from structkit.media.tensors import from_tensor

    (folder / "in").mkdir(parents=True)
    made = [encode_picture(from_tensor(natural_picture(side, side, seed)[None])) for seed in range(8)]
    for i in range(count):
        (folder / f"in/{i}.png").write_bytes(made[i % len(made)])
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000, help="pictures")
    parser.add_argument("--side", type=int, default=128, help="of each picture, px")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions, of which the median counts")
    given = parser.parse_args()
    torch.set_num_threads(1)  # of `record`; these processes have one
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for count in (1, given.count):
            folder = str(fill(Path(place, str(count)), count, given.side))
            case = f"{count} of {given.side} px"
            rows.append({"case": case, "path": "plan"} | measured(["-c", PLANNED, folder, "0", *VERB], 0, given.repeat))
            subprocess.run([sys.executable, "-c", PLANNED, folder, "1", *VERB], check=True, capture_output=True)
            rows.append({"case": case, "path": "rerun"} | measured(["-c", RERUN, folder, "", *VERB], 0, given.repeat))
    record(__file__, rows)


if __name__ == "__main__":
    main()
