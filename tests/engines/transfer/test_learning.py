"""What content transfer learns, on faces whose truth is known; and that without confusion it learns nothing.

An error inside is over the pixels that the glasses change, in units of leaving them as they are; outside it is
absolute, in [-1, 1].  The two are always looked at together: a copy of the donor has a small error inside.  What was
measured stands beside each figure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.configs import TransferConfig
from structkit.data.batches import signed
from structkit.engines.transfer.model import ContentTransfer
from structkit.engines.transfer.training import TransferTraining
from structkit.kernels.composite import composite
from structkit.training.draw import Draw

from ..avatars import eight_bits, errors, faces, glasses, reduced

pytestmark = pytest.mark.usefixtures("one_thread")

# Codes of 16 px see blocks of 2 x 2: a step takes 0.035 s of one core, where one of 32 px takes four times as much.
CONFIG = TransferConfig(
    size=16, width=24, widest=96, separate=8, narrow=64, steps=300, batch=24, rate=2e-3, confusion=0.1, critic_steps=1,
    sparsity=0.0, ramp=0.3, decay=0.3, painter=0, rounds=0,
)  # fmt: skip

# The same codes, then the painter: 16 s more.
PAINTED = replace(CONFIG, painter=16, rounds=3, painter_steps=150, painter_size=32, placer_steps=1)

# The masks are kept small, from step 160 on and fully from 320.
LONG = replace(CONFIG, steps=800, rate=2.5e-3, confusion=0.05, form="flipped", sparsity=0.1, ramp=0.2, decay=0.0)


@dataclass(frozen=True)
class Truth:
    """Of faces that no training sees, (N, 3, S, S) in [-1, 1]: with glasses, bare, others, and these with the glasses
    of the first.
    """

    with_: Tensor
    bare: Tensor
    others: Tensor
    worn: Tensor
    mask: Tensor  # (N, 1, S, S) of `with_`, 0 or 1


@cache
def truth(size: int, count: int = 200) -> Truth:
    one, other, worn = faces(count, 3), faces(count, 4), glasses(count, 5)
    pictures = (
        reduced(signed(part), size) for part in (one.painted(worn), one.painted(), other.painted(), other.painted(worn))
    )
    covered = torch.from_numpy(one.covered(worn)).float()[:, None]
    return Truth(*pictures, (reduced(covered, size) >= 0.5).float())


@cache
def learnt(config: TransferConfig) -> list[ContentTransfer]:
    """The model after each stage of the training: first that of the codes."""
    size = config.filled().seen
    pictures = (faces(1200, 1).painted(glasses(1200, 6)), faces(1200, 2).painted())
    models, training = [], TransferTraining(*(eight_bits(reduced(signed(part), size)) for part in pictures), config)
    for number, stage in enumerate(training.stages):
        Draw(7, number, 0).seed_networks()
        training.begin(number, Draw(7, number, 0))
        for step in range(1, stage.steps + 1):
            training.step(Draw(7, number, step))
        models.append(training.model())
    return models


@torch.no_grad()
def transferred(net: ContentTransfer) -> tuple[float, float]:
    true = truth(net.size)
    layer = net.put(true.others, net.separate(true.with_))
    return errors(composite(true.others, layer.colours, layer.mask), true.worn, true.others)


def iou(masks: Tensor, true: Tensor) -> float:
    both, either = ((masks >= 0.5) & (true > 0)).sum((1, 2, 3)), ((masks >= 0.5) | (true > 0)).sum((1, 2, 3))
    return float((both / either).mean())


def test_the_glasses_are_the_only_difference_and_the_mask_is_where_it_is():
    true = truth(32)
    assert not torch.equal(true.with_, true.bare) and 0.04 < true.mask.mean() < 0.12
    differs = (true.with_ - true.bare).abs().amax(1, keepdim=True) > 0
    assert (differs & (F.max_pool2d(true.mask, 3, 1, 1) == 0)).float().mean() < 0.01
    inside, outside = errors(true.others, true.worn, true.others)
    assert (inside, outside < 0.01) == (1.0, True)


@pytest.mark.slow  # 26 s, with the painter
def test_glasses_are_put_on_and_found():
    net, true = learnt(PAINTED)[0], truth(16)
    inside, outside = transferred(net)
    assert inside <= 0.7 and outside <= 0.06  # 0.63, 0.017; of three seeds 0.60 to 0.67
    with torch.no_grad():
        on, off = (
            net.segment(true.with_),
            net.masked(net.common(true.others), torch.zeros_like(net.separate(true.others))).mask,
        )
    assert on.mean() > 2 * off.mean() and off.mean() < 0.03  # 0.137, 0.016
    assert iou(on, true.mask) >= 0.2  # 0.36; 0.26 to 0.36


@pytest.mark.slow  # 9 s
def test_without_confusion_nothing_is_transferred():
    """The common code then tells of the glasses all that there is to tell, and the separate code is hardly listened to.

    Of three seeds 0.90 to 0.95, 1.41 to 1.50 times what the same seed reaches with confusion; twice as many steps left
    it at 0.90.
    """
    inside, _ = transferred(learnt(replace(CONFIG, confusion=0.0))[0])
    assert inside >= 0.88  # 0.93
    assert inside >= 1.33 * transferred(learnt(PAINTED)[0])[0]


@pytest.mark.slow  # 23 s
@torch.no_grad()
def test_in_time_the_mask_is_the_glasses_which_are_put_on_and_taken_off():
    with torch.enable_grad():
        [net] = learnt(LONG)
    true = truth(16)
    inside, outside = transferred(net)
    assert inside <= 0.57 and outside <= 0.03  # 0.48, 0.004; of three seeds 0.48 to 0.50
    layer = net.remove(true.with_)
    assert iou(layer.mask, true.mask) >= 0.42  # 0.52; of three seeds 0.49 to 0.55
    inside, outside = errors(composite(true.with_, layer.colours, layer.mask), true.bare, true.with_)
    assert inside <= 0.65 and outside <= 0.03  # 0.55, 0.002; of three seeds 0.55 to 0.56


@pytest.mark.slow
@torch.no_grad()
def test_the_painter_finds_what_the_first_masks_did_and_leaves_bare_faces_alone():
    with torch.enable_grad():
        net = learnt(PAINTED)[-1]
    true = truth(32)

    def first(squares: Tensor) -> Tensor:
        mask = net.masked(net.common(squares), net.separate(squares)).mask
        return F.interpolate(mask, squares.shape[-2:], mode="bilinear")

    # 0.43, 0.29; of three seeds 0.38 to 0.47, 0.23 to 0.31
    assert iou(net.segment(true.with_), true.mask) > iou(first(true.with_), true.mask) + 0.03
    bare = float(net.segment(true.others).mean())
    assert bare < 0.03 and bare < 0.5 * float(first(true.others).mean())  # 0.01, 0.09; 0.005 to 0.012, 0.09 to 0.11
    layer = net.remove(true.with_)
    inside, outside = errors(composite(true.with_, layer.colours, layer.mask), true.bare, true.with_)
    assert inside < 0.6 and outside < 0.03  # 0.43, 0.007; 0.40 to 0.50


@torch.no_grad()
def test_taking_off_decodes_with_nothing_whatever_the_weights_of_the_separate_channels():
    """The authors decode with a code that goes into channels which were never trained (0 in, and so no gradient)."""
    torch.manual_seed(0)
    net, true = ContentTransfer(CONFIG.filled()).eval(), truth(16)
    before = net.remove(true.with_[:4]).colours
    first = next(net.plain_decoder.parameters())  # a transposed convolution: its inputs come first
    first[net.common_channels :] = 1e6
    assert torch.equal(net.remove(true.with_[:4]).colours, before)
    first[: net.common_channels] *= 2
    assert not torch.equal(net.remove(true.with_[:4]).colours, before)
