"""What the benchmarks share: a stopwatch, test pictures, and CSV with the date, the hardware and the versions on every
row.

Times are medians over repetitions.  CPU seconds are those of the whole process, all threads together: unlike wall time
they mean the same on a machine that others use.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.util
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor


def options(description: str) -> argparse.Namespace:
    """The command line of a benchmark."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of torch (default 1: no waiting, hence comparable CPU times)"
    )
    parser.add_argument("--repeat", type=int, default=3, help="repetitions, of which the median counts")
    parser.add_argument(
        "--pictures", nargs=2, metavar=("QUERY", "KEY"), help="two picture files instead of the procedural ones"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    return chosen


def timed(call: Callable[[], object], repeat: int) -> dict[str, str]:
    """Median wall and CPU milliseconds of a call, and the slowest wall time; where repeated, one more call first to
    warm up.
    """
    return side_by_side({"": call}, repeat)[""]


def side_by_side(calls: Mapping[str, Callable[[], object]], repeat: int) -> dict[str, dict[str, str]]:
    """What `timed` says of each call.  They take turns, so that all of them see the same of what else the machine
    does.
    """
    if repeat > 1:
        for call in calls.values():
            call()
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(repeat):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            spent[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    found = {}
    for name, times in spent.items():
        wall, cpu = zip(*times, strict=True)
        numbers = {"wall_ms": statistics.median(wall), "cpu_ms": statistics.median(cpu), "wall_ms_max": max(wall)}
        found[name] = {unit: f"{1000 * seconds:.2f}" for unit, seconds in numbers.items()}
    return found


def unit() -> float:
    """CPU seconds of a thousand float32 products of 512 x 160 by 160 x 1024, on one thread: what a processor can do
    just now.

    Ratios to it mean the same on fast and slow machines.
    """
    left, right, out = torch.rand(512, 160), torch.rand(1024, 160), torch.empty(512, 1024)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cost = timed(lambda: [torch.mm(left, right.T, out=out) for _ in range(20)], 15)["cpu_ms"]
    torch.set_num_threads(threads)
    return float(cost) / 1000 * 50


def plain(name: str) -> ModuleType:
    """tests/engines/NAME/plain.py: a published step written out, which the tests compare with."""
    path = Path(__file__).parents[1] / "engines" / name / "plain.py"
    spec = importlib.util.spec_from_file_location(f"plain_{name}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def natural_picture(height: int, width: int, seed: int) -> Tensor:
    """(3, height, width) in [-1, 1] on the 8-bit grid: overlapping discs, whose sizes follow a power law as in
    photographs
    (the dead-leaves model), slightly shaded, textured and blurred."""
    g = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    picture = torch.zeros(3, height, width)
    radii = (torch.rand(1500, generator=g) * (1 / 3**2 - 1 / 90**2) + 1 / 90**2) ** -0.5
    for radius in radii.sort(descending=True).values:
        cy, cx, slope, *colour = torch.rand(6, generator=g)
        inside = (y - cy * height) ** 2 + (x - cx * width) ** 2 < radius**2
        shade = (slope - 0.5) * (y - cy * height) / radius * 0.4
        grain = torch.randn(height, width, generator=g) * 0.03
        picture = torch.where(inside, (torch.stack(colour) * 1.6 - 0.8)[:, None, None] + shade + grain, picture)
    picture = F.avg_pool2d(F.pad(picture[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0].clamp(-1, 1)
    return ((picture + 1) * 127.5).round() / 127.5 - 1


def picture_pair(files: list[str] | None, size: tuple[int, int]) -> tuple[str, Tensor, Tensor]:
    """Name, query and key picture (3, *size) in [-1, 1]: the two files, resized, or procedural ones."""
    if files is None:
        return "procedural", natural_picture(*size, seed=1), natural_picture(*size, seed=2)
    from torchvision.io import ImageReadMode, read_image

    from structkit.kernels.pyramid import resize

    pictures = [read_image(file, ImageReadMode.RGB)[None].float() / 127.5 - 1 for file in files]
    name = " ".join(f"{Path(file).parent.name}/{Path(file).name}" for file in files)
    return name, *(resize(picture, size)[0].clamp(-1, 1) for picture in pictures)


def record(benchmark: str, rows: list[dict[str, str]]) -> None:
    """Print the rows, and put them in the CSV beside the benchmark, in place of those of the same case, path, threads
    and instructions.
    """
    path = Path(benchmark).with_name(Path(benchmark).stem.removeprefix("bench_") + ".csv")
    context = {
        "threads": str(torch.get_num_threads()),
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__.split("+")[0],
        "hardware": f"{_processor()}, {torch.backends.cpu.get_cpu_capability()}",
    }
    rows = [row | context for row in rows]
    for row in rows:
        print("  ".join(row.values()))
    old = list(csv.DictReader(path.open(newline=""))) if path.exists() else []
    measured = {_key(row) for row in rows}
    kept = [row for row in old if _key(row) not in measured]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(kept + rows, key=lambda row: (row["case"], row["threads"], row["hardware"])))


def _key(row: dict[str, str]) -> tuple[str, ...]:
    return (
        row["case"],
        row["path"],
        row["threads"],
        row["hardware"].rpartition(", ")[2],
    )  # the instructions that were used


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return f"{names[0]} x{len(names)}" if names else platform.processor() or platform.machine()
