"""Constants of the corruptions: the published ones for 32 and for 224 px, and those of every other size.

Source: the code of Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and
perturbations (ICLR 2019), for CIFAR-10-C and for ImageNet-C.  The two lists are no rescaling of each other.

Other sizes follow one rule, by the short side S of the picture.  A length is taken as a share of S, an amount as it is.
Between 32 and 224 px that value lies between the two published ones, linearly in log S.
Above 224 px the last value is kept: a picture of 480 px looks as that of 224 px does, enlarged.  Blurs reach 480 / 224
times as far, and a grain of noise or of glass is so many px wide.  Only the blocks of JPEG stay 8 px wide.
Below 32 px the constants are those of 32 px.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from structkit.configs.corrupt import CORRUPTIONS, EXTRA

SMALL, LARGE = 32, 224  # px, the short sides of the two published lists


@dataclass(frozen=True)
class Constant:
    """A constant of a corruption, for each of the severities 1 to 5.

    small: the published values for 32 px.
    large: those for 224 px.
    power: 0 for an amount, 1 for a length in px, 2 for an area.
    whole: true for a whole number.
    """

    small: tuple[float, ...]
    large: tuple[float, ...]
    power: int = 0
    whole: bool = False

    def at(self, severity: int, side: int) -> float:
        """The value for a picture whose short side has so many px."""
        side = max(side, SMALL)
        share = min(math.log(side / SMALL) / math.log(LARGE / SMALL), 1.0)
        small = self.small[severity - 1] * (side / SMALL) ** self.power
        large = self.large[severity - 1] * (side / LARGE) ** self.power
        value = small * (1 - share) + large * share
        return math.floor(value + 0.5) if self.whole else value


def _blocks(*scales: float) -> tuple[float, ...]:
    """The sides of the blocks, px, of these scales."""
    return tuple(1 / scale for scale in scales)


TABLES: dict[str, dict[str, Constant]] = {
    "gaussian_noise": {"sigma": Constant((0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38))},
    "shot_noise": {"photons": Constant((500, 250, 100, 75, 50), (60, 25, 12, 5, 3))},
    "impulse_noise": {"amount": Constant((0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27))},
    "defocus_blur": {
        "radius": Constant((0.3, 0.4, 0.5, 1, 1.5), (3, 4, 6, 8, 10), power=1),
        "alias": Constant((0.4, 0.5, 0.6, 0.2, 0.1), (0.1, 0.5, 0.5, 0.5, 0.5)),
    },
    "glass_blur": {
        "sigma": Constant((0.05, 0.25, 0.4, 0.25, 0.4), (0.7, 0.9, 1, 1.1, 1.5), power=1),
        "reach": Constant((1, 1, 1, 1, 1), (1, 2, 2, 3, 4), power=1, whole=True),
        "rounds": Constant((1, 1, 1, 2, 2), (2, 1, 3, 2, 2), whole=True),
    },
    "motion_blur": {
        "radius": Constant((6, 6, 6, 8, 9), (10, 15, 15, 15, 20), power=1, whole=True),
        "sigma": Constant((1, 1.5, 2, 2, 2.5), (3, 5, 8, 12, 15), power=1),
    },
    "zoom_blur": {  # the step and the number of the factors are explicit: the end of a range of floats may slip in
        "step": Constant((0.01, 0.01, 0.01, 0.01, 0.01), (0.01, 0.01, 0.02, 0.02, 0.03)),
        "count": Constant((7, 12, 16, 21, 26), (12, 16, 11, 13, 11), whole=True),
    },
    "snow": {
        "mean": Constant((0.1, 0.1, 0.15, 0.25, 0.3), (0.1, 0.2, 0.55, 0.55, 0.55)),
        "spread": Constant((0.2, 0.2, 0.3, 0.3, 0.3), (0.3, 0.3, 0.3, 0.3, 0.3)),
        "zoom": Constant((1, 1, 1.75, 2.25, 1.25), (3, 2, 4, 4.5, 2.5), power=1),
        "threshold": Constant((0.6, 0.5, 0.55, 0.6, 0.65), (0.5, 0.5, 0.9, 0.85, 0.85)),
        "radius": Constant((8, 10, 10, 12, 14), (10, 12, 12, 12, 12), power=1, whole=True),
        "sigma": Constant((3, 4, 4, 6, 12), (4, 4, 8, 8, 12), power=1),
        "kept": Constant((0.95, 0.9, 0.9, 0.85, 0.8), (0.8, 0.7, 0.7, 0.65, 0.55)),
    },
    "frost": {
        "kept": Constant((1, 1, 0.9, 0.85, 0.75), (1, 0.8, 0.7, 0.65, 0.6)),
        "weight": Constant((0.2, 0.3, 0.4, 0.4, 0.45), (0.4, 0.6, 0.7, 0.7, 0.75)),
        "scale": Constant((0.2,) * 5, (1,) * 5, power=1),  # px of the picture for one of the photograph of frost
    },
    "fog": {
        "strength": Constant((0.2, 0.5, 0.75, 1, 1.5), (1.5, 2, 2.5, 2.5, 3)),
        "decay": Constant((3, 3, 2.5, 2, 1.75), (2, 2, 1.7, 1.5, 1.4)),
    },
    "brightness": {"added": Constant((0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5))},
    "contrast": {"factor": Constant((0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05))},
    "elastic_transform": {  # the authors' own constants of 224 px are meant for 244, and part of the benchmark
        "alpha": Constant((0, 1.6, 2.56, 3.2, 3.2), (488, 488, 12.2, 17.08, 29.28), power=2),
        "sigma": Constant((0, 6.4, 1.92, 1.28, 0.96), (170.8, 19.52, 2.44, 2.44, 2.44), power=1),
        "jitter": Constant((2.56, 2.24, 1.92, 1.6, 0.96), (24.4, 48.8, 4.88, 4.88, 4.88), power=1),
    },
    "pixelate": {"block": Constant(_blocks(0.95, 0.9, 0.85, 0.75, 0.65), _blocks(0.6, 0.5, 0.4, 0.3, 0.25), power=1)},
    "jpeg_compression": {"quality": Constant((80, 65, 58, 50, 40), (25, 18, 15, 10, 7), whole=True)},
    "speckle_noise": {"sigma": Constant((0.06, 0.1, 0.12, 0.16, 0.2), (0.15, 0.2, 0.35, 0.45, 0.6))},
    "gaussian_blur": {"sigma": Constant((0.4, 0.6, 0.7, 0.8, 1), (1, 2, 3, 4, 6), power=1)},
    "saturate": {
        "factor": Constant((0.3, 0.1, 1.5, 2, 2.5), (0.3, 0.1, 2, 5, 20)),
        "added": Constant((0, 0, 0, 0.1, 0.2), (0, 0, 0, 0.1, 0.2)),
    },
}
NUMBER = {kind: number for number, kind in enumerate((*CORRUPTIONS, *EXTRA))}  # of a kind, in the keys of its draws


def parameters(kind: str, severity: int, side: int) -> dict[str, float]:
    """The constants of a corruption, by name, for a picture whose short side has so many px."""
    return {name: constant.at(severity, side) for name, constant in TABLES[kind].items()}


def grain_of(side: int) -> float:
    """The side of a grain of noise or of glass, px, for a picture whose short side has so many px; 1 up to 224."""
    return max(1.0, side / LARGE)


def origin_of(kind: str, side: int) -> str:
    """Where those constants come from, in words."""
    if side in (SMALL, LARGE):
        words = f"as published for {side} px"
    elif side < SMALL:
        words = f"those of {SMALL} px"
    elif side < LARGE:
        words = f"between those of {SMALL} and {LARGE} px"
    else:
        words = f"those of {LARGE} px, lengths times {side / LARGE:.3g}"
    return f"{words}; frost is drawn, not photographed" if kind == "frost" else words
