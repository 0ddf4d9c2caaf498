"""The laws of a training over nodes: all do the same one, in one folder, and after a death all go on together.

Nodes are launchers of torchrun on this machine, or processes that are told what torchrun would say to them.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from structkit import __version__

from .programs import TOY, assert_as_alone, python
from .toy import free_port

KILLED = """
import os, signal, sys
from pathlib import Path
from toy import ToyTraining, trained

class MortalOnce(ToyTraining):
    def step(self, draw):
        losses = super().step(draw)
        if (draw.stage, draw.step, self.processes.rank) == (1, 7, 1) and not Path("died").exists():
            Path("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return losses

trained("m.safetensors", MortalOnce(dropout=0))
"""

PROGRAM = """
import os, sys, time
from datetime import timedelta
import torch.distributed as dist
from pathlib import Path
from structkit.errors import InputError
from structkit.training import meeting, parallel
from structkit.training.loop import train
from toy import RUN, Mortal, ToyTraining, forked, free_port, trained

def calm():
    return ToyTraining(dropout=0)

def both(case, ours, theirs, **how):
    os.makedirs(case, exist_ok=True)
    print(case, *forked(ours, theirs, **how), *sorted(os.listdir(case)), flush=True)

def at(folder, output="m.safetensors", training=None, seed=5, run=RUN):
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    with meeting.joined("cpu") as (processes, _):
        train(training or calm(), output, seed=seed, run=run, processes=processes, save_every=0)

def of_another_version():
    meeting.__version__ = "9.9"
    at("version")

def on_another_device():
    meeting._own_device = lambda device, local: "cuda:0"
    with meeting.joined("cuda"):
        pass

def without_its_picture():
    with meeting.awaited():
        raise InputError("a.png: no such file; check the path")

def at_long_work():
    parallel.ASSURE_EVERY = 0.2
    with meeting.joined("cpu") as (processes, _):
        processes.done_by_first(lambda: time.sleep(5))

os.chdir(sys.argv[1])
both("calm", lambda: at("calm"), lambda: at("calm"))
port = free_port()
store = dist.TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
both("killed", lambda: at("killed"), lambda: at("killed", training=Mortal(30, dropout=0)), port=port)
both("killed", lambda: at("killed"), lambda: at("killed"), port=port)
both("disks", lambda: at("disks/0"), lambda: at("disks/1"))
for name, update in (("0", 15), ("1", 25)):
    both("states", lambda: at("states", name), lambda: at("states", name, Mortal(update, dropout=0)))
both("states", lambda: at("states", "0"), lambda: at("states", "1"))
both("seed", lambda: at("seed"), lambda: at("seed", seed=6))
both("inputs", lambda: at("inputs"), lambda: at("inputs", run={**RUN, "inputs": {"a.png": "00fe"}}))
both("version", lambda: at("version"), of_another_version)
both("device", lambda: at("device"), on_another_device)
both("picture", lambda: at("picture"), without_its_picture)
meeting.TIMEOUT = timedelta(seconds=3)
both("long", at_long_work, at_long_work)
"""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """What pairs of processes did, case by case: their exit codes and files; where; the messages on their errors."""
    folder = tmp_path_factory.mktemp("pairs")
    ended = python("-c", PROGRAM, str(folder))
    cases = [line.split() for line in ended.stdout.splitlines()]
    assert len(cases) == 13, ended.stderr
    return folder, cases, ended.stderr.splitlines()


@pytest.mark.slow
def test_two_launchers_do_what_one_process_does_also_if_a_process_is_killed_on_the_way(alone, pairs, tmp_path):
    program = tmp_path / "killed.py"
    program.write_text(KILLED)
    (tmp_path / "out").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(TOY.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    command += ["--max-restarts", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}"]
    how = {"env": environment, "cwd": tmp_path / "out", "stderr": subprocess.PIPE, "text": True}
    nodes = [subprocess.Popen([*command, program], **how) for _ in range(2)]
    told = [node.communicate(timeout=300)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], told
    (tmp_path / "out/died").unlink()
    assert_as_alone(tmp_path / "out", alone)
    for name in ("m.log.jsonl", "m.safetensors"):
        assert (pairs[0] / "calm" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_killed_and_started_again_with_the_same_store_two_processes_end_in_the_same_bytes(pairs):
    """What the dead ones wrote into the store of a launcher, which outlives them, misleads nobody."""
    folder, cases, _ = pairs
    assert cases[0] == ["calm", "0", "0", "m.log.jsonl", "m.safetensors"]
    assert cases[1][:3] == ["killed", "1", "-9"] and "m.resume.safetensors" in cases[1]
    assert cases[2] == ["killed", "0", "0", "m.log.jsonl", "m.safetensors"]
    for name in ("m.log.jsonl", "m.safetensors"):
        assert (folder / "calm" / name).read_bytes() == (folder / "killed" / name).read_bytes()


def test_nodes_with_disks_of_their_own_are_refused_before_anything_is_written(pairs):
    folder, cases, told = pairs
    assert cases[3] == ["disks", "1", "1", "0", "1"] and not [*folder.glob("disks/*/*"), *folder.glob("disks/*/.*")]
    fact = "m.safetensors: the processes find different files beside it"
    assert {f"{rank}: OutputError: {fact}; name an output on a file system that all share" for rank in (0, 1)} <= set(
        told
    )


def test_states_of_different_places_are_not_gone_on_from(pairs):
    _, cases, told = pairs
    assert cases[4][:3] == cases[5][:3] == ["states", "1", "-9"]
    assert cases[6][:3] == ["states", "1", "1"]
    fact = "the processes find different files beside it; name an output on a file system that all share"
    assert {f"{rank}: OutputError: {rank}: {fact}" for rank in (0, 1)} <= set(told)


OTHERWISE = "{}: m.safetensors: process 1 would train otherwise than process 0 ({} there, {} here)"
UNLIKE = "DeviceError: {} in process 0, {} in process 1; "


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("seed", OTHERWISE.format("OptionError", "seed is 6", "5")),
        ("inputs", OTHERWISE.format("InputError", "inputs.a.png is 00fe", "00ff")),
        ("version", UNLIKE.format(f"structkit is {__version__}", "9.9") + "install one version on all nodes"),
        ("device", UNLIKE.format("--device is cpu", "cuda") + "say which on all nodes"),
    ],
)
def test_what_is_different_on_a_node_is_refused_in_one_line_of_each_process(pairs, case, message):
    _, cases, told = pairs
    assert [case, "1", "1"] in cases
    for rank in (0, 1):
        assert sum(line.startswith(f"{rank}: {message}") for line in told) == 1, told


def test_a_process_that_cannot_begin_tells_the_others_why(pairs):
    _, cases, told = pairs
    assert ["picture", "1", "1"] in cases
    message = "a.png: no such file; check the path"
    assert {f"0: InputError: process 1 of 2: {message}", f"1: InputError: {message}"} <= set(told)


def test_what_the_first_process_alone_has_to_do_may_take_longer_than_the_others_wait_for_a_silent_one(pairs):
    assert ["long", "0", "0"] in pairs[1], pairs[2]
