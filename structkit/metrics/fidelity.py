"""Fidelity: the nearness of a picture to the true one, by PSNR and SSIM, over the whole picture or within a mask.

Pictures are (3, H, W) of any number type, masks (H, W) bool.
`squared_error` and `similarity` give a `Pool`, a sum and a count: the pools of several pictures add up to the pool of
all their pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.errors import InputError
from structkit.metrics.overlap import same_size

# The least mean squared error that counts, as a part of the squared span.  Equal pictures have 0: their PSNR, and each
# mean over pictures, would be infinite.
LEAST_ERROR = 1e-9 / 255**2
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03  # of SSIM; the first two in px: Wang et al. 2004, section III B and C


@dataclass(frozen=True)
class Pool:
    """A sum of values, and their number."""

    total: float = 0.0
    count: int = 0

    def __add__(self, other: Pool) -> Pool:
        return Pool(self.total + other.total, self.count + other.count)

    @property
    def mean(self) -> float:
        """The mean of the values; NaN if there are none."""
        return self.total / self.count if self.count else math.nan


def squared_error(result: Tensor, truth: Tensor, within: Tensor | None = None) -> Pool:
    """The pool of the squared errors of all three channels, of all pixels or of those where `within` is set."""
    _check(result, truth, within)
    error = (result.double() - truth.double()).square().sum(0)
    chosen = error if within is None else error[within]
    return Pool(float(chosen.sum()), 3 * chosen.numel())


def decibel(error: float, span: float = 255) -> float:
    """The peak signal to noise ratio, dB, of a mean squared error; NaN of NaN.  Equal pictures have 138.13 dB.

    span: the difference between the largest and the least value that a picture can have.
    """
    return -10 * math.log10(max(error / span**2, LEAST_ERROR)) if not math.isnan(error) else math.nan


def psnr(result: Tensor, truth: Tensor, within: Tensor | None = None, *, span: float = 255) -> float:
    """Peak signal to noise ratio in dB; see `decibel`.  NaN where `within` is empty."""
    return decibel(squared_error(result, truth, within).mean, span)


def similarity(result: Tensor, truth: Tensor, within: Tensor | None = None, *, span: float = 255) -> Pool:
    """The pool of the structural similarities (Wang et al. 2004), -1 .. 1, of the pixels that the window fits around.

    within: only pixels where it is set count.
    The window is 11 x 11 px, Gaussian of sigma 1.5; K1 0.01, K2 0.03.  The paper compares grey pictures; here
    similarity is the mean over the three channels, since a change of colour alone is a change too.
    Raises InputError for a picture smaller than the window.
    """
    _check(result, truth, within)
    if min(truth.shape[-2:]) < WINDOW:
        raise InputError(
            f"a picture of {truth.shape[-1]} x {truth.shape[-2]} px; SSIM needs {WINDOW} px a side, its window: use "
            "PSNR"
        )
    x, y = result.double() / span, truth.double() / span
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x, variance_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + K1**2) / (mean_x**2 + mean_y**2 + K1**2)
    structure = (2 * covariance + K2**2) / (variance_x + variance_y + K2**2)  # contrast and structure, eq. 13
    values = (luminance * structure).mean(0)
    margin = WINDOW // 2
    chosen = values if within is None else values[within[margin:-margin, margin:-margin]]
    return Pool(float(chosen.sum()), chosen.numel())


def ssim(result: Tensor, truth: Tensor, within: Tensor | None = None, *, span: float = 255) -> float:
    """Mean structural similarity, 1 for equal pictures; see `similarity`.  NaN where `within` is empty."""
    return similarity(result, truth, within, span=span).mean


def _blur(x: Tensor) -> Tensor:
    """The weighted means under the Gaussian window: (3, H, W) -> (3, H - 10, W - 10)."""
    offsets = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    weights = torch.exp(-offsets.square() / (2 * SIGMA**2))
    weights = weights / weights.sum()
    return F.conv2d(F.conv2d(x[:, None], weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))[:, 0]


def _check(result: Tensor, truth: Tensor, within: Tensor | None) -> None:
    """Refuse a picture or a mask that is not as large as the true picture.  Raises InputError."""
    same_size(result, truth)
    if within is not None:
        same_size(within, truth)
