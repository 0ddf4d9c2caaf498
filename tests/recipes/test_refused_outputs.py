"""Outputs of trainings that are refused before a picture is read."""

from __future__ import annotations

from pathlib import Path

import pytest

import structkit
from structkit.errors import OptionError, OutputError, StructkitError
from structkit.media.locks import held
from structkit.media.pictures import write_picture
from structkit.recipes import material

from .faces import TINY, face, fill

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("output", ["with/m.safetensors", "without/deep/m.safetensors", "link/m.safetensors"])
def test_an_output_among_the_pictures_is_refused_before_they_are_read(tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    fill(Path("with"), True, 3), fill(Path("without/deep"), False, 3)
    Path("link").symlink_to("with")
    monkeypatch.setattr(material, "read_folder", None)
    fact = (
        f"--output is {output}: in .*, a folder that is learnt from, and so would be the preview: name a place "
        "outside it$"
    )
    Path("with.txt").write_text("with\n"), Path("without.txt").write_text("without\n")
    for one, other in (("with", "without"), ([Path("with")], [Path("without")]), ("@with.txt", "@without.txt")):
        with pytest.raises(OptionError, match=fact):
            structkit.train_transfer(one, other, output, **TINY)


def test_beside_the_folders_and_beside_listed_pictures_there_is_room(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(4):
        write_picture(face(i, i < 2), Path(f"{i}.png"))
    structkit.train_transfer(["0.png", "1.png"], ["2.png", "3.png"], "m.safetensors", **TINY)
    with pytest.raises(
        OutputError, match=r"m2\.preview\.png: an input, and the preview of the training would be written over it"
    ):
        write_picture(face(9, True), Path("m2.preview.png"))
        structkit.train_transfer(["0.png", "m2.preview.png"], ["2.png", "3.png"], "m2.safetensors", **TINY)


@pytest.mark.parametrize(
    ("output", "options", "fact"),
    [
        ("band.safetensors", {"steps": 5}, r"exists and is of another training \(config.steps is 4 there, 5 here\)"),
        ("band.safetensors", {"seed": 3}, r"exists and is of another training \(seed is 0 there, 3 here\)"),
        ("text.safetensors", {}, "exists and is no checkpoint; overwrite it, or name another output"),
        ("logged.safetensors", {}, "logged.log.jsonl: exists, and is of no training that goes on; move it away"),
        ("no/m.safetensors", {}, "no such folder no; create it first"),
        ("folder.safetensors", {}, "a folder; name the file to write"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_the_pictures_are_read(
    folders, path, tmp_path, monkeypatch, output, options, fact
):
    monkeypatch.chdir(tmp_path)
    Path("band.safetensors").write_bytes(path.read_bytes())
    (
        Path("text.safetensors").write_text("of the user"),
        Path("logged.log.jsonl").write_text("of the user"),
        Path("folder.safetensors").mkdir(),
    )

    def reading(*_, **__):
        raise StructkitError("it reads")

    monkeypatch.setattr(material, "read_folder", reading)
    with pytest.raises(OutputError, match=fact):
        structkit.train_transfer(*folders, output, **{**TINY, **options})
    for said in (
        {**options, "overwrite": True},
        {},
    ):  # what may be replaced, or is this very training for all that is known yet
        if output == "band.safetensors":
            with pytest.raises(StructkitError, match=r"^it reads$"):
                structkit.train_transfer(*folders, output, **{**TINY, **said})


@pytest.mark.parametrize("options", [{}, {"steps": 5}, {"overwrite": True}])
def test_a_training_beside_another_is_refused_before_the_pictures_are_read(folders, tmp_path, monkeypatch, options):
    monkeypatch.setattr(material, "read_folder", None)
    with (
        held(tmp_path / ".structkit-m.lock"),
        pytest.raises(OutputError, match=r"m\.safetensors: another process is training it now; wait"),
    ):
        structkit.train_transfer(*folders, tmp_path / "m.safetensors", **{**TINY, **options})
