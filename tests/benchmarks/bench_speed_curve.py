"""The curve of an hour of 30 frames a second: its speeds, its map of times, and its files.

python tests/benchmarks/bench_speed_curve.py [--threads 2]
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from measure import options, record, timed

from structkit.engines.speednet.curve import natural_rate, optimised, tolerated
from structkit.engines.speednet.motion import tolerated_motion
from structkit.media.edit_lists import EditedClip
from structkit.media.speed_curve import CURVE_FORMATS, SpeedCurve, curve_file, read_curve

CELLS, RATE = 108_000, 30
FACTORS = np.array([1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0])


def main() -> None:
    chosen = options(__doc__)
    random = np.random.default_rng(0)
    durations = np.full(CELLS, 1 / RATE)
    level = np.repeat(random.random(CELLS // 50), 50)
    predictions = (np.log(FACTORS)[:, None] / 2 - level + 0.5 + 0.1 * random.normal(size=(7, CELLS))).clip(0, 1)
    wanted = tolerated(predictions, FACTORS)
    most = np.where(np.arange(CELLS) // 9000 % 3 == 0, 1.6, 8.0)
    speeds = optimised(wanted, None, durations, 2.0)
    curve = SpeedCurve(np.arange(CELLS + 1) / RATE, speeds, wanted, FACTORS, predictions, {"method": "speednet"})
    clip = EditedClip(Path("/clips/hour.mp4"), Fraction(RATE))
    calls = {
        "what is tolerated, of predictions": lambda: tolerated(predictions, FACTORS),
        "what is tolerated, of motion": lambda: tolerated_motion(level, durations, 2.0),
        "speeds": lambda: optimised(wanted, None, durations, 2.0),
        "speeds, a third at most 1.6": lambda: optimised(wanted, None, durations, 2.0, most=most),
        "map of times": curve.timing,
    }
    calls |= {f"{name} file": lambda f=name: curve_file(curve, f, clip) for name in CURVE_FORMATS}
    written = curve_file(curve, "json"), curve_file(curve, "csv")
    calls |= {
        "json file read": lambda: read_curve(written[0], "j"),
        "csv file read": lambda: read_curve(written[1], "c"),
    }
    rows = [{"case": case, "path": "structkit"} | timed(call, chosen.repeat) for case, call in calls.items()]
    print("rate", natural_rate(speeds, durations))
    record(__file__, rows)


if __name__ == "__main__":
    main()
