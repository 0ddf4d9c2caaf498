"""Motion between two small pictures in a few milliseconds, where `kernels.flow` takes its time for a finer one.

What: the motion that makes the window around each pixel of the first picture most like the second's, px, by
Gauss-Newton steps with gradients of the first alone (Baker and Matthews, IJCV 2004), from coarse to fine, on windows
less their means as in DIS (Kroeger et al., ECCV 2016), so that light that changes evenly is no motion.  Where nothing
tells of motion it is that of the surroundings, or none.
Laws: equal pictures have no motion, nor have flat ones; a picture moved by few pixels has that motion; a brighter
picture has the same; mirroring both mirrors it; a batch is its pictures one by one.
How: sums over windows are sums of shifted pictures, one direction after the other, of the whole batch at once.
Measured: tests/benchmarks/rapid_flow.csv; `motion` takes 12 times as long, is half as far from the truth where one
picture is moved, ends at the edges of things, and leaves 13 to 19 % less of real frames unexplained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.errors import OptionError
from structkit.kernels.flow import resize_flow

FINEST, COARSEST = 160, 10  # px: short sides, at most and at least, of the finest and the coarsest level
STEPS, STEPS_BELOW = 2, 4  # Gauss-Newton steps at each of the two finest levels, and of the others
HALF = 1  # cells of 2 px: half of a window, of means of means
INDEPENDENT = 72  # px of a window: 1 / the sum of its squared weights
DAMPING = 2e-4  # added to squared gradients, for black to white = 2: of noise of a level of 8 bits
FARTHEST = 1.0  # px: of one step
TOGETHER = 400_000  # px of the pictures that are worked on at once: fewer wait for Python, more for the memory


@dataclass(frozen=True)
class RapidMotion:
    """The motion from one picture to the next, and what it was read from.

    flow (B, 2, H, W): rows and columns, px, to go from each pixel of the first picture to find it in the second.
    texture (B, 1, H, W): how well the window tells of motion in every direction: the smaller eigenvalue of its mean
    squared gradients, for black to white = 2.
    unlike (B, 1, H, W) in [0, 1]: the share of the window that the motion does not explain: 0 for none of it.
    doubt (B, 1, H, W): px, the standard deviation of the flow if what is unexplained is noise of single pixels.
    """

    flow: Tensor
    texture: Tensor
    unlike: Tensor
    doubt: Tensor


@torch.no_grad()
def rapid_motion(first: Tensor, second: Tensor) -> RapidMotion:
    """The motion of pictures (B, C, H, W) float32 in [-1, 1].

    Pictures of more than 160 px are seen at that size.
    Raises OptionError for shapes that differ.
    """
    if first.shape != second.shape or first.dim() != 4:
        raise OptionError(
            f"motion from {tuple(first.shape)} to {tuple(second.shape)}: expected two of one shape (B, C, H, W)"
        )
    together = max(1, TOGETHER // max(1, first.shape[-2] * first.shape[-1]))
    found = [_found(*pair) for pair in zip(first.split(together), second.split(together), strict=True)]
    if len(found) == 1:
        return found[0]
    return RapidMotion(*(torch.cat([getattr(part, field.name) for part in found]) for field in fields(RapidMotion)))


def cell_means(values: Tensor) -> Tensor:
    """The means of values (B, C, h, w) over windows of 2 HALF + 1 cells a side; beyond the border they are its own."""
    height, width = values.shape[-2:]
    wide = F.pad(values, (HALF, HALF, HALF, HALF), mode="replicate")
    total = wide[..., :height, :] + wide[..., 1 : 1 + height, :]
    for shift in range(2, 2 * HALF + 1):
        total += wide[..., shift : shift + height, :]
    found = total[..., :width] + total[..., 1 : 1 + width]
    for shift in range(2, 2 * HALF + 1):
        found += total[..., shift : shift + width]
    return found.mul_(1 / (2 * HALF + 1) ** 2)


def cell_means_reference(values: Tensor) -> Tensor:
    """The oracle of `cell_means`."""
    wide = F.pad(values, (HALF, HALF, HALF, HALF), mode="replicate")
    return F.avg_pool2d(wide, 2 * HALF + 1, 1)


def _found(first: Tensor, second: Tensor) -> RapidMotion:
    """The motion of a few pictures (B, C, H, W)."""
    shape = tuple(first.shape[-2:])
    by = min(1.0, FINEST / min(shape))
    seen = [max(1, round(side * by)) for side in shape]
    count = 1 + int(math.log2(max(1, min(seen) / COARSEST)))
    # Sides that can be halved at each level; what is added repeats the border.
    more = [-side % 2**count for side in seen]
    pyramids = []
    for picture in (first, second):
        grey = picture.mean(1, keepdim=True)
        grey = grey if by == 1 else F.interpolate(grey, seen, mode="area")
        pyramid = [F.pad(grey, (0, more[1], 0, more[0]), mode="replicate")]
        for _ in range(count):
            pyramid.append(_halved(pyramid[-1]))
        pyramids.append(pyramid)
    flow = torch.zeros(len(first), 2, *pyramids[0][count].shape[-2:]).to(first)
    for level in reversed(range(count)):
        one, other = (pyramid[level] for pyramid in pyramids)
        if level < count - 1:
            flow = 2 * F.interpolate(flow, scale_factor=2, mode="bilinear")
        flow, *parts = _refined(one, other, flow, STEPS if level < 2 else STEPS_BELOW)
    flow, *parts = (
        F.interpolate(part, scale_factor=2, mode="bilinear")[..., : seen[0], : seen[1]] for part in (flow, *parts)
    )
    if by < 1:
        flow, *parts = resize_flow(flow, shape), *(F.interpolate(part, shape, mode="bilinear") for part in parts)
        parts[-1] = parts[-1] / by
    return RapidMotion(flow, *parts)


def _refined(first: Tensor, second: Tensor, flow: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The parts of a `RapidMotion` at one level, at half the pictures' shape.

    first, second (B, 1, h, w); flow (B, 2, h / 2, w / 2): px of this level, from the one below.
    """
    down, across = (_slope(first, axis) for axis in (2, 3))
    pairs = (first, first), (down, down), (across, across), (down, across)
    products = _windows(_products(pairs, first.new_empty(len(first), 4, *first.shape[-2:])))
    mean, mean_down, mean_across = (_windows(part) for part in (first, down, across))
    square, downs, acrosses, mixed = products.split(1, 1)
    variance = (square - mean * mean).clamp_(min=0)
    downs, acrosses = downs - mean_down * mean_down, acrosses - mean_across * mean_across
    mixed = mixed - mean_down * mean_across
    middle, apart = (downs + acrosses) / 2, ((downs - acrosses) / 2).square() + mixed * mixed
    texture = (middle - apart.sqrt()).clamp_(min=0)
    downs, acrosses = downs + DAMPING, acrosses + DAMPING
    over = 1 / (downs * acrosses - mixed * mixed)
    room = first.new_empty(len(first), 3, *first.shape[-2:])

    def read(moved: Tensor, count: int = 3) -> list[Tensor]:
        """What the windows do not explain, a mean square, and its products with both slopes, or the first of them."""
        error = moved - first
        mean_error = _windows(error)
        pairs = ((error, error), (error, down), (error, across))[:count]
        found = _windows(_products(pairs, room[:, :count])).split(1, 1)
        means = (mean_error, mean_down, mean_across)
        return [part - mean_error * other for part, other in zip(found, means, strict=False)]

    # What the level below found, or nothing, where that explains as much: still windows are never led astray.
    least, *on = read(_warped(second, flow))
    still = read(second)
    is_still = still[0] <= least
    best = torch.where(is_still, 0.0, flow)
    least, *on = (torch.where(is_still, a, b) for a, b in zip(still, (least, *on), strict=True))
    for step in range(steps):
        change = torch.cat([mixed * on[1] - acrosses * on[0], mixed * on[0] - downs * on[1]], 1).mul_(over)
        flow = best + change.clamp_(-FARTHEST, FARTHEST)
        left, *more = read(_warped(second, flow), 3 if step < steps - 1 else 1)
        better = left < least  # a step that explains less is not taken
        best, least = torch.where(better, flow, best), torch.where(better, left, least)
        on = [torch.where(better, a, b) for a, b in zip(more, on, strict=False)]
    least = least.clamp_min(0)
    # Windows that tell little take the motion of their surroundings that tell more.
    trust = texture + DAMPING / 100
    weights = cell_means(cell_means(torch.cat([trust, best * trust], 1)))
    own = texture / (texture + DAMPING)
    around = weights[:, 1:] / weights[:, :1]
    doubt = (least / (INDEPENDENT * (texture + DAMPING))).sqrt_()
    return around.lerp_(best, own.expand_as(best)), texture, (least / (variance + DAMPING)).clamp_(0, 1), doubt


