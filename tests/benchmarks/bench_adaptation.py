"""How well a segmenter does on another domain: the source alone, and adapted in each way, two seeds.

    python examples/streets.py RENDERS --count 460 --seed 1
    python tests/benchmarks/bench_adaptation.py WORK --renders RENDERS --camvid CAMVID [--seeds 0 1]
        [--cases render-day render-dusk day-dusk] [--arms none bn fada fada-padain selftrain] [--set steps=400]

RENDERS: images/ and labels/ of examples/streets.py, of which the last 60 are held out.  CAMVID: CamVid at 480 x 360
with the 11 classes, as domain_day.txt and domain_dusk.txt list its pictures (*/img/*.jpg, labels in */label/*.png).

Cases: from renders to CamVid by day, whose every third picture is the test and whose others are the target without
labels; from renders to CamVid at dusk, and from CamVid by day (without the test pictures) to dusk, where the pictures
that are adapted to are scored, as there are few.  `render-held` has what the source alone does on held-out renders.
Arms of one seed share the training on the source; that with pAdaIN has its own, whose row is `padain`.  Looked at and
scored at 240 x 180; per class the intersection over union in %, and the mean over the classes that are there.
What is finished is in WORK, and is not done again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bench_speednet import value
from measure import record
from safetensors.torch import load_file, save_file

from structkit.configs import SegmenterConfig
from structkit.configs.segmenter import OF_ADAPTATION
from structkit.data.label_maps import CAMVID
from structkit.data.segmentation import SegmentationPictures, TargetPictures
from structkit.engines.padain.adaptation import ClassCounts, labels_at, pictures_at
from structkit.engines.padain.segmenter import Segmenter
from structkit.engines.padain.segmenter_training import SegmenterTraining
from structkit.training.draw import Draw
from structkit.training.precision import precision

ARMS: dict[str, dict[str, Any]] = {
    "none": {"adapt": "none"},
    "bn": {"adapt": "bn"},
    "fada": {"adapt": "fada"},
    "selftrain": {"adapt": "selftrain"},
    "fada-padain": {"adapt": "fada", "padain": 0.01},
}
CASES = {"render-day": ("renders", "day"), "render-dusk": ("renders", "dusk"), "day-dusk": ("day", "dusk")}
SIZE, HELD, TEST = (240, 180), 60, 3  # px; renders; each so many-th picture of the day is the test


class Streets:
    """The pictures of all domains, each read when it is asked for."""

    def __init__(self, renders: Path, camvid: Path) -> None:
        self.files = {name: self._listed(camvid, name) for name in ("day", "dusk")}
        self.files["renders"] = sorted((renders / "images").glob("*.png"))
        self.labels = {picture: self._label(picture) for some in self.files.values() for picture in some}
        self.read: dict[str, SegmentationPictures | TargetPictures] = {}

    @staticmethod
    def _listed(camvid: Path, name: str) -> list[Path]:
        return [camvid / line for line in (camvid / f"domain_{name}.txt").read_text().split()]

    @staticmethod
    def _label(picture: Path) -> Path:
        folder = {"img": "label", "images": "labels"}[picture.parent.name]
        return picture.parent.with_name(folder) / f"{picture.stem}.png"

    def part(self, domain: str, tests: bool) -> list[Path]:
        """The pictures of a domain that are learned from, or those of the test."""
        files = self.files[domain]
        if domain == "day":
            return [file for index, file in enumerate(files) if (index % TEST == 0) == tests]
        if domain == "renders":
            return files[-HELD:] if tests else files[:-HELD]
        return files

    def labelled(self, domain: str, tests: bool) -> SegmentationPictures:
        """The pictures of a domain with their labels."""
        files = self.part(domain, tests)
        return self._once(
            f"{domain} {tests}",
            lambda: SegmentationPictures(files, [self.labels[file] for file in files], CAMVID, SIZE, tell=print),
        )

    def target(self, domain: str) -> TargetPictures:
        """The pictures of a domain that are adapted to: of the day, those that are not the test."""
        return self._once(f"{domain} target", lambda: TargetPictures(self.part(domain, False), SIZE))

    def _once(self, name: str, read: Callable[[], Any]) -> Any:
        if name not in self.read:
            self.read[name] = read()
        return self.read[name]


def run_stage(training: SegmenterTraining, stage: int, seed: int) -> None:
    """One stage from its beginning to its end, as the training loop does it."""
    training.begin(stage, Draw(seed, stage, 0))
    for step in range(1, training.stages[stage].steps + 1):
        losses = training.step(Draw(seed, stage, step))
        if step % 50 == 0:
            shown = {name: round(float(loss), 4) for name, loss in losses.items()}
            print(f"  {training.stages[stage].name} {step}", shown, flush=True)


def trained_on_source(training: SegmenterTraining, path: Path, seed: int) -> float:
    """The first stage, or what an earlier arm has kept of it; returns its CPU seconds."""
    Draw(seed, 0, 0).seed_networks()
    if not path.exists():
        began = time.process_time()
        run_stage(training, 0, seed)
        spent = torch.tensor(time.process_time() - began)
        state = {name: tensor.contiguous() for name, tensor in training.network.state_dict().items()}
        save_file(state | {"cpu": spent}, path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
    training.begin(0, Draw(seed, 0, 0))
    state = load_file(path)
    spent = float(state.pop("cpu"))
    training.network.load_state_dict(state)
    return spent


def scored(model: Segmenter, pictures: SegmentationPictures) -> dict[str, str]:
    """The mean IoU in %, the classes that are there, and the IoU of each."""
    counts = ClassCounts(len(model.classes))
    with torch.inference_mode():
        for first in range(0, len(pictures), 8):
            some = range(first, min(first + 8, len(pictures)))
            counts.add(labels_at(pictures, some), model.labels(2 * pictures_at(pictures, some) - 1))
    iou = counts.iou()
    each = {name: "" if v != v else f"{100 * v:.1f}" for name, v in zip(model.classes, iou.tolist(), strict=True)}
    return {"miou": f"{100 * counts.mean_iou():.1f}", "classes": str(int((~iou.isnan()).sum()))} | each


def run_arm(streets: Streets, work: Path, case: str, arm: str, seed: int, settings: dict[str, Any]) -> list[dict]:
    """Train an arm and score it; returns its rows."""
    source, target = CASES[case]
    config = SegmenterConfig(size=f"{SIZE[0]}x{SIZE[1]}", **ARMS[arm], **settings).filled()
    pictures = None if arm == "none" else streets.target(target)
    training = SegmenterTraining(
        streets.labelled(source, False), pictures, config, dtype=precision("auto", "cpu"), tell=print
    )
    kept = work / f"{source}{'-padain' if config.padain else ''}-{seed}.safetensors"
    source_seconds = trained_on_source(training, kept, seed)
    rows: list[dict[str, str]] = []

    def tell(case: str, name: str, tests: SegmentationPictures, seconds: float) -> None:
        facts = {"seed": str(seed), "source_steps": str(config.steps), "cpu_min": f"{seconds / 60:.1f}"}
        rows.append({"case": case, "path": f"{name}, seed {seed}"} | scored(training.model(), tests) | facts)
        print(" ".join(rows[-1].values()), flush=True)

    tests = streets.labelled(target, target == "day")
    if arm in ("none", "fada-padain"):
        tell(case, "none" if arm == "none" else "padain", tests, source_seconds)
        if source == "renders" and case == "render-day":
            name = "none" if arm == "none" else "padain"
            tell("render-held", name, streets.labelled("renders", True), source_seconds)
    began = time.process_time()
    for stage in range(1, len(training.stages)):
        run_stage(training, stage, seed)
        if training.stages[stage].name == "adversarial":
            tell(case, f"{arm}, adversarial stage", tests, time.process_time() - began)
    if arm != "none":
        tell(case, arm, tests, time.process_time() - began)
        if training.kept_before:
            print("  ", training.kept_before, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder in which finished runs are kept")
    parser.add_argument("--renders", type=Path, required=True)
    parser.add_argument("--camvid", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--set", dest="settings", action="append", type=value, default=[], metavar="NAME=VALUE")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    chosen.work.mkdir(parents=True, exist_ok=True)
    streets = Streets(chosen.renders, chosen.camvid)
    for seed in chosen.seeds:
        for arm in chosen.arms:
            for case in chosen.cases:
                finished = chosen.work / f"{case}-{arm}-{seed}.json"
                if not finished.exists():
                    print(case, arm, seed, flush=True)
                    known = {name: one for name, one in chosen.settings if _is_of(name, arm)}
                    rows = run_arm(streets, chosen.work, case, arm, seed, known)
                    finished.with_suffix(".part").write_text(json.dumps(rows))
                    finished.with_suffix(".part").rename(finished)
                record(__file__, json.loads(finished.read_text()))


def _is_of(name: str, arm: str) -> bool:
    """Whether an option is one of an arm: those of other adaptations are refused."""
    return name not in OF_ADAPTATION or ARMS[arm]["adapt"] in OF_ADAPTATION[name][0]


if __name__ == "__main__":
    main()
