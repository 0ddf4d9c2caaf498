"""structkit: manipulate structure in pictures and clips.

The verbs of the command line, as functions.  A picture is a path or a `structkit.media.pictures.Picture`; options are the fields
of the verb's configuration in `structkit.configs`, with the same names, defaults and limits as on the command line.

>>> import structkit
>>> [result] = structkit.analogy("house.png", "cake.png", strength=0.7)
>>> structkit.write_picture(result, "house-of-cake.png")
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from structkit._version import __version__

if TYPE_CHECKING:
    from structkit.media.pictures import Picture

    PictureLike = Picture | str | Path
    Size = tuple[int, int]
    Progress = Callable[[float, str], None]

__all__ = ["__version__", "analogy", "read_picture", "refine", "retarget", "sample", "write_picture"]


def __getattr__(name: str) -> Any:
    if name in ("read_picture", "write_picture"):
        from structkit.media import pictures

        return getattr(pictures, name)
    raise AttributeError(f"module 'structkit' has no attribute {name!r}")


def analogy(
    source: PictureLike,
    target: PictureLike,
    *,
    size: Size | None = None,
    samples: int = 1,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> list[Picture]:
    """Pictures with the structure of `source` (where things are) and the look of `target` (its patches).

    size: (width, height) in px; else the source's, reduced to `max_side`.  samples: how many; the i-th is that of seed + i.
    progress: called with the share done, 0 .. 1, and what is being made.  options: fields of `configs.AnalogyConfig`.
    The source's alpha is carried over; transparent parts of the target are not used.  No metadata is kept: the result is a new picture.
    Method: GPNN (Granot et al., CVPR 2022) with aligned statistics and guidance, see `structkit.engines.patch`.
    Raises InputError, OptionError, DeviceError.
    """
    from structkit import pictures

    return pictures.analogy(source, target, size, samples, pictures.Running(seed, device, dtype, progress), options)


def sample(
    picture: PictureLike,
    *,
    count: int = 1,
    size: Size | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> list[Picture]:
    """New pictures made of the patches of `picture`, otherwise arranged.  options: fields of `configs.SampleConfig`; else as `analogy`."""
    from structkit import pictures

    return pictures.sample(picture, size, count, pictures.Running(seed, device, dtype, progress), options)


def retarget(
    picture: PictureLike,
    size: Size,
    *,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> Picture:
    """The same scene in another size (width, height), px, with nothing stretched.  options: fields of `configs.RetargetConfig`."""
    from structkit import pictures

    return pictures.retarget(picture, size, pictures.Running(seed, device, dtype, progress), options)


def refine(
    picture: PictureLike,
    patches_of: PictureLike,
    *,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> Picture:
    """`picture` redrawn with the patches of another one: same layout and colours, real detail.

    options: fields of `configs.RefineConfig`."""
    from structkit import pictures

    return pictures.refine(picture, patches_of, pictures.Running(seed, device, dtype, progress), options)
