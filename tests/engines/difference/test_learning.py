"""What DID learns, on faces of arithmetic whose truth is known: domain a has glasses, b a beard; and what goes wrong
without each loss.

An error inside is over the pixels that must change, in units of leaving them as they are; outside it is absolute.  The
two are always looked at together: a copy of the donor has a small error inside.  What was measured stands beside each
figure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from torch import Tensor

from structkit.configs import DifferenceConfig
from structkit.engines.difference.model import DomainDifference
from structkit.engines.difference.training import DifferenceTraining
from structkit.metrics.independence import probe
from structkit.training.draw import Draw

from ..avatars import eight_bits

pytestmark = pytest.mark.usefixtures("one_thread")

# The published losses alone: with the linear critic of `fast`, 1,800 steps, a probe tells the domain in 55 % of cases,
# but an intersection is left at 0.47, where 1,000 steps at half this rate leave it at 0.39.
# 250 suffice for what is tested.
CONFIG = DifferenceConfig(
    size=16, width=16, widest=64, separate=8, steps=250, rate=4e-3, confusion=0.3, linear=0.0, ramp=0.0
)


@dataclass(frozen=True)
class Faces:
    """Factors of N faces, each drawn alone."""

    ground: Tensor  # (N, 3, 1, 1) colours in [-1, 1]
    skin: Tensor
    glasses: Tensor
    beard: Tensor

    def painted(self, *, glasses: bool = False, beard: bool = False) -> Tensor:
        """(N, 3, 16, 16)"""
        y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
        y, x = y - 7.5, x - 7.5

        def over(images: Tensor, where: Tensor, colour: Tensor) -> Tensor:
            return torch.where(where, colour, images)

        images = over(self.ground.expand(-1, -1, 16, 16), x.square() + y.square() < 36, self.skin)
        if glasses:
            images = over(images, (x.abs() < 5) & (y > -4) & (y < -1), self.glasses)
        if beard:
            images = over(images, (x.abs() < 4) & (y > 1) & (y < 5), self.beard)
        return images


def faces(count: int, seed: int) -> Faces:
    generator = torch.Generator().manual_seed(seed)
    colours = torch.rand(4, count, 3, 1, 1, generator=generator) * 2 - 1
    return Faces(*colours)


@cache
def learnt(config: DifferenceConfig) -> DomainDifference:
    a, b = eight_bits(faces(4000, 1).painted(glasses=True)), eight_bits(faces(4000, 2).painted(beard=True))
    training = DifferenceTraining(a, b, config)
    Draw(7, 0, 0).seed_networks()
    training.begin(0, Draw(7, 0, 0))
    for number in range(1, config.steps + 1):
        training.step(Draw(7, 0, number))
    return training.model()


@dataclass(frozen=True)
class Result:
    """Of one model, on faces that it has not seen."""

    inside: dict[str, float]
    outside: dict[str, float]
    zero: float  # the mean absolute a-code of b, in units of that of a
    told: float  # how often a fresh linear probe tells the domain from the common code


@cache
def result(config: DifferenceConfig) -> Result:
    net, one, two = learnt(config), faces(500, 3), faces(500, 4)
    a, b = one.painted(glasses=True), two.painted(beard=True)
    donated = Faces(two.ground, two.skin, one.glasses, two.beard), Faces(one.ground, one.skin, one.glasses, two.beard)
    with torch.no_grad():
        (common_a, own_a), (common_b, own_b) = (net.common(a), net.separate_a(a)), (net.common(b), net.separate_b(b))
        cases = {
            "b to a": (net.combine(common_b, a=own_a), donated[0].painted(glasses=True), b),
            "a to b": (net.combine(common_a, b=own_b), donated[1].painted(beard=True), a),
            "union": (net.combine(common_b, own_a, own_b), donated[0].painted(glasses=True, beard=True), b),
            "intersection": (net.combine(common_a), one.painted(), a),
        }
        zero = float(net.separate_a(b).abs().mean() / own_a.abs().mean())
    inside, outside = {}, {}
    for name, (made, truth, canvas) in cases.items():
        changed = (truth != canvas).any(1, keepdim=True).expand_as(truth)
        inside[name] = float((made - truth)[changed].abs().mean() / (canvas - truth)[changed].abs().mean())
        outside[name] = float((made - truth)[~changed].abs().mean())
    told = probe(common_a.flatten(1), common_b.flatten(1), generator=torch.Generator().manual_seed(0)).accuracy
    return Result(inside, outside, zero, told)


@pytest.mark.slow  # 6 s
def test_contents_go_from_face_to_face_both_at_once_and_away():
    """What no picture of the training shows is painted, too: both contents, and neither.

    Of three seeds the intersection is left at 0.44 to 0.49; 1,000 steps bring it to 0.37 to 0.39, and wider networks or
    more steps not below 0.36: half of that is the softness that there is outside, too.
    """
    healthy = result(CONFIG)
    assert (
        healthy.inside["b to a"] <= 0.75 and healthy.inside["a to b"] <= 0.75
    )  # 0.64, 0.64; of three seeds 0.62 to 0.67
    assert healthy.inside["union"] <= 0.9 and healthy.inside["intersection"] <= 0.55  # 0.84, 0.47; 0.81 to 0.84
    assert max(healthy.outside.values()) <= 0.18  # 0.15
    assert healthy.zero <= 0.1 and healthy.told <= 0.85  # 0.01, 0.68; 0.68 to 0.76


@pytest.mark.slow  # 6 s
def test_without_the_zero_loss_the_donors_face_comes_along():
    copying = result(replace(CONFIG, zero=0.0))
    assert copying.zero > 0.5  # 0.76
    assert (
        copying.outside["b to a"] >= 1.5 * result(CONFIG).outside["b to a"]
    )  # 0.31, 0.15; of three seeds 1.7 to 2.1 times


@pytest.mark.slow  # 6 s
def test_without_confusion_the_common_code_tells_the_domain_and_contents_stay():
    confident = result(replace(CONFIG, confusion=0.0))
    assert confident.told >= result(CONFIG).told + 0.07  # 0.93, 0.68; of three seeds 0.90 to 0.93, 0.68 to 0.76
    assert (
        confident.inside["intersection"] >= 1.4 * result(CONFIG).inside["intersection"]
    )  # 0.81, 0.47; 1.6 to 1.8 times
