"""The journal of records: its index finds what one would find by parsing all of it, at any length and after any cut."""

from __future__ import annotations

import builtins
import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structkit_cli.run import journal
from structkit_cli.run.journal import Journal, line_of
from structkit_cli.run.manifest import Manifest
from structkit_cli.run.parts import NAME
from structkit_cli.run.verdicts import Entry, Origin

NAMES = st.sampled_from(["a.png", "b/a.png", "é.png", 'q"\\.png', "\udcff.png", "\u2028"])
WORDS = st.text(alphabet='ab"\\{}:,é', max_size=4)


def record(output: str, made_from: str = "1", facts: object = None, sha256: str = "2") -> dict:
    """A record as runs write it."""
    found = {"output": output, "made_from": made_from, "inputs": {"picture": "../in/a.png"}, "options": "3"}
    return found | {"sha256": sha256, "verb": "sample"} | ({"facts": facts} if facts else {})


RECORDS = st.builds(record, NAMES, WORDS, st.none() | st.dictionaries(st.just("output") | WORDS, WORDS), WORDS)
FOREIGN = st.sampled_from(
    [
        b"\n",
        b"[1]\n",
        b"\x00\xff junk\n",
        b'{"output":"a.png"}\n',
        b'{"made_from":"1","options":"2","output":"a.png","sha256":"4","verb":"v"}\n',
        b'{"x":{"made_from":"1","options":"2","output":"a.png","sha256":"4","verb":"v"}}\n',
        b'{"x":{"made_from":"1","options":"2","output":"a.png","sha256":"4","verb":"v"}\n',
        b'{"output": "b/a.png", "made_from": "1", "sha256": "2", "x": {"output":"a.png"}}\n',
        '{"made_from":"1","options":"2","output":"é.png","sha256":"4","verb":"v"}\n'.encode(),
        b'{"output":"a.png","made_from":"1","sha256":"2"}  \n',
    ]
)
LINES = st.lists(RECORDS.map(line_of) | FOREIGN, max_size=8)


def parsed(data: bytes) -> dict[str, list[dict]]:
    """The records of each output, by parsing all lines."""
    found: dict[str, list[dict]] = {}
    for line in data.split(b"\n"):
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if isinstance(one, dict) and all(isinstance(one.get(name), str) for name in ("output", "made_from", "sha256")):
            found.setdefault(one["output"], []).append(one)
    return found


def held(read: Journal) -> dict[str, list[dict]]:
    """The records of each output that a journal has."""
    return {output: records for output in read if (records := read.records(output))}


@given(LINES, st.data())
def test_the_index_finds_what_parsing_finds_also_when_the_file_grows(tmp_path_factory, lines, data):
    """In any pieces, as other runs append them: a torn line counts when it is whole."""
    path, whole = tmp_path_factory.mktemp("journal") / NAME, b"".join(lines)
    read, cuts = Journal(path), sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    for cut in (*cuts, len(whole)):
        path.write_bytes(whole[:cut]) if not path.exists() else path.open("ab").write(whole[path.stat().st_size : cut])
        read.read_on()
        assert held(read) == parsed(whole[:cut])
    read.close()


@given(LINES)
def test_rewritten_it_has_those_records_and_nothing_else(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("journal") / NAME
    path.write_bytes(b"".join(lines))
    (read := Journal(path)).read_on()
    last = {output: records[-1] for output, records in parsed(path.read_bytes()).items()}
    expected = b"".join(line_of(last[output]) for output in sorted(last))
    was_reduced = read.is_reduced
    before = path.stat().st_ino
    read.rewrite(read.records(output)[-1] for output in sorted(held(read)))
    assert (path.read_bytes() if path.exists() else b"") == expected
    assert not was_reduced or len(last) < len(lines) or expected == b"".join(lines)
    if expected == b"".join(lines) != b"":
        assert path.stat().st_ino == before  # one that would be the same stays
    read.read_on()
    assert held(read) == {output: [one] for output, one in last.items()} and read.is_reduced
    read.close()


@pytest.mark.parametrize("names", ["ab", "ba", "aa", "é"])
def test_it_is_reduced_with_one_line_for_each_output_in_order(tmp_path, names):
    (tmp_path / NAME).write_bytes(b"".join(line_of(record(name)) for name in names))
    (read := Journal(tmp_path / NAME)).read_on()
    assert read.is_reduced is (list(names) == sorted(set(names)))
    read.close()


def test_a_file_that_another_run_has_replaced_is_read_anew(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(line_of(record("a.png")) * 9)
    (read := Journal(path)).read_on()
    (tmp_path / "new").write_bytes(line_of(record("b.png")))
    (tmp_path / "new").replace(path)
    read.read_on()
    assert held(read) == {"b.png": [record("b.png")]}
    read.close()


@pytest.mark.parametrize("count", [10, 40])
def test_each_byte_of_the_journal_is_read_once_while_it_grows(tmp_path, monkeypatch, count):
    """A run that makes a million outputs does not read again, at each, what it wrote before."""
    taken = []

    class Counted(io.FileIO):
        def readinto(self, buffer):
            taken.append(size := super().readinto(buffer))
            return size

    def opened(path, mode):
        return io.BufferedReader(Counted(path)) if mode == "rb" else builtins.open(path, mode)

    monkeypatch.setattr(journal, "open", opened, raising=False)
    manifest = Manifest(tmp_path, wanted=True)
    manifest.open([])
    for i in range(count):
        manifest.note(Entry(tmp_path / f"{i}.png", Origin("made"), "hash"))
    assert sum(taken) == (tmp_path / NAME).stat().st_size
    manifest.close()


def test_what_is_held_of_a_record_does_not_grow_with_it(tmp_path):
    sizes = []
    for i, facts in enumerate(({}, {"warnings": ["x" * 5000]})):
        path = tmp_path / str(i)
        path.write_bytes(b"".join(line_of(record(f"{number}.png", facts=facts)) for number in range(500)))
        tracemalloc.start()
        (read := Journal(path)).read_on()
        sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        read.close()
    assert sizes[1] < 1.1 * sizes[0] < 500 * 300
