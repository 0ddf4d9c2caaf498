"""Views of pictures of 32 px: CPU time of each, beside torchvision's AugMix, and how long a training step waits for
those that a worker process makes.

    python tests/benchmarks/bench_augmix.py [--repeat 5]

cpu_ms: of a view of one picture.  ratio: to the step's CPU time for each picture, of a ResNet18 of width 16 in batches
of 128 in bfloat16 where the processor has it; with AugMix and its consistency a picture has three rows in that step.
waits: the share of a step's wall time in which it waits for its views, one worker at a time; a machine with other work
on its cores makes it larger.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch
from measure import natural_picture, options, record, side_by_side
from PIL import Image
from torchvision.transforms import v2

from structkit.configs.labels import ClassifierConfig
from structkit.data.augmix import AugMix
from structkit.data.pixmix import PixMix
from structkit.data.views import Views
from structkit.engines.padain.classifier import ClassifierTraining
from structkit.training.draw import Draw
from structkit.training.precision import precision

BATCH, STEPS = 128, 16


class Squares:
    """Procedural pictures of 32 px in ten classes."""

    def __init__(self, count: int) -> None:
        whole = ((natural_picture(512, 512, 1) + 1) * 127.5).round().to(torch.uint8)
        parts = whole.unfold(1, 32, 30).unfold(2, 32, 30).flatten(1, 2).movedim(1, 0)
        self.array = parts[torch.arange(count) % len(parts)].contiguous()
        self.classes, self.labels = [f"{i}" for i in range(10)], torch.arange(count) % 10

    def __len__(self) -> int:
        return len(self.labels)

    def pixels(self, i: int) -> np.ndarray:
        return self.array[i].permute(1, 2, 0).numpy()

    def squares(self, indices: list[int], side: int) -> torch.Tensor:
        return self.array[list(indices)]


def steps(squares: Squares, settings: dict[str, object], workers: int | None) -> tuple[float, float]:
    """Median CPU seconds of a step in this process, and the share of its wall time that is spent waiting for views."""
    how = settings if workers is None else settings | {"workers": workers}
    training = ClassifierTraining(squares, ClassifierConfig(**how), dtype=precision("auto", "cpu"))
    draw = Draw(0, 0, 0, "cpu")
    training.begin(0, draw)
    spent, waited = [], []
    take = training.feed.take

    def timed_take(*args: object) -> object:
        began = time.perf_counter()
        try:
            return take(*args)
        finally:
            waited[-1] = time.perf_counter() - began

    training.feed.take = timed_take  # type: ignore[method-assign]
    wall = []
    for step in range(1, STEPS + 1):
        waited.append(0.0)
        began, cpu = time.perf_counter(), time.process_time()
        training.step(draw.at(step))
        wall.append(time.perf_counter() - began)
        spent.append(time.process_time() - cpu)
    training.feed.views.close()
    return statistics.median(spent), sum(waited[4:]) / sum(wall[4:])


def main() -> None:
    repeat = options(__doc__.splitlines()[0]).repeat
    squares = Squares(1280)
    pixels = np.stack([squares.pixels(i) for i in range(BATCH)])
    images, tensors = [Image.fromarray(one) for one in pixels], list(squares.array[:BATCH])
    theirs = {name: v2.AugMix(severity=3, all_ops=every) for name, every in (("9", False), ("13", True))}

    def mixed(mixing: AugMix | PixMix) -> list[np.ndarray]:
        return [mixing(one, np.random.Generator(np.random.Philox(key=i))) for i, one in enumerate(pixels)]

    ways = {
        "moved and mirrored": lambda: Views(32).batch(pixels, range(BATCH)),
        "and turned by 15 degrees": lambda: Views(32, rotation=15).batch(pixels, range(BATCH)),
        "AugMix, 9 operations": lambda: mixed(AugMix()),
        "AugMix, 13 operations": lambda: mixed(AugMix(all_operations=True)),
        "PixMix": lambda: mixed(PixMix()),
        "torchvision's AugMix, 9 operations, Pillow": lambda: [theirs["9"](one) for one in images],
        "torchvision's AugMix, 13 operations, Pillow": lambda: [theirs["13"](one) for one in images],
        "torchvision's AugMix, 13 operations, tensors": lambda: [theirs["13"](one) for one in tensors],
    }
    found = side_by_side(ways, repeat)
    unit, _ = steps(squares, {}, None)
    rows = [
        {"case": "a view of 32 px", "path": name, "cpu_ms": f"{float(cost['cpu_ms']) / BATCH:.3f}"}
        | {"ratio": f"{float(cost['cpu_ms']) / 1000 / unit:.3f}", "waits": ""}
        for name, cost in found.items()
    ]
    rows.append(
        {"case": "a step of 128", "path": "plain", "cpu_ms": f"{1000 * unit:.0f}", "ratio": "1.000", "waits": ""}
    )
    for name, settings in {"AugMix and JSD": {"augmix": True}, "PixMix": {"pixmix": True}}.items():
        for workers in (0, 1):
            cost, waits = steps(squares, settings, workers)
            path = f"{name}, {'a worker process' if workers else 'no worker'}"
            rows.append(
                {"case": "a step of 128", "path": path, "cpu_ms": f"{1000 * cost:.0f}", "ratio": f"{cost / unit:.3f}"}
                | {"waits": f"{waits:.3f}"}
            )
    record(__file__, rows)


if __name__ == "__main__":
    main()
