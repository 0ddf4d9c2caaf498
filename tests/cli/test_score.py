"""structkit score: which files are partners, what is printed, and with which exit code it ends."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from structkit.configs import DifferenceConfig
from structkit.engines.difference.model import DomainDifference
from structkit.media.pictures import Picture, write_picture
from structkit_cli.pages.score import SCORES

from . import test_json
from .conftest import paint

SCHEMA = json.loads((files("structkit_cli") / "score_records.schema.json").read_text())


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


def mask(path: Path, rows: int, side: int = 16) -> None:
    """Set in the first rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[:rows] = 255
    write_picture(Picture(pixels), path)


@pytest.fixture
def masks(tmp_path, run) -> None:
    """pred/ and true/ with a.png, where 4 of 8 rows are found, and sub/b, where all are, and whose suffixes differ."""
    mask(tmp_path / "pred/a.png", 4), mask(tmp_path / "true/a.png", 8)
    mask(tmp_path / "pred/sub/b.webp", 5), mask(tmp_path / "true/sub/b.png", 5)


@pytest.fixture
def records(run, monkeypatch):
    monkeypatch.setitem(test_json.TYPES, "number", (int, float))

    def records(*arguments: str) -> tuple[int, list[dict]]:
        ran = run("score", *arguments, "--json")
        found = [json.loads(line) for line in ran.out.splitlines()]
        assert [test_json.faults(record, SCHEMA) for record in found] == [[]] * len(found)
        return ran.code, found

    return records


def test_one_line_says_all(run, masks):
    ran = run("score", "iou", "pred", "true")
    assert (ran.code, ran.err) == (0, "")
    assert ran.paths == [
        "iou 0.75  iou_sd 0.25  otsu_iou 0.75  soft_iou 0.75  best_threshold 0.5  best_iou 0.75  files 2"
    ]


def test_a_record_for_each_file_then_a_summary(records, masks):
    code, (a, b, summary) = records("iou", "pred", "true")
    scores = {"iou": 0.5, "otsu_iou": 0.5, "soft_iou": 0.5}
    inputs = {"prediction": "pred/a.png", "truth": "true/a.png"}
    assert a == {"record": "file", "file": "a", "inputs": inputs, "status": "scored", "error": None, "scores": scores}
    assert b["file"] == "sub/b" and b["inputs"]["prediction"] == "pred/sub/b.webp" and b["scores"]["iou"] == 1
    assert summary["verb"] == "score iou" and summary["scores"]["iou_sd"] == 0.25
    assert (code, summary["files"], summary["missing"], summary["failed"], summary["exit"]) == (0, 2, 0, 0, 0)


def test_one_file_against_one_file_whatever_their_names(run, masks):
    assert run("score", "iou", "pred/a.png", "true/sub/b.png").paths[0].startswith("iou 0.8 ")


def test_a_picture_on_standard_input(run, masks, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((tmp_path / "pred/a.png").read_bytes())))
    assert run("score", "iou", "-", "true/a.png").paths[0].startswith("iou 0.5 ")
    assert run("score", "iou", "-", "-").code == 2


def test_1_files_without_partner_are_counted_and_said_and_the_others_scored(run, records, masks, tmp_path):
    mask(tmp_path / "pred/more.png", 2), mask(tmp_path / "true/z.png", 2)
    ran = run("score", "iou", "pred", "true")
    assert ran.code == 1 and ran.paths[0].endswith("files 2")
    assert ran.err == "structkit: 2 of 4 files without partner: z has no prediction; more has no truth\n"
    code, found = records("iou", "pred", "true")
    assert (code, found[-1]["missing"], found[-1]["exit"]) == (1, 2, 1)
    assert (found[2]["status"], found[2]["error"], found[2]["scores"]) == ("missing", "z: no prediction", {})


def test_1_a_file_that_cannot_be_read_does_not_stop_the_others(run, records, masks, tmp_path):
    (tmp_path / "pred/a.png").write_bytes(b"no picture")
    ran = run("score", "iou", "pred", "true")
    assert ran.code == 1 and ran.paths[0].endswith("files 1")
    assert ran.err.startswith("structkit: error: a: pred/a.png: not a picture")
    code, found = records("iou", "pred", "true")
    assert (code, found[0]["status"], found[-1]["failed"]) == (1, "failed", 1)


