"""What permuted AdaIN, AugMix and PixMix do to a small classifier: accuracy, errors under corruptions, and how far it
leans on the statistics of channels.

    python tests/benchmarks/bench_labels.py WORK --cifar FOLDER [--tin FOLDER] [--epochs 8] [--seeds 3]
        [--corrupted 1000] [--only NAME...]

`--cifar` has train/ and test/; of `--tin` a share is held out, always the same.  Every arm is a ResNet18 of width 16 of
the preset `fast`, in bfloat16 where the processor has it, without worker processes, on one thread.
Equal epochs: all arms see each picture as often.  Equal CPU time: an arm whose step costs more than 2 % more than the
plain one's is trained once more, for as many epochs as the plain one's time pays for.  `step_ratio`: of a step's CPU
time to the plain one's, the arms taking turns.
Errors are of 15 corruptions in five severities (the parameters of 32 px) on `--corrupted` held-out pictures, the same
for all arms.  `swapped`: the accuracy where each channel of each held-out picture gets the mean and deviation of
another picture's (`structkit score texture`); `fall`: by how much it is below the clean accuracy; `followed`: how many
are then taken for the other picture's class.
Figures are means over the seeds, in percent, each with the spread of the seeds (largest minus smallest) behind it,
where there are several.

A finished run is a file in WORK, and the table is made of those that are there.  A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import record
from torch import Tensor

from structkit import score_texture, train_classifier
from structkit.configs.labels import ClassifierConfig
from structkit.data.batches import signed
from structkit.data.corruptions import CATEGORIES, CORRUPTIONS, SEVERITIES, corrupted_batch, seed_of
from structkit.data.labelled import LabelledPictures, read_labelled
from structkit.engines.padain.classifier import Classifier, ClassifierTraining
from structkit.recipes.labels import HELD, SPLIT_SEED
from structkit.training.draw import Draw
from structkit.training.loop import LOG_EVERY
from structkit.training.precision import precision
from structkit.training.stages import Event

ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "pAdaIN paper, p .01": {"padain": 0.01, "padain_sites": "paper"},
    "pAdaIN early, p .5": {"padain": 0.5, "padain_sites": "early"},
    "PixMix": {"pixmix": True},
    "AugMix and JSD": {"augmix": True, "jsd": True},
}
SLOW = "AugMix and JSD"
OF_TIN = ("plain", "pAdaIN paper, p .01")
COSTLIER = 1.02  # times the plain step's CPU time, from which equal epochs are no equal time
TOGETHER = 250  # pictures that are scored at once
STEPS = 25  # of each arm, whose CPU time is measured
DTYPE = precision("auto", "cpu")


@dataclass(frozen=True)
class Run:
    """A training and its scores.

    equal: what it has in common with the plain arm: epochs, or the CPU time.
    """

    data: str
    arm: str
    seed: int
    equal: str = "epochs"

    @property
    def name(self) -> str:
        words = f"{self.data} {self.arm} {self.equal} {self.seed}"
        return "".join(c if c.isalnum() else "-" for c in words)


class Folder:
    """The working folder: the table's pictures, checkpoints, and what finished runs have found."""

    def __init__(self, work: Path, data: dict[str, Path], epochs: int, corrupted: int) -> None:
        self.work, self.data, self.epochs, self.corrupted = work, data, epochs, corrupted
        self.held: dict[str, LabelledPictures] = {}
        work.mkdir(parents=True, exist_ok=True)

    def found(self, run: Run) -> dict[str, Any] | None:
        """What a finished run has found."""
        path = self.work / f"{run.name}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def keep(self, run: Run, found: dict[str, Any]) -> None:
        path = self.work / f"{run.name}.json"
        path.with_suffix(".part").write_text(json.dumps(found, indent=1))
        path.with_suffix(".part").replace(path)

    def pictures(self, name: str) -> LabelledPictures:
        """The pictures that are held out."""
        if name not in self.held:
            folder = self.data[name]
            parts = (folder / "test").is_dir()
            known = read_labelled(folder, part="test" if parts else "train")
            self.held[name] = known if parts else known.split(HELD, SPLIT_SEED)[1]
        return self.held[name]

    def ratios(self) -> dict[str, float]:
        """The CPU time of a step of each arm, as a multiple of the plain one's; measured once."""
        path = self.work / "steps.json"
        if not path.exists():
            path.write_text(json.dumps(step_costs(read_labelled(self.data["cifar10_small"])), indent=1))
        costs = json.loads(path.read_text())
        return {name: cost / costs["plain"] for name, cost in costs.items()}

    def corruptions(self, name: str) -> tuple[np.ndarray, Tensor]:
        """Corrupted pictures (15, 5, n, 32, 32, 3) uint8, and labels (n,); made once."""
        some = self.pictures(name).drawn(self.corrupted)
        path = self.work / f"{name} corrupted {len(some)}.npy"
        if not path.exists():
            pixels = np.stack([some.pixels(i) for i in range(len(some))])
            shape = (len(CORRUPTIONS), len(SEVERITIES), *pixels.shape)
            made = np.lib.format.open_memmap(path.with_suffix(".part"), "w+", np.uint8, shape)
            for k, kind in enumerate(CORRUPTIONS):
                began = time.process_time()
                for s, severity in enumerate(SEVERITIES):
                    seeds = [seed_of(one, kind, severity, 0) for one in some.names]
                    made[k, s] = corrupted_batch(pixels, kind, severity, seeds)
                print(f"{name}: {kind}: {time.process_time() - began:.1f} CPU s", flush=True)
            made.flush()
            path.with_suffix(".part").replace(path)
        return np.load(path, mmap_mode="r"), some.labels


