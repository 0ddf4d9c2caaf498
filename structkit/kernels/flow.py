"""Motion between two pictures, pictures moved along it, and where it can be believed.

What: the place of each pixel of the first picture in the second, px, by TV-L1 (Zach, Pock and Bischof, DAGM 2007;
step sizes and thresholds as Sanchez, Meinhardt-Llopis and Facciolo, IPOL 2013): brightness stays, and the motion is
smooth but for jumps.  Where nothing tells of motion it is that of the surroundings.
Laws: equal pictures have no motion; a picture moved by few pixels has that motion; mirroring both mirrors it; a picture
moved by a whole number of pixels and back is itself, away from the borders.
How: from coarse to fine; up to 160 px, which finer motions are interpolated from: four times the pixels move by no more
than they do. `warp` is one `grid_sample`; `warp_reference` gathers.
Measured: tests/benchmarks/flow.csv.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.errors import OptionError
from structkit.kernels.pyramid import pyramid_shapes, resize

FINEST = 160  # px: short side up to which motion is computed
COARSEST = 12  # px: there, a motion by a quarter of the picture is 3 px
WARPS, ROUNDS = 5, 12  # per level: linearisations of the brightness, and rounds of smoothing for each
# Weight of brightness (IPOL's 0.15 for 255 levels; here black to white is 2), theta, tau.
DATA, COUPLING, STEP = 38.0, 0.3, 0.25


@torch.no_grad()
def motion(first: Tensor, second: Tensor) -> Tensor:
    """Motion (B, 2, H, W) float32: rows and columns, px, to go from each pixel of `first` to find it in `second`.

    first, second (B, C, H, W) float32 in [-1, 1].  Raises OptionError for shapes that differ.
    """
    if first.shape != second.shape or first.dim() != 4:
        raise OptionError(
            f"motion from {tuple(first.shape)} to {tuple(second.shape)}: expected two of one shape (B, C, H, W)"
        )
    shape = tuple(first.shape[-2:])
    by = min(1.0, FINEST / min(shape))
    shapes = pyramid_shapes([max(1, round(side * by)) for side in shape], ratio=0.5, coarsest=COARSEST)
    flow = torch.zeros(len(first), 2, *shapes[0]).to(first)
    grey = [picture.mean(1, keepdim=True) for picture in (first, second)]
    for level in shapes:
        flow = _refined(*(resize(picture, level) for picture in grey), resize_flow(flow, level))
    return resize_flow(flow, shape)


def resize_flow(flow: Tensor, shape: Sequence[int]) -> Tensor:
    """Flow (B, 2, h, w) for pictures of another shape (H, W): interpolated, and as much longer as they are larger."""
    ratio = flow.new_tensor([new / old for new, old in zip(shape, flow.shape[-2:], strict=True)])
    return flow if tuple(flow.shape[-2:]) == tuple(shape) else resize(flow, shape) * ratio[:, None, None]


def warp(images: Tensor, flow: Tensor, *, cubic: bool = False) -> Tensor:
    """Images (B, C, H, W) as seen from where flow (B, 2, H, W) starts: the result at x is the image at x + flow(x), its
    border beyond it.

    cubic: cubic convolution instead of linear interpolation: sharper, may ring.
    """
    _check_flow(images, flow)
    height, width = flow.shape[-2:]
    rows, columns = _positions(flow)
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], -1)
    return F.grid_sample(images, grid, "bicubic" if cubic else "bilinear", "border", align_corners=False)


def warp_reference(images: Tensor, flow: Tensor, *, cubic: bool = False) -> Tensor:
    """The oracle of `warp`, pixel by pixel of the kernel: 2 or 4 a side."""
    _check_flow(images, flow)
    batch, channels, height, width = images.shape
    result = torch.zeros_like(images)
    position = _positions(flow)
    if not cubic:  # of what is beyond the border only its nearest pixel counts
        position = [at.clamp(0, side - 1) for at, side in zip(position, (height, width), strict=True)]
    low = [at.floor() for at in position]
    taps = range(-1, 3) if cubic else range(2)
    for down in taps:
        for across in taps:
            near = [at + step for at, step in zip(low, (down, across), strict=True)]
            weight = torch.ones_like(flow[:, :1])
            for at, pixel in zip(position, near, strict=True):
                weight = weight * _kernel((at - pixel).abs(), cubic)[:, None]
            rows, columns = (pixel.clamp(0, side - 1).long() for pixel, side in zip(near, (height, width), strict=True))
            flat = (rows * width + columns).reshape(batch, 1, -1).expand(-1, channels, -1)
            result += weight * images.flatten(2).gather(2, flat).view_as(images)
    return result


def agreement(there: Tensor, back: Tensor) -> Tensor:
    """Trust (B, 1, H, W) in [0, 1]: how far the motion `there` (B, 2, H, W) can be believed, given the way back.

    One where there and back ends where it began, near zero where it ends elsewhere (what is seen in one picture alone)
    or leaves the picture.  Limits: Sundaram, Brox and Keutzer, ECCV 2010, eq. 5.
    """
    returned = warp(back, there)
    apart = (there + returned).square().sum(1, keepdim=True)
    allowed = 0.5 + 0.01 * (there.square() + returned.square()).sum(1, keepdim=True)
    inside = torch.ones_like(apart[:, 0], dtype=torch.bool)
    for at, side in zip(_positions(there), there.shape[-2:], strict=True):
        inside &= (at >= -0.5) & (at <= side - 0.5)
    return torch.exp(-apart / allowed) * inside[:, None]


def warp_field(field: Tensor, grid: Sequence[int], flow: Tensor, trusted: Tensor, other: Tensor) -> Tensor:
    """Field of nearest patches, moved along with the picture that it belongs to, as a seed for the next one.

    field, other (N,): a key patch for each position of grid (rows, columns).  flow (1, 2, H, W) and trusted (1, 1, H,
    W) bool: at the pixels of the new picture.  Returns (N,): where a patch's middle is trusted the entry of the patch
    it came from, elsewhere `other`.
    """
    middle = _middles(flow, grid)
    steps = [torch.arange(count, device=flow.device) for count in grid]
    down, across = (
        (start + moved).round().long().clamp_(0, count - 1)
        for start, moved, count in zip((steps[0][:, None], steps[1]), flow[middle], grid, strict=True)
    )
    return torch.where(trusted[middle][0], field.view(*grid)[down, across], other.view(*grid)).reshape(-1)


def carry_field(
    field: Tensor, rest: Tensor, grid: Sequence[int], keys: Sequence[int], flow: Tensor
) -> tuple[Tensor, Tensor]:
    """Field of nearest patches carried along with the picture that it belongs to, and what rounding has left.

    field (N,): a key patch, of the grid `keys`, for each position of grid (rows, columns).  rest (2, rows, columns): px
    by which each patch should lie further on in the keys; flow (1, 2, H, W) at the pixels of the new picture.
    Returns both for the new picture.  So a slow motion adds up over frames, and patches stay whole pixels apart.
    """
    steps = torch.meshgrid(*(torch.arange(count, device=flow.device) for count in grid), indexing="ij")
    at = [step + moved for step, moved in zip(steps, flow[_middles(flow, grid)], strict=True)]
    near = [place.round().long().clamp_(0, count - 1) for place, count in zip(at, grid, strict=True)]
    former = torch.unravel_index(field.view(*grid)[near[0], near[1]], tuple(keys))
    index, left = torch.zeros_like(former[0]), []
    for axis, count in enumerate(keys):
        wanted = rest[axis][near[0], near[1]] + at[axis] - near[axis]  # beyond the border the keys go on
        whole = wanted.round()
        index = index * count + (former[axis] + whole.long()).clamp_(0, count - 1)
        left.append(wanted - whole)
    return index.reshape(-1), torch.stack(left)


def stretch_of(field: Tensor, grid: Sequence[int], keys: Sequence[int], side: int = 7) -> Tensor:
    """Share (1, 1, rows, columns) of the patches in a window of `side` whose key patch is a pixel or two off the place
    beside their neighbour's.

    Stretched or squeezed parts have many of them; what is copied whole, and seams between distant parts, have none.
    """
    place = torch.stack(torch.unravel_index(field.view(*grid), tuple(keys)))
    bent = torch.zeros(1, 1, *grid, device=field.device)
    for axis in range(2):
        step = place.diff(dim=axis + 1)
        step[axis] -= 1
        off = step.abs().amax(0)
        part = bent[0, 0].narrow(axis, 0, grid[axis] - 1)
        part.copy_(torch.maximum(part, ((off > 0) & (off <= 2)).to(part)))
    return F.avg_pool2d(bent, side, 1, side // 2, count_include_pad=False)


def _middles(picture: Tensor, grid: Sequence[int]) -> tuple[int | slice, ...]:
    """The part of a picture (1, C, H, W) where the middles of its patches are; gives (C, *grid)."""
    starts = ((side - count) // 2 for side, count in zip(picture.shape[-2:], grid, strict=True))
    return (0, slice(None), *(slice(start, start + count) for start, count in zip(starts, grid, strict=True)))


def at_patches(picture: Tensor, grid: Sequence[int]) -> Tensor:
    """Values (C, rows, columns) of a picture (1, C, H, W) at the middles of its patches."""
    return picture[_middles(picture, grid)]


def _refined(first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
    """Motion at one level: pictures (B, 1, h, w), flow (B, 2, h, w) from the level below."""
    slope = torch.cat([_difference(second, axis) for axis in (2, 3)], 1)
    dual = [torch.zeros_like(flow) for _ in range(2)]  # for each axis along which the two motions change
    for _ in range(WARPS):
        start = flow
        gradient = warp(slope, start)
        energy = gradient.square().sum(1, keepdim=True)
        rest = warp(second, start) - first - (gradient * start).sum(1, keepdim=True)
        reach = DATA / 2 * COUPLING
        for _ in range(ROUNDS):
            # Brightness: the way to a smaller difference, no longer than `reach` gradients.
            error = rest + (gradient * flow).sum(1, keepdim=True)
            step = (-error / energy.clamp_min(1e-8)).clamp(-reach, reach) * (energy > 1e-8)
            wanted = flow + step * gradient
            # Smoothness: Chambolle's projection.
            flow = wanted + COUPLING * (_backward(dual[0], 2) + _backward(dual[1], 3))
            change = [_forward(flow, axis) for axis in (2, 3)]
            size = 1 + STEP / COUPLING * (change[0].square() + change[1].square()).sqrt()
            dual = [(d + STEP / COUPLING * c) / size for d, c in zip(dual, change, strict=True)]
    return flow


def _forward(x: Tensor, axis: int) -> Tensor:
    """Difference to the next along an axis, zero at the last."""
    return torch.diff(x, dim=axis, append=x.narrow(axis, x.shape[axis] - 1, 1))


def _backward(x: Tensor, axis: int) -> Tensor:
    """Minus the adjoint of `_forward`."""
    inner = x.narrow(axis, 0, x.shape[axis] - 1)
    edge = torch.zeros_like(x.narrow(axis, 0, 1))
    return torch.cat([inner, edge], axis) - torch.cat([edge, inner], axis)


def _difference(x: Tensor, axis: int) -> Tensor:
    """Half the difference of two neighbours along an axis; at the border of the pixel itself and its one neighbour."""
    first, last = x.narrow(axis, 0, 1), x.narrow(axis, x.shape[axis] - 1, 1)
    wide = torch.cat([first, x, last], axis)
    return (wide.narrow(axis, 2, x.shape[axis]) - wide.narrow(axis, 0, x.shape[axis])) / 2


def _positions(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column, each (B, H, W), that a flow leads to."""
    height, width = flow.shape[-2:]
    down, across = (torch.arange(side, dtype=flow.dtype, device=flow.device) for side in (height, width))
    return flow[:, 0] + down[:, None], flow[:, 1] + across


def _kernel(x: Tensor, cubic: bool, a: float = -0.75) -> Tensor:
    """Weight of a pixel at distance x >= 0: linear, or Keys' (1981, eq. 4) with the constant of `grid_sample`."""
    if not cubic:
        return (1 - x).clamp_min(0)
    near, far = (a + 2) * x**3 - (a + 3) * x**2 + 1, a * (x**3 - 5 * x**2 + 8 * x - 4)
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def _check_flow(images: Tensor, flow: Tensor) -> None:
    if flow.shape != (len(images), 2, *images.shape[-2:]):
        raise OptionError(
            f"{tuple(images.shape)} warped along {tuple(flow.shape)}: expected a flow (B, 2, H, W) of the images' size"
        )
