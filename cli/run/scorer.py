"""The scorer behind every page of `structkit score`: files matched by name, their figures, and how these are told."""

from __future__ import annotations

import json as encoding
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

import typer

from structkit._version import __version__
from structkit.configs import STEADY
from structkit.data.listing import counted, list_files, unread_words
from structkit.device import load_torch
from structkit.errors import InputError, OptionError, StructkitError
from structkit.header import read_card
from structkit_cli.options import ProbeOptions
from structkit_cli.run.batch import NOTHING_TO_DO
from structkit_cli.run.inputs import InputFile, InputList, gather
from structkit_cli.signals import raise_swallowed
from structkit_cli.streams import check_stdout, emit, printable, tell

SHOWN = 3  # names of files without partner
EMPTY: Mapping[str, Any] = MappingProxyType({})


def score_files(verb: str, roles: Mapping[str, str | None], tallying: Callable[[], Any], *, json: bool) -> None:
    """Score file after file, and end the program with the exit code that tells how it went.

    tallying: makes the tally, once there are files to score: it loads what computes.
    roles: the places of the arguments of the tally's `add`, by name; the first two, of which each file needs a partner,
    then others.
    """
    check_stdout()
    sheet, tally = ScoreSheet(verb, json=json), None
    for name, inputs in matched({role: argument for role, argument in roles.items() if argument is not None}):
        raise_swallowed()
        given = {role: found for role, found in inputs.items() if found is not None}
        absent = [role_name(role) for role in inputs if role not in given]
        if tally is None and not absent:
            load_torch()
            tally = tallying()
        with sheet.file(name, given, absent) as scores:
            if not absent:
                scores |= tally.add(**{role: found.picture() for role, found in given.items()})
    sheet.end(tally.summary() if tally and sheet.counts["scored"] else {})


class ScoreSheet:
    """What is told of files that are scored: a record of each, and the figures of all."""

    def __init__(self, verb: str, *, json: bool) -> None:
        self.verb, self.json = verb, json
        self.counts: Counter[str] = Counter()  # of files: scored, missing, failed
        self.lonely: list[str] = []

    @contextmanager
    def file(self, name: str, given: Mapping[str, InputFile], absent: Sequence[str]) -> Iterator[dict[str, float]]:
        """One file, whose scores the block puts into the dict that it gets; what is wrong with the file is told.

        given: what there is of it, by role.
        absent: words for the roles without a file; a file with any is not scored.
        """
        scores: dict[str, float] = {}
        status, error = "scored", None
        if absent:
            status, error = "missing", f"{name}: no {' and no '.join(absent)}"
            self.lonely.append(error.replace(":", " has", 1))
        try:
            yield scores
        except StructkitError as problem:
            status, error = "failed", f"{name}: {problem}"
            tell(f"error: {error}")
        self.counts[status] += 1
        if self.json:
            paths = {role: found.name for role, found in given.items()}
            facts = {"file": name, "inputs": paths, "status": status, "error": error, "scores": finite(scores)}
            emit_record({"record": "file", **facts})

    def end(
        self,
        figures: Mapping[str, float],
        *,
        lines: Iterable[str] = (),
        facts: Mapping[str, Any] = EMPTY,
        void: str | None = None,
    ) -> None:
        """Tell the figures of all files, and end the program with the exit code that tells how it went.

        lines: what stands above the figures where people read.
        facts: what the record of the figures has besides.
        void: the reason why files that could be scored have no score, if so.
        """
        counts = self.counts
        tried, flawed = counts["scored"] + counts["failed"], counts["missing"] + counts["failed"]
        code = NOTHING_TO_DO if not tried else 1 if flawed else NOTHING_TO_DO if void else 0
        if self.json:
            files = {"files": counts["scored"], "missing": counts["missing"], "failed": counts["failed"]}
            own = {"verb": self.verb, "version": __version__, **files, "scores": finite(figures), "exit": code}
            emit_record({"record": "summary", **own, **facts})
        elif figures:
            emit_lines([*lines, f"{figures_line(figures)}  files {counts['scored']}"])
        if self.lonely:
            more = "; ..." if len(self.lonely) > SHOWN else ""
            tell(
                f"{len(self.lonely)} of {counts.total()} files without partner: {'; '.join(self.lonely[:SHOWN])}{more}"
            )
        if code == NOTHING_TO_DO:
            tell(f"nothing to score: {(tried and void) or 'no file has partners of the same name'}")
        raise typer.Exit(code)


