"""--on ray with Ray: a cluster of its own, one that is named, and what becomes of a run whose workers die.

A cluster takes seconds to start, so that each test holds several laws.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from .conftest import paint
from .test_resume import contents

pytest.importorskip("ray")
pytestmark = pytest.mark.ray

CLI = [sys.executable, "-m", "structkit_cli"]
TORCH = 99  # the exit code of a command that has loaded PyTorch
CHECK = "import sys; from structkit_cli.__main__ import main; code = main(sys.argv[1:])\n"
CHECK += f"sys.exit({TORCH} if 'torch' in sys.modules else code)"
WORKER = "ray::Bench"  # begins the title of a worker's process
LONGEST = 120  # seconds that a command may take


def processes(folder: str = "") -> dict[int, str]:
    """The processes by their numbers, with their titles; those with a text in title or environment."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            title = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
        except OSError:
            continue
        if folder.encode() in title:
            found[int(path.name)] = title.split(b"\0")[0].decode(errors="replace")
    return found


def wait(reached, what: str) -> None:
    until = time.monotonic() + LONGEST
    while not reached():
        assert time.monotonic() < until, what
        time.sleep(0.05)


@pytest.fixture(scope="module")
def environment():
    """That of a command: one thread, and its own place for temporary files, whose name marks what it starts."""
    place = tempfile.mkdtemp(prefix="sk", dir="/tmp")
    own = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": place}
    own.pop("RAY_ADDRESS", None)
    yield own
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def named(environment):
    """The environment of a command for a cluster of two processors that is named."""
    place = tempfile.mkdtemp(prefix="sk", dir="/tmp")
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    token["RAY_gcs_rpc_server_reconnect_timeout_s"] = "5"
    port = 20000 + os.getpid() % 10000
    how = ["--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false", f"--temp-dir={place}", "--block"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *how, "--object-store-memory=100000000"]
    cluster = subprocess.Popen(
        command, env={**environment, **token}, cwd=place, stdout=-3, stderr=-3, start_new_session=True
    )
    import socket

    def answers() -> bool:
        with socket.socket() as asked:
            return asked.connect_ex(("127.0.0.1", port)) == 0

    wait(answers, "the cluster does not start")
    time.sleep(2)  # its raylet comes last
    yield {**environment, **token, "RAY_ADDRESS": f"127.0.0.1:{port}"}
    os.killpg(cluster.pid, signal.SIGKILL)
    cluster.wait()
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, environment):
    """A tree of pictures, one of them damaged, and a pipe; and what one process makes of them in alone/."""
    folder = tmp_path_factory.mktemp("ray")
    for i in range(30):
        paint(folder / f"in/{i % 3}/{i}.png", i, side=24)
    (folder / "in/1/4.png").write_bytes(b"no picture")
    os.mkfifo(folder / "pipe")
    code, out, _ = ended(start(folder, environment, "alone"), folder)
    assert code == 1
    (folder / "alone.json").write_text(out)
    return folder


def start(folder: Path, environment: dict, out: str, *more: str) -> subprocess.Popen:
    """Start a command, which is held up before its last inputs until the pipe is fed."""
    words = [
        *([sys.executable, "-c", CHECK] if "--ship" in more else CLI),
        "sample",
        "in",
        "pipe",
        "-n",
        "2",
        "--size",
        "16x16",
        "--patch",
        "5",
        "--rounds",
        "1",
        "--json",
    ]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*words, "-o", out, *more], cwd=folder, env=environment, **how)


def ended(run: subprocess.Popen, folder: Path) -> tuple[int, str, str]:
    """Feed the pipe, and wait for the end; returns exit code, stdout and stderr."""
    fed = threading.Thread(target=feed, args=(run, folder / "pipe", (folder / "in/0/0.png").read_bytes()))
    fed.start()
    out, err = run.communicate(timeout=LONGEST)
    fed.join()
    return run.returncode, out, err


def feed(run: subprocess.Popen, pipe: Path, data: bytes) -> None:
    while run.poll() is None:
        try:
            end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads yet
            time.sleep(0.05)
            continue
        os.write(end, data)
        os.close(end)
        return


def begun(folder: Path, out: str) -> None:
    wait(lambda: any((folder / out).rglob("*-1.png")), "no output appears")


