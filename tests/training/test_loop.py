"""The laws of the loop: what is stopped anywhere and started again ends in the bytes of what was not."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from pathlib import Path

import pytest
import torch

from structkit import checkpoint
from structkit.errors import CheckpointError, OutputError, StructkitError
from structkit.media.pictures import read_picture
from structkit.training import loop
from structkit.training.loop import train

from .programs import python
from .toy import RUN, STEPS, Toy, ToyTraining

OUT, STATE, LOG, PREVIEW = "m.safetensors", "m.resume.safetensors", "m.log.jsonl", "m.preview.png"
TOTAL = sum(STEPS)


class Stop(Exception):
    """Stands for a death."""


class Watched(ToyTraining):
    """It calls `then` after the updates whose numbers are given, counted over the stages."""

    def __init__(self, at=(), then=lambda: None, **options):
        super().__init__(**options)
        self.at, self.then, self.updates = at, then, 0

    def step(self, draw):
        losses = super().step(draw)
        self.updates += 1
        if draw.stage * STEPS[0] + draw.step in self.at:
            self.then()
        return losses


def run(folder, training=None, **options):
    return train(training or ToyTraining(), folder / OUT, **{"seed": 5, "run": RUN, "save_every": 0, **options})


def left(folder):
    """What is in a folder, byte for byte."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def raiser(error):
    def fail(*_, **__):
        raise error

    return fail


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder)
    return left(folder)


def test_what_a_training_leaves(undisturbed, tmp_path):
    assert undisturbed.keys() == {OUT, LOG}
    model = run(tmp_path)
    assert isinstance(model, Toy) and left(tmp_path) == undisturbed
    card = checkpoint.read_card(tmp_path / OUT)
    assert card == model.card and card["complete"] is True and card["config"] == {"width": 4}
    assert card["run"] == {**RUN, "kind": "toy", "seed": 5, "structkit": card["structkit"]}
    lines = [json.loads(line) for line in undisturbed[LOG].splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 23, 10, 20]
    assert [line["stage"] for line in lines] == ["coarse"] * 3 + ["fine"] * 2
    assert lines[0].keys() == {"stage", "step", "error", "rare", "size"}


def test_how_often_states_are_written_changes_nothing(undisturbed, tmp_path):
    run(tmp_path, save_every=1e9)
    assert left(tmp_path) == undisturbed


def test_another_seed_gives_another_model(undisturbed, tmp_path):
    run(tmp_path, seed=6)
    assert left(tmp_path)[LOG] != undisturbed[LOG]


