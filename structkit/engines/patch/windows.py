"""Windows: a long clip is made piece by piece, each fitted to what stands of its neighbours.

The first frames of a window are made already, and are held (`synthesis.HeldPart`): its patches reach over them, so that
motion goes through.  Its last ones, behind which nothing stands yet, come to rest: the next window lets them go, one
after another.  Memory is that of a window, time grows with the frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from structkit.configs import ClipConfig
from structkit.engines.patch.synthesis import HeldPart
from structkit.kernels.pyramid import Shape

VOXELS = 1_000_000  # of a window, and of its keys: about 1 GB in all (tests/benchmarks/genvideo_time.csv)
LEAST = 24  # frames
HELD = 4  # frames of a window that the one before has made
LOOSE = 6  # frames that the next window makes anew, from less and less of them
SHARED = HELD + LOOSE


def window_frames(config: ClipConfig, shape: Sequence[int]) -> int:
    """The frames of a window of frames (height, width)."""
    return config.window or max(LEAST, VOXELS // math.prod(shape))


def spans(frames: int, window: int, *, loop: bool = False) -> list[range]:
    """The windows over so many frames, all of about one length, at most `window` frames, each with SHARED frames of the
    one before.

    loop: the last one ends with the first HELD frames, too, numbered from `frames` on.
    """
    if frames <= window:
        return [range(frames)]
    own = frames + HELD - SHARED if loop else frames - SHARED
    count = math.ceil(own / (window - SHARED))
    return [range(own * i // count, own * (i + 1) // count + SHARED) for i in range(count)]


def by_windows(shape: Shape, windows: Sequence[range], make: Callable[[int, range, HeldPart | None], Tensor]) -> Tensor:
    """The clip (1, 3, *shape) of all windows.

    make: gives the frames (1, 3, window, H, W) of the window of this number, of which some may be held.
    """
    result, known = torch.zeros(1, 3, *shape), torch.zeros(shape[0])
    fading = 1 - torch.arange(1, LOOSE + 1) / (LOOSE + 1)
    for number, window in enumerate(windows):
        at = torch.tensor(window) % shape[0]
        held = held_frames(result[:, :, at], known[at]) if bool(known[at].any()) else None
        made, new = make(number, window, held), known[at] < 1
        result = result.to(made)
        result[:, :, at[new]] = made[:, :, new]
        known[at] = 1
        if number < len(windows) - 1:
            known[at[-LOOSE:]] = fading
    return result


def held_frames(frames: Tensor, known: Tensor) -> HeldPart:
    """The held part of frames (1, 3, T, H, W), of which so much of each is known: (T,) in [0, 1]."""
    return HeldPart(frames, known.to(frames)[:, None, None].expand(1, 1, *frames.shape[2:]))


def frames_around(middle: float, frames: int, window: int) -> slice:
    """The `window` frames around a frame, of so many: all of them, if they are fewer."""
    first = round(min(max(0.0, middle - window / 2), max(0, frames - window)))
    return slice(first, first + window)
