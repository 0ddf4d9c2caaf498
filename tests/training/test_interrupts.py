"""Ctrl-C and SIGTERM: the model so far is kept, and the same command goes on."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from structkit import checkpoint

from .conftest import LOG, OUT, PREVIEW, STATE, TOTAL, Stop, Watched, left, raiser, run
from .toy import STEPS, Toy


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
