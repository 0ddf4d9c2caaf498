"""Scores of a classifier: corruptions and texture, labelled pictures from files, and labels of single pictures.

python tests/benchmarks/bench_label_scores.py [--repeat 1]

The network is the resnet18 of width 16, untrained: its arithmetic is that of a trained one.  200 pictures of 32 px, and
the CPU seconds of 1,000 are five times theirs, but for the frost that is drawn once a process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measure import natural_picture, options, record, timed

from structkit.configs import ClassifierConfig
from structkit.data.labelled import LabelledPictures, read_labelled
from structkit.engines.padain.classifier import Classifier
from structkit.media.pictures import Picture, write_picture
from structkit.verbs.classify import classify
from structkit.verbs.robustness import score_corruptions
from structkit.verbs.texture import score_texture

COUNT, CLASSES = 200, 10


def main() -> None:
    chosen = options(__doc__)
    large = ((natural_picture(480, 640, seed=1).permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
    pictures = np.stack([large[16 * i : 16 * i + 32, 28 * j : 28 * j + 32] for i in range(10) for j in range(20)])
    labels = torch.arange(COUNT) % CLASSES
    classes, names = [str(i) for i in range(CLASSES)], [f"{i}.png" for i in range(COUNT)]
    data = LabelledPictures(classes, labels, names, pictures, np.arange(COUNT))
    torch.manual_seed(0)
    model = Classifier(ClassifierConfig(), classes, [0.5] * 3, [0.25] * 3).eval()
    score_corruptions(model, data, kinds=["frost"], severities=[1], count=10, device="cpu")  # draws the frost

    def measured(case: str, path: str, call: Callable[[], object], repeat: int = chosen.repeat) -> None:
        record(__file__, [{"case": case, "path": path} | timed(call, repeat)])

    shown = [Picture(one) for one in pictures]
    calls: dict[str, Callable[[], object]] = {
        "together": lambda: classify(shown, model, device="cpu"),
        "one by one": lambda: [classify(one, model, device="cpu") for one in shown],
    }
    for path, call in calls.items():
        measured(f"classify, {COUNT} x 32 px", path, call)
    with tempfile.TemporaryDirectory() as folder:
        for label, name, one in zip(labels.tolist(), names, shown, strict=True):
            (Path(folder) / str(label)).mkdir(exist_ok=True)
            write_picture(one, Path(folder) / str(label) / name)
        for path, checked in (("all decoded", True), ("listed alone", False)):
            case = f"a folder of classes, {COUNT} PNG of 32 px"
            measured(case, path, lambda checked=checked: read_labelled(folder, checked=checked))
    for dtype in ("float32", "bfloat16"):
        how = {"device": "cpu", "dtype": dtype}
        measured(f"score texture, {COUNT} x 32 px, 3 draws", dtype, lambda how=how: score_texture(model, data, **how))
        case = f"score corruptions, {COUNT} x 32 px, 15 kinds x 5 severities"
        measured(case, dtype, lambda how=how: score_corruptions(model, data, **how), 1)


if __name__ == "__main__":
    main()
