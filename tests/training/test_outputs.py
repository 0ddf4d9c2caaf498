"""What is there already: finished, unfinished, of others, damaged; and where nothing can be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from structkit import checkpoint
from structkit.errors import CheckpointError, DeviceError, OutputError
from structkit.training import RESUME
from structkit.training.loop import train
from structkit.training.outputs import TrainingFiles

from .conftest import OUT, STATE, TOTAL, Stop, Watched, left, raiser, run
from .toy import RUN, STEPS, ToyTraining


def test_a_finished_output_is_returned_as_it_is(undisturbed, tmp_path):
    run(tmp_path)
    run_of_it = checkpoint.read_card(tmp_path / OUT)["run"]
    checkpoint.save(tmp_path / STATE, {}, {"kind": RESUME, "run": run_of_it})  # as if killed before it was removed
    for overwrite in (False, True):
        training = Watched()
        model = run(tmp_path, training, overwrite=overwrite)
        assert training.updates == 0 and model.card["complete"] and left(tmp_path) == undisturbed


def test_another_run_does_not_touch_a_finished_output(undisturbed, tmp_path):
    run(tmp_path)
    with pytest.raises(OutputError) as caught:
        run(tmp_path, seed=6, run={**RUN, "inputs": {"b.png": "11"}})
    fact = "inputs.a.png is 00ff there, not set here; inputs.b.png is not set there, 11 here; seed is 5 there, 6 here"
    assert (
        str(caught.value)
        == f"{tmp_path / OUT}: exists and is of another training ({fact}); overwrite it, or name another output"
    )
    assert left(tmp_path) == undisturbed


def test_another_run_does_not_touch_an_unfinished_one(undisturbed, tmp_path):
    with pytest.raises(Stop):
        run(tmp_path, Watched((25,), raiser(Stop)))
    before = left(tmp_path)
    with pytest.raises(OutputError) as caught:
        run(tmp_path, run={"config": {"width": 8, "a": 1, "b": 2, "c": 3}})
    fact = (
        "config.a is not set there, 1 here; config.b is not set there, 2 here; config.c is not set there, 3 "
        "here; and 2 more"
    )
    way_out = f"start that one again, name another output, or overwrite (which gives up {STATE})"
    assert str(caught.value) == f"{tmp_path / OUT}: another training of it is not finished ({fact}); {way_out}"
    assert left(tmp_path) == before
    run(tmp_path)
    assert left(tmp_path) == undisturbed


def test_overwriting(undisturbed, tmp_path):
    """It replaces a finished output and an unfinished training of others; killed and started again, it goes on as any
    other.
    """
    run(tmp_path, seed=6)
    with pytest.raises(Stop):
        run(tmp_path, Watched((25,), raiser(Stop)), seed=7, overwrite=True)
    with pytest.raises(Stop):
        run(tmp_path, Watched((25,), raiser(Stop)), overwrite=True)
    assert checkpoint.read_card(tmp_path / OUT)["run"]["seed"] == 6  # until there is a better one
    again = Watched()
    run(tmp_path, again, overwrite=True)
    assert again.updates == TOTAL - STEPS[0] and left(tmp_path) == undisturbed


def test_what_is_not_ours_is_kept(undisturbed, tmp_path):
    (tmp_path / OUT).write_bytes(b"a letter")
    with pytest.raises(OutputError) as caught:
        run(tmp_path)
    assert str(caught.value) == f"{tmp_path / OUT}: exists and is no checkpoint; overwrite it, or name another output"
    assert left(tmp_path) == {OUT: b"a letter"}
    run(tmp_path, overwrite=True)
    assert left(tmp_path) == undisturbed


def test_outputs_that_cannot_be(tmp_path):
    with pytest.raises(OutputError) as caught:  # before the first update
        run(tmp_path / "none", Watched((1,), raiser(Stop)))
    assert str(caught.value) == f"{tmp_path}/none/{OUT}: no such folder {tmp_path}/none; create it first"
    with pytest.raises(OutputError) as caught:
        train(ToyTraining(), tmp_path, seed=5, run=RUN, overwrite=True)
    assert str(caught.value) == f"{tmp_path}: a folder; name the file to write"


def test_a_damaged_state_is_told(undisturbed, tmp_path):
    with pytest.raises(Stop):
        run(tmp_path, Watched((25,), raiser(Stop)))
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:-1])
    with pytest.raises(
        CheckpointError, match=r"m\.resume\.safetensors: truncated: .*; or remove it, and the training starts anew$"
    ):
        run(tmp_path)
    run(tmp_path, overwrite=True)
    assert left(tmp_path) == undisturbed


def test_out_of_memory(undisturbed, tmp_path):
    with pytest.raises(DeviceError) as caught:
        run(tmp_path, Watched((25,), raiser(torch.OutOfMemoryError("CUDA out of memory"))))
    fact = f"cpu ran out of memory at stage fine, step 2; stage coarse, step 23 is kept in {STATE}"
    assert str(caught.value) == f"{tmp_path / OUT}: {fact}; train something smaller, or on another device"
    run(tmp_path)
    assert left(tmp_path) == undisturbed


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_a_full_disk(undisturbed, tmp_path, monkeypatch, call):
    with pytest.raises(Stop):
        run(tmp_path, Watched((15,), raiser(Stop)))
    with monkeypatch.context() as patch, pytest.raises(OutputError, match="the disk is full; free some space"):
        full = raiser(OSError(errno.ENOSPC, "No space left on device"))
        patch.setattr(*((os, "fsync", full) if call == "fsync" else (Path, "write_bytes", full)))
        run(tmp_path)
    run(tmp_path)
    assert left(tmp_path) == undisturbed


@pytest.mark.parametrize("name", ["x" * 300, "m.safetensors/within.png", "missing.png"])
def test_an_input_that_cannot_be_looked_at_is_no_output(tmp_path, name):
    """Who reads it says what is wrong with it."""
    (tmp_path / "m.safetensors").touch()
    TrainingFiles(tmp_path / "m.safetensors").spare([tmp_path / name])
