"""Channels that patches are compared by beside their colours: guides, such as label maps, edges, depth or positions.

Image analogies (Hertzmann et al., SIGGRAPH 2001, sec. 3.4) compare two unfiltered images where we compare maps of any
kind.  A patch of the result has the source's map, which is held; a patch of the target has the target's.  What differs
in a map costs as much as its weight says, and only colours are ever voted for.

A distance is the mean over the colours' channels plus, for each map, its weight times the mean over its channels.  Maps
are scaled so that one mean over all channels, which is what searches compute, is that sum times a factor.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from structkit.errors import OptionError
from structkit.kernels.patchmatch import ChannelGroup
from structkit.kernels.pyramid import Shape, resize


@dataclass(frozen=True)
class Channels:
    """Channels of a source and of a target that mean the same.

    source (1, G, *any), target (1, G, *any) in [-1, 1], with the axes of the synthesis and any sides.
    weight: 0 or more; at 1 they count as much as all colours together.
    to: short side, px, of the last level at which they are compared.
    """

    source: Tensor
    target: Tensor
    weight: float = 1.0
    to: float = math.inf

    def __post_init__(self) -> None:
        one, other = tuple(self.source.shape), tuple(self.target.shape)
        if one[:2] != other[:2] or len(one) != len(other):
            raise OptionError(f"channels {one} of a source and {other} of a target: they must be as many")
        if not 0 <= self.weight < math.inf:
            raise OptionError(f"the weight of channels is {self.weight:g}: it must be 0 or more")

    def on(self, device: str | torch.device) -> Channels:
        """The same on a device."""
        return replace(self, source=self.source.to(device), target=self.target.to(device))


@dataclass(frozen=True)
class LevelChannels:
    """The channels of one level: source (1, G, *shape), target (1, G, *key shape), scaled; None where there are none.

    groups: of all channels that are compared, the colours first.  factor: of mean distances to those meant.
    """

    source: Tensor | None = None
    target: Tensor | None = None
    groups: tuple[ChannelGroup, ...] = ()
    factor: float = 1.0

    def of_result(self, picture: Tensor) -> Tensor:
        """The result (1, C, *shape) with its channels."""
        return picture if self.source is None else torch.cat([picture, self.source], 1)

    def of_target(self, picture: Tensor) -> Tensor:
        """The target (1, C, *key shape) with its channels."""
        return picture if self.target is None else torch.cat([picture, self.target], 1)


class ChannelStack:
    """The channels of a synthesis, in an order that does not depend on the one they were given in.

    Those of weight 0 are left out.
    """

    def __init__(self, channels: Sequence[Channels], colours: int) -> None:
        """colours: the number of channels that patches are compared by otherwise."""
        self.given, self.colours = tuple(channels), colours
        self._ordered = _ordered(self.given)
        self._levels: dict[tuple[Shape, Shape], LevelChannels] = {}

    def follow(self, sources: Sequence[Tensor]) -> None:
        """Take other sources, one for each of the channels given, with the targets that there are."""
        self.given = tuple(replace(own, source=source) for own, source in zip(self.given, sources, strict=True))
        self._ordered, self._levels = _ordered(self.given), {}

    def maps(self, shape: Shape) -> Tensor:
        """The maps of the source that count, (1, any, *shape) in [-1, 1], with no channel where there are none."""
        maps = [resize(own.source, shape).clamp(-1, 1) for own in self._ordered]
        return torch.cat(maps, 1) if maps else torch.empty(1, 0, *shape)

    def at(self, shape: Shape, key_shape: Shape) -> LevelChannels:
        """The channels of a level of the result's shape and the target's."""
        if (shape, key_shape) not in self._levels:
            self._levels[shape, key_shape] = self._at(shape, key_shape)
        return self._levels[shape, key_shape]

    def _at(self, shape: Shape, key_shape: Shape) -> LevelChannels:
        compared = [own for own in self._ordered if min(shape[-2:]) <= own.to]
        if not compared:
            return LevelChannels()
        counts = [own.source.shape[1] for own in compared]
        scales = [math.sqrt(own.weight * self.colours / count) for own, count in zip(compared, counts, strict=True)]
        sides = ([own.source for own in compared], shape), ([own.target for own in compared], key_shape)
        source, target = (
            torch.cat([resize(one, to).clamp(-1, 1) * scale for one, scale in zip(maps, scales, strict=True)], 1)
            for maps, to in sides
        )
        groups = [ChannelGroup(self.colours, 1.0), *map(ChannelGroup, counts, scales)]
        return LevelChannels(source, target, tuple(groups), 1 + sum(counts) / self.colours)


def place_channels(own: Shape, shape: Shape, *, to: float, down: float = 0.0, across: float = 0.0) -> list[Channels]:
    """The places of a picture (H, W) = own and of a result as channels, for the levels of a short side up to `to` px.

    down, across: their weights, that of the height and that of the way from left to right.
    """
    return [
        Channels(*(slope(space, axis) for space in (shape, own)), weight=weight, to=to)
        for axis, weight in enumerate((down, across))
        if weight
    ]


def slope(shape: Shape, axis: int) -> Tensor:
    """Values (1, 1, *shape) that rise from -1 to 1 along one axis."""
    line = torch.linspace(-1, 1, shape[axis])
    return (line[:, None] if axis == 0 else line[None]).expand(*shape)[None, None].contiguous()


def _ordered(channels: Sequence[Channels]) -> list[Channels]:
    """The channels that count, in the order of their weights and targets, and then of their sources."""
    counting = [own for own in channels if own.weight > 0]
    if len(counting) < 2:
        return counting
    return sorted(counting, key=lambda own: (own.weight, own.to, _digest(own.target), _digest(own.source)))


def _digest(values: Tensor) -> bytes:
    return hashlib.sha256(values.detach().cpu().contiguous().numpy()).digest()
