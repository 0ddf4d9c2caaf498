"""Animated pictures: GIF, WebP, PNG and AVIF files of several frames <-> arrays and their times.

A file's frames are read one after another, laid over one another as a viewer shows them, and brought to upright sRGB.
Transparent parts are laid over white.  The same frames always give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count, pairwise
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile

from structkit.errors import InputError, OptionError, OutputError, StructkitError
from structkit.media import colour, damage, raster
from structkit.media.files import COPY_OR_TOLERATE, one_line
from structkit.media.formats import ANIMATED, Format, format_of, save
from structkit.media.warned import warnings_of_this_thread

UNSAID = Fraction(1, 10)  # s, of a frame whose file says no duration, or one that no viewer keeps to
SHORTEST = Fraction(1, 50)  # s, of a frame of a GIF: what is shorter is shown for a tenth of a second
TICKS = {"GIF": Fraction(1, 100), "WEBP": Fraction(1, 1000), "AVIF": Fraction(1, 1000), "PNG": Fraction(1, 1000)}  # s
COPY = "copy or export it again from the original"
PAPER = (255, 255, 255)  # what shows where a frame is transparent
PALETTE_PIXELS = 2**18  # of all frames together, from which the colours of a GIF are chosen
# Thresholds of Bayer's ordered dither, in [-1/2, 1/2): a pattern that stands still, where noise would flicker.
BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16 - 0.5
DITHER = 12  # levels from one colour of the palette to the next, about


@dataclass
class AnimationReader:
    """A reader of an animated picture, which is iterated once.

    data: the bytes of the file.
    format: its own.
    width, height: of the frames, px; 0 before the first is read.
    notes: changes on the way in; more come while frames are read.
    Each frame is its pixels, (H, W, 3) uint8, and its duration, s.
    Raises InputError: damaged, truncated, over `max_pixels`; when `tolerant`, only where not even one frame is left.
    """

    data: bytes
    format: Format
    name: str
    max_pixels: int
    tolerant: bool = False
    width: int = field(default=0, init=False)
    height: int = field(default=0, init=False)
    notes: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[np.ndarray, Fraction]]:
        frames, done, fact = self._frames(), 0, None
        while True:
            with warnings_of_this_thread() as warned:
                try:
                    frame = next(frames, None)
                    if frame is None:
                        fact = None if self.format.is_whole(self.data) else "its end is missing"
                except (StructkitError, MemoryError):
                    raise
                except Exception as error:  # a decoder's reaction to foreign bytes is not foreseeable
                    frame, fact = None, one_line(error) or type(error).__name__
                    if not damage.has_room(self.data, self.format, self.max_pixels):
                        raise MemoryError from error
            for warning in warned:
                self._note(f"the {self.format.label} reader says: {one_line(warning)}")
            if frame is None:
                break
            yield frame
            done += 1
        if fact is None:
            return
        far = f"after {done} frames" if done else "before its first frame"
        told = f"damaged or truncated {self.format.label} {far} ({fact})"
        if not (self.tolerant and done):
            raise InputError(f"{self.name}: {told}; {COPY_OR_TOLERATE if done else COPY}")
        self._note(f"{told}: the clip ends there")

    def _frames(self) -> Iterator[tuple[np.ndarray, Fraction]]:
        image = self.format.open(self.data)
        raster.check_size(image.size, self.name, self.max_pixels)
        size, turn = image.size, raster.UPRIGHT.get(image.getexif().get(raster.ORIENTATION, 1), np.asarray)
        first = int(getattr(image, "default_image", False))  # a PNG's still, which is none of its frames
        for number in count(first):
            try:
                image.seek(number)
            except EOFError:  # also where the file ends early, which `is_whole` tells
                return
            image.load()
            duration = Fraction(image.info.get("duration") or 0).limit_denominator(10**6) / 1000
            if duration <= 0 or (self.format.name == "GIF" and duration < SHORTEST):
                self._note(f"frames that say no duration, or too short a one: {UNSAID} s each, as viewers show them")
                duration = UNSAID
            pixels = np.ascontiguousarray(turn(self._pixels(image, size)))
            self.height, self.width = pixels.shape[:2]
            yield pixels, duration

    def _pixels(self, image: ImageFile.ImageFile, size: tuple[int, int]) -> np.ndarray:
        profile = image.info.get("icc_profile")
        frame: Image.Image = image
        if image.size != size:
            raster.check_size(image.size, self.name, self.max_pixels)
            self._note("the frame size changes on the way: all frames are cut to the first's")
            frame = image.crop((0, 0, *size))
        if frame.has_transparency_data:
            frame = frame.convert("RGBA")
            if frame.getextrema()[3][0] < 255:
                self._note("transparency is left out: it is laid over white")
            frame = Image.alpha_composite(Image.new("RGBA", size, (*PAPER, 255)), frame)
        rgb, notes = colour.to_srgb(frame.convert("RGB"), profile)
        for note in notes:
            self._note(note)
        return np.array(rgb)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def is_animated(data: bytes | BinaryIO, format: Format) -> bool | None:
    """True for a file of several frames; pages of a TIFF are none.  None for a damaged one that does not tell."""
    if format.name not in TICKS:
        return False
    with warnings_of_this_thread():
        try:
            if getattr(format.open(data), "is_animated", False):
                return True
            if format.name != "GIF":  # which alone does not say it at its beginning
                return False
            if not isinstance(data, bytes):
                data.seek(0)
                data = data.read()
            return False if format.is_whole(data) else None
        except MemoryError:
            raise
        except Exception:  # a decoder's reaction to foreign bytes is not foreseeable
            return None


def encode_animation(
    frames: Sequence[np.ndarray], rate: Fraction, format: str, *, quality: int | None = None, name: str = "clip"
) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of an animated picture that begins again at its end, and notes.

    frames: (H, W, 3) uint8 each, all of one shape; at least one.
    rate: 1/s.
    format: gif, webp or png, or a name that ends so.
    quality: 1 to 100, for WebP, which is without loss by default; refused elsewhere.
    A GIF has the best 256 colours of all its frames, by an ordered dither, and shows at most 50 frames a second.
    Viewers show equal frames in a row as one that stays longer, and so they are stored.
    Raises OutputError (unknown format, a side too long), OptionError (quality).
    """
    kind = format_of(format)
    if kind.suffixes[0] not in ANIMATED:
        raise OutputError(f"{name}: {kind.label} holds no clip that is written; end the name in {' '.join(ANIMATED)}")
    if quality is not None and kind.name != "WEBP":
        raise OptionError(
            f"{name}: quality does not apply to {kind.label}; it applies to WebP and videos; leave it out"
        )
    if quality is not None and not 1 <= quality <= 100:
        raise OptionError(f"{name}: quality {quality}; it goes from 1 to 100")
    height, width = frames[0].shape[:2]
    if max(height, width) > kind.max_side:
        fact = f"{width} x {height} pixels, over the {kind.max_side} a side that {kind.label} can hold"
        raise OutputError(f"{name}: {fact}; write .mp4")
    notes = ()
    if kind.name == "GIF" and 1 / rate < SHORTEST:
        notes = (f"slowed down to {1 / SHORTEST} frames a second: viewers show a faster GIF at ten",)
        rate = 1 / SHORTEST
    images = _in_palette(frames) if kind.name == "GIF" else [Image.fromarray(frame) for frame in frames]
    options = {"WEBP": {"lossless": True} if quality is None else {"quality": quality}, "GIF": {"optimize": False}}
    more = {"save_all": True, "append_images": images[1:], "loop": 0, "duration": _durations(len(images), rate, kind)}
    try:
        return save(images[0], kind, **more, **options.get(kind.name, {})), notes
    except Exception as error:  # an encoder's refusal; everything that is the caller's was checked above
        fact = one_line(error) or type(error).__name__
        raise OutputError(f"{name}: cannot be encoded as {kind.label} ({fact}); write .mp4") from error


