"""The training of the painter, from pictures that it cuts and pastes itself.

The part of a picture with the content that a mask covers is pasted onto a picture without it.  Before and after are
exact truth, for a mask and for what lies beneath it (copy and paste as in Ghiasi et al., CVPR 2021).  The first masks
are those of the masked decoder.  Where they cover too much by mistake, the painter sees seams.  A picture that really
has the content has none, so the painter does not find these places there again.  Thin parts that the first masks missed
it does find, since most are like others that they had.  So it labels the pictures anew, and learns from its own labels
in the next round (a student that becomes the teacher, Xie et al., CVPR 2020).

As soon as the placer knows where a content belongs, the content is pasted onto pictures that have the place for it just
there (glasses onto eyes).  Half of it is pasted as if it were glass, through which they are seen: the eyes beneath
tinted glasses can be read, once the painter has learnt to.

Expect, on avatars, of the default's 20 rounds (1 CPU minute each): glasses, IoU 0.84, 17.7 dB beneath them; beards
0.82, 21.5 dB; of 40 0.87, 17.6 dB and 0.86, 23.4 dB.
The painter before, of two thirds the width and without a palette (see `nets.painter`), had 0.82 and 17.0, 0.64 and 14.8
after 24 rounds, in which things were pasted anywhere and, in half, let all through that they may, without smoothing.
To it, neither placing nor smoothing brought a gain.  With a palette, 16 channels and given masks of glasses, dB after
900 and 1,500 steps: pasted anywhere 16.4 and 16.9; placed, as smooth glass 16.7 and 16.9, but eyes begin to be read,
and with 24 channels 17.9 after 4,000.  Tried without gain: to leave out what small patches of pictures without the
content have as well.  (2026-11)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.data.batches import drawn, mirrored, shifted, signed
from structkit.engines.transfer.model import ContentTransfer
from structkit.kernels.composite import composite
from structkit.media.tensors import from_range, to_range
from structkit.nets.placer import NUMBERS
from structkit.training.draw import Draw
from structkit.training.parallel import Processes
from structkit.training.schedule import falling
from structkit.training.state import pack, unpack

BATCH = 16
RATE, BETAS = 1e-3, (0.9, 0.99)
WARM, DECAY = 0.03, 0.4  # shares of all rounds: the first, over which the rate rises, and the last, over which it falls
SURE = 0.5  # share of all rounds from which on the painter's masks are taken as they are
SHIFT = 4  # px, at most, that what is pasted has moved
PASTED, CLEAR = 0.85, 0.5  # shares of the pictures onto which something is pasted, and of those which show through it
ALIKE = 32  # pictures without the content that a donor's is pasted onto: those whose frames are nearest to its own
APART = (1.0, 1.0, 1.0, 0.15, 0.15)  # the weight of each number of a frame in their distance
INSIDE = 3  # px from the edge of a mask: farther in, glass is smooth
SMOOTH, LEAST = 8, 1e-3  # over so many px; the least weight that is divided by
SHOWS, DARK = 8 / 255, 8 / 255  # differences that are seen, and light that can be divided by, in [0, 1]
COLOURS = 16.0  # weight of the colours beneath the mask, against that of the mask
MARGIN, ELSEWHERE = 3, 0.02  # px around the mask where colours count as well; what they count elsewhere
LABELLED = 50  # pictures at a time
MOST, USES = 4000, 0.5  # pictures that are labelled in a round, at most, and for each that is used in it


class Rule(NamedTuple):
    """The rule by which a content is cut out.

    A pixel is cut out where the mask is above a threshold, or near such a place, and the painter would change what one
    sees.
    """

    threshold: float
    near: int  # px around such places
    changed: float  # the least change of a colour, in [-1, 1]


WIDE = Rule(0.3, 2, 48 / 255)  # at first: it is easier to lose a thin part than to keep what is wrong
# The later rule: to a painter without a palette it brought 0.01 (glasses) and 0.04 (beards) of IoU.
EXACT = Rule(0.5, 0, 24 / 255)


class PainterTraining:
    """The painter of a model, its optimiser, and the masks that it learns from."""

    def __init__(self, net: ContentTransfer, with_: Tensor, without: Tensor) -> None:
        """with_, without: pictures with the content and without it, (N, 3, S, S) uint8."""
        self.net, self.with_, self.without = net, with_, without
        self.adam = torch.optim.Adam(net.painter.parameters(), RATE, BETAS, fused=True)
        self.chosen = torch.arange(min(len(with_), MOST), device=with_.device)  # pictures of the round, then -1
        self.count = len(self.chosen)  # number of pictures of the round
        self.labels = torch.zeros_like(with_[: len(self.chosen), :1], dtype=torch.bool)  # their masks
        # The frames in which the placer expects the content, in units of `apart`: on labelled pictures, and on pictures
        # without it.
        self.frames = torch.zeros(len(self.chosen), NUMBERS, device=with_.device)
        self.places = torch.zeros(len(without), NUMBERS, device=with_.device)
        self.apart = torch.tensor(APART, device=with_.device)

    def step(self, draw: Draw, steps: int, done: float, processes: Processes, *, guided: bool) -> dict[str, Tensor]:
        """Do one step of a round, which is a stage; returns the losses.

        steps: of the round.
        done: the share of all rounds.
        guided: true once the placer has learnt where things belong.
        """
        if draw.step == 1:
            self._choose(USES * steps * BATCH, draw.generator("chosen"))
            self._label(None if draw.stage == 1 else EXACT if done >= SURE else WIDE, guided=guided)
        self.adam.param_groups[0]["lr"] = RATE * min(1.0, (done + 1e-3) / WARM) * falling(done, DECAY)
        batch = self._cut_and_pasted(draw.generator("batch"), processes.evenly(BATCH), guided=guided)
        self.net.eval()
        self.net.painter.train()
        terms = self.losses(*(processes.share(part) for part in batch))
        processes.descend(self.adam, sum(terms.values()))
        return {name: value.detach() for name, value in terms.items()}

    def _choose(self, count: float, generator: torch.Generator) -> None:
        """Choose the pictures of a round: no more than it has use for, since labelling takes time too."""
        count = min(len(self.chosen), max(LABELLED, round(count)))
        self.chosen.fill_(-1)
        self.count = count
        everything = torch.arange(len(self.with_), device=self.with_.device)
        some = (
            everything
            if count == len(self.with_)
            else torch.randperm(len(everything), generator=generator, device=generator.device)
        )
        self.chosen[:count] = some[:count].to(self.chosen)

    @torch.no_grad()
    def _label(self, rule: Rule | None, *, guided: bool) -> None:
        """Find the masks that a round learns from, and where they belong.

        rule: for masks of the painter; None for the first, which the masked decoder makes, when the placer knows
        nothing yet.
        """
        net = self.net.eval()
        for i, part in enumerate(self.chosen[: self.count].split(LABELLED)):
            rows, squares = slice(i * LABELLED, i * LABELLED + len(part)), signed(self.with_[part])
            if rule is None:
                small = net.masked(net.common(squares), net.separate(squares)).mask
                self.labels[rows] = F.interpolate(small, squares.shape[-2:], mode="bilinear") > WIDE.threshold
                continue
            one, other = net.painted(squares), net.painted(squares.flip(3))  # two views: their mean is better than each
            near = grown((one.mask + other.mask.flip(3)) / 2, rule.near) > rule.threshold
            bare = (one.colours + other.colours.flip(3)) / 2
            self.labels[rows] = near & ((bare - squares).abs().amax(1, keepdim=True) > rule.changed)
            if guided:
                self.frames[rows] = net.placed(net.bare(squares, one)) * self.apart
        if guided:
            self.places.copy_(
                torch.cat([net.placed(signed(part)) for part in self.without.split(LABELLED)]) * self.apart
            )

    def losses(self, pasted: Tensor, labels: Tensor, beneath: Tensor) -> dict[str, Tensor]:
        """The losses of the painter.

        The painter is to find what was pasted, and to paint what is beneath it and a little way around it, too.
        pasted, beneath: (B, 3, S, S).
        labels: (B, 1, S, S), 0 or 1.
        """
        made = self.net.overlay(pasted)
        wrong = ((made[:, 1:] - beneath).square() * (grown(labels, MARGIN) + ELSEWHERE)).mean()
        return {"mask": F.binary_cross_entropy_with_logits(made[:, :1], labels), "beneath": COLOURS * wrong}

    @torch.no_grad()
    def _cut_and_pasted(self, generator: torch.Generator, count: int, *, guided: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures without the content, before and after that of others was pasted onto them.

        guided: the content is pasted where it belongs, and half of it lets through some of what is there, see `tinted`.
        Returns the pictures after, (B, 3, S, S); the mask of what shows, (B, 1, S, S); and the pictures before.
        """
        which = drawn(count, self.count, generator)
        pasted, clear = (
            torch.rand(count, 1, 1, 1, generator=generator, device=generator.device) < share
            for share in (PASTED, CLEAR)
        )
        # In [0, 1], as light adds up.
        own, labels = from_range(signed(self.with_[self.chosen[which]])), self.labels[which].float()
        through, onto = torch.zeros_like(own[:, :1]), drawn(count, len(self.without), generator)
        if guided:
            bare = from_range(self.net.eval().painted(to_range(own)).colours)
            share = clear * torch.rand(count, 1, 1, 1, generator=generator, device=generator.device)
            own, through = tinted(own, bare, labels, share)
            onto = self._alike(which, generator)
        beneath = from_range(signed(self.without[onto]))
        *content, beneath = mirrored(torch.cat([own, through, labels * pasted, beneath], 1), generator).split(
            [3, 1, 1, 3], 1
        )
        own, through, labels = shifted(torch.cat(content, 1), SHIFT, generator).split([3, 1, 1], 1)
        after = composite(beneath, (own + through * beneath).clamp(0, 1), labels)
        shows = (after - beneath).abs().amax(1, keepdim=True) > SHOWS
        return to_range(after), labels * shows, to_range(beneath)

    def _alike(self, which: Tensor, generator: torch.Generator) -> Tensor:
        """A picture without the content for each of these labelled ones.

        Drawn from those that have the place for the content at nearly its own.
        """
        near = torch.cdist(self.frames[which], self.places).topk(min(ALIKE, len(self.places)), largest=False).indices
        return near.gather(1, drawn(len(which), near.shape[1], generator)[:, None].to(near))[:, 0]

    def state(self) -> dict[str, Tensor]:
        return pack(adam=self.adam) | {
            "labels": self.labels,
            "chosen": self.chosen,
            "frames": self.frames,
            "places": self.places,
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        unpack(state, adam=self.adam)
        for name in ("labels", "chosen", "frames", "places"):
            getattr(self, name).copy_(state[name])
        self.count = int((self.chosen >= 0).sum())


def tinted(seen: Tensor, bare: Tensor, mask: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """A content as glass: its own light, and the part of what is beneath that it lets through.

    seen, bare: (B, 3, H, W) in [0, 1].
    mask: (B, 1, H, W), 0 or 1.
    share: (B, 1, 1, 1) in [0, 1], of the most that the content could let through (`transmission`); 0 leaves it as it
    is.  Above 0, however little, it is smooth inside the mask, or the donor's eyes would be pasted together with its
    glasses.
    Returns (B, 3, H, W) and (B, 1, H, W).
    """
    through = share * transmission(seen, bare)
    glass = torch.cat([seen - through * bare, through], 1)
    inside = 1 - grown(1 - mask, INSIDE)
    smooth = _blurred(glass * inside) / _blurred(inside).clamp_min(LEAST)
    own, through = torch.where((inside > 0) & (share > 0), smooth, glass).split([3, 1], 1)
    return own, through


def transmission(seen: Tensor, bare: Tensor) -> Tensor:
    """The most that a content can let through of what is beneath it, (B, 1, H, W).

    A content lets light through as tinted glass does, which adds no negative light: the largest T with seen = T bare +
    own, own >= 0.
    seen, bare: (B, 3, H, W) in [0, 1].
    """
    return (seen / bare.clamp_min(DARK)).amin(1, keepdim=True).clamp(0, 1)


def grown(mask: Tensor, by: int) -> Tensor:
    """The largest value within so many px, (B, C, H, W).

    Taken along rows and then along columns, which is less work than by squares.
    """
    return F.max_pool2d(F.max_pool2d(mask, (2 * by + 1, 1), 1, (by, 0)), (1, 2 * by + 1), 1, (0, by))


def _blurred(field: Tensor) -> Tensor:
    """The means of the field around each of its pixels, (B, C, H, W); H and W are multiples of `SMOOTH`."""
    return F.interpolate(F.avg_pool2d(field, SMOOTH), scale_factor=SMOOTH, mode="bilinear")
