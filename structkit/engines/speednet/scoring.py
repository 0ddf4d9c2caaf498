"""The scores of a SpeedNet: how well it tells videos that it has not seen from the same ones at twice the speed.

Looked at are fixed moments, each at its own speed and with every second frame left out: as whoever speeds up a video
does, and without the chance that the training has.  Beside them stand those of the mean motion, which a network must
beat.  Between two versions of a moment (`pairwise`) motion is right nearly always, for the faster one moves twice as
far; over all clips (`accuracy`, `auc`) it is little better than a guess.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from structkit.data.moments import Moments, shown_whole
from structkit.data.speeds import regular
from structkit.engines.speednet.model import LEAST_ACCURACY, SpeedNet
from structkit.kernels.rapid_flow import rapid_motion
from structkit.metrics.detection import area_under_curve, temperature, threshold, wilson

LADDER = tuple(1.25**power for power in range(11))  # factors at which a natural video may still look natural
LADDER_MOMENTS = 32  # videos, at most, that climb it


@dataclass(frozen=True, eq=False)
class MotionScores:
    """The mean motion, px a frame, of the clips of each version, (N,), and the threshold between them.

    The threshold is the best one on other videos.
    """

    natural: Tensor
    fast: Tensor
    threshold: float


@dataclass(frozen=True, eq=False)
class SpeedScores:
    """The logits of both versions of some moments, and what they tell.

    natural, fast: (N,), of the same moments.
    videos: the number of videos that these are of.
    motion: of the same clips, where it was measured.
    reference: the factor up to which videos at their own speed look natural, the median; None where it was not
    measured.
    """

    natural: Tensor
    fast: Tensor
    videos: int
    motion: MotionScores | None = None
    reference: float | None = None

    @property
    def right(self) -> float:
        """The number of the clips that are told right."""
        return float((self.natural < 0).sum() + (self.fast > 0).sum())

    @property
    def pairs(self) -> float:
        """The number of the moments whose faster version has the higher logit; equal ones count as half."""
        return _pairs(self.natural, self.fast)

    @property
    def auc(self) -> float:
        """The chance that a sped-up clip has a higher logit than a natural one, of any moments."""
        return area_under_curve(self.fast, self.natural)

    @property
    def order(self) -> float:
        """The score by which the best weights are kept: pairwise accuracy and area under the curve together.

        The former alone soon is 1.
        """
        return (self.pairs / max(len(self.natural), 1) + self.auc) / 2

    @property
    def temperature(self) -> float:
        """The temperature at which the logits are probabilities."""
        return temperature(self.fast, self.natural)

    def card(self) -> dict[str, float]:
        """The scores by name, shares with the bounds of their intervals; none where no moment was looked at.

        accuracy: of telling clips apart, with a threshold of 0.  pairwise: of telling which of two versions of a moment
        is the faster.  auc: see above.
        flow_accuracy, flow_pairwise, flow_auc: the same by the mean motion; its threshold is the best one on the videos
        that were learned from.
        reference_speed: see above.  moments: how many were looked at.
        The moments of one video are much alike: intervals are as wide as if each video was one case.
        """
        count = len(self.natural)
        if not count:
            return {}
        shares = {"accuracy": self.right / (2 * count), "pairwise": self.pairs / count}
        found: dict[str, float] = {}
        for name, share in shares.items():
            low, high = wilson(share * self.videos, self.videos)
            found |= {name: share, f"{name}_low": low, f"{name}_high": high}
        found |= {"auc": self.auc, "moments": float(count)}
        if (motion := self.motion) is not None:
            told = (motion.natural < motion.threshold).float().mean() + (motion.fast > motion.threshold).float().mean()
            found["flow_accuracy"] = float(told) / 2
            found["flow_pairwise"] = _pairs(motion.natural, motion.fast) / count
            found["flow_auc"] = area_under_curve(motion.fast, motion.natural)
        if self.reference is not None:
            found["reference_speed"] = self.reference
        return {name: round(value, 4) for name, value in found.items()}

    def motion_words(self) -> str:
        """The scores of the mean motion in a line, and whether the network is surely better."""
        card = self.card()
        above = card["accuracy_low"] > max(LEAST_ACCURACY, card["flow_accuracy"])
        verdict = "" if above else ", which it does not surely beat: structkit speedup --method motion serves as well"
        return f"{card['flow_accuracy']:.0%}, {card['flow_pairwise']:.0%} and {card['flow_auc']:.2f}{verdict}"

    def words(self) -> str:
        """The scores in a line."""
        card = self.card()
        if not card:
            return "nothing moves in the videos that are held out"
        return (
            f"accuracy {card['accuracy']:.0%} ({card['accuracy_low']:.0%} to {card['accuracy_high']:.0%}), "
            f"of two versions {card['pairwise']:.0%}, area under the curve {card['auc']:.2f}"
        )


@torch.no_grad()
def calibrate(net: SpeedNet, seen: Moments, *, most: int) -> None:
    """Move the logits of a network, in place, so that 0 is the best threshold on moments that it has learned from.

    The relative objective says little of where natural ends, and the average of the weights is none of those that the
    threshold was learned with.
    """
    logits = [net(clips.to(net.scale.device)).cpu() for clips in _both(net, seen, most)]
    if logits:
        natural, fast = torch.stack(logits, 1)
        net.network.head.bias -= threshold(fast, natural)


@torch.no_grad()
def score_speeds(net: SpeedNet, held: Moments, seen: Moments, *, most: int, beside: bool = False) -> SpeedScores:
    """The scores of a network in evaluation mode on moments of videos that were held out.

    seen: the moments that it has learned from.  most: of the moments that are looked at.
    beside: whether the motion and the reference speed are measured, too.
    """
    motion, reference = None, None
    logits = [net(clips.to(net.scale.device)).cpu() for clips in _both(net, held, most)]
    natural, fast = torch.stack(logits, 1) if logits else torch.zeros(2, 0)
    if beside and logits:
        moved = torch.stack([mean_motion(clips) for clips in _both(net, held, most)], 1)
        known = [mean_motion(clips) for clips in _both(net, seen, most)]
        own = torch.stack(known, 1) if known else moved
        motion = MotionScores(moved[0], moved[1], threshold(own[1], own[0]))
        reference = reference_speed(net, held)
    videos = len({moment.proxy for moment in held.spread(2 * net.config.frames, most)})
    return SpeedScores(natural, fast, videos, motion, reference)


@torch.no_grad()
def reference_speed(net: SpeedNet, moments: Moments) -> float | None:
    """The factor up to which videos at their own speed look natural to a network, the median over them.

    Of each video one moment climbs a ladder of factors until it looks sped up, or its frames end.
    None where no video is long enough for the first step.
    """
    frames, reached = net.config.frames, []
    for moment in moments.spread(2 * frames, LADDER_MOMENTS, each=1):
        proxy, last = moments.proxies[moment.proxy], 1.0
        left = _left(proxy.breaks, moment.start)
        for factor in LADDER:
            at = regular(frames, factor)
            if int(at[-1]) >= left:
                break
            clip = shown_whole(moments.frames(moment, at), net.config.side)[None]
            if float(net(clip.to(net.scale.device))) > 0:
                break
            last = factor
        reached.append(last)
    return float(torch.tensor(reached).median()) if reached else None


def mean_motion(clips: Tensor) -> Tensor:
    """The mean motion of clips (B, 3, T, H, W) in px a frame, (B,): the length of the flow of all pixels and frames."""
    count, frames = clips.shape[0], clips.transpose(1, 2)
    flow = rapid_motion(frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1)).flow
    return flow.square().sum(1).sqrt().mean((1, 2)).view(count, -1).mean(1)


def _both(net: SpeedNet, moments: Moments, most: int) -> Iterator[Tensor]:
    """Both versions of fixed moments, (2, 3, T, h, w) each: at their own speed, and with every second frame left out.

    The natural one is the middle of the other, which takes twice as long.
    """
    frames, side = net.config.frames, net.config.side
    natural, fast = regular(frames, 1.0) + frames // 2, regular(frames, 2.0)
    for moment in moments.spread(2 * frames, most):
        yield torch.stack([shown_whole(moments.frames(moment, at), side) for at in (natural, fast)])


def _left(breaks: np.ndarray, start: int) -> int:
    """The frames from `start` to the next break."""
    later = breaks[start + 1 :].nonzero()[0]
    return int(later[0]) + 1 if len(later) else len(breaks) - start


def _pairs(natural: Tensor, fast: Tensor) -> float:
    return float((fast > natural).sum() + 0.5 * (fast == natural).sum())
