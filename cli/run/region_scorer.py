"""The scorer behind `structkit score iou --labels`: label files matched by name, and the figures of their classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from structkit._version import __version__
from structkit.device import load_torch
from structkit.errors import OptionError, StructkitError
from structkit_cli.run.batch import NOTHING_TO_DO
from structkit_cli.run.inputs import InputFile, gather
from structkit_cli.run.scorer import SHOWN, check_there, emit_lines, emit_record, figures_line, finite, tell_unread
from structkit_cli.signals import raise_swallowed
from structkit_cli.streams import check_stdout, tell

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
    tally, counts, lonely = LabelOverlap(map_), Counter(), []
    for name, inputs in _matched({role: found.inputs for role, found in roles.items()}):
        raise_swallowed()
        scores, status, error = {}, "scored", None
        if absent := [role for role in roles if role not in inputs]:
            status, error = "missing", f"{name}: no {' and no '.join(absent)}"
            lonely.append(error.replace(":", " has", 1))
        else:
            try:
                rasters = {role: read_label_file(given.source, name=given.label) for role, given in inputs.items()}
                scores = tally.add(**rasters, names=(inputs["prediction"].name, inputs["truth"].name))
            except StructkitError as problem:
                status, error = "failed", f"{name}: {problem}"
                tell(f"error: {error}")
        counts[status] += 1
        if json:
            paths = {role: given.name for role, given in inputs.items()}
            facts = {"file": name, "inputs": paths, "status": status, "error": error, "scores": finite(scores)}
            emit_record({"record": "file", **facts})
    tried, flawed = counts["scored"] + counts["failed"], counts["missing"] + counts["failed"]
    figures = tally.summary() if counts["scored"] else {}
    code = 1 if tried and flawed else 0 if figures.get("classes") else NOTHING_TO_DO
    if json:
        files = {"files": counts["scored"], "missing": counts["missing"], "failed": counts["failed"]}
        classes = {kind: finite(own) for kind, own in tally.by_class().items()} if figures else {}
        facts = {"verb": VERB, "version": __version__, **files, "scores": finite(figures), "exit": code}
        emit_record({"record": "summary", **facts, "labels": map_.name, "classes": classes})
    elif figures:
        wide = max(map(len, map_.names))
        there = {kind: own for kind, own in tally.by_class().items() if own["share"]}
        emit_lines(f"{kind:<{wide}}  iou {own['iou']:.4f}  share {own['share']:.4f}" for kind, own in there.items())
        emit_lines([f"{figures_line(figures)}  files {counts['scored']}"])
    if lonely:
        more = "; ..." if len(lonely) > SHOWN else ""
        tell(f"{len(lonely)} of {counts.total()} files without partner: {'; '.join(lonely[:SHOWN])}{more}")
    if code == NOTHING_TO_DO:
        fact = "no pixel of the truth has a class that counts" if tried else "no file has partners of the same name"
        tell(f"nothing to score: {fact}")
    raise typer.Exit(code)


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
