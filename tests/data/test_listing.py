"""What is named as a domain, and which two are one, before any picture is read."""

from __future__ import annotations

import glob
from pathlib import Path

import numpy as np
import pytest

from structkit.data.listing import check_apart, list_files
from structkit.errors import InputError, OptionError
from structkit.media.pictures import Picture
from structkit_cli.run.inputs import gather


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
    whole = list_files("one")
    assert [name for name, _ in whole.sources] == ["1.png", "2.png", "10.png", "deep/3.jpg"]
    assert (whole.label, whole.foreign, whole.folders) == ("one", 1, (Path("one"),))
    assert (list_files("@folder.txt").folders, list_files("@one.txt").folders) == ((Path("one"),), ())
    assert (
        whole.files
        == list_files("@one.txt").files
        == list_files([Path("one")]).files
        == list_files("@folder.txt").files
    )


def test_a_pattern_that_has_a_whole_folder_is_that_folder():
    Path("one/notes.txt").touch()
    whole, pattern = list_files("one"), list_files("one/**/*.*")
    assert (pattern.sources, pattern.foreign, pattern.folders) == (whole.sources, whole.foreign, ())
    assert [name for name, _ in list_files("one/?.png").sources] == ["1.png", "2.png"]
    Path("pattern.txt").write_text("one/1*.png\nother/deep/*\n")
    assert [name for name, _ in list_files("@pattern.txt").sources] == [
        "one/1.png",
        "one/10.png",
        "other/deep/3.jpg",
    ]


def test_hidden_files_are_passed_over_in_folders_and_in_patterns():
    Path("one/.hidden.png").touch(), Path("one/.deep").mkdir(), Path("one/.deep/4.png").touch()
    assert len(list_files("one").sources) == len(list_files("one/**/*").sources) == 4


def test_a_sequence_has_whatever_can_be_named_alone_and_a_path_in_it_is_of_that_very_name():
    named = list_files(["one/*.png", "@other.txt", "one/deep", Path("one/1.png")])
    assert named.files == list_files(["one", "other"]).files
    Path("[1].png").touch(), Path("@1.png").touch()
    assert list_files([Path("[1].png"), Path("@1.png")]).files == [Path("@1.png"), Path("[1].png")]
    assert list_files(["[1].png"]).files == [Path("[1].png")]  # it is there


@pytest.mark.parametrize(
    "argument", ["one", "one/", "one/*", "one/**/*.png", "o*/*.png", "@one.txt", "@folder.txt", "@pattern.txt"]
)
def test_the_command_line_and_a_training_find_the_same_files(argument):
    Path("one/notes.txt").touch(), Path("one/.hidden.png").touch()
    Path("pattern.txt").write_text("one/*.png\r\n\nother\n")
    inputs, pictures = gather([argument]), list_files(argument)
    assert sorted(given.path for given in inputs.inputs) == sorted(pictures.files) != []
    assert inputs.foreign == pictures.foreign and inputs.many


def test_a_pattern_without_pictures_and_an_unread_list_are_errors():
    Path("one/notes.txt").touch()
    with pytest.raises(InputError, match=r"^one/\*\.txt: no pictures among 1 file; pictures read: PNG"):
        list_files("one/*.txt")
    with pytest.raises(InputError, match=r"^nowhere/\*: no pictures; pictures read: PNG"):
        list_files("nowhere/*")
    with pytest.raises(InputError, match=r"^no\.txt: no such file; check the path$"):
        list_files(["one", "@no.txt"])


def test_a_listed_file_that_is_not_there_is_not_passed_over_for_its_brackets(tmp_path):
    (tmp_path / "a.png").touch()
    found = list_files([str(tmp_path / "a.png"), str(tmp_path / "b[1].png")])
    assert [path.name for path in found.files] == ["a.png", "b[1].png"]


def test_a_pattern_knows_which_new_file_it_would_have():
    found = list_files(["one/*.png", "other", "o*/**/*.jpg"])
    for path in ("one/new.png", "one/new.jpg", "other/a/b/new.jpg"):
        pattern = found.pattern_of(Path(path))
        Path(path).parent.mkdir(parents=True, exist_ok=True), Path(path).touch()
        assert path in glob.glob(pattern, recursive=True)
    for path in ("other/new.png", "one/deep/new.png", "new.png", "new.jpg"):
        assert found.pattern_of(Path(path)) is None


@pytest.mark.parametrize("same", ["one", "one/", "again", "@folder.txt", ["one"], ["other", "one"]], ids=str)
def test_the_same_folder_is_seen_wherever_it_is_named(same):
    Path("again").symlink_to("one")
    for pair in (("one", same), (same, "@folder.txt")):
        with pytest.raises(
            OptionError,
            match=r"^\S+: the folder of both kinds of pictures; name two that differ in what is to be learnt$",
        ):
            check_apart(*map(list_files, pair))


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
        check_apart(*map(list_files, pair))


def test_domains_that_share_no_file_or_some_are_two():
    Path("some.txt").write_text("one/1.png\nother/1.png\nnowhere.png\n")
    face = Picture(np.zeros((4, 4, 3), np.uint8))
    for pair in (("one", "other"), ("@one.txt", "@other.txt"), ("one", "@some.txt"), ([face], ["one/1.png"])):
        check_apart(*map(list_files, pair))
    with pytest.raises(InputError, match=r"^the pictures: all its pictures \(1\) are in the pictures too"):
        check_apart(list_files([face]), list_files([face, "one"]))
