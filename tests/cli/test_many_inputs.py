"""A million inputs: what a run asks the system about each file, what it holds of it, and what it need not load."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structkit.data.listing import suffix_of
from structkit.errors import InputError
from structkit_cli.run.cluster.wire import pack, unpack
from structkit_cli.run.inputs import InputFile, gather
from structkit_cli.run.parts import NAME
from structkit_cli.run.plan import Output, Task

from .conftest import paint

COMMAND = ("sample", "in", "-n", "1", "-o", "out")


def rerun_calls(run, monkeypatch, tmp_path: Path, count: int) -> Counter:
    """The calls of the system by name, in a rerun of so many inputs in which all is done."""
    command = ("analogy", "in", paint(tmp_path / "target.png", 0), "-o", "out")
    for i in range(count):
        paint(tmp_path / f"in/{i}.png", i)
    assert run(*command).code == 0
    calls: Counter[str] = Counter()

    def counted(name: str):
        call = getattr(os, name)

        def counting(*arguments, **how):
            calls[name] += 1
            return call(*arguments, **how)

        return counting

    with monkeypatch.context() as patched:
        for name in ("stat", "lstat", "open", "scandir", "listdir", "access", "readlink"):
            patched.setattr(os, name, counted(name))
        assert run(*command).paths == []
    return calls


def test_a_rerun_looks_three_times_and_opens_two_files_for_each_input(run, monkeypatch, tmp_path):
    """The input once; its output once in the plan, and once when its hash is asked for.  All else is asked once."""
    few = rerun_calls(run, monkeypatch, tmp_path, 5)
    more = rerun_calls(run, monkeypatch, tmp_path, 15)
    assert {name: more[name] - few[name] for name in more} == {
        **dict.fromkeys(more, 0),
        "stat": 20,
        "lstat": 10,
        "open": 20,
    }


def test_a_rerun_of_what_is_done_loads_neither_torch_nor_numpy(run, tmp_path):
    paint(tmp_path / "in/a.png", 1), paint(tmp_path / "in/b/c.png", 2)
    assert run(*COMMAND).paths == ["out/a.png", "out/b/c.png"]
    code = f"""
import sys
from structkit_cli.__main__ import main
assert main({COMMAND!r}) == 0
assert not {{"torch", "numpy", "PIL", "av"}} & sys.modules.keys(), sys.modules.keys()
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=300)
    assert b"0 written, 2 skipped" in ran.stderr


def test_the_record_of_a_file_that_went_is_dropped_though_all_else_is_done(run, tmp_path):
    paint(tmp_path / "in/a.png", 1), paint(tmp_path / "in/b.png", 2)
    run(*COMMAND)
    journal = tmp_path / "out" / NAME
    first, _ = journal.read_bytes().splitlines(keepends=True)
    (tmp_path / "in/b.png").unlink(), (tmp_path / "out/b.png").unlink()
    assert run(*COMMAND).code == 0
    assert journal.read_bytes() == first


@given(st.text(alphabet="a.é/", max_size=8))
def test_names_as_text_are_those_of_paths(name):
    place = PurePath(name)
    if not place.name or place.name[0] == "." or place.name[-1] == ".":  # of names that end so, versions differ
        return
    assert suffix_of(str(place)) == place.suffix
    given = InputFile(None, place)
    assert given.spelled(keep_suffix=False) == str(given.stem) == str(place.with_suffix(""))
    assert given.spelled(keep_suffix=True) == str(place) == str(given.relative)


def test_tasks_are_sent_and_come_back_as_they_were(tmp_path):
    source = InputFile(paint(tmp_path / "a.png", 1), PurePath("a.png"))
    digest = source.sha256
    task = Task({"picture": source}, (Output(tmp_path / "o.png", tmp_path, "png", 3, chosen={"kind": "fog"}),))
    back = unpack(pack(task))
    assert back == task and back.inputs["picture"].path == source.path
    Path(source.path).unlink()
    assert back.inputs["picture"].sha256 == digest  # known where it was sent from
    assert back != Task({"picture": source}, (Output(tmp_path / "o.png", tmp_path, "png", 3),))


def test_the_size_of_an_input_is_its_bytes_and_a_pipe_has_none(run, tmp_path):
    paint(tmp_path / "in/a.png", 1), os.mkfifo(tmp_path / "pipe")
    assert [given.size for given in gather(["in"]).inputs] == [os.path.getsize("in/a.png")]
    assert [InputFile(name, "x").size for name in (None, "in", "pipe", "nowhere")] == [0, 0, 0, 0]
    assert [InputFile(name, "x").lasting for name in (None, "in", "pipe", "in/a.png")] == [None, "in", None, "in/a.png"]


def test_an_input_that_has_changed_since_it_was_looked_at_is_hashed_as_it_is(tmp_path):
    for data in (b"", b"longer than before"):
        path = tmp_path / "a.png"
        path.write_bytes(b"before")
        given = InputFile(path, "a.png")
        assert given.size == 6
        path.write_bytes(data)
        assert given.sha256 == InputFile(path, "a.png").sha256
    given = InputFile(path, "a.png")
    assert given.size == 18
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        given.sha256  # noqa: B018
