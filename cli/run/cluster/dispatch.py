"""The dispatcher: the process that is a driver of Ray's, and hands parcels to workers.

Started by `ClusterProcess`, to whose run it speaks through a socket.  A thread stands for each worker: it starts an
actor, hands it one parcel after another, and starts another one where that dies; what becomes of the parcel the run
decides.  The end of the socket is the end of the process.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from structkit._version import __version__
from structkit_cli.run.cluster.wire import pack, unpack

LISTEN_EVERY = 0.5  # seconds, to a worker at a long work
LOOK_EVERY = 5.0  # seconds, at the cluster
ANSWER = 10.0  # seconds for an address to answer
TRIES = 10  # actors in a row that a worker may lose before one has begun
PAUSE, LONGEST_PAUSE = 0.2, 10.0  # seconds before the next of them, doubled each time
LATE, TOO_LATE = 30.0, 900.0  # seconds without any worker after which this is told, and the run ends
START_ONE = "start the cluster (ray start --head), or unset RAY_ADDRESS"
BEGIN = 240  # seconds for reaching a cluster, after which the process ends: a run that waited has given up
LEAVE = 20  # seconds for taking leave of a cluster, after which the process ends
STORE = 2**29  # bytes of memory for what is on its way, in a cluster of our own


class Dispatcher:
    """The workers of one run, the parcels that wait for them, and the line to the run."""

    def __init__(self, line: Connection, ray: Any, settings: dict[str, Any]) -> None:
        self.ray, self.settings, self._line = ray, settings, line
        self._sending, self._change = threading.Lock(), threading.Condition()
        self._parcels: deque[tuple[int, bytes]] = deque()
        self._ended = False
        self._order, self._models = ray.put(settings["order"]), [ray.put(data) for data in settings["models"]]
        self._actor = _actor(ray)
        self._living = self._given_up = 0

    def tell(self, *message: Any) -> None:
        with self._sending, suppress(OSError):  # a run that has ended hears nothing
            self._line.send_bytes(pack(message))

    def serve(self) -> None:
        """Hand out parcels until the run ends."""
        count, has_gpu = self._crew()
        self.tell("up", count, has_gpu)
        for _ in range(count):
            threading.Thread(target=self._worker, args=(count, has_gpu), daemon=True).start()
        threading.Thread(target=self._look_after, daemon=True).start()
        with suppress(EOFError, OSError):
            while True:
                kind, *message = unpack(self._line.recv_bytes())
                with self._change:
                    if kind == "first":
                        self._parcels.appendleft(tuple(message))
                    else:
                        self._parcels.append(tuple(message))
                    self._change.notify()
        self._ended = True

    def _crew(self) -> tuple[int, bool]:
        """The number of workers, and whether each has a GPU."""
        found, device, asked = self.ray.cluster_resources(), self.settings["device"], self.settings["workers"]
        gpus, cpus = int(found.get("GPU", 0)), int(found.get("CPU", 0))
        if device == "cuda" and not gpus:
            raise Refusal("--device cuda: the cluster has no GPU: add a node with one, or say --device cpu")
        has_gpu = device != "cpu" and gpus > 0
        return min(asked or max(1, gpus if has_gpu else cpus), self.settings["tasks"]), has_gpu

    def _look_after(self) -> None:
        """Tell the run again and again that the cluster is there; the end of the process tells the contrary."""
        try:
            self._watch()
        except BaseException:
            if not self._ended:
                os._exit(1)

    def _watch(self) -> None:
        lived_at, told = time.monotonic(), False
        while not self._ended:
            own = self.ray.get_runtime_context().get_node_id()
            if not any(node["NodeID"] == own and node["Alive"] for node in self.ray.nodes()):
                os._exit(1)  # this process is none of the cluster's any more
            self.tell("beat")
            waited = time.monotonic() - lived_at
            if self._living:
                lived_at, told = time.monotonic(), False
            elif waited > TOO_LATE:
                self.tell("refused", f"no worker has begun for {waited:.0f} s: see what is missing with ray status")
            elif waited > LATE and not told:
                told = True
                self.tell("note", "the workers wait for room in the cluster, or for a node that is being started")
            time.sleep(LOOK_EVERY)

    def _worker(self, count: int, has_gpu: bool) -> None:
        """The life of one worker: actors, one after another."""
        try:
            while not self._ended:
                hired = self._hired(has_gpu)
                if hired is None:
                    with self._change:
                        self._given_up += 1
                    if self._given_up == count:
                        self.tell("refused", "no worker of the cluster lives long enough to begin: see its logs")
                    return
                self._count(1)
                while self._handed(*hired, *self._next()):
                    pass
                self._count(-1)
                self.ray.kill(hired[0])
        except Refusal as refusal:
            self.tell("refused", str(refusal))
        except BaseException as error:
            self.tell("refused", f"the dispatcher failed: unexpected {type(error).__name__}: {error}")

    def _count(self, change: int) -> None:
        with self._change:
            self._living += change

    def _hired(self, has_gpu: bool) -> tuple[Any, str] | None:
        """An actor that is ready, and its node; None where one after another dies."""
        for lost in range(TRIES):
            if lost:
                time.sleep(min(PAUSE * 2**lost, LONGEST_PAUSE))
            actor = self._actor.options(num_cpus=1, num_gpus=int(has_gpu)).remote()
            hello = actor.hello.remote(__version__, self._order, *self._models)
            while not self.ray.wait([hello], timeout=LOOK_EVERY)[0]:
                if self._ended:
                    return None
            try:
                facts = self.ray.get(hello)
            except self.ray.exceptions.RayTaskError as error:
                raise Refusal(f"a worker cannot begin: {_last_line(error)}") from error
            except self.ray.exceptions.RayError:
                continue
            check_worker(facts)
            self.tell("ready", facts["device"], facts["node"], facts["pid"])
            return actor, facts["node"]
        return None

    def _next(self) -> tuple[int, bytes]:
        with self._change:
            while not self._parcels:
                self._change.wait()
            return self._parcels.popleft()

    def _handed(self, actor: Any, node: str, number: int, parcel: bytes) -> bool:
        """Have a parcel worked on; returns false for one that its worker has died of."""
        ray = self.ray
        done, answer = actor.work.remote(parcel), None
        del parcel  # it is in the hands of Ray
        try:
            while not ray.wait([done], timeout=LISTEN_EVERY)[0]:
                answer = answer or actor.heard.remote()
                if ray.wait([answer], timeout=LISTEN_EVERY)[0]:
                    self._pass_on(number, node, answer)
                    answer = None
            if answer is not None:  # what a late answer holds, no other tells
                self._pass_on(number, node, answer)
            self.tell("done", number, node, ray.get(done))
            return True
        except ray.exceptions.RayTaskError as error:
            raise Refusal(f"a worker failed: {_last_line(error)}") from error
        except ray.exceptions.RayError as error:
            self.tell("lost", number, node, _death(error))
            return False

    def _pass_on(self, number: int, node: str, answer: Any) -> None:
        """Tell the run what a worker has heard of the parcel that it is at."""
        if events := self.ray.get(answer):
            self.tell("heard", number, node, events)


class Refusal(Exception):
    """A reason for which the run cannot go on."""


def _actor(ray: Any) -> Any:
    """The class of the actors.  They get it by value: a node may lack structkit, or have another one."""

    @ray.remote(max_restarts=0, max_task_retries=0, max_concurrency=2)
    class Bench:
        def hello(self, version: str, order: Any, *models: bytes) -> dict[str, Any]:
            import os
            import platform
            import sys

            facts = {"node": platform.node(), "pid": os.getpid(), "python": sys.version.split()[0], "version": None}
            os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: a worker has one processor
            os.environ.setdefault("GOMP_SPINCOUNT", "2000")
            try:
                from structkit._version import __version__ as found
                from structkit.errors import StructkitError
            except ImportError:
                return facts
            facts["version"] = found
            if found != version:
                return facts
            from structkit_cli.run.cluster.bench import WorkBench
            from structkit_cli.run.cluster.wire import unpack

            try:
                self.bench = WorkBench(unpack(order), models)
            except StructkitError as error:
                return facts | {"refusal": str(error)}
            except Exception as error:
                return facts | {"failure": f"{type(error).__name__}: {error}"}
            return facts | {"device": self.bench.device}

        def work(self, parcel: bytes) -> bytes:
            return self.bench.work(parcel)

        def heard(self) -> bytes:
            return self.bench.heard()

    return Bench


def check_worker(facts: dict[str, Any]) -> None:
    """Refuse a worker that is none for this run."""
    node, version = facts["node"], facts["version"]
    if version is None:
        raise Refusal(f"the node {node} has no structkit: install structkit {__version__} there")
    if version != __version__:
        raise Refusal(f"the node {node} has structkit {version}, and here is {__version__}: install one version")
    if refusal := facts.get("refusal"):
        raise Refusal(f"{refusal} (on the node {node})")
    if failure := facts.get("failure"):
        here = sys.version.split()[0]
        fact = f"the node {node} (Python {facts['python']}) cannot read what this one (Python {here}) sends ({failure})"
        raise Refusal(f"{fact}: install the same versions of Python, structkit and PyTorch there")


def _death(error: BaseException) -> str:
    """The words for the end of a worker."""
    text = str(error)
    return "ran out of memory" if "OOM" in text or "memory pressure" in text or "out of memory" in text else "died"


def _last_line(error: BaseException) -> str:
    return str(error).strip().rpartition("\n")[2]


def _ray(settings: dict[str, Any]) -> Any:
    """Ray, joined to the cluster.  Raises Refusal."""
    try:
        import ray
    except ImportError as error:  # also where a folder of that name was taken for it
        raise Refusal(f"Ray cannot be loaded ({error}): pip install 'structkit[ray]'") from error

    how: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    address = settings["address"]
    try:
        if address:
            _check_answer(address)
            ray.init(address=address, **how)
        else:
            how |= {"include_dashboard": False, "object_store_memory": STORE, "_temp_dir": settings["folder"]}
            cpus = min(settings["workers"] or _processors(), settings["tasks"])  # for each Ray starts a process at once
            ray.init(address="local", num_cpus=cpus, **how)
    except Refusal:
        raise
    except Exception as error:
        fact = " ".join(str(error).split())[:300] or type(error).__name__
        if not address:
            raise Refusal(f"a cluster on this machine cannot be made: {fact}") from error
        way_out = "its version of Ray and of Python must be that of here, and RAY_AUTH_TOKEN its token, if it has one"
        if isinstance(error, ValueError | ConnectionError):  # there is none at all
            way_out = START_ONE
        raise Refusal(f"RAY_ADDRESS {address}: {fact.rstrip('.')}: {way_out}") from error
    return ray


def _check_answer(address: str) -> None:
    """Refuse an address where nothing answers: Ray would ask for minutes; and that of Ray's client."""
    if address.startswith("ray://"):
        fact = f"RAY_ADDRESS {address} is one of Ray's client, through which workers cannot be watched"
        raise Refusal(f"{fact}: start the command on a node of the cluster, with RAY_ADDRESS=auto")
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdecimal():  # `auto`, and what Ray knows
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()
    except (OSError, OverflowError) as error:
        fact = f"RAY_ADDRESS {address}: nothing answers there ({getattr(error, 'strerror', None) or error})"
        raise Refusal(f"{fact}: {START_ONE}") from error


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    """Serve the run at the other end of the socket whose number is the argument, and leave nothing behind.

    Ray may take its process down with it, and leave other processes of a local cluster: so it has a child, for whose
    end this process waits.  The working directory is one of its own.
    """
    number, folder = int(sys.argv[1]), os.getcwd()
    child = os.fork()
    if not child:
        os.setsid()
        _serve(Connection(number))
        _kill(os.getpid())
    os.close(number)
    signal.signal(signal.SIGTERM, lambda *_: _kill(child))  # from a run that has waited long enough
    os.waitpid(child, 0)
    _kill(child)
    for _ in range(20):  # the last of them may still write
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            break
        time.sleep(0.1)


def _serve(line: Connection) -> None:
    with suppress(EOFError, OSError):  # a run that has ended
        _, settings = unpack(line.recv_bytes())
        signal.alarm(BEGIN)
        try:
            ray = _ray(settings)
            signal.alarm(0)
            Dispatcher(line, ray, settings).serve()
        except Refusal as refusal:
            line.send_bytes(pack(("refused", str(refusal))))
            line.recv_bytes()  # until the run has heard it
    if ray := sys.modules.get("ray"):
        signal.alarm(LEAVE)
        ray.shutdown()


def _kill(group: int) -> None:
    with suppress(OSError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
