"""The verb of corruptions: a picture as a bad lens, bad weather, or a poor file would give it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from structkit.data.corruptions import content_name, corrupted, seed_of
from structkit.device import enough_memory
from structkit.media.pictures import Picture
from structkit.verbs.canvas import notes_of, opened
from structkit.verbs.running import check_seed

if TYPE_CHECKING:
    from structkit.verbs.canvas import PictureLike

REDUCED = "16 bits a channel are reduced to 8, for which the corruptions are defined"


def corrupt(picture: PictureLike, kind: str, severity: int = 3, *, seed: int = 0) -> Picture:
    """`picture`, corrupted by noise, blur, weather or a digital change, as in ImageNet-C and CIFAR-10-C.

    kind: gaussian_noise, shot_noise, impulse_noise, defocus_blur, glass_blur, motion_blur, zoom_blur, snow, frost, fog,
    brightness, contrast, elastic_transform, pixelate or jpeg_compression; or, which no mean counts, speckle_noise,
    gaussian_blur or saturate.
    severity: 1 to 5.  Of 32 and of 224 px the constants are the published ones, elsewhere they follow the short side:
    see `structkit.data.corruptions.tables`.  Frost is drawn, where the benchmarks have photographs.
    seed: of the run.  The numbers that are drawn depend on it and on the picture's pixels, not on its name.
    The result has the picture's size, 8 bits a channel, and its alpha as it was; no metadata is kept.
    Raises InputError, OptionError, DeviceError.
    Source: Hendrycks and Dietterich, ICLR 2019; see `structkit.data.corruptions`.
    """
    check_seed(seed)
    one = opened(picture)
    notes = notes_of(one) + ((f"{one.name}: {REDUCED}",) if one.bits == 16 else ())
    plain = one.at(8)
    with enough_memory("cpu"):
        pixels = corrupted(plain.pixels, kind, severity, seed_of(content_name(plain.pixels), kind, severity, seed))
    return Picture(pixels, alpha=plain.alpha, name=f"{one.name}, {kind} {severity}", notes=notes)
