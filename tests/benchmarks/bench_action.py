"""What the features of SpeedNet are good for: naming actions, and finding what moves alike.

    python examples/figures.py actions ACTIONS --clips 50
    python examples/figures.py physics PHYSICS --clips 150 --seconds 4
    structkit train speednet PHYSICS -o speed.safetensors    # also with --sees colour
    python tests/benchmarks/bench_action.py ACTIONS --weights "physics, motion=speed.safetensors" [--videos 4 36]

`accuracy`: of videos held out, named by a network that was tuned from the weights, or trained from random ones by as
many steps, with `low` and `high` of 95 % confidence; the mean over `--seeds` trainings.  In cases that end in
"last layer alone" all other weights stay as they are, and it is fitted to one feature of each video.
`retrieval`: the share of videos for which the nearest piece of all other videos is of the same class; queries are the
middle windows.  "pixels": the mean colours of 4 x 4 places in place of features.
CPU seconds are those of the training alone.

What a network sees stands behind its name.  The row "physics, colour" of 38 videos is of `structkit train action
ACTIONS --init speed.safetensors --steps 300`, which does the same.  The weights "physics, colour" are of 150 clips of
4 s and 800 steps; "may ship, motion" of 400 of 3 s and what else may be passed on (README.md), and 1,500 steps.  Two in
five of these clips show crowds of the same kind of people at the same eight actions, which nobody names there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from measure import record
from torch import Tensor

from structkit.configs import ActionConfig, SpeedNetConfig
from structkit.engines.speednet.action import ActionTraining, LabelledVideo
from structkit.engines.speednet.model import SpeedNet
from structkit.metrics.detection import wilson
from structkit.recipes.action import ClassFolders
from structkit.training.draw import Draw
from structkit.training.precision import precision


def read(folder: Path, config: ActionConfig) -> ClassFolders:
    """The material of a folder of classes."""
    material = ClassFolders(folder)
    material.find(Path("none.safetensors"))
    material.read(config, SimpleNamespace(say=print))
    return material


def of_each(videos: Sequence[LabelledVideo], count: int) -> list[LabelledVideo]:
    """The first videos of each class."""
    kept: dict[int, list[LabelledVideo]] = {}
    for video in videos:
        kept.setdefault(video.label, []).append(video)
    return [video for some in kept.values() for video in some[:count]]


def clips(windows: Sequence[Tensor]) -> Tensor:
    """Windows (T, 3, h, w) uint8 as networks see them, (B, 3, T, h, w) in [-1, 1]."""
    return torch.stack(list(windows)).transpose(1, 2).float() / 127.5 - 1


@torch.inference_mode()
def seen(videos: Sequence[LabelledVideo], features: Callable[[Tensor], Tensor], frames: int) -> list[Tensor]:
    """The features of the windows of each video, (windows, C)."""
    return [features(clips(video.windows(frames))) for video in videos]


def colours(windows: Tensor) -> Tensor:
    """The mean colours of 4 x 4 places, (B, 48)."""
    return F.adaptive_avg_pool3d(windows, (1, 4, 4)).flatten(1)


def neighbours(found: Sequence[Tensor], labels: Tensor, centred: bool) -> float:
    """The share of videos whose nearest piece, of another video, is of their class."""
    pieces = torch.cat(list(found))
    owner = torch.cat([torch.full((len(one),), i) for i, one in enumerate(found)])
    if centred:
        pieces = pieces - pieces.mean(0)
    pieces = F.normalize(pieces, dim=1)
    right = 0
    for i, one in enumerate(found):
        middle = (owner == i).nonzero()[len(one) // 2]
        likeness = (pieces @ pieces[middle].T)[:, 0].masked_fill(owner == i, -2)
        right += int(labels[owner[likeness.argmax()]] == labels[i])
    return right / len(found)


def linear_probe(material: ClassFolders, learned: Sequence[LabelledVideo], features: Callable[[Tensor], Tensor],
                 frames: int) -> float:  # fmt: skip
    """The share of videos held out that a linear layer names rightly, on features that are left as they are."""
    rows, held = (
        torch.stack([one.mean(0) for one in seen(videos, features, frames)]).double()
        for videos in (learned, material.held)
    )
    scale = rows.std(0).clamp_min(1e-6)
    rows, held = ((one - rows.mean(0)) / scale for one in (rows, held))
    wanted = F.one_hot(torch.tensor([video.label for video in learned])).double()
    rows, held = (F.pad(one, (0, 1), value=1.0) for one in (rows, held))
    weights = torch.linalg.solve(rows.T @ rows + 10 * torch.eye(rows.shape[1]), rows.T @ wanted)
    told = (held @ weights).argmax(1)
    return float((told == torch.tensor([video.label for video in material.held])).double().mean())


def trained(material: ClassFolders, learned: Sequence[LabelledVideo], config: ActionConfig, start: object,
            seed: int) -> tuple[float, float]:  # fmt: skip
    """The accuracy on videos held out, and the CPU seconds of the training."""
    how = {"start": start, "dtype": precision("auto", "cpu"), "tell": print}
    made = ActionTraining(learned, material.classes, config, held=material.held, **how)
    began = time.process_time()
    (draw := Draw(seed, 0, 0)).seed_networks()
    made.begin(0, draw)
    for step in range(1, config.steps + 1):
        (draw := Draw(seed, 0, step)).seed_networks()
        made.step(draw)
    spent = time.process_time() - began
    return made.scores()["accuracy"], spent


def rows(chosen: argparse.Namespace) -> Iterator[dict[str, str]]:
    usual = SpeedNetConfig().filled()
    models = {name: SpeedNet.load(path) for name, _, path in (given.partition("=") for given in chosen.weights)}
    torch.manual_seed(1)
    blank = {f"random, {view}": SpeedNet(replace(usual, sees=view)).eval() for view in chosen.views}
    models = {**blank, **models}
    config = ActionConfig(steps=1).filled()
    material = read(chosen.classes, config)
    everyone = [*material.learned, *material.held]
    labels = torch.tensor([video.label for video in everyone])
    held, dtype = len(material.held), str(precision("auto", "cpu")).removeprefix("torch.")
    chance = 1 / len(material.classes)

    def row(case: str, path: str, share: float, count: int, cpu: float | None = None) -> dict[str, str]:
        low, high = wilson(share * count, count)
        figures = {"share": f"{share:.3f}", "low": f"{low:.3f}", "high": f"{high:.3f}", "of": str(count)}
        return {"case": case, "path": path, **figures, "cpu_s": "" if cpu is None else f"{cpu:.0f}", "dtype": dtype}

    case = f"retrieval, {len(everyone)} videos"
    seeing = {"pixels": colours, **{name: model.features for name, model in models.items()}}
    if not chosen.retrieval:
        seeing = {}
    else:
        yield row(case, "chance", chance, len(everyone))
    for name, see in seeing.items():
        found = seen(everyone, see, config.frames)
        yield row(case, name, neighbours(found, labels, False), len(everyone))
        yield row(case, f"{name}, less the mean", neighbours(found, labels, True), len(everyone))
    for count in chosen.videos:
        learned = of_each(material.learned, count)
        for steps in chosen.steps:
            case = f"accuracy, {count} videos of each class, {steps} steps"
            yield row(case, "chance", chance, held)
            for name, model in models.items():
                start = None if name in blank else model
                how = ActionConfig(steps=steps, init=start and name, sees=model.config.sees).filled()
                each = [trained(material, learned, how, start, seed) for seed in range(chosen.seeds)]
                accuracy, spent = (sum(figures) / len(each) for figures in zip(*each, strict=True))
                yield row(case, name, accuracy, held, spent)
        for name, model in models.items():
            share = linear_probe(material, learned, model.features, config.frames)
            yield row(f"accuracy, {count} videos of each class, last layer alone", name, share, held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("classes", type=Path)
    parser.add_argument("--weights", nargs="*", default=[], metavar="NAME=PATH", help="checkpoints of SpeedNet")
    parser.add_argument("--videos", nargs="*", type=int, default=[4, 36], help="of each class that are learned from")
    parser.add_argument("--steps", nargs="*", type=int, default=[200])
    parser.add_argument("--views", nargs="*", default=["colour", "motion"], help="of networks with random weights")
    parser.add_argument("--no-retrieval", dest="retrieval", action="store_false", help="accuracies alone")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    for one in rows(chosen):
        record(__file__, [one])


if __name__ == "__main__":
    main()
