"""The standing of an output folder: how far the batches are that write into it, as its manifest tells."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from structkit.data.listing import counted
from structkit.errors import InputError
from structkit.media.locks import is_working
from structkit_cli.run.journal import Journal
from structkit_cli.run.parts import journals_in


@dataclass(frozen=True)
class ShardStanding:
    """The standing of one share of a batch.

    shard: such as 3/16.
    outputs: of the share; None for one that has not begun.
    done: outputs that are there, as far as it has told.
    failed: those that it could not make, where it came to its end.
    state: working, ended, stopped (the same command goes on), or waiting (not begun).
    """

    shard: str
    outputs: int | None
    done: int
    failed: int
    state: str

    @property
    def line(self) -> str:
        """The standing in words."""
        if self.outputs is None:
            return f"shard {self.shard}: not begun"
        failed = f", {self.failed:,} failed" if self.failed else ""
        words = {"working": "at work", "ended": "ended", "stopped": "stopped; the same command goes on"}[self.state]
        return f"shard {self.shard}: {self.done:,} of {self.outputs:,}{failed}, {words}"


@dataclass(frozen=True)
class Standing:
    """The standing of the last batch of a verb in a folder.

    outputs: of the whole batch; None where all that was begun is finished, and nothing tells of more.
    there: the outputs of the verb that have records and are there.
    missing: those that have records and are gone.
    shards: the shares, where several workers do them, and not all is merged yet.
    """

    verb: str
    outputs: int | None
    there: int
    missing: int
    shards: tuple[ShardStanding, ...] = ()

    def lines(self, folder: Path) -> list[str]:
        """The standing in words."""
        what = f"structkit {self.verb}"
        if self.outputs is None or self.there > self.outputs:  # other batches of the verb write here too
            told = [f"{folder}: {counted(self.there, 'output')} of {what}"]
        else:
            share = 100 * self.there / max(self.outputs, 1)
            told = [f"{folder}: {self.there:,} of {counted(self.outputs, 'output')} of {what} ({share:.1f} %)"]
        if self.missing:
            told.append(f"{counted(self.missing, 'output')} that was made is gone: the same command makes it again")
        return [*told, *(shard.line for shard in self.shards)]

    @property
    def facts(self) -> dict[str, Any]:
        """The standing as JSON has it."""
        return asdict(self) | {"shards": [asdict(shard) for shard in self.shards]}


def standings(folder: Path) -> list[Standing]:
    """The standing of each verb that has written into a folder, by the verbs' names.

    Raises InputError for a folder in which no batch has written.
    """
    journals = [Journal(path) for path in journals_in(folder)]
    if not journals:
        raise InputError(f"{folder}: no batch of structkit has written here; name the folder that --output names")
    there: dict[str, dict[str, bool]] = {}  # by verb
    plans: dict[str, int] = {}
    parts: dict[str, dict[str, list[_Part]]] = {}  # by verb and shard
    for journal in journals:
        journal.read_on()
        outputs = {output: os.path.isfile(folder / output) for output in journal}
        for output, is_there in outputs.items():
            for record in journal.records(output)[-1:]:
                there.setdefault(record.get("verb", "?"), {})[output] = is_there
        for batch in journal.batches:
            plans[batch["verb"]] = batch["outputs"]
            if "shard" in batch:
                found = {output for output, is_there in outputs.items() if is_there}
                part = _Part(journal.path.stat().st_mtime, batch, found)
                parts.setdefault(batch["verb"], {}).setdefault(batch["shard"], []).append(part)
        journal.close()
    return [
        Standing(verb, plans.get(verb), *_counts(there.get(verb, {})), _shards(folder, parts.get(verb, {})))
        for verb in sorted({*there, *plans})
    ]


@dataclass(frozen=True)
class _Part:
    """The journal of one share.

    time: of its last line, as the system has it.
    batch: the last of its batches, with its end, if it came to that.
    there: the outputs that it tells of and that are there.
    """

    time: float
    batch: dict[str, Any]
    there: set[str]


def _counts(there: dict[str, bool]) -> tuple[int, int]:
    """The numbers of outputs that are there, and that are not."""
    return sum(there.values()), len(there) - sum(there.values())


def _shards(folder: Path, parts: dict[str, list[_Part]]) -> tuple[ShardStanding, ...]:
    """The shares of the batch that was begun last, by as many workers as it had."""
    if not parts:
        return ()
    newest = max(parts, key=lambda shard: max(part.time for part in parts[shard]))
    count = newest.partition("/")[2]
    names = (f"{number}/{count}" for number in range(1, int(count) + 1))
    return tuple(
        _shard(folder, name, parts[name]) if name in parts else ShardStanding(name, None, 0, 0, "waiting")
        for name in names
    )


def _shard(folder: Path, name: str, parts: list[_Part]) -> ShardStanding:
    last = max(parts, key=lambda part: part.time).batch
    if "done" in last:
        return ShardStanding(name, last["share"], last["done"], last["share"] - last["done"], "ended")
    there = set().union(*(part.there for part in parts))
    state = "working" if is_working(folder, name.replace("/", "-of-")) else "stopped"
    return ShardStanding(name, last["share"], min(len(there), last["share"]), 0, state)
