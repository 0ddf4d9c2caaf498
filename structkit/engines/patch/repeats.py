"""Repeats: a clip that nearly leads back to its own first frame, for the patches to close.

The stretch of the clip whose frames after its end look most like those at its start; over the first of them the one
fades into the other, as in video textures (Schoedl et al., SIGGRAPH 2000).

Clips are (1, 3, T, H, W) in [-1, 1]; shapes are (T, H, W).
"""

from __future__ import annotations

import torch
from torch import Tensor

from structkit.kernels.pyramid import Shape, resize

FADED = 0.25  # of a loop's frames
SHORTEST = 0.6  # of the result's frames, those of the stretch: it is slowed down as much


def near_loop(clip: Tensor, shape: Shape) -> Tensor:
    """The start (1, 3, *shape) of a loop."""
    small = resize(clip, (clip.shape[2], *shape[1:])).clamp(-1, 1)
    first, length, faded = _stretch(small, shape[0])
    stretch = small[:, :, first : first + length].clone()
    after = small[:, :, first + length : first + length + faded]
    if faded:
        share = (torch.arange(faded).to(small) + 0.5) / faded
        stretch[:, :, :faded] = torch.lerp(after, stretch[:, :, :faded], share[:, None, None])
    return around_resized(stretch, shape)


def around_resized(loop: Tensor, shape: Shape) -> Tensor:
    """The loop (1, C, T, H, W) in another shape, its last frame still followed by its first."""
    frames, more = loop.shape[2], shape[0]
    three = resize(torch.cat([loop] * 3, 2), (3 * more, *shape[1:])) if more != frames else resize(loop, shape)
    return three[:, :, more : 2 * more] if more != frames else three


def _stretch(small: Tensor, frames: int) -> tuple[int, int, int]:
    """First frame, length and faded frames of the stretch of a small clip that is nearest to a loop."""
    count = small.shape[2]
    longest = min(count, frames)
    best, found = float("inf"), (0, longest, 0)
    for length in range(max(1, round(SHORTEST * longest)), longest + 1):
        faded = round(FADED * length)
        if length + faded > count:
            break
        apart = (small[:, :, length:] - small[:, :, : count - length]).abs().mean((0, 1, 3, 4))
        apart = apart.unfold(0, max(1, faded), 1).mean(1)
        cost = float(apart.min()) * (longest / length) ** 0.5  # a stretch that is slowed down must be the better
        if cost < best:
            best, found = cost, (int(apart.argmin()), length, faded)
    return found