def _warped(picture: Tensor, flow: Tensor) -> Tensor:
    """Picture (B, 1, h, w) as seen from where flow (B, 2, h / 2, w / 2) starts: the same for the 2 x 2 px of a cell."""
    height, width = picture.shape[-2:]
    wide = F.interpolate(flow, scale_factor=2, mode="nearest")
    rows, columns = (torch.arange(1, 2 * side, 2).to(picture) / side - 1 for side in (height, width))
    # Two planes, and not a plane of pairs: what is written is what lies side by side.
    planes = torch.stack([wide[:, 1] * (2 / width) + columns, wide[:, 0] * (2 / height) + rows[:, None]], 1)
    return F.grid_sample(picture, planes.permute(0, 2, 3, 1), "bilinear", "border", align_corners=False)


def _products(pairs: Sequence[tuple[Tensor, Tensor]], room: Tensor) -> Tensor:
    """The products (B, n, h, w) of n pairs (B, 1, h, w), in the room for them: new memory costs more than they do."""
    for index, (one, other) in enumerate(pairs):
        torch.mul(one, other, out=room[:, index : index + 1])
    return room


def _windows(values: Tensor) -> Tensor:
    """The means of values (B, C, h, w) over the windows around each cell of 2 px: (B, C, h / 2, w / 2)."""
    return cell_means(cell_means(_halved(values)))


def _halved(values: Tensor) -> Tensor:
    """The means of values (B, C, h, w) over 2 x 2 px; the sides are even."""
    rows = values[..., 0::2, :] + values[..., 1::2, :]
    return (rows[..., 0::2] + rows[..., 1::2]).mul_(0.25)


def _slope(picture: Tensor, axis: int) -> Tensor:
    """Half the difference of two neighbours along an axis; at the border of the pixel itself and its one neighbour."""
    count, found = picture.shape[axis], torch.empty_like(picture)
    torch.sub(
        picture.narrow(axis, 2, count - 2), picture.narrow(axis, 0, count - 2), out=found.narrow(axis, 1, count - 2)
    )
    for at, one, other in ((0, 1, 0), (count - 1, count - 1, count - 2)):
        found.narrow(axis, at, 1).copy_(picture.narrow(axis, one, 1) - picture.narrow(axis, other, 1))
    return found.mul_(0.5)