def test_the_callers_randomness_is_left_as_it_was(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    run(tmp_path, ToyTraining((1,)))
    assert torch.rand(2).equal(expected)


@pytest.mark.parametrize("save_every", [0, 1e9])
@pytest.mark.parametrize("update", [1, 9, 10, 11, 23, 24, 33, TOTAL])
def test_stopped_in_an_update_and_started_again(undisturbed, tmp_path, update, save_every):
    with pytest.raises(Stop):
        run(tmp_path, Watched((update,), raiser(Stop)), save_every=save_every)
    again = Watched()
    run(tmp_path, again, save_every=save_every)
    assert left(tmp_path) == undisturbed
    if save_every == 0:
        in_stage = update - STEPS[0] if update > STEPS[0] else update
        assert again.updates == TOTAL - update + 1 + (in_stage - 1) % 10  # from the last line of the log on


def test_killed_and_started_again(undisturbed, tmp_path):
    code = f"""
from toy import Mortal, forked, trained
for update in (7, 25, 40):
    print(*forked(lambda: trained({str(tmp_path / OUT)!r}, Mortal(update))))
"""
    ended = python("-c", code)
    assert ended.stdout.split() == ["-9"] * 3, ended.stderr
    assert left(tmp_path).keys() == {STATE, LOG, PREVIEW}
    again = Watched()
    run(tmp_path, again)
    assert again.updates == TOTAL - STEPS[0] - 10 and left(tmp_path) == undisturbed


@pytest.mark.parametrize("call", ["replace", "unlink"])
@pytest.mark.parametrize("done", [False, True])
def test_killed_at_any_write_and_started_again(undisturbed, tmp_path, monkeypatch, call, done):
    """Death before or after each rename and each removal; what a process would clean up on its way out stays there."""
    count, stop = 0, 0
    real_replace, real_unlink = os.replace, Path.unlink

    def deadly(real):
        def write(path, *more, **options):
            nonlocal count
            ours = str(path).startswith(str(tmp_path)) and not (real is real_unlink and ".structkit-" in str(path))
            count += ours
            if ours and count == stop and not done:
                raise Stop
            result = real(path, *more, **options)
            if ours and count == stop:
                raise Stop
            return result

        return write

    for stop in range(1, 100):
        folder, count = tmp_path / str(stop), 0
        folder.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", deadly(real_replace)) if call == "replace" else patch.setattr(Path, "unlink", deadly(real_unlink))
            try:
                run(folder)
            except Stop:
                pass
            else:
                break
        run(folder)
        assert left(folder) == undisturbed, stop
    assert stop - 1 == {"replace": 8, "unlink": 4}[call]  # the log, 5 states, the picture, the model; state and picture, at both ends


def test_a_line_that_was_half_written_is_cut(undisturbed, tmp_path):
    with pytest.raises(Stop):
        run(tmp_path, Watched((15,), raiser(Stop)))
    with (tmp_path / LOG).open("ab") as log:
        log.write(b'{"stage": "coa')
    run(tmp_path)
    assert left(tmp_path) == undisturbed


def test_a_log_that_was_removed_goes_on(tmp_path):
    with pytest.raises(Stop):
        run(tmp_path, Watched((15,), raiser(Stop)))
    (tmp_path / LOG).unlink()
    run(tmp_path)
    assert [json.loads(line)["step"] for line in (tmp_path / LOG).read_bytes().splitlines()] == [20, 23, 10, 20]


@pytest.mark.parametrize("update", [1, 10, 17, 23, 30, TOTAL])
def test_ctrl_c_keeps_the_model_so_far_and_the_same_command_goes_on(undisturbed, tmp_path, update):
    events = []
    training = Watched((update,), lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, training, report=events.append)
    assert training.updates == update  # the update was brought to its end
    assert checkpoint.read_card(tmp_path / OUT)["complete"] is False
    assert len(Toy.load(tmp_path / OUT).parts) == 1 + (update > STEPS[0])
    again = Watched()
    run(tmp_path, again)
    assert again.updates == TOTAL - update
    assert left(tmp_path) == undisturbed
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_sigterm_takes_the_effect_it_would_have_had(undisturbed, tmp_path):
    previous = signal.signal(signal.SIGTERM, raiser(Stop))
    try:
        with pytest.raises(Stop):
            run(tmp_path, Watched((12,), lambda: os.kill(os.getpid(), signal.SIGTERM)))
        assert checkpoint.read_card(tmp_path / OUT)["complete"] is False
        run(tmp_path)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert left(tmp_path) == undisturbed


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Watched((12,), twice))
    assert left(tmp_path).keys() == {STATE, LOG, PREVIEW}  # of update 10; no model was written


def test_a_signal_that_is_ignored_stays_ignored(undisturbed, tmp_path):
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run(tmp_path, Watched((12,), lambda: signal.raise_signal(signal.SIGINT)))
    finally:
        signal.signal(signal.SIGINT, previous)
    assert left(tmp_path) == undisturbed


def test_outside_the_main_thread(undisturbed, tmp_path):
    thread = threading.Thread(target=run, args=(tmp_path,))
    thread.start()
    thread.join()
    assert left(tmp_path) == undisturbed


def test_a_finished_output_is_returned_as_it_is(undisturbed, tmp_path):
    run(tmp_path)
    (tmp_path / STATE).write_bytes(b"killed before it was removed")
    for overwrite in (False, True):
        training = Watched()
        model = run(tmp_path, training, overwrite=overwrite)
        assert training.updates == 0 and model.card["complete"] and left(tmp_path) == undisturbed


def test_another_run_does_not_touch_a_finished_output(undisturbed, tmp_path):
    run(tmp_path)
    with pytest.raises(OutputError) as caught:
        run(tmp_path, seed=6, run={**RUN, "inputs": {"b.png": "11"}})
    fact = "inputs.a.png is 00ff there, not set here; inputs.b.png is not set there, 11 here; seed is 5 there, 6 here"
    assert str(caught.value) == f"{tmp_path / OUT}: exists and is of another training ({fact}); overwrite it, or name another output"
    assert left(tmp_path) == undisturbed


def test_another_run_does_not_touch_an_unfinished_one(undisturbed, tmp_path):
    with pytest.raises(Stop):
        run(tmp_path, Watched((25,), raiser(Stop)))
    before = left(tmp_path)
    with pytest.raises(OutputError) as caught:
        run(tmp_path, run={"config": {"width": 8, "a": 1, "b": 2, "c": 3}})
    fact = "config.a is not set there, 1 here; config.b is not set there, 2 here; config.c is not set there, 3 here; and 2 more"
    way_out = f"start that one again, name another output, or overwrite (which gives up {STATE})"
    assert str(caught.value) == f"{tmp_path / OUT}: another training of it is not finished ({fact}); {way_out}"
    assert left(tmp_path) == before
    run(tmp_path)
    assert left(tmp_path) == undisturbed


