"""Batches that are run again: the manifest decides what is trusted, never a bare file name."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from structkit.media.files import PendingFile
from structkit_cli.__main__ import main
from structkit_cli.run.parts import NAME

from .conftest import paint

SLOW_ENGINE = Path(__file__).with_name("fake_engine.py")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def batch(run, tmp_path):
    """Run a batch of three with one target."""
    for i in (1, 2, 3):
        paint(tmp_path / f"in/{i}.png", i)
    paint(tmp_path / "target.png", 9)
    return lambda *more: run("analogy", "in", "target.png", "-o", "out", *more)


def test_the_second_run_skips_all_and_says_so(batch, engine, tmp_path):
    assert batch().paths == ["out/1.png", "out/2.png", "out/3.png"]
    before = contents(tmp_path / "out")
    ran = batch()
    assert (ran.code, ran.paths, len(engine.calls), contents(tmp_path / "out")) == (0, [], 3, before)
    assert "0 written, 3 skipped" in ran.err


def test_what_was_deleted_is_made_again(batch, tmp_path):
    batch()
    before = contents(tmp_path / "out")
    (tmp_path / "out/2.png").unlink()
    assert batch().paths == ["out/2.png"]
    assert contents(tmp_path / "out") == before


def test_a_changed_input_is_done_again_and_a_touched_one_is_not(batch, tmp_path):
    batch()
    paint(tmp_path / "in/2.png", 7)
    os.utime(tmp_path / "in/3.png")
    assert batch().paths == ["out/2.png"]
    paint(tmp_path / "target.png", 8)
    assert len(batch().paths) == 3


@pytest.mark.parametrize("option", [("--strength", "0.6"), ("--seed", "1"), ("--size", "16x16"), ("--patch", "9")])
def test_the_results_of_other_options_are_kept_unless_that_is_said_aloud(batch, tmp_path, option):
    batch()
    before = contents(tmp_path / "out")
    ran = batch(*option)
    assert (ran.code, ran.paths, contents(tmp_path / "out")) == (1, [], before)
    fact = "exists and was made with other options: name another place with --output, or say"
    assert f"structkit: error: out/2.png {fact} --exists overwrite\n" in ran.err
    assert len(batch(*option, "--exists", "overwrite").paths) == 3
    assert batch(*option).paths == []
    assert batch().code == 1


def test_another_verb_does_not_replace_a_result(run, tmp_path):
    paint(tmp_path / "in/a.png", 1)
    assert run("sample", "in", "-n", "1", "-o", "out").code == 0
    ran = run("retarget", "in", "--size", "16x16", "-o", "out")
    fact = "out/a.png exists and was made with structkit sample: name another place"
    assert (ran.code, ran.paths) == (1, []) and fact in ran.err


@pytest.mark.parametrize("exists", [(), ("--exists", "skip")])
def test_the_result_of_another_input_is_kept(run, tmp_path, exists):
    """Of the same name but for the suffix; of another folder; of another role."""
    for i, name in enumerate(("d/1.jpg", "d/1.png", "e/1.png", "d/2.png")):
        paint(tmp_path / name, i)
    assert run("sample", "d/*.jpg", "-n", "1", "-o", "out/").paths == ["out/1.png"]
    before = contents(tmp_path / "out")["1.png"]
    ran = run("sample", "d/*.png", "-n", "1", "-o", "out/", *exists)
    assert (ran.code, ran.paths, contents(tmp_path / "out")["1.png"]) == (1, ["out/2.png"], before)
    fact = "out/1.png exists and was made from d/1.jpg: say --keep-suffix, which keeps both, name another place with"
    assert f"structkit: error: {fact} --output, or say --exists overwrite\n" in ran.err
    ran = run("sample", "e", "-n", "1", "-o", "out/", *exists)
    assert (ran.code, ran.paths, contents(tmp_path / "out")["1.png"]) == (1, [], before)
    assert "out/1.png exists and was made from d/1.jpg: name another place with --output, or say" in ran.err
    assert run("sample", "d/*.jpg", "-n", "1", "-o", "out/").paths == []


def test_the_result_of_another_target_is_kept(batch, run, tmp_path):
    batch()
    paint(tmp_path / "other.png", 8)
    ran = run("analogy", "in", "other.png", "-o", "out")
    assert (ran.code, ran.paths) == (1, []) and "out/1.png exists and was made from target.png: name" in ran.err


def test_equal_inputs_make_one_result_wherever_they_lie(run, tmp_path):
    """A result that would become the same again is current; yet its input stays the one that it was made from."""
    paint(tmp_path / "d/1.png", 1), paint(tmp_path / "e/1.png", 1)
    assert run("sample", "d", "-n", "1", "-o", "out").paths == ["out/1.png"]
    assert (ran := run("sample", "e", "-n", "1", "-o", "out")).paths == [] and ran.code == 0
    paint(tmp_path / "e/1.png", 2)
    assert (ran := run("sample", "e", "-n", "1", "-o", "out")).paths == [] and ran.code == 1
    assert "out/1.png exists and was made from d/1.png: name another place" in ran.err
    paint(tmp_path / "d/1.png", 3)
    assert run("sample", "d", "-n", "1", "-o", "out").paths == ["out/1.png"]


def test_a_tree_that_was_moved_goes_on(batch, tmp_path, monkeypatch):
    batch()
    (tmp_path / "new").mkdir()
    for name in ("in", "out", "target.png"):
        (tmp_path / name).rename(tmp_path / "new" / name)
    monkeypatch.chdir(tmp_path / "new")
    assert batch().paths == []
    paint(tmp_path / "new/in/2.png", 7)
    assert batch().paths == ["out/2.png"]


@pytest.mark.parametrize("spelled", ["./in", "in/", "{}/in", "link", "in/../in", "in/*.png"])
def test_an_input_is_the_same_however_it_is_spelled(batch, run, tmp_path, spelled):
    batch()
    (tmp_path / "link").symlink_to("in")
    paint(tmp_path / "in/2.png", 7)
    ran = run("analogy", spelled.format(tmp_path), "target.png", "-o", "out")
    assert (ran.code, ran.paths) == (0, ["out/2.png"])


def test_what_came_through_a_pipe_is_made_once(run, engine, tmp_path, monkeypatch):
    """Nobody knows whether the next picture on standard input is the same one, changed."""
    for i in (1, 1, 2):
        sent = paint(tmp_path / f"{i}.png", i).read_bytes()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(sent)))
        ran = run("sample", "-", "-n", "1", "-o", "out/", "--exists", "skip")
    assert (ran.code, len(engine.calls)) == (1, 1)
    assert "exists and was made from what another run was sent: name another place with --output" in ran.err


def test_a_new_version_makes_again_what_an_older_one_made(batch, monkeypatch):
    batch()
    monkeypatch.setattr("structkit_cli.run.batch.__version__", "0.0.9")
    assert len(batch().paths) == 3 and batch().paths == []


def test_records_that_do_not_tell_the_input_are_trusted_while_all_is_the_same(batch, tmp_path):
    """As structkit wrote them first; a run in which they hold brings them up to date."""
    batch()
    whole, journal = contents(tmp_path / "out"), tmp_path / "out" / NAME
    records = [json.loads(line) for line in whole[NAME].splitlines()]
    first = [{key: r[key] for key in ("made_from", "output", "sha256")} for r in records]
    old = b"".join(json.dumps(r, sort_keys=True, separators=(",", ":")).encode() + b"\n" for r in first)
    journal.write_bytes(old)
    assert batch().paths == [] and contents(tmp_path / "out") == whole
    journal.write_bytes(old)
    target = (tmp_path / "target.png").read_bytes()
    paint(tmp_path / "target.png", 8)
    ran = batch()
    assert (ran.code, ran.paths) == (1, [])
    assert "out/1.png exists, and its record does not say from what it was made: name another place" in ran.err
    (tmp_path / "target.png").write_bytes(target)
    assert batch().paths == [] and contents(tmp_path / "out") == whole


def test_options_that_do_not_change_the_bytes_do_not_count(batch):
    batch()
    assert batch("--device", "cpu", "--quiet").paths == []


def test_a_file_that_is_not_ours_is_kept_and_its_input_fails(batch, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/2.png").write_bytes(b"mine")
    ran = batch()
    assert (ran.code, ran.paths) == (1, ["out/1.png", "out/3.png"])
    assert "out/2.png exists and is not as structkit wrote it: move it away, or say --exists overwrite" in ran.err
    assert (tmp_path / "out/2.png").read_bytes() == b"mine"


def test_an_output_of_ours_that_somebody_changed_is_kept(batch, tmp_path):
    batch()
    (tmp_path / "out/2.png").write_bytes(b"retouched")
    paint(tmp_path / "target.png", 8)
    ran = batch()
    assert (ran.code, ran.paths, (tmp_path / "out/2.png").read_bytes()) == (1, ["out/1.png", "out/3.png"], b"retouched")


def test_a_file_that_appears_during_the_work_is_kept(batch, engine, tmp_path):
    engine.then = lambda call: (tmp_path / "out/1.png").write_bytes(b"mine")
    ran = batch()
    assert (ran.code, (tmp_path / "out/1.png").read_bytes()) == (1, b"mine")


def test_overwrite_does_all_again_and_is_trusted_afterwards(batch, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/2.png").write_bytes(b"theirs")
    assert len(batch("--exists", "overwrite").paths) == 3
    assert len(batch("--exists", "overwrite").paths) == 3
    assert batch().paths == []


def test_error_refuses_a_batch_before_any_work(batch, engine, tmp_path):
    assert batch("--exists", "error").code == 0
    (tmp_path / "out/1.png").unlink()
    ran = batch("--exists", "error")
    assert (ran.code, len(engine.calls)) == (2, 3)


def test_one_picture_leaves_no_manifest_unless_asked(run, pair, engine, tmp_path):
    run("analogy", *pair, "-o", "a/x.png", "--exists", "overwrite")
    assert list(contents(tmp_path / "a")) == ["x.png"]
    run("analogy", *pair, "-o", "b/x.png", "--exists", "skip")
    assert list(contents(tmp_path / "b")) == [NAME, "x.png"]
    assert run("analogy", *pair, "-o", "b/x.png", "--exists", "skip").paths == []
    run(
        "analogy", *pair, "-o", "b/x.png", "--exists", "overwrite", "--seed", "1"
    )  # a manifest that is there is kept up
    assert run("analogy", *pair, "-o", "b/x.png", "--exists", "skip", "--seed", "1").paths == []


def test_the_manifest_has_no_times_and_is_sorted(batch, tmp_path):
    batch()
    records = [json.loads(line) for line in (tmp_path / "out" / NAME).read_bytes().splitlines()]
    assert [r["output"] for r in records] == ["1.png", "2.png", "3.png"]
    assert all(r.keys() == {"output", "made_from", "sha256", "inputs", "options", "verb"} for r in records)
    assert records[1]["inputs"] == {"source": "../in/2.png", "target": "../target.png"}


def test_samples_that_are_missing_are_made_and_the_others_kept(batch, engine, tmp_path):
    batch("--count", "3", "--compare", "strips")
    before, strips = contents(tmp_path / "out"), contents(tmp_path / "strips")
    (tmp_path / "out/2-2.png").unlink()
    engine.calls.clear()
    assert batch("--count", "3", "--compare", "strips").paths == ["out/2-2.png"]
    assert len(engine.calls) == 1
    (tmp_path / "strips/1.png").unlink()
    assert batch("--count", "3", "--compare", "strips").paths == ["strips/1.png"]
    assert (contents(tmp_path / "out"), contents(tmp_path / "strips")) == (before, strips)


def test_a_journal_that_was_cut_anywhere_is_read(batch, tmp_path):
    batch()
    whole, journal = contents(tmp_path / "out"), tmp_path / "out" / NAME
    for cut in range(0, len(whole[NAME]), 37):
        journal.write_bytes(whole[NAME][:cut])
        for i in (1, 2, 3):  # an output never is there without its record
            if f'"output":"{i}.png"'.encode() not in b"".join(
                line for line in whole[NAME][:cut].splitlines() if line.endswith(b"}")
            ):
                (tmp_path / f"out/{i}.png").unlink(missing_ok=True)
        assert batch("--quiet").code == 0
        assert contents(tmp_path / "out") == whole


def test_a_record_whose_file_never_came_is_void(batch, tmp_path):
    batch()
    whole, journal = contents(tmp_path / "out"), tmp_path / "out" / NAME
    later = {**json.loads(whole[NAME].splitlines()[0]), "sha256": "0" * 64, "made_from": "1" * 64}
    journal.write_bytes(whole[NAME] + json.dumps(later).encode() + b"\n\x00\xff junk\n[1]\n")
    assert batch().paths == []
    assert contents(tmp_path / "out") == whole


def test_unfinished_files_of_dead_runs_are_removed_and_those_of_living_writers_are_not(batch, tmp_path):
    """A writer of any kind, such as a program in Python that makes a video in the folder meanwhile."""
    batch()
    whole, left = contents(tmp_path / "out"), tmp_path / "out/.structkit-0123456789abcdef.png"
    left.write_bytes(b"half")
    code = "from structkit.media.files import *; c=atomic_path('out/a.mp4'); c.__enter__(); print(flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdin=-1, stdout=subprocess.PIPE)
    other.stdout.readline()
    batch()
    assert len(contents(tmp_path / "out").keys() - whole.keys()) == 2 and not left.exists()  # the file and its mark
    other.kill(), other.communicate()
    batch()
    assert contents(tmp_path / "out") == whole


def test_a_run_below_a_folder_takes_nothing_from_a_run_in_it(run, pair, tmp_path):
    paint(tmp_path / "in/deep/a.png", 1)
    (tmp_path / "out/deep").mkdir(parents=True)
    pending = PendingFile(tmp_path / "out/deep/a.png", b"half")
    assert run("sample", "house.png", "-n", "1", "-o", "out/deep/b.png").code == 0
    pending.take_name()
    assert (tmp_path / "out/deep/a.png").read_bytes() == b"half"


def slow(folder: Path, *arguments: str, seconds: float = 0.0, pictures: int = 99) -> subprocess.Popen:
    """A command whose engine takes its time; see `fake_engine`."""
    command = [sys.executable, str(SLOW_ENGINE), str(seconds), str(pictures), *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_killed_at_each_step_and_started_again_it_ends_in_the_same_files(run, engine, pair, tmp_path, monkeypatch):
    """Each moment between two steps that reach the disk: a child dies there, then the same command runs to its end."""
    arguments = ["sample", *pair, "-n", "1", "-o", "out/", "--quiet"]
    run(*arguments)
    whole = contents(tmp_path / "out")
    for step in range(1, 99):
        shutil.rmtree(tmp_path / "out")
        (child := os.fork()) or die_before_step(step, arguments, monkeypatch)
        died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert run(*arguments).code == 0
        assert contents(tmp_path / "out") == whole, f"killed before step {step}"
        if died == 0:
            break
    assert step > 10


def die_before_step(step: int, arguments: list[str], monkeypatch) -> None:
    """In a child process: run the command, and end as kill -9 does before its n-th write-out, renaming or removal."""
    steps = itertools.count(1)

    def lethal(function):
        return lambda *given, **named: os._exit(9) if next(steps) == step else function(*given, **named)

    for name in ("fsync", "replace", "unlink", "rmdir", "mkdir"):
        monkeypatch.setattr(os, name, lethal(getattr(os, name)))
    os._exit(main(arguments))


@pytest.mark.slow
def test_killed_at_any_moment_and_started_again_it_ends_in_the_same_files(tmp_path):
    for i in range(20):
        paint(tmp_path / f"in/{i % 3}/{i}.png", i, side=48)
    paint(tmp_path / "target.png", 99, side=48)
    arguments = ("analogy", "in", "target.png", "--compare", "strips")
    assert slow(tmp_path, *arguments, "-o", "calm", "--exists", "skip").wait() == 0
    whole, strips = contents(tmp_path / "calm"), contents(tmp_path / "strips")
    for path in (tmp_path / "strips").rglob("*.*"):
        path.unlink()
    for wait in (0.0, 0.004, 0.009, 0.013, 0.03, 0.05):
        run = slow(tmp_path, *arguments, "-o", "killed", seconds=0.02, pictures=3)
        assert run.stdout.readline()  # the first output of this run is there; it ends with no more than three
        time.sleep(wait)
        run.send_signal(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
    assert 0 < sum(name.endswith(".png") for name in contents(tmp_path / "killed")) < 20
    assert slow(tmp_path, *arguments, "-o", "killed").wait() == 0
    assert (contents(tmp_path / "killed"), contents(tmp_path / "strips")) == (whole, strips)


def test_two_runs_at_once_share_a_folder(tmp_path):
    for i in range(6):
        paint(tmp_path / f"a/{i}.png", i)
        paint(tmp_path / f"b/{i + 6}.png", i)
    runs = [slow(tmp_path, "sample", name, "-n", "1", "-o", "out") for name in ("a", "b")]
    assert [run.wait() for run in runs] == [0, 0]
    assert [slow(tmp_path, "sample", name, "-n", "1", "-o", "out").communicate()[0] for name in ("a", "b")] == [
        b"",
        b"",
    ]
    assert len(json.loads(f"[{','.join((tmp_path / 'out' / NAME).read_text().splitlines())}]")) == 12


def test_two_runs_of_one_command_share_the_work(batch, engine, tmp_path):
    """What another run has made by the time that it is wanted, or is to take its name, is skipped."""

    def other_run(call):
        engine.then = lambda call: None
        assert slow(tmp_path, "analogy", "in", "target.png", "-o", "out").communicate()[0].count(b"\n") == 3

    engine.then = other_run
    ran = batch("--json")
    records = [json.loads(line) for line in ran.out.splitlines()]
    assert (ran.code, ran.err.count("error")) == (0, 0)
    assert [r["status"] for r in records[:-1]] == ["skipped"] * 3 and len(engine.calls) == 1
    assert [r["sha256"] for r in records[:-1]] == [
        hashlib.sha256((tmp_path / f"out/{i}.png").read_bytes()).hexdigest() for i in (1, 2, 3)
    ]
    assert list(contents(tmp_path / "out")) == [NAME, "1.png", "2.png", "3.png"]
    assert batch().paths == []


def test_two_runs_of_one_command_at_once_both_end_well(tmp_path):
    for i in range(8):
        paint(tmp_path / f"in/{i}.png", i)
    command = ("sample", "in", "-n", "1", "-o", "out")
    runs = [slow(tmp_path, *command, seconds=0.02) for _ in range(2)]
    told = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    assert set(b"".join(out for out, _ in told).split()) == {f"out/{i}.png".encode() for i in range(8)}
    assert list(contents(tmp_path / "out")) == [NAME, *(f"{i}.png" for i in range(8))]
    assert slow(tmp_path, *command).communicate()[0] == b""
