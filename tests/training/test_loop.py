"""The laws of the loop: what is stopped anywhere and started again ends in the bytes of what was not."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
import torch

from structkit import checkpoint
from structkit.errors import StructkitError
from structkit.media.locks import TEMP_PREFIX
from structkit.media.pictures import read_picture
from structkit.training import loop

from .conftest import LOCK, LOG, OUT, PREVIEW, STATE, TOTAL, Stop, Watched, left, raiser, run
from .programs import python
from .toy import RUN, STEPS, Toy, ToyTraining


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
    assert left(tmp_path).keys() == {STATE, LOG, PREVIEW, LOCK}
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
            ours = str(path).startswith(str(tmp_path)) and not (
                real is real_unlink and Path(path).name.startswith(TEMP_PREFIX) and Path(path).name != LOCK
            )
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
            patch.setattr(os, "replace", deadly(real_replace)) if call == "replace" else patch.setattr(
                Path, "unlink", deadly(real_unlink)
            )
            try:
                run(folder)
            except Stop:
                pass
            else:
                break
        run(folder)
        assert left(folder) == undisturbed, stop
    # 6 states, the log, the picture, the model; the picture, at both ends, the state, the lock
    assert stop - 1 == {"replace": 9, "unlink": 4}[call]


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
    kept = {
        5: "nothing was saved yet",
        14: f"stage coarse, step 10 is kept in {STATE}",
        30: f"stage coarse, step 23 is kept in {STATE}",
    }
    name = "training/average/module.0.weight"
    fact = (
        "the loss size is not finite"
        if what == "loss"
        else rf".*: 1 of 8 values of {name} are not finite; nothing was written"
    )
    start, end = (
        re.escape(f"{tmp_path / OUT}: the training went astray at {place}: "),
        f"; {kept[update]}; try another seed, .*",
    )
    assert re.fullmatch(start + fact + end, str(caught.value)), str(caught.value)
    assert not (tmp_path / OUT).exists() and (tmp_path / STATE).exists() == (update > 5)
    run(tmp_path)  # what is kept is good


def test_a_stage_ends_when_its_seconds_are_over(tmp_path, monkeypatch):
    clock = iter(range(10**9))
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock) / 4)
    training = Watched(seconds=5.0)
    run(tmp_path, training)
    steps = [
        (json.loads(line)["stage"], json.loads(line)["step"]) for line in (tmp_path / LOG).read_bytes().splitlines()
    ]
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
