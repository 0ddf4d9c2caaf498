"""Photographs of frost, drawn: feathers of ice that grow over a cold pane, in the colours of the published ones.

A feather has a stem, barbs on both sides of it, and finer ones on these.  Each keeps to its own part of the pane, so
that they meet in seams, as crystals do.  A haze of noise lies over all, whose amplitude falls as 1 / f^1.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.random import Generator, Philox

SIDE = 512  # px; a photograph goes on at its other side
STEP = 0.9  # px between the points of a line
COARSE = 4  # px of the grid on which the parts of the pane are told apart


@dataclass(frozen=True)
class Pane:
    """The constants of one photograph.

    tint: the mean colour, of a published photograph.
    spread: deviation of its levels.
    feathers: their number.
    barbs: angle between a stem and its barbs, degrees.
    haze: how much of the deviation is haze, 0 to 1.
    """

    tint: tuple[int, int, int]
    spread: float
    feathers: int
    barbs: float
    haze: float


PANES = (
    Pane((78, 149, 166), 40, 24, 58, 0.4),
    Pane((201, 205, 214), 34, 44, 50, 0.4),
    Pane((138, 153, 165), 42, 70, 60, 0.45),
    Pane((112, 123, 135), 46, 32, 40, 0.35),
    Pane((71, 95, 105), 44, 100, 62, 0.5),
)
PHOTOS = len(PANES)


@cache
def photo(number: int) -> np.ndarray:
    """A photograph of frost, (SIDE, SIDE, 3) float32, whole levels; number: 0 to PHOTOS - 1."""
    pane, draw = PANES[number], Generator(Philox(key=np.array([number, 0], np.uint64)))
    ice = _feathers(pane, draw)
    relief = ice + 0.5 * _blurred(ice, 3) + 2 * _blurred(ice, 40)
    relief = (1 - pane.haze) * _standard(relief) + pane.haze * _haze(draw)
    light = _standard(relief)[..., None] * pane.spread
    return (np.array(pane.tint) + light).clip(0, 255).round().astype(np.float32)


def _feathers(pane: Pane, draw: Generator) -> np.ndarray:
    """How much ice there is at each place, (SIDE, SIDE) in [0, 1]."""
    count = pane.feathers
    reach = SIDE / count**0.5
    root = draw.uniform(0, SIDE, (count, 2))
    heading = draw.uniform(0, 2 * np.pi, count)
    bend = draw.normal(0, 0.12, count) / reach
    length = reach * draw.uniform(1.5, 3, count)
    side = np.radians(pane.barbs)
    owners = _owners(root, heading, length)
    ice = np.zeros((SIDE, SIDE))
    place, angle, own, left = root, heading, np.arange(count), length
    for level, (gap, share, strength) in enumerate(((2.0, 0.9, 0.8), (3.5, 0.35, 0.5), (None, 0.0, 0.25))):
        steps = int(left.max() / STEP) + 1
        way = np.arange(steps) * STEP
        turned = angle[:, None] + (bend[own] * (1, -2, 0)[level])[:, None] * way
        along = place[:, None] + STEP * np.stack([np.sin(turned), np.cos(turned)], -1).cumsum(1)
        there = way < left[:, None]
        if level:
            there &= owners[tuple(np.moveaxis(along.astype(int) % SIDE, -1, 0))] == own[:, None]
            there = np.logical_and.accumulate(there, 1)
        lit = 0.65 + 0.35 * np.cos(turned - 0.8)
        weight = strength * STEP * lit * (1 - 0.7 * way / left.max())
        ice += _dotted(along[there], weight[there])
        if gap is None:
            break
        buds = there & (draw.random(there.shape) < STEP / gap)
        sides = draw.choice([side, -side], int(buds.sum()))
        rest = (left[:, None] - way)[buds]
        place, angle = along[buds], turned[buds] + sides + draw.normal(0, 0.06, len(rest))
        own = np.broadcast_to(own[:, None], buds.shape)[buds]
        left = rest * share * draw.uniform(0.3, 1.2, len(rest)) + 2
    return 1 - np.exp(-0.6 * ice)


def _owners(root: np.ndarray, heading: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The feather that each place belongs to, (SIDE, SIDE): the one whose stem lies nearest."""
    line = np.arange(0, SIDE, COARSE) + (COARSE - 1) / 2
    nearest, owner = np.full((len(line), len(line)), np.inf), np.zeros((len(line), len(line)), int)
    for i, (start, angle, reach) in enumerate(zip(root, heading, length, strict=True)):
        towards = np.array([np.sin(angle), np.cos(angle)])
        middle = start + towards * reach / 2
        down, along = ((line - at + SIDE / 2) % SIDE - SIDE / 2 for at in middle)
        on = down[:, None] * towards[0] + along * towards[1]
        off = down[:, None] * towards[1] - along * towards[0]
        far = np.hypot(np.maximum(np.abs(on) - reach / 2, 0), off)
        closer = far < nearest
        nearest[closer], owner[closer] = far[closer], i
    return owner.repeat(COARSE, 0).repeat(COARSE, 1)


def _dotted(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The sum of weights at each place, (SIDE, SIDE), each shared among the four px around its point."""
    low = np.floor(points).astype(np.int64)
    part = points - low
    made = np.zeros(SIDE * SIDE)
    for down in (0, 1):
        for along in (0, 1):
            share = np.abs(1 - down - part[:, 0]) * np.abs(1 - along - part[:, 1])
            at = (low[:, 0] + down) % SIDE * SIDE + (low[:, 1] + along) % SIDE
            made += np.bincount(at, weights * share, SIDE * SIDE)
    return made.reshape(SIDE, SIDE)


def _haze(draw: Generator) -> np.ndarray:
    """Periodic noise whose amplitude falls as 1 / f^1.1."""
    far = _frequencies()
    far[0, 0] = np.inf
    return _standard(_filtered(draw.standard_normal((SIDE, SIDE)), far**-1.1))


def _blurred(x: np.ndarray, sigma: float) -> np.ndarray:
    """Blurred by a Gaussian of `sigma` px."""
    return _filtered(x, np.exp(-2 * (np.pi * sigma * _frequencies()) ** 2))


def _frequencies() -> np.ndarray:
    """The frequency of each coefficient of `rfft2`, 1/px."""
    return np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])


def _filtered(x: np.ndarray, response: np.ndarray) -> np.ndarray:
    return np.fft.irfft2(np.fft.rfft2(x) * response, x.shape)


def _standard(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / x.std()
