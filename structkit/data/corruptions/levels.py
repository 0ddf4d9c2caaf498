"""Levels: how real numbers become the 256 of a picture."""

from __future__ import annotations

import numpy as np

HAIR = {np.dtype(np.float32): 1e-3, np.dtype(np.float64): 1e-9}  # of a level: what rounding errors may take away


def truncated(levels: np.ndarray) -> np.ndarray:
    """The whole levels below these, clipped to 0 .. 255, uint8; as published, levels are cut and not rounded.

    A value a hair below a whole level counts as that one, so that a picture of one colour stays of that colour.
    """
    if levels.dtype == np.uint8:
        return levels
    levels = levels + levels.dtype.type(HAIR[levels.dtype])
    return levels.clip(0, 255, out=levels).astype(np.uint8)
