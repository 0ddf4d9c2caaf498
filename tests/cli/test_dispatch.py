"""The dispatcher without Ray: what a worker has told reaches the run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from structkit_cli.run.cluster.dispatch import Dispatcher, Refusal, _ray
from structkit_cli.run.cluster.wire import unpack

SETTINGS = {"order": b"", "models": [], "address": "", "workers": 1, "tasks": 1, "device": "cpu", "folder": ""}


class SlowWorker:
    """Ray and its one actor.  Answers are there the second time that somebody waits for them; whoever asks once more
    gets nothing, since an answer holds what was not told before.
    """

    exceptions = SimpleNamespace(RayTaskError=KeyError, RayError=OSError)

    def __init__(self) -> None:
        self.heard = SimpleNamespace(remote=lambda: self.asked.append(f"answer {len(self.asked)}") or self.asked[-1])
        self.work = SimpleNamespace(remote=lambda parcel: "done")
        self.asked, self.waited = [], []

    def put(self, value):
        return value

    def remote(self, **_):
        return lambda actor: actor

    def wait(self, refs, timeout):
        self.waited += refs
        return [ref for ref in refs if self.waited.count(ref) > 1], []

    def get(self, ref, timeout=None):
        return {"answer 0": b"an output", "done": b"the end"}.get(ref, b"")


def test_what_a_worker_has_told_is_not_lost_where_its_answer_is_late():
    told, worker = [], SlowWorker()
    line = SimpleNamespace(send_bytes=lambda message: told.append(unpack(message)))
    dispatcher = Dispatcher(line, worker, SETTINGS)
    assert dispatcher._handed(worker, "node7", 3, b"parcel")
    assert told == [("heard", 3, "node7", b"an output"), ("done", 3, "node7", b"the end")]


def test_a_ray_that_cannot_be_loaded_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(Refusal, match=r"Ray cannot be loaded \(.*ray.*\): pip install 'structkit\[ray\]'"):
        _ray(SETTINGS)
