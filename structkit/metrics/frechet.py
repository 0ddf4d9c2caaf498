"""The Fréchet distance of two sets of features: of the normal distributions that have their means and covariances.

Source: Dowson and Landau (J. Multivariate Analysis 1982); with the features of a network known as FID (Heusel et al.,
NIPS 2017), and over the positions of one picture or clip as SIFID and SVFID.  The features are the caller's.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from structkit.errors import InputError


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), 0 for equal sets.

    one (N, D), other (M, D): a row for each feature vector, N and M at least 2.  The covariances S are divided by N - 1
    and M - 1.
    Where N or M is not larger than D the figure is exact for what is given, and larger than that of more rows.
    Raises InputError for other shapes, for values that are not finite, and for a distance beyond the range of numbers.
    """
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1] or one.shape[1] == 0:
        shapes = f"{tuple(one.shape)} and {tuple(other.shape)}"
        raise InputError(f"features of shapes {shapes}; expected (N, D) and (M, D), a row for each feature vector")
    if min(len(one), len(other)) < 2:
        few = min(len(one), len(other))
        fact = f"{few} feature vector{'s' * (few != 1)}"
        raise InputError(f"{fact}; a covariance takes 2, and many more to be steady")
    if not (one.isfinite().all() and other.isfinite().all()):
        raise InputError("features that are not finite; find out where they come from")
    one, other = one.double(), other.double()
    largest = max(float(one.abs().max()), float(other.abs().max())) or 1.0
    scale = 2.0 ** math.frexp(largest)[1] if largest < 2.0**1023 else largest  # a power of two changes no digit
    means, roots = zip(*(_moments(rows / scale) for rows in (one, other)), strict=True)
    # With S1 = A'A and S2 = B'B the trace of the root of S1 S2 is the sum of the singular values of A B': no root of a
    # matrix is taken, and none that has lost its rank makes trouble.
    common = torch.linalg.svdvals(roots[0] @ roots[1].T).sum()
    spread = roots[0].square().sum() + roots[1].square().sum()
    distance = (means[0] - means[1]).square().sum() + spread - 2 * common
    if distance <= torch.finfo(torch.float64).eps * (len(one) + len(other) + one.shape[1]) * spread:
        return 0.0  # no more than rounding
    if math.isinf(found := float(distance) * scale * scale):
        raise InputError(f"features as large as {largest:.3g}; the distance is beyond all numbers: divide them by that")
    return found


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (D,), and A (min(N, D), D) with A'A the covariance, of float64 rows (N, D)."""
    mean = rows.mean(0)
    apart = (rows - mean) / (len(rows) - 1) ** 0.5
    return mean, torch.linalg.qr(apart, mode="r").R if len(apart) > apart.shape[1] else apart
