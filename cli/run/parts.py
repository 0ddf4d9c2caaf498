"""The journals of an output folder, read as one: the manifest, and a part for each of several workers.

A worker appends to its own part alone.  So the parts need no lock that holds between machines, and no worker rewrites
what another has written.  A run that works alone, and is alone in the folder, makes one manifest of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from structkit.media.files import sync_folder
from structkit_cli.run.journal import Journal, Record

NAME = ".structkit-manifest.jsonl"
PARTS = ".structkit-parts"  # a folder of its own: to list one of a million outputs takes seconds


def journals_in(folder: Path) -> list[Path]:
    """The journals that are in a folder: the manifest, then the parts by their names."""
    try:
        whole = folder / NAME
        return [*([whole] if whole.is_file() else []), *sorted((folder / PARTS).glob("*.jsonl"))]
    except (OSError, ValueError):  # such a folder cannot be
        return []


def has_parts(folder: Path) -> bool:
    """True if one of several workers has journals in a folder."""
    return any(path.name != NAME for path in journals_in(folder))


class JournalParts:
    """The journals of one folder; `close` them at the end.

    part: words for the worker in the name of its own journal; None for one that works alone, on the manifest.
    """

    def __init__(self, folder: Path, part: str | None = None) -> None:
        self.folder, self.is_part = folder, part is not None
        self.own = Journal(folder / PARTS / f"{part}.jsonl" if part else folder / NAME)
        self._others: dict[Path, Journal] = {}

    def __iter__(self) -> Iterator[str]:
        """The outputs that lines are about, each once."""
        return iter(dict.fromkeys(output for journal in self._all for output in journal))

    def __len__(self) -> int:
        return len(self.own) if not self._others else sum(1 for _ in self)

    @property
    def is_reduced(self) -> bool:
        """True where there is one journal, and that is reduced: see `Journal`."""
        return not self._others and self.own.is_reduced

    @property
    def _all(self) -> list[Journal]:
        return [*self._others.values(), self.own]

    @property
    def batches(self) -> list[dict[str, Any]]:
        """What the journals tell of batches, see `Journal`; those of this worker last."""
        return [batch for journal in self._all for batch in journal.batches]

    @property
    def have_others(self) -> bool:
        """True if there are parts beside the own journal."""
        return bool(self._others)

    def records(self, output: str) -> list[Record]:
        """The records of an output; those of the own journal last."""
        return [record for journal in self._all for record in journal.records(output)]

    def read_on(self) -> None:
        """Take up the lines that have come since, and the parts."""
        for path in journals_in(self.folder):
            if path != self.own.path:
                self._others.setdefault(path, Journal(path)).read_on()
        self.own.read_on()

    def append(self, lines: Iterable[bytes]) -> None:
        """Put lines on disk, in the own journal."""
        if self.is_part and not self.own.path.parent.exists():
            self.own.path.parent.mkdir(parents=True, exist_ok=True)
            sync_folder(self.folder)
        self.own.append(lines)

    def unite(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Leave these records alone, in the own journal: the others go, once it is on disk."""
        self.own.rewrite(records)
        self.close()
        for path in self._others:
            path.unlink(missing_ok=True)
        if self._others:
            with suppress(OSError):  # another worker has come meanwhile
                (self.folder / PARTS).rmdir()
        self._others = {}

    def close(self) -> None:
        """Close the files."""
        for journal in self._all:
            journal.close()
