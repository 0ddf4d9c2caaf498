"""The standing of an output folder: how far the batches are that write into it, as its manifest tells."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from structkit.errors import InputError
from structkit.media.locks import is_working
from structkit_cli.run.journal import Journal
from structkit_cli.run.manifest import NAME, parts_in


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

    @property
    def facts(self) -> dict[str, Any]:
        """The standing as JSON has it."""
        return asdict(self) | {"shards": [asdict(shard) for shard in self.shards]}


def standings(folder: Path) -> list[Standing]:
    """The standing of each verb that has written into a folder, by the verbs' names.

    Raises InputError for a folder in which no batch has written.
    """
    journals = [Journal(path) for path in (folder / NAME, *parts_in(folder)) if path.is_file()]
    if not journals:
        raise InputError(f"{folder}: no batch of structkit has written here; name the folder that --output names")
    there: dict[str, dict[str, bool]] = {}  # by verb
    for journal in journals:
        journal.read_on()
        for output in journal:
            for record in journal.records(output)[-1:]:
                there.setdefault(record.get("verb", "?"), {})[output] = os.path.isfile(folder / output)
    plans = {verb: plan for journal in journals for plan in journal.plans if (verb := plan["verb"])}
    found = []
    for verb in sorted({*there, *plans}):
        counts = Counter(there.get(verb, {}).values())
        whole = plans[verb]["outputs"] if verb in plans else None
        shards = _shards(folder, verb, journals[1:])
        found.append(Standing(verb, whole, counts[True], counts[False], shards))
    for journal in journals:
        journal.close()
    return found


def _shards(folder: Path, verb: str, parts: Iterable[Journal]) -> tuple[ShardStanding, ...]:
    """The shares of the batch that was begun last, by as many workers as it had."""
    own = [(journal, plan) for journal in parts for plan in journal.plans[-1:] if plan["verb"] == verb]
    if not own:
        return ()
    _, newest = max(own, key=lambda one: one[0].path.stat().st_mtime)
    count = newest["shard"].partition("/")[2]
    told: dict[str, ShardStanding] = {}
    for journal, plan in sorted(own, key=lambda one: one[0].path.stat().st_mtime):
        if plan["shard"].partition("/")[2] == count:
            told[plan["shard"]] = _shard(folder, journal, plan)
    names = (f"{number}/{count}" for number in range(1, int(count) + 1))
    return tuple(told.get(name, ShardStanding(name, None, 0, 0, "waiting")) for name in names)


def _shard(folder: Path, journal: Journal, plan: dict[str, Any]) -> ShardStanding:
    end = plan.get("end")
    if end is not None:
        return ShardStanding(plan["shard"], plan["share"], end["done"], end["failed"], "ended")
    state = "working" if is_working(folder, plan["shard"].replace("/", "-of-")) else "stopped"
    done = sum(os.path.isfile(folder / output) for output in journal)
    return ShardStanding(plan["shard"], plan["share"], min(done, plan["share"]), 0, state)