def test_overwriting(undisturbed, tmp_path):
    """It replaces a finished output and an unfinished training of others; killed and started again, it goes on as any other."""
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
    with pytest.raises(OutputError, match=r"none/m\.safetensors: no such folder .*none; create it first|no such folder"):
        train(Watched((1,), raiser(Stop)), tmp_path / "none" / OUT, seed=5, run=RUN)
    with pytest.raises(OutputError) as caught:
        train(ToyTraining(), tmp_path, seed=5, run=RUN, overwrite=True)
    assert str(caught.value) == f"{tmp_path}: a folder; name the file to write"


def test_a_damaged_state_is_told(undisturbed, tmp_path):
    with pytest.raises(Stop):
        run(tmp_path, Watched((25,), raiser(Stop)))
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"m\.resume\.safetensors: truncated: .*; or remove it, and the training starts anew$"):
        run(tmp_path)
    run(tmp_path, overwrite=True)
    assert left(tmp_path) == undisturbed


@pytest.mark.parametrize("update", [5, 14, 30])
@pytest.mark.parametrize("what", ["loss", "weights"])
def test_a_training_that_goes_astray_stops_and_keeps_the_last_good_state(tmp_path, update, what):
    class Astray(ToyTraining):
        def step(self, draw):
            losses = super().step(draw)
            if draw.stage * STEPS[0] + draw.step == update:
                if what == "loss":
                    return {**losses, "size": torch.tensor(torch.nan)}
                self.average.module[0].weight[0, 1] = torch.inf
            return losses

    with pytest.raises(StructkitError) as caught:
        run(tmp_path, Astray())
    place = {5: "stage coarse, step 10", 14: "stage coarse, step 20", 30: "stage fine, step 10"}[update]
    kept = {5: "nothing was saved yet", 14: f"stage coarse, step 10 is kept in {STATE}", 30: f"stage coarse, step 23 is kept in {STATE}"}
    name = "training/average/module.0.weight"
    fact = "the loss size is not finite" if what == "loss" else rf".*: 1 of 8 values of {name} are not finite; nothing was written"
    start, end = re.escape(f"{tmp_path / OUT}: the training went astray at {place}: "), f"; {kept[update]}; try another seed, .*"
    assert re.fullmatch(start + fact + end, str(caught.value)), str(caught.value)
    assert not (tmp_path / OUT).exists() and (tmp_path / STATE).exists() == (update > 5)
    run(tmp_path)  # what is kept is good


def test_a_stage_ends_when_its_seconds_are_over(tmp_path, monkeypatch):
    clock = iter(range(10**9))
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock) / 4)
    training = Watched(seconds=5.0)
    run(tmp_path, training)
    steps = [(json.loads(line)["stage"], json.loads(line)["step"]) for line in (tmp_path / LOG).read_bytes().splitlines()]
    assert steps[-1][0] == "fine" and 1 < steps[-1][1] < STEPS[1] and training.updates < TOTAL


def test_seconds_that_were_spent_count_after_a_restart(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Watched((5,), lambda: signal.raise_signal(signal.SIGINT), seconds=1e3))
    tensors, card = checkpoint.load(tmp_path / STATE, kind="resume")
    assert 0 < card["place"]["seconds"] < 1e3
    card["place"]["seconds"] = 2e3
    checkpoint.save(tmp_path / STATE, tensors, card)
    again = Watched(seconds=1e3)
    run(tmp_path, again)
    assert again.updates == 1 + STEPS[1]


def test_events_tell_where_the_training_is(tmp_path):
    events = []

    def report(event):
        events.append(event)
        assert event.preview == tmp_path / PREVIEW and (read_picture(event.preview).pixels == 128).all()

    run(tmp_path, report=report)
    assert [(e.stage, e.number, e.step) for e in events] == [
        *(("coarse", 1, step) for step in (10, 20, 23)),
        *(("fine", 2, step) for step in (10, 20)),
    ]
    assert all(e.stages == 2 and e.steps == STEPS[e.number - 1] and e.rate > 0 for e in events)
    assert [e.eta > 0 for e in events] == [True, True, False, True, False]
    lines = [json.loads(line) for line in (tmp_path / LOG).read_bytes().splitlines()]
    assert [line["error"] for line in lines] == [float(f"{e.losses['error']:.6g}") for e in events]
    assert not (tmp_path / PREVIEW).exists()
