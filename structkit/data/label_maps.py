"""Label maps: which id or colour of a label file means which class, and the name and colour of each class.

camvid: the 11 classes of CamVid as SegNet orders them (Badrinarayanan et al. 2017), with the colours that CamVid
publishes (Brostow et al. 2009); its 32 colours are merged into the 11 in the usual way.
cityscapes: the 19 classes that Cityscapes evaluates (Cordts et al. 2016); GTA5 (Richter et al. 2016) has the same ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from structkit.errors import InputError, OptionError
from structkit.media.label_files import LabelRaster

UNCOUNTED = 255  # the class of pixels that are not counted
UNMAPPED = 254  # in tables: ids and colours that the map does not know
MOST_CLASSES = 254
IDS, COLOURS = 2**16, 2**24  # entries of the tables

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class LabelMap:
    """The classes of label files.

    name: in messages.
    names: of the classes, K.
    palette: the colour of each class, RGB.
    ids: the class of each id, UNCOUNTED for those that are not counted; empty where files have colours.
    colours: the class of each further colour, likewise; those of the palette are known anyway.
    """

    name: str
    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    ids: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[Colour, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.names or len(self.names) > MOST_CLASSES:
            raise OptionError(f"{self.name}: {len(self.names)} classes; a label map has 1 to {MOST_CLASSES}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_of_colours(self) -> bool:
        """True where files have colours and no ids: the indices of a palette then mean nothing."""
        return not self.ids

    def classes(self, raster: LabelRaster, unmapped: Counter[int | Colour] | None = None) -> np.ndarray:
        """The class of each pixel, (H, W) uint8, UNCOUNTED where it is not counted or its value is not in the map.

        unmapped: gets the pixels of each id or colour that the map does not know.
        A palette is read by its indices, unless the map is of colours.  Where it has the map's own colours in the order
        of the classes, as results of `structkit segment` do, its indices are classes.
        Raises InputError for ids where the map is of colours.
        """
        values, palette = raster.values, raster.palette
        if palette is not None and not raster.is_coloured:
            if self.has_palette(palette):
                table = self._table_of_classes
            elif self.is_of_colours:
                table = np.full(IDS, UNMAPPED, np.uint8)
                table[: len(palette)] = self._table_of_colours[packed(palette)]
            else:
                table = self._table_of_ids
        elif raster.is_coloured:
            values, table = packed(values), self._table_of_colours
        elif self.is_of_colours:
            raise InputError("ids of one channel, and the label map has colours: give each class its id in the map")
        else:
            table = self._table_of_ids
        found = table[values]
        strange = found == UNMAPPED
        if strange.any():
            if unmapped is not None:
                for value, count in zip(*np.unique(values[strange], return_counts=True), strict=True):
                    key = unpacked(int(value)) if raster.is_coloured else int(value)
                    unmapped[key] += int(count)
            found[strange] = UNCOUNTED
        return found

    @cached_property
    def numbered(self) -> LabelMap:
        """The map of files whose ids are the numbers of the classes, such as Cityscapes' labelTrainIds."""
        return LabelMap(self.name, self.names, self.palette, {label: label for label in range(len(self))}, self.colours)

    def has_palette(self, palette: np.ndarray) -> bool:
        """True for a palette whose first colours are those of the classes, in their order."""
        return len(palette) >= len(self) and bool((palette[: len(self)] == np.array(self.palette)).all())

    @cached_property
    def _table_of_ids(self) -> np.ndarray:
        table = np.full(IDS, UNMAPPED, np.uint8)
        table[UNCOUNTED] = UNCOUNTED
        for value, label in self.ids.items():
            table[value] = label
        return table

    @cached_property
    def _table_of_classes(self) -> np.ndarray:
        table = np.full(IDS, UNMAPPED, np.uint8)
        table[: len(self)] = np.arange(len(self))
        table[UNCOUNTED] = UNCOUNTED
        return table

    @cached_property
    def _table_of_colours(self) -> np.ndarray:
        table = np.full(COLOURS, UNMAPPED, np.uint8)
        # Of classes with one colour the first has it.
        for label in range(len(self) - 1, -1, -1):
            table[packed(np.array(self.palette[label]))] = label
        for colour, label in self.colours.items():
            table[packed(np.array(colour))] = label
        return table