def test_4_when_nothing_matches(run, records, masks, tmp_path):
    mask(tmp_path / "other/c.png", 2)
    ran = run("score", "iou", "pred", "other")
    assert (ran.code, ran.out) == (4, b"")
    assert ran.err.endswith("structkit: nothing to score: no file has partners of the same name\n")
    code, found = records("iou", "pred", "other")
    assert (code, found[-1]["exit"], found[-1]["scores"]) == (4, 4, {})
    (tmp_path / "empty").mkdir()
    assert run("score", "iou", "empty", "empty").code == 4


def test_the_true_mask_from_pictures_with_and_without_the_content(records, masks, tmp_path):
    for name, rows in (("a", 8), ("sub/b", 5)):
        plain = np.full((16, 16, 3), 100, np.uint8)
        (
            (tmp_path / "plain/sub").mkdir(parents=True, exist_ok=True),
            (tmp_path / "with/sub").mkdir(parents=True, exist_ok=True),
        )
        write_picture(Picture(plain), tmp_path / f"plain/{name}.png")
        plain[:rows, :, 1] = 120
        plain[rows:, :, 1] = 108
        write_picture(Picture(plain), tmp_path / f"with/{name}.png")
    with_pairs, with_masks = (
        records("iou", "pred", *how)[1][-1]["scores"] for how in (("plain", "--changed-from", "with"), ("true",))
    )
    assert with_pairs == with_masks
    assert records("iou", "pred", "plain", "--changed-from", "with", "--tolerance", "5")[1][-1]["scores"]["iou"] < 0.5
    for measure in ("psnr", "ssim"):
        code, found = records(measure, "with", "plain", "--changed-from", "with")
        assert (
            code == 0
            and found[-1]["scores"][measure] == found[-1]["scores"]["noop"]
            and found[-1]["scores"]["outside"] == 0
        )


def test_results_beside_the_truth_and_within_masks(run, records, masks, tmp_path):
    paint(tmp_path / "one/a.png", 1, 16), paint(tmp_path / "two/a.png", 2, 16)
    for measure in ("psnr", "ssim"):
        assert set(records(measure, "one", "two")[1][-1]["scores"]) == {measure, f"{measure}_mean", f"{measure}_sd"}
    assert run("score", "psnr", "one", "one").paths == ["psnr 138.1  psnr_mean 138.1  psnr_sd 0  files 1"]
    assert run("score", "psnr", "one", "two", "--within", "true").paths != run("score", "psnr", "one", "two").paths


def test_no_pixels_are_null_in_a_record(records, tmp_path):
    paint(tmp_path / "one/a.png", 1, 16), mask(tmp_path / "nothing/a.png", 0)
    assert records("psnr", "one", "one", "--within", "nothing")[1][0]["scores"] == {"psnr": None}


def test_a_mask_s_threshold(run, tmp_path):
    write_picture(Picture(np.full((4, 4, 3), 100, np.uint8)), tmp_path / "soft.png"), mask(tmp_path / "true.png", 4, 4)
    assert run("score", "iou", "soft.png", "true.png").paths[0].startswith("iou 0 ")
    assert run("score", "iou", "soft.png", "true.png", "--threshold", "0.39").paths[0].startswith("iou 1 ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("iou", "pred"), 2, "Missing argument 'TRUTH'"),
        (("iou", "pred", "true", "--threshold", "2"), 2, "--threshold is 2: it must be between 0 and 1"),
        (
            ("iou", "pred", "true", "--tolerance", "3"),
            2,
            "--tolerance says where two pictures differ, and there are none",
        ),
        (
            ("psnr", "pred", "true", "--within", "true", "--changed-from", "pred"),
            2,
            "both say which pixels count: give one of them",
        ),
        (("iou", "pred", "nowhere"), 1, "nowhere: no such file or folder; check the path"),
        (("iou", "twice", "true"), 2, "twice/a.jpg and twice/a.png have one name but for the suffix"),
        (
            ("ssim", "tiny.png", "tiny.png"),
            1,
            "tiny: a picture of 8 x 8 px; SSIM needs 11 px a side, its window: use PSNR",
        ),
        (("independence", "pred", "true"), 2, "--model is missing"),
        (
            ("independence", "pred", "true", "--model", "m.safetensors"),
            1,
            "codes; a probe learns from at least 20 of each kind",
        ),
    ],
)
def test_what_is_refused(run, masks, tmp_path, arguments, code, message):
    paint(tmp_path / "twice/a.png", 1), paint(tmp_path / "twice/a.jpg", 2), paint(tmp_path / "tiny.png", 1)
    model(tmp_path)
    ran = run("score", *arguments)
    assert (ran.code, ran.out) == (code, b"")
    assert message in ran.err and ran.err.startswith("structkit: error: ")


