"""The picture verbs: pictures in, an engine's tensors between, pictures out.

Sizes are decided here (what is not said is the source's, reduced to `MAX_SIDE`), and what becomes of alpha, notes and
devices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from structkit.configs import LEAST_SIDE, MAX_SIDE, MOST_SIDE, AnalogyConfig, RefineConfig, RetargetConfig, SampleConfig
from structkit.device import enough_memory, resolve
from structkit.engines.patch import analogy as patch
from structkit.errors import InputError, OptionError
from structkit.kernels.pyramid import resize
from structkit.media.pictures import Picture, read_picture
from structkit.media.tensors import alpha_to_tensor, from_tensor, to_tensor

if TYPE_CHECKING:
    from structkit.media.video import VideoReader

ENLARGED = 1.25  # from here on a target that had to be enlarged is worth a note

Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Running:
    """How to run, whatever is made."""

    seed: int
    device: str
    dtype: str
    progress: Callable[[float, str], None] | None

    def __post_init__(self) -> None:
        if not (isinstance(self.seed, int) and 0 <= self.seed < 2**63):
            raise OptionError(f"--seed is {self.seed!r}: it must be a whole number, at least 0 and below 2**63")
        if self.dtype not in ("auto", "float32"):
            raise OptionError(
                f"--dtype is {self.dtype!r}: choose auto or float32 (bfloat16 would miss half of the nearest patches)"
            )

    def draw(self, make: Callable[..., Tensor], *tensors: Tensor, number: int = 0, of: int = 1) -> Tensor:
        """make(*tensors, generator=, progress=) on the device, with the number-th seed; the result on the CPU."""
        device = resolve(self.device)
        generator = torch.Generator(device).manual_seed(self.seed + number)

        def progress(share: float, note: str) -> None:
            if self.progress:
                self.progress((number + share) / of, note)

        with enough_memory(device):
            return make(*(t.to(device) for t in tensors), generator=generator, progress=progress).cpu()


def analogy(
    source: Any, target: Any, size: Size | None, samples: int, running: Running, options: dict[str, Any]
) -> list[Picture]:
    """See `structkit.analogy`."""
    config = AnalogyConfig.of(options)
    one, other = _picture(source), _picture(target)
    width, height = _size(one, size, config.max_side)
    usable = _usable(other)

    def make(source: Tensor, target: Tensor, usable: Tensor, **how: Any) -> Tensor:
        return patch.analogy(source, target, config, shape=(height, width), usable=usable, **how)

    notes = _notes(one, other) + _enlarged(other, (width, height))
    tensors = to_tensor(one), to_tensor(other), usable
    drawn = [running.draw(make, *tensors, number=i, of=samples) for i in range(_count("samples", samples))]
    alpha = _alpha(one, (height, width))
    return [
        from_tensor(result, alpha=alpha, name=f"analogy of {one.name} and {other.name}", notes=notes)
        for result in drawn
    ]


def sample(picture: Any, size: Size | None, count: int, running: Running, options: dict[str, Any]) -> list[Picture]:
    """See `structkit.sample`."""
    config = SampleConfig.of(options)
    one = _picture(picture)
    width, height = _size(one, size, config.max_side)

    def make(picture: Tensor, **how: Any) -> Tensor:
        return patch.sample(picture, config, shape=(height, width), **how)

    drawn = [running.draw(make, _with_alpha(one), number=i, of=count) for i in range(_count("count", count))]
    return [_without_alpha(result, one, "sample") for result in drawn]


def retarget(picture: Any, size: Size, running: Running, options: dict[str, Any]) -> Picture:
    """See `structkit.retarget`."""
    config = RetargetConfig.of(options)
    one = _picture(picture)
    width, height = _size(one, size, None)

    def make(picture: Tensor, **how: Any) -> Tensor:
        return patch.retarget(picture, config, shape=(height, width), **how)

    return _without_alpha(running.draw(make, _with_alpha(one)), one, "retarget")


def refine(picture: Any, patches_of: Any, running: Running, options: dict[str, Any]) -> Picture:
    """See `structkit.refine`."""
    config = RefineConfig.of(options)
    one, other = _picture(picture), _picture(patches_of)
    width, height = _size(one, None, config.max_side)

    def make(picture: Tensor, patches_of: Tensor, usable: Tensor, **how: Any) -> Tensor:
        return patch.refine(picture, patches_of, config, shape=(height, width), usable=usable, **how)

    result = running.draw(make, to_tensor(one), to_tensor(other), _usable(other))
    notes = _notes(one, other) + _enlarged(other, (width, height))
    return from_tensor(result, alpha=_alpha(one, (height, width)), name=f"{one.name}, refined", notes=notes)


def _picture(given: Picture | str | Path) -> Picture:
    return given if isinstance(given, Picture) else read_picture(given)


def _count(name: str, value: int) -> int:
    if value < 1:
        raise OptionError(f"--{name} is {value}: it must be at least 1")
    return value


def _size(picture: Picture | VideoReader, size: Size | None, max_side: int | None) -> Size:
    """Width and height of the result."""
    if size is None:
        scale = min(1.0, (max_side or MAX_SIDE) / max(picture.width, picture.height))
        size = round(picture.width * scale), round(picture.height * scale)
        if min(size) < LEAST_SIDE:
            raise InputError(
                f"{picture.name}: the result would be {size[0]} x {size[1]} px, each side must be at least "
                f"{LEAST_SIDE}: give a larger size"
            )
    elif max_side is not None:
        raise OptionError("--size and --max-side both say how large the result is: give one of them")
    if not LEAST_SIDE <= min(size) <= max(size) <= MOST_SIDE:
        raise OptionError(f"--size is {size[0]}x{size[1]}: each side must be {LEAST_SIDE} to {MOST_SIDE} px")
    return size


def _usable(target: Picture) -> Tensor:
    """(1, 1, h, w) in [0, 1]: which pixels patches may be taken from."""
    usable = alpha_to_tensor(target)
    if not (usable > 0.5).any():
        raise InputError(
            f"{target.name}: every pixel is transparent, there is nothing to make the result of: use another target"
        )
    return usable


def _notes(*pictures: Picture | VideoReader) -> tuple[str, ...]:
    return tuple(f"{p.name}: {note}" for p in pictures for note in p.notes)


def _enlarged(target: Picture, size: Size) -> tuple[str, ...]:
    scale = min(size) / min(target.width, target.height)
    return (f"{target.name}: enlarged {scale:.1f} times, the result cannot be sharper",) if scale >= ENLARGED else ()


def _alpha(picture: Picture, size: tuple[int, int]) -> Tensor | None:
    """The picture's alpha at another (height, width)."""
    return None if picture.alpha is None else resize(alpha_to_tensor(picture), size).clamp(0, 1)


def _with_alpha(picture: Picture) -> Tensor:
    """(1, 3, H, W), or (1, 4, H, W) with alpha as one more channel in [-1, 1], which then is part of every patch."""
    colours = to_tensor(picture)
    return colours if picture.alpha is None else torch.cat([colours, alpha_to_tensor(picture) * 2 - 1], 1)


def _without_alpha(result: Tensor, picture: Picture, verb: str) -> Picture:
    alpha = (result[:, 3:] + 1) / 2 if result.shape[1] == 4 else None
    made = from_tensor(
        result[:, :3], alpha=None if alpha is None else alpha.clamp(0, 1), name=f"{verb} of {picture.name}"
    )
    return replace(made, notes=_notes(picture))