def _durations(frames: int, rate: Fraction, kind: Format) -> list[float]:
    """The durations, ms, of frames whose times are the nearest ticks; a PNG has fractions."""
    if kind.name == "PNG":
        return [float(1000 / rate)] * frames
    tick = TICKS[kind.name]
    times = [round(number / rate / tick) for number in range(frames + 1)]
    return [int((after - before) * tick * 1000) for before, after in pairwise(times)]


def _in_palette(frames: Sequence[np.ndarray]) -> list[Image.Image]:
    """The frames in one palette: as they are where 256 colours suffice, else by a dither that is the same for all."""
    height, width = frames[0].shape[:2]
    packed = [frame.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32) for frame in frames]
    colours = np.unique(np.concatenate([np.unique(one) for one in packed]))
    if len(colours) <= 256:
        levels = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], -1).astype(np.uint8)
        return [_with_palette(np.searchsorted(colours, one).astype(np.uint8), levels) for one in packed]
    every = -(-len(frames) * height * width // PALETTE_PIXELS)
    seen = np.concatenate([frame.reshape(-1, 3)[number % every :: every] for number, frame in enumerate(frames)])
    palette = Image.fromarray(seen[None]).quantize(256, Image.Quantize.MEDIANCUT, kmeans=1)
    pattern = np.tile(DITHER * BAYER, (-(-height // 4), -(-width // 4)))[:height, :width, None]
    shifted = (np.clip(np.floor(frame + pattern + 0.5), 0, 255).astype(np.uint8) for frame in frames)
    return [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in shifted]


def _with_palette(indices: np.ndarray, levels: np.ndarray) -> Image.Image:
    image = Image.fromarray(indices, "P")
    image.putpalette(levels.tobytes())
    return image
