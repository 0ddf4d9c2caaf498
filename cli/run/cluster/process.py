"""The process that a run reaches a cluster through.

Ray ends a process whose cluster is gone, answers signals in its own way and speaks on stderr: so it has a process of
its own, whose end is one more message here.  The two send each other tuples, the kind of message first.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from structkit_cli.run.cluster.wire import pack, unpack
from structkit_cli.run.plan import MakerError

BEGUN_IN_TIME = 180.0  # seconds in which a cluster answers, or a local one is there
SILENT = 120.0  # seconds without a sign of life after which a cluster is gone
ENDED_IN_TIME = 3.0  # seconds in which a cluster is taken leave of
LONGEST_FOLDER = 24  # characters: the names of sockets below it have an end
NEW_CLUSTER = {  # of the environment, where the cluster is our own
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",  # then Ray ends the process
}
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a warning
    "RAY_DISABLE_IMPORT_WARNING": "1",
}


class ClusterProcess:
    """The process, from its start to `end`.

    address: of the cluster; "" is a new one on this machine.
    Raises MakerError for a cluster that does not answer, or is gone.
    """

    def __init__(self, address: str, settings: Mapping[str, Any]) -> None:
        self.address = address
        self._folder = Path(tempfile.mkdtemp(prefix="structkit-", dir=_short_folder()))
        ranks = ("RANK", "WORLD_SIZE", "LOCAL_RANK")  # the workers are none of torchrun's processes
        environment = {name: value for name, value in os.environ.items() if name not in ranks} | ENVIRONMENT
        if not address:
            environment.pop("RAY_ADDRESS", None)
            # Others on this machine are none of our cluster's users.
            environment |= {
                **NEW_CLUSTER,
                "RAY_TMPDIR": str(self._folder),
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN": secrets.token_hex(32),
            }
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "structkit_cli.run.cluster.dispatch", str(theirs.fileno())]
        with theirs, open(self._folder / "log", "wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self._folder,  # Ray shows it to the workers as a place of Python files
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is answered here
            )
            self._log = open(log.name, "rb")  # noqa: SIM115 (the file itself goes with the folder)
        self._connection = Connection(ours.detach())
        self._heard_at = time.monotonic()
        self.send("begin", {**settings, "address": address, "folder": str(self._folder)})

    def send(self, *message: Any) -> None:
        try:
            self._connection.send_bytes(pack(message))
        except OSError:
            raise self._gone() from None

    def receive(self, seconds: float) -> tuple[Any, ...] | None:
        """The next message; None where none comes in so many seconds."""
        try:
            if self._connection.poll(seconds):
                self._heard_at = time.monotonic()
                return unpack(self._connection.recv_bytes())
        except (EOFError, OSError):
            raise self._gone() from None
        if time.monotonic() - self._heard_at > SILENT:
            raise self._gone()
        return None

    def end(self) -> None:
        """Take leave of the cluster; a local one ends, and nothing is left of it."""
        self._connection.close()  # which the process answers by its end
        self._log.close()
        try:
            self._process.wait(ENDED_IN_TIME)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()

    def _gone(self) -> MakerError:
        place = f"RAY_ADDRESS {self.address}: the cluster" if self.address else "the cluster on this machine"
        way_out = "start it again, and then the same command" if self.address else "start the same command again"
        return MakerError(f"{place} is gone{self._last_words()}; what is done stays done: {way_out}")

    def _last_words(self) -> str:
        """The end of what the process has told, where someone looks for errors."""
        if not os.environ.get("STRUCTKIT_DEBUG"):
            return ""
        return f" ({self._log.read().decode(errors='replace')[-2000:]})"


def _short_folder() -> str | None:
    """The folder for temporary files, if its name is short enough for sockets in it."""
    folder = tempfile.gettempdir()
    return folder if len(os.fsencode(folder)) <= LONGEST_FOLDER else "/tmp"
