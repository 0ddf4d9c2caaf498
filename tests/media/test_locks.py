"""The laws of locks: one holder at a time, whatever becomes of their files, and death gives them back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from errno import ENOSYS
from pathlib import Path

import filelock
import pytest

from structkit.media import locks
from structkit.media.locks import GATE, FolderLock, WriterMarks, held, is_writing, writers


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def dying(folder: Path, block: str) -> subprocess.CompletedProcess[str]:
    """A process that enters a block, tells what it yields, and is killed in it."""
    code = f"""
import os, signal
from pathlib import Path
from structkit.media.locks import FolderLock, held
folder = Path({str(folder)!r})
with {block} as yielded:
    print(yielded, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)


@pytest.fixture
def without_locks(monkeypatch):
    """A file system that has none."""

    def refuse(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(ENOSYS, "Function not implemented")

    monkeypatch.setattr(filelock, "lock_descriptor", refuse)


def test_a_lock_has_one_holder_and_leaves_nothing(tmp_path):
    for _ in range(2):
        with held(tmp_path / "lock") as ours, held(tmp_path / "lock") as theirs:
            assert (ours, theirs) == (True, False)
        assert left(tmp_path) == []


def test_a_lock_is_given_back_by_death(tmp_path):
    died = dying(tmp_path, "held(folder / 'lock')")
    assert (died.stdout, died.returncode) == ("True\n", -signal.SIGKILL) and left(tmp_path) == ["lock"]
    with held(tmp_path / "lock") as ours:
        assert ours
    assert left(tmp_path) == []


def test_a_lock_on_a_file_that_was_removed_meanwhile_does_not_count(tmp_path, monkeypatch):
    """The moment between opening and locking, in which its last holder removes the file and another one makes it."""
    path, lock = tmp_path / "lock", filelock.lock_descriptor

    def late(descriptor: int, *, blocking: bool) -> bool:
        monkeypatch.undo()
        path.unlink()
        path.touch()
        return lock(descriptor, blocking=blocking)

    monkeypatch.setattr(filelock, "lock_descriptor", late)
    with held(path) as ours, held(path) as theirs:
        assert (ours, theirs) == (True, False)
    monkeypatch.setattr(filelock, "lock_descriptor", late)
    with held(path) as ours:
        assert ours and path.exists()


def test_a_lock_that_is_waited_for_comes_with_its_end(tmp_path):
    order, begun = [], threading.Event()

    def wait():
        begun.set()
        with held(tmp_path / "lock", blocking=True) as ours:
            order.append(("theirs", ours))

    other = threading.Thread(target=wait)
    with held(tmp_path / "lock"):
        other.start()
        begun.wait()
        order.append(("ours", True))
    other.join()
    assert order == [("ours", True), ("theirs", True)] and left(tmp_path) == []


def test_in_a_folder_that_cannot_be_written_in_all_get_it(tmp_path):
    with held(tmp_path / "none/lock") as one, held(tmp_path / "none/lock", blocking=True) as other:
        assert one and other


def test_on_a_file_system_without_locks_all_get_it_and_none_is_alone(tmp_path, without_locks):
    with held(tmp_path / "lock") as one, held(tmp_path / "lock", blocking=True) as other:
        assert one and other
    run = FolderLock(tmp_path)
    with run.entering() as alone:
        assert not alone
    with run.leaving() as alone:
        assert not alone


def test_a_file_that_may_only_be_read_is_locked_too(tmp_path, monkeypatch):
    """Another user's, for one."""
    opened = os.open

    def refuse(path, flags, *mode):
        if flags & os.O_RDWR:
            raise PermissionError
        return opened(path, flags, *mode)

    with held(tmp_path / "lock"):
        monkeypatch.setattr(os, "open", refuse)
        with held(tmp_path / "lock") as theirs:
            assert not theirs


def test_runs_share_a_folder_and_only_a_lone_one_is_alone(tmp_path):
    first, second, third = (FolderLock(tmp_path) for _ in range(3))
    with first.entering() as alone:
        assert alone
    with second.entering() as alone:
        assert not alone
    with first.leaving() as alone:
        assert not alone
    with third.entering() as alone:
        assert not alone
    with third.leaving() as alone:
        assert not alone
    with second.leaving() as alone:
        assert alone
    assert left(tmp_path) == []


def test_a_dead_run_has_no_part_in_a_folder(tmp_path):
    died = dying(tmp_path, "FolderLock(folder).entering()")
    assert (died.stdout, len(left(tmp_path))) == ("True\n", 2)  # its mark and the gate
    run = FolderLock(tmp_path)
    with run.entering() as alone:
        assert alone and len(left(tmp_path)) == 2
    with run.leaving() as alone:
        assert alone
    assert left(tmp_path) == []


def test_a_run_whose_mark_cannot_be_opened_counts_as_living(tmp_path, monkeypatch):
    opened, mark = os.open, tmp_path / locks.MARK.format("another")

    def refuse(path, flags, *mode):
        if Path(path) == mark:
            raise PermissionError
        return opened(path, flags, *mode)

    mark.touch()
    monkeypatch.setattr(os, "open", refuse)
    run = FolderLock(tmp_path)
    with run.entering() as alone:
        assert not alone and mark.exists()
    with run.leaving() as alone:
        assert not alone and mark.exists()


def test_nobody_enters_while_another_comes_or_goes(tmp_path):
    first, second, entered = FolderLock(tmp_path), FolderLock(tmp_path), []

    def enter():
        with second.entering() as alone:
            entered.append(alone)

    with first.entering():
        pass
    other = threading.Thread(target=enter)
    with first.leaving():
        with held(tmp_path / GATE) as ours:
            assert not ours
        other.start()
        assert entered == []
    other.join()
    assert entered == [True]


def test_who_fails_to_enter_is_not_there(tmp_path):
    with pytest.raises(OSError, match="no luck"), FolderLock(tmp_path).entering():
        raise OSError("no luck")
    assert left(tmp_path) == []


def test_a_writer_has_a_mark_in_a_folder_while_it_has_files_there(tmp_path):
    writer, other = WriterMarks(), tmp_path / "other"
    other.mkdir()
    for folder in (tmp_path, tmp_path, other):
        writer.enter(folder)
        assert writers(folder) == [writer.name] and is_writing(folder, writer.name)
    writer.leave(tmp_path), writer.leave(other)
    assert not is_writing(other, writer.name) and is_writing(tmp_path, writer.name)
    writer.leave(tmp_path)
    assert not is_writing(tmp_path, writer.name) and left(tmp_path) == ["other"] and left(other) == []


def test_a_writer_is_found_dead_and_its_mark_goes(tmp_path):
    (tmp_path / locks.WRITER.format("01234567")).touch()
    assert writers(tmp_path) == ["01234567"]
    assert not is_writing(tmp_path, "01234567") and left(tmp_path) == []


def test_on_a_file_system_without_locks_a_writer_lives_as_long_as_its_mark(tmp_path, without_locks):
    writer = WriterMarks()
    writer.enter(tmp_path)
    assert is_writing(tmp_path, writer.name)
    writer.leave(tmp_path)
    assert not is_writing(tmp_path, writer.name) and left(tmp_path) == []