def told(event: Event) -> None:
    """Print how a training goes, now and then."""
    if event.step % 80 < LOG_EVERY:
        losses = ", ".join(f"{name} {value:.3f}" for name, value in event.losses.items())
        print(f"  {event.step}/{event.steps} {losses}", flush=True)


def step_costs(learned: LabelledPictures) -> dict[str, float]:
    """Median CPU seconds of a step of each arm, views made in the same process; the arms take turns."""
    draw, arms, spent = Draw(0, 0, 0, "cpu"), {}, {}
    for name, settings in ARMS.items():
        training = ClassifierTraining(learned, ClassifierConfig(**without_workers(settings)), dtype=DTYPE)
        training.begin(0, draw)
        arms[name], spent[name] = training, []
    for step in range(1, STEPS + 1):
        for name, training in arms.items():
            began = time.process_time()
            training.step(draw.at(step))
            spent[name].append(time.process_time() - began)
    return {name: statistics.median(costs[5:]) for name, costs in spent.items()}


def without_workers(settings: dict[str, Any]) -> dict[str, Any]:
    return settings | ({"workers": 0} if settings.keys() & {"augmix", "pixmix"} else {})


def accuracy(model: Classifier, pixels: np.ndarray, labels: Tensor) -> float:
    """The share of pictures (n, h, w, 3) uint8 that are named rightly."""
    right = 0
    with torch.inference_mode():
        for part, truth in zip(torch.as_tensor(pixels).split(TOGETHER), labels.split(TOGETHER), strict=True):
            right += int((model.logits(signed(part.permute(0, 3, 1, 2))).argmax(1) == truth).sum())
    return right / len(labels)


def scores(model: Classifier, folder: Folder, name: str) -> dict[str, Any]:
    """The figures of a model, as shares."""
    probe = score_texture(model, folder.pictures(name), device="cpu", dtype="auto")
    found: dict[str, Any] = {"clean": probe.clean.accuracy, "swapped": probe.accuracy, "followed": probe.followed}
    model.dtype = DTYPE
    model.network.to(memory_format=torch.channels_last)
    pictures, labels = folder.corruptions(name)
    found["errors"] = {
        kind: [1 - accuracy(model, np.array(pictures[k, s]), labels) for s in range(len(SEVERITIES))]
        for k, kind in enumerate(CORRUPTIONS)
    }
    return found


