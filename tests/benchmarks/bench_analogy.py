"""The whole command, start included: CPU seconds, wall seconds and peak memory of `structkit analogy` in a fresh
process.

    python tests/benchmarks/bench_analogy.py [--sizes 128 256] [--repeat 5] [--threads 2] [--pictures A.png B.png]

The pictures are cropped to squares and resized.  CPU seconds are user + system of the whole process, all threads
together; `units` are CPU seconds over those of a thousand matrix products (`measure.unit`), measured before and after.
`bench_start.py` measures starting alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from measure import record, unit
from PIL import Image, ImageOps

EXAMPLES = Path(__file__).parents[2] / "examples"
MATCHES = {"defaults": [], "--match colour": ["--match", "colour"]}

# Runs a command and prints its wall seconds, CPU seconds, peak memory and exit code.  Between us and the command,
# because Linux counts the memory of the process that starts a command as that command's own, and we hold torch.
WATCH = """
import json, os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
started = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, used = os.wait4(child, 0)
took, code = time.perf_counter() - started, os.waitstatus_to_exitcode(status)
print(json.dumps([took, used.ru_utime + used.ru_stime, used.ru_maxrss, code]))
"""
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes


def measured(arguments: list[str], repeat: int) -> dict[str, str]:
    """Medians over `repeat` runs of `structkit` with these arguments: seconds, units and MiB."""
    watch = [sys.executable, "-I", "-S", "-c", WATCH, sys.executable, "-m", "structkit_cli", *arguments]
    before = unit()
    runs = [json.loads(subprocess.run(watch, check=True, stdout=subprocess.PIPE).stdout) for _ in range(repeat)]
    units = 2 / (before + unit())
    if any(code for *_, code in runs):
        raise SystemExit(f"structkit {' '.join(arguments)} ended with {[code for *_, code in runs]}")
    wall, cpu, memory = (statistics.median(numbers) for numbers in list(zip(*runs, strict=True))[:3])
    return {
        "wall_s": f"{wall:.2f}",
        "cpu_s": f"{cpu:.2f}",
        "units": f"{cpu * units:.2f}",
        "peak_mib": f"{memory * MAXRSS_UNIT / 2**20:.0f}",
        "repeat": str(repeat),
    }


def squares(pictures: list[Path], side: int, folder: Path) -> list[str]:
    """The pictures as square PNG files of `side` px in the folder."""
    files = []
    for picture in pictures:
        file = folder / f"{picture.stem}-{side}.png"
        ImageOps.fit(Image.open(picture).convert("RGB"), (side, side), Image.Resampling.LANCZOS).save(file)
        files.append(str(file))
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=[128, 256, 512, 1024], metavar="SIDE", help="of all pictures, px"
    )
    parser.add_argument("--repeat", type=int, default=3, help="repetitions, of which the median counts")
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of torch (default 1: no waiting, hence comparable CPU times)"
    )
    examples = [EXAMPLES / "pebbles.jpg", EXAMPLES / "balls.jpg"]
    parser.add_argument(
        "--pictures",
        nargs=2,
        type=Path,
        default=examples,
        metavar=("SOURCE", "TARGET"),
        help="default: pebbles and balls",
    )
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)  # which `record` writes down
    os.environ["OMP_NUM_THREADS"] = str(chosen.threads)  # of the commands
    names = " ".join(picture.stem for picture in chosen.pictures)
    with tempfile.TemporaryDirectory() as folder:
        for side in chosen.sizes:
            size, files = f"{side}x{side}", squares(chosen.pictures, side, Path(folder))
            for path, options in MATCHES.items():
                command = [
                    "analogy",
                    *files,
                    "-o",
                    f"{folder}/out.png",
                    "--size",
                    size,
                    "--exists",
                    "overwrite",
                    "--quiet",
                    *options,
                ]
                record(__file__, [{"case": f"{size}, {names}", "path": path} | measured(command, chosen.repeat)])


if __name__ == "__main__":
    main()
