"""What is named as a domain, and which two are one, before any picture is read."""

from __future__ import annotations

import glob
import os
from pathlib import Path

import numpy as np
import pytest

from structkit.data.listing import check_apart, list_files, unread_words
from structkit.errors import InputError, OptionError
from structkit.media import texts
from structkit.media.pictures import Picture, write_picture
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


def test_a_pattern_in_a_folder_whose_name_is_like_a_pattern_finds_what_is_there(here, monkeypatch):
    for name in ("br[1]", "br1", "br[1]/x[2]"):
        (here / name).mkdir()
        (here / name / "a.png").touch()
    Path("list.txt").write_text("br[1]/*.png\nbr[1]/x[2]\n")
    for arguments, files in {
        ("br[1]/*.png",): ["br[1]/a.png"],
        ("br[1]/**/*.png",): ["br[1]/a.png", "br[1]/x[2]/a.png"],
        ("br[1]/x[2]/?.png",): ["br[1]/x[2]/a.png"],
        ("br[1]",): ["br[1]/a.png", "br[1]/x[2]/a.png"],
        ("@list.txt",): ["br[1]/a.png", "br[1]/x[2]/a.png"],
        ("br[12]/*.png",): ["br1/a.png"],
        (str(here / "br[1]/*.png"),): [str(here / "br[1]/a.png")],
    }.items():
        assert [str(given.path) for given in gather(arguments).inputs] == files, arguments
        assert sorted(map(str, list_files(arguments[0]).files)) == files
    assert gather(["br[1]/x[2]/*.png"]).inputs[0].relative == Path("a.png")
    assert list_files("br[1]/*.png").pattern_of(Path("br[1]/new.png")) == "br[1]/*.png"
    monkeypatch.chdir(here / "br[1]")
    assert list_files("*.png").pattern_of(Path("new.png")) == "*.png"
    assert list_files("*.png").pattern_of(here / "br1/new.png") is None


def test_names_of_jpegs_and_pictures_without_a_suffix_are_taken_in_folders_and_patterns():
    for name in ("a.jfif", "b.JPE", "c.mpo", "notes", "empty"):
        (Path("one/deep") / name).write_text("hello" if name == "notes" else "")
    write_picture(Picture(np.zeros((4, 4, 3), np.uint8)), "one/deep/x.png")
    Path("one/deep/x.png").rename("one/deep/suffixless")
    os.mkfifo("one/deep/pipe")
    names = ["3.jpg", "a.jfif", "b.JPE", "c.mpo", "suffixless"]
    for argument in ("one/deep", "one/deep/*"):
        assert [name for name, _ in list_files(argument).sources] == names
        assert [given.path.name for given in gather([argument]).inputs] == names
        assert gather([argument]).foreign == 2


def test_pictures_of_formats_that_are_not_read_are_named_where_they_are_passed_over():
    for i in range(4):
        Path(f"one/deep/{i}.HEIC").touch()
    Path("other/a.jxl").touch(), Path("other/b.txt").touch()
    assert gather(["one/**/*"]).unread == [Path(f"one/deep/{i}.HEIC") for i in range(4)]
    found = list_files("other")
    assert (found.unread, found.foreign) == ((Path("other/a.jxl"),), 2)
    assert unread_words(found.unread) == ", 1 of them a picture of a format that is not read (other/a.jxl)"
    some = "one/deep/0.HEIC, one/deep/1.HEIC, one/deep/2.HEIC, ..."
    assert unread_words(list_files("one").unread) == f", 4 of them pictures of formats that are not read ({some})"
    assert unread_words(()) == ""
    with pytest.raises(InputError, match=r"no pictures among 4 files, 4 of them pictures of formats that are not read"):
        list_files("one/deep/*.HEIC")


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=repr)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_list_means_the_same_in_every_encoding_that_a_shell_or_an_editor_writes(encoding, line_end):
    Path("one/é 1.png").touch()
    text = line_end.join(["one/é 1.png", "", "one/2.png", "one/deep", ""])
    marked = b"\xfe\xff" + text.encode(encoding) if encoding == "utf-16-be" else text.encode(encoding)
    Path("list.txt").write_bytes(marked)
    expected = [Path("one/2.png"), Path("one/deep/3.jpg"), Path("one/é 1.png")]
    assert sorted(given.path for given in gather(["@list.txt"]).inputs) == expected
    assert sorted(list_files("@list.txt").files) == expected


@pytest.mark.parametrize(
    ("data", "fact"),
    [
        (b"a\0b.png\n", "line 1 has a NUL character; save it as plain text, in UTF-8, line by line"),
        (b"one/1.png\none/2.png\0one/3.png\0", "line 2 has a NUL character; save it as plain text"),
        (b"\xff\xfeo\0n", "byte 2 is not of a text in UTF-16; save it as UTF-8"),
        (b"\xff\xfe\x00\xd8a\0", "byte 0 is not of a text in UTF-16; save it as UTF-8"),
    ],
)
def test_a_list_that_is_no_text_is_refused_in_one_line(data, fact):
    Path("list.txt").write_bytes(data)
    with pytest.raises(OptionError, match=rf"^@list\.txt: {fact}"):
        gather(["@list.txt"])
    with pytest.raises(InputError, match=rf"^list\.txt: {fact}"):
        list_files("@list.txt")


def test_names_in_a_list_keep_bytes_that_are_no_text():
    name = b"one/\xff.png"
    Path(os.fsdecode(name)).touch()
    Path("list.txt").write_bytes(name)
    assert [os.fsencode(given.path) for given in gather(["@list.txt"]).inputs] == [name]


def test_a_name_with_a_nul_character_is_refused():
    with pytest.raises(OptionError, match="a name with a NUL character"):
        gather(["a\0b.png"])
    with pytest.raises(InputError, match="a name with a NUL character"):
        list_files(["a\0b.png"])


def test_a_list_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(texts, "MOST", 2**21)
    with pytest.raises(OptionError, match=r"^@/dev/zero: over the limit of 2 MiB for a text file"):
        gather(["@/dev/zero"])


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
