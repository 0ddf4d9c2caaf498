"""AugMix: a picture mixed with chains of small changes to itself (Hendrycks et al., ICLR 2020).

A chain applies one to three operations, each drawn anew, one after another.  Three chains are averaged with weights
from a Dirichlet distribution, and the average is mixed with the picture itself by a weight from a Beta distribution.
The mixture is never rounded to 8 bits.

torchvision has a transform of the same name whose magnitudes are ten fixed steps, zero among them; here they are drawn
from a range, as published.  Every draw comes from the generator that the caller hands over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from structkit.errors import OptionError

LEVELS = 10  # of an operation; at this one its magnitude is the largest
LEAST = 0.1  # the lowest level that is drawn
DEGREES, SHEAR, SHIFT = 30, 0.3, 1 / 3  # at LEVELS; a shift in sides of the picture
VALUES, CHANNELS = np.arange(256), np.array([0, 256, 512])  # of a channel; where each begins in a row of tables

Operation = Callable[[np.ndarray, float, bool], np.ndarray]


def _autocontrast(pixels: np.ndarray, level: float, back: bool) -> np.ndarray:
    """Each channel stretched from 0 to 255."""
    channels = np.ascontiguousarray(pixels.reshape(-1, 3).T)
    low, high = channels.min(1).astype(np.float64), channels.max(1).astype(np.float64)
    flat = high <= low
    scale = np.where(flat, 1, 255 / np.where(flat, 1, high - low))
    tables = VALUES * scale[:, None] + np.where(flat, 0, -low * scale)[:, None]
    return _looked_up(pixels, tables)


def _equalize(pixels: np.ndarray, level: float, back: bool) -> np.ndarray:
    """Each channel with its values spread evenly; 255 classes of about the same number of pixels."""
    counts = np.bincount((pixels + CHANNELS).ravel(), minlength=768).reshape(3, 256)
    highest = 255 - (counts[:, ::-1] > 0).argmax(1)
    step = ((counts.sum(1) - counts[np.arange(3), highest]) // 255)[:, None]
    before = counts.cumsum(1) - counts
    return _looked_up(pixels, np.where(step > 0, (step // 2 + before) // np.maximum(step, 1), VALUES))


def _posterize(pixels: np.ndarray, level: float, back: bool) -> np.ndarray:
    bits = max(1, 4 - int(level * 4 / LEVELS))
    return pixels & np.uint8(256 - 2 ** (8 - bits))


def _solarize(pixels: np.ndarray, level: float, back: bool) -> np.ndarray:
    return np.where(pixels < 256 - int(level * 256 / LEVELS), pixels, 255 - pixels)


def _rotate(pixels: np.ndarray, level: float, back: bool) -> np.ndarray:
    degrees = _signed(int(level * DEGREES / LEVELS), back)
    return np.asarray(Image.fromarray(pixels).rotate(degrees, Image.Resampling.BILINEAR))


def _shear_x(pixels: np.ndarray, level: float, back: bool) -> np.ndarray:
    return _affine(pixels, (1, _signed(level * SHEAR / LEVELS, back), 0, 0, 1, 0))


def _shear_y(pixels: np.ndarray, level: float, back: bool) -> np.ndarray:
    return _affine(pixels, (1, 0, 0, _signed(level * SHEAR / LEVELS, back), 1, 0))


def _translate_x(pixels: np.ndarray, level: float, back: bool) -> np.ndarray:
    return _translate_y(pixels.swapaxes(0, 1), level, back).swapaxes(0, 1)


def _translate_y(pixels: np.ndarray, level: float, back: bool) -> np.ndarray:
    """Moved by whole pixels, up or else back down; black comes in."""
    height = len(pixels)
    shift = int(level * height * SHIFT / LEVELS)
    moved = np.zeros_like(pixels)
    if back:
        moved[shift:] = pixels[: height - shift]
    else:
        moved[: height - shift] = pixels[shift:]
    return moved


def _enhance(kind: Callable[[Image.Image], Any]) -> Operation:
    def enhanced(pixels: np.ndarray, level: float, back: bool) -> np.ndarray:
        return np.asarray(kind(Image.fromarray(pixels)).enhance(level * 1.8 / LEVELS + 0.1))

    return enhanced


def _signed(magnitude: float, back: bool) -> float:
    return -magnitude if back else magnitude


def _looked_up(pixels: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """The entries (h, w, 3) uint8 of a table for each channel (3, 256), clipped and rounded down."""
    return tables.clip(0, 255).astype(np.uint8).ravel().take(pixels + CHANNELS)


def _affine(pixels: np.ndarray, matrix: tuple[float, ...]) -> np.ndarray:
    """A picture whose pixel (x, y) shows the place (a x + b y + c, d x + e y + f) of this one; black beyond it."""
    image = Image.fromarray(pixels)
    return np.asarray(image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))


# An operation takes a picture (h, w, 3) uint8, a level from 0 to 10, and whether its magnitude has a minus sign.
OPERATIONS: dict[str, Operation] = {
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "posterize": _posterize,
    "rotate": _rotate,
    "solarize": _solarize,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
}
# Operations that resemble corruptions of the test sets; whoever reports corruption errors leaves them out.
OVERLAPPING: dict[str, Operation] = {
    "color": _enhance(ImageEnhance.Color),
    "contrast": _enhance(ImageEnhance.Contrast),
    "brightness": _enhance(ImageEnhance.Brightness),
    "sharpness": _enhance(ImageEnhance.Sharpness),
}


class OperationDraw:
    """A draw of single operations, each with a level from U(0.1, severity) and a fair sign.

    severity: the highest level, above 0 and at most 10.
    """

    def __init__(self, severity: float, all_operations: bool) -> None:
        known = OPERATIONS | OVERLAPPING if all_operations else OPERATIONS
        self.severity, self._operations = severity, list(known.values())

    def __call__(self, pixels: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """The picture after one operation.  draws: (3,) numbers from 0 to 1: which operation, its level, its sign."""
        which, level, sign = draws
        operation = self._operations[int(which * len(self._operations))]
        return operation(pixels, LEAST + (self.severity - LEAST) * level, sign > 0.5)


@dataclass(frozen=True)
class AugMix:
    """A mixer of pictures with chains of changes to themselves.

    severity: the highest level of an operation, 0 to 10; 3 for 32 px and 1 for 224 px as published; 0: no change.
    width: chains that are averaged.
    depth: operations of a chain; None: one to three, drawn for each.
    alpha: of both distributions of the weights; 1 makes all mixtures alike likely.
    all_operations: whether colour, contrast, brightness and sharpness, which resemble test corruptions, are drawn too.
    Raises OptionError.
    """

    severity: float = 3
    width: int = 3
    depth: int | None = None
    alpha: float = 1.0
    all_operations: bool = False

    def __post_init__(self) -> None:
        check_severity(self.severity)
        if self.width < 1 or (self.depth is not None and self.depth < 1) or not self.alpha > 0:
            raise OptionError(
                f"AugMix has width {self.width}, depth {self.depth}, alpha {self.alpha}:"
                " a width and a depth are at least 1, alpha is above 0"
            )

    def __call__(self, pixels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """A mixture (h, w, 3) float32 in [0, 1] of a picture (h, w, 3) uint8."""
        clean = unit(pixels)
        if self.severity == 0:
            return clean
        weights, own = self.weights(generator)
        mixture = clean * own
        draw = OperationDraw(self.severity, self.all_operations)
        depths = generator.integers(1, 4, self.width) if self.depth is None else [self.depth] * self.width
        for weight, depth in zip(weights, depths, strict=True):
            changed = pixels
            for draws in generator.random((depth, 3)):
                changed = draw(changed, draws)
            mixture += np.multiply(changed, weight, dtype=np.float32)
        return np.clip(mixture, 0, 1, out=mixture)

    def weights(self, generator: np.random.Generator) -> tuple[np.ndarray, np.float32]:
        """The weights of the chains' pixels of 0 to 255 (width,), and that of the picture itself; float32."""
        among = generator.dirichlet([self.alpha] * self.width)
        changed = generator.beta(self.alpha, self.alpha)
        return (among * (changed / 255)).astype(np.float32), np.float32(1 - changed)


def check_severity(severity: float) -> None:
    """Raises OptionError for a severity that is no level."""
    if not 0 <= severity <= LEVELS:
        raise OptionError(f"a severity of {severity}: choose one from 0 to {LEVELS}; published are 3 (32 px), 1 (224)")


def unit(pixels: np.ndarray) -> np.ndarray:
    """Pixels in [0, 1], float32, of uint8 ones."""
    return np.divide(pixels, np.float32(255), dtype=np.float32)
