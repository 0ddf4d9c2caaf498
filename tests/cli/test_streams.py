"""Streams that are closed, full or endless, and a working directory that is gone: one line, and an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO

import pytest

from structkit.errors import InputError
from structkit.media import files
from structkit_cli.run.inputs import sent

from .conftest import paint
from .test_resume import SLOW_ENGINE

CLI = [sys.executable, "-m", "structkit_cli"]
FAKE = [sys.executable, str(SLOW_ENGINE), "0", "99"]
CLOSED = b"structkit: error: standard output is closed: send it to a file, a pipe or /dev/null\n"
FULL = b"structkit: error: standard output: No space left on device\n"


def shell(command: str, folder, *, program: list[str] = CLI) -> subprocess.CompletedProcess:
    """A command of a shell, in which `structkit` is the program."""
    return subprocess.run(command.replace("structkit", " ".join(program), 1), shell=True, cwd=folder,
                          capture_output=True)  # fmt: skip


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("--help > /dev/full", FULL),
        ("--version >&-", CLOSED),
        ("analogy --print-config > /dev/full", FULL),
        ("info glasses > /dev/full", FULL),
        ("info glasses >&-", CLOSED),
        ("score iou a.png a.png >&-", CLOSED),
        ("train transfer --with a --without b -o c.safetensors --json >&-", CLOSED),
    ],
)
def test_what_cannot_be_printed_is_an_error_of_the_environment(tmp_path, command, said):
    ran = shell(f"structkit {command}", tmp_path)
    assert (ran.returncode, ran.stderr) == (3, said)


def test_a_pipe_that_is_closed_while_help_is_printed_ends_it_quietly(tmp_path):
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run([*CLI, "--help"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.parametrize("options", ["-o - -q", "-o out.png --json"])
def test_a_closed_stdout_is_refused_before_any_work_for_it(tmp_path, options):
    paint(tmp_path / "a.png", 1)
    ran = shell(f"structkit sample a.png -n 1 {options} >&-", tmp_path, program=FAKE)
    assert (ran.returncode, ran.stderr) == (3, CLOSED)
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_closed_stdout_is_no_error_to_what_is_written_to_a_file(tmp_path):
    paint(tmp_path / "a.png", 1)
    ran = shell("structkit sample a.png -n 1 -o out.png -q >&-", tmp_path, program=FAKE)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert sorted(os.listdir(tmp_path)) == ["a.png", "out.png"]


def test_a_closed_stdin_and_stderr_are_no_error_to_whom_does_not_need_them(tmp_path):
    paint(tmp_path / "a.png", 1)
    ran = shell("structkit sample a.png -n 1 2>&- <&-", tmp_path, program=FAKE)
    assert (ran.returncode, ran.stdout) == (0, b"a-sample.png\n")
    assert shell("structkit 2>/dev/full", tmp_path).returncode == 2  # no verb: the help goes to stderr
    assert shell("structkit info nowhere 2>&-", tmp_path).returncode == 3
    ran = shell("structkit sample - -n 1 <&-", tmp_path, program=FAKE)
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert ran.stderr == b"structkit: error: standard input is closed: send it a file or a pipe\n"


def test_a_working_directory_that_is_gone_is_one_line_and_loads_nothing_heavy(tmp_path):
    code = """if True:
        import os, sys
        from structkit_cli.__main__ import main
        os.rmdir(os.getcwd())
        for command in ("info glasses", "sample a.png", "train transfer --with a --without b -o c.safetensors"):
            assert main(command.split()) == 3
        assert not {"torch", "numpy"} & sys.modules.keys()
    """
    ran = subprocess.run([sys.executable, "-c", code], cwd=(tmp_path / "gone").mkdir() or tmp_path / "gone",
                         capture_output=True)  # fmt: skip
    said = b"structkit: error: the working directory is gone (deleted or moved): change to another one\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", 3 * said)


def test_a_stream_that_memory_does_not_hold_is_an_error_of_the_environment(run, pair, monkeypatch):
    def sent(stream, label: str) -> bytes:
        raise MemoryError

    monkeypatch.setattr("structkit_cli.run.inputs.sent", sent)
    ran = run("sample", "/dev/null", "-n", "1", "-o", "out.png")
    said = "structkit: error: /dev/null: /dev/null: memory ran out while it was read; free some, or save it as a file"
    assert ran.code == 3 and ran.err.startswith(said) and ran.err.count("\n") == 1


def test_a_device_without_end_is_no_picture(run, pair, tmp_path):
    ran = run("sample", "/dev/zero", "-n", "1", "-o", "out.png")
    assert ran.code == 1 and ran.err.startswith("structkit: error: /dev/zero: not a picture of a known format")


class Endless(BytesIO):
    """A stream that begins like a PNG and has no end.  taken: the bytes that were read."""

    taken = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0
        data = super().read(size)
        self.taken += size
        return data + bytes(size - len(data))


def test_a_stream_without_end_is_refused_at_the_limit_of_a_picture(monkeypatch):
    monkeypatch.setattr(files, "MOST_IN_MEMORY", 2**21)
    stream = Endless(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match=r"^pipe: over 2 MiB, the limit for what can be read only once; save it"):
        sent(stream, "pipe")
    assert stream.taken < 2**22
    stream = Endless(b"no picture")
    assert len(sent(stream, "pipe")) == stream.taken == 1024


def test_what_is_read_once_is_all_of_a_picture(tmp_path):
    data = paint(tmp_path / "a.png", 1, side=64).read_bytes()
    assert len(data) > 1024 and sent(BytesIO(data), "pipe") == data
