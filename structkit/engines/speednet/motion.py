"""Motion of the things in a clip, as a measure of how fast it may be shown: without weights, and without learning.

What: the motion between sampled frames, less that of the camera: of what is left, the mean of the fastest tenth of the
frame, in heights of the frame a second, median over half a second.  V(t) is in inverse proportion to it, so that what
is shown moves as evenly as the bounds allow, and what stands still is passed fastest.  This is motion and no
speediness: a slow giant and a fast ant are the same to it.
Differs from what is usual for the purpose, a share of pixels that changed: noise, light and the camera do not count as
motion, or little.
* Windows without texture say nothing; so flat noise is still.  Windows that the motion does not explain say little; so
  a blinking lamp does.
* The camera's motion is an affine map, fitted with weights that doubt what it does not explain (Cauchy).  It is taken
  for the camera's only where it holds for enough of the whole frame: one who walks before a plain wall is no camera.
* A third of the camera's own motion counts, as pans look hurried too when they are sped up, though less than people do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.engines.speednet.curve import of_rate
from structkit.kernels.rapid_flow import RapidMotion, rapid_motion

SIDE = 80  # px: short side at which motion is measured
RATE = 25.0  # cells a second
TOGETHER = 24  # pairs of frames
FASTEST = 0.1  # of the frame: whose mean motion counts
CAMERA = 1 / 3  # of the camera's motion that counts
TEXTURE = 1e-4  # of a window that is half believed, for black to white = 2
STILL, DOUBTS = 0.05, 2.0  # px, and standard deviations of the flow: less is noise
LOWEST, ENOUGH = 0.15, 0.35  # of the frame: a common motion of so much is not the camera's, or is
EDGE = 1.0  # px within the frame that flows must end
ROUNDS, SPACING = 6, 4  # of the fit, and px between its points
HELD = 12  # cells: what is shown longer than 0.5 s stood still meanwhile
MEDIAN = 13  # cells: 0.5 s
EASE = 0.03  # heights a second, added to motion: slower is as good as still


class MotionMeter:
    """A meter of motion in a stream of sampled frames; it keeps two frames at a time, and a number for each."""

    def __init__(self, rate: float = RATE) -> None:
        """rate: of the frames, a second."""
        self.rate = rate
        self._values: list[float] = []  # px a cell over the height; NaN where nothing can be said
        self._last: Tensor | None = None  # the last frame that was not a repetition
        self._since = 0  # cells since then
        self._pairs: list[tuple[Tensor, Tensor, int, int]] = []  # both frames, the second's cell, and the cells between

    def push(self, frames: Sequence[np.ndarray], repeated: Sequence[bool], cuts: Sequence[bool]) -> None:
        """Take in frames (h, w, 3) uint8, one for each cell.

        repeated: true for each that is the same as the one before; cuts: for the first behind a cut.
        """
        for frame, same, cut in zip(frames, repeated, cuts, strict=True):
            self._values.append(np.nan)
            self._since += 1
            if same and self._last is not None:
                continue
            picture = _small(frame)
            if self._last is not None and not cut and self._last.shape == picture.shape:
                self._pairs.append((self._last, picture, len(self._values) - 1, self._since))
            self._last, self._since = picture, 0
            if len(self._pairs) >= TOGETHER:
                self._measure()

    def finish(self) -> np.ndarray:
        """The motion of each cell, (N,) float64, heights of the frame a second; zero where there is but one frame."""
        self._measure()
        values = np.array(self._values, np.float64) * self.rate
        if self._since >= HELD:
            values[len(values) - self._since :] = 0.0  # nothing more happened
        return _median(_filled(values), MEDIAN)

    def _measure(self) -> None:
        """Measure the pairs that wait, and share out each motion among the cells that it took."""
        pairs, self._pairs = self._pairs, []
        if not pairs:
            return
        first, second = (torch.stack(parts) for parts in list(zip(*pairs, strict=True))[:2])
        for moved, (_, _, cell, cells) in zip(frame_motion(rapid_motion(first, second)).tolist(), pairs, strict=True):
            spread = min(cells, HELD)
            self._values[cell - cells + 1 : cell + 1] = [0.0] * (cells - spread) + [moved / spread] * spread


def tolerated_motion(
    motion: np.ndarray, durations: np.ndarray, rate: float, *, least: float = 1.0, most: float = 8.0
) -> np.ndarray:
    """The speeds V(t), (N,), at which what moves appears to move alike: v0 / (motion + 0.03), within bounds.

    motion (N,): heights of the frame a second, of `MotionMeter`.
    durations (N,): of the cells, s.
    rate: of the whole; v0 is such that V has it, as far as the bounds allow: no level of motion is right by itself.
    """
    middle = -np.log(np.asarray(motion, np.float64) + EASE)
    low, high = (np.full(len(middle), np.log(bound)) for bound in (least, most))
    return np.exp(of_rate(middle, low, high, np.asarray(durations, np.float64), rate))


def frame_motion(found: RapidMotion) -> Tensor:
    """The motion (B,) of each pair of frames, in heights of the frame: of what moves against the camera, and a share of
    the camera's."""
    height, width = found.flow.shape[-2:]
    trust = (found.texture / (found.texture + TEXTURE) * (1 - 2 * found.unlike).clamp_min(0)).squeeze(1)
    trust = trust * _inside(found.flow)
    camera, support = _camera(found.flow, trust)
    sure = ((support - LOWEST) / (ENOUGH - LOWEST)).clamp(0, 1)[:, None, None, None]
    own = (_length(found.flow - sure * camera, 1) - STILL - DOUBTS * found.doubt[:, 0]).clamp_min(0) * trust
    count = max(1, round(FASTEST * height * width))
    fastest = own.flatten(1).topk(count, sorted=False).values.mean(1)
    common = _length(sure * camera, 1).mean((1, 2))
    return (fastest + CAMERA * (common - STILL).clamp_min(0)) / height


