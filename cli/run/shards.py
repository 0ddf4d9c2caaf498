"""Shards: the shares of a batch that several workers do, each told apart by an option or by what its launcher sets.

Every worker makes the same plan and takes its own share of it; none needs to hear of the others.
"""

from __future__ import annotations

import heapq
import os
import re
import time
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from structkit.data.listing import counted
from structkit.errors import OptionError
from structkit_cli.run.plan import Task, shared

SAID = "--shard"
WHOLE = "say --shard 1/1 for the whole, or --shard with the right share"
COST = 2**14  # bytes that a task counts as beside its inputs: an empty file takes time too
MANY = 10**6  # shards at most
ASK_EVERY = 0.2  # seconds


@dataclass(frozen=True)
class Shard:
    """The share of one worker.

    number: 1 to count.
    origin: the option or the variables that say so.
    """

    number: int
    count: int
    origin: str = SAID

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def part(self) -> str:
        """The words for the shard in names of files."""
        return f"{self.number}-of-{self.count}"

    def told(self, own: int, whole: int) -> str:
        """The line about a share.  own, whole: inputs of it, and of all."""
        line = f"shard {self} ({self.origin}): {own:,} of {counted(whole, 'input')}"
        return line if self.origin == SAID else f"{line}; {SAID} 1/1 does all"


def shard_of(asked: str | None, environment: Mapping[str, str] | None = None) -> Shard | None:
    """The shard of this process: the one that is asked for, else that of the environment; None if it works alone.

    asked: such as 3/16.
    environment: None is that of the process.
    Raises OptionError for a shard that there is not, and for variables that contradict each other.
    """
    if asked is not None:
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", asked.strip(), re.ASCII)
        if not found:
            raise OptionError(f"--shard is {asked!r}: give its number and how many there are, such as 3/16")
        number, count = int(found[1]), int(found[2])
        if not 1 <= number <= count <= MANY:
            raise OptionError(f"--shard is {asked}: shards are numbered 1 to their count, which is {MANY:,} at most")
        return Shard(number, count) if count > 1 else None
    several = [shard for shard in _told_by(os.environ if environment is None else environment) if shard.count > 1]
    if not several:
        return None
    first = several[0]
    if other := next((one for one in several if (one.number, one.count) != (first.number, first.count)), None):
        facts = " and ".join(f"{one.origin} say shard {one}" for one in (first, other))
        raise OptionError(f"{facts}: they contradict each other; {WHOLE}")
    return first


def share_of(tasks: Sequence[Task], shard: Shard) -> list[Task]:
    """The tasks of a shard, in their order: the same in every process that has the same tasks.

    The shares are balanced by the bytes of the inputs that tasks do not have in common.  Tasks that need one another's
    files stay together.
    """
    common = shared(tasks)
    costs = [sum(given.size for role, given in task.inputs.items() if role not in common) for task in tasks]
    return [tasks[i] for i in share(costs, shard, [task.bond for task in tasks])]


def share(sizes: Sequence[int], shard: Shard, bonds: Sequence[Hashable] = ()) -> list[int]:
    """The places of a shard in a sequence, in order: as even a division by size as the largest first makes it.

    sizes: bytes of each.
    bonds: values that are equal for those that stay together; None for one that may go anywhere.
    """
    groups: dict[Hashable, list[int]] = {}
    for i, bond in enumerate(bonds or [None] * len(sizes)):
        groups.setdefault(i if bond is None else (bond,), []).append(i)
    weights = [(-sum(COST + sizes[i] for i in group), group) for group in groups.values()]
    loads = [(0, number) for number in range(1, shard.count + 1)]  # a heap
    own: list[int] = []
    for weight, group in sorted(weights):  # the largest first; of equal ones the first
        load, number = heapq.heappop(loads)
        heapq.heappush(loads, (load - weight, number))
        if number == shard.number:
            own += group
    return sorted(own)


def local_rank(environment: Mapping[str, str] | None = None) -> int | None:
    """The number of this process among those of its launcher on this machine, 0 and up; None where nobody says."""
    environment = os.environ if environment is None else environment
    text = next((environment[name] for name in ("LOCAL_RANK", "SLURM_LOCALID") if name in environment), "")
    return int(text) if text.isdecimal() else None


