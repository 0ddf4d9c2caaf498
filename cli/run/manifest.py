"""The manifest of an output folder: which of its files structkit wrote, from which inputs, with which options.

One JSON record a line.  While a run works the file is a journal: the record of an output is on disk *before* the output
takes its name, and a record counts only when the file has the recorded hash.  So a run may be killed at any moment: a
record without its file is void, a torn last line is passed over, and the same command ends in the same files as a run
that nobody disturbed.  At the end the journal is reduced to the records that hold, sorted.

A record of structkit 0.1 may have no `inputs` and `options`: such an output is trusted while `made_from` stays, which
brings its record up to date, and is kept from then on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import structkit_weights
from structkit.media.files import remove_leftovers, sha256_file, sync_folder, write_atomically
from structkit.media.locks import FolderLock

Record = dict[str, Any]
NAME = ".structkit-manifest.jsonl"
STREAM = "-"  # the place of an input that can be read only once, such as standard input
WAY_OUT = "name another place with --output, or say --exists overwrite"
NOT_OURS = "exists and is not as structkit wrote it: move it away, or say --exists overwrite"
OTHER_OPTIONS = f"exists and was made with other options, or by another verb: {WAY_OUT}"
OTHER_STREAM = f"exists and was made from what another run was sent: {WAY_OUT}"
UNKNOWN = f"exists, and its record does not say from what it was made: {WAY_OUT}"


@dataclass(frozen=True)
class Origin:
    """All that an output is made from.

    made_from: the hash of the inputs' bytes, the options and the version: while it stays, the output would become the
    same again.
    inputs: the place of each input, by role, see `Manifest.place_of`.
    options: the hash of all that the user chose.
    """

    made_from: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    options: str = ""


@dataclass(frozen=True)
class Verdict:
    """The state of an output before it is made.

    word: `missing`; `current` (ours, and would become the same again); `stale` (ours, from the same inputs with the
    same options, but their bytes or structkit's version changed: to be made again); or `kept` (not as we wrote it, or
    of other inputs or options).
    reason: why a kept one stays, with the way out.
    sha256: of the file, where it was needed.
    """

    word: str
    reason: str | None = None
    sha256: str | None = None


class Manifest:
    """The records of one folder, between `open` and `close`.

    wanted: true to begin a manifest where there is none; one that is there is kept up in any case.
    While runs work in a folder they share its lock, and a dead run holds none.  A run that finds no other one there at
    its end reduces the journal.
    """

    def __init__(self, folder: Path, *, wanted: bool):
        self.folder, self.path = folder, folder / NAME
        self.kept = wanted or os.path.exists(self.path)  # false, not an error, where no such path can be
        self.known: dict[str, list[Record]] = {}  # the records of each output, oldest first
        self._lock = FolderLock(folder)
        self._new = False
        self._real = os.path.realpath(folder)
        self._read = 0  # bytes of the journal
        self._adopted: list[tuple[Path, Origin, str]] = []
        self._places: dict[Path | None, str] = {}  # of inputs
        self._folders: dict[Path, str] = {}  # the real ones of inputs

    def open(self, folders: Iterable[Path]) -> None:
        """Begin to work in the folder; unfinished files of dead runs in `folders` are removed."""
        self._new = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        for folder in folders:
            remove_leftovers(folder)
        with self._lock.entering():
            self._read_on()

    def close(self) -> None:
        """Reduce the journal and leave the folder; one that is new and still empty is taken away."""
        with self._lock.leaving() as alone:
            if self._adopted:
                self.note(*self._adopted)
            if alone:
                self._settle()
        if self._new:
            with contextlib.suppress(OSError):  # not empty
                self.folder.rmdir()

    def verdict(self, output: Path, origin: Origin) -> Verdict:
        """The state of an output, as the manifest has it by now: other runs may be at work in the folder."""
        if not os.path.lexists(output):
            return Verdict("missing")
        if not output.is_file():
            return Verdict("kept", NOT_OURS)
        found, key = None, self._key(output)
        for read_on in (False, True):
            if read_on:
                self._read_on()
            if records := self.known.get(key):
                found = found or sha256_file(output)
                if held := [r for r in records if r["sha256"] == found]:
                    return self._of_ours(output, origin, held, found)
        return Verdict("kept", NOT_OURS, found)

    def _of_ours(self, output: Path, origin: Origin, held: list[Record], found: str) -> Verdict:
        """The state of an output that is as we wrote it.  held: its records."""
        if same := [r for r in held if r["made_from"] == origin.made_from]:
            if not any(r.get("inputs") == origin.inputs and r.get("options") == origin.options for r in same):
                self._adopted.append((output, origin, found))
            return Verdict("current", sha256=found)
        reasons = [self._reason(record, origin) for record in held]
        if None in reasons:
            return Verdict("stale", sha256=found)
        return Verdict("kept", reasons[-1], found)

    def _reason(self, record: Record, origin: Origin) -> str | None:
        """Why an output of this record is not made again; None if it is."""
        inputs = record.get("inputs")
        if not isinstance(inputs, dict) or not all(isinstance(place, str) for place in inputs.values()):
            return UNKNOWN
        for role in sorted(inputs.keys() | origin.inputs.keys()):
            theirs, ours = inputs.get(role), origin.inputs.get(role)
            if theirs is None or ours is None:
                return OTHER_OPTIONS
            if theirs != ours and not self._is_same_file(theirs, ours):
                both = PurePath(theirs).suffix != PurePath(ours).suffix
                both = both and PurePath(theirs).with_suffix("") == PurePath(ours).with_suffix("")
                way_out = "say --keep-suffix, which keeps both, " * both + WAY_OUT
                return f"exists and was made from {self._said(theirs)}: {way_out}"
        if record.get("options") != origin.options:
            return OTHER_OPTIONS
        return OTHER_STREAM if STREAM in inputs.values() else None

    def place_of(self, source: Path | None) -> str:
        """The place of an input, as records have it: from the folder, so that a tree that is moved keeps its records.

        source: None is standard input.
        A model that ships has its name; an input that can be read only once has none.
        """
        if source not in self._places:
            self._places[source] = self._place_of(source)
        return self._places[source]

    def _place_of(self, source: Path | None) -> str:
        if source is None or not source.is_file():
            return STREAM
        if source.parent == structkit_weights.FOLDER:
            return f"structkit:{source.stem}"
        if source.parent not in self._folders:
            self._folders[source.parent] = os.path.realpath(source.parent)
        real = os.path.join(self._folders[source.parent], source.name)
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

    def _said(self, place: str) -> str:
        """A place in words: as the user would name the file."""
        if place == STREAM:
            return "standard input"
        return place if place.startswith("structkit:") else os.path.normpath(self.folder / place)

    def note(self, *records: tuple[Path, Origin, str]) -> None:
        """Put records on disk, right before the outputs take their names.

        records: of each output the path, what it is made from, and its hash.
        """
        lines = b""
        for output, origin, sha256 in records:
            lines += _line(
                {
                    "output": self._key(output),
                    "made_from": origin.made_from,
                    "inputs": dict(origin.inputs),
                    "options": origin.options,
                    "sha256": sha256,
                }
            )
        new = not self.path.exists()
        with open(self.path, "a+b") as journal:
            if journal.seek(0, os.SEEK_END):
                journal.seek(-1, os.SEEK_END)
                if journal.read(1) != b"\n":  # a torn line of a run that was killed
                    lines = b"\n" + lines
            journal.write(lines)
            journal.flush()
            os.fsync(journal.fileno())
        if new:
            sync_folder(self.folder)
        self._read_on()

    def _settle(self) -> None:
        """Reduce the journal to one record for each file that holds, in the order of their names."""
        self.known, self._read = {}, 0
        self._read_on()
        records = self.known
        kept = [r for key in sorted(records) if (r := self._holding(key, records[key]))]
        text = b"".join(_line(record) for record in kept)
        if kept and text != self.path.read_bytes():
            write_atomically(self.path, text)
        elif not kept:
            self.path.unlink(missing_ok=True)

    def _holding(self, key: str, records: list[Record]) -> Record | None:
        """The last record whose hash is the file's."""
        output = self.folder / key
        if not output.is_file():
            return None
        if len({r["sha256"] for r in records}) == 1:
            return records[-1]
        found = sha256_file(output)
        return next((r for r in reversed(records) if r["sha256"] == found), None)

    def _key(self, output: Path) -> str:
        return output.relative_to(self.folder).as_posix()

    def _read_on(self) -> None:
        """Read the records that have come to the journal, of this run and of others."""
        if not self.path.is_file():
            return
        with open(self.path, "rb") as journal:
            journal.seek(self._read)
            *lines, last = journal.read().split(b"\n")
        for line in lines:
            self._take(line)
            self._read += len(line) + 1
        if self._take(last):  # else it is torn, or another run is writing it
            self._read += len(last)

    def _take(self, line: bytes) -> bool:
        """Take up the record that a line holds, if it is one."""
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict) and all(
                isinstance(record.get(k), str) for k in ("output", "made_from", "sha256")
            ):
                self.known.setdefault(record["output"], []).append(record)
                return True
        return False


def made_from(inputs: Mapping[str, str], options: Mapping[str, Any]) -> str:
    """The one hash of the inputs' hashes, by role, and of the options that change the bytes of the output."""
    return hash_of([inputs, options])


def hash_of(value: Any) -> str:
    """The hash of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n"
