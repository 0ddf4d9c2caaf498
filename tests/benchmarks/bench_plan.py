"""Plans of many files: CPU seconds, peak memory and bytes of manifest at 1,000, 10,000 and 100,000 tiny pictures.

    python tests/benchmarks/bench_plan.py [--counts 1000 10000 100000] [--repeat 3]

Each row is a fresh process, its start included, and the command is `structkit segment`, with a stand-in for the
networks: the files lie in folders of 1,000.  "plan" is all that comes before the first file is opened: inputs are found
and sorted, outputs named and checked.  "make" is the runner alone, once: every output is a few bytes, which the
stand-in has at once, and takes its name and its record as ever.  "all done" is the command once more, itself; "1 %
missing" the same without the last hundredth of the outputs, which are looked for and not made.  The aims, at 100,000:
a plan of 15 s and 300 MB at most, all done in 10 s at most, neither with torch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from bench_analogy import MAXRSS_UNIT, WATCH
from bench_start import measured
from measure import record

VERB = ["segment", "in/", "--model", "glasses", "--device", "cpu", "--quiet", "-o", "out/"]
IN_A_FOLDER = 1000
BEGIN = """
import os, sys
os.chdir(sys.argv[1])
from structkit_cli.__main__ import main
from structkit_cli.run import batch
"""
END = """
code = main(sys.argv[2:])
assert not {"torch", "numpy"} & sys.modules.keys()
sys.exit(code)
"""
PLAN = """
from structkit_cli.run.checks import check_plan

batch.run = lambda plan, running: check_plan(plan.tasks, running, "skip", own=plan.tasks)
"""
# The command, with a maker of bytes, or of nothing, in the place of the networks.
STAND_IN = """
import dataclasses
from structkit_cli.run.plan import Maker

class Bytes:
    def __init__(self, data):
        self.data = data

    def write(self, sink):
        sink.put(self.data)
        return {}

class StandIn(Maker):
    works_ahead = is_fast = True

    def make(self, task, missing, device, progress):
        for output in missing if MAKES else ():
            yield output, Bytes(str(output.path).encode())

run = batch.run
batch.run = lambda plan, running: run(dataclasses.replace(plan, maker=StandIn()), running)
batch._Batch._device = lambda self: "cpu"
"""


def fill(folder: Path, count: int) -> str:
    """A folder with `count` tiny pictures below it, all different; returns it."""
    from structkit.media.pictures import encode_picture
    from structkit.media.tensors import from_tensor

    data = encode_picture(from_tensor(torch.zeros(1, 3, 4, 4)))
    for i in range(count):
        if i % IN_A_FOLDER == 0:
            (place := folder / f"in/{i // IN_A_FOLDER:03d}").mkdir(parents=True)
        (place / f"{i}.png").write_bytes(data + str(i).encode())
    return str(folder)


def once(script: str, folder: str) -> dict[str, str]:
    """The numbers of a single run, as `measured` has them."""
    watch = [sys.executable, "-I", "-S", "-c", WATCH, sys.executable, "-c", script, folder, *VERB]
    wall, cpu, memory, code = json.loads(subprocess.run(watch, check=True, capture_output=True).stdout)
    if code:
        raise SystemExit(f"the outputs could not be made: exit code {code}")
    peak = f"{memory * MAXRSS_UNIT / 2**20:.0f}"
    return {"wall_s": f"{wall:.3f}", "cpu_s": f"{cpu:.3f}", "peak_mib": peak, "repeat": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000], help="pictures")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions, of which the median counts")
    given = parser.parse_args()
    torch.set_num_threads(1)  # of `record`; these processes have one
    rows = []
    for count in given.counts:
        with tempfile.TemporaryDirectory() as place:
            folder = fill(Path(place), count)
            found = {"plan": measured(["-c", BEGIN + PLAN + END, folder, *VERB], 0, given.repeat)}
            found["make"] = once(BEGIN + "MAKES = True\n" + STAND_IN + END, folder)
            size = Path(folder, "out/.structkit-manifest.jsonl").stat().st_size
            found["all done"] = measured(["-c", BEGIN + END, folder, *VERB], 0, given.repeat)
            for i in range(count - count // 100, count):
                Path(folder, f"out/{i // IN_A_FOLDER:03d}/{i}.png").unlink()
            script = BEGIN + "MAKES = False\n" + STAND_IN + END
            found["1 % missing"] = measured(["-c", script, folder, *VERB], 0, given.repeat)
        bytes_each = {"manifest_bytes_each": f"{size / count:.0f}"}
        rows += [{"case": f"{count} files", "path": path} | numbers | bytes_each for path, numbers in found.items()]
    record(__file__, rows)


if __name__ == "__main__":
    main()
