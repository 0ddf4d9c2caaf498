"""Starting: CPU seconds, wall seconds and peak memory of commands that only speak, each in a fresh process.

    python tests/benchmarks/bench_start.py [--repeat 9]

The aim is less than 0.3 CPU seconds; `import typer` is what the command line's library takes of them.  What a start
must not import is held by tests/cli/test_processes.py.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

import torch
from bench_analogy import MAXRSS_UNIT, WATCH
from measure import record

COMMAND = ["-m", "structkit_cli"]
CASES = {
    "python -c pass": (["-c", "pass"], 0),
    "import typer": (["-c", "import typer"], 0),
    "--version": ([*COMMAND, "--version"], 0),
    "--help": ([*COMMAND, "--help"], 0),
    "analogy --help": ([*COMMAND, "analogy", "--help"], 0),
    "a usage error": ([*COMMAND, "analogy", "a.png", "b.png", "--strength", "9"], 2),
    "info glasses": ([*COMMAND, "info", "glasses"], 0),
    "remove, no input": ([*COMMAND, "remove", "nothing-*.png", "--model", "glasses", "-o", "out/"], 4),
}


def measured(arguments: list[str], expected: int, repeat: int) -> dict[str, str]:
    """Medians over `repeat` runs of Python with these arguments, after one that warms up.  expected: the exit code."""
    watch = [sys.executable, "-I", "-S", "-c", WATCH, sys.executable, *arguments]
    runs = [json.loads(subprocess.run(watch, check=True, capture_output=True).stdout) for _ in range(repeat + 1)][1:]
    if any(code != expected for *_, code in runs):
        raise SystemExit(f"python {' '.join(arguments)} ended with {[code for *_, code in runs]}")
    wall, cpu, memory = (statistics.median(numbers) for numbers in list(zip(*runs, strict=True))[:3])
    return {
        "wall_s": f"{wall:.3f}",
        "cpu_s": f"{cpu:.3f}",
        "peak_mib": f"{memory * MAXRSS_UNIT / 2**20:.0f}",
        "repeat": str(repeat),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=9, help="repetitions, of which the median counts")
    repeat = parser.parse_args().repeat
    torch.set_num_threads(1)  # of `record`; a start has one
    record(__file__, [{"case": case, "path": "start"} | measured(*how, repeat) for case, how in CASES.items()])


if __name__ == "__main__":
    main()
