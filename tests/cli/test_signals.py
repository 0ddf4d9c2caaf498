"""Ctrl-C and SIGTERM: every wait ends, in one line, and what is done is neither lost nor spoilt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from structkit_cli.signals import SignalAnswers, Termination

# A command whose work is BODY, in the process that is its own.
PROGRAM = """
import os, signal, sys, threading, time
import structkit_cli.pages.info as page
from structkit_cli import signals
from structkit_cli.__main__ import main

def stuck():
    threading.Thread(target=lambda: open("pipe", "rb")).start()  # a thread that nothing ends

def work(path):
    {body}

page.read_card = work
sys.argv[1:] = ["info", "model.safetensors"]
main()
"""


def started(folder: Path, body: str, **how) -> subprocess.Popen:
    """The command, once its work has printed a line."""
    os.mkfifo(folder / "pipe")
    program = PROGRAM.format(body="\n    ".join(body.splitlines()))
    run = subprocess.Popen(
        [sys.executable, "-c", program], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how
    )
    assert run.stdout.readline() == b"at work\n"
    return run


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_one_signal_ends_the_program_though_a_thread_waits_without_end(tmp_path, number, code, word):
    run = started(tmp_path, "stuck(); print('at work', flush=True); threading.Event().wait()")
    run.send_signal(number)
    assert (*run.communicate(), run.returncode) == (b"", f"structkit: {word}\n".encode(), code)


def test_a_second_signal_lets_what_is_being_cleaned_up_be_cleaned_up(tmp_path):
    body = (
        "signals.IN_TIME = signals.SOON = 3600\n"
        "try:\n    print('at work', flush=True); threading.Event().wait()\n"
        "finally:\n    print('cleaning', flush=True)\n    while not os.path.exists('go'): time.sleep(0.01)\n"
        "    print('clean', flush=True)"
    )
    run = started(tmp_path, body)
    run.send_signal(signal.SIGINT)
    assert run.stdout.readline() == b"cleaning\n"
    run.send_signal(signal.SIGINT)
    (tmp_path / "go").touch()
    assert (*run.communicate(), run.returncode) == (b"clean\n", b"structkit: interrupted\n", 130)


def test_a_second_signal_ends_a_cleaning_up_that_does_not_end(tmp_path):
    body = (
        "try:\n    stuck(); print('at work', flush=True); threading.Event().wait()\n"
        "finally:\n    print('cleaning', flush=True); threading.Event().wait()"
    )
    run = started(tmp_path, body)
    run.send_signal(signal.SIGTERM)
    assert run.stdout.readline() == b"cleaning\n"
    run.send_signal(signal.SIGINT)
    assert (*run.communicate(), run.returncode) == (b"", b"structkit: terminated\n", 143)


def test_a_signal_after_all_is_told_changes_nothing(tmp_path):
    body = (
        "real = signals.leave\n"
        "def leave(code):\n    for number in (2, 15): os.kill(os.getpid(), number)\n    real(code)\n"
        "signals.leave = leave\nprint('at work', flush=True)\nraise page.typer.Exit(0)"
    )
    run = started(tmp_path, body)
    assert (*run.communicate(), run.returncode) == (b"", b"", 0)


def test_an_import_that_an_interruption_breaks_is_an_interruption(tmp_path):
    body = (
        "print('at work', flush=True)\ntry: threading.Event().wait()\n"
        "except KeyboardInterrupt: raise ImportError('half of it')"
    )
    run = started(tmp_path, body)
    run.send_signal(signal.SIGINT)
    assert (*run.communicate(), run.returncode) == (b"", b"structkit: interrupted\n", 130)


def test_sigint_stays_ignored_in_the_background_of_a_shell(tmp_path):
    body = "print('at work', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nraise page.typer.Exit(0)"
    run = started(tmp_path, body, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    run.send_signal(signal.SIGINT)
    (tmp_path / "go").touch()
    assert (*run.communicate(), run.returncode) == (b"", b"", 0)


def test_the_first_signal_raises_and_later_ones_do_not():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    for number, error, code in ((signal.SIGINT, KeyboardInterrupt, 130), (signal.SIGTERM, Termination, 143)):
        with SignalAnswers(alone=False) as answers:
            with pytest.raises(error):
                signal.raise_signal(number)
            signal.raise_signal(signal.SIGINT), signal.raise_signal(signal.SIGTERM)
            assert answers.code == code
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
