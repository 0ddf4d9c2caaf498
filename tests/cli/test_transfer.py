"""structkit transfer: who is painted with whose content, names, steps, several models, what is refused."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

import structkit
import structkit_cli.pages.transfer_plan
from structkit_cli.run.inputs import InputFile

from ..content_models import install
from .content import band, pixels, save_models
from .test_train_analogy import engine  # noqa: F401

PUT = ("transfer", "--model", "m.safetensors", "--device", "cpu")
BOTH = ("transfer", "--model", "d.safetensors", "--device", "cpu")
DARK = (200, 0, 0)


@pytest.fixture(autouse=True)
def folder(run, tmp_path, monkeypatch):
    """The current folder, with models, two faces and two donors."""
    install(monkeypatch)
    save_models(tmp_path)
    for name in ("faces/a.png", "faces/deep/b.png"):
        band(tmp_path / name, (0, 0, 0))
    band(tmp_path / "donors/red.png"), band(tmp_path / "donors/dark.png", DARK)
    return tmp_path


def test_one_picture_and_one_donor(run, folder):
    ran = run(*PUT, "faces/a.png", "--from", "donors/red.png")
    assert (ran.code, ran.paths) == (0, ["a-red.png"])
    made = structkit.transfer(folder / "faces/a.png", folder / "donors/red.png", folder / "m.safetensors", device="cpu")
    assert np.array_equal(pixels(folder / "a-red.png"), made.pixels) and made.pixels[12, 12, 0] > 150


def test_a_folder_with_one_donor_is_mirrored(run):
    assert run(*PUT, "faces", "--from", "donors/red.png", "-o", "out").paths == ["out/a.png", "out/deep/b.png"]


@pytest.mark.parametrize(
    "donors", [["donors"], ["donors/*.png"], ["@list.txt"], ["donors/dark.png", "donors/red.png"]], ids=str
)
def test_each_picture_gets_the_content_of_each_of_several_donors(run, folder, donors):
    (folder / "list.txt").write_text("donors/dark.png\ndonors/red.png\n")
    ran = run(*PUT, "faces", *(word for donor in donors for word in ("--from", donor)), "-o", "out")
    assert ran.paths == ["out/a-dark.png", "out/a-red.png", "out/deep/b-dark.png", "out/deep/b-red.png"]
    run(*PUT, "faces/deep/b.png", "--from", "donors/dark.png", "-o", "alone.png")
    assert (folder / "alone.png").read_bytes() == (folder / "out/deep/b-dark.png").read_bytes()
    assert run(*PUT, "faces/a.png", "--from", "donors", "-o", "of-one/").paths == [
        "of-one/a-dark.png",
        "of-one/a-red.png",
    ]


def test_a_donor_whose_name_begins_like_a_list_is_named_by_its_folder(run, folder):
    band(folder / "@red.png")
    assert run(*PUT, "faces/a.png", "--from", "./@red.png").paths == ["a-@red.png"]


def test_donors_of_one_name_are_told_apart_by_their_folders(run, folder):
    band(folder / "donors/deep/red.png", DARK)
    ran = run(*PUT, "faces/a.png", "--from", "donors", "-o", "out/")
    assert sorted(ran.paths) == ["out/a-dark.png", "out/a-deep-red.png", "out/a-red.png"]
    assert (folder / "out/a-dark.png").read_bytes() == (folder / "out/a-deep-red.png").read_bytes()


def test_donors_of_one_name_in_several_folders_have_what_they_are_in(run, folder):
    for name, colour in {"a/1.png": DARK, "b/1.png": DARK, "c/b/1.png": (255, 0, 0), "2.png": DARK}.items():
        band(folder / name, colour)
    one, other, deep = (("--from", f"{name}/1.png") for name in ("a", "b", "c/b"))
    ran = run(*PUT, "faces/a.png", *one, *other, "-o", "out/")
    assert ran.paths == ["out/a-a-1.png", "out/a-b-1.png"] and ran.code == 0
    assert (
        run(
            *PUT, "faces/a.png", "--from", "a", "--from", str(folder / "b"), "-o", "out/", "--exists", "overwrite"
        ).paths
        == ran.paths
    )
    assert run(*PUT, "faces/a.png", *other, *deep, "--from", "2.png", "-o", "deep/").paths == [
        "deep/a-b-1.png",
        "deep/a-c-b-1.png",
        "deep/a-2.png",
    ]
    assert (
        (folder / "deep/a-b-1.png").read_bytes()
        == (folder / "out/a-a-1.png").read_bytes()
        != (folder / "deep/a-c-b-1.png").read_bytes()
    )
    assert run(*PUT, "faces/a.png", *one, *one, "--from", str(folder / "a/1.png"), "-o", "once/").paths == [
        "once/a-1.png"
    ]


def test_donors_that_no_folder_tells_apart_are_refused(run, folder):
    (folder / "donors/red.jpg").write_bytes((folder / "donors/red.png").read_bytes())
    ran = run(*PUT, "faces", "--from", "donors", "-o", "out")
    both = "faces/a.png + donors/red.jpg and faces/a.png + donors/red.png to out/a-donors-red.png; "
    assert (ran.code, ran.err.count("\n")) == (2, 1) and both in ran.err
    assert " to out/deep/b-donors-red.png: rename these, or say --keep-suffix" in ran.err
    ran = run(*PUT, "faces/a.png", "--from", "donors/red.*", "-o", "out", "--keep-suffix")
    assert ran.paths == ["out/a.png-red.jpg.png", "out/a.png-red.png.png"]
    (folder / "deep").mkdir()
    (folder / "deep/red.png").write_bytes((folder / "donors/red.png").read_bytes())
    ones = ("--from", "deep/red.png", "--from", "donors/red.png")
    assert run(*PUT, "faces/a.png", *ones, "-o", "new/", "--keep-suffix").paths == [
        "new/a.png-deep-red.png.png",
        "new/a.png-donors-red.png.png",
    ]


def test_names_that_clash_are_told_by_what_is_not_the_same_for_all(run, folder):
    (folder / "faces/a.jpg").write_bytes((folder / "faces/a.png").read_bytes())
    ran = run(*PUT, "faces", "--from", "donors/red.png", "-o", "out")
    fact = "faces/a.jpg and faces/a.png would both be written to out/a.png: rename one, or say --keep-suffix"
    assert ran.code == 2 and ran.err.startswith(f"structkit: error: {fact}")


def test_steps_are_numbered_and_go_from_nothing_or_from_donor_to_donor(run, folder):
    ran = run(*PUT, "faces/a.png", "--from", "donors/red.png", "--steps", "3")
    assert ran.paths == ["a-red-1.png", "a-red-2.png", "a-red-3.png"]
    assert np.array_equal(pixels(folder / "a-red-1.png"), pixels(folder / "faces/a.png"))
    run(*PUT, "faces/a.png", "--from", "donors/red.png", "-o", "whole.png")
    run(*PUT, "faces/a.png", "--from", "donors/red.png", "--strength", "0.5", "-o", "half.png")
    assert np.array_equal(pixels(folder / "a-red-3.png"), pixels(folder / "whole.png"))
    assert np.array_equal(pixels(folder / "a-red-2.png"), pixels(folder / "half.png"))
    between = run(*PUT, "faces", "--from", "donors/dark.png", "--from", "donors/red.png", "--steps", "2", "-o", "out")
    assert between.paths == ["out/a-1.png", "out/a-2.png", "out/deep/b-1.png", "out/deep/b-2.png"]
    assert np.array_equal(pixels(folder / "out/a-2.png"), pixels(folder / "whole.png"))


def test_two_models_put_one_content_on_after_another(run, folder):
    two = ("--model", "other.safetensors", "--from", "donors/dark.png")
    assert run(*PUT, "--from", "donors/red.png", *two, "faces/a.png").paths == ["a-red-dark.png"]
    run(*PUT, "faces/a.png", "--from", "donors/red.png", "-o", "first.png")
    run("transfer", "--device", "cpu", *two, "first.png", "-o", "then.png")
    assert np.array_equal(pixels(folder / "then.png"), pixels(folder / "a-red-dark.png"))
    assert run(*PUT, "--from", "donors/red.png", *two, "faces", "-o", "out").paths == ["out/a.png", "out/deep/b.png"]


def test_a_difference_takes_either_content_or_both(run, folder):
    band(folder / "donors/blue.png", (0, 0, 250))
    codes = {}
    for name, donors in {"a": ("--from", "donors/red.png"), "b": ("--from-b", "donors/blue.png")}.items():
        assert run(*BOTH, "faces/a.png", *donors, "-o", f"{name}.png").code == 0
        codes[name] = pixels(folder / f"{name}.png")[12, 12]
    ran = run(*BOTH, "faces/a.png", "--from", "donors/red.png", "--from-b", "donors/blue.png", "--json")
    record = json.loads(ran.out.splitlines()[0])
    assert record["output"] == "a-red-blue.png"
    assert record["with"] == {"from": "donors/red.png", "from_b": "donors/blue.png", "model": "d.safetensors"}
    assert pixels(folder / "a-red-blue.png")[12, 12].tolist() == [codes["a"][0], codes["a"][1], codes["b"][2]]


def test_a_donor_without_the_content_is_a_warning_that_names_it(run, folder):
    ran = run(*PUT, "faces", "--from", "faces/a.png", "-o", "out", "--json")
    [warning] = json.loads(ran.out.splitlines()[0])["warnings"]
    assert warning == "faces/a.png: the model finds next to none of its content there (0.00% of the picture)"
    assert f"structkit: warning: out/a.png: {warning}" in ran.err


@pytest.fixture
def read(monkeypatch):
    """Names of the files that are read, in their order."""
    names, picture = [], InputFile.picture
    monkeypatch.setattr(
        InputFile, "picture", lambda given, **reading: names.append(given.name) or picture(given, **reading)
    )
    return names


def test_a_donor_that_cannot_be_read_is_read_once_and_fails_only_what_it_was_for(run, folder, read):
    (folder / "donors/bad.png").write_bytes(b"no picture")
    ran = run(*PUT, "faces", "--from", "donors", "-o", "out")
    assert (ran.code, len(ran.paths)) == (1, 4) and ran.err.count(
        "structkit: error: donors/bad.png: not a picture"
    ) == 2
    assert read.count("donors/bad.png") == 1


@pytest.mark.parametrize("there", [True, False])
def test_where_the_only_donor_cannot_be_read_the_run_ends_at_once(run, folder, there):
    if there:
        (folder / "bad.png").write_bytes(b"no picture")
    ran = run(*PUT, "faces", "--from", "bad.png", "-o", "out", "--json")
    *records, summary = map(json.loads, ran.out.splitlines())
    assert (ran.code, summary["failed"], summary["exit"]) == (1, 1, 1)
    assert [r["error"].split(";")[0] for r in records] == [
        "bad.png: not a picture of a known format" if there else "bad.png: no such file"
    ]


@pytest.mark.parametrize("kept", [1, 2])
def test_of_many_donors_the_contents_of_those_used_last_are_kept(run, monkeypatch, read, kept):
    monkeypatch.setattr(structkit_cli.pages.transfer_plan, "DONORS", kept)
    assert len(run(*PUT, "faces", "--from", "donors", "-o", "out").paths) == 4
    assert read.count("donors/red.png") == (1 if kept == 2 else 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*PUT, "faces/a.png"), "--from is missing: name the picture whose content is to be put on"),
        (("transfer", "faces/a.png", "--from", "donors/red.png"), "--model is missing: name a checkpoint"),
        (
            (*PUT, "faces/a.png", "--from-b", "donors/red.png"),
            "--from-b is for a domain difference, and this model knows one content",
        ),
        (
            (*PUT, "faces/a.png", "--from", "donors/red.png", "--strength", "2"),
            "--strength is 2: it must be between 0 and 1.3",
        ),
        ((*PUT, "faces/a.png", "--from", "donors/red.png", "--strength", "0.5", "--steps", "4"), "give one of them"),
        (
            (*PUT, "faces/a.png", *("--from", "donors/red.png") * 3, "--steps", "4"),
            "--steps goes from nothing to one donor, or from one donor to another: name one or two",
        ),
        (
            (*PUT, "faces/a.png", "--from", "donors", "--steps", "4"),
            "--from donors may be many pictures: with --steps, or with several models, name one file",
        ),
        (
            (*PUT, "--model", "other.safetensors", "faces/a.png", "--from", "donors/red.png"),
            "--model is given 2 times, and --from 1: give each model its donor, in the same order",
        ),
        (
            (*PUT, "--model", "other.safetensors", "faces/a.png", *("--from", "donors/red.png") * 2, "--steps", "2"),
            "--steps is for one model: name one, or leave --steps out",
        ),
        (
            (*PUT, "--model", "d.safetensors", "faces/a.png", *("--from", "donors/red.png") * 2),
            "--model is given 2 times, and d.safetensors is a domain difference: it is used alone",
        ),
        (
            (*PUT, "faces/a.png", "--from", "donors"),
            "there may be several outputs: name a folder for them with --output FOLDER/",
        ),
        ((*PUT, "faces", "--from", "donors/red.png", "-o", "donors"), None),
        (
            (*PUT, "faces", "--from", "donors", "-o", "donors"),
            "donors is a folder of inputs too: write elsewhere with --output",
        ),
        ((*PUT, "faces/a.png", "--from", "donors/red.png", "-o", "donors/red.png"), "donors/red.png is an input too"),
        ((*PUT, "faces/a.png", "--from", "donors/red.png", "--seed", "3"), "No such option: --seed"),
        (
            (*PUT, "faces/a.png", "--from", "donors/red.png", "--dtype", "float32"),
            "No such option: --dtype",
        ),
        ((*PUT, "faces/a.png", "--from", ""), "an input is the empty text: name a file"),
        (
            ("transfer", "faces/a.png", "--model", "", "--from", "donors/red.png"),
            "the name of a model is the empty text: name",
        ),
        (
            (*PUT, "faces/a.png", "--from", "donors/red.png", "--by", "donor"),
            "--by donor needs a painter and a placer, and this model has not both",
        ),
        (
            (*BOTH, "faces/a.png", "--from", "donors/red.png", "--by", "codes"),
            "--by codes is for a model of one content",
        ),
        (
            (*BOTH, "faces/a.png", "--from", "donors/red.png", "--by", "donor"),
            "--by donor is for a model of one content",
        ),
        (
            (*PUT, "--model", "other.safetensors", "faces/a.png", *("--from", "donors/red.png") * 2, "--by", "donor"),
            "--by donor needs a painter",
        ),
        ((*PUT, "-", "--from", "-"), "standard input (-) is named twice: it can be read only once"),
    ],
)
def test_what_cannot_be(run, monkeypatch, arguments, message):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    ran = run(*arguments)
    if message is None:
        assert ran.code == 0  # a folder with a donor in it may take the results
        return
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, b"", 1)
    assert message in ran.err


def test_donors_can_be_named_in_a_file_and_in_the_environment(run, folder, monkeypatch):
    (folder / "c.toml").write_text('[transfer]\nmodel = "m.safetensors"\nfrom = "donors/red.png"\n')
    printed = run("transfer", "--config", "c.toml", "--print-config").out.decode()
    assert 'from = ["donors/red.png"]' in printed and "from_" not in printed.replace("from_b", "")
    assert run("transfer", "faces/a.png", "--config", "c.toml", "--device", "cpu").paths == ["a-red.png"]
    monkeypatch.setenv("STRUCTKIT_TRANSFER_FROM", "donors/dark.png")
    assert run("transfer", "faces/a.png", "--model", "m.safetensors", "--device", "cpu").paths == ["a-dark.png"]
    band(folder / "my red.png")
    monkeypatch.setenv("STRUCTKIT_TRANSFER_FROM", os.pathsep.join(["donors/dark.png", "my red.png"]))
    ran = run("transfer", "faces/a.png", "--model", "m.safetensors", "--device", "cpu", "-o", "of-two/")
    assert ran.paths == ["of-two/a-dark.png", "of-two/a-my red.png"]
    monkeypatch.setenv("STRUCTKIT_TRANSFER_FROM_", "donors/dark.png")
    assert run("transfer", "faces/a.png", "--model", "m.safetensors", "--device", "cpu").code == 2