def records(text: str, out: str) -> list[dict]:
    found = [json.loads(line) for line in text.replace(f'"{out}/', '"').splitlines()]
    return [{name: value for name, value in record.items() if name != "ms"} for record in found]


def check(folder: Path, out: str, text: str) -> None:
    """The files, hidden ones too, and the records are those of one process."""
    alone = contents(folder / "alone")
    made = contents(folder / out)
    assert made.keys() == alone.keys()
    journal = ".structkit-manifest.jsonl"
    assert [name for name in alone if made[name] != alone[name] and name != journal] == []
    assert made[journal].count(b"\n") == alone[journal].count(b"\n")
    assert records(text, out) == records((folder / "alone.json").read_text(), "alone")


def test_a_cluster_of_its_own_makes_what_one_process_makes_though_workers_die(folder, environment):
    run = start(folder, environment, "killed", "--on", "ray", "--workers", "2")
    begun(folder, "killed")
    own = environment["TMPDIR"]
    for _ in range(2):
        wait(lambda: any(title.startswith(WORKER) for title in processes(own).values()), "no worker begins")
        os.kill(next(number for number, title in processes(own).items() if title.startswith(WORKER)), signal.SIGKILL)
    code, out, err = ended(run, folder)
    assert code == 1, err
    check(folder, "killed", out)
    assert [line for line in err.splitlines() if not line.startswith("structkit: ")] == []  # nothing of Ray's
    assert list(Path(own).iterdir()) == []
    wait(lambda: not processes(own), "processes of the cluster are left")


def test_a_run_that_is_killed_leaves_no_process_and_no_folder_of_its_cluster(folder, environment):
    run = start(folder, environment, "dead", "--on", "ray", "--workers", "1")
    begun(folder, "dead")
    run.kill()
    run.communicate(timeout=LONGEST)
    own = environment["TMPDIR"]
    wait(lambda: not processes(own) and not list(Path(own).iterdir()), "something of the cluster is left")


def test_a_cluster_that_is_named_gets_the_files_sent_and_sends_the_results(folder, named):
    code, out, err = ended(start(folder, named, "sent", "--on", "ray", "--ship"), folder)
    assert code == 1, err  # without PyTorch
    check(folder, "sent", out)


def test_an_interrupted_run_ends_in_time_and_leaves_no_unfinished_file(folder, named):
    run = start(folder, named, "stopped", "--on", "ray")
    begun(folder, "stopped")
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=LONGEST)
    assert run.returncode == 130 and "structkit: interrupted: " in err
    left = [name for name in contents(folder / "stopped") if Path(name).name.startswith(".structkit-")]
    assert left == [".structkit-manifest.jsonl"]


def test_a_cluster_that_vanishes_is_one_line_and_what_is_done_stays(folder, named):
    run = start(folder, named, "gone", "--on", "ray")
    begun(folder, "gone")
    of_the_run = {run.pid, *processes("cluster.dispatch")}
    for number, title in processes(named["RAY_AUTH_TOKEN"]).items():
        if number not in of_the_run and (title.endswith(("gcs_server", "raylet")) or title.startswith(WORKER)):
            os.kill(number, signal.SIGKILL)
    code, _, err = ended(run, folder)
    fact = f"structkit: error: RAY_ADDRESS {named['RAY_ADDRESS']}: the cluster is gone; what is done stays done: "
    [line] = [line for line in err.splitlines() if "cluster" in line]
    assert (code, line) == (3, fact + "start it again, and then the same command")
    made, alone = contents(folder / "gone"), contents(folder / "alone")
    assert {name for name in made if Path(name).name.startswith(".")} == {".structkit-manifest.jsonl"}
    assert all(data == alone[name] for name, data in made.items() if not name.startswith("."))
    assert ended(start(folder, named, "gone", "--on", "ray"), folder)[0] == 3  # nothing answers now
    assert ended(start(folder, named, "gone"), folder)[0] == 1
    assert contents(folder / "gone").keys() == alone.keys()


def test_an_address_where_nothing_answers_is_one_line(folder, environment):
    run = start(folder, {**environment, "RAY_ADDRESS": "127.0.0.1:9"}, "nowhere", "--on", "ray")
    code, out, _ = ended(run, folder)
    fact = "RAY_ADDRESS 127.0.0.1:9: nothing answers there (Connection refused)"
    assert code == 3 and json.loads(out.splitlines()[0])["error"].startswith(fact)
    assert not (folder / "nowhere").exists()
