"""PixMix: a picture mixed with pictures of rich structure (Hendrycks et al., CVPR 2022).

Starting from the picture, or from it after one operation, up to four rounds each add or multiply another picture: a
fractal, or the picture itself after an operation.  One view a picture and no further loss: a step costs a third of
AugMix's with its consistency.

Differs from the paper: its mixing pictures were collected (fractals and feature visualisations); ours are rendered.
Each round draws a fractal of its own, where the published code keeps one for all rounds of a picture; and a fractal is
larger than the picture by half, where theirs are by an eighth, so that more of its parts are seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from structkit.data.augmix import OperationDraw, check_severity, unit
from structkit.data.fractals import LARGEST, fractal
from structkit.errors import OptionError

WIDER = 1.5  # sides of a picture that a mixing picture has; a part of it is shown
SMALLEST = 1e-37  # of the other picture's factors, whose powers may be as low as -1: 1 / 1e-37 is a float32


@dataclass(frozen=True)
class PixMix:
    """A mixer of pictures with fractals.

    severity: the highest level of an operation, 0 to 10; published: 3 for 32 px, 1 for 224 px; 0: no operation.
    rounds: the most rounds of a mixture; each number from 0 on is alike likely.
    beta: of the weights' distribution: the higher, the weaker the other picture; published: 3 for 32 px, 4 for 224.
    all_operations: whether colour, contrast, brightness and sharpness are among the operations.
    pictures: fractals that take part.
    seed: of the fractals.
    Raises OptionError.
    """

    severity: float = 3
    rounds: int = 4
    beta: float = 3.0
    all_operations: bool = False
    pictures: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        check_severity(self.severity)
        if self.rounds < 0 or not self.beta > 0 or self.pictures < 1:
            raise OptionError(
                f"PixMix has {self.rounds} rounds, beta {self.beta}, {self.pictures} pictures:"
                " rounds are at least 0, beta is above 0, pictures are at least 1"
            )

    def __call__(self, pixels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """A mixture (h, w, 3) float32 in [0, 1] of a picture (h, w, 3) uint8."""
        rounds = int(generator.integers(self.rounds + 1))
        start, *coins = generator.random((rounds + 1, 5))
        mixed = unit(self._changed(pixels, start[2:])) if start[0] < 0.5 else unit(pixels)
        for own, multiplied, *draws in coins:
            other = self._changed(pixels, draws) if own < 0.5 else self._fractal(pixels.shape, draws)
            combine = multiply if multiplied < 0.5 else add
            mixed = combine(mixed, unit(other), *self.weights(generator))
        return mixed

    def weights(self, generator: np.random.Generator) -> tuple[float, float]:
        """The weights of a picture and of the other: both in [0, 1]; or of 1 to 2, and from 0 down to -1."""
        near, far = generator.beta(self.beta, 1), generator.beta(1, self.beta)
        return (near, far) if generator.random() < 0.5 else (2 - near, -far)

    def _changed(self, pixels: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """The picture after one operation."""
        return OperationDraw(self.severity, self.all_operations)(pixels, draws) if self.severity else pixels

    def _fractal(self, shape: tuple[int, ...], draws: np.ndarray) -> np.ndarray:
        """A part of a fractal, of this shape."""
        height, width = shape[:2]
        side = int(WIDER * max(height, width))
        rendered = min(side, max(LARGEST, height, width))
        which, top, left = draws
        whole = fractal(int(which * self.pictures), rendered, self.seed)
        row, column = int(top * (rendered - height + 1)), int(left * (rendered - width + 1))
        return whole[row : row + height, column : column + width]


def add(one: np.ndarray, other: np.ndarray, first: float, second: float) -> np.ndarray:
    """The weighted sum of pictures in [0, 1] about their middle grey, clipped."""
    grey = (1 - first - second) / 2  # a x + b y on [-1, 1], on [0, 1] again
    return np.clip(one * np.float32(first) + (other * np.float32(second) + np.float32(grey)), 0, 1)


def multiply(one: np.ndarray, other: np.ndarray, first: float, second: float) -> np.ndarray:
    """The product of powers of pictures in [0, 1], where middle grey is 1, clipped."""
    base = np.maximum(other * 2, np.float32(SMALLEST))
    return np.clip((one * 2) ** np.float32(first) * base ** np.float32(second) / 2, 0, 1)
