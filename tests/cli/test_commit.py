"""Outputs that take their names together: the order on the disk, and what goes wrong with one of them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from structkit.errors import OutputError
from structkit.media.files import PendingFile, sha256_file
from structkit_cli.run.commit import DiskError, PendingOutput, Settlement, commit
from structkit_cli.run.manifest import Manifest
from structkit_cli.run.parts import NAME
from structkit_cli.run.plan import Output
from structkit_cli.run.verdicts import Origin, OutputRefusal


@pytest.fixture
def manifest(tmp_path):
    found = Manifest(tmp_path, wanted=True)
    found.open([tmp_path])
    return found


@pytest.fixture
def waiting(tmp_path, manifest):
    """Five outputs."""
    names = [tmp_path / f"{i}.png" for i in range(5)]
    return [
        PendingOutput(Output(path, tmp_path, "png", 0), PendingFile(path, path.name.encode()), Origin("made"), "hash")
        for path in names
    ]


def visible(folder: Path) -> list[str]:
    """The names in a folder, but those of its manifest and of the marks of this run."""
    return sorted(
        path.name for path in folder.iterdir() if path.name != NAME and path.suffix not in (".mark", ".writer")
    )


def test_files_come_first_then_records_then_names_then_folders(waiting, manifest, tmp_path, monkeypatch):
    events, fsync, replace = [], os.fsync, os.replace

    def synced(descriptor):
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        events.append("record" if name.endswith(NAME) else "folder" if os.path.isdir(name) else "file")
        fsync(descriptor)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs the names of open files")
    monkeypatch.setattr("os.fsync", synced)
    monkeypatch.setattr("os.replace", lambda *names: events.append("name") or replace(*names))
    assert commit(waiting, {tmp_path: manifest}, "error") == Settlement()
    assert events == ["file"] * 5 + ["record", "folder"] + ["name"] * 5 + [
        "folder"
    ]  # the first folder: the manifest is new
    assert [(tmp_path / f"{i}.png").read_bytes() for i in range(5)] == [f"{i}.png".encode() for i in range(5)]
    assert len((tmp_path / NAME).read_bytes().splitlines()) == 5


@pytest.mark.parametrize("exists", ["error", "skip", "overwrite"])
def test_one_whose_name_was_taken_meanwhile_is_left_out_and_the_others_are_not(waiting, manifest, tmp_path, exists):
    (tmp_path / "2.png").write_bytes(b"of the user")
    errors = commit(waiting, {tmp_path: manifest}, exists).errors
    replaced = exists == "overwrite"
    assert list(errors) == ([] if replaced else [2]) and all(isinstance(e, OutputError) for e in errors.values())
    assert visible(tmp_path) == [f"{i}.png" for i in range(5)]
    assert (tmp_path / "2.png").read_bytes() == (b"2.png" if replaced else b"of the user")
    assert (b"2.png" in (tmp_path / NAME).read_bytes()) is replaced


def test_one_that_the_disk_does_not_take_is_left_out_and_the_others_are_not(waiting, manifest, tmp_path, monkeypatch):
    settle = PendingFile.settle

    def full(self):
        if Path(self.path).name == "3.png":
            raise OutputError("3.png: the disk is full; free some space") from OSError(28, "No space left on device")
        settle(self)

    monkeypatch.setattr(PendingFile, "settle", full)
    errors = commit(waiting, {tmp_path: manifest}, "error").errors
    assert isinstance(errors[3], DiskError) and errors[3].__cause__.errno == 28 and len(errors) == 1
    assert visible(tmp_path) == ["0.png", "1.png", "2.png", "4.png"]


def test_without_records_nothing_takes_its_name(waiting, manifest, tmp_path, monkeypatch):
    def refuse(*records):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(manifest, "note", refuse)
    errors = commit(waiting, {tmp_path: manifest}, "error").errors
    assert len(errors) == 5 and all("cannot be written (Permission denied)" in str(error) for error in errors.values())
    assert visible(tmp_path) == []


@pytest.mark.parametrize("spelled", [".", "link"])
def test_no_other_run_makes_an_output_between_the_last_look_and_its_name(
    waiting, manifest, tmp_path, monkeypatch, spelled
):
    """Of two runs with other options, neither of which found anything, one keeps what the other made."""
    (tmp_path / "link").symlink_to(".")
    root = tmp_path / spelled
    other = Manifest(root, wanted=True)
    other.open([root])
    theirs = [
        PendingOutput(Output(path, root, "png", 0), PendingFile(path, b"theirs"), Origin("other", options="other"), "")
        for path in (root / f"{i}.png" for i in range(5))
    ]
    ours = [replace(one, sha256=sha256_file(one.file.hidden)) for one in waiting]
    settled, note = [], manifest.note
    run = Thread(target=lambda: settled.append(commit(theirs, {root: other}, "skip")))

    def noted(*entries):
        run.start()
        run.join(0.2)
        note(*entries)

    monkeypatch.setattr(manifest, "note", noted)
    assert commit(ours, {tmp_path: manifest}, "skip") == Settlement()
    run.join()
    assert {type(error) for error in settled[0].errors.values()} == {OutputRefusal} and len(settled[0].errors) == 5
    assert [(tmp_path / f"{i}.png").read_bytes() for i in range(5)] == [f"{i}.png".encode() for i in range(5)]


def test_two_names_of_one_folder_do_not_wait_for_each_other(waiting, manifest, tmp_path):
    """As of results and strips that go to one folder, one of them through a link."""
    (tmp_path / "link").symlink_to(".")
    link = tmp_path / "link"
    strip = PendingOutput(Output(link / "s.png", link, "png", 0), PendingFile(link / "s.png", b"s"), Origin("made"), "")
    other = Manifest(link, wanted=True)
    other.open([link])
    assert commit([*waiting, strip], {tmp_path: manifest, link: other}, "skip") == Settlement()
    assert visible(tmp_path) == [*(f"{i}.png" for i in range(5)), "link", "s.png"]
