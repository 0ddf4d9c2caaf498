"""Maps that guide an analogy, as channels: labels, each as far from every other, or shades, such as depth and edges.

A target's map of few colours has labels: each colour is one, and its pixels are shares of it in whatever size, so that
two labels never blend into a third.  A pixel of a source's map has the label that its colour is nearest to, so that a
compressed video's colours are right; one that is near to none is equally far from all, and there nothing is asked for.
Any other map is compared as it looks, or, where the target's is grey, by its brightness.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from structkit.errors import InputError
from structkit.kernels.pyramid import resize
from structkit.media.pictures import Picture
from structkit.media.tensors import to_tensor

MOST_LABELS = 24  # colours of a map of labels, at most
GREYS, DARK = 8, 64 * 257  # more levels of grey than so many are shades, unless all are darker: then they are ids
NEAR = 48 * 257  # of 65535: by how much a label's colour may be off in a channel, and less where labels are alike
LEAST_SHARE = 0.5  # of a source's map that must have labels of the target's, where it has many other colours


class MapCoding:
    """The way from maps to channels that two pictures' maps have in common."""

    def __init__(self, targets: Iterable[Picture], source: Picture) -> None:
        """targets: the maps of the target, one or one a frame; source: the source's, or its first.

        Raises InputError for maps that tell nothing apart, or have nothing in common.
        """
        colours, name, greys = _colours(targets)
        if len(colours) == 1:
            way_out = "give each part that is to be matched a colour of its own"
            raise InputError(f"{name}: a map of one colour, which tells nothing apart; {way_out}")
        own, counts = np.unique(_coloured(source), return_counts=True)
        self.labels: np.ndarray | None = None
        self._is_grey = greys
        self.unknown = 0.0  # share of the source's map in colours that no label has
        if len(colours) > MOST_LABELS or (greys and len(colours) > GREYS and int(_parts(colours)[:, :3].max()) > DARK):
            return
        self.labels = colours
        self.unknown = float(counts[self._label_of(own) < 0].sum() / counts.sum())
        if self.unknown > 1 - LEAST_SHARE and len(own) > MOST_LABELS:
            self.labels, self.unknown = None, 0.0
        elif self.unknown == 1:
            way_out = "paint what means the same in the same colours"
            raise InputError(f"{source.name}: no colour in common with {name}; {way_out}")

    @property
    def weight(self) -> float:
        """The factor with which the mean over the channels of two labels is that of black and white."""
        return 1.0 if self.labels is None or len(self.labels) == 2 else len(self.labels) / 2

    def channels(self, picture: Picture, shape: Sequence[int]) -> Tensor:
        """The channels (1, G, *shape) of a map, in [-1, 1]."""
        if self.labels is None:
            shades = to_tensor(picture)
            return resize(shades.mean(1, keepdim=True) if self._is_grey else shades, shape).clamp(-1, 1)
        own, where = np.unique(_coloured(picture), return_inverse=True)
        found = torch.from_numpy(self._label_of(own)[where.reshape(picture.pixels.shape[:2])])
        count = len(self.labels)
        # What has no label is as far from all: in the middle.
        nothing = (found < 0).float() * (0.5 if count == 2 else 1 / count)
        shares = [
            resize(((found == label).float() + nothing)[None, None], shape)
            for label in range(1 if count == 2 else count)
        ]
        return torch.cat(shares, 1).mul_(2).sub_(1).clamp_(-1, 1)

    def _label_of(self, colours: np.ndarray) -> np.ndarray:
        """The label (N,) int64 of each colour (N,), or -1."""
        labels, near = _parts(self.labels), NEAR
        apart = np.abs(labels[:, None] - labels[None]).max(2)
        near = min(near, (int(apart[apart > 0].min()) - 1) // 2)
        found = np.empty(len(colours), np.int64)
        for start in range(0, len(colours), 2**16):
            part = slice(start, start + 2**16)
            off = np.abs(_parts(colours[part])[:, None] - labels[None]).max(2)
            found[part] = np.where(off.min(1) <= near, off.argmin(1), -1)
        return found


def _colours(maps: Iterable[Picture]) -> tuple[np.ndarray, str, bool]:
    """The colours of maps, of which more than MOST_LABELS are as good as many; the maps' name, and whether all are
    grey.
    """
    found, name, greys = np.empty(0, np.uint64), "", True
    for picture in maps:
        own = np.unique(_coloured(picture))
        parts = _parts(own)
        greys = greys and bool((np.ptp(parts[:, :3], axis=1) <= (257 if len(own) > MOST_LABELS else 0)).all())
        found, name = np.union1d(found, own), name or picture.name
        if len(found) > MOST_LABELS and not greys:
            break
    return found, name, greys


def _coloured(picture: Picture) -> np.ndarray:
    """The colours (H, W) uint64 of a picture: red, green, blue and alpha of 16 bits; what is transparent is black."""
    whole = picture.at(16)
    pixels = whole.pixels.astype(np.uint64)
    alpha = np.uint64(65535)
    if whole.alpha is not None:
        alpha = whole.alpha.astype(np.uint64)
        pixels = pixels * alpha[..., None] // 65535
    packed = alpha
    for channel in range(3):
        packed = packed | pixels[..., channel] << np.uint64(16 * (channel + 1))
    return packed


def _parts(colours: np.ndarray) -> np.ndarray:
    """The channels (N, 4) int64 of colours (N,)."""
    shifts = np.array([16, 32, 48, 0], np.uint64)
    return (colours[:, None] >> shifts & np.uint64(65535)).astype(np.int64)
