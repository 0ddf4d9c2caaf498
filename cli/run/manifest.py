"""The manifest of an output folder: which of its files structkit wrote, from which inputs, with which options.

One JSON record a line.  While a run works the file is a journal: the record of an output is on disk *before* the output
takes its name, and a record counts only when the file has the recorded hash.  So a run may be killed at any moment: a
record without its file is void, a torn last line is passed over, and the same command ends in the same files as a run
that nobody disturbed.  At the end the journal is reduced to the records that hold, sorted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from structkit.media.files import remove_leftovers, sha256_file, sync_folder, write_atomically
from structkit.media.locks import FolderLock

Record = dict[str, str]
NAME = ".structkit-manifest.jsonl"


class Manifest:
    """The records of one folder, between `open` and `close`.

    wanted: true to begin a manifest where there is none; one that is there is kept up in any case.
    While runs work in a folder they share its lock, and a dead run holds none.  A run that finds no other one there at
    its end reduces the journal.
    """

    def __init__(self, folder: Path, *, wanted: bool):
        self.folder, self.path = folder, folder / NAME
        self.kept = wanted or os.path.exists(self.path)  # false, not an error, where no such path can be
        self.known: dict[str, list[Record]] = {}
        self._lock = FolderLock(folder)
        self._new = False

    def open(self, folders: Iterable[Path]) -> None:
        """Begin to work in the folder; unfinished files of dead runs in `folders` are removed."""
        self._new = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        for folder in folders:
            remove_leftovers(folder)
        with self._lock.entering():
            self.known = self._read()

    def close(self) -> None:
        """Reduce the journal and leave the folder; one that is new and still empty is taken away."""
        with self._lock.leaving() as alone:
            if alone:
                self._settle()
        if self._new:
            with contextlib.suppress(OSError):  # not empty
                self.folder.rmdir()

    def verdict(self, output: Path, made_from: str) -> tuple[str, str | None]:
        """The state of an output, and the file's hash where it was needed.

        `missing`, `current` (ours, of the same inputs and options), `stale` (ours, of others) or `foreign` (not as we
        wrote it).
        """
        if not os.path.lexists(output):
            return "missing", None
        records = self.known.get(self._key(output))
        if not records or not output.is_file():
            return "foreign", None
        found = sha256_file(output)
        held = [r for r in records if r["sha256"] == found]
        if not held:
            return "foreign", found
        return "current" if any(r["made_from"] == made_from for r in held) else "stale", found

    def note(self, *records: tuple[Path, str, str]) -> None:
        """Put records on disk, right before the outputs take their names.

        records: of each output the path, what it is made from, and its hash.
        """
        lines = b""
        for output, made_from, sha256 in records:
            record = {"output": self._key(output), "made_from": made_from, "sha256": sha256}
            self.known.setdefault(record["output"], []).append(record)
            lines += _line(record)
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

    def _settle(self) -> None:
        """Reduce the journal to one record for each file that holds, in the order of their names."""
        records = self._read()  # again: another run may have added to it
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

    def _read(self) -> dict[str, list[Record]]:
        """The records of each output, oldest first."""
        records: dict[str, list[Record]] = {}
        text = self.path.read_bytes() if self.path.is_file() else b""
        for line in text.split(b"\n"):
            with contextlib.suppress(ValueError):  # a torn line
                record = json.loads(line)
                if isinstance(record, dict) and all(
                    isinstance(record.get(key), str) for key in ("output", "made_from", "sha256")
                ):
                    records.setdefault(record["output"], []).append(record)
        return records


def made_from(inputs: Mapping[str, str], options: Mapping[str, Any]) -> str:
    """The one hash of the inputs' hashes, by role, and of the options that change the bytes of the output."""
    return hashlib.sha256(json.dumps([inputs, options], sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n"
