"""Signs that a model of content transfer is a bad one, measured without any truth.

elsewhere: the part of the masks that lies where the folders do not differ; what a mask covers in most pictures must
differ between them.  This is not measured of few pictures, of which nothing is sure to differ.
without: the masks of pictures without the content, which should have none, in units of those of pictures with it.
grown: the painter's masks, in units of the decoder's, from which they have grown round by round.
beneath: contents of some pictures, as the model cuts them out, are pasted onto others and taken off again; this is the
error there, in units of that of the mean picture, which a model paints that has learnt nothing.

Pictures that were held out are looked at first, and as many of the others as are wanted.

Measured, in this order: the models that ship, glasses 0.00, 0.01, 0.9, 0.35 and beard 0.00, 0.01, 1.4, 0.19; of
surgical masks on 117 photographs and 102 without, an IoU of 0.86 (12 CPU minutes) 0.03, 0.02, 0.8, 0.53; of 0.40, whose
masks cover the whole face (100 steps of codes at half the size) 0.46, 0.07, 0.8, 0.84; of 0.19 (20 steps) 0.78, 0.94,
0.8, 1.05.  (2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.data.batches import signed
from structkit.engines.transfer.model import ContentTransfer
from structkit.kernels.composite import composite

LIMITS = {"elsewhere": 0.2, "without": 0.25, "grown": 2.0, "beneath": 0.75}  # above, a model is doubtful
FIRST = 0.3  # the threshold at which the decoder's mask is cut: the first of the painter's masks
LOOKED_AT = 64  # pictures of each folder
SEEN = 16  # pictures at a time
SIDE = 32  # px, of the pictures whose means are compared
MEANS = 1000  # pictures of each folder that they are taken from, at most
MOSTLY = 0.5  # share of the pictures with the content in which a mask covers a pixel
SURE = 3.0  # standard errors by which means must differ
# Pictures of a folder whose mean says where it differs; with 8 to 20 a good mask lies where nothing is sure to.
ENOUGH = 50
LEAST_MASK = 1e-4  # mean of masks that cover anything

FolderOptions = Sequence[Tensor]  # pictures with the content and others without, (N, 3, S, S) uint8


@torch.no_grad()
def doubts(net: ContentTransfer, seen: FolderOptions, held: FolderOptions) -> list[str]:
    """The doubts about a model, in sentences; about a good one none."""
    return list(sentences(signs(net, seen, held)))


def signs(net: ContentTransfer, seen: FolderOptions, held: FolderOptions) -> dict[str, float]:
    """All signs that can be measured, by the names above."""
    device = seen[0].device
    with_, without = (
        torch.cat([out.to(device), own[:LOOKED_AT]])[:LOOKED_AT] for out, own in zip(held, seen, strict=True)
    )
    masks, none = (
        torch.cat([net.segment(signed(part)) for part in pictures.split(SEEN)]) for pictures in (with_, without)
    )
    covered = float(masks.mean())
    found = {"beneath": beneath(net, with_, without, seen[1])}
    if min(map(len, seen)) >= ENOUGH:
        found["elsewhere"] = elsewhere(masks, *seen)
    if covered > LEAST_MASK:
        found["without"] = float(none.mean()) / covered
    if net.painter:
        first = torch.cat(
            [net.masked(net.common(signed(part)), net.separate(signed(part))).mask for part in with_.split(SEEN)]
        )
        found["grown"] = covered / max(float((first > FIRST).float().mean()), LEAST_MASK)
    return found


def elsewhere(masks: Tensor, with_: Tensor, without: Tensor) -> float:
    """The part of masks, 0 .. 1, that lies where the folders do not differ.

    masks: (M, 1, S, S), of some pictures with the content.
    with_, without: (N, 3, S, S) uint8.
    """
    (one, of_one), (other, of_other) = (_mean_and_error(pictures[:MEANS]) for pictures in (with_, without))
    alike = ((one - other).abs() < SURE * (of_one + of_other).sqrt()).all(0)
    covered = F.adaptive_avg_pool2d(masks, SIDE).mean((0, 1))
    return float((covered * (alike & (covered > MOSTLY))).sum() / covered.sum().clamp_min(LEAST_MASK))


def beneath(net: ContentTransfer, with_: Tensor, without: Tensor, all_without: Tensor) -> float:
    """The error beneath contents that were pasted and taken off again, in units of that of the mean picture.

    with_, without: (M, 3, S, S) uint8, any M.
    all_without: the pictures of which the mean picture is taken.
    Returns 0 where masks cover nothing.
    """
    some = all_without[:MEANS].split(LOOKED_AT)
    mean = sum(signed(part).sum(0) for part in some) / sum(map(len, some))
    wrong = plain = 0.0
    for own, bare in zip(with_.split(SEEN), without.split(SEEN), strict=False):
        own, bare = (signed(pictures[: min(len(own), len(bare))]) for pictures in (own, bare))
        mask = (net.segment(own) > 0.5).float()
        colours = net.remove(composite(bare, own, mask)).colours
        again = F.interpolate(colours, bare.shape[-2:], mode="bilinear")
        wrong += float((mask * (again - bare).abs()).sum())
        plain += float((mask * (mean - bare).abs()).sum())
    return wrong / plain if plain else 0.0


def sentences(signs: Mapping[str, float]) -> Iterator[str]:
    """The doubts about a model with these signs, by the names above; each with its limit."""
    words = {
        "elsewhere": (
            "{:.0%} of the masks lie where the pictures of the two folders do not differ: they are far too large"
        ),
        "without": "masks of pictures without the content are {:.0%} as large as those of pictures with it",
        "grown": "the painter's masks have grown to {:.2g} times the first ones, and may cover more than the content",
        "beneath": (
            "what is painted beneath the masks is hardly better than the mean picture ({:.0%} of its error): a blur"
        ),
    }
    for name, limit in LIMITS.items():
        if signs.get(name, 0.0) > limit:
            yield f"{words[name].format(signs[name])} (at most {limit:g} is usual)"


def _mean_and_error(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """The means of pixels, and the squared standard errors of these, (3, SIDE, SIDE) each."""
    small = torch.cat([F.adaptive_avg_pool2d(signed(part), SIDE) for part in pictures.split(64)])
    return small.mean(0), small.var(0, correction=0) / len(small) + 1e-6
