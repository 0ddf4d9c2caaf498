"""A browser that is driven over a pipe (the DevTools protocol), in real time: for pages in which something plays.

Chromium reads commands from its file descriptor 3 and answers on 4, each as JSON that ends in a zero byte.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 60  # s, for what a busy machine may take
SPARE = 100  # a number of files above those that the browser opens by itself


class DrivenPage:
    """A page in a browser.  evaluate: the value of an expression in it."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._count, self._rest, self._session = 0, b"", {}

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers to a command."""
        self._count += 1
        command = {"id": self._count, "method": method, "params": parameters, **self._session}
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                self._rest += os.read(self._answers, 1 << 16) or b'{"id": -1}\0'
            line, _, self._rest = self._rest.partition(b"\0")
            answer = json.loads(line)
            assert answer.get("id") != -1, "the browser has gone"
            if answer.get("id") == self._count:
                return answer["result"]

    def open(self, address: str) -> None:
        """Open a page in a window of its own."""
        target = self.send("Target.createTarget", url=address, newWindow=True, width=1000, height=760)["targetId"]
        self._session = {"sessionId": self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}

    def evaluate(self, expression: str) -> Any:
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true.  AssertionError if it never is."""
        end = time.monotonic() + PATIENCE
        while not self.evaluate(expression):
            assert time.monotonic() < end, f"{expression} is never true"
            time.sleep(0.05)


@contextmanager
def driven(browser: str, folder: Path) -> Iterator[DrivenPage]:
    """A browser as a context.  folder: of its profile."""
    from fcntl import F_DUPFD, fcntl

    theirs, commands = os.pipe()
    answers, ours = os.pipe()
    high = [fcntl(number, F_DUPFD, SPARE) for number in (theirs, ours)]

    def in_place() -> None:
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"]
    command += ["--remote-debugging-pipe", "--autoplay-policy=no-user-gesture-required"]
    process = subprocess.Popen(command, preexec_fn=in_place, pass_fds=(3, 4), stderr=subprocess.DEVNULL)
    for number in (theirs, ours, *high):
        os.close(number)
    try:
        yield DrivenPage(commands, answers)
    finally:
        process.terminate()
        process.wait(PATIENCE)
        os.close(commands)
        os.close(answers)
