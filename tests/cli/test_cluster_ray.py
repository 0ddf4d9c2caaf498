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
    command = [Path(sys.executable).with_name("ray"), "start", *how, "--object-store-memory=100000000"]
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
    """A tree of pictures, one of them damaged, and what one process makes of them in alone/."""
    folder = tmp_path_factory.mktemp("ray")
    for i in range(30):
        paint(folder / f"in/{i % 3}/{i}.png", i, side=24)
    (folder / "in/1/4.png").write_bytes(b"no picture")
    ran = command(folder, environment, "alone")
    assert ran.returncode == 1
    (folder / "alone.json").write_text(ran.stdout)
    return folder


def words(out: str) -> list[str]:
    return ["sample", "in", "-n", "2", "--size", "16x16", "--patch", "5", "--rounds", "1", "-o", out, "--json"]


def command(folder: Path, environment: dict, out: str, *more: str) -> subprocess.CompletedProcess:
    how = {"capture_output": True, "text": True, "timeout": LONGEST}
    return subprocess.run([*CLI, *words(out), *more], cwd=folder, env=environment, **how)


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
    killed = []

    def kill() -> None:
        while len(killed) < 3:
            wait(lambda: any(title.startswith(WORKER) for title in processes(environment["TMPDIR"]).values()), "")
            victim = next((n for n, title in processes(environment["TMPDIR"]).items() if title.startswith(WORKER)), 0)
            wait(lambda: len(list((folder / "killed").rglob("*-1.png"))) > 4 * len(killed), "no output appears")
            if victim in processes():
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    ran = command(folder, environment, "killed", "--on", "ray", "--workers", "2")
    assert ran.returncode == 1, ran.stderr
    assert len(killed) >= 1
    check(folder, "killed", ran.stdout)
    told = [line for line in ran.stderr.splitlines() if not line.startswith("structkit: ")]
    assert told == []  # nothing of Ray's
    assert list(Path(environment["TMPDIR"]).iterdir()) == []
    wait(lambda: not processes(environment["TMPDIR"]), "processes of the cluster are left")


def test_a_cluster_that_is_named_gets_the_files_sent_and_sends_the_results(folder, named):
    ran = command(folder, named, "sent", "--on", "ray", "--ship")
    assert ran.returncode == 1, ran.stderr
    check(folder, "sent", ran.stdout)


def test_an_interrupted_run_ends_in_time_and_leaves_no_unfinished_file(folder, named):
    run = subprocess.Popen(
        [*CLI, *words("stopped"), "--on", "ray"], cwd=folder, env=named, stdout=-3, stderr=subprocess.PIPE, text=True
    )
    wait(lambda: any((folder / "stopped").rglob("*-1.png")), "no output appears")
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=LONGEST)
    assert run.returncode == 130 and "structkit: interrupted: " in err
    left = [name for name in contents(folder / "stopped") if Path(name).name.startswith(".structkit-")]
    assert left == [".structkit-manifest.jsonl"]


def test_a_cluster_that_vanishes_is_one_line_and_what_is_done_stays(folder, named):
    run = subprocess.Popen(
        [*CLI, *words("gone"), "-q", "--on", "ray"], cwd=folder, env=named, stdout=-3, stderr=subprocess.PIPE, text=True
    )
    wait(lambda: any((folder / "gone").rglob("*-1.png")), "no output appears")
    run.send_signal(signal.SIGSTOP)  # while it is killed
    mark = named["RAY_AUTH_TOKEN"]
    own = {run.pid, *(number for number, title in processes("cluster_dispatch").items())}
    for number, title in processes(mark).items():
        if number not in own and title.endswith(("gcs_server", "raylet")):
            os.kill(number, signal.SIGKILL)
    run.send_signal(signal.SIGCONT)
    _, err = run.communicate(timeout=LONGEST)
    fact = f"structkit: error: RAY_ADDRESS {named['RAY_ADDRESS']}: the cluster is gone; what is done stays done: "
    [line] = [line for line in err.splitlines() if "cluster" in line]
    assert (run.returncode, line) == (3, fact + "start it again, and then the same command")
    made, alone = contents(folder / "gone"), contents(folder / "alone")
    assert {name for name in made if Path(name).name.startswith(".")} == {".structkit-manifest.jsonl"}
    assert all(data == alone[name] for name, data in made.items() if not name.startswith("."))
    assert command(folder, named, "gone", "--on", "ray").returncode == 3  # nothing answers now
    assert command(folder, named, "gone").returncode == 1
    assert contents(folder / "gone").keys() == alone.keys()


def test_an_address_where_nothing_answers_is_one_line(folder, environment):
    ran = command(folder, {**environment, "RAY_ADDRESS": "127.0.0.1:9"}, "nowhere", "--on", "ray")
    fact = "RAY_ADDRESS 127.0.0.1:9: nothing answers there (Connection refused)"
    assert (ran.returncode, json.loads(ran.stdout.splitlines()[0])["error"].startswith(fact)) == (3, True)
    assert not (folder / "nowhere").exists()
