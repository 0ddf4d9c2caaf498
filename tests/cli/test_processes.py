"""What only a process of its own can show: signals, pipes, start-up, terminals."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time

import pytest

from .conftest import paint
from .test_resume import SLOW_ENGINE, contents, slow

CLI = [sys.executable, "-m", "structkit_cli"]


def start(*arguments: str, code: str = "", env: dict | None = None) -> tuple[int, str, float]:
    """Run a command; returns its exit code, stderr and CPU seconds.  code: Python to run in its process afterwards."""
    script = f"import sys; from structkit_cli.__main__ import main; code = main({list(arguments)!r}); {code}\nsys.exit(code)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ, **(env or {})})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ran.returncode, ran.stderr, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


NO_TORCH = "assert 'torch' not in sys.modules, 'torch was imported'"
LIMIT, TRIES = 0.3, 10  # processor seconds, and the best of a few: others may be at work on this machine

USAGE_ERRORS = [
    ["nonsense"],
    ["analogy"],
    ["analogy", "a.png", "b.png", "--strength", "9"],
    ["analogy", "a.png", "b.png", "--size", "big"],
    ["analogy", ".", "b.png"],
]


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], *USAGE_ERRORS], ids=" ".join)
def test_help_and_usage_errors_come_at_once_and_without_torch(arguments):
    spent = []
    while not spent or (min(spent) >= LIMIT and len(spent) < TRIES):
        time.sleep(0.2 * len(spent))  # a burst of load may pass
        code, err, seconds = start(*arguments, code=NO_TORCH)
        assert code == (2 if arguments in USAGE_ERRORS else 0), err
        spent.append(seconds)
    assert min(spent) < LIMIT


@pytest.mark.parametrize("arguments", [["analogy", "--help"], ["analogy", "--print-config"]], ids=" ".join)
def test_what_only_prints_does_not_load_torch(arguments):
    code, err, _ = start(*arguments, code=NO_TORCH)
    assert code == 0, err


def test_that_check_can_fail(tmp_path):
    (tmp_path / "torch.py").touch()  # to import the real one takes seconds
    code, err, _ = start("--version", code=f"import torch; {NO_TORCH}", env={"PYTHONPATH": str(tmp_path)})
    assert code == 1 and "torch was imported" in err


def test_waiting_threads_do_not_starve_other_runs_unless_the_user_decides(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    for own in ({}, {"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "7"}):
        expected = None if "OMP_WAIT_POLICY" in own else own.get("GOMP_SPINCOUNT", "2000")
        code, err, _ = start("--version", code=f"import os; assert os.environ.get('GOMP_SPINCOUNT') == {expected!r}", env=own)
        assert code == 0, err


def test_a_batch_that_is_done_does_not_load_torch(tmp_path):
    paint(tmp_path / "in/a.png", 1)
    assert slow(tmp_path, "sample", "in", "-n", "1", "-o", "out", seconds=0).wait() == 0
    code, err, _ = start("sample", str(tmp_path / "in"), "-n", "1", "-o", str(tmp_path / "out"), code=NO_TORCH)
    assert code == 0, err


@pytest.mark.parametrize(("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "interrupted")])
def test_a_signal_ends_the_run_in_one_line_and_keeps_what_is_finished(tmp_path, number, code, word):
    for i in range(5):
        paint(tmp_path / f"in/{i}.png", i)
    run = slow(tmp_path, "sample", "in", "-n", "1", "-o", "out", "--quiet", seconds=0.3)
    assert run.stdout.readline() == b"out/0.png\n"
    run.send_signal(number)
    _, err = run.communicate(timeout=20)
    assert run.returncode == code
    assert err.startswith(f"structkit: {word}: 1 written".encode()) and err.count(b"\n") == 1
    assert list(contents(tmp_path / "out")) == [".structkit-manifest.jsonl", "0.png"]


def test_a_closed_pipe_ends_it_quietly(tmp_path):
    for i in range(5):
        paint(tmp_path / f"in/{i}.png", i)
    run = slow(tmp_path, "sample", "in", "-n", "1", "-o", "out", "--quiet", seconds=0.05)
    run.stdout.readline()
    run.stdout.close()
    assert run.wait(timeout=20) == 141
    assert run.stderr.read() == b""
    paint(tmp_path / "big.png", 1, side=400)
    run = slow(tmp_path, "sample", "big.png", "-n", "1", "-o", "-", "--quiet", seconds=0.3)
    run.stdout.close()
    assert (run.wait(timeout=20), run.stderr.read()) == (141, b"")


def test_help_into_a_closed_pipe_is_quiet():
    ran = subprocess.run(f"{' '.join(CLI)} analogy --help | head -1", shell=True, capture_output=True)
    assert ran.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_stdout(tmp_path):
    paint(tmp_path / "a.png", 1)
    for target in ("-", "out/"):
        command = [sys.executable, SLOW_ENGINE, "0", "sample", "a.png", "-n", "1", "-o", target]
        with open("/dev/full", "wb") as full:
            ran = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE)
        assert ran.returncode == 3
        assert b"structkit: error: standard output: No space left on device" in ran.stderr
        assert b"Traceback" not in ran.stderr and b"Exception" not in ran.stderr


def test_closed_streams_are_no_error(tmp_path):
    paint(tmp_path / "a.png", 1)
    command = f"{sys.executable} {SLOW_ENGINE} 0 sample a.png -n 1 >&- 2>&- <&-"
    assert subprocess.run(command, shell=True, cwd=tmp_path).returncode == 0
    assert (tmp_path / "a-sample.png").exists()


def on_a_terminal(folder, env: dict, *arguments: str, both: bool = False) -> str:
    """stderr of a run that has a terminal for it, or both streams of one that has a terminal for both."""
    master, slave = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, str(SLOW_ENGINE), "0.15", *arguments],
        cwd=folder,
        stdout=slave if both else subprocess.PIPE,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", **env},
    )
    os.close(slave)
    text = b""
    with contextlib.suppress(OSError):  # the terminal is gone when the run is
        while piece := os.read(master, 4096):
            text += piece
    run.wait()
    os.close(master)
    return text.decode()


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(tmp_path):
    for i in range(3):
        paint(tmp_path / f"in/{i}.png", i)
    command = ("sample", "in", "-n", "1", "-o", "out", "--exists", "overwrite")
    bar = on_a_terminal(tmp_path, {}, *command)
    assert "━" in bar and "/3" in bar and ("/s" in bar or "s each" in bar) and "0:00:0" in bar and "level 1" in bar
    assert re.search(r"\x1b\[[0-9;]*3[0-9]", bar)  # colours
    assert "3 written" in bar
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", on_a_terminal(tmp_path, {"NO_COLOR": "1"}, *command))
    dumb = on_a_terminal(tmp_path, {"TERM": "dumb"}, *command)
    assert "\x1b" not in dumb and "structkit: [2/3] out/1.png 0." in dumb
    assert on_a_terminal(tmp_path, {}, *command, "--quiet") == ""
    plain = slow(tmp_path, *command).communicate()[1].decode().splitlines()
    assert [line.rsplit(" ", 2)[0] for line in plain[:3]] == [f"structkit: [{i + 1}/3] out/{i}.png" for i in range(3)]
    assert len(plain) == 4 and plain[3].startswith("structkit: 3 written, on cpu, ")


def test_paths_and_the_bar_do_not_mix_on_one_terminal(tmp_path):
    paint(tmp_path / "in/a.png", 1)
    (tmp_path / "in/b.png").write_bytes(b"no picture")
    text = on_a_terminal(tmp_path, {}, "sample", "in", "-n", "1", "-o", "out", both=True)
    bare = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "\rout/a.png\r\n" in bare
    assert re.search(r"\rstructkit: error: in/b.png: .{90,}\r\n", bare)  # not broken at the width of the terminal
