"""Classification of pictures with permuted AdaIN (Nuriel, Benaim, Wolf, CVPR 2021).

With a small chance, after a convolution, the features of each picture get the mean and the deviation of another
picture's of the batch: what a network then learns leans less on global statistics, such as colour and contrast.
The layer acts in training alone: it has no weights, and a model is the same with and without it.
AugMix (Hendrycks et al., ICLR 2020) learns from mixtures of changes; with its divergence, that a picture and two
mixtures of it give the same answer.
Differs from the published code: each picture is seen as often as any other and every batch is full, since batches go on
from one pass over the pictures to the next; the rate of the first step is above 0; the scores come from pictures that
are held out, and the weights are by default those of the end, not those that did best on the scored pictures.
Expect: as published, 77.8 % in place of 76.1 % (ResNet18, CIFAR-100, 200 epochs).  What it gives on few pictures and
in few epochs stands in tests/benchmarks/README.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from structkit.configs.labels import ClassifierConfig
from structkit.engines.padain.feed import LabelledSet, PictureFeed
from structkit.engines.padain.layer import PadainHandles, insert_padain
from structkit.errors import CheckpointError, OptionError
from structkit.kernels.convolution import memory_format_of
from structkit.metrics.accuracy import accuracy, chance, confusion, is_no_better, mistakes, share_words
from structkit.nets.resnets import classifier_network
from structkit.training.draw import Draw
from structkit.training.ema import Average
from structkit.training.model import Model
from structkit.training.precision import arithmetic
from structkit.training.schedule import cosine, stepped, straight
from structkit.training.stages import Stage, Training
from structkit.training.state import pack, unpack

MOMENTUM = 0.9
LEAST_RATE = 1e-6  # at the end of a cosine, as published
JSD_WEIGHT = 12.0  # as published
TOGETHER = 500  # pictures that are scored at once
NAMED = 12  # mistakes that are told


class Classifier(Model):
    """A network that names what a picture shows.

    All pictures are (B, 3, H, W) in [-1, 1]; those that it has learned from have sides of `config.side` px.
    classes: the names, in the order of the logits.
    mean, deviation: of each channel of pictures in [0, 1], by which they are normalised.
    """

    kind = "classifier"
    config_class = ClassifierConfig

    def __init__(
        self, config: ClassifierConfig, classes: Sequence[str], mean: Sequence[float], deviation: Sequence[float]
    ) -> None:
        super().__init__(config.filled())
        if not (isinstance(classes, list | tuple) and all(isinstance(name, str) for name in classes)):
            raise CheckpointError("its classes are not a list of texts")
        if len(set(classes)) != len(classes) or len(classes) < 2:
            raise CheckpointError("its classes are not two or more different names")
        for name, values in (("mean", mean), ("deviation", deviation)):
            if not (isinstance(values, list | tuple) and len(values) == 3 and all(map(_is_share, values))):
                raise CheckpointError(f"its {name} is not three numbers between 0 and 1")
        if not all(deviation):
            raise CheckpointError("its deviation has a 0")
        self.classes, self.mean, self.deviation = list(classes), list(mean), list(deviation)
        self.network = classifier_network(self.config.network, len(self.classes), width=self.config.width)
        self.dtype = torch.float32

    def facts(self) -> dict[str, Any]:
        return {"classes": self.classes, "mean": self.mean, "deviation": self.deviation}

    def logits(self, pictures: Tensor) -> Tensor:
        """A logit of each class, (B, K)."""
        seen = normalised((pictures + 1) / 2, self.mean, self.deviation)
        with arithmetic(seen, self.dtype):
            return self.network(seen).float()

    def probabilities(self, pictures: Tensor) -> Tensor:
        """The probability of each class, (B, K), 1 in all."""
        return self.logits(pictures).softmax(1)

    def features(self, pictures: Tensor) -> Tensor:
        """The feature of each picture, (B, D): what the last layer makes logits of."""
        seen = normalised((pictures + 1) / 2, self.mean, self.deviation)
        with arithmetic(seen, self.dtype):
            return self.network.features(seen).float()


class ClassifierTraining(Training):
    """The training of a classifier: one stage, of steps on full batches."""

    model_class = Classifier

    def __init__(
        self,
        learned: LabelledSet,
        config: ClassifierConfig,
        *,
        held: LabelledSet | None = None,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        tell: Callable[[str], None] = lambda note: None,
    ) -> None:
        """learned: the pictures that are learned from (`structkit.data.labelled.LabelledPictures`).
        held: those that the scores come from, of the same classes, which are not learned from.
        dtype: of the network's arithmetic, float32 or bfloat16.
        tell: called with each line about the scores.
        """
        self.config, self.classes = config.filled(), list(learned.classes)
        self.device, self.dtype, self.tell = device, dtype, tell
        self.feed = PictureFeed(learned, self.config, device)
        self.mean, self.deviation = self.feed.statistics() if self.config.normalise == "data" else ([0.5] * 3,) * 2
        self.held = held if held is not None and len(held) else None
        self.batch = min(self.config.batch, len(learned))
        self.stages = [Stage("classifier", max(1, math.ceil(self.config.epochs * len(learned) / self.batch)))]
        self.named: list[int] | None = None  # the classes told of the pictures held out, once they are scored

    def begin(self, stage: int, draw: Draw) -> None:
        self._build()

    def _build(self) -> None:
        c = self.config
        network = classifier_network(c.network, len(self.classes), width=c.width)
        self.network = network.to(self.device, memory_format=memory_format_of(network)).train()
        self.average = Average(self.network, c.ema, statistics=True) if c.ema else None
        self.best = Average(self.network, 0.0) if c.keep == "best" else None
        self.checks = CheckList()
        self.padain = padain_layer(self.network, c) if c.padain else None
        how = {"momentum": MOMENTUM, "nesterov": c.nesterov, "weight_decay": c.weight_decay}
        self.sgd = torch.optim.SGD(self.network.parameters(), c.rate, **how)

    def step(self, draw: Draw) -> dict[str, Tensor]:
        c, steps = self.config, self.stages[draw.stage].steps
        self.sgd.param_groups[0]["lr"] = c.rate * rate_at(c, draw.step, steps)
        views, labels = self.feed.take(draw, steps, self.processes.evenly(self.batch), self.processes)
        seen = normalised(views.flatten(0, 1), self.mean, self.deviation)
        if self.padain is not None:  # each process swaps within its own share, by a plan of its own
            self.padain.draw(replace(draw, device="cpu").generator(f"padain {self.processes.rank}"))
        with arithmetic(seen, self.dtype):
            logits = self.network(seen.contiguous(memory_format=memory_format_of(self.network)))
        logits = logits.float().unflatten(0, views.shape[:2])
        losses = {"loss": F.cross_entropy(logits[0], labels)}
        loss = losses["loss"]
        if len(logits) > 1:
            losses["divergence"] = divergence(logits)
            loss = loss + JSD_WEIGHT * losses["divergence"]
        self.processes.descend(self.sgd, loss, longest=c.clip or None)
        self.processes.mean_buffers(self.network)
        if self.average is not None:
            self.average.update(self.network)
        found = {name: value.detach() for name, value in losses.items()}
        found["accuracy"] = (logits[0].detach().argmax(1) == labels).float().mean()
        if self.held is not None and draw.step * c.checks // steps > (draw.step - 1) * c.checks // steps:
            found["held"] = self._check(draw.step, steps)
        return found

    def _check(self, step: int, steps: int) -> Tensor:
        """The accuracy on the pictures held out, now, to which each process brings its part."""
        truth = torch.as_tensor(self.held.labels)  # type: ignore[union-attr]
        mine = list(range(self.processes.rank, len(truth), self.processes.size))
        told = self._told(self._current(), mine, self.dtype)
        right = (truth[mine] == told).sum().double().to(self.device)
        share = self.processes.mean(right) * self.processes.size / len(truth)
        if self.checks.add(step / steps, float(share)) and self.best is not None:
            self.best.update(self._current())
        return share

    def _current(self) -> nn.Module:
        """The network as it would be used now."""
        return self.network if self.average is None else self.average.module

    @torch.inference_mode()
    def _told(self, network: nn.Module, indices: Sequence[int], dtype: torch.dtype) -> Tensor:
        """The class that a network names for each of these pictures held out, (n,) on the CPU."""
        training, found = network.training, []
        network.eval()
        for first in range(0, len(indices), TOGETHER):
            pictures = self.feed.squares(self.held, indices[first : first + TOGETHER]).to(self.device)
            seen = normalised(pictures.float() / 255, self.mean, self.deviation)
            with arithmetic(seen, dtype):
                found.append(network(seen.contiguous(memory_format=memory_format_of(network))).argmax(1).cpu())
        network.train(training)
        return torch.cat(found) if found else torch.zeros(0, dtype=torch.long)

    def state(self) -> dict[str, Tensor]:
        return pack(**self._parts())

    def restore(self, stage: int, state: Mapping[str, Tensor]) -> None:
        self._build()
        unpack(state, **self._parts())

    def _parts(self) -> dict[str, Any]:
        parts = {"network": self.network, "sgd": self.sgd, "checks": self.checks}
        others = {"average": self.average, "best": self.best}
        return parts | {name: part for name, part in others.items() if part is not None}

    def _chosen(self) -> nn.Module:
        """The network whose weights the model has."""
        return self.best.module if self.best is not None and self.best.updates else self._current()

    def model(self) -> Classifier:
        model = Classifier(self.config, self.classes, self.mean, self.deviation).to(self.device)
        model.network.load_state_dict(self._chosen().state_dict())
        return model.eval()

    def scores(self) -> dict[str, Any]:
        """The accuracy on the pictures held out, with its interval, beside chance; of each class; what was taken for
        what; the last check and the best, and which of them the model is of.
        """
        if self.held is None:
            return {}
        truth, told = self._truth_and_told()
        scores: dict[str, Any] = {"held": len(truth), "chance": round(chance(truth), 6), **accuracy(truth, told)}
        rows = confusion(truth, told, self.classes)
        shares = {true: row.get(true, 0) / sum(row.values()) for true, row in rows.items()}
        scores["classes"] = {true: round(share, 4) for true, share in shares.items()}
        wrong = sorted(mistakes(rows), key=lambda entry: -entry[2])[:NAMED]
        scores["mistakes"] = [f"{true} for {one} {count}x" for true, one, count in wrong]
        scores |= self.checks.scores(self.config.epochs) | {"kept": self.config.keep}
        for line in score_lines(scores):
            self.tell(line)
        return scores

    def doubts(self) -> list[str]:
        """That the classes are not told apart, where they are not."""
        if self.held is None or not is_no_better(*self._truth_and_told()):
            return []
        return [f"on {len(self.held)} pictures held out it is no better than always naming one class"]

    def _truth_and_told(self) -> tuple[list[int], list[int]]:
        """The classes of the pictures held out, and those that the model names."""
        count = len(self.held)  # type: ignore[arg-type]
        if self.named is None:
            self.named = self._told(self._chosen(), range(count), torch.float32).tolist()
        return torch.as_tensor(self.held.labels).tolist(), self.named  # type: ignore[union-attr]


class CheckList:
    """The accuracies that were measured on the way: each with the part of the training that was done."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float]] = []

    def add(self, done: float, share: float) -> bool:
        """Take in a check; True where none was as good before."""
        best = max((one for _, one in self.found), default=-1.0)
        self.found.append((done, share))
        return share > best

    def scores(self, epochs: int) -> dict[str, Any]:
        """The last check and the best, each with its epoch."""
        if not self.found:
            return {}
        best = max(self.found, key=lambda one: one[1])
        return {
            name: {"accuracy": round(share, 6), "epoch": round(done * epochs, 1)}
            for name, (done, share) in (("last_check", self.found[-1]), ("best_check", best))
        }

    def state(self) -> dict[str, Tensor]:
        return {"found": torch.tensor(self.found, dtype=torch.float64).reshape(-1, 2)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.found = [(done, share) for done, share in state["found"].tolist()]


def normalised(pictures: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1] as the network sees them."""
    middle, scale = (pictures.new_tensor(values)[:, None, None] for values in (mean, deviation))
    return (pictures - middle) / scale


def rate_at(config: ClassifierConfig, step: int, steps: int) -> float:
    """The learning rate of a step, from 1, in units of its height."""
    done, rise = (step - 1) / steps, config.warm_up / config.epochs
    if done < rise:
        return min(1.0, step / (rise * steps))
    if config.schedule == "steps":
        return stepped(done, [turn / config.epochs for turn in config.turns()], config.fall)
    return straight(done, rise) if config.schedule == "one-cycle" else cosine(done, LEAST_RATE / config.rate)


def divergence(logits: Tensor) -> Tensor:
    """The Jensen-Shannon divergence of the answers to several views of each picture, a scalar.

    logits: (V, B, K).  With P_v = softmax(logits_v) and M = clamp(mean of P_v, 1e-7, 1): the mean over views and
    pictures of KL(P_v || M) = sum_k P_v (log P_v - log M) (Hendrycks et al., ICLR 2020, eq. 2).
    """
    log = logits.log_softmax(2)
    middle = log.exp().mean(0).clamp(1e-7, 1).log()
    return (log.exp() * (log - middle)).sum(2).mean()


def padain_layer(network: nn.Module, config: ClassifierConfig) -> PadainHandles:
    """The handles of pAdaIN, which is put into the network.  Raises OptionError where it has no place."""
    how: dict[str, Any] = {"pairing": config.pairing, "mix": config.mix}
    if config.padain_sites == "early":
        how["preset"] = "early"
    elif config.padain_sites != "paper":
        how |= {"where": config.padain_sites, "exclude": None}
    elif network.published is not None:
        how["where"] = network.published
    try:
        return insert_padain(network, config.padain, **how)
    except OptionError as error:
        raise OptionError(str(error).replace("with where=", "with --padain-sites, or say --padain 0")) from error


def check_network(config: ClassifierConfig) -> None:
    """Refuse a network that there is not, pictures that it cannot see, and places of pAdaIN that it has not.

    Raises OptionError.
    """
    with torch.device("meta"):  # shapes without memory
        network = classifier_network(config.network, 2, width=config.width).eval()
        try:
            network(torch.zeros(2, 3, config.side, config.side))
        except (RuntimeError, AssertionError, ValueError) as error:  # some of torchvision's know one size alone
            raise OptionError(f"--side is {config.side}, which {config.network} cannot see: use 224") from error
    if config.padain:
        padain_layer(network, config)


def score_lines(scores: Mapping[str, Any]) -> list[str]:
    """The scores in words, a line each."""
    lines = [f"of {scores['held']:,} pictures held out {share_words(scores)}"]
    lines.append(f"always naming one class: {100 * scores['chance']:.0f} % right")
    best, last = (scores.get(name, {"accuracy": 0.0}) for name in ("best_check", "last_check"))
    if best["accuracy"] > last["accuracy"]:
        lines.append(
            f"checks: the last {100 * last['accuracy']:.1f} %, the best {100 * best['accuracy']:.1f} % at epoch "
            f"{best['epoch']:g}; the model is that of the {scores['kept']} one"
        )
    worst = sorted(scores["classes"].items(), key=lambda entry: entry[1])[:3]
    lines.append(f"worst classes: {', '.join(f'{name} {100 * share:.0f} %' for name, share in worst)}")
    return [*lines, f"most often taken for another: {', '.join(scores['mistakes']) or 'none'}"]


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
