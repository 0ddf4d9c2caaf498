"""Records of several workers: each keeps its own, all are read as one, and `info` tells how far the whole is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest

from structkit.media.locks import FolderLock
from structkit_cli.run.journal import Journal, batch_line, line_of
from structkit_cli.run.parts import NAME, PARTS
from structkit_cli.run.standing import Standing

from .conftest import paint
from .test_json import faults

SCHEMA = json.loads((files("structkit_cli") / "checkpoints.schema.json").read_text())


@pytest.fixture
def batch(run, tmp_path):
    """Run a batch of six."""
    for i in range(6):
        paint(tmp_path / f"in/{i}.png", i)
    return lambda *more, out="out": run("sample", "in", "-n", "1", "-o", out, *more)


def journals(folder: Path) -> dict[str, bytes]:
    hidden = (*folder.glob(".*"), *folder.glob(f"{PARTS}/*"))
    return {path.name: path.read_bytes() for path in sorted(hidden) if path.is_file()}


@contextmanager
def at_work(folder: Path, part: str) -> Iterator[None]:
    """A context in which a worker is in the folder."""
    lock = FolderLock(folder, part)
    with lock.entering():
        pass
    yield
    with lock.leaving():
        pass


def test_each_worker_appends_to_records_of_its_own_and_leaves_those_of_others(batch, tmp_path):
    batch("--shard", "1/3")
    before = journals(tmp_path / "out")
    assert set(before) == {"1-of-3.jsonl"}
    batch("--shard", "3/3"), batch("--shard", "1/2")
    after = journals(tmp_path / "out")
    assert set(after) == {"1-of-3.jsonl", "3-of-3.jsonl", "1-of-2.jsonl"}
    assert after["1-of-3.jsonl"] == before["1-of-3.jsonl"]
    batch("--shard", "1/3")
    assert journals(tmp_path / "out")["1-of-3.jsonl"].startswith(before["1-of-3.jsonl"])


def test_a_run_alone_makes_one_manifest_of_all_the_one_that_it_would_have_written(batch, tmp_path):
    batch(out="whole")
    for i in (1, 2, 3):
        batch("--shard", f"{i}/3")
    assert batch().paths == []
    assert journals(tmp_path / "out") == journals(tmp_path / "whole") and set(journals(tmp_path / "out")) == {NAME}


def test_while_a_worker_is_there_a_run_leaves_the_records_as_they_are(batch, tmp_path):
    batch("--shard", "1/2")
    with at_work(tmp_path / "out", "1-of-2"):
        assert len(batch().paths) == 3
    assert {NAME, "1-of-2.jsonl"} <= set(journals(tmp_path / "out"))


def test_where_locks_of_others_are_not_seen_nothing_of_theirs_is_touched(batch, tmp_path, monkeypatch):
    for module in ("structkit_cli.run.manifest", "structkit.media.files"):
        monkeypatch.setattr(f"{module}.locks_hold", lambda folder: False)
    (tmp_path / "out").mkdir()
    unfinished = tmp_path / "out/.structkit-0123456789abcdef.png"  # of a process on another machine, for all we know
    unfinished.touch()
    ran = batch("--shard", "1/2")
    fact = "out/ is on a disk whose locks other machines do not see: each worker keeps records of its own"
    assert f"structkit: warning: {fact}" in ran.err and unfinished.exists()
    again = batch("--shard", "1/2")
    assert ran.code == again.code == 0 and again.paths == []
    parts = [name for name in journals(tmp_path / "out") if name.startswith("1-of-2-")]
    assert len(parts) == 2 and len((beside := batch()).paths) == 3
    assert f"structkit: warning: {fact}" in beside.err and unfinished.exists()
    assert set(parts) < set(journals(tmp_path / "out"))


def test_info_lists_the_folder_of_outputs_as_often_for_many_shards_as_for_one(run, batch, monkeypatch):
    seen, listed = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder=".": seen.append(os.path.basename(folder)) or listed(folder))
    counts = []
    for number in (1, 2, 3, 4):
        batch("--shard", f"{number}/5")
        journal = Path("out", PARTS, f"{number}-of-5.jsonl")
        journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))  # it was killed
        seen.clear()
        told(run, "out")
        counts.append(seen.count("out"))
    assert counts == [1] * 4


def test_all_is_told_of_all_alone():
    assert "(99.9 %)" in Standing("sample", 10**5, 10**5 - 1, 0).lines(Path("out"))[0]
    assert "(100.0 %)" in Standing("sample", 10**5, 10**5, 0).lines(Path("out"))[0]


def test_info_does_not_claim_to_know_who_works_where_locks_are_not_seen(run, batch, tmp_path, monkeypatch):
    for name in ("manifest", "standing"):
        monkeypatch.setattr(f"structkit_cli.run.{name}.locks_hold", lambda folder: False)
    batch("--shard", "1/2"), batch("--shard", "1/2")  # one that was started anew
    _, journal = sorted((tmp_path / "out" / PARTS).iterdir(), key=lambda path: path.stat().st_mtime_ns)
    journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[0])
    os.utime(journal)
    mark = tmp_path / "out" / f".structkit-run-{journal.stem}-0123456789abcdef.mark"
    mark.touch()
    assert told(run, "out")[1] == "shard 1/2: 3 of 3, at work or stopped, which this disk does not show"
    [record] = map(json.loads, told(run, "out", "--json"))
    assert faults(record, SCHEMA) == [] and mark.exists()


def test_info_counts_an_output_for_the_verb_that_wrote_it_last(run, batch):
    batch("--shard", "1/2")
    how = ("--size", "16x16", "--exists", "overwrite", "--shard", "1/3")
    assert run("retarget", "in", "-o", "out", *how).paths == ["out/0.png", "out/3.png"]
    lines = [line for line in told(run, "out") if line.startswith("out: ")]
    assert [line.partition(" (")[0] for line in lines] == [
        "out: 2 of 6 outputs of structkit retarget",
        "out: 2 of 6 outputs of structkit sample",
    ]


def test_info_of_odd_records_tells_what_they_say(run, tmp_path):
    needed = {"made_from": "0", "sha256": "1"}
    lines = [line_of({"output": name, **needed, **more}) for name, more in (("a", {}), ("b", {"verb": 7}))]
    (tmp_path / "old").mkdir(), (tmp_path / "old" / NAME).write_bytes(b"".join(lines))
    gone = "2 outputs are recorded and not there: the same command makes them"
    assert told(run, "old") == ["old: 0 outputs of a structkit that did not tell its verb", gone]


def test_info_of_records_that_cannot_be_read_says_so(run, batch, tmp_path, monkeypatch):
    batch("--shard", "1/2")

    def refuse(journal: Journal) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Journal, "read_on", refuse)
    ran = run("info", "out")
    assert ran.code == 1 and "error: out: its records cannot be read (Permission denied)" in ran.err


def told(run, *words: str) -> list[str]:
    ran = run("info", *words)
    assert (ran.code, ran.err) == (0, "")
    return ran.paths


def test_info_of_a_folder_tells_how_far_the_whole_is_and_each_shard(run, batch, tmp_path):
    (tmp_path / "in/5.png").write_bytes(b"junk")
    for shard in ("1/3", "2/3", "3/3")[:2]:
        batch("--shard", shard)
    first, *shards = told(run, "out/")
    assert first == "out: 4 of 6 outputs of structkit sample (66.7 %)" or first.startswith("out: 3 of 6 outputs")
    assert len(shards) == 3 and shards[2] == "shard 3/3: not begun"
    batch("--shard", "3/3")
    first, *shards = told(run, "out")
    assert first == "out: 5 of 6 outputs of structkit sample (83.3 %)"
    assert sum(", 1 failed, ended" in line for line in shards) == 1
    assert sum(line.endswith(": 2 of 2, ended") for line in shards) == 2


def test_info_tells_a_worker_without_a_share_as_ended_and_those_side_by_side_in_one_line(run, batch):
    batch("--shard", "9/9")
    assert told(run, "out") == [
        "out: 0 of 6 outputs of structkit sample (0.0 %)",
        "shards 1/9 to 8/9: not begun",
        "shard 9/9: 0 of 0, ended",
    ]


def test_info_tells_a_worker_before_its_first_output(run, batch, tmp_path, monkeypatch):
    monkeypatch.setattr("structkit_cli.run.batch._Batch._do", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert batch("--shard", "2/2").code == 130
    assert told(run, "out")[1:] == ["shard 1/2: not begun", "shard 2/2: 0 of 3, stopped; the same command goes on"]


def test_info_goes_by_what_was_written_last(run, batch, tmp_path):
    """Not by the names of journals, of which 1-of-3 comes after 1-of-2."""
    batch("--shard", "1/3")
    os.utime(tmp_path / "out" / PARTS / "1-of-3.jsonl", (0, 0))
    paint(tmp_path / "in/6.png", 6)
    batch("--shard", "1/2")
    first, *shards = told(run, "out")
    assert " of 7 outputs " in first and [line.partition(":")[0] for line in shards] == ["shard 1/2", "shard 2/2"]


def test_info_tells_what_no_share_had(run, batch, tmp_path):
    batch("--shard", "1/2")
    paint(tmp_path / "in/1.png", 1, side=256)  # by now the whole share of the first, which has ended
    batch("--shard", "2/2")
    assert told(run, "out") == [
        "out: 5 of 6 outputs of structkit sample (83.3 %)",
        "1 output in no share: inputs changed between the shards; the same command with --shard 1/1 does the rest",
        "shard 1/2: 3 of 3, ended",
        "shard 2/2: 5 of 5, ended",
    ]
    assert batch("--shard", "1/1").paths == ["out/1.png"]


def test_info_tells_a_worker_that_was_killed_from_one_at_work(run, batch, tmp_path):
    batch("--shard", "1/2")
    journal = tmp_path / "out" / PARTS / "1-of-2.jsonl"
    begun, *records, _ = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join((begun, *records)))
    assert told(run, "out")[1] == "shard 1/2: 3 of 3, stopped; the same command goes on"
    with at_work(tmp_path / "out", "1-of-2"):
        assert told(run, "out")[1] == "shard 1/2: 3 of 3, at work"


def test_info_counts_what_is_gone_and_what_a_single_run_has_left(run, batch, tmp_path):
    (tmp_path / "in/5.png").write_bytes(b"junk")
    batch()
    assert told(run, "out") == ["out: 5 of 6 outputs of structkit sample (83.3 %)"]
    paint(tmp_path / "in/5.png", 5)
    batch()
    assert told(run, "out") == ["out: 6 outputs of structkit sample"]
    (tmp_path / "in/6.png").write_bytes(b"junk")
    for _ in range(2):  # nothing new comes of it
        batch()
        assert told(run, "out") == ["out: 6 of 7 outputs of structkit sample (85.7 %)"]
    (tmp_path / "in/6.png").unlink()
    batch()
    assert told(run, "out") == ["out: 6 outputs of structkit sample"]
    (tmp_path / "out/2.png").unlink()
    gone = "1 output is recorded and not there: the same command makes it"
    assert told(run, "out") == ["out: 5 outputs of structkit sample", gone]


def test_the_record_of_a_folder_is_that_of_the_schema(run, batch):
    batch("--shard", "1/2")
    [record] = map(json.loads, told(run, "out", "--json"))
    assert faults(record, SCHEMA) == []
    [standing] = record["batches"]
    assert (standing["outputs"], standing["there"], [one["state"] for one in standing["shards"]]) == (
        6,
        3,
        ["ended", "waiting"],
    )


def test_the_name_of_a_model_that_ships_is_that_also_beside_such_a_folder(run, batch):
    batch(out="glasses")
    assert told(run, "glasses/")[0].startswith("glasses: 6 outputs") and "kind" in str(told(run, "glasses"))


def test_a_folder_without_records_is_refused(run, tmp_path):
    (tmp_path / "empty").mkdir()
    ran = run("info", "empty")
    assert ran.code == 1 and "empty: no batch of structkit has written here" in ran.err


def test_a_line_about_a_batch_that_is_damaged_is_passed_over(tmp_path):
    record = {"output": "a.png", "made_from": "0", "sha256": "1"}
    odd = [{"verb": 7, "outputs": 1}, [], "x", {"verb": "a", "outputs": "3"}, {"verb": "a", "done": 3}, {"verb": []}]
    odd += [{"verb": "a", "outputs": 3, "shard": shard, "share": 1} for shard in ("x", "3/2", "0/2", 7)]
    odd += [{"verb": "a", "outputs": 3, "shard": "1/2", **more} for more in ({}, {"share": "1"}, {"share": None})]
    odd += [{"verb": "remove", "done": "3"}]
    damaged = [line_of({"batch": one}) for one in odd]
    lines = [batch_line("remove", outputs=3), *damaged, line_of(record)]
    (tmp_path / NAME).write_bytes(b"".join([*lines, b'{"batch":{"verb":"segm']))
    journal = Journal(tmp_path / NAME)
    journal.read_on()
    assert journal.batches == [{"verb": "remove", "outputs": 3}] and list(journal) == ["a.png"]
