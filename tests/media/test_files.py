"""Atomic writing and hashes."""

import errno
import hashlib
import os
import stat
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import pytest

from structkit.errors import InputError, OutputError
from structkit.media import files
from structkit.media.files import (
    LEFT_AFTER,
    PIECE,
    TEMP_PREFIX,
    PendingFile,
    atomic_path,
    one_line,
    open_source,
    remove_leftovers,
    sha256_file,
    write_atomically,
)

as_root = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may do everything")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_what_is_written_is_what_is_read(tmp_path):
    for data in (b"", b"one", bytes(100_000)):
        write_atomically(tmp_path / "a.bin", data)
        assert (tmp_path / "a.bin").read_bytes() == data
    assert names(tmp_path) == ["a.bin"]


def test_the_order_is_write_sync_rename_sync_folder(tmp_path, monkeypatch):
    steps = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor):
        steps.append(
            "sync folder"
            if stat.S_ISDIR(os.fstat(descriptor).st_mode)
            else f"sync {os.fstat(descriptor).st_size} bytes"
        )
        real_fsync(descriptor)

    def replace(old, new):
        steps.append("rename")
        assert Path(old).parent == Path(new).parent and Path(old).name.startswith(TEMP_PREFIX)
        real_replace(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_atomically(tmp_path / "a", b"12345")
    assert steps == ["sync 5 bytes", "rename", "sync folder"]


@pytest.mark.parametrize("step", ["open", "write_bytes", "fsync", "replace"])
@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left"), OSError(errno.EIO, "I/O error"), KeyboardInterrupt()]
)
def test_a_failure_at_any_step_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step, failure):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail(*_, **__):
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(Path if step == "write_bytes" else os, step, fail)
        with pytest.raises(KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else OutputError) as caught:
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a.png"]
    if getattr(failure, "errno", None) == errno.ENOSPC:
        assert str(caught.value) == f"{path}: the disk is full; free some space"


def test_a_failure_to_sync_the_folder_is_told_and_the_new_file_is_whole(tmp_path, monkeypatch):
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "I/O error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutputError, match="cannot be written"):
        write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and names(tmp_path) == ["a"]


def test_a_full_disk(tmp_path, monkeypatch):
    real = Path.write_bytes

    def half(path, data):
        real(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OutputError, match="the disk is full"):
        write_atomically(tmp_path / "a", b"123456")
    assert names(tmp_path) == []


def test_an_error_of_the_writer_itself_passes_and_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "a.mp4") as temp:
        temp.write_bytes(b"half")
        assert temp.suffix == ".mp4" and temp.name.startswith(TEMP_PREFIX)
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_a_missing_folder(tmp_path):
    with pytest.raises(OutputError) as caught:
        write_atomically(tmp_path / "none" / "a.png", b"")
    assert str(caught.value) == f"{tmp_path}/none/a.png: no such folder {tmp_path}/none; create it first"


