"""Independence of codes: freshly trained probes, and a test of whether two codes depend on each other.

Codes are (N, D), one row a picture, of a model in evaluation mode.  About 1,000 rows of each kind make the figures
steady.  A probe finds much more than the critic of a training does, whose own accuracy says little about independence:
it has to follow codes that move away.

All random numbers come from the generator, so that the same codes give the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.errors import InputError, StructkitError

LEAST = 20  # codes of each kind, for a probe
# 1 to 1e-4: half the weight of the squared norm, of standardised codes.
RIDGES = tuple(10 ** (-i / 2) for i in range(9))
BATCH, RATE, EPOCHS, PATIENCE = 128, 1e-3, 100, 8
GAIN = 2e-3  # nats; a probe that gets better by less is done


@dataclass(frozen=True)
class Probe:
    """The findings of a probe.

    accuracy: 0 .. 1, the mean of the shares of right answers about either kind; 0.5 where they cannot be told apart.
    bits: 0 .. 1, a lower bound of the mutual information of code and kind: one bit less the probe's cross-entropy.
    """

    accuracy: float
    bits: float


@dataclass(frozen=True)
class Dependence:
    """The dependence of two codes on each other.

    correlation: of distances, squared and without bias, about 0 for independent codes and 1 for equal ones.
    p: the probability of as much by chance.
    """

    correlation: float
    p: float


def probe(one: Tensor, other: Tensor, *, hidden: int = 0, folds: int = 5, generator: torch.Generator) -> Probe:
    """The findings of probes that learn to tell two kinds of codes apart, (N, D) and (M, D).

    hidden: 0 for a logistic regression, else a network with that many units in its one hidden layer.  The network
    begins where the regression ends and so is never much weaker: from random weights it lost half of what there was to
    find in 480 numbers of 1,500 pictures.
    folds: the number of probes.  Each leaves out its part of the codes, is chosen (strength of the ridge, epoch) on
    another tenth, and asked about its part.
    Row i of either kind is in the same part: if it is one picture with and without something, no probe has seen its
    twin.  Both kinds count the same.
    Raises InputError for fewer than 20 codes of a kind, StructkitError for values that are not finite.
    """
    if min(len(one), len(other)) < LEAST:
        raise InputError(
            f"{len(one)} and {len(other)} codes; a probe learns from at least {LEAST} of each kind: give more pictures"
        )
    kinds = torch.cat([torch.zeros(len(one)), torch.ones(len(other))]).to(one.device)
    weights = torch.where(kinds > 0, 0.5 / len(other), 0.5 / len(one))
    parts = _parts(max(len(one), len(other)), 2 * folds, generator).to(one.device)
    parts, fold = torch.cat([parts[: len(one)], parts[: len(other)]]), torch.arange(folds, device=one.device)[:, None]
    asked, choosing = parts // 2 == fold, parts == (2 * fold + 2) % (2 * folds)
    learner = _Learner(_standardised(torch.cat([one, other]).float()), kinds, weights * ~(asked | choosing))
    answers = _chosen(learner.regressions(), kinds, weights * choosing)
    if hidden:
        answers = _chosen(chain([answers], learner.networks(answers, hidden, generator)), kinds, weights * choosing)
    answer = (answers * asked).sum(0)
    entropy = (F.binary_cross_entropy_with_logits(answer, kinds, reduction="none") * weights).sum() / math.log(2)
    return Probe(float((((answer > 0) == (kinds > 0)) * weights).sum()), max(0.0, 1 - float(entropy)))


def zero_ratio(absent: Tensor, present: Tensor) -> float:
    """The mean absolute code where there is nothing to encode over that where there is.

    0 is ideal; NaN for a code that is always zero.
    """
    return float(absent.double().abs().mean() / present.double().abs().mean())


def dependence(one: Tensor, other: Tensor, *, permutations: int = 199, generator: torch.Generator) -> Dependence:
    """The dependence, of whatever kind, of two codes of the same pictures on each other.

    one, other: (N, D) and (N, E), N at least 4.
    The correlation of distances, corrected for its bias in many dimensions (Szekely and Rizzo 2013), of standardised
    codes; p by permutation, 1 / 200 at least.  Memory: a few N x N matrices.
    """
    if len(one) != len(other) or len(one) < 4:
        raise InputError(
            f"{len(one)} and {len(other)} codes; two codes of the same pictures, at least 4, can be tested for "
            "dependence"
        )
    a, b = (_centred(torch.cdist(x, x)) for x in (_standardised(one.double()), _standardised(other.double())))
    found = (a * b).sum()
    orders = (
        torch.randperm(len(a), generator=generator, device=generator.device).to(a.device) for _ in range(permutations)
    )
    chance = sum(float((a * b[order][:, order]).sum() >= found) for order in orders)
    return Dependence(
        float(found / (a.square().sum() * b.square().sum()).sqrt().clamp_min(1e-300)), (1 + chance) / (1 + permutations)
    )


@dataclass(frozen=True)
class _Learner:
    """Several probes that learn at once.

    codes: (N, D).
    kinds: (N,), 0 or 1.
    weights: (folds, N), 0 for rows that a probe must not learn from.
    """

    codes: Tensor
    kinds: Tensor
    weights: Tensor

    def loss(self, logits: Tensor, rows: Tensor | slice = slice(None)) -> Tensor:
        """The cross-entropy, summed over probes; for all rows a mean."""
        kinds, weights = self.kinds[rows].expand_as(logits), self.weights[:, rows] / self.weights.sum(1, keepdim=True)
        return F.binary_cross_entropy_with_logits(logits, kinds, weight=weights, reduction="sum")

    def regressions(self) -> Iterator[Tensor]:
        """The logits (folds, N) of logistic regressions, from a strong ridge to a weak one."""
        weights = self.codes.new_zeros(self.codes.shape[1], len(self.weights)).requires_grad_()
        offset = self.codes.new_zeros(len(self.weights)).requires_grad_()
        for ridge in RIDGES:
            solver = torch.optim.LBFGS(
                [weights, offset], line_search_fn="strong_wolfe", tolerance_grad=1e-4, tolerance_change=1e-6
            )

            def value(solver=solver, ridge=ridge) -> Tensor:
                solver.zero_grad()
                loss = self.loss((self.codes @ weights + offset).T) + ridge / 2 * weights.square().sum()
                loss.backward()
                return loss

            solver.step(value)
            yield (self.codes @ weights + offset).T.detach()

    def networks(self, start: Tensor, hidden: int, generator: torch.Generator) -> Iterator[Tensor]:
        """The logits (folds, N), after each epoch, of networks whose logits are added to those of `start`."""
        (count, width), folds = self.codes.shape, len(self.weights)
        first = torch.randn(folds, width, hidden, generator=generator, device=generator.device).to(
            start.device
        ) / math.sqrt(width)
        layers = [first, *(start.new_zeros(folds, *shape) for shape in ((1, hidden), (hidden, 1), (1, 1)))]
        solver = torch.optim.AdamW([layer.requires_grad_() for layer in layers], RATE)

        def logits(rows: Tensor | slice) -> Tensor:
            x = self.codes[rows].expand(folds, -1, -1)
            return (
                start[:, rows]
                + torch.baddbmm(layers[3], F.relu(torch.baddbmm(layers[1], x, layers[0])), layers[2])[..., 0]
            )

        for _ in range(EPOCHS):
            for rows in (
                torch.randperm(count, generator=generator, device=generator.device).to(start.device).split(BATCH)
            ):
                solver.zero_grad()
                (self.loss(logits(rows), rows) * count / len(rows)).backward()
                solver.step()
            with torch.no_grad():
                yield logits(slice(None))


def _chosen(candidates: Iterable[Tensor], kinds: Tensor, weights: Tensor) -> Tensor:
    """The candidate (folds, N) of each probe with the least cross-entropy over `weights`.

    The search ends where candidates no longer gain.
    """
    kept = least = None
    waited = 0
    for logits in candidates:
        entropies = F.binary_cross_entropy_with_logits(logits, kinds.expand_as(logits), reduction="none")
        values = (entropies * weights).sum(1) / weights.sum(1)
        if kept is None:
            kept, least = logits, values
            continue
        waited = 0 if (values < least - GAIN).any() else waited + 1
        kept, least = torch.where((values < least)[:, None], logits, kept), values.minimum(least)
        if waited == PATIENCE:
            break
    return kept


def _parts(count: int, parts: int, generator: torch.Generator) -> Tensor:
    """The number of the part of each row, (count,), drawn so that the first n rows are spread evenly, whatever n."""
    rounds = torch.rand(-(-count // parts), parts, generator=generator, device=generator.device)
    return rounds.argsort(1).flatten()[:count]


def _standardised(codes: Tensor) -> Tensor:
    if not codes.isfinite().all():
        bad = int((~codes.isfinite()).sum())
        raise StructkitError(f"{bad} of {codes.numel()} values of a code are not finite; check the model's weights")
    return (codes - codes.mean(0)) / codes.std(0).clamp_min(1e-6)


def _centred(distances: Tensor) -> Tensor:
    """The distances, U-centred (Szekely and Rizzo 2013, eq. 2.11): zero diagonal, and rows whose sums are zero."""
    n = len(distances)
    rows, total = distances.sum(0) / (n - 2), distances.sum() / ((n - 1) * (n - 2))
    return (distances - rows[:, None] - rows[None, :] + total).fill_diagonal_(0)
