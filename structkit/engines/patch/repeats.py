"""Repeats: a clip that nearly leads back to its own first frame, for the patches to close.

The stretch of the clip whose frames after its end look most like those at its start; over the first of them the one
turns into the other, as in video textures (Schoedl et al., SIGGRAPH 2000), but along their motion (`Morph`): what moves
finds its way.  Where things would have to hurry for that, since they only go one way, the clip is taken forwards and
then backwards.

Clips are (1, 3, T, H, W) in [-1, 1]; shapes are (T, H, W).
"""

from __future__ import annotations

import torch
from torch import Tensor

from structkit.engines.patch.morph import Morph
from structkit.kernels.flow import motion
from structkit.kernels.pyramid import Shape, resize

FADED = 0.25  # of a loop's frames
WORSE = 1.3  # times the best stretch's change at the joint that another may have
SMALL = 56  # px: short side at which speeds are compared
HASTY = 2.0  # times the clip's own speed, from which on what has to find its way back would be seen to blur
SHORTEST = 0.6  # of the result's frames, those of the stretch: it is slowed down as much


def near_loop(clip: Tensor, shape: Shape, generator: torch.Generator | None) -> Tensor:
    """The start (1, 3, *shape) of a loop, of a clip with its frame rate.

    generator: draws from several good stretches; None takes the best.
    """
    small = resize(clip, (clip.shape[2], *shape[1:])).clamp(-1, 1)
    first, length, faded = loop_stretch(small, shape[0], generator)
    stretch = list(small[:, :, first : first + length].unbind(2))
    after = small[:, :, first + length : first + length + faded].unbind(2)
    for i, frame in enumerate(after):
        stretch[i] = Morph(frame, stretch[i]).at((i + 0.5) / faded)[0]
    return around_resized(torch.stack(stretch, 2), shape)


def with_way_back(clip: Tensor, frames: int) -> Tensor:
    """The clip, and behind it the same backwards where a loop of so many frames would else have to hurry back."""
    by = min(1.0, SMALL / min(clip.shape[3:]))
    small = resize(clip, (clip.shape[2], *(max(8, round(side * by)) for side in clip.shape[3:]))).clamp(-1, 1)
    first, length, faded = loop_stretch(small, frames, None)
    if not faded or length < 2:
        return clip
    stretch = small[0, :, first : first + length + faded].transpose(0, 1)
    usual = _way(stretch[: length - 1], stretch[1:length])
    leap = _way(stretch[length:], stretch[:faded]) / (faded + 1)
    return torch.cat([clip, clip[:, :, 1:-1].flip(2)], 2) if leap > HASTY * max(usual, 1e-3) else clip


def _way(one: Tensor, other: Tensor) -> float:
    """The mean way, px, of what moves between frames (N, 3, h, w) and others."""
    ways, apart = motion(one, other).norm(dim=1), (one - other).abs().mean(1)
    return float((ways * apart).sum() / apart.sum().clamp_min(1e-6))


def around_resized(loop: Tensor, shape: Shape) -> Tensor:
    """The loop (1, C, T, H, W) in another shape, its last frame still followed by its first."""
    frames, more = loop.shape[2], shape[0]
    if more == frames:
        return resize(loop, shape)
    return resize(torch.cat([loop] * 3, 2), (3 * more, *shape[1:]))[:, :, more : 2 * more]


def loop_stretch(small: Tensor, frames: int, generator: torch.Generator | None) -> tuple[int, int, int]:
    """The stretch of a small clip (1, 3, T, h, w) that is nearest to a loop of so many frames: its first frame, its
    length, and how many frames after it are faded into its first ones.
    """
    count = small.shape[2]
    longest = min(count, frames)
    change = small.diff(dim=2, append=small[:, :, -1:]).abs().mean((0, 1, 3, 4))
    found: list[tuple[float, int, int, int]] = []
    for length in range(max(1, round(SHORTEST * longest)), longest + 1):
        faded = round(FADED * length)
        if length + max(1, faded) > count:
            break
        apart = (small[:, :, length:] - small[:, :, : count - length]).abs().mean((0, 1, 3, 4))
        apart = apart.unfold(0, max(1, faded), 1).mean(1)
        # In units of the stretch's own change, or a still one were the best.  One that is slowed down must be better.
        lively = change.unfold(0, length, 1).mean(1)[: len(apart)] if count > length else change.mean()
        cost = apart / lively.clamp_min(1e-4) * (longest / length) ** 0.5
        found += [(value, first, length, faded) for first, value in enumerate(cost.tolist())]
    if not found:
        return 0, longest, 0
    good = [one for one in sorted(found) if one[0] <= WORSE * min(found)[0]][:: max(1, round(FADED * longest))]
    drawn = 0 if generator is None else int(torch.randint(len(good), (), generator=generator, device=generator.device))
    return good[drawn][1:]