def _inside(flow: Tensor) -> Tensor:
    """One (B, h, w) where the flow ends within the frame, else zero: there is nothing that it could be read from."""
    found = torch.ones_like(flow[:, 0])
    for axis in (0, 1):
        count = flow.shape[2 + axis]
        at = flow[:, axis] + torch.arange(count).view((-1, 1) if axis == 0 else (1, -1)).to(flow)
        found *= (at >= EDGE) & (at <= count - 1 - EDGE)
    return found


def _camera(flow: Tensor, trust: Tensor) -> tuple[Tensor, Tensor]:
    """The affine motion (B, 2, h, w) that most of the frame has, and the share (B,) of the frame that has it.

    flow (B, 2, h, w); trust (B, h, w).
    """
    height, width = flow.shape[-2:]
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    places = torch.stack([torch.ones_like(rows), rows, columns], -1).to(flow)  # (h, w, 3)
    near = (slice(SPACING // 2, None, SPACING),) * 2 if min(height, width) > 2 * SPACING else (slice(None),) * 2
    base = places[near].reshape(-1, 3)
    values = flow[(slice(None), slice(None), *near)].flatten(2).mT  # (B, P, 2)
    sure = trust[(slice(None), *near)].flatten(1)  # (B, P)
    weights = sure + 1e-6
    middle = _weighted_median(values, weights)
    left = _length(values - middle[:, None], -1)
    for turn in range(ROUNDS):
        if turn % 3 == 0:
            scale = 1.5 * _weighted_median(left[..., None], weights) + STILL
        doubted = weights / (1 + (left / scale).square())
        moments = torch.einsum("bp,pi,pj->bij", doubted, base, base) + 1e-6 * torch.eye(3)
        sums = torch.einsum("bp,pi,bpc->bic", doubted, base, values)
        fitted = torch.linalg.solve(moments, sums)  # (B, 3, 2)
        left = _length(values - base @ fitted, -1)
    speed = _length(base @ fitted, -1)
    held = left < 0.25 * speed + 2 * STILL
    support = (sure * held).mean(1)
    return torch.einsum("hwi,bic->bchw", places, fitted), support


def _length(vectors: Tensor, axis: int) -> Tensor:
    """The lengths of vectors whose two parts lie along an axis; `norm` takes ten times as long."""
    down, across = vectors.unbind(axis)
    return (down * down + across * across).sqrt()


def _weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """The weighted median (B, C) of values (B, P, C), of each channel by itself; weights (B, P)."""
    order = values.argsort(1)
    sums = weights[..., None].expand_as(values).gather(1, order).cumsum(1)
    place = (sums < sums[:, -1:] / 2).sum(1, keepdim=True).clamp_max(values.shape[1] - 1)
    return values.gather(1, order).gather(1, place).squeeze(1)


def _small(frame: np.ndarray) -> Tensor:
    """A frame (h, w, 3) uint8 as grey (1, h', w') float32 in [-1, 1], of a short side of at most 80 px."""
    pixels = torch.from_numpy(frame)
    grey = (pixels[..., 1].float().mul_(2).add_(pixels[..., 0]).add_(pixels[..., 2])).mul_(1 / 510).sub_(1)
    by = SIDE / min(grey.shape)
    if by < 1:
        shape = [max(1, round(side * by)) for side in grey.shape]
        grey = F.interpolate(grey[None, None], shape, mode="area")[0, 0]
    return grey[None]


def _filled(values: np.ndarray) -> np.ndarray:
    """Values (N,) whose gaps, such as cuts, take the nearest value, behind them where two are as near."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return np.zeros(len(values))
    places = np.arange(len(values))
    behind = np.searchsorted(known, places).clip(max=len(known) - 1)
    before = (behind - 1).clip(0)
    nearer = (places - known[before] < known[behind] - places) | (known[behind] < places)
    return values[np.where(nearer & (known[before] < places), known[before], known[behind])]


def _median(values: np.ndarray, width: int) -> np.ndarray:
    """The median of values (N,) within half a width on each side, mirrored at the ends."""
    half = width // 2
    if not len(values):
        return values
    wide = np.pad(values, half, mode="reflect")
    return np.median(np.lib.stride_tricks.sliding_window_view(wide, width), -1)
