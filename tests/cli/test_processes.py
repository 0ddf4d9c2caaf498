"""What only a process of its own can show: signals, pipes, start-up, terminals."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys

import pytest

from ..content_models import install
from .conftest import paint
from .conftest import real_engine as engine  # noqa: F401
from .content import save_models
from .test_resume import SLOW_ENGINE, contents, slow

CLI = [sys.executable, "-m", "structkit_cli"]


def start(*arguments: str, code: str = "", env: dict | None = None) -> tuple[int, str]:
    """Run a command; returns its exit code and stderr.  code: Python to run in its process afterwards."""
    script = (
        f"import sys; from structkit_cli.__main__ import main; code = main({list(arguments)!r}); {code}\nsys.exit(code)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ, **(env or {})}
    )
    return ran.returncode, ran.stderr


# What costs more to import than a command that only speaks may take; tests/benchmarks/bench_start.py measures what it
# does take.
HEAVY = ("torch", "torchvision", "triton", "numpy", "PIL", "av", "safetensors")
LIGHT = f"loaded = [name for name in {HEAVY} if name in sys.modules]; assert not loaded, loaded"

USAGE_ERRORS = [
    ["nonsense"],
    ["analogy"],
    ["analogy", "a.png", "b.png", "--strength", "9"],
    ["analogy", "a.png", "b.png", "--size", "big"],
    ["analogy", ".", "b.png"],
    ["train", "transfer", "--with", "a"],
]
SPEAKING = [["--version"], ["--help"], ["analogy", "--help"], ["analogy", "--print-config"], ["info", "glasses"]]
REFUSED = {  # before anything is computed, with its exit code
    "remove a.png --model glasses --format png -o a.jpg": 2,
    "transfer a.png --from a.png --model nowhere.safetensors": 3,
    "score iou nowhere there": 1,
    "score independence nowhere there --model glasses": 1,
    "score corruptions . --model glasses": 3,
    "score texture nowhere --model nowhere.safetensors": 3,
    "score corruptions . --model glasses --kind rain": 2,
    "segment nothing-*.png --model glasses -o out/": 4,
}


@pytest.mark.parametrize("arguments", [*SPEAKING, *USAGE_ERRORS], ids=" ".join)
def test_what_only_speaks_imports_nothing_heavy(arguments):
    code, err = start(*arguments, code=LIGHT)
    assert code == (2 if arguments in USAGE_ERRORS else 0), err


def test_what_is_refused_by_names_and_headers_imports_nothing_heavy():
    """All in one process, each command by itself."""
    script = f"import sys; from structkit_cli.__main__ import main\nfor words, code in {REFUSED!r}.items():\n"
    script += f"    found = main(words.split()); assert found == code, (words, found)\n    {LIGHT}"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


NEED_TORCH = (
    "segment a.png --model glasses -o b.png",
    "score iou a.png a.png",
    "score independence . . --model glasses",
    "train transfer --with a.png --without a.png -o c.safetensors",
    "analogy a.png a.png -o b.png",
)


def test_torch_that_cannot_be_loaded_is_an_error_of_the_environment(tmp_path):
    """All commands in one process."""
    paint(tmp_path / "a.png", 1, side=24)
    (tmp_path / "torch.py").write_text("import builtins\nraise next(builtins.errors)")
    errors = "ImportError('no room'), OSError('no room'), MemoryError('no room'), MemoryError(), ImportError('a\\nb')"
    script = f"import builtins; from structkit_cli.__main__ import main; builtins.errors = iter([{errors}])\n"
    script += f"for words in {NEED_TORCH!r}: assert main(words.split()) == 3"
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    way_out = "give the process more memory (ulimit -v), or install PyTorch anew"
    facts = ("no room", "no room", "no room", "memory ran out", "a")
    said = [f"structkit: error: PyTorch cannot be loaded ({fact}): {way_out}\n" for fact in facts]
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "".join(said))
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"a.png", "torch.py"}


@pytest.mark.parametrize("name", HEAVY)
def test_that_check_can_fail(tmp_path, name):
    (tmp_path / f"{name}.py").touch()  # to import the real one takes seconds
    code, err = start("--version", code=f"import {name}; {LIGHT}", env={"PYTHONPATH": str(tmp_path)})
    assert code == 1 and f"AssertionError: ['{name}']" in err


def test_waiting_threads_do_not_starve_other_runs_unless_the_user_decides(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    for own in ({}, {"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "7"}):
        expected = None if "OMP_WAIT_POLICY" in own else own.get("GOMP_SPINCOUNT", "2000")
        code, err = start(
            "--version", code=f"import os; assert os.environ.get('GOMP_SPINCOUNT') == {expected!r}", env=own
        )
        assert code == 0, err


def test_a_batch_that_is_done_imports_nothing_heavy(tmp_path):
    paint(tmp_path / "in/a.png", 1)
    assert slow(tmp_path, "sample", "in", "-n", "1", "-o", "out").wait() == 0
    code, err = start("sample", str(tmp_path / "in"), "-n", "1", "-o", str(tmp_path / "out"), code=LIGHT)
    assert code == 0, err


def test_a_batch_by_a_model_that_is_done_imports_nothing_heavy(run, tmp_path, monkeypatch):
    paint(tmp_path / "in/a.png", 1, side=24)
    save_models(tmp_path)
    install(monkeypatch)
    command = ["remove", "in", "--model", "m.safetensors", "-o", "out"]
    assert run(*command).code == 0
    code, err = start(*command, code=LIGHT)  # in the same folder
    assert code == 0, err


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "interrupted")]
)
def test_a_signal_ends_the_run_in_one_line_and_keeps_what_is_finished(tmp_path, number, code, word):
    for i in range(5):
        paint(tmp_path / f"in/{i}.png", i)
    run = slow(tmp_path, "sample", "in", "-n", "1", "-o", "out", "--quiet", pictures=1)
    assert run.stdout.readline() == b"out/0.png\n"
    run.send_signal(number)
    _, err = run.communicate()
    assert run.returncode == code
    assert err.startswith(f"structkit: {word}: 1 written".encode()) and err.count(b"\n") == 1
    assert list(contents(tmp_path / "out")) == [".structkit-manifest.jsonl", "0.png"]


def test_a_closed_pipe_ends_it_quietly(tmp_path):
    for i in range(5):
        paint(tmp_path / f"in/{i}.png", i)
    run = slow(tmp_path, "sample", "in", "-n", "1", "-o", "out", "--quiet", pictures=1)
    run.stdout.readline()
    run.stdout.close()
    (tmp_path / "go").touch()
    assert (run.wait(), run.stderr.read()) == (141, b"")
    paint(tmp_path / "big.png", 1, side=400)
    run = slow(tmp_path, "sample", "big.png", "-n", "1", "-o", "-", "--quiet")
    run.stdout.close()  # more than the pipe holds
    assert (run.wait(), run.stderr.read()) == (141, b"")


def test_help_into_a_closed_pipe_is_quiet():
    ran = subprocess.run(f"{' '.join(CLI)} analogy --help | head -1", shell=True, capture_output=True)
    assert ran.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_stdout(tmp_path):
    paint(tmp_path / "a.png", 1)
    for target in ("-", "out/"):
        command = [sys.executable, SLOW_ENGINE, "0", "99", "sample", "a.png", "-n", "1", "-o", target]
        with open("/dev/full", "wb") as full:
            ran = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE)
        assert ran.returncode == 3
        assert b"structkit: error: standard output: No space left on device" in ran.stderr
        assert b"Traceback" not in ran.stderr and b"Exception" not in ran.stderr


def on_a_terminal(folder, env: dict, *arguments: str, both: bool = False) -> str:
    """stderr of a run that has a terminal for it, or both streams of one that has a terminal for both."""
    master, slave = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, str(SLOW_ENGINE), "0.15", "99", *arguments],
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
    assert (
        "━" in bar
        and "/3" in bar
        and ("/s" in bar or "s each" in bar)
        and re.search(r"\d:\d\d:\d\d", bar)
        and "level 1" in bar
    )
    assert re.search(r"\x1b\[[0-9;]*3[0-9]", bar)  # colours
    assert "3 written" in bar
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", on_a_terminal(tmp_path, {"NO_COLOR": "1"}, *command))
    dumb = on_a_terminal(tmp_path, {"TERM": "dumb"}, *command)
    assert "\x1b" not in dumb and re.search(r"structkit: \[2/3\] out/1\.png \d+\.\d", dumb)
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
