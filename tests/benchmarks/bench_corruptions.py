"""The corruptions: one picture of 640 x 480 px, a thousand of 32 px in a batch and one by one, and glass by its loop.

python tests/benchmarks/bench_corruptions.py [--repeat 3]

Of 640 x 480 px the severity that takes longest counts, of 32 px the sum of all five.
"""

from __future__ import annotations

import numpy as np
from measure import natural_picture, options, record, timed
from torch import Tensor

from structkit.data.corruptions import CORRUPTIONS, EXTRA, SEVERITIES, corrupted, corrupted_batch
from structkit.data.corruptions.blurs import sources
from structkit.data.corruptions.frosted import PHOTOS, photo

COUNT = 1000


def levels(picture: Tensor) -> np.ndarray:
    return ((picture.permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()


def published_loop(x: np.ndarray, steps: np.ndarray, reach: int) -> None:
    height, width = x.shape[:2]
    for h in range(height - reach, reach, -1):
        for w in range(width - reach, reach, -1):
            right, down = steps[h - reach - 1, w - reach - 1]
            x[h, w], x[h + down, w + right] = x[h + down, w + right], x[h, w]


def main() -> None:
    chosen = options(__doc__)
    rows = [{"case": "the photographs of frost, once a process", "path": "structkit"} | timed(_frost, chosen.repeat)]
    large = levels(natural_picture(480, 640, seed=1))
    small = np.stack([large[8 * i : 8 * i + 32, 14 * j : 14 * j + 32] for i in range(25) for j in range(40)])
    seeds = np.arange(COUNT)
    for kind in (*CORRUPTIONS, *EXTRA):
        each = [timed(lambda k=kind, s=s: corrupted(large, k, s, 1), chosen.repeat) for s in SEVERITIES]
        slowest = max(each, key=lambda numbers: float(numbers["cpu_ms"]))
        rows.append({"case": f"{kind}, 640 x 480 px", "path": "structkit"} | slowest)
        calls = {
            "batch": lambda k=kind: [corrupted_batch(small, k, s, seeds) for s in SEVERITIES],
            "one by one": lambda k=kind: [corrupted(x, k, s, i) for s in SEVERITIES for i, x in enumerate(small)],
        }
        for path, call in calls.items():
            repeat = chosen.repeat if path == "batch" else 1
            rows.append({"case": f"{kind}, {COUNT} x 32 px, 5 severities", "path": path} | timed(call, repeat))
    steps = np.random.default_rng(0).integers(-4, 4, (1, 216, 216, 2))
    picture = large[:224, :224].copy()
    case = "a round of glass, 224 x 224 px"
    loop = timed(lambda: published_loop(picture, steps[0], 4), chosen.repeat)
    rows.append({"case": case, "path": "published loop"} | loop)
    rows.append({"case": case, "path": "structkit"} | timed(lambda: sources(steps, (224, 224), 4), chosen.repeat))
    record(__file__, rows)
    batches = [row for row in rows if row["path"] == "batch" and row["case"].split(",")[0] in CORRUPTIONS]
    total = sum(float(row["cpu_ms"]) for row in batches) / 1000
    print(f"{COUNT} pictures of 32 px, 15 kinds x 5 severities: {total:.1f} CPU s")


def _frost() -> None:
    photo.cache_clear()
    for number in range(PHOTOS):
        photo(number)


if __name__ == "__main__":
    main()
