"""Label maps by their names, from small files, and from the palettes of label files."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from structkit.data.label_maps import CAMVID, CITYSCAPES, IDS, MOST_CLASSES, UNCOUNTED, Colour, LabelMap, usual_palette
from structkit.data.segmentation import read_all
from structkit.errors import InputError, OptionError
from structkit.media.files import open_source
from structkit.media.label_files import LabelRaster, read_label_file
from structkit.media.pictures import MAX_PIXELS
from structkit.media.texts import read_text

KNOWN = {known.name: known for known in (CAMVID, CITYSCAPES)}
PALETTE = "palette"  # names the map that label files have in themselves
SUFFIXES = (".json", ".csv")
SPELLINGS = {"color": "colour", "class": "name", "label": "name", "ids": "id", "red": "r", "green": "g", "blue": "b"}
FORM = "give each class a name, and an id or a colour"
LONGEST = 80  # characters of a class's name


def label_map(name: str | LabelMap) -> LabelMap:
    """The label map of a name, camvid or cityscapes, or of a file, .json or .csv.

    JSON: a list of {"id": 3, "name": "road", "colour": [128, 64, 128]}, or that list as "classes" of an object.  CSV:
    the columns id, name and colour, or r, g and b, named in the first line.  A colour may also be "#804080".  Ids and
    colours may be left out, not both: without ids, label files have these colours.  Rows of one name are one class,
    and ids and colours without a name are not counted, as 255 is.
    Raises OptionError for a name that is neither, InputError for a file that is not as it should be.
    """
    if isinstance(name, LabelMap):
        return name
    if known := KNOWN.get(name):
        return known
    path = Path(name)
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(f"--labels is {name}: name {', '.join(KNOWN)}, or a file of classes, .json or .csv")
    with open_source(path) as (label, stream):
        text = read_text(stream, label)
    try:
        rows = _json_rows(text) if path.suffix.lower() == ".json" else _csv_rows(text)
        return _map_of(name, rows)
    except (ValueError, csv.Error, RecursionError) as error:
        raise InputError(f"{name}: {error}; {FORM}") from error
    except OptionError as error:
        raise InputError(str(error)) from error


def palette_map(
    files: Sequence[Path], label: str, *, max_pixels: int = MAX_PIXELS, tell: Callable[[str], None] = lambda line: None
) -> LabelMap:
    """The label map that the palettes of label files say: a class for each of their indices that occurs.

    label: of the files in messages.
    Palettes that have the colours of a known map, in its order, are that map.  Files that cannot be read are passed
    over.
    Raises InputError for files without palette, or with several.
    """
    seen: np.ndarray | None = None
    found: np.ndarray | None = None
    way_out = f"say what the labels mean: --labels {' or '.join(KNOWN)}, or a file"

    def read(path: Path) -> tuple[LabelRaster, np.ndarray]:
        raster = read_label_file(path, max_pixels=max_pixels)
        return raster, np.unique(raster.values) if raster.palette is not None else np.empty(0, int)

    error: InputError | None = None
    for path, one in read_all(files, read, tell, label):
        if isinstance(one, InputError):
            error = one
            continue
        raster, indices = one
        if raster.palette is None:
            what = "colours" if raster.is_coloured else "one channel"
            raise InputError(f"{path}: a label file of {what}, without a palette; {way_out}")
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(raster.palette)] = raster.palette[:256]
        if known := next((known for known in KNOWN.values() if known.has_palette(raster.palette)), None):
            return known
        used = np.zeros(256, bool)
        used[indices] = True
        if seen is not None and found is not None:
            if (both := seen & used).any() and (found[both] != palette[both]).any():
                raise InputError(f"{path}: another palette than in the label files before it; {way_out}")
            found[used] = palette[used]
            seen |= used
        else:
            seen, found = used, palette
    if seen is None or found is None:
        raise InputError(f"{label}: no label file can be read; {f'the last: {error}' if error else way_out}")
    indices = [i for i in np.flatnonzero(seen).tolist() if i != UNCOUNTED]
    colours = tuple(tuple(found[i].tolist()) for i in indices)
    names = tuple(f"class {i}" for i in indices)
    return LabelMap("of the palette", names, colours, {i: k for k, i in enumerate(indices)})


def _json_rows(text: str) -> Iterable[Mapping[str, Any]]:
    value = json.loads(text)
    if isinstance(value, dict):
        value = value.get("classes", value)
    if not isinstance(value, list):
        raise ValueError("not a list of classes")
    for number, row in enumerate(value, 1):
        if not isinstance(row, dict):
            raise ValueError(f"class {number} is not an object with names")
        yield {SPELLINGS.get(key.lower(), key.lower()): entry for key, entry in row.items()}


def _csv_rows(text: str) -> Iterable[Mapping[str, Any]]:
    lines = [line for line in text.lstrip("\ufeff").split("\n") if line.strip()]
    if not lines:
        raise ValueError("an empty file")
    separator = max(",;\t", key=lines[0].count)
    rows = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    columns = [SPELLINGS.get(word.strip().lower(), word.strip().lower()) for word in next(rows)]
    if "name" not in columns:
        raise ValueError(f"the first line has no column name ({', '.join(columns)})")
    for row in rows:
        yield {column: value.strip() for column, value in zip(columns, row, strict=False)}


def _map_of(name: str, rows: Iterable[Mapping[str, Any]]) -> LabelMap:
    """The label map of rows.  Raises ValueError for one that cannot be."""
    labels: dict[str, int] = {}
    own: dict[int, Colour] = {}
    ids: dict[int, int] = {}
    colours: dict[Colour, int] = {}
    for number, row in enumerate(rows, 1):
        where = f"class {number}"
        title = row.get("name") or ""
        if not isinstance(title, str) or not title.isprintable() or len(title) > LONGEST:
            raise ValueError(f"{where}: its name must be a text of one line, of {LONGEST} characters at most")
        label = labels.setdefault(title, len(labels)) if title else UNCOUNTED
        numbers = list(_ids(row.get("id"), where))
        colour = _colour(row, where)
        if not numbers and colour is None:
            raise ValueError(f"{where} has neither an id nor a colour")
        for value in numbers:
            if ids.setdefault(value, label) != label:
                raise ValueError(f"{where}: id {value} has two names")
        if colour is not None:
            if title and label not in own:
                own[label] = colour
            if colours.setdefault(colour, label) != label and not numbers:
                raise ValueError(f"{where}: the colour {colour} has two names")
    if not labels:
        raise ValueError("it has no class")
    if len(labels) > MOST_CLASSES:
        raise ValueError(f"{len(labels)} classes, and {MOST_CLASSES} are the most")
    if lacking := [title for title, label in labels.items() if ids and label not in ids.values()]:
        raise ValueError(f"{lacking[0]} has no id, which others have")
    usual = iter([colour for colour in usual_palette(MOST_CLASSES + 1) if colour not in own.values()])
    palette = tuple(own[label] if label in own else next(usual) for label in range(len(labels)))
    return LabelMap(name, tuple(labels), palette, ids, colours)


def _ids(value: Any, where: str) -> Iterable[int]:
    """The ids of a row: one, a list of them, or a text of several.  Raises ValueError."""
    if value is None or value == "":
        return
    several = (
        value if isinstance(value, list) else re.split(r"[\s|]+", value.strip()) if isinstance(value, str) else [value]
    )
    for one in several:
        if isinstance(one, str) and re.fullmatch(r"-?[0-9]{1,6}", one):
            one = int(one)
        if isinstance(one, bool) or not isinstance(one, int) or one >= IDS:
            raise ValueError(f"{where}: its id is {str(one)[:40]!r}, and ids are whole numbers below {IDS}")
        if one >= 0:  # Cityscapes' licence plates have -1, which no file can hold
            yield one


def _colour(row: Mapping[str, Any], where: str) -> Colour | None:
    """The colour of a row, or None.  Raises ValueError."""
    value = row.get("colour")
    if value in (None, "") and all(row.get(channel) not in (None, "") for channel in "rgb"):
        value = [row[channel] for channel in "rgb"]
    if value in (None, ""):
        return None
    if isinstance(value, str):
        if match := re.fullmatch(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", value.strip()):
            value = [int(part, 16) for part in match.groups()]
        else:
            value = re.findall(r"[0-9]+", value)
    try:
        levels = [int(level) for level in value]
    except (TypeError, ValueError):
        levels = []
    if len(levels) != 3 or not all(0 <= level <= 255 for level in levels):
        raise ValueError(f"{where}: its colour must be three numbers to 255, or as #804080")
    return levels[0], levels[1], levels[2]
