"""The scorer behind `structkit score iou --labels`: label files matched by name, and the figures of their classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from structkit.device import load_torch
from structkit.errors import OptionError
from structkit_cli.run.inputs import InputFile, gather
from structkit_cli.run.scorer import ScoreSheet, check_there, finite, tell_unread
from structkit_cli.signals import raise_swallowed
from structkit_cli.streams import check_stdout

if TYPE_CHECKING:
    from structkit.data.label_maps import LabelMap

VERB = "score iou"


def score_labels(prediction: str, truth: str, labels: str, *, json: bool) -> None:
    """Score predicted label files, and end the program with the exit code that tells how it went.

    labels: the label map; "palette" is that of the true files' palettes.
    """
    check_stdout()
    check_there([prediction, truth])
    roles = {"prediction": gather([prediction]), "truth": gather([truth])}
    for found in roles.values():
        tell_unread(found)
    load_torch()
    from structkit.media.label_files import read_label_file
    from structkit.verbs.label_scores import LabelOverlap

    map_ = _map_of(labels, truth, roles["truth"].inputs)
    tally, sheet = LabelOverlap(map_), ScoreSheet(VERB, json=json)
    for name, inputs in _matched({role: found.inputs for role, found in roles.items()}):
        raise_swallowed()
        absent = [role for role in roles if role not in inputs]
        with sheet.file(name, inputs, absent) as scores:
            if not absent:
                rasters = {role: read_label_file(given.source, name=given.label) for role, given in inputs.items()}
                scores |= tally.add(**rasters, names=(inputs["prediction"].name, inputs["truth"].name))
    figures = tally.summary() if sheet.counts["scored"] else {}
    by_class, wide = tally.by_class() if figures else {}, max(map(len, map_.names))
    lines = [
        f"{kind:<{wide}}  iou {own['iou']:.4f}  share {own['share']:.4f}"
        for kind, own in by_class.items()
        if own["share"]
    ]
    classes = {kind: finite(own) for kind, own in by_class.items()}
    void = None if figures.get("classes") else "no pixel of the truth has a class that counts"
    sheet.end(figures, lines=lines, facts={"labels": map_.name, "classes": classes}, void=void)


def _map_of(labels: str, truth: str, inputs: Sequence[InputFile]) -> LabelMap:
    """The label map of an argument.  Raises OptionError, InputError."""
    from structkit.data.label_map_files import PALETTE, label_map, palette_map
    from structkit.data.label_pairs import NO_LABELS, end_of

    if labels != PALETTE:
        return label_map(labels)
    if any(given.path is None for given in inputs):
        raise OptionError("standard input (-) can be read only once: name the label map with --labels")
    files = [Path(given.path) for given in inputs if given.path and not end_of(given.path.name, NO_LABELS)]
    return palette_map(files, truth)


def _matched(roles: dict[str, list[InputFile]]) -> Iterator[tuple[str, dict[str, InputFile]]]:
    """The name of each file, without what its end says of it, and the files of that name by role.

    Single files are partners whatever they are called.
    Raises OptionError for two files of one name, InputError where nothing is named.
    """
    from structkit.data.label_pairs import NO_LABELS, OF_LABELS, OF_PICTURES, end_of, first_kind, key_of

    if all(len(inputs) == 1 for inputs in roles.values()):
        yield str(roles["truth"][0].stem), {role: inputs[0] for role, inputs in roles.items()}
        return
    found: dict[str, dict[str, list[tuple[str, InputFile]]]] = {"truth": {}, "prediction": {}}
    for role, inputs in roles.items():
        for given in inputs:
            name = given.relative.as_posix()
            if not end_of(name, NO_LABELS):
                key = key_of(name, (*OF_LABELS, *OF_PICTURES))
                found[role].setdefault(key, []).append((name, given))
    for key in dict.fromkeys([*found["truth"], *found["prediction"]]):
        inputs_of = {}
        for role, named in found.items():
            files = first_kind(named.get(key, []))
            if len(files) > 1:
                fact = "have one name but for the suffix: which one counts is not clear"
                raise OptionError(f"{files[0][1].name} and {files[1][1].name} {fact}")
            if files:
                inputs_of[role] = files[0][1]
        yield key, inputs_of