def carry_out(run: Run, folder: Folder) -> None:
    """Train, score, and keep what is found."""
    epochs = folder.epochs
    if run.equal == "CPU time":
        epochs = max(1, round(epochs / folder.ratios()[run.arm]))
    how = {"seed": run.seed, "device": "cpu", "report": told, "tell": lambda line: print(f"  {line}", flush=True)}
    settings = {"epochs": epochs, "checks": 2} | without_workers(ARMS[run.arm])
    print(f"{run.name}: {epochs} epochs", flush=True)
    model = train_classifier(folder.data[run.data], folder.work / f"{run.name}.safetensors", **how, **settings)
    began = time.process_time()
    found = scores(model, folder, run.data) | {"epochs": epochs}
    print(f"  clean {found['clean']:.3f}, swapped {found['swapped']:.3f}, corruption error {mean(found):.3f};"
          f" scored in {time.process_time() - began:.0f} CPU s", flush=True)  # fmt: skip
    folder.keep(run, found)


def runs(folder: Folder, seeds: int) -> Iterator[Run]:
    """The runs in their order: all arms of a seed, then the next seeds, the slow arm last, then `tin`.

    Of equal CPU time first the arm that differs most from equal epochs.
    """
    yield from (Run("cifar10_small", arm, 0) for arm in ARMS)
    yield from (Run("cifar10_small", arm, seed) for seed in range(1, seeds) for arm in ARMS if arm != SLOW)
    yield from (Run("cifar10_small", SLOW, seed) for seed in range(1, seeds))
    if "tin32_20" in folder.data:
        yield from (Run("tin32_20", arm, seed) for seed in range(seeds) for arm in OF_TIN)
    for arm in reversed(ARMS):
        for seed in range(seeds):
            if folder.ratios()[arm] > COSTLIER:
                yield Run("cifar10_small", arm, seed, "CPU time")


def mean(found: dict[str, Any], kinds: tuple[str, ...] = tuple(CORRUPTIONS)) -> float:
    """The mean error of some kinds."""
    return statistics.mean(statistics.mean(found["errors"][kind]) for kind in kinds)


FIGURES: dict[str, Callable[[dict[str, Any]], float]] = {
    "clean": lambda found: found["clean"],
    "swapped": lambda found: found["swapped"],
    "fall": lambda found: found["clean"] - found["swapped"],
    "followed": lambda found: found["followed"],
    "corruption_error": mean,
    **{
        f"{name}_error": lambda found, kinds=kinds: mean(found, tuple(kinds)) for name, kinds in CATEGORIES.items()
    },
}  # fmt: skip


def table(folder: Folder, seeds: int) -> list[dict[str, str]]:
    """A row for each arm of which there is a finished run."""
    rows = []
    for data in folder.data:
        for equal in ("epochs", "CPU time"):
            for arm in ARMS:
                found = [one for seed in range(seeds) if (one := folder.found(Run(data, arm, seed, equal)))]
                if not found:
                    continue
                row = {"case": f"{data}, equal {equal}", "path": arm, "seeds": str(len(found))}
                row |= {
                    "epochs": "-".join(sorted({str(one["epochs"]) for one in found})),
                    "step_ratio": f"{folder.ratios()[arm]:.2f}",
                }
                for name, figure in FIGURES.items():
                    values = [100 * figure(one) for one in found]
                    row[name] = f"{statistics.mean(values):.1f}"
                    row[f"{name}_spread"] = f"{max(values) - min(values):.1f}" if len(values) > 1 else ""
                rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="the folder in which runs are kept")
    parser.add_argument("--cifar", type=Path, required=True, help="ten classes, in train/ and test/")
    parser.add_argument("--tin", type=Path, help="twenty other classes")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--corrupted", type=int, default=1000, help="held-out pictures that are corrupted")
    parser.add_argument("--only", nargs="+", choices=ARMS, default=list(ARMS), metavar="ARM")
    parser.add_argument("--table", action="store_true", help="train nothing: the table of what is there")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    data = {"cifar10_small": chosen.cifar} | ({"tin32_20": chosen.tin} if chosen.tin else {})
    folder = Folder(chosen.work, data, chosen.epochs, chosen.corrupted)
    for run in runs(folder, chosen.seeds) if not chosen.table else ():
        if run.arm in chosen.only and folder.found(run) is None:
            carry_out(run, folder)
    record(__file__, table(folder, chosen.seeds))


if __name__ == "__main__":
    main()
