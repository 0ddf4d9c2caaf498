"""A thousand damaged pictures, the same ones each time, and what reading each of them gives.

`python tests/media/mutants.py` prints the counts, by format; `test_mutants_pictures.py` holds the laws.
"""

import json
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image

from structkit.errors import StructkitError
from structkit.media.pictures import Picture, encode_picture, read_picture

try:
    import resource
except ImportError:  # Windows
    resource = None

COUNT = 1000
MEMORY = 2**31  # bytes of address space in which all of them are read
SIDE = 96, 80  # (width, height), px
# Format -> the encoders' options.  Those of 16 bits are structkit's own files.
ENCODERS = {
    "JPEG": [
        {"quality": 75},
        {"quality": 90, "progressive": True},
        {"quality": 95, "subsampling": 0},
        {"optimize": True},
        {"restart_marker_rows": 1},
        {"mode": "L"},
        {"mode": "CMYK"},
    ],
    "PNG": [{}, {"interlace": 1}, {"mode": "P"}, {"bits": 16}],
    "WEBP": [{"quality": 80}, {"lossless": True}, {"mode": "RGBA", "lossless": True}],
    "TIFF": [
        {"compression": "tiff_adobe_deflate"},
        {"compression": "tiff_lzw"},
        {"compression": "jpeg"},
        {"compression": "packbits"},
        {},
        {"bits": 16},
    ],
    "GIF": [{}, {"interlace": 1}],
    "AVIF": [{"speed": 10}, {"speed": 10, "mode": "RGBA"}],
    "BMP": [{}, {"mode": "P"}],
}
MUTATIONS = ("flip", "zeros", "cut", "insert", "truncate", "header")


def original(number: int) -> np.ndarray:
    """A picture with slopes, edges and noise, (H, W, 3) uint8."""
    width, height = SIDE
    y, x = np.mgrid[0:height, 0:width]
    rng = np.random.default_rng(number)
    slopes = np.stack([2 * x, 3 * y, 128 + 60 * np.sin((x + y) / (5 + number))], -1)
    edges = 90 * ((x // 13 + y // 9 + number) % 2)[..., None]
    return (slopes + edges + rng.normal(0, 6, slopes.shape)).clip(0, 255).astype(np.uint8)


def encoded(format: str, options: dict, number: int) -> bytes:
    options = dict(options)
    mode, bits = options.pop("mode", "RGB"), options.pop("bits", 8)
    pixels = original(number)
    if bits == 16:
        return encode_picture(Picture(pixels).at(16), format.lower())
    buffer = BytesIO()
    image = Image.fromarray(pixels)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(pixels[..., 0]))
    image = image.quantize(64) if mode == "P" else image.convert(mode)
    image.save(buffer, format, **options)
    return buffer.getvalue()


def mutated(data: bytes, kind: str, rng: random.Random) -> bytes:
    size, damaged = len(data), bytearray(data)
    at = rng.randrange(16, size)
    match kind:
        case "flip":
            for _ in range(rng.randint(1, 3)):
                damaged[rng.randrange(16, size)] ^= 1 << rng.randrange(8)
        case "zeros":
            length = rng.choice((64, 512, size // 2))
            damaged[at : at + length] = bytes(len(damaged[at : at + length]))
        case "cut":
            del damaged[at : at + max(1, rng.randrange(size // 2))]
        case "insert":
            damaged[at:at] = rng.randbytes(rng.randint(1, 99))
        case "truncate":
            del damaged[at:]
        case "header":
            damaged[rng.randrange(4, min(64, size))] = rng.randrange(256)
    return bytes(damaged)


def mutants(count: int = COUNT) -> Iterator[tuple[str, str, bytes, bytes]]:
    """The format, the mutation, the original file and the mutant, one after the other."""
    rng = random.Random(13)
    files = [
        (format, encoded(format, options, number))
        for format, kinds in ENCODERS.items()
        for number, options in enumerate(kinds)
    ]
    by_format = {format: [data for kind, data in files if kind == format] for format in ENCODERS}
    for number in range(count):
        format = list(ENCODERS)[number % len(ENCODERS)]
        data = rng.choice(by_format[format])
        kind = MUTATIONS[number // len(ENCODERS) % len(MUTATIONS)]
        yield format, kind, data, mutated(data, kind, rng)


def outcome(data: bytes, mutant: bytes) -> str:
    """What reading a mutant gives: same, error, note, silent (other pixels, no word) or smaller (and fewer of them).

    Any other exception gets through, and more than 10 CPU seconds end the process.
    """
    signal.setitimer(signal.ITIMER_PROF, 10)
    try:
        read = read_picture(mutant, name="mutant", max_pixels=2**22)
    except StructkitError:
        return "error"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    whole = read_picture(data)
    if read.pixels.shape == whole.pixels.shape and (read.pixels == whole.pixels).all():
        return "same"
    if read.notes != whole.notes:
        return "note"
    return "smaller" if read.width < whole.width or read.height < whole.height else "silent"


def main() -> None:
    """Print what came of the mutants, as JSON: format -> mutation -> outcome -> how many."""
    if resource:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    counts = {format: {kind: Counter() for kind in MUTATIONS} for format in ENCODERS}
    for format, kind, data, mutant in mutants():
        counts[format][kind][outcome(data, mutant)] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    sys.exit(main())
