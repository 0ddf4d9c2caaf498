"""structkit score of clips beside a real one, and of features: what is printed, and with which exit code it ends."""

from __future__ import annotations

import json
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from structkit.media.moving_pictures import Clip, write_clip
from structkit.media.pictures import read_picture
from structkit_cli.pages.score_clips import SCORES

from . import test_json
from .conftest import paint

SCHEMA = json.loads((files("structkit_cli") / "score_records.schema.json").read_text())


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


def film(path: Path, seed: int, *, frames: int = 5, height: int = 16, width: int = 20) -> Path:
    """A clip of noise, in a format without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)
    write_clip(Clip(levels, Fraction(10)), path)
    return path


@pytest.fixture
def clips(run, tmp_path) -> None:
    """real.webp, and out/ with a copy of it and another clip."""
    film(tmp_path / "real.webp", 0), film(tmp_path / "out/copy.png", 0), film(tmp_path / "out/other.webp", 1)


@pytest.fixture
def records(run, monkeypatch):
    monkeypatch.setitem(test_json.TYPES, "number", (int, float))

    def records(*arguments: str) -> tuple[int, list[dict]]:
        ran = run("score", *arguments, "--json")
        found = [json.loads(line) for line in ran.out.splitlines()]
        assert [test_json.faults(record, SCHEMA) for record in found] == [[]] * len(found)
        return ran.code, found

    return records


@pytest.mark.parametrize(
    ("measure", "of_all", "of_copy"),
    [
        ("diversity", ["diversity", "from_real"], {"from_real": 0}),
        ("motion", ["motion"], {"motion": 1}),
        ("coherence", ["coherence", "completeness", "in_place"], {"coherence": 0, "completeness": 0, "in_place": 1}),
        ("novelty", ["nnfdiv", "nnfdist", "copied"], {"nnfdist": 0, "copied": 1}),
    ],
)
def test_a_line_of_all_and_a_record_of_each(run, records, clips, measure, of_all, of_copy):
    ran = run("score", measure, "real.webp", "out")
    assert (ran.code, ran.err) == (0, "")
    [line] = ran.paths
    assert line.split()[::2] == [*of_all, "files"] and line.endswith("files 2")
    code, (copy, other, summary) = records(measure, "real.webp", "out/*")
    assert code == 0 and (copy["file"], copy["status"], copy["error"]) == ("copy", "scored", None)
    assert copy["inputs"] == {"real": "real.webp", "sample": "out/copy.png"}
    assert of_copy.items() <= copy["scores"].items() and other["scores"] != copy["scores"]
    assert (summary["verb"], summary["files"], summary["exit"]) == (f"score {measure}", 2, 0)
    assert list(summary["scores"]) == of_all
    for name in set(of_all) - {"diversity"}:
        assert summary["scores"][name] == pytest.approx((copy["scores"][name] + other["scores"][name]) / 2, abs=2e-6)


def test_1_a_sample_of_another_size_is_said_and_the_others_scored(run, records, clips, tmp_path):
    film(tmp_path / "out/short.webp", 2, frames=4)
    said = "out/short.webp: 4 frames of 20 x 16 px, and the real clip has 5 frames of 20 x 16 px: the spread is"
    ran = run("score", "diversity", "real.webp", "out")
    assert ran.code == 1 and ran.paths[0].endswith("files 2") and ran.err.startswith(f"structkit: error: {said}")
    code, found = records("diversity", "real.webp", "out")
    assert code == 1 and [record.get("status") for record in found] == ["scored", "scored", "failed", None]
    assert found[2]["error"].startswith(said) and found[2]["scores"] == {} and found[3]["failed"] == 1
    assert run("score", "motion", "real.webp", "out").code == 0  # which asks for no size


def test_1_one_sample_has_no_diversity(run, records, clips):
    ran = run("score", "diversity", "real.webp", "out/other.webp")
    assert (ran.code, ran.out) == (1, b"")
    assert "2 samples or more of the real clip's size are needed, and there is 1; make more" in ran.err
    code, (one, summary) = records("diversity", "real.webp", "out/other.webp")
    assert (code, one["status"], summary["scores"], summary["exit"]) == (1, "scored", {}, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("motion", "real.webp"), 2, "Missing argument 'SAMPLE'"),
        (("motion", "nowhere.mp4", "out"), 1, "nowhere.mp4: no such file or folder; check the path"),
        (("motion", "real.webp", "nowhere"), 1, "nowhere: no such file or folder; check the path"),
        (
            ("motion", "out", "real.webp"),
            1,
            "out: 2 files, where the real one is needed; name one file",
        ),
        (("motion", "still.png", "out"), 1, "still.png: a still PNG picture, where a clip is needed; name a video"),
        (("motion", "real.webp", "still.png"), 1, "still.png: a still PNG picture, where a clip is needed"),
        (("motion", "-", "-"), 2, "standard input (-) is named twice"),
        (("motion", "real.webp", "empty"), 4, "nothing to score: no sample was found"),
        (("coherence", "real.webp", "tiny.webp"), 1, "tiny.webp: the sample has 2 frames of 8 x 4 px, less than"),
        (("coherence", "tiny.webp", "real.webp"), 1, "error: the real clip has 2 frames of 8 x 4 px, less than"),
        (("novelty", "real.webp", "tiny.webp"), 1, "tiny.webp: the sample has 2 frames of 8 x 4 px, less than a patch"),
        (("novelty", "real.webp", "out", "--save-nnf", "real.webp"), 2, "real.webp is not a folder: name one with"),
        (("coherence", "real.webp", "out", "--seed", "-1"), 2, "--seed is -1"),
        (("frechet", "a.npy", "b.npy"), 1, "b.npy: features of shapes (8, 3) and (8, 2); expected (N, D) and (M, D)"),
        (("frechet", "a.npy", "real.webp"), 1, "real.webp: features are read from .npy and .safetensors"),
    ],
)
def test_what_is_refused(run, clips, tmp_path, arguments, code, message):
    paint(tmp_path / "still.png", 1), film(tmp_path / "tiny.webp", 1, frames=2, height=4, width=8)
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "a.npy", np.ones((8, 3))), np.save(tmp_path / "b.npy", np.ones((8, 2)))
    ran = run("score", *arguments)
    assert (ran.code, ran.out) == (code, b"") and message in ran.err


def test_the_real_clip_is_no_sample_of_its_folder(run, clips, tmp_path):
    film(tmp_path / "out/real.webp", 0)
    ran = run("score", "motion", "out/real.webp", "out")
    assert ran.paths[0].endswith("files 2")
    assert ran.err == "structkit: warning: out/real.webp is the real one: it is left out of the samples\n"
    assert run("score", "motion", "real.webp", "real.webp").paths == ["motion 1  files 1"]  # asked for


def test_still_pictures_in_a_folder_are_passed_over(run, clips, tmp_path):
    paint(tmp_path / "out/sheet.png", 1), paint(tmp_path / "stills/a.png", 1)
    assert run("score", "motion", "real.webp", "out").paths[0].endswith("files 2")
    assert run("score", "motion", "real.webp", "stills").code == 4


def test_videos_and_animated_pictures(run, clips, tmp_path):
    film(tmp_path / "real.mp4", 0), film(tmp_path / "real.gif", 0)
    for name in ("real.mp4", "real.gif"):
        assert float(run("score", "coherence", "real.webp", name).paths[0].split()[5]) > 0.8


def test_a_part_of_the_real_clip_is_coherent_and_not_complete(records, clips, tmp_path):
    film(tmp_path / "longer.webp", 0, frames=8)  # whose first frames are the real clip
    for real, sample, zero in (("longer", "real", "coherence"), ("real", "longer", "completeness")):
        code, (record, _) = records("coherence", f"{real}.webp", f"{sample}.webp")
        assert code == 0 and [name for name, figure in record["scores"].items() if figure == 0] == [zero]


def test_a_seed_draws_the_patches_and_exact_draws_none(run, tmp_path):
    film(tmp_path / "real.webp", 0, height=24, width=24), film(tmp_path / "other.webp", 1, height=24, width=24)
    lines = [
        run("score", "coherence", "real.webp", "other.webp", *options).paths
        for options in ((), ("--seed", "0"), ("--seed", "1"), ("--exact",), ("--exact", "--seed", "1"))
    ]
    assert lines[0] == lines[1] != lines[2] != lines[3] == lines[4]


def test_a_picture_of_each_field(run, clips, tmp_path):
    ran = run("score", "novelty", "real.webp", "out", "--save-nnf", "fields/of")
    assert ran.code == 0
    copy, other = (read_picture(tmp_path / f"fields/of/{name}.png").pixels for name in ("copy", "other"))
    assert copy.shape == (2 * 14, 2 * 18, 3) and (copy[:14] == 255).all() and not (other[:14] == 255).all()
    ran = run("score", "novelty", "real.webp", "out", "--save-nnf", "fields/of")
    assert ran.code == 2 and "fields/of/copy.png exists: name another folder with --save-nnf" in ran.err


def test_the_distance_of_features(run, records, tmp_path):
    rows = np.random.default_rng(0).normal(size=(50, 4))
    np.save(tmp_path / "real.npy", rows), np.save(tmp_path / "a.npy", rows[::-1])
    save_file({"features": (rows + 1).astype(np.float32)}, tmp_path / "b.safetensors")
    code, (a, b, summary) = records("frechet", "real.npy", "a.npy", "b.safetensors")
    assert code == 0 and a["scores"] == {"frechet": 0}
    assert b["scores"]["frechet"] == pytest.approx(4, rel=1e-5) and summary["scores"]["frechet"] == pytest.approx(2)
    assert run("score", "frechet", "real.npy", ".").paths == ["frechet 2  files 2"]


@pytest.mark.parametrize("page", SCORES, ids=lambda page: page.__name__)
def test_the_help_says_what_goes_in_and_what_comes_out(run, page):
    text = run("score", page.__name__, "--help").out.decode()
    assert "In: " in text and "Out: " in text and f"Example: structkit score {page.__name__} " in text
    assert run("score", page.__name__, "--print-config").out.decode().startswith(f"[score.{page.__name__}]\n")