def test_what_is_not_a_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(OutputError, match="not a regular file; choose another name"):
            write_atomically(path, b"x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_impossible_names(tmp_path, name):
    with pytest.raises(OutputError, match="cannot be written"):
        write_atomically(tmp_path / name, b"x")
    assert names(tmp_path) == []


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real" / "a")
    write_atomically(link, b"new")
    assert link.is_symlink() and (tmp_path / "real" / "a").read_bytes() == b"new" and names(tmp_path / "real") == ["a"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_mode_follows_the_umask(tmp_path, mask):
    old = os.umask(mask)
    try:
        write_atomically(tmp_path / "a", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


@as_root
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="no permission to write"):
        write_atomically(tmp_path / "a", b"x")
    tmp_path.chmod(0o700)


def test_permission_errors_have_their_own_message(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match=f"no permission to write in {tmp_path}; choose another folder"):
        write_atomically(tmp_path / "a", b"x")
    monkeypatch.setattr("builtins.open", refuse)
    with (
        pytest.raises(InputError, match=r"^a\.png: no permission to read; change its mode or owner"),
        open_source("a.png"),
    ):
        pass


class Steps:
    """A process that writes two files in a folder: it begins them, and goes a step on with each line of its input."""

    def __init__(self, folder: Path, writing: str) -> None:
        code = f"""
import sys
from pathlib import Path
from structkit.media.files import PendingFile, atomic_path
folder = Path({str(folder)!r})
{writing}
"""
        self.process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.wait()

    def wait(self) -> None:
        assert self.process.stdout.readline()

    def go_on(self) -> None:
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def die(self) -> None:
        self.process.kill()
        self.process.communicate()


ATOMIC = """
with atomic_path(folder / "a.mp4") as a, atomic_path(folder / "b") as b:
    a.write_bytes(b"1")
    print(flush=True), input()
"""
PENDING = """
files = [PendingFile(folder / name, b"1") for name in ("a.mp4", "b")]
print(flush=True), input()
for file in files:
    file.take_name()
"""
REPLACED = """
file, other = PendingFile(folder / "a.mp4", b""), PendingFile(folder / "b", b"1")
with atomic_path(file.hidden) as inner:
    inner.write_bytes(b"1")
print(flush=True), input()
file.take_name(), other.take_name()
"""


@pytest.mark.parametrize("writing", [ATOMIC, PENDING, REPLACED], ids=["atomic", "pending", "replaced"])
def test_what_a_living_process_writes_is_no_leftover_and_what_a_dead_one_wrote_is(tmp_path, writing):
    dead = Steps(tmp_path, writing)
    dead.die()
    assert len(names(tmp_path)) == 3  # two files and the mark
    living = Steps(tmp_path, writing)
    assert remove_leftovers(tmp_path) == 2
    assert len(names(tmp_path)) == 3 and remove_leftovers(tmp_path) == 0
    living.go_on()
    assert living.process.wait() == 0
    assert names(tmp_path) == ["a.mp4", "b"] and (tmp_path / "a.mp4").read_bytes() == b"1"


def test_what_this_process_writes_is_no_leftover(tmp_path):
    first, second = (PendingFile(tmp_path / name, b"x") for name in "ab")
    assert remove_leftovers(tmp_path) == 0
    first.take_name()
    assert remove_leftovers(tmp_path) == 0
    second.discard(), second.discard()
    assert names(tmp_path) == ["a"]
    with atomic_path(tmp_path / "c") as temp:
        temp.touch()
        assert remove_leftovers(tmp_path) == 0
    assert names(tmp_path) == ["a", "c"]


def test_a_child_writes_under_a_mark_of_its_own(tmp_path):
    """The parent's mark goes while the child still writes; the child's death takes nothing from the parent."""
    parent, (reader, writer) = PendingFile(tmp_path / "parent", b"1"), os.pipe()
    if (child := os.fork()) == 0:
        os.close(writer)
        with atomic_path(tmp_path / "child") as temp:
            temp.write_bytes(b"2")
            Path(tmp_path / "begun").touch()
            os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    while not (tmp_path / "begun").exists():
        pass
    assert remove_leftovers(tmp_path) == 0
    parent.take_name()
    assert remove_leftovers(tmp_path) == 0
    os.close(writer)
    assert os.waitpid(child, 0)[1] == 0 and names(tmp_path) == ["begun", "child", "parent"]


def test_thousands_of_files_in_a_folder_need_one_descriptor(tmp_path):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else pytest.skip("needs /proc")
    files = [PendingFile(tmp_path / str(i), b"") for i in range(100)]
    assert len(os.listdir("/proc/self/fd")) == before + 1
    for file in files:
        file.discard()
    assert len(os.listdir("/proc/self/fd")) == before and names(tmp_path) == []


def test_where_nobody_can_tell_who_lives_what_is_old_is_a_leftover(tmp_path, monkeypatch):
    monkeypatch.setattr("structkit.media.files.locks_hold", lambda folder: False)
    old, young, mark = (tmp_path / f"{TEMP_PREFIX}{end}" for end in ("0" * 16, "1" * 16, f"{'2' * 8}.writer"))
    for path in (old, young, mark):
        path.touch()
    os.utime(old, (time.time() - 2 * LEFT_AFTER,) * 2), os.utime(mark, (0, 0))
    assert remove_leftovers(tmp_path) == 1 and names(tmp_path) == [young.name, mark.name]


def test_only_what_a_killed_run_left_is_removed(tmp_path):
    """A run ends in the midst of a write, and only its hidden file goes: neither the manifest nor what merely looks
    alike.
    """
    kept = [
        ".structkit-manifest.jsonl",
        ".structkit-0123",
        f"{TEMP_PREFIX}{'g' * 16}",
        f"{TEMP_PREFIX}{'0' * 17}",
        f"a{TEMP_PREFIX}{'0' * 16}",
        "a.png",
    ]
    for name in kept:
        (tmp_path / name).touch()
    (tmp_path / f"{TEMP_PREFIX}{'1' * 16}").mkdir()
    for path in ("a.png", "b", "c." + "x" * 40, "d.\n", "e.tar.gz"):
        if (child := os.fork()) == 0:
            with atomic_path(tmp_path / path):
                os._exit(9)
        os.waitpid(child, 0)
    assert len(names(tmp_path)) == len(kept) + 1 + 5 + 5  # and the marks of their writers
    assert remove_leftovers(tmp_path) == 5
    assert names(tmp_path) == sorted([*kept, f"{TEMP_PREFIX}{'1' * 16}"])
    assert remove_leftovers(tmp_path / "nowhere") == 0


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()
    with pytest.raises(InputError, match="no such file"):
        sha256_file(tmp_path / "b")


def test_sources_and_their_names(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    stream = BytesIO(b"x")
    cases = [
        (tmp_path / "a", None, str(tmp_path / "a")),
        (str(tmp_path / "a"), "b", "b"),
        (b"x", None, "<bytes>"),
        (stream, None, "<stream>"),
    ]
    for source, name, expected in cases:
        with open_source(source, name) as (label, opened):
            assert label == expected and opened.read() == b"x"
    assert not stream.closed


@pytest.mark.parametrize(
    ("source", "text"),
    [("", "no such file"), ("a\0b", "cannot be read"), ("/", "a folder, not a file; name the files in it")],
)
def test_sources_that_cannot_be_opened(source, text):
    with pytest.raises(InputError, match=text), open_source(source):
        pass


def test_one_line():
    assert one_line(" a\n\tb\x00\x1bc ") == "a b c"
    assert one_line("x" * 500) == "x" * 117 + "..."


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1])
def test_a_hash_is_that_of_the_bytes_whatever_size_somebody_saw(tmp_path, size):
    path, data = tmp_path / "a", b"x" * size
    path.write_bytes(data)
    for seen in (None, 0, 1, size, size + 1, 2 * PIECE):
        assert sha256_file(path, seen) == hashlib.sha256(data).hexdigest()


def test_no_torch_and_no_av():
    """Reading and writing 8-bit pictures imports neither of them; the second half proves that the test can fail."""
    import subprocess
    import sys

    code = (
        "import sys, structkit.media.pictures as p, io; p.encode_picture(p.Picture(__import__('numpy').zeros((2, "
        "2, 3), 'uint8')), 'png')"
    )
    check = "; sys.exit(any(m in sys.modules for m in ('torch', 'av')))"
    assert subprocess.run([sys.executable, "-c", code + check]).returncode == 0
    assert subprocess.run([sys.executable, "-c", code + "; import av" + check]).returncode == 1
    assert files.TEMP_PREFIX.startswith(".")
