"""Corruptions of pictures: noise, blur, weather and digital changes, each in five severities.

Source: Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and perturbations (ICLR
2019), after the authors' code.  What differs:

* Any size.  Of 32 and 224 px the constants are the published ones; for the rule of other sizes see `tables`.
* Each picture has a seed, and so the same corruption whatever its batch, its order and the number of workers.
* The photographs of frost are drawn by `frosted`: results of frost are not comparable with published ones.
* Files are not needed: of ImageNet-C, the published pictures were also kept as JPEG of quality 85.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator, Philox

from structkit.configs.corrupt import CATEGORIES, CORRUPTIONS, EXTRA, SEVERITIES
from structkit.data.corruptions import blurs, digital, noises, weather
from structkit.data.corruptions.levels import truncated
from structkit.data.corruptions.tables import NUMBER, origin_of, parameters
from structkit.errors import InputError, OptionError

__all__ = [
    "CATEGORIES",
    "CORRUPTIONS",
    "EXTRA",
    "SEVERITIES",
    "content_name",
    "corrupted",
    "corrupted_batch",
    "origin_of",
    "parameters",
    "seed_of",
]
TOGETHER = 1 << 17  # px that are worked on at once: they stay in the cache

FUNCTIONS = {
    kind: next(getattr(module, kind) for module in (noises, blurs, weather, digital) if hasattr(module, kind))
    for kind in (*CORRUPTIONS, *EXTRA)
}


def corrupted(pixels: np.ndarray, kind: str, severity: int, seed: int) -> np.ndarray:
    """A picture, corrupted.

    pixels: (h, w, 3) uint8 RGB, of any size.
    kind: one of `CORRUPTIONS` or `EXTRA`.
    severity: 1 to 5.
    seed: 0 to 2**63 - 1; other kinds and severities draw other numbers by it.
    Returns (h, w, 3) uint8.
    Raises OptionError for another kind, severity or seed, InputError for other pixels.
    """
    if pixels.ndim != 3:
        raise InputError(f"pixels are {pixels.dtype} {pixels.shape}; they must be uint8 (h, w, 3) and not empty")
    return corrupted_batch(pixels[None], kind, severity, [seed])[0]


def corrupted_batch(pixels: np.ndarray, kind: str, severity: int, seeds: Sequence[int] | np.ndarray) -> np.ndarray:
    """Pictures of one size, (N, h, w, 3) uint8, each corrupted as `corrupted` does with its own seed."""
    _check(pixels, kind, severity, seeds)
    made = np.empty_like(pixels, order="C")
    function, constants = FUNCTIONS[kind], parameters(kind, severity, min(pixels.shape[1:3]))
    step = max(1, TOGETHER // (pixels.shape[1] * pixels.shape[2]))
    for start in range(0, len(pixels), step):
        some = slice(start, start + step)
        draws = [_generator(kind, severity, int(seed)) for seed in seeds[some]]
        made[some] = truncated(function(pixels[some], draws, **constants))
    return made


def _check(pixels: np.ndarray, kind: str, severity: int, seeds: Sequence[int] | np.ndarray) -> None:
    if kind not in FUNCTIONS:
        raise OptionError(f"{kind!r} is no corruption: choose one of {', '.join(FUNCTIONS)}")
    if severity not in SEVERITIES:
        raise OptionError(f"severity is {severity!r}: it must be a whole number from 1 to 5")
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3 or 0 in pixels.shape[1:]:
        raise InputError(f"pixels are {pixels.dtype} {pixels.shape}; they must be uint8 (N, h, w, 3) and not empty")
    if len(seeds) != len(pixels):
        raise OptionError(f"there are {len(seeds)} seeds for {len(pixels)} pictures: each needs one")
    for seed in seeds:
        if not 0 <= seed < 2**63:
            raise OptionError(f"a seed is {seed!r}: it must be a whole number, at least 0 and below 2**63")


def _generator(kind: str, severity: int, seed: int) -> Generator:
    """The generator of one picture, by a counter: Philox, whose key is the seed, the kind and the severity."""
    return Generator(Philox(key=np.array([seed, 8 * NUMBER[kind] + severity], np.uint64)))


def seed_of(name: str, kind: str, severity: int, seed: int) -> int:
    """The seed of one picture's corruption, 0 to 2**63 - 1, which depends on nothing else.

    name: what tells the picture from others; see `content_name`.
    seed: of the whole run.
    """
    said = "\0".join((name, kind, str(severity), str(seed))).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(said).digest()[:8], "big") >> 1


def content_name(pixels: np.ndarray) -> str:
    """The name of a picture after its content: the same in any folder, and of no two pictures alike."""
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
