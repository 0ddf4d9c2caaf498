"""Ctrl-C and SIGTERM: every wait ends, in one line, and what is done is neither lost nor spoilt."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from structkit_cli.signals import SignalAnswers, Termination

from .conftest import paint
from .test_resume import contents

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


# Libraries drop what is raised while they load.
DROPPING = """
import signal
try:
    signal.raise_signal({number})
    for _ in range(9): len("work")
except BaseException:
    open("dropped", "w")
{end}
"""

# A command that is sent a signal when it looks for a module of that name.
SENT = """
import os, sys
from structkit_cli.__main__ import main

class Sender:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}: os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Sender())
sys.argv[1:] = ["--version"]
main()
"""


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_waits_for_the_end_of_an_import(tmp_path, number, code, word):
    (tmp_path / "dropping.py").write_text(DROPPING.format(number=int(number), end="open('loaded', 'w')"))
    run = started(tmp_path, "print('at work', flush=True)\nsys.path.insert(0, '')\nimport dropping\nprint('further')")
    assert (*run.communicate(), run.returncode) == (b"", f"structkit: {word}\n".encode(), code)
    assert (tmp_path / "loaded").exists() and not (tmp_path / "dropped").exists()


@pytest.mark.parametrize("end", ["", "raise ImportError('broken')", "import dropping_within"])
def test_what_the_import_comes_to_makes_no_difference(tmp_path, monkeypatch, end):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dropping_one.py").write_text(DROPPING.format(number=int(signal.SIGINT), end=end))
    (tmp_path / "dropping_within.py").write_text(DROPPING.format(number=int(signal.SIGINT), end="loaded = True"))
    with SignalAnswers(alone=False), pytest.raises(KeyboardInterrupt):
        importlib.import_module("dropping_one")
    assert ("dropping_one" in sys.modules) == ("raise" not in end) and sys.getprofile() is None
    assert not (tmp_path / "dropped").exists()
    for name in ("dropping_one", "dropping_within"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
@pytest.mark.parametrize("module", ["structkit_cli.signals", "typer"])
def test_a_signal_while_the_program_itself_is_loaded_is_answered(module, number, code, word):
    program = SENT.format(module=module, number=int(number))
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert (ran.stdout, ran.stderr, ran.returncode) == (b"", f"structkit: {word}\n".encode(), code)


@pytest.mark.parametrize("instead", [None, RuntimeError("a callback failed")])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_that_somebody_catches_ends_the_batch_in_order(run, engine, tmp_path, number, code, instead):
    for i in range(3):
        paint(tmp_path / f"in/{i}.png", i)

    def catch(call: dict) -> None:
        if len(engine.calls) == 2:
            try:
                signal.raise_signal(number)
            except BaseException:
                if instead:
                    raise instead from None

    engine.then = catch
    ran = run("sample", "in", "-n", "1", "-o", "out", "--quiet")
    done = ["0.png"] if instead else ["0.png", "1.png"]
    assert (ran.code, ran.paths) == (code, [f"out/{name}" for name in done])
    assert ran.err.startswith(f"structkit: interrupted: {len(done)} written") and ran.err.count("\n") == 1
    assert list(contents(tmp_path / "out")) == [".structkit-manifest.jsonl", *done]


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
