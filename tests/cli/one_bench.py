"""A stand-in for a cluster: one worker, in the process of the run, which can die as often as a test wants."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from structkit.errors import StructkitError
from structkit_cli.run.cluster import maker
from structkit_cli.run.cluster.bench import WorkBench
from structkit_cli.run.cluster.wire import unpack


class OneBench:
    """The cluster.  A class for all of a test, since a run makes its own.

    dies: called with a parcel; true where the worker dies of it.
    parcels: that were worked on.
    most: parcels that were under way at once.
    """

    dies: ClassVar[Callable[[bytes], bool]]
    parcels: ClassVar[list[bytes]]
    most: ClassVar[int]

    def __init__(self, address: str, settings: dict[str, Any]) -> None:
        self.address, self._waiting = address, deque()
        self._messages: deque[tuple] = deque([("up", 1, False)])
        folder, stderr = os.getcwd(), sys.stderr
        try:
            self._bench = WorkBench(unpack(settings["order"]), settings["models"])
            self._messages.append(("ready", self._bench.device, "node7", 1))
        except StructkitError as error:
            self._messages.append(("refused", f"{error} (on the node node7)"))
        self._lines, sys.stderr = sys.stderr, stderr
        os.chdir(folder)

    def send(self, kind: str, number: int, parcel: bytes) -> None:
        (self._waiting.appendleft if kind == "first" else self._waiting.append)((number, parcel))
        type(self).most = max(self.most, len(self._waiting))

    def receive(self, seconds: float) -> tuple | None:
        if self._messages:
            return self._messages.popleft()
        number, parcel = self._waiting.popleft()
        if type(self).dies(parcel):
            return "lost", number, "node7", "died"
        self.parcels.append(parcel)
        stderr, sys.stderr = sys.stderr, self._lines
        try:
            return "done", number, "node7", self._bench.work(parcel)
        finally:
            sys.stderr = stderr

    def end(self) -> None:
        """Nothing is left."""


def install(monkeypatch) -> type[OneBench]:
    """Runs with --on ray have one bench."""
    own = type("OneBenchOfTest", (OneBench,), {"dies": staticmethod(lambda parcel: False), "parcels": [], "most": 0})
    monkeypatch.setattr(maker, "ClusterProcess", own)
    monkeypatch.setattr(maker, "find_spec", lambda name: True)
    return own
