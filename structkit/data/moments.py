"""Moments of videos, and clips of them: the runs of frames from which two versions are taken, and how these are shown.

A moment has no cut inside.  Moments in which much moves are drawn more often, and those in which nothing does hardly
ever: an empty scene looks natural at any speed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.data.batches import signed
from structkit.data.proxies import Proxy
from structkit.data.videos import STILL

MOST_STILL = 0.1  # share of the draws that show what hardly moves, at most
MUCH = 16.0  # grey levels; more motion than this makes no moment more frequent
GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Moment:
    """A run of frames: of which proxy, by number, from which frame on, and how many."""

    proxy: int
    start: int
    frames: int


@dataclass(frozen=True, eq=False)
class ClipView:
    """The way in which a clip is shown.

    scale: the side of the square that is seen, in units of the frame's short side, 0 to 1.
    place: of the square, in units of the room that there is, rows and columns, 0 to 1.
    flip: mirrored left to right.
    colours: (T, 3) factors of brightness, contrast and saturation, or None.
    noise: standard deviation, black to white = 2.  seed: of the noise.
    blurred: each frame is blended with the next.
    """

    scale: float = 1.0
    place: tuple[float, float] = (0.5, 0.5)
    flip: bool = False
    colours: Tensor | None = None
    noise: float = 0.0
    seed: int = 0
    blurred: bool = False


class Moments:
    """All moments of some proxies, from which they are drawn by the motion in them."""

    def __init__(self, proxies: Sequence[Proxy], pool: int, least: int) -> None:
        """pool: frames of a moment.  least: of one at the end of a run."""
        self.proxies = list(proxies)
        places, motion = [], []
        for number, proxy in enumerate(self.proxies):
            total = np.concatenate([[0.0], np.cumsum(proxy.motion, dtype=np.float64)])
            for begin, end in runs(proxy):
                starts = np.arange(begin, end - least + 1)
                lengths = np.minimum(pool, end - starts)
                places.append(np.stack([np.full_like(starts, number), starts, lengths], 1))
                motion.append((total[starts + lengths] - total[starts + 1]) / np.maximum(lengths - 1, 1))
        self.places = np.concatenate(places) if places else np.zeros((0, 3), int)
        self.motion = np.concatenate(motion) if motion else np.zeros(0)
        self.weights = np.sqrt(np.clip(self.motion, 0, MUCH))
        still = self.motion < STILL
        rest = self.weights[~still].sum()
        if still.any() and rest > 0:
            self.weights[still] = rest * MOST_STILL / (1 - MOST_STILL) / still.sum()
            self.weights[still] = np.minimum(self.weights[still], np.sqrt(STILL))
        elif still.any():
            self.weights[:] = 1.0
        self._sums = torch.from_numpy(np.cumsum(self.weights))

    def __len__(self) -> int:
        return len(self.places)

    def draw(self, count: int, generator: torch.Generator) -> list[Moment]:
        """Moments, drawn by their weights."""
        at = torch.rand(count, generator=generator, dtype=torch.float64) * self._sums[-1]
        numbers = torch.searchsorted(self._sums, at, right=True).clamp(max=len(self) - 1)
        return [Moment(*map(int, self.places[number])) for number in numbers.tolist()]

    def spread(self, frames: int, most: int, each: int = 8) -> list[Moment]:
        """Moments for scores: spread over each proxy, not one over another, and something moves in each.

        frames: of each.  most: in all.  each: of a proxy, at most.
        """
        found: list[list[Moment]] = []
        for number, proxy in enumerate(self.proxies):
            total = np.concatenate([[0.0], np.cumsum(proxy.motion, dtype=np.float64)])
            starts = [s for begin, end in runs(proxy) for s in range(begin, end - frames + 1, frames)]
            moving = [s for s in starts if (total[s + frames] - total[s + 1]) / (frames - 1) >= STILL]
            some = sorted({moving[len(moving) * k // each] for k in range(each)}) if moving else []
            found.append([Moment(number, start, frames) for start in some])
        # Of each proxy one, then of each a second, ...: no long video has all of them.
        turns = [of[turn] for turn in range(each) for of in found if turn < len(of)]
        return turns[:most]

    def frames(self, moment: Moment, at: Tensor, *, blurred: bool = False) -> Tensor:
        """Frames of a moment, (T, 3, h, w) uint8.

        at: (T,), which of them.  blurred: each is the mean of it and the next of the moment.
        """
        whole = self.proxies[moment.proxy].frames
        picked = np.ascontiguousarray(whole[moment.start + at.numpy()])
        if blurred:
            following = whole[moment.start + (at + 1).clamp(max=moment.frames - 1).numpy()]
            picked = ((picked.astype(np.uint16) + following + 1) // 2).astype(np.uint8)
        return torch.from_numpy(picked).permute(0, 3, 1, 2)


def runs(proxy: Proxy) -> Iterator[tuple[int, int]]:
    """The runs of a proxy's frames between its breaks: begin and end of each."""
    at = np.flatnonzero(np.concatenate([[True], proxy.breaks[1:], [True]]))
    yield from zip(at[:-1].tolist(), at[1:].tolist(), strict=True)


def shown_square(frames: Tensor, view: ClipView, side: int) -> Tensor:
    """A clip, (3, T, side, side) float32 in [-1, 1], of a square of its frames (T, 3, h, w) uint8.

    Reduced with anti-aliasing, which blurs away the noise of codecs.
    """
    height, width = frames.shape[2:]
    seen = max(1, round(view.scale * min(height, width)))
    top, left = (round(share * (room - seen)) for share, room in zip(view.place, (height, width), strict=True))
    cut = resized(frames[:, :, top : top + seen, left : left + seen], (side, side))
    if view.flip:
        cut = cut.flip(3)
    if view.colours is not None:
        cut = coloured(cut, view.colours)
    clip = signed(cut).transpose(0, 1)
    if view.noise:
        drawn = torch.randn(clip.shape, generator=torch.Generator().manual_seed(view.seed))
        clip = (clip + view.noise * drawn).clamp(-1, 1)
    return clip


def shown_whole(frames: Tensor, side: int) -> Tensor:
    """A clip, (3, T, h, w) float32 in [-1, 1], of whole frames (T, 3, H, W) uint8 reduced to a short side."""
    height, width = frames.shape[2:]
    by = side / min(height, width)
    return signed(resized(frames, (max(side, round(by * height)), max(side, round(by * width))))).transpose(0, 1)


def resized(frames: Tensor, shape: tuple[int, int]) -> Tensor:
    """Frames (T, 3, h, w) uint8 at another size: means over the area where they become smaller."""
    if tuple(frames.shape[2:]) == shape:
        return frames
    return F.interpolate(frames, shape, mode="bilinear", align_corners=False, antialias=True)


def coloured(frames: Tensor, factors: Tensor) -> Tensor:
    """Frames (T, 3, h, w) uint8 with other brightness, contrast and saturation.  factors: (T, 3)."""
    brightness, contrast, saturation = (factor.view(-1, 1, 1, 1) for factor in factors.float().unbind(1))
    changed = frames.float() * brightness
    grey = (changed * changed.new_tensor(GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)
    changed = (changed - grey) * saturation + grey
    mean = grey.mean((2, 3), keepdim=True)
    return ((changed - mean) * contrast + mean).round().clamp(0, 255).to(torch.uint8)