def wait_for_others(code: int) -> None:
    """Wait, in a process of torchrun that has failed, until the others are done: it would end these with the first.

    code: the exit code of this process.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    names = [f"structkit/{attempt}/{number}" for number in range(size)]
    with suppress(Exception):  # a launcher that is gone holds nobody up
        import torch.distributed as dist

        where = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(*where, is_master=False)
        store.set(names[rank], str(code))
        while code and not store.check(names):
            time.sleep(ASK_EVERY)


def _told_by(environment: Mapping[str, str]) -> list[Shard]:
    """The shards that launchers say in the environment, that of the innermost first.

    Raises OptionError where the only one that says anything leaves something out.
    """
    torchrun = _numbered(environment, "RANK", "WORLD_SIZE", "let torchrun set both, or remove them")
    readers = (_slurm_step, _slurm_array, _kubernetes)
    others = [shard for read in readers if (shard := read(environment, alone=torchrun is None)) is not None]
    nodes = environment.get("GROUP_WORLD_SIZE", "")
    if torchrun and nodes.isdecimal():  # where torchrun is started once on each node, its launcher numbers the nodes
        others = [shard for shard in others if shard.count != int(nodes)]
    return [*([torchrun] if torchrun else []), *others]


def _slurm_step(environment: Mapping[str, str], *, alone: bool) -> Shard | None:
    """The task of a step that srun has started.  A batch script has these variables too, and is no step."""
    count = "SLURM_NTASKS" if "SLURM_NTASKS" in environment else "SLURM_STEP_NUM_TASKS"
    found = _numbered(environment, "SLURM_PROCID", count, "let srun set both, or remove them")
    in_step = any(name in environment for name in ("SLURM_STEP_ID", "SLURM_STEPID", "SLURM_STEP_NODELIST"))
    if found is None or found.count == 1 or in_step or "SLURM_JOB_ID" not in environment:
        return found
    if alone and "SLURM_ARRAY_TASK_ID" not in environment:
        raise OptionError(
            f"{count} is {found.count}, and this is the batch script itself: say srun structkit ... in it, which "
            "starts each; or --shard 1/1 for the whole"
        )
    return None


def _slurm_array(environment: Mapping[str, str], *, alone: bool) -> Shard | None:
    """The task of an array, whose numbers may begin anywhere and have steps."""
    place, size = "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"
    if place not in environment or (size not in environment and not alone):
        return None
    number, count = (environment.get(name, "") for name in (place, size))
    first, step = (environment.get(f"SLURM_ARRAY_TASK_{name}", usual) for name, usual in (("MIN", "0"), ("STEP", "1")))
    if all(text.isdecimal() for text in (number, count, first, step)):
        if int(count) == 1:
            return None
        index, rest = divmod(int(number) - int(first), max(int(step), 1))
        if not rest and 0 <= index < int(count) <= MANY:
            return Shard(index + 1, int(count), f"{place} and {size}")
    fact = f"{place} is {number!r} and {size} is {count!r}: these number no shares"
    raise OptionError(f"{fact}; give the array as --array=0-15, or say --shard")


def _kubernetes(environment: Mapping[str, str], *, alone: bool) -> Shard | None:
    """The pod of an Indexed Job, which is told its number, and not how many there are."""
    place, size = "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"
    if place in environment and size not in environment and alone:
        raise OptionError(
            f"{place} is {environment[place]!r}, and {size} is missing: set it to the Job's completions in the env of "
            "its container, or say --shard 1/1 for the whole"
        )
    return _numbered(environment, place, size, "set both, or remove them")


def _numbered(environment: Mapping[str, str], number: str, count: str, way_out: str) -> Shard | None:
    """The shard that a pair of variables says, the first of which begins with 0; None where one is missing."""
    if number not in environment or count not in environment:
        return None
    place, size = environment[number], environment[count]
    if not (place.isdecimal() and size.isdecimal() and int(place) < int(size) <= MANY):
        raise OptionError(f"{number} is {place!r} and {count} is {size!r} in the environment: {way_out}")
    return Shard(int(place) + 1, int(size), f"{number} and {count}")
