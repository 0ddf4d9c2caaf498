"""The standing of an output folder: how far the batches are that write into it, as its manifest tells."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from structkit.data.listing import counted
from structkit.errors import InputError
from structkit.media.locks import runs_at_work
from structkit.media.mounts import locks_hold
from structkit_cli.run.journal import Journal, Record
from structkit_cli.run.parts import journals_in

UNTOLD = "?"  # in the place of a verb: the first records of structkit do not tell theirs
WORDS = {
    "working": "at work",
    "ended": "ended",
    "stopped": "stopped; the same command goes on",
    "begun": "at work or stopped, which this disk does not show",
}


@dataclass(frozen=True)
class ShardStanding:
    """The standing of one share of a batch.

    shard: such as 3/16.
    outputs: of the share; None for one that has not begun.
    done: outputs that are there, as far as it has told.
    failed: those that it could not make, where it came to its end.
    state: working, ended, stopped (the same command goes on), begun (working or stopped: on a disk whose locks other
        machines do not see nobody can tell), or waiting (not begun).
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
        return f"shard {self.shard}: {self.done:,} of {self.outputs:,}{failed}, {WORDS[self.state]}"


@dataclass(frozen=True)
class Standing:
    """The standing of the last batch of a verb in a folder.

    outputs: of the whole batch; None where all that was begun is finished, and nothing tells of more.
    there: the outputs of the verb that have records and are there.
    missing: those that have records and are not there: they are gone, or a run was killed before they had their names.
    shards: the shares, where several workers do them, and not all is merged yet.
    """

    verb: str
    outputs: int | None
    there: int
    missing: int
    shards: tuple[ShardStanding, ...] = ()

    def lines(self, folder: Path) -> list[str]:
        """The standing in words."""
        what = "a structkit that did not tell its verb" if self.verb == UNTOLD else f"structkit {self.verb}"
        if self.outputs is None or self.there > self.outputs:  # other batches of the verb write here too
            told = [f"{folder}: {counted(self.there, 'output')} of {what}"]
        else:
            share = 100 * self.there / max(self.outputs, 1)
            share = min(share, 99.9) if self.there < self.outputs else share  # not all, however many there are
            told = [f"{folder}: {self.there:,} of {counted(self.outputs, 'output')} of {what} ({share:.1f} %)"]
        if self.missing:
            are, them = ("is", "it") if self.missing == 1 else ("are", "them")  # gone, or of a run that was killed
            fact = f"recorded and not there: the same command makes {them}"
            told.append(f"{counted(self.missing, 'output')} {are} {fact}")
        if self.unshared:
            fact = "in no share: inputs changed between the shards; the same command with --shard 1/1 does the rest"
            told.append(f"{counted(self.unshared, 'output')} {fact}")
        return [*told, *self._shard_lines()]

    def _shard_lines(self) -> Iterator[str]:
        """The lines about shards; those side by side that have not begun share one."""
        for is_waiting, group in groupby(self.shards, lambda shard: shard.state == "waiting"):
            first, *more = group
            if is_waiting and more:
                yield f"shards {first.shard} to {more[-1].shard}: not begun"
            else:
                yield from (shard.line for shard in (first, *more))

    @property
    def unshared(self) -> int:
        """The outputs that no share had, once all have ended."""
        if self.outputs is None or not self.shards or any(shard.state != "ended" for shard in self.shards):
            return 0
        failed = sum(shard.failed for shard in self.shards)
        return max(self.outputs - self.there - self.missing - failed, 0)

    @property
    def facts(self) -> dict[str, Any]:
        """The standing as JSON has it."""
        return asdict(self) | {"shards": [asdict(shard) for shard in self.shards]}


def standings(folder: Path) -> list[Standing]:
    """The standing of each verb that has written into a folder, by the verbs' names.

    Raises InputError for a folder in which no batch has written, and for one that cannot be read.
    """
    try:
        return _standings(folder)
    except OSError as error:
        fact = f"its records cannot be read ({error.strerror or error})"
        raise InputError(f"{folder}: {fact}; ask whoever writes here") from error


def _standings(folder: Path) -> list[Standing]:
    paths = journals_in(folder)
    if not paths:
        raise InputError(f"{folder}: no batch of structkit has written here; name the folder that --output names")
    found: dict[str, tuple[str, bool]] = {}  # the verb of each output that has records, and whether the file is there
    plans: dict[str, int] = {}
    parts: dict[str, dict[str, list[_Part]]] = {}  # by verb and shard
    times = {path: path.stat().st_mtime for path in paths}
    for path in sorted(times, key=lambda path: times[path]):  # what was written last counts
        journal = Journal(path)
        journal.read_on()
        own: Counter[str] = Counter()  # outputs that are there, by their verbs
        for output in journal:
            for record in journal.records(output)[-1:]:
                verb = _verb_of(record)
                is_there = found[output][1] if output in found else os.path.isfile(folder / output)
                found[output] = verb, is_there
                own[verb] += is_there
        for batch in journal.batches:
            plans[batch["verb"]] = batch["outputs"]
            if "shard" in batch:
                part = _Part(path.stem, batch, own[batch["verb"]])
                of_verb = parts.setdefault(batch["verb"], {})
                of_verb[batch["shard"]] = [*of_verb.pop(batch["shard"], ()), part]  # which is the last one now
        journal.close()
    there = Counter(found.values())
    at_work = runs_at_work(folder) if parts and locks_hold(folder) else None
    return [
        Standing(verb, plans.get(verb), there[verb, True], there[verb, False], _shards(parts.get(verb, {}), at_work))
        for verb in sorted({*plans, *(verb for verb, _ in there)})
    ]


@dataclass(frozen=True)
class _Part:
    """The journal of one share.

    name: of the run that writes it.
    batch: the last of its batches, with its end, if it came to that.
    there: the number of outputs that it tells of and that are there.
    """

    name: str
    batch: dict[str, Any]
    there: int


def _verb_of(record: Record) -> str:
    verb = record.get("verb")
    return verb if isinstance(verb, str) else UNTOLD


def _shards(parts: dict[str, list[_Part]], at_work: set[str] | None) -> tuple[ShardStanding, ...]:
    """The shares of the batch that was begun last, by as many workers as it had.

    parts: by shard; of these, and of the parts of each, the last one is the newest.
    at_work: the names of runs; None where nobody can tell.
    """
    if not parts:
        return ()
    *_, newest = parts
    count = newest.partition("/")[2]
    names = (f"{number}/{count}" for number in range(1, int(count) + 1))
    return tuple(
        _shard(name, parts[name], at_work) if name in parts else ShardStanding(name, None, 0, 0, "waiting")
        for name in names
    )


def _shard(name: str, parts: list[_Part], at_work: set[str] | None) -> ShardStanding:
    *_, last = parts
    share = last.batch["share"]
    if "done" in last.batch:
        return ShardStanding(name, share, last.batch["done"], share - last.batch["done"], "ended")
    works = at_work is not None and any(part.name in at_work for part in parts)
    state = "begun" if at_work is None else "working" if works else "stopped"
    return ShardStanding(name, share, min(sum(part.there for part in parts), share), 0, state)
