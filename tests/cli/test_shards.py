"""Shards: the share of a batch that a process does, by the option or its launcher; together they are the whole."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path, PurePath

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from structkit.device import own_device
from structkit.errors import DeviceError, OptionError
from structkit.training.ranks import rank_and_size
from structkit_cli.run.inputs import InputFile
from structkit_cli.run.plan import Task
from structkit_cli.run.shards import COST, Shard, local_rank, shard_of, share_of

from .conftest import paint

JOB = {"JOB_COMPLETION_INDEX": "1", "JOB_COMPLETIONS": "2"}  # of Kubernetes
SRUN = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}
BATCH = {"SLURM_JOB_ID": "7"}  # the script of sbatch


class SizedFile(InputFile):
    """A file of a size that need not be there."""

    def __init__(self, name: str, size: int) -> None:
        super().__init__(Path(name), PurePath(name))
        self._size = size


def tasks_of(sizes: list[int], bonds: dict[int, str] | None = None) -> list[Task]:
    class BoundTask(Task):
        bond = property(lambda self: (bonds or {}).get(int(self.inputs["picture"].path.name)))

    model = SizedFile("model", 10**9)
    return [BoundTask({"picture": SizedFile(str(i), size), "model": model}, ()) for i, size in enumerate(sizes)]


SIZES = st.lists(st.integers(0, 10**7), max_size=40)


@given(SIZES, st.integers(2, 9))
def test_the_shares_are_the_whole_each_task_once_and_in_order(sizes, count):
    tasks = tasks_of(sizes)
    shares = [share_of(tasks, Shard(number, count)) for number in range(1, count + 1)]
    place = {id(task): i for i, task in enumerate(tasks)}
    places = [[place[id(task)] for task in share] for share in shares]
    assert sorted(itertools.chain(*places)) == list(range(len(tasks)))
    assert all(share == sorted(share) for share in places)


@given(SIZES, st.integers(2, 9))
def test_no_share_is_larger_than_another_by_more_than_one_task(sizes, count):
    """By bytes; an input that all have in common counts for none."""
    tasks = tasks_of(sizes)
    loads = [
        sum(COST + task.inputs["picture"].size for task in share_of(tasks, Shard(number, count)))
        for number in range(1, count + 1)
    ]
    if len(sizes) > 1:  # a single task has nothing in common with others
        assert max(loads) - min(loads) <= COST + max(sizes)


def test_what_is_bound_together_stays_together():
    tasks = tasks_of([5, 100, 5, 100, 5, 100], {1: "m", 4: "m", 2: "n", 5: "n"})
    for number in (1, 2, 3):
        names = {task.inputs["picture"].path.name for task in share_of(tasks, Shard(number, 3))}
        assert len(names & {"1", "4"}) != 1 and len(names & {"2", "5"}) != 1


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "1"}, None),
        ({"RANK": "1", "WORLD_SIZE": "4"}, "2/4"),
        ({**SRUN, "SLURM_PROCID": "2", "SLURM_NTASKS": "3"}, "3/3"),
        ({**SRUN, "SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "3"}, "3/3"),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "3"}, "3/3"),
        ({**BATCH, "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, None),
        ({"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_COUNT": "4"}, "3/4"),
        ({"SLURM_ARRAY_TASK_ID": "4", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"}, "4/4"),
        (
            {
                "SLURM_ARRAY_TASK_ID": "14",
                "SLURM_ARRAY_TASK_COUNT": "3",
                "SLURM_ARRAY_TASK_MIN": "10",
                "SLURM_ARRAY_TASK_STEP": "2",
            },
            "3/3",
        ),
        ({"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "1", "SLURM_ARRAY_TASK_MIN": "7"}, None),
        ({"JOB_COMPLETION_INDEX": "0", "JOB_COMPLETIONS": "5"}, "1/5"),
        # srun, and an array whose script has several tasks: one of the two has a single share
        (
            {**SRUN, "SLURM_PROCID": "0", "SLURM_NTASKS": "1", "JOB_COMPLETION_INDEX": "1", "JOB_COMPLETIONS": "2"},
            "2/2",
        ),
        (
            {
                **BATCH,
                "SLURM_PROCID": "0",
                "SLURM_NTASKS": "8",
                "SLURM_ARRAY_TASK_ID": "1",
                "SLURM_ARRAY_TASK_COUNT": "2",
            },
            "2/2",
        ),
        # two that say the same
        ({"RANK": "1", "WORLD_SIZE": "4", **SRUN, "SLURM_PROCID": "1", "SLURM_NTASKS": "4"}, "2/4"),
        # torchrun, which srun or the batch script has started, once on each node
        (
            {"RANK": "5", "WORLD_SIZE": "8", "GROUP_WORLD_SIZE": "2", **SRUN, "SLURM_PROCID": "1", "SLURM_NTASKS": "2"},
            "6/8",
        ),
        ({"RANK": "1", "WORLD_SIZE": "2", **BATCH, "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, "2/2"),
        ({"RANK": "1", "WORLD_SIZE": "2", "JOB_COMPLETION_INDEX": "3"}, "2/2"),
    ],
)
def test_launchers_say_the_shard(environment, expected):
    found = shard_of(None, environment)
    assert (str(found) if found else None) == expected


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"RANK": "4", "WORLD_SIZE": "4"},
            "RANK is '4' and WORLD_SIZE is '4' in the environment: let torchrun set both",
        ),
        ({"RANK": "x", "WORLD_SIZE": "4"}, "RANK is 'x'"),
        ({"JOB_COMPLETION_INDEX": "1"}, "JOB_COMPLETION_INDEX is '1', and JOB_COMPLETIONS is missing"),
        ({"SLURM_ARRAY_TASK_ID": "7"}, "SLURM_ARRAY_TASK_ID is '7' and SLURM_ARRAY_TASK_COUNT is ''"),
        ({"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "3"}, "these number no shares"),
        (
            {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "x"},
            "these number no shares",
        ),
        (
            {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_STEP": ""},
            "these number no shares",
        ),
        ({**BATCH, "SLURM_PROCID": "0", "SLURM_NTASKS": "16"}, "this is the batch script itself: say srun structkit"),
        (
            {"RANK": "1", "WORLD_SIZE": "4", **SRUN, "SLURM_PROCID": "2", "SLURM_NTASKS": "4"},
            "RANK and WORLD_SIZE say shard 2/4 and SLURM_PROCID and SLURM_NTASKS say shard 3/4: they contradict",
        ),
        (
            {"JOB_COMPLETION_INDEX": "0", "JOB_COMPLETIONS": "5", "RANK": "0", "WORLD_SIZE": "2"},
            "RANK and WORLD_SIZE say shard 1/2 and JOB_COMPLETION_INDEX and JOB_COMPLETIONS say shard 1/5",
        ),
    ],
)
def test_what_makes_no_sense_or_contradicts_itself_is_refused_unless_the_shard_is_said(environment, message):
    with pytest.raises(OptionError, match=re.escape(message)):
        shard_of(None, environment)
    assert str(shard_of("2/3", environment)) == "2/3" and shard_of("1/1", environment) is None


@pytest.mark.parametrize("text", ["", "3", "3/", "a/b", "-1/3", "1/3/5", "1.5/2", "٣/٤"])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(OptionError, match="give its number and how many there are, such as 3/16"):
        shard_of(text, {})


@pytest.mark.parametrize("text", ["0/3", "4/3", "0/0", "1/9999999"])
def test_a_shard_out_of_range_is_refused(text):
    with pytest.raises(OptionError, match=f"--shard is {text}: shards are numbered 1 to their count"):
        shard_of(text, {})


def test_each_process_of_a_machine_has_a_device_of_its_own(monkeypatch):
    count = 4
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert [own_device("cuda", local) for local in range(4)] == ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]
    assert own_device("cpu", 7) == "cpu" and own_device("cuda:1", 3) == "cuda:1"
    with pytest.raises(DeviceError, match="process 4 finds 4 here; start no more processes than devices"):
        own_device("cuda", 4)
    count = 1
    assert own_device("cuda", 3) == "cuda:0"  # Slurm shows each task its own
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(DeviceError, match="process 1 finds 1 here"):
        own_device("cuda", 1)


def test_launchers_say_the_number_on_the_machine():
    assert local_rank({"LOCAL_RANK": "3", "SLURM_LOCALID": "0"}) == 3 and local_rank({"SLURM_LOCALID": "2"}) == 2
    assert local_rank({}) is None and local_rank({"LOCAL_RANK": "x"}) is None


@pytest.fixture
def batch(run, tmp_path):
    """Run a batch of five, of which two have much to read."""
    for i in range(5):
        paint(tmp_path / f"in/{i}.png", i, side=64 if i in (1, 2) else 8)
    return lambda *more: run("sample", "in", "-n", "1", *more)


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.glob("*.png")}


@pytest.mark.parametrize("count", [2, 3, 7])
def test_shards_make_the_files_of_one_run_and_each_once(batch, tmp_path, count):
    batch("-o", "whole")
    runs = [batch("-o", "out", "--shard", f"{i}/{count}") for i in range(1, count + 1)]
    made = [path for ran in runs for path in ran.paths]
    assert all(ran.code == 0 for ran in runs) and sorted(made) == [f"out/{i}.png" for i in range(5)]
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    for shard in ("1/1", "1/2", "2/2"):
        assert (ran := batch("-o", "out", "--shard", shard)).paths == [] and ran.code == 0


def test_another_number_of_shards_does_what_is_left_and_nothing_twice(batch, tmp_path):
    first = batch("-o", "out", "--shard", "2/3").paths
    rest = [path for i in (1, 2) for path in batch("-o", "out", "--shard", f"{i}/2").paths]
    assert first and sorted([*first, *rest]) == [f"out/{i}.png" for i in range(5)]


def test_a_run_speaks_of_its_shard(batch, monkeypatch):
    ran = batch("-o", "out", "--shard", "1/2", "--json")
    summary = json.loads(ran.out.splitlines()[-1])
    assert ran.err.startswith("structkit: shard 1/2 (--shard): 3 of 5 inputs\n") and "shard 1/2: 3 written" in ran.err
    assert (summary["shard"], summary["inputs"], summary["written"]) == ("1/2", 3, 3)
    monkeypatch.setenv("RANK", "1"), monkeypatch.setenv("WORLD_SIZE", "2")
    assert "shard 2/2 (RANK and WORLD_SIZE): 2 of 5 inputs; --shard 1/1 does all\n" in batch("-o", "out").err


def test_a_shard_without_a_share_is_done(batch):
    ran = batch("-o", "out", "--shard", "7/7", "--json")
    assert ran.code == 0 and json.loads(ran.out)["inputs"] == 0 and "shard 7/7: 0 written" in ran.err


def test_the_exit_code_is_that_of_the_share(batch, tmp_path):
    (tmp_path / "in/3.png").write_bytes(b"junk")
    codes = {i: (ran := batch("-o", "out", "--shard", f"{i}/2")).code for i in (1, 2)}
    assert sorted(codes.values()) == [0, 1] and "in/3.png" not in [p for p in ran.paths]


def test_clashes_are_found_by_every_shard(run, tmp_path):
    paint(tmp_path / "in/a.png", 1), paint(tmp_path / "in/a.jpg", 2), paint(tmp_path / "in/b.png", 3)
    for i in (1, 2, 3):
        ran = run("sample", "in", "-o", "out/", "-n", "1", "--shard", f"{i}/3")
        assert ran.code == 2 and "would both be written to out/a.png" in ran.err


def test_with_exists_error_what_other_shards_have_made_is_no_clash(batch):
    for i in (1, 2):
        assert batch("-o", "out", "--exists", "error", "--shard", f"{i}/2").code == 0
    assert batch("-o", "out", "--exists", "error", "--shard", "1/2").code == 2


def test_one_result_on_stdout_has_no_shares(run, tmp_path):
    paint(tmp_path / "a.png", 1)
    for shard in ("1/2", "2/2"):
        ran = run("sample", "a.png", "-n", "1", "-o", "-", "--shard", shard)
        assert ran.code == 2 and not ran.out and "which has no shares: leave --shard out" in ran.err


def test_one_named_input_is_not_shared_out_by_the_environment(run, tmp_path, monkeypatch):
    """A launcher may start this command in each of its processes with a file of its own."""
    paint(tmp_path / "a.png", 1)
    monkeypatch.setenv("RANK", "1"), monkeypatch.setenv("WORLD_SIZE", "2")
    assert run("sample", "a.png", "-n", "1", "-o", "b.png").paths == ["b.png"]


def test_what_a_share_trains_it_trains_alone(batch, monkeypatch):
    """torchrun's processes would wait for each other in a training that only one of them has."""
    seen = []
    monkeypatch.setattr("structkit_cli.run.batch._Batch._do", lambda *_: seen.append(rank_and_size()))
    monkeypatch.setenv("RANK", "1"), monkeypatch.setenv("WORLD_SIZE", "2")
    batch("-o", "out")
    assert set(seen) == {(0, 1)} and rank_and_size() == (1, 2)


WAITING = """
import sys, time, os
from pathlib import Path
from structkit_cli.run.shards import wait_for_others
if os.environ["RANK"] == "0":
    wait_for_others(1)
    sys.exit(1)
time.sleep(1.5)
Path(sys.argv[1]).touch()
wait_for_others(0)
"""


def test_a_failure_under_torchrun_waits_for_the_others(tmp_path):
    """torchrun ends all processes with the first that fails."""
    (tmp_path / "waiting.py").write_text(WAITING)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ran = subprocess.run([*launcher, "waiting.py", "done"], cwd=tmp_path, capture_output=True, timeout=120)
    assert ran.returncode == 1 and (tmp_path / "done").exists()
