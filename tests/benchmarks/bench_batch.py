"""Batches of many small pictures: CPU seconds and peak memory of planning, and of a rerun in which all is there.

    python tests/benchmarks/bench_batch.py [--count 5000] [--side 128] [--repeat 3]

Each row is a fresh process, its start included.  "plan" is `structkit segment` with a stand-in for the networks, whose
masks are never made: inputs are found, checked and hashed, outputs named.  "make" is the command itself, once; "rerun"
is the command where all outputs are there: each is hashed, and neither torch nor NumPy is loaded.  The aims: planning
5,000 pictures under 3 CPU seconds, and at most 150 MiB above one in all of them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from bench_start import measured
from measure import natural_picture, record

VERB = ["segment", "in/", "--model", "glasses", "--device", "cpu", "-o", "out/"]
# The command, with a maker of nothing in the place of the networks.
PLANNED = """
import dataclasses, os, sys
os.chdir(sys.argv[1])
from structkit_cli.run import batch
from structkit_cli.run.plan import Maker

class Idle(Maker):
    works_ahead = True

    def make(self, task, missing, device, progress):
        return []

run = batch.run
batch.run = lambda plan, running: run(dataclasses.replace(plan, maker=Idle()), running)
batch._Batch._device = lambda self: "cpu"
from structkit_cli.__main__ import main
sys.exit(main(sys.argv[2:]))
"""
MADE = """
import os, shutil, sys
os.chdir(sys.argv[1])
shutil.rmtree("out", ignore_errors=True)
from structkit_cli.__main__ import main
sys.exit(main(sys.argv[2:]))
"""
RERUN = """
import os, sys
os.chdir(sys.argv[1])
from structkit_cli.__main__ import main
code = main(sys.argv[2:])
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
            for path, script in {"plan": PLANNED, "make": MADE, "rerun": RERUN}.items():
                found = measured(["-c", script, folder, *VERB], 0, 1 if path == "make" else given.repeat)
                rows.append({"case": f"{count} of {given.side} px", "path": path} | found)
    record(__file__, rows)


if __name__ == "__main__":
    main()
