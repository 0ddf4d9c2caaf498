"""Painting ahead: how many pictures go into one job, and how soon it ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path, PurePath
from threading import Event

import numpy as np
import pytest

from structkit.media.formats import FORMATS
from structkit.media.pictures import Picture, write_picture
from structkit_cli.options import RunOptions
from structkit_cli.run import ahead
from structkit_cli.run.ahead import PaintQueue
from structkit_cli.run.inputs import InputFile
from structkit_cli.run.plan import Output, Task

OUTPUT = Output(None, Path(), "png", seed=0)


class Black(InputFile):
    def picture(self, **reading) -> Picture:
        return Picture(np.zeros((4, 4, 3), np.uint8))


def task(path: Path, count: int = 1) -> Task:
    return Task({"picture": InputFile(path, PurePath(path.name))}, (OUTPUT,) * count)


def jobs(tasks: list[Task]) -> list[int]:
    """How many tasks are painted together, job after job."""
    painter, sizes = PaintQueue(lambda tasks, pictures, device: [], RunOptions()), []
    for one in tasks:
        painter.expect(one, one.outputs)
    while painter._expected:
        sizes.append(len(painter._next()))
    return sizes


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_a_job_is_as_large_as_its_pictures_and_results_however_small_their_files(tmp_path, monkeypatch, format):
    path = tmp_path / f"flat{format.suffixes[0]}"
    write_picture(Picture(np.zeros((50, 40, 3), np.uint8)), path)
    monkeypatch.setattr(ahead, "MOST_PIXELS", 3 * 2000)
    assert jobs([task(path)] * 7) == [3, 3, 1]
    assert jobs([task(path, count=2)] * 3) == [1, 1, 1]
    assert jobs([task(path), task(path, count=9), task(path)]) == [1, 1, 1]


def test_small_pictures_go_together_and_what_cannot_be_read_has_no_size(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    os.mkfifo(tmp_path / "pipe.png")
    assert jobs([task(tmp_path / name) for name in ("bad.png", "none.png", "pipe.png")] * 11) == [32, 1]


def test_a_run_that_is_stopped_paints_no_other_picture():
    painted, main_has_stopped = [], Event()

    def paint(tasks, pictures, device):
        for picture in pictures:
            painted.append(picture)
            if len(painted) == 3:
                os.kill(os.getpid(), signal.SIGINT)
                main_has_stopped.wait(10)
        return [[picture] for picture in pictures]

    painter = PaintQueue(paint, RunOptions())
    with pytest.raises(KeyboardInterrupt), painter:
        for _ in range(32):
            painter.expect(Task({"picture": Black(None, PurePath("x"))}, (OUTPUT,)), (OUTPUT,))
        next(painter.make(painter._expected[0], (), "cpu", lambda share, note="": None))
    main_has_stopped.set()
    painter._threads.shutdown(wait=True)
    assert len(painted) == 3


def test_a_run_that_is_stopped_takes_up_no_other_picture():
    read, painted = [], []

    class Given(Black):
        def picture(self, **reading) -> Picture:
            read.append(self.name)
            if len(read) == 3:
                os.kill(os.getpid(), signal.SIGINT)
                main_has_stopped.wait(10)
            return super().picture(**reading)

    main_has_stopped = Event()
    painter = PaintQueue(
        lambda tasks, pictures, device: painted.append(len(tasks)) or [[p] for p in pictures], RunOptions()
    )
    with pytest.raises(KeyboardInterrupt), painter:
        for _ in range(32):
            painter.expect(Task({"picture": Given(None, PurePath("x"))}, (OUTPUT,)), (OUTPUT,))
        next(painter.make(painter._expected[0], (), "cpu", lambda share, note="": None))
    main_has_stopped.set()
    painter._threads.shutdown(wait=True)
    assert (len(read), painted) == (3, [])
