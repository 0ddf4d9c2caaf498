"""The manifest of an output folder: which of its files structkit wrote, from which inputs, with which options.

One JSON record a line.  While a run works the file is a journal, see `Journal`: the record of an output is on disk
*before* the output takes its name, and a record counts only when the file has the recorded hash.  So a run may be
killed at any moment: a record without its file is void, a torn last line is passed over, and the same command ends in
the same files as a run that nobody disturbed.  At the end the journal is reduced to the records that hold, sorted.

A record of structkit 0.1 may have no `inputs` and `options`: such an output is trusted while `made_from` stays, which
brings its record up to date, and is kept from then on.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import structkit_weights
from structkit.data.listing import suffix_of
from structkit.media.files import remove_leftovers, sha256_file
from structkit.media.locks import FolderLock
from structkit.media.mounts import locks_hold
from structkit_cli.run.journal import Record, batch_line, line_of, text_of
from structkit_cli.run.parts import JournalParts, has_parts, journals_in
from structkit_cli.run.shards import Shard
from structkit_cli.run.verdicts import Cause, Entry, Origin, OutputRefusal, OutputState, Verdict

SHIPPED = "structkit:"  # begins the place of a model that ships
STREAM = "-"  # the place of an input that can be read only once, such as standard input
WAY_OUT = "name another place with --output, or say --exists overwrite"
NOT_OURS = "exists and is not as structkit wrote it: move it away, or say --exists overwrite"
OTHER_OPTIONS = f"exists and was made with other options: {WAY_OUT}"
OTHER_STREAM = f"exists and was made from what another run was sent: {WAY_OUT}"
UNKNOWN = f"exists, and its record does not say from what it was made: {WAY_OUT}"


class Manifest:
    """The records of one folder, between `open` and `close`.

    wanted: true to begin a manifest where there is none; one that is there is kept up in any case.
    shard: of a worker of several, which appends to a part of its own and reduces nothing.
    While runs work in a folder they share its lock, and a dead run holds none.  A run that finds no other one there at
    its end reduces the journal.  Where the locks of workers on other machines cannot be seen, no run makes one
    journal of the parts of workers, and no other one has the name of this worker's part.
    """

    def __init__(self, folder: Path, *, wanted: bool, shard: Shard | None = None):
        self.folder = folder
        self.kept = wanted or bool(journals_in(folder))
        self.sees_locks = (shard is None and not has_parts(folder)) or locks_hold(folder)
        part = shard and (shard.part if self.sees_locks else f"{shard.part}-{secrets.token_hex(4)}")
        self._journal = JournalParts(folder, part)
        self._batch: Mapping[str, Any] | None = None  # that of this run
        self._is_told = False  # whether the journal tells of it
        self._start = "" if folder == Path() else os.path.join(folder, "")  # of the paths of outputs
        self._lock = FolderLock(folder, part or "")
        self._new = False
        self._real = os.path.realpath(folder)
        self._current = 0  # outputs that were found to be
        self._renewals: list[bytes] = []  # the lines of records that are brought up to date at the end
        self._folders: dict[str, str] = {}  # how the places of inputs begin, by their folders

    def open(self, folders: Iterable[Path], batch: Mapping[str, Any] | None = None) -> None:
        """Begin to work in the folder; unfinished files of dead runs in `folders` are removed.

        batch: facts of the batch that begins, see `batch_line`.
        """
        self._batch = batch
        self._new = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        for folder in folders:
            remove_leftovers(folder)
        with self._lock.entering():
            self._journal.read_on()
            if self._journal.is_part and batch:
                self._append([])  # who asks how far the whole is, hears of a worker before its first output

    def close(self, done: int | None = None) -> None:
        """Reduce the journal and leave the folder; one that is new and still empty is taken away.

        done: the outputs of this batch that are there; None for a run that did not come to its end.
        """
        with self._lock.leaving() as alone:
            if self._renewals:
                self._append(self._renewals)
            if self._journal.is_part:
                if self._batch and done is not None:
                    self._append([batch_line(self._batch["verb"], done=done)])
            elif alone:
                self._settle()
        self._journal.close()
        if self._new:
            with contextlib.suppress(OSError):  # not empty
                self.folder.rmdir()

    def verdict(self, output: Path | str, origin: Origin) -> Verdict:
        """The state of an output, as the manifest has it by now: other runs may be at work in the folder."""
        size = None
        try:
            status = os.stat(output)
            is_file, size = stat.S_ISREG(status.st_mode), status.st_size
        except (OSError, ValueError):
            if not os.path.lexists(output):
                return Verdict(OutputState.MISSING)
            is_file = Path(output).is_file()  # which raises where it cannot be said
        if not is_file:
            return Verdict(OutputState.KEPT, OutputRefusal(output, Cause.NOT_OURS, NOT_OURS))
        found, key = None, self._key(output)
        for read_on in (False, True):
            if read_on:
                self._journal.read_on()
            if records := self._journal.records(key):
                found = found or sha256_file(output, size)
                if held := [r for r in records if r["sha256"] == found]:
                    return self._of_ours(output, origin, held, found)
        return Verdict(OutputState.KEPT, OutputRefusal(output, Cause.NOT_OURS, NOT_OURS), found)

    def _of_ours(self, output: Path | str, origin: Origin, held: list[Record], found: str) -> Verdict:
        """The state of an output that is as we wrote it.  held: its records."""
        if same := [r for r in held if r["made_from"] == origin.made_from]:
            record, facts = same[-1], _facts_of(same[-1])
            inputs = self._renewed(record, origin)
            if [record.get(name) for name in ("inputs", "options", "verb")] != [inputs, origin.options, origin.verb]:
                renewed = self._record(Entry(output, replace(origin, inputs=inputs), found, facts))
                self._renewals.append(line_of(renewed))
            self._current += 1
            return Verdict(OutputState.CURRENT, sha256=found, facts=facts)
        refusals = [self._refusal(output, record, origin) for record in held]
        if None in refusals:
            return Verdict(OutputState.STALE, sha256=found)
        return Verdict(OutputState.KEPT, refusals[-1], found)

    def _renewed(self, record: Record, origin: Origin) -> dict[str, str]:
        """The inputs that the record of a current output should have.

        An input that the record names stays, as long as there is such a file: others may have the same bytes today.
        """
        inputs = dict(origin.inputs)
        for role, place in (_inputs_of(record) or {}).items():
            if role in inputs and place != inputs[role] and self._is_there(place):
                inputs[role] = place
        return inputs

    def _refusal(self, output: Path | str, record: Record, origin: Origin) -> OutputRefusal | None:
        """Why an output of this record is not made again; None if it is."""
        inputs = _inputs_of(record)
        if inputs is None:
            return OutputRefusal(output, Cause.UNKNOWN, UNKNOWN)
        if (verb := record.get("verb", origin.verb)) != origin.verb:
            return OutputRefusal(output, Cause.VERB, f"exists and was made with structkit {verb}: {WAY_OUT}")
        if inputs.keys() != origin.inputs.keys():
            return OutputRefusal(output, Cause.OPTIONS, OTHER_OPTIONS)
        for role, theirs in sorted(inputs.items()):
            ours = origin.inputs[role]
            if theirs != ours and not self._is_same_file(theirs, ours):
                return self._refusal_of_input(output, role, theirs, ours)
        if record.get("options") != origin.options:
            return OutputRefusal(output, Cause.OPTIONS, OTHER_OPTIONS)
        return OutputRefusal(output, Cause.STREAM, OTHER_STREAM) if STREAM in inputs.values() else None

    def _refusal_of_input(self, output: Path | str, role: str, theirs: str, ours: str) -> OutputRefusal:
        """The refusal of an output whose input of a role lies in another place."""
        gone = "" if theirs == STREAM or self._is_there(theirs) else ", which is no longer there"
        if role.partition("_")[0] == "model":
            fact = f"exists and was made with the model {self._said(theirs)}{gone}: {WAY_OUT}"
            return OutputRefusal(output, Cause.MODEL, fact)
        way_out = WAY_OUT
        if not gone and _are_told_apart_by_suffix(theirs, ours):
            way_out = f"say --keep-suffix, which keeps both, {WAY_OUT}"
        return OutputRefusal(output, Cause.INPUT, f"exists and was made from {self._said(theirs)}{gone}: {way_out}")

    def place_of(self, source: str | None) -> str:
        """The place of an input, as records have it: from the folder, so that a tree that is moved keeps its records.

        source: the path of an input; None is one that can be read only once, which has no place.
        A model that ships has its name.
        """
        if source is None:
            return STREAM
        end = source.rfind(os.sep) + 1
        folder, name = source[:end], source[end:]
        if name in ("", ".", ".."):
            return self._from_here(source)
        if folder not in self._folders:
            is_shipped = folder == os.path.join(structkit_weights.FOLDER, "")
            here = self._from_here(folder)
            self._folders[folder] = SHIPPED if is_shipped else "" if here == "." else f"{here.rstrip('/')}/"
        place = self._folders[folder]
        return place + (name.removesuffix(suffix_of(name)) if place == SHIPPED else name)

    def _from_here(self, path: str | Path) -> str:
        """The real place of a file or folder, from this folder."""
        real = os.path.realpath(path)
        try:
            return PurePath(os.path.relpath(real, self._real)).as_posix()
        except ValueError:  # another drive of Windows
            return PurePath(real).as_posix()

    def _is_same_file(self, one: str, other: str) -> bool:
        """True for two places of one file, through links."""
        if STREAM in (one, other):
            return False
        try:
            return os.path.samefile(os.path.join(self._real, one), os.path.join(self._real, other))
        except (OSError, ValueError):
            return False

    def _is_there(self, place: str) -> bool:
        """True for a place where a file still is."""
        if place.startswith(SHIPPED):
            return any(structkit_weights.FOLDER.glob(f"{place.removeprefix(SHIPPED)}.*"))
        return place != STREAM and os.path.exists(os.path.join(self._real, place))

    def _said(self, place: str) -> str:
        """A place in words: as the user would name the file."""
        if place == STREAM:
            return "standard input"
        return place if place.startswith(SHIPPED) else os.path.normpath(self.folder / place)

    def note(self, *entries: Entry) -> None:
        """Put the records of outputs on disk, right before these take their names."""
        self._append([line_of(self._record(entry)) for entry in entries])

    def _append(self, lines: Sequence[bytes]) -> None:
        """Put lines on disk; the first ones come after the line about the batch."""
        first = [] if self._is_told or self._batch is None else [batch_line(**self._batch)]
        self._journal.append([*first, *lines])
        self._is_told = True

    def _record(self, entry: Entry) -> Record:
        record = {
            "output": self._key(entry.output),
            "made_from": entry.origin.made_from,
            "inputs": dict(entry.origin.inputs),
            "options": entry.origin.options,
            "verb": entry.origin.verb,
            "sha256": entry.sha256,
        }
        facts = {name: value for name, value in entry.facts.items() if value != []}
        return record | ({"facts": facts} if facts else {})

    def _settle(self) -> None:
        """Reduce the journals to one record for each file that holds, in the order of their names.

        A run that has found each of them to hold, and added nothing, need not read it again for that.
        Parts of workers on other machines stay: these may be at work.
        """
        self._journal.read_on()
        is_whole = self._batch is None or self._batch["outputs"] <= self._current
        if is_whole and self._journal.is_reduced and 0 < self._current == len(self._journal):
            return
        if not self._journal.have_others or locks_hold(self.folder):
            self._journal.unite(self._settled())

    def _settled(self) -> Iterator[Record]:
        """The records that hold, and what there is to tell of batches that are not whole."""
        whole = {batch["verb"]: batch["outputs"] for batch in (*self._journal.batches, self._batch or {}) if batch}
        held: Counter[str] = Counter()
        for record in self._holding():
            held[record.get("verb", "")] += 1
            yield record
        for verb, outputs in whole.items():
            if 0 < held[verb] < outputs:
                yield {"batch": {"verb": verb, "outputs": outputs}}

    def _holding(self) -> Iterator[Record]:
        """The last record of each output whose hash is the file's."""
        for key in sorted(self._journal):
            output, records = f"{self.folder}/{key}", self._journal.records(key)
            if not records or not (os.path.isfile(output) or Path(output).is_file()):  # which raises for rights
                continue
            if len({record["sha256"] for record in records}) > 1:
                found = sha256_file(output)
                records = [record for record in records if record["sha256"] == found]
            yield from records[-1:]

    def _key(self, output: Path | str) -> str:
        """The name of an output in its records."""
        name = os.fspath(output)
        if name.startswith(self._start):
            return name[len(self._start) :].replace(os.sep, "/")
        return Path(output).relative_to(self.folder).as_posix()


