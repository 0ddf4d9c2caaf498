"""Levels of a single picture's or clip's pyramid, as SinGAN's descendants cut it.

Structural analogy (Benaim et al., CGF 2020) has pictures, HP-VAE-GAN (Gur et al., NeurIPS 2020) clips, whose coarse
levels are slow, too: of 13 frames every fourth, then every third, every second, and all.  All levels of a clip show
one stretch of time, from its first frame to its last.
Laws: a clip of one frame has the picture's levels; each level is made from the original; at the finest all frames are
its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.errors import OptionError
from structkit.kernels.pyramid import Shape, resize

FACTOR = 0.75  # wanted between levels; the real one makes level 0 `coarsest` px
LARGEST = 250  # px: a larger picture has no more levels than one of this size, and so a smaller factor
ROUNDING = 1e-6  # px: by so much a height may miss a whole number that is meant


def level_sides(size: int, coarsest: int, *, largest: int = LARGEST) -> list[int]:
    """Sides of the levels of a square, px, coarsest first (structural analogy's code: 220, 18 -> 19, 24, 30 .. 220).

    largest: LARGEST, px; HP-VAE-GAN's is 256, and its widths are these sides (256, 32 -> 33, 41, 51 .. 256).
    """
    wanted = math.ceil(math.log(coarsest / size, FACTOR)) + 1
    skipped = math.ceil(math.log(min(largest, size) / size, FACTOR))
    steps = max(wanted - skipped, 1)
    ratio = (coarsest / size) ** (1 / steps)
    # The authors' own rounding: the power may come out a hair above 18, and then gives 19.
    return [math.ceil(ratio**n * size) for n in range(steps, -1, -1)]


def level_shapes(
    size: int,
    coarsest: int,
    aspect: float,
    *,
    largest: int = LARGEST,
    by: str = "area",
    frames: Sequence[int] | None = None,
) -> list[Shape]:
    """The shapes of the levels of a rectangle, (height, width), or of a clip, (frames, height, width); coarsest first.

    aspect: width / height.  by: "area", that of the square at each level; "width", which is the square's side, and
    heights are cut off (HP-VAE-GAN).  frames: of each level of a clip, such as `level_frames`.
    Raises OptionError for frames of another number of levels.
    """
    sides = level_sides(size, coarsest, largest=largest)
    if by == "width":
        shapes = [(max(1, math.floor(side / aspect + ROUNDING)), side) for side in sides]
    else:
        root = math.sqrt(aspect)
        shapes = [(max(1, round(side / root)), max(1, round(side * root))) for side in sides]
    if frames is None:
        return shapes
    if len(frames) != len(shapes):
        raise OptionError(f"frames of {len(frames)} levels for a pyramid of {len(shapes)}: give one number per level")
    return [(count, *shape) for count, shape in zip(frames, shapes, strict=True)]


def level_frames(frames: int, strides: Sequence[int], count: int, *, last: int | None = None) -> list[int]:
    """Frames of each of `count` levels, coarsest first (HP-VAE-GAN: 13, (4, 3, 2, 1), 10 -> 4 4 4 5 5 5 7 7 7 13).

    strides: from the coarsest level to the finest, in frames; the levels share them out.  last: the level from which on
    the last stride is taken (published: stop-scale-time); else the finest.
    Raises OptionError for a clip that is not one frame more than a multiple of each stride.
    """
    steps = frames - 1
    if frames < 1 or min(strides) < 1 or any(steps % stride for stride in strides):
        whole = math.lcm(*(max(1, stride) for stride in strides))
        raise OptionError(
            f"{frames} frames cannot be cut into steps of {', '.join(map(str, strides))}: take 1, {whole + 1}, "
            f"{2 * whole + 1} or more frames"
        )
    last, finest = count - 1 if last is None else last, len(strides) - 1
    # Published, a level beyond `last` may ask for a stride behind the last one, and fails.
    of_level = [finest if level >= last else level * finest // last for level in range(count)]
    return [steps // strides[k] + 1 for k in of_level]


def levels(images: Tensor, shapes: Sequence[Shape]) -> list[Tensor]:
    """Images (B, C, *space) at each of `shapes`, always from the original; bilinear with antialias, as published.

    Space is (H, W) or (T, H, W).  Of a clip, frames are taken at even steps from the first to the last.
    """
    if images.dim() == 4:
        return [_bilinear(images, shape) for shape in shapes]
    return [_in_space(in_time(images, shape[0]), _bilinear, shape) for shape in shapes]


def rise(images: Tensor, shape: Shape) -> Tensor:
    """Images (B, C, *space) at `shape`, the next level, bicubic, in [-1, 1]; between frames linear.

    Published: rounded to 8 bits below, scaled by the levels' mean ratio and then cropped, all on the CPU.  Here: no
    rounding, and each level's exact shape, so that nothing drifts.
    """
    risen = _in_space(images.clamp(-1, 1), resize, shape).clamp(-1, 1)
    return risen if images.dim() == 4 else in_time(risen, shape[0])


def in_time(images: Tensor, frames: int) -> Tensor:
    """Clips (B, C, T, H, W) with so many frames, at even steps from the first to the last.

    Where a step falls between two frames they are mixed; one frame alone is the first.
    """
    steps, count = images.shape[2] - 1, max(1, frames - 1)
    at = [divmod(n * steps, count) for n in range(frames)]  # whole numbers: a frame that is met is taken as it is
    before = images[:, :, [low for low, _ in at]]
    if not any(rest for _, rest in at):
        return before
    part = torch.tensor([rest / count for _, rest in at]).to(images)[:, None, None]
    return torch.lerp(before, images[:, :, [min(low + 1, steps) for low, _ in at]], part)


def _in_space(images: Tensor, scaled: Callable[[Tensor, Shape], Tensor], shape: Shape) -> Tensor:
    """Pictures, or each frame of clips (B, C, T, h, w), scaled to the height and width of a shape."""
    if images.dim() == 4:
        return scaled(images, shape)
    return scaled(images.flatten(1, 2), shape[-2:]).unflatten(1, images.shape[1:3])


def _bilinear(pictures: Tensor, shape: Shape) -> Tensor:
    return F.interpolate(pictures, size=shape, mode="bilinear", antialias=True)
