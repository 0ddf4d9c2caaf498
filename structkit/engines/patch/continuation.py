"""The continuation of a clip, roughly: how it may go on, for the patches to make good.

After video textures (Schoedl et al., SIGGRAPH 2000): a frame of the clip that looks and moves like the last one is
looked for, and what follows it is played.  Here what follows is moved along the way from the last frame to the one
found (`kernels/flow.py`): the clip goes on from where things are, and a pan goes on with its speed.
A continuation longer than what can be played jumps again.

Clips are (1, 3, T, H, W) in [-1, 1].  The same generator state gives the same result.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from structkit.kernels.flow import motion, warp
from structkit.kernels.pyramid import Shape, resize

SHORT = 72  # px: short side of the pictures that are compared and moved
AGO = 3  # frames between the two in which the past is compared: what looks alike and moves alike
CHOICES = 5  # frames to go on from among which a draw decides
APART = 3  # frames between two of them, at least
PLAYED = 0.35  # part of a clip that a jump plays, at least, where so many frames are asked for
STILL = 0.2  # change, in units of the clip's median, up to which a last frame only repeats the one before


def continuation(clip: Tensor, frames: int, *, variety: float, generator: torch.Generator) -> tuple[Tensor, list[int]]:
    """The next frames (1, 3, frames, h, w), small, and for each the clip's frame that it was made from."""
    small = frame_by_frame(clip, small_shape(clip.shape[-2:]))[0].transpose(0, 1)  # (T, 3, h, w)
    count = lively_frames(clip)
    made, sources = list(small), []
    while len(sources) < frames:
        wanted = min(frames - len(sources), max(1, round(PLAYED * count)))
        jump, way = _jump(small[:count], torch.stack(made[-1 - AGO :]), wanted, variety, generator)
        for source in range(jump + 1, min(jump + 1 + frames - len(sources), count)):
            made.append(warp(small[source, None], way)[0])
            sources.append(source)
        if count < 2:
            made, sources = [*made, small[-1]], [*sources, len(small) - 1]
    return torch.stack(made[len(small) :], 1)[None], sources


def small_shape(shape: Sequence[int], short: int = SHORT) -> Shape:
    """The shape (H, W) reduced to a short side of `short` px, if it is longer."""
    by = min(1.0, short / min(shape))
    return tuple(round(side * by) for side in shape)


def frame_by_frame(clip: Tensor, shape: Shape) -> Tensor:
    """The clip with frames of another shape (H, W)."""
    return resize(clip, (clip.shape[2], *shape)).clamp(-1, 1)


def lively_frames(clip: Tensor) -> int:
    """The number of frames without those at the end that only repeat one: nothing goes on from there."""
    change = torch.stack([(b - a).abs().mean() for a, b in itertools.pairwise(clip[0].unbind(1))] or [torch.zeros(())])
    moving = (change > STILL * change.median()).nonzero()
    return int(moving[-1]) + 2 if len(moving) else 1


def _jump(small: Tensor, past: Tensor, wanted: int, variety: float, generator: torch.Generator) -> tuple[int, Tensor]:
    """The frame after which to go on, and the way (1, 2, h, w) from the last of the past to it."""
    last, ago = past[-1:], past[:1]
    back = min(len(past) - 1, AGO)
    until = max(1, len(small) - wanted)  # frames that enough follow
    first = min(back, until - 1)
    candidates = torch.arange(first, until)
    cost = (small[candidates] - last).abs().mean((1, 2, 3))
    cost = cost + (small[(candidates - back).clamp_min(0)] - ago).abs().mean((1, 2, 3))
    chosen: list[int] = []
    for at in cost.argsort(stable=True).tolist():
        if len(chosen) < CHOICES and all(abs(at - other) >= APART for other in chosen):
            chosen.append(at)
    frames = candidates[chosen]
    ways = motion(last.expand(len(frames), -1, -1, -1), small[frames])
    rest = (warp(small[frames], ways) - last).abs().mean((1, 2, 3))
    rest = rest + (warp(small[(frames - back).clamp_min(0)], ways) - ago).abs().mean((1, 2, 3))
    chances = torch.softmax(-(rest / rest.amin().clamp_min(1e-3) - 1) / max(variety, 1e-3), 0)
    drawn = int(torch.multinomial(chances, 1, generator=generator) if variety else chances.argmax())
    return int(frames[drawn]), ways[drawn, None]
