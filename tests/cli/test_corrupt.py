"""structkit corrupt: names and places of outputs, what is kept of the inputs, records."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import structkit
from structkit.data.corruptions import CORRUPTIONS, content_name, corrupted, parameters, seed_of
from structkit.media.pictures import Picture, read_picture, write_picture

from .conftest import paint


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


@pytest.fixture
def folder(run, tmp_path):
    """The current folder, with face.png and a tree of three pictures."""
    paint(tmp_path / "face.png", 1, side=20)
    for i, name in enumerate(("cats/1", "cats/2", "dogs/1")):
        paint(tmp_path / f"in/{name}.png", 10 + i, side=12)
    return tmp_path


def expected(path, kind: str, severity: int, seed: int = 0) -> np.ndarray:
    pixels = read_picture(path).at(8).pixels
    return corrupted(pixels, kind, severity, seed_of(content_name(pixels), kind, severity, seed))


def pixels(path) -> np.ndarray:
    return read_picture(path).pixels


def test_one_picture_and_one_corruption(run, folder):
    ran = run("corrupt", "face.png", "--kind", "fog")
    assert (ran.code, ran.paths) == (0, ["face-fog-3.png"])
    assert np.array_equal(pixels(folder / "face-fog-3.png"), expected(folder / "face.png", "fog", 3))
    assert run("corrupt", "face.png", "--kind", "snow", "--severity", "5", "--seed", "7", "-o", "new.png").code == 0
    assert np.array_equal(pixels(folder / "new.png"), expected(folder / "face.png", "snow", 5, 7))
    made = structkit.corrupt(folder / "face.png", "snow", 5, seed=7)
    assert np.array_equal(pixels(folder / "new.png"), made.pixels)


def test_one_picture_and_several_corruptions(run, folder):
    ran = run("corrupt", "face.png", "--kind", "fog,frost", "--severity", "1,3", "-o", "new/")
    assert ran.paths == [f"new/face-{kind}-{severity}.png" for kind in ("fog", "frost") for severity in (1, 3)]
    assert run("corrupt", "face.png", "--kind", "fog", "--severity", "1-2", "-o", "x.webp").paths == [
        "x-fog-1.webp",
        "x-fog-2.webp",
    ]
    assert len({(folder / path).read_bytes() for path in ran.paths}) == 4


def test_a_batch_of_one_corruption_mirrors_the_tree(run, folder):
    assert run("corrupt", "in", "--kind", "glass_blur", "-o", "out").paths == [
        "out/cats/1.png",
        "out/cats/2.png",
        "out/dogs/1.png",
    ]


def test_a_batch_of_several_is_laid_out_as_the_benchmark(run, folder):
    ran = run("corrupt", "in", "--kind", "all", "--severity", "1,5", "-o", "out")
    wanted = {f"out/{k}/{s}/{name}.png" for k in CORRUPTIONS for s in (1, 5) for name in ("cats/1", "cats/2", "dogs/1")}
    assert ran.code == 0 and len(ran.paths) == 90 and set(ran.paths) == wanted
    assert np.array_equal(
        pixels(folder / "out/shot_noise/5/dogs/1.png"), expected(folder / "in/dogs/1.png", "shot_noise", 5)
    )


def test_a_copy_in_another_folder_is_corrupted_alike_and_another_picture_is_not(run, folder):
    (folder / "other/deep").mkdir(parents=True)
    shutil.copy(folder / "in/dogs/1.png", folder / "other/deep/z.png")
    run("corrupt", "in", "--kind", "gaussian_noise", "-o", "out")
    run("corrupt", "other", "face.png", "--kind", "gaussian_noise", "-o", "others")
    assert (folder / "out/dogs/1.png").read_bytes() == (folder / "others/deep/z.png").read_bytes()
    grey = np.full((12, 12, 3), 128, np.uint8)
    for i, path in enumerate(("a/1.png", "b/1.png")):  # two of one name, of almost the same pixels
        grey[0, 0] = 127 + i
        (folder / path).parent.mkdir()
        write_picture(Picture(grey), folder / path)
    run("corrupt", "a/1.png", "--kind", "gaussian_noise", "-o", "a.png")
    run("corrupt", "b/1.png", "--kind", "gaussian_noise", "-o", "b.png")
    assert not np.array_equal(pixels(folder / "a.png")[1:], pixels(folder / "b.png")[1:])


def test_a_later_run_adds_corruptions_and_makes_none_anew(run, folder):
    run("corrupt", "in", "--kind", "fog", "--severity", "1-2", "-o", "out")
    ran = run("corrupt", "in", "--kind", "weather", "--severity", "2", "-o", "out", "--json")
    *records, summary = map(json.loads, ran.out.splitlines())
    assert ran.code == 0 and (summary["skipped"], summary["written"]) == (3, 9)
    assert {r["corruption"]["kind"] for r in records if r["status"] == "skipped"} == {"fog"}
    assert run("corrupt", "in", "--kind", "weather", "--severity", "2", "--seed", "1", "-o", "out").code == 1


def test_a_record_tells_what_was_done(run, folder):
    ran = run("corrupt", "face.png", "--kind", "motion-blur", "--severity", "4", "--seed", "5", "--json")
    record = json.loads(ran.out.splitlines()[0])
    assert record["seed"] == 5 and record["device"] == "cpu" and record["warnings"] == []
    constants = parameters("motion_blur", 4, 20)
    assert record["corruption"] == {
        "kind": "motion_blur",
        "severity": 4,
        "parameters": constants,
        "origin": "those of 32 px",
    }


def test_alpha_stays_and_sixteen_bits_become_eight_which_is_said(run, folder):
    draw = np.random.default_rng(0)
    deep, alpha = draw.integers(0, 65536, (9, 9, 3), dtype=np.uint16), draw.integers(0, 65536, (9, 9), dtype=np.uint16)
    write_picture(Picture(deep, alpha=alpha), folder / "deep.png")
    ran = run("corrupt", "deep.png", "--kind", "contrast", "-o", "out.png")
    made = read_picture(folder / "out.png")
    assert made.bits == 8 and np.array_equal(made.alpha, read_picture(folder / "deep.png").at(8).alpha)
    assert np.array_equal(made.pixels, expected(folder / "deep.png", "contrast", 3))
    assert "deep.png: 16 bits a channel are reduced to 8, for which the corruptions are defined" in ran.err
    ran = run("corrupt", "deep.png", "--kind", "contrast", "-o", "out.jpg")
    assert ran.code == 1 and "JPEG cannot hold the transparency of deep.png" in ran.err


def test_a_jpeg_is_read_upright(run, folder):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (8, 16, 3), dtype=np.uint8)).save(
        folder / "turned.jpg", exif=exif
    )
    assert run("corrupt", "turned.jpg", "--kind", "pixelate", "-o", "out.png").code == 0
    assert pixels(folder / "out.png").shape == (16, 8, 3)


def test_one_result_goes_to_stdout(run, folder):
    ran = run("corrupt", "face.png", "--kind", "brightness", "-o", "-")
    assert np.array_equal(read_picture(ran.out).pixels, expected(folder / "face.png", "brightness", 3))
    ran = run("corrupt", "face.png", "--kind", "blur", "-o", "-")
    assert ran.code == 2 and "writes one result to stdout, and there are 4" in ran.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--kind is missing: choose from all, extra, noise, blur, weather, digital, gaussian_noise"),
        (("--kind", "mist"), "--kind is 'mist': choose from all"),
        (("--kind", "fog", "--severity", "0"), "--severity is '0': give 1 to 5, a list or a range of them"),
        (("--kind", "fog", "--device", "cuda"), "--device is cuda: corruptions are computed on the CPU, leave it out"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(run, folder, options, words):
    ran = run("corrupt", "face.png", *options)
    assert ran.code == 2 and words in ran.err and not list(folder.glob("face-*"))
