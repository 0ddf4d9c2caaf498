"""A layer: the colours that an engine paints over a picture, and the mask that says where."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Layer:
    """Colours and the mask through which they are pasted: `mask * colours + (1 - mask) * canvas`.

    A layer does not know its canvas: it may be pasted onto the picture that it was found on, at any resolution, or onto
    another.
    """

    mask: Tensor  # (B, 1, S, S) in [0, 1]
    colours: Tensor  # (B, 3, S, S) in [-1, 1]
