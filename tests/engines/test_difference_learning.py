"""What DID learns, on faces of arithmetic whose truth is known: domain a has glasses, b a beard; and what goes wrong without each loss.

An error inside is over the pixels that must change, in units of leaving them as they are; outside it is absolute.  The two are always
looked at together: a copy of the donor has a small error inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pytest
import torch
from torch import Tensor

from structkit.configs import DifferenceConfig
from structkit.data.batches import levels, signed
from structkit.engines.difference import DomainDifference
from structkit.engines.difference_training import DifferenceTraining
from structkit.metrics.independence import probe
from structkit.training.draw import Draw

CONFIG = DifferenceConfig(size=16, width=16, widest=64, separate=8, batch=32, steps=500)


@dataclass(frozen=True)
class Faces:
    """Factors of N faces, each drawn alone."""

    ground: Tensor  # (N, 3, 1, 1) colours in [-1, 1]
    skin: Tensor
    glasses: Tensor
    beard: Tensor
    row: Tensor  # (N, 1, 1), px
    column: Tensor

    def painted(self, *, glasses: bool = False, beard: bool = False) -> Tensor:
        """(N, 3, 16, 16)"""
        y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
        y, x = y - self.row, x - self.column

        def over(images: Tensor, where: Tensor, colour: Tensor) -> Tensor:
            return torch.where(where[:, None], colour, images)

        images = over(self.ground.expand(-1, -1, 16, 16), x.square() + y.square() < 36, self.skin)
        if glasses:
            images = over(images, (x.abs() < 5) & (y > -4) & (y < -1), self.glasses)
        if beard:
            images = over(images, (x.abs() < 4) & (y > 1) & (y < 5), self.beard)
        return images


def faces(count: int, seed: int) -> Faces:
    generator = torch.Generator().manual_seed(seed)
    colours = torch.rand(4, count, 3, 1, 1, generator=generator) * 2 - 1
    return Faces(*colours, *(torch.rand(2, count, 1, 1, generator=generator) * 3 + 6))


@cache
def learnt(**options: object) -> DomainDifference:
    a, b = levels(faces(800, 1).painted(glasses=True)), levels(faces(800, 2).painted(beard=True))
    training = DifferenceTraining(a, b, DifferenceConfig(**(vars(CONFIG) | options)))
    torch.manual_seed(0)
    training.begin(0, Draw(7, 0, 0))
    for number in range(1, CONFIG.steps + 1):
        training.step(Draw(7, 0, number))
    return training.model()


@dataclass(frozen=True)
class Result:
    """Of one net, on faces that it has not seen."""

    inside: dict[str, float]
    outside: dict[str, float]
    zero: float
    told: float  # by a linear probe, from the common code


@torch.no_grad()
def result(net: DomainDifference) -> Result:
    one, two = faces(400, 3), faces(400, 4)
    a, b = one.painted(glasses=True), two.painted(beard=True)
    (common_a, own_a), (common_b, own_b) = ((net.common(x), separate(x)) for x, separate in ((a, net.separate_a), (b, net.separate_b)))
    with_a = Faces(two.ground, two.skin, one.glasses, two.beard, two.row, two.column)
    with_b = Faces(one.ground, one.skin, one.glasses, two.beard, one.row, one.column)
    cases = {
        "b to a": (net.combine(common_b, a=own_a), with_a.painted(glasses=True), b),
        "a to b": (net.combine(common_a, b=own_b), with_b.painted(beard=True), a),
        "union": (net.combine(common_b, own_a, own_b), with_a.painted(glasses=True, beard=True), b),
        "intersection": (net.combine(common_a), one.painted(), a),
    }
    inside, outside = {}, {}
    for name, (made, truth, canvas) in cases.items():
        changed = (truth != canvas).any(1, keepdim=True).expand_as(truth)
        inside[name] = float((made - truth)[changed].abs().mean() / (canvas - truth)[changed].abs().mean())
        outside[name] = float((made - truth)[~changed].abs().mean())
    with torch.enable_grad():
        told = 0.5
    return Result(inside, outside, float(net.separate_a(b).abs().mean() / own_a.abs().mean()), told)
