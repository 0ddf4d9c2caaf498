"""The journal of an output folder: a file of records, one JSON object a line, that is only appended to.

A journal of 100,000 records has tens of megabytes, and ten times that as objects of Python.  So what is held of it is
an index alone: where the lines of each output begin.  A record is parsed when somebody asks for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from structkit.media.files import atomic_path, sync_folder

Record = dict[str, Any]

NEEDED = ("output", "made_from", "sha256")  # the texts without which a line is no record
# The end of a line as `append` writes it.  The last brace closes the record: what stands before it is the record's own,
# and not that of an object inside it.
WRITTEN = re.compile(
    rb'"made_from":"[^"\\]*","options":"[^"\\]*","output":"([^"\\]*)","sha256":"[^"\\]*","verb":"[^"\\]*"}\n'
)
ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
BATCH = b'{"batch":'  # begins a line about a batch
PIECE = 2**20  # bytes that are copied at a time


class Journal:
    """The records of one file, those that other runs append to it included; `close` it at the end.

    A file that is not there is a journal without records.  A line that is none, such as a torn one, is passed over.
    is_reduced: true where the file has one line for each output, in the order of their names, and nothing else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: BinaryIO | None = None
        self._forget()

    def _forget(self) -> None:
        """Begin an index anew."""
        self._read = 0  # bytes that the index has seen
        self._starts: dict[str, int | tuple[int, ...]] = {}  # the places of an output's lines, oldest first
        self._batches: dict[str, dict[str, Any]] = {}  # by their verbs, the last one last
        self._last, self.is_reduced = "", True

    @property
    def batches(self) -> list[dict[str, Any]]:
        """What lines tell of whole batches, see `batch_line`: the last of each verb, in their order."""
        return list(self._batches.values())

    def close(self) -> None:
        """Close the file; it is opened again when it is read."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[str]:
        """The outputs that lines are about, in the order in which they came."""
        return iter(self._starts)

    def records(self, output: str) -> list[Record]:
        """The records of an output, oldest first."""
        starts = self._starts.get(output, ())
        parsed = map(self._record, starts if isinstance(starts, tuple) else (starts,))
        return [record for record in parsed if record and record["output"] == output]

    def read_on(self) -> None:
        """Take up the lines that have come since, of this run and of others."""
        if not self.path.is_file():
            return
        # Opened anew: a network disk shows what others wrote to those who open the file.
        stream = open(self.path, "rb")  # noqa: SIM115  until `close`
        if self._stream and not os.path.sameopenfile(self._stream.fileno(), stream.fileno()):
            self._forget()  # another run has replaced the file
        self.close()
        self._stream = stream
        stream.seek(self._read)
        for line in stream:
            output, is_usual = _output_of(line)
            self.is_reduced &= is_usual and output > self._last
            if output:
                self._add(output, self._read)
                self._last = output
            elif line.startswith(BATCH):
                self._take_batch(line)
            if line.endswith(b"\n") or output:  # else it is torn, or another run is writing it
                self._read += len(line)

    def append(self, records: Iterable[bytes]) -> None:
        """Put the lines of records, see `line_of`, on disk; when this returns they are there for good."""
        lines = b"".join(records)
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
            sync_folder(self.path.parent)
        self.read_on()

    def rewrite(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Leave these records alone, which may come out of this journal; without any the file goes.

        The file is replaced as a whole, and stays where it would be the same.
        """
        lines = map(line_of, records)
        line, same = next(lines, None), 0
        if line is None:
            self.close()
            self._forget()
            self.path.unlink(missing_ok=True)
            return
        if not self.path.exists():
            self.path.touch()
        with open(self.path, "rb") as old:
            while line is not None and old.read(len(line)) == line:
                same, line = same + len(line), next(lines, None)
            if line is None and not old.read(1):
                return
        with atomic_path(self.path) as temp:
            with open(self.path, "rb") as old, open(temp, "wb") as new:
                for start in range(0, same, PIECE):
                    new.write(old.read(min(PIECE, same - start)))
                new.write(line or b"")
                new.writelines(lines)
            self.close()  # Windows replaces no file that is open
            self._forget()

    def _take_batch(self, line: bytes) -> None:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            told = json.loads(line)["batch"]
            told = self._batches.get(told["verb"], {}) | told if "done" in told else told
            if _is_batch(told):
                self._batches.pop(told["verb"], None)
                self._batches[told["verb"]] = told

    def _add(self, output: str, start: int) -> None:
        before = self._starts.get(output, ())
        self._starts[output] = (*(before if isinstance(before, tuple) else (before,)), start) if before != () else start

    def _record(self, start: int) -> Record | None:
        """The record whose line begins there."""
        stream = self._opened()
        stream.seek(start)
        return _record_of(stream.readline())

    def _opened(self) -> BinaryIO:
        if self._stream is None:
            self._stream = open(self.path, "rb")  # noqa: SIM115  until `close`
        return self._stream


def line_of(record: Mapping[str, Any]) -> bytes:
    """The line of a record."""
    return text_of(record).encode() + b"\n"


def batch_line(verb: str, **facts: Any) -> bytes:
    """The line about a batch of a verb.

    facts: of one that begins, `outputs`, the number of all; of a share of it also `shard`, such as 3/16, and `share`,
    the number of its outputs.  Of one that ends, `done`, the number of those that are there.
    """
    return line_of({"batch": {"verb": verb, **facts}})


def text_of(value: Any) -> str:
    """The one text of a value that JSON can hold."""
    return ENCODER.encode(value)


def _is_batch(told: Mapping[str, Any]) -> bool:
    """True for the facts of a batch that begins, or has ended, as `batch_line` has them."""
    needed = {"verb": str, "outputs": int, **({"shard": str, "share": int} if "shard" in told else {})}
    is_whole = all(isinstance(told.get(name), kind) for name, kind in needed.items())
    if not is_whole or not isinstance(told.get("done", 0), int):
        return False
    found = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,7})", told.get("shard", "1/1"))
    return found is not None and 1 <= int(found[1]) <= int(found[2])


def _output_of(line: bytes) -> tuple[str, bool]:
    """The output that a line is about, empty for a line that is no record; and true for one as `line_of` makes it.

    A line that was made so is not parsed for that.
    """
    if (found := WRITTEN.search(line)) and found[1].isascii():
        return found[1].decode(), True
    record = _record_of(line)
    return (record["output"], line_of(record) == line) if record else ("", False)


def _record_of(line: bytes) -> Record | None:
    """The record that a line holds, if it is one."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    is_whole = isinstance(record, dict) and all([isinstance(record.get(name), str) for name in NEEDED])
    return record if is_whole else None
