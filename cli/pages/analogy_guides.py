"""The guides of analogies: their options, and which maps belong to which pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from structkit.configs import MOST_GUIDE_WEIGHT, Config, guide_weights, option
from structkit.errors import OptionError
from structkit_cli.options import named
from structkit_cli.run.inputs import InputFile, InputFolder, InputList, gather

Inputs = dict[str, InputFile]  # by role


@dataclass(frozen=True)
class GuideOptions(Config):
    """Options of the maps that guide an analogy."""

    guide: tuple[tuple[str, str], ...] | None = named(
        None,
        "maps of both in which what means the same looks the same: labels (painted by hand, or by structkit segment), "
        "edges, depth; may be given several times",
        "SOURCE_MAP TARGET_MAP",
    )
    guide_weight: tuple[float, ...] | None = option(
        None,
        "how much guides count beside the colours; else 1, as much as these; once for all, or once for each",
        low=0,
        high=MOST_GUIDE_WEIGHT,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        guide_weights(len(self.guide or ()), self.guide_weight)

    @property
    def weights(self) -> list[float]:
        """The weight of each guide."""
        return guide_weights(len(self.guide or ()), self.guide_weight)


class MapFiles:
    """The maps of one side of a guide: one for all pictures, one for each, or, of a video, one for each frame."""

    def __init__(self, argument: str, owners: InputList, side: str, leave_out: Sequence[str | None]) -> None:
        """owners: the pictures or videos; side: SOURCE or TARGET.  Raises OptionError."""
        self.argument, self.side = argument, side
        self.found: InputList | None = None
        is_folder = os.path.isdir(argument)
        if is_folder and not owners.many and owners.inputs and owners.inputs[0].is_video:
            return  # of its frames
        self.found = gather([argument], leave_out=leave_out, videos=True)
        self._by_name: dict[Any, list[InputFile]] = {}
        for given in self.found.inputs:
            self._by_name.setdefault(given.stem, []).append(given)

    def of(self, owner: InputFile) -> InputFile:
        """The map of a picture or a video.  Raises OptionError where there is none for it."""
        if self.found is None:
            return _folder(Path(self.argument))
        given = self.found.inputs[0] if not self.found.many else self._partner(owner)
        if given.path is not None and given.is_video and not owner.is_video:
            fact = f"--guide has {given.name}, a video, for {self.side} {owner.name}, a picture"
            raise OptionError(f"{fact}: give one map")
        return given

    def _partner(self, owner: InputFile) -> InputFile:
        """The map of the same name."""
        partners = self._by_name.get(owner.stem, [])
        if len(partners) > 1:
            names = " and ".join(given.name for given in partners)
            raise OptionError(f"--guide has {names} for {self.side} {owner.name}: leave one of them")
        if partners:
            return partners[0]
        frames = Path(self.argument) / owner.stem
        if owner.is_video and frames.is_dir():
            return _folder(frames)
        way_out = "give it one, or name a single map"
        raise OptionError(f"--guide {self.argument} has no map of the name of {self.side} {owner.name}: {way_out}")


class GuideFiles:
    """The maps of all guides of a run."""

    def __init__(
        self,
        guides: Sequence[tuple[str, str]],
        sources: InputList,
        targets: InputList,
        leave_out: Sequence[str | None],
    ) -> None:
        self._sides = [
            {
                "source": MapFiles(one, sources, "SOURCE", leave_out),
                "target": MapFiles(other, targets, "TARGET", leave_out),
            }
            for one, other in guides
        ]
        self.gathered = [files.found for sides in self._sides for files in sides.values() if files.found]
        once = [*sources.inputs, *targets.inputs, *(given for found in self.gathered for given in found.inputs)]
        if sum(given.path is None for given in once) > 1:
            raise OptionError("SOURCE, TARGET or maps of --guide are standard input (-): it can be read only once")

    def of(self, inputs: Mapping[str, InputFile], *, swapped: bool = False) -> Inputs:
        """The maps of the inputs of an analogy, by role.

        swapped: true where source and target are exchanged, and so are their maps.
        """
        made: Inputs = {}
        for number, sides in enumerate(self._sides):
            for role, other in (("source", "target"), ("target", "source")):
                files = sides[other if swapped else role]
                made[map_role(role, number)] = files.of(inputs[role])
        return made


def map_role(side: str, number: int) -> str:
    """The role of the map of a side, source or target, of the guide of a number from 0."""
    return f"{side}_map" + (f"_{number + 1}" if number else "")


def _folder(path: Path) -> InputFolder:
    return InputFolder(path, Path(path.name))
