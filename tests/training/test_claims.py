"""Whose the files are: nothing of the user's, and nothing finished, is given up for a training that has not earned
it.
"""

from __future__ import annotations

import os
import signal

import pytest
import torch

from structkit.errors import DeviceError, OptionError, OutputError
from structkit.training.loop import check
from structkit.training.parallel import ALONE

from .conftest import LOG, OUT, PREVIEW, STATE, Stop, Watched, left, raiser, run
from .toy import RUN, Toy, ToyTraining


class Refused(ToyTraining):
    def begin(self, stage, draw):
        raise OptionError("too little time")


@pytest.mark.parametrize("name", [LOG, PREVIEW])
def test_a_log_or_a_picture_that_no_training_left_is_kept(undisturbed, tmp_path, name):
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(OutputError) as caught:
        run(tmp_path)
    fact = "exists, and is of no training that goes on; move it away, overwrite it, or name another output"
    assert str(caught.value) == f"{tmp_path / name}: {fact}"
    assert left(tmp_path) == {name: b"mine"}
    run(tmp_path, overwrite=True)
    assert left(tmp_path) == undisturbed


@pytest.mark.parametrize(("name", "what"), {OUT: "output", STATE: "state", LOG: "log", PREVIEW: "preview"}.items())
@pytest.mark.parametrize("link", [False, True])
def test_an_input_is_never_written_over(tmp_path, name, what, link):
    given = tmp_path / "given.png" if link else tmp_path / name
    given.write_bytes(b"learn from me")
    if link:
        (tmp_path / name).symlink_to(given)
    before = left(tmp_path)
    with pytest.raises(OutputError) as caught:
        run(tmp_path, overwrite=True, inputs=[tmp_path / "other.png", given])
    fact = f"an input, and the {what} of the training would be written over it; name another output"
    assert str(caught.value) == f"{tmp_path / name}: {fact}"
    assert left(tmp_path) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_training_that_is_refused_leaves_nothing(tmp_path, overwrite):
    with pytest.raises(OptionError):
        run(tmp_path, Refused(), overwrite=overwrite)
    assert left(tmp_path) == {}


def test_a_training_that_is_refused_gives_up_no_other(undisturbed, tmp_path):
    with pytest.raises(Stop):
        run(tmp_path, Watched((25,), raiser(Stop)))
    before = left(tmp_path)
    with pytest.raises(OptionError):
        run(tmp_path, Refused(), seed=6, overwrite=True)
    assert left(tmp_path) == before
    run(tmp_path)
    assert left(tmp_path) == undisturbed


def test_a_training_that_saved_nothing_leaves_nothing_and_another_seed_may_begin(tmp_path):
    with pytest.raises(Stop):
        run(tmp_path, Watched((5,), raiser(Stop)))
    assert left(tmp_path) == {}
    run(tmp_path, seed=6)


def test_ctrl_c_does_not_replace_the_finished_model_of_others(undisturbed, tmp_path):
    run(tmp_path, seed=6)
    finished = left(tmp_path)[OUT]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Watched((1,), lambda: signal.raise_signal(signal.SIGINT)), overwrite=True)
    assert left(tmp_path)[OUT] == finished
    others = left(tmp_path)
    run(tmp_path, Watched((1,), raiser(Stop)), seed=6)  # it is finished, and leaves the state of the other
    assert left(tmp_path) == others
    again = Watched((1,), raiser(Stop))
    run(tmp_path, again, overwrite=True)
    assert left(tmp_path) == undisturbed


def test_what_is_no_checkpoint_stays_until_the_end(tmp_path):
    (tmp_path / OUT).write_bytes(b"a letter")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Watched((1,), lambda: signal.raise_signal(signal.SIGINT)), overwrite=True)
    assert left(tmp_path)[OUT] == b"a letter"
    with pytest.raises(OutputError, match="exists and is no checkpoint"):
        run(tmp_path)


def test_one_training_at_a_time(undisturbed, tmp_path):
    messages = []

    def meanwhile():
        with pytest.raises(OutputError) as caught:
            run(tmp_path, seed=8, overwrite=True)
        messages.append(str(caught.value))

    run(tmp_path, Watched((3, 30), meanwhile))
    assert (
        messages
        == [f"{tmp_path / OUT}: another process is training it now; wait for its end, or name another output"] * 2
    )
    assert left(tmp_path) == undisturbed


@pytest.mark.parametrize("options", [{"seed": 5}, {"seed": 8}, {"seed": 8, "overwrite": True}])
def test_a_training_beside_another_is_refused_before_its_inputs_are_read(undisturbed, tmp_path, options):
    """Whatever the two differ in: that the other one goes on is what counts."""
    how = {"run": {"config": RUN["config"]}, "processes": ALONE, "overwrite": False, "inputs": (), **options}
    messages = []

    def meanwhile():
        with pytest.raises(OutputError) as caught:
            check(Toy, tmp_path / OUT, **how)
        messages.append(str(caught.value))

    run(tmp_path, Watched((3, 30), meanwhile))
    assert (
        messages
        == [f"{tmp_path / OUT}: another process is training it now; wait for its end, or name another output"] * 2
    )
    assert left(tmp_path) == undisturbed


@pytest.mark.parametrize("finished", [False, True])
def test_an_early_look_holds_nothing_and_leaves_nothing(undisturbed, tmp_path, finished):
    if finished:
        run(tmp_path)
    check(Toy, tmp_path / OUT, seed=5, run={"config": RUN["config"]}, processes=ALONE, overwrite=False, inputs=())
    assert left(tmp_path) == (undisturbed if finished else {})
    run(tmp_path)
    assert left(tmp_path) == undisturbed


def test_a_folder_that_cannot_be_written_in_is_told_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError) as caught:
        run(tmp_path, Refused())
    assert str(caught.value) == f"{tmp_path / OUT}: no permission to write in {tmp_path}; choose another folder"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 "
            "bytes"
        ),
    ],
)
@pytest.mark.parametrize("where", ["begin", "step", "model"])
def test_too_little_memory_has_one_message_wherever_it_is_met(undisturbed, tmp_path, monkeypatch, error, where):
    with monkeypatch.context() as patch, pytest.raises(DeviceError) as caught:
        patch.setattr(ToyTraining, where, raiser(error))
        run(tmp_path)
    place = {"begin": "stage coarse, step 0", "step": "stage coarse, step 1", "model": "its end"}[where]
    kept = f"stage fine, step 20 is kept in {STATE}" if where == "model" else "nothing was saved yet"
    way_out = "train something smaller, or on another device"
    assert str(caught.value) == f"{tmp_path / OUT}: cpu ran out of memory at {place}; {kept}; {way_out}"
    run(tmp_path)
    assert left(tmp_path) == undisturbed


def test_another_runtime_error_is_not_about_memory(tmp_path):
    with pytest.raises(RuntimeError, match="no luck"):
        run(tmp_path, Watched((3,), raiser(RuntimeError("no luck"))))


def test_a_damaged_state_of_nobody_is_not_removed(undisturbed, tmp_path):
    run(tmp_path)
    (tmp_path / STATE).write_bytes(b"a letter")
    run(tmp_path)
    assert left(tmp_path) == {**undisturbed, STATE: b"a letter"}