def packed(colours: np.ndarray) -> np.ndarray:
    """Colours (..., 3) as one number each."""
    wide = colours.astype(np.uint32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def unpacked(number: int) -> Colour:
    """The colour of a number."""
    return number >> 16, number >> 8 & 255, number & 255


def usual_palette(count: int) -> tuple[Colour, ...]:
    """Colours that are far apart, those of PASCAL VOC: the bits of a class's number, dealt to three channels."""

    def colour(number: int) -> Colour:
        channels = [0, 0, 0]
        for place in range(8):
            for channel in range(3):
                channels[channel] |= (number >> (3 * place + channel) & 1) << (7 - place)
        return channels[0], channels[1], channels[2]

    return tuple(colour(number + 1) for number in range(count))


def _known(name: str, rows: Iterable[tuple[str, Colour, tuple[int, ...], tuple[Colour, ...]]], **uncounted: Iterable):
    rows = list(rows)
    ids = {value: UNCOUNTED for value in uncounted["ids"]}
    colours = {colour: UNCOUNTED for colour in uncounted["colours"]}
    for label, (_, _, values, others) in enumerate(rows):
        ids |= dict.fromkeys(values, label)
        colours |= dict.fromkeys(others, label)
    return LabelMap(name, tuple(row[0] for row in rows), tuple(row[1] for row in rows), ids, colours)


CAMVID = _known(
    "camvid",
    [  # name, colour, ids, and the colours of CamVid's 32 classes that are merged into it
        ("sky", (128, 128, 128), (0,), ()),
        ("building", (128, 0, 0), (1,), ((64, 192, 0), (64, 0, 64), (0, 128, 64), (192, 0, 128))),
        ("pole", (192, 192, 128), (2,), ((0, 0, 64),)),
        ("road", (128, 64, 128), (3,), ((128, 0, 192), (192, 0, 64))),
        # The last one is what SegNet paints pavements with.
        ("pavement", (0, 0, 192), (4,), ((64, 192, 128), (128, 128, 192), (60, 40, 222))),
        ("tree", (128, 128, 0), (5,), ((192, 192, 0),)),
        ("sign", (192, 128, 128), (6,), ((128, 128, 64), (0, 64, 64))),
        ("fence", (64, 64, 128), (7,), ()),
        ("car", (64, 0, 128), (8,), ((64, 128, 192), (192, 128, 192), (192, 64, 128), (128, 64, 64))),
        ("pedestrian", (64, 64, 0), (9,), ((192, 128, 64), (64, 0, 192), (64, 128, 64))),
        ("bicyclist", (0, 128, 192), (10,), ((192, 0, 192),)),
    ],
    ids=(11,),
    colours=((0, 0, 0),),
)
CITYSCAPES = _known(
    "cityscapes",
    [
        (name, colour, (number,), ())
        for name, number, colour in (
            ("road", 7, (128, 64, 128)),
            ("sidewalk", 8, (244, 35, 232)),
            ("building", 11, (70, 70, 70)),
            ("wall", 12, (102, 102, 156)),
            ("fence", 13, (190, 153, 153)),
            ("pole", 17, (153, 153, 153)),
            ("traffic light", 19, (250, 170, 30)),
            ("traffic sign", 20, (220, 220, 0)),
            ("vegetation", 21, (107, 142, 35)),
            ("terrain", 22, (152, 251, 152)),
            ("sky", 23, (70, 130, 180)),
            ("person", 24, (220, 20, 60)),
            ("rider", 25, (255, 0, 0)),
            ("car", 26, (0, 0, 142)),
            ("truck", 27, (0, 0, 70)),
            ("bus", 28, (0, 60, 100)),
            ("train", 31, (0, 80, 100)),
            ("motorcycle", 32, (0, 0, 230)),
            ("bicycle", 33, (119, 11, 32)),
        )
    ],
    ids=(*range(7), 9, 10, 14, 15, 16, 18, 29, 30, 34),
    colours=(
        *((0, 0, 0), (111, 74, 0), (81, 0, 81), (250, 170, 160), (230, 150, 140)),
        *((180, 165, 180), (150, 100, 100), (150, 120, 90), (0, 0, 90), (0, 0, 110)),
    ),
)
