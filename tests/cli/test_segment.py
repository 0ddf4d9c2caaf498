"""structkit segment: masks, soft masks and overlays, of one model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import structkit

from ..content_models import FakeConfig, FakeTransfer, install
from .content import band, pixels, save_models
from .test_processes import LIGHT, start
from .test_train_analogy import engine  # noqa: F401

SEGMENT = ("segment", "--model", "m.safetensors", "--device", "cpu")


@pytest.fixture(autouse=True)
def folder(run, tmp_path, monkeypatch):
    """The current folder, with models and face.png."""
    install(monkeypatch)
    save_models(tmp_path)
    band(tmp_path / "face.png", side=48)
    return tmp_path


def test_the_mask_is_as_large_as_the_picture_and_white_where_the_content_is(run, folder):
    ran = run(*SEGMENT, "face.png")
    assert (ran.code, ran.paths) == (0, ["face-segment.png"])
    mask = pixels(folder / "face-segment.png")
    assert mask.shape == (48, 48, 3) and (mask[18:30] == 255).all() and not mask[:12].any() and not mask[36:].any()
    assert set(np.unique(mask)) == {0, 255}


@pytest.mark.parametrize("options", [("--soft",), ("--overlay",), ("--threshold", "0.1")], ids=" ".join)
def test_how_it_is_shown_is_as_in_python(run, folder, options):
    run(*SEGMENT, "face.png", *options, "-o", "mask.png")
    name, *value = options
    wanted = {name.removeprefix("--"): float(value[0]) if value else True}
    made = structkit.segment(folder / "face.png", folder / "m.safetensors", device="cpu", **wanted)
    assert np.array_equal(pixels(folder / "mask.png"), made.pixels)
    assert not np.array_equal(
        pixels(folder / "mask.png"), structkit.segment(folder / "face.png", folder / "m.safetensors").pixels
    )


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "bmp", "gif", "webp", "avif"])
@pytest.mark.parametrize("options", [(), ("--soft",)], ids=" ".join)
def test_a_mask_is_written_with_one_channel_where_the_format_can_and_read_as_it_is(run, folder, suffix, options):
    assert run(*SEGMENT, "face.png", *options, "-o", f"mask.{suffix}").code == 0
    with Image.open(folder / f"mask.{suffix}") as image:
        assert image.mode == ("P" if suffix == "gif" else "L") or suffix in ("webp", "avif")
    made = structkit.segment(folder / "face.png", folder / "m.safetensors", device="cpu", soft=bool(options))
    read = pixels(folder / f"mask.{suffix}").astype(int)
    assert np.abs(read - made.pixels).max() <= (8 if suffix in ("jpg", "avif") else 0)
    assert run(*SEGMENT, "face.png", "--overlay", "-o", f"overlay.{suffix}").code == 0
    with Image.open(folder / f"overlay.{suffix}") as image:
        assert image.mode != "L"


def test_a_mask_of_a_transparent_picture_may_be_a_jpeg_and_an_overlay_not(run, folder):
    given = structkit.read_picture(folder / "face.png")
    structkit.write_picture(type(given)(given.pixels, np.full((48, 48), 9, np.uint8)), folder / "clear.png")
    assert run(*SEGMENT, "clear.png", "-o", "mask.jpg").code == 0
    ran = run(*SEGMENT, "clear.png", "--overlay", "-o", "overlay.jpg")
    assert ran.code == 1 and "JPEG cannot hold the transparency of clear.png" in ran.err


def test_what_a_model_doubts_of_itself_is_in_each_record_and_told_once(run, folder):
    FakeTransfer(FakeConfig(size=16)).save("doubtful.safetensors", doubts=["its masks are too large"])
    for name in ("a", "b"):
        band(folder / f"in/{name}.png")
    ran = run("segment", "in", "--model", "doubtful.safetensors", "--device", "cpu", "-o", "out", "--json")
    warnings = [record["warnings"] for record in map(json.loads, ran.out.splitlines()) if record["record"] == "output"]
    assert warnings == [["the model is doubtful: its masks are too large"]] * 2
    assert (
        ran.err.count("structkit: warning: the model is doubtful: its masks are too large\n")
        == 1
        == ran.err.count("doubtful:")
    )
    assert "doubtful: its masks are too large" in run("info", "doubtful.safetensors").paths


def test_a_folder(run, folder):
    band(folder / "in/a.png"), band(folder / "in/deep/b.png")
    assert run(*SEGMENT, "in", "-o", "out").paths == ["out/a.png", "out/deep/b.png"]
    assert run(*SEGMENT, "in", "-o", "out").paths == []
    hard = pixels(folder / "out/a.png")
    ran = run(*SEGMENT, "in", "-o", "out", "--soft")
    assert (ran.code, ran.paths) == (1, []) and "out/a.png exists and was made with other options" in ran.err
    assert np.array_equal(pixels(folder / "out/a.png"), hard)
    soft = run(*SEGMENT, "in", "-o", "out", "--soft", "--exists", "overwrite")
    assert soft.paths == ["out/a.png", "out/deep/b.png"]


def test_a_folder_that_is_done_imports_nothing_heavy(run, folder):
    """The card of the model is read, and hashes are compared."""
    band(folder / "in/a.png"), band(folder / "in/b.png")
    assert run(*SEGMENT, "in", "-o", "out").code == 0
    code, err = start(*SEGMENT, "in", "-o", "out", code=LIGHT)
    assert code == 0 and "0 written, 2 skipped" in err, err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("segment", "face.png"), 2, "--model is missing"),
        (
            (*SEGMENT, "face.png", "--model", "other.safetensors"),
            2,
            "--model is given 2 times, and a mask is of one: name one model",
        ),
        ((*SEGMENT, "face.png", "--soft", "--overlay"), 2, "leave out --soft or --overlay"),
        ((*SEGMENT, "face.png", "--soft", "--threshold", "0.3"), 2, "leave out --soft or --threshold"),
        ((*SEGMENT, "face.png", "--threshold", "0"), 2, "--threshold is 0: it must be between 0.01 and 1"),
        (
            ("segment", "face.png", "--model", "d.safetensors"),
            3,
            "d.safetensors: the difference of two domains, and what they have in common, which serves transfer, remove",
        ),
    ],
)
def test_what_cannot_be(run, arguments, code, message):
    ran = run(*arguments)
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, b"", 1)
    assert message in ran.err
