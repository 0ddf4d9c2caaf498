"""Parts of pictures at random: uniform numbers of a sample's seed, and what they cut out."""

from __future__ import annotations

import numpy as np
from PIL import Image

from structkit.data.decoding import middle_square

AREA, RATIO, TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10  # of a resized part: share of the picture, width by height, draws


def uniform(seeds: np.ndarray, count: int) -> np.ndarray:
    """Numbers (B, count) float64 in [0, 1) that look drawn, of whole numbers (B,); each row of its seed alone.

    SplitMix64 (Steele et al., 2014), whose counter starts at the seed's own hash.
    """
    with np.errstate(over="ignore"):
        start = _hashed(np.asarray(seeds).astype(np.int64).astype(np.uint64))
        steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return (_hashed(start[:, None] + steps) >> np.uint64(11)).astype(np.float64) / 2**53


def central(pixels: np.ndarray, side: int) -> np.ndarray:
    """The square in the middle of a picture (h, w, 3) uint8, its short side resized to `side`: (side, side, 3)."""
    if pixels.shape[:2] == (side, side):
        return pixels
    return middle_square(pixels, side).permute(1, 2, 0).numpy()


def resized(pixels: np.ndarray, side: int, draws: np.ndarray) -> np.ndarray:
    """A part (side, side, 3) of random area and ratio, resized; the middle one if ten draws do not fit the picture.

    draws: (40,) numbers in [0, 1).  torchvision's RandomResizedCrop, which ImageNet's recipes use.
    """
    height, width = pixels.shape[:2]
    for area, ratio, down, right in draws.reshape(TRIES, 4):
        share = height * width * (AREA[0] + (AREA[1] - AREA[0]) * area)
        shape = np.exp(np.log(RATIO[0]) + np.log(RATIO[1] / RATIO[0]) * ratio)
        wide, high = round(np.sqrt(share * shape)), round(np.sqrt(share / shape))
        if 0 < wide <= width and 0 < high <= height:
            top, left = int(down * (height - high + 1)), int(right * (width - wide + 1))
            break
    else:
        wide, high = min(width, round(height * RATIO[1])), min(height, round(width / RATIO[0]))
        top, left = (height - high) // 2, (width - wide) // 2
    part = Image.fromarray(pixels[top : top + high, left : left + wide])
    return np.asarray(part.resize((side, side), Image.Resampling.BILINEAR))


def moved(parts: np.ndarray, most: int, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Pictures (B, side, side, 3) moved by up to `most` px each way; black comes in."""
    count, side = parts.shape[:2]
    wide = np.zeros((count, side + 2 * most, side + 2 * most, 3), parts.dtype)
    wide[:, most:-most, most:-most] = parts
    tops, lefts = ((draws * (2 * most + 1)).astype(np.int64).tolist() for draws in (down, right))
    return np.stack([w[t : t + side, m : m + side] for w, t, m in zip(wide, tops, lefts, strict=True)])


def turned(pixels: np.ndarray, degrees: float) -> np.ndarray:
    """A picture turned about its middle, against the clock; its nearest pixels, and black beyond them."""
    return np.asarray(Image.fromarray(pixels).rotate(degrees))


def _hashed(numbers: np.ndarray) -> np.ndarray:
    """SplitMix64's mixture of the bits of uint64 numbers."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
