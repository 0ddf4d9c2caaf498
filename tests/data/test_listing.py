"""What is named as a domain, and which two are one, before any picture is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from structkit.data.listing import check_apart, listed
from structkit.errors import InputError, OptionError
from structkit.media.pictures import Picture


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """The current folder: one/ and other/ with four files of a picture's suffix each, and lists of them."""
    monkeypatch.chdir(tmp_path)
    for folder in ("one", "other"):
        (tmp_path / folder / "deep").mkdir(parents=True)
        for name in ("1.png", "2.png", "10.png", "deep/3.jpg"):
            (tmp_path / folder / name).touch()
        names = sorted(str(path) for path in Path(folder).rglob("*.*"))
        (tmp_path / f"{folder}.txt").write_text("".join(f"{name}\n" for name in names))
    (tmp_path / "folder.txt").write_text("one\n")
    return tmp_path


def test_what_is_found_below_folders_in_lists_and_in_sequences():
    Path("one/notes.txt").touch()
    whole = listed("one")
    assert [name for name, _ in whole.sources] == ["1.png", "2.png", "10.png", "deep/3.jpg"]
    assert (whole.label, whole.foreign, whole.folders) == ("one", 1, (Path("one"),))
    assert (listed("@folder.txt").folders, listed("@one.txt").folders) == ((Path("one"),), ())
    assert whole.files == listed("@one.txt").files == listed([Path("one")]).files == listed("@folder.txt").files


@pytest.mark.parametrize("same", ["one", "one/", "again", "@folder.txt", ["one"], ["other", "one"]], ids=str)
def test_the_same_folder_is_seen_wherever_it_is_named(same):
    Path("again").symlink_to("one")
    for pair in (("one", same), (same, "@folder.txt")):
        with pytest.raises(
            OptionError,
            match=r"^\S+: the folder of both kinds of pictures; name two that differ in what is to be learnt$",
        ):
            check_apart(*map(listed, pair))


@pytest.mark.parametrize(
    ("pair", "fact"),
    [
        (("one", "@one.txt"), r"one: all its pictures \(4\) are in @one.txt too"),
        (("@one.txt", "@one.txt"), r"@one.txt: all its pictures \(4\) are in @one.txt too"),
        (("@both.txt", "@one.txt"), r"@one.txt: all its pictures \(4\) are in @both.txt too"),
        (("one/deep", "one"), r"one/deep: all its pictures \(1\) are in one too"),
        (("links", "other"), r"links: all its pictures \(2\) are in other too"),
    ],
)
def test_a_domain_that_is_part_of_the_other_is_seen_through_lists_and_links(pair, fact):
    Path("both.txt").write_text(Path("one.txt").read_text() + Path("other.txt").read_text())
    Path("links").mkdir()
    Path("links/a.png").symlink_to("../other/1.png"), Path("links/b.png").hardlink_to("other/2.png")
    with pytest.raises(InputError, match=rf"^{fact}; name two folders that differ in what is to be learnt$"):
        check_apart(*map(listed, pair))


def test_domains_that_share_no_file_or_some_are_two():
    Path("some.txt").write_text("one/1.png\nother/1.png\nnowhere.png\n")
    face = Picture(np.zeros((4, 4, 3), np.uint8))
    for pair in (("one", "other"), ("@one.txt", "@other.txt"), ("one", "@some.txt"), ([face], ["one/1.png"])):
        check_apart(*map(listed, pair))
    with pytest.raises(InputError, match=r"^the pictures: all its pictures \(1\) are in the pictures too"):
        check_apart(listed([face]), listed([face, "one"]))