def model(folder: Path) -> None:
    DomainDifference(DifferenceConfig(size=16, width=4, widest=16, separate=2).filled()).save(
        folder / "m.safetensors", complete=True
    )


def test_the_codes_of_a_model(run, records, tmp_path):
    model(tmp_path)
    for i in range(24):
        paint(tmp_path / f"a/{i}.png", i, 16), paint(tmp_path / f"b/{i}.png", 100 + i, 16)
    arguments = ("independence", "a", "b", "--model", "m.safetensors", "--device", "cpu")
    code, [record] = records(*arguments)
    assert code == 0 and list(record["codes"]) == ["common", "separate_a", "separate_b"]
    assert record["kind"] == "domain-difference" and record["inputs"]["a"]["pictures"] == 24
    assert record["notes"] == ["only 24 pictures of a domain: from 1,000 on the figures are steady"]
    ran = run("score", *arguments, "--quiet")
    assert ran.err == "" and ran.paths[0].startswith("common  linear_accuracy ")
    assert [line.split()[0] for line in ran.paths] == list(record["codes"])
    inputs = {"a": "0" * 64, "b": record["inputs"]["b"]["sha256"]}
    DomainDifference.load(tmp_path / "m.safetensors").save(
        tmp_path / "m.safetensors", complete=True, run={"inputs": inputs}
    )
    said = "b: the model was trained on this folder: name pictures that it has not seen"
    assert records(*arguments)[1][0]["notes"][1:] == [said]


def test_transparency_is_left_out(records, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    write_picture(Picture(pixels), tmp_path / "opaque.png")
    write_picture(Picture(pixels, np.zeros((16, 16), np.uint8)), tmp_path / "clear.png")
    assert records("psnr", "clear.png", "opaque.png")[1][0]["scores"]["psnr"] == pytest.approx(138.13, abs=0.01)


@pytest.mark.parametrize("page", SCORES, ids=lambda page: page.__name__)
def test_the_help_says_what_goes_in_and_what_comes_out(run, page):
    text = run("score", page.__name__, "--help").out.decode()
    assert "In: " in text and "Out: " in text and f"Example: structkit score {page.__name__} " in text
    assert run("score", page.__name__, "--print-config").out.decode().startswith(f"[score.{page.__name__}]\n")


def test_no_measure_shows_the_help_on_stderr(run):
    ran = run("score")
    assert (ran.code, ran.out) == (2, b"") and "independence" in ran.err


def test_the_help_loads_neither_torch_nor_numpy():
    heavy = "'torch' in sys.modules or 'numpy' in sys.modules"
    code = f"import sys\nfrom structkit_cli.app import run\nrun(['score', 'iou', '--help'])\nsys.exit({heavy})"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def test_pictures_that_are_passed_over_are_named(run, tmp_path):
    for folder in ("results", "truth"):
        paint(tmp_path / folder / "a.png", 1)
    (tmp_path / "results/b.heic").touch()
    ran = run("score", "psnr", "results", "truth")
    said = "1 other file passed over, 1 of them a picture of a format that is not read (results/b.heic)"
    assert (ran.code, ran.err) == (0, f"structkit: warning: {said}\n")