def score_codes(a: str, b: str, model: str, running: ProbeOptions) -> None:
    """Probe the codes that a model makes of the pictures of two domains, and tell what is found.

    a, b: the places of the pictures.
    model: a checkpoint, or a name that ships.
    """
    check_stdout()
    from structkit.models import kind_of, load, resolve_model

    # What is wrong with the names is said before anything heavy is loaded.
    kind_of(path := resolve_model(model), read_card(path), "score independence")
    listed = {name: list_files(folder) for name, folder in (("a", a), ("b", b))}
    load_torch()
    from structkit.data.folders import read_folder
    from structkit.verbs import scores

    networks = load(model, running.device, verb="score independence")
    say = (lambda note: None) if running.quiet else tell
    folders = {name: read_folder(found, networks.size, networks.fit, tell=say) for name, found in listed.items()}
    notes = [note for folder in folders.values() for note in folder.notes]
    if (fewest := min(map(len, folders.values()))) < STEADY:
        notes.append(f"only {fewest} pictures of a domain: from {STEADY:,} on the figures are steady")
    learnt = networks.card.get("run", {}).get("inputs", {}).values()
    fact = "the model was trained on this folder: name pictures that it has not seen"
    notes += [f"{folder.label}: {fact}" for folder in folders.values() if folder.sha256 in learnt]
    codes = scores.independence(networks, folders["a"].pictures, folders["b"].pictures, seed=running.seed)
    if running.json:
        inputs = {name: {"path": f.label, "pictures": len(f), "sha256": f.sha256} for name, f in folders.items()}
        facts = {"verb": "score independence", "version": __version__, "model": model, "kind": networks.kind}
        found = {code: finite(figures) for code, figures in codes.items()}
        facts |= {"seed": running.seed, "inputs": inputs, "codes": found, "notes": notes}
        emit_record({"record": "independence", **facts})
    else:
        emit_lines(f"{code}  {figures_line(figures)}" for code, figures in codes.items())
    if not running.quiet:
        for note in notes:
            tell(f"warning: {note}")


def matched(arguments: Mapping[str, str]) -> Iterator[tuple[str, dict[str, InputFile | None]]]:
    """The name of each file, and the input of that name in each role; None where there is none.

    arguments: by role.  Single files are partners whatever they are called.
    Raises InputError for an argument that is nothing, OptionError where names are not clear.
    """
    check_there(arguments.values())
    found = {role: gather([argument]) for role, argument in arguments.items()}
    for every in found.values():
        tell_unread(every)
    if sum(given.path is None for every in found.values() for given in every.inputs) > 1:
        raise OptionError("standard input (-) is named twice: it can be read only once")
    if not any(every.many for every in found.values()):
        inputs = {role: every.inputs[0] for role, every in found.items()}
        yield str(inputs["truth"].stem), inputs
        return
    by_name = {role: by_stem(every.inputs) for role, every in found.items()}
    first, second = list(by_name)[:2]
    for stem in dict.fromkeys([*by_name[second], *by_name[first]]):
        yield str(stem), {role: inputs.get(stem) for role, inputs in by_name.items()}


def check_there(arguments: Iterable[str]) -> None:
    """Refuse an argument that is nothing: no file, folder, pattern or list.  Raises InputError."""
    for argument in arguments:
        if (
            not argument.startswith(("@", "-"))
            and not os.path.lexists(argument)
            and not any(c in argument for c in "*?[")
        ):
            raise InputError(f"{argument}: no such file or folder; check the path")


def tell_unread(found: InputList) -> None:
    """Warn of files that were passed over though they look like pictures."""
    if found.unread:
        tell(f"warning: {counted(found.foreign, 'other file')} passed over{unread_words(found.unread)}")


def by_stem(inputs: list[InputFile]) -> dict[PurePath, InputFile]:
    """The inputs by their paths without suffix.  Raises OptionError for two of one name."""
    named: dict[PurePath, InputFile] = {}
    for given in inputs:
        if given.stem in named:
            raise OptionError(
                f"{named[given.stem].name} and {given.name} have one name but for the suffix: which one counts is not "
                "clear"
            )
        named[given.stem] = given
    return named


def role_name(role: str) -> str:
    """The words for a role in messages."""
    return {"changed_from": "picture with the content", "within": "mask"}.get(role, role)


def finite(figures: Mapping[str, float]) -> dict[str, float | None]:
    """The figures for JSON, which has no NaN: to six decimals, or null."""
    return {name: round(value, 6) if math.isfinite(value) else None for name, value in figures.items()}


def figures_line(figures: Mapping[str, float]) -> str:
    """The figures in one line of text, each after its name."""
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())


def emit_record(record: Mapping[str, Any]) -> None:
    """Write one record to stdout, as a line of JSON."""
    emit(encoding.dumps(record).encode() + b"\n")


def emit_lines(lines: Iterable[str]) -> None:
    """Write lines of text to stdout."""
    emit("".join(printable(line) + "\n" for line in lines).encode("utf-8", "surrogateescape"))