def made_from(inputs: Mapping[str, str], options: Mapping[str, Any] | str) -> str:
    """The one hash of the inputs' hashes, by role, and of the options that change the bytes of the output.

    options: or their text, see `text_of`.
    """
    text = options if isinstance(options, str) else text_of(options)
    return hashlib.sha256(f"[{text_of(inputs)},{text}]".encode()).hexdigest()


def hash_of(value: Any) -> str:
    """The hash of a value that JSON can hold."""
    return hashlib.sha256(text_of(value).encode()).hexdigest()


def _inputs_of(record: Record) -> dict[str, str] | None:
    """The places of inputs, by role, that a record tells; None if there are none in it."""
    inputs = record.get("inputs")
    is_whole = isinstance(inputs, dict) and all(isinstance(place, str) for place in inputs.values())
    return inputs if is_whole else None


def _facts_of(record: Record) -> dict[str, Any]:
    """The facts of the output that a record tells."""
    facts = record.get("facts")
    if not isinstance(facts, dict):
        return {}
    warnings = facts.get("warnings", [])
    is_whole = isinstance(warnings, list) and all(isinstance(warning, str) for warning in warnings)
    return facts if is_whole else {}


def _are_told_apart_by_suffix(one: str, other: str) -> bool:
    """True for places of one name but for the suffix."""
    return one != other and PurePath(one).with_suffix("") == PurePath(other).with_suffix("")
