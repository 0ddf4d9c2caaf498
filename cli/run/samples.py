"""The scorer of samples: clips, or files of features, beside the real one that they were made after."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from structkit._version import __version__
from structkit.configs.score import FEATURE_SUFFIXES
from structkit.data.listing import PathList, counted
from structkit.device import load_torch
from structkit.errors import InputError, OptionError, OutputError, StructkitError
from structkit_cli.run.batch import NOTHING_TO_DO
from structkit_cli.run.inputs import InputFile, InputList, gather, told_apart
from structkit_cli.run.scorer import (
    check_there,
    emit_lines,
    emit_record,
    figures_line,
    finite,
    tell_unread,
)
from structkit_cli.signals import raise_swallowed
from structkit_cli.streams import check_stdout, tell

Read = Callable[[InputFile], Any]


@dataclass
class SampleSet:
    """The samples that are scored, and what they are scored beside.

    read: reads what is scored from one of them.
    """

    real: InputFile
    samples: list[InputFile]
    read: Read


@dataclass
class MapFolder:
    """The folder to which a picture of each sample goes; None is none.

    Raises OptionError for a picture that is there already.
    """

    path: str | None
    samples: list[InputFile]
    names: dict[InputFile, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is None:
            return
        self.names = {given: Path(self.path, f"{word}.png") for given, word in told_apart(self.samples).items()}
        for name in self.names.values():
            if os.path.lexists(name):
                raise OptionError(f"{name} exists: name another folder with --save-nnf")
        if os.path.lexists(self.path) and not os.path.isdir(self.path):
            raise OptionError(f"{self.path} is not a folder: name one with --save-nnf")

    def keep(self, given: InputFile, tally: Any) -> None:
        """Write the picture of the sample that the tally took in last.  Raises OutputError."""
        if self.path is None:
            return
        from structkit.media.pictures import write_picture

        try:
            os.makedirs(self.path, exist_ok=True)
        except OSError as error:
            fact = f"{self.path}: {error.strerror or error}"
            raise OutputError(f"{fact}; name another folder with --save-nnf") from error
        write_picture(tally.maps.pop(), self.names[given])


def clips_named(real: str, samples: Sequence[str], *, tolerant: bool = False) -> SampleSet:
    """The clips that the arguments stand for.

    tolerant: what can be read of damaged clips is taken, with a warning.
    Raises OptionError and InputError.
    """
    check_there([real, *samples])
    found, one = gather(samples, clips=True), gather([real], clips=True)
    return _apart(real, one, found, lambda given: read_clip_of(given, tolerant))


def features_named(real: str, samples: Sequence[str]) -> SampleSet:
    """The files of features that the arguments stand for.  Raises OptionError and InputError."""
    check_there([real, *samples])
    lists = []
    for arguments in (samples, [real]):
        paths = PathList(FEATURE_SUFFIXES)
        found = [InputFile(path, place) for argument in arguments for path, place in paths.add(argument)]
        lists.append(InputList(list(dict.fromkeys(found)), paths.foreign, paths.many))

    def read(given: InputFile) -> Any:
        from structkit.data.features import read_features

        return read_features(given.path, name=given.label)

    return _apart(real, lists[1], lists[0], read)


def score_samples(
    verb: str, given: SampleSet, tallying: Callable[[Any], Any], *, json: bool, maps: str | None = None
) -> None:
    """Score sample after sample, and end the program with the exit code that tells how it went.

    tallying: makes the tally, of what was read of the real one: it loads what computes.
    maps: the folder for a picture of each sample, if any.
    """
    check_stdout()
    pictures = MapFolder(maps, given.samples)
    outcomes: list[tuple[InputFile, str | None]] = []
    tally = None
    if given.samples:
        load_torch()
        tally = tallying(given.read(given.real))
    for sample in given.samples:
        raise_swallowed()
        error = None
        try:
            read = given.read(sample)
            with _named(sample):
                tally.add(read)
        except StructkitError as problem:
            error = str(problem)
            tell(f"error: {error}")
        else:
            pictures.keep(sample, tally)
        outcomes.append((sample, error))
    scored = sum(error is None for _, error in outcomes)
    figures, refusal = {}, None
    if scored:
        try:
            figures = tally.summary()
        except InputError as problem:
            refusal = str(problem)
            tell(f"error: {refusal}")
    code = NOTHING_TO_DO if not outcomes else 1 if refusal or scored < len(outcomes) else 0
    if json:
        told = iter(tally.files) if tally else iter(())
        for sample, error in outcomes:
            scores, status = ({}, "failed") if error else (finite(next(told)), "scored")
            inputs = {"real": given.real.name, "sample": sample.name}
            facts = {"file": str(sample.stem), "inputs": inputs, "status": status, "error": error, "scores": scores}
            emit_record({"record": "file", **facts})
        files = {"files": scored, "missing": 0, "failed": len(outcomes) - scored}
        facts = {"verb": verb, "version": __version__, **files, "scores": finite(figures), "exit": code}
        emit_record({"record": "summary", **facts})
    elif figures:
        emit_lines([f"{figures_line(figures)}  files {scored}"])
    if code == NOTHING_TO_DO:
        tell("nothing to score: no sample was found")
    raise typer.Exit(code)


def read_clip_of(given: InputFile, tolerant: bool) -> Any:
    """The clip of a file, (1, 3, T, H, W) in [-1, 1]; its notes are told."""
    from structkit.media.moving_pictures import clip_tensor, read_clip
    from structkit.media.video import VideoReader

    if given.is_video:  # the colours as programs that score videos read them, so that figures can be compared
        with VideoReader(given.source, name=given.label, tolerant=tolerant, blocks=True) as reader:
            clip = read_clip(reader, name=given.label)
    else:
        clip = read_clip(given.source, name=given.label, tolerant=tolerant)
    for note in clip.notes:
        tell(f"warning: {given.label}: {note}")
    return clip_tensor(clip)


def _apart(argument: str, real: InputList, found: InputList, read: Read) -> SampleSet:
    """The samples without the real one.  Raises InputError where that is not one file, OptionError for two on stdin."""
    for every in (real, found):
        tell_unread(every)
    if len(real.inputs) != 1:
        fact = f"{counted(len(real.inputs), 'file')}, where the real one is needed"
        raise InputError(f"{argument}: {fact}; name one file, and the samples after it")
    one = real.inputs[0]
    if one.path is None and any(given.path is None for given in found.inputs):
        raise OptionError("standard input (-) is named twice: it can be read only once")
    samples = found.inputs
    if found.many and any(_same(given, one) for given in samples):
        samples = [given for given in samples if not _same(given, one)]
        tell(f"warning: {one.name} is the real one: it is left out of the samples")
    return SampleSet(one, samples, read)


def _same(given: InputFile, real: InputFile) -> bool:
    try:
        return None not in (given.path, real.path) and os.path.samefile(given.path, real.path)
    except OSError:
        return False  # the reader will say what is wrong


@contextmanager
def _named(given: InputFile) -> Iterator[None]:
    """A context in which an error of an input begins with its name."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{given.label}: {error}") from error
