"""A folder through `structkit remove` and `structkit segment`, beside reading and writing its pictures alone.

    python tests/benchmarks/bench_contents.py [--model glasses] [--count 1000] [--side 128] [--repeat 3]
        [--pictures FOLDER]

Each row is a fresh process, its start included, with the threads that it takes by itself; "read and write" decodes each
picture, encodes it and writes the file plainly, on one thread.  `ratio` is to that row.  The aim is at most 3 on two
cores that nobody else uses: wall seconds mean something only there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_analogy import MAXRSS_UNIT, WATCH
from measure import natural_picture, record

READ_AND_WRITE = """
import sys
from pathlib import Path
from structkit.media.pictures import encode_picture, read_picture
for path in Path(sys.argv[1]).iterdir():
    Path(sys.argv[2], path.name).write_bytes(encode_picture(read_picture(path)))
"""


def pictures(folder: Path, count: int, side: int, given: Path | None) -> str:
    """Fill the folder with `count` pictures of `side` px: given ones, repeated as need be, or procedural ones; returns
    what they are.
    """
    from structkit.kernels.pyramid import resize
    from structkit.media.pictures import Picture, read_picture, write_picture
    from structkit.media.tensors import from_tensor, to_tensor

    files = sorted(path for path in given.iterdir() if path.is_file())[:count] if given else []
    shown = [to_tensor(read_picture(path)) for path in files] or [
        natural_picture(side, side, seed)[None] for seed in range(8)
    ]
    made: list[Picture] = [from_tensor(resize(one, (side, side)).clamp(-1, 1)) for one in shown]
    for i in range(count):
        write_picture(made[i % len(made)], folder / f"{i}.png")
    return given.name if given else "procedural"


def seconds(command: list[str], output: Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MiB of a command that writes into a folder, which is emptied before."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    watch = [sys.executable, "-I", "-S", "-c", WATCH, sys.executable, *command]
    wall, cpu, memory, code = json.loads(subprocess.run(watch, check=True, stdout=subprocess.PIPE).stdout)
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    return wall, cpu, memory * MAXRSS_UNIT / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="glasses", help="checkpoint, or the name of one that ships")
    parser.add_argument("--count", type=int, default=1000, help="pictures in the folder")
    parser.add_argument("--side", type=int, default=128, help="of the pictures, px")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions, of which the median counts")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="pictures instead of the procedural ones")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as work:
        given, output = Path(work, "in"), Path(work, "out")
        given.mkdir()
        name = pictures(given, chosen.count, chosen.side, chosen.pictures)
        verb = ["--model", chosen.model, "--device", "cpu", "-o", str(output), "--quiet"]
        commands = {"read and write": ["-c", READ_AND_WRITE, str(given), str(output)]}
        commands |= {word: ["-m", "structkit_cli", word, str(given), *verb] for word in ("remove", "segment")}
        runs = {path: [seconds(command, output) for _ in range(chosen.repeat)] for path, command in commands.items()}
    alone, rows = statistics.median(wall for wall, *_ in runs["read and write"]), []
    for path, found in runs.items():
        wall, cpu, memory = (statistics.median(numbers) for numbers in zip(*found, strict=True))
        numbers = {
            "wall_s": f"{wall:.2f}",
            "cpu_s": f"{cpu:.2f}",
            "ratio": f"{wall / alone:.2f}",
            "peak_mib": f"{memory:.0f}",
        }
        rows.append(
            {"case": f"{chosen.count} {name}, {chosen.side} px, {Path(chosen.model).stem}", "path": path} | numbers
        )
    record(__file__, rows)


if __name__ == "__main__":
    main()
