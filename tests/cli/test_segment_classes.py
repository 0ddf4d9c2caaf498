"""structkit segment and score iou by classes: label files in colour, their shares, and how well they agree."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from structkit.media.pictures import Picture, write_picture

from .. import segmenter_models
from ..segmenter_models import CLASSES, PALETTE, classes_of, model, saved_scene, scene
from .test_json import SCHEMA, faults
from .test_score import SCHEMA as SCORES
from .test_train_analogy import engine  # noqa: F401

SEGMENT = ("segment", "--model", "seg.safetensors", "--device", "cpu")
MAP = "id,name,r,g,b\n" + "".join(
    f"{10 + i},{name},{r},{g},{b}\n" for i, (name, (r, g, b)) in enumerate(zip(CLASSES, PALETTE, strict=True))
)


@pytest.fixture(autouse=True)
def folder(run, tmp_path, monkeypatch):
    """The current folder, with a model, street.png and the map of its classes, whose ids begin at 10."""
    segmenter_models.install(monkeypatch)
    model().save(tmp_path / "seg.safetensors")
    saved_scene(tmp_path / "street.png")
    (tmp_path / "map.csv").write_text(MAP)
    return tmp_path


def test_a_picture_becomes_a_label_file_in_colour(run, folder):
    ran = run(*SEGMENT, "street.png")
    assert (ran.code, ran.paths) == (0, ["street-segment.png"]), ran.err
    with Image.open(folder / "street-segment.png") as image:
        assert image.mode == "P" and np.array_equal(np.asarray(image), classes_of(scene()))
        assert image.getpalette()[:9] == [level for colour in PALETTE for level in colour]


def test_the_orientation_of_a_photograph_is_applied(run, folder):
    exif = Image.Exif()
    exif[274] = 6
    upright = scene(48, 64).pixels
    Image.fromarray(np.rot90(upright)).save(folder / "turned.jpg", exif=exif, quality=98, subsampling=0)
    assert run(*SEGMENT, "turned.jpg", "-o", "turned.png").code == 0
    with Image.open(folder / "turned.png") as image:
        assert image.size == (64, 48) and (np.asarray(image) == classes_of(scene(48, 64))).mean() > 0.9


def test_a_record_has_the_shares_of_the_classes(run, folder):
    record, summary = map(json.loads, run(*SEGMENT, "street.png", "--json").out.splitlines())
    assert not faults(record, SCHEMA)
    assert record["shares"] == {"sky": 0.5, "road": 0.375, "car": 0.125} and summary["exit"] == 0


def test_an_overlay_may_be_a_jpeg_and_classes_may_not(run, folder):
    ran = run(*SEGMENT, "street.png", "-o", "out.jpg")
    assert ran.code == 2 and "write .png; or --overlay" in ran.err and not (folder / "out.jpg").exists()
    assert run(*SEGMENT, "street.png", "--format", "webp", "--quality", "80", "-o", "x/").code == 2
    assert run(*SEGMENT, "street.png", "--overlay", "-o", "out.jpg").code == 0


@pytest.mark.parametrize("option", [("--soft",), ("--threshold", "0.3")], ids=" ".join)
def test_options_of_masks_are_refused_before_any_work(run, folder, option, monkeypatch):
    monkeypatch.setattr("structkit.models.usable", None)
    ran = run(*SEGMENT, "street.png", *option)
    assert ran.code == 2 and f"{option[0]} is of masks" in ran.err


def test_info_tells_which_colour_is_which_class(run, folder):
    ran = run("info", "seg.safetensors")
    assert ran.code == 0 and b"what each place of a picture shows" in ran.out
    assert "classes: 0 sky #4682b4, 1 road #804080, 2 car #00008e\n" in ran.out.decode()
    assert "palette" not in ran.out.decode()


@pytest.fixture
def scored(folder):
    """Three predictions of segment, beside true ids; one is wrong in a quarter, and one has no partner."""
    for i in range(3):
        picture = scene()
        Image.fromarray(classes_of(picture) + 10).save(folder_of(folder, "truth") / f"{i}_labelIds.png")
        found = classes_of(picture)
        if i == 0:
            found[:, :16] = 2
        image = Image.fromarray(found)
        image.putpalette(bytes(np.array(PALETTE, np.uint8)))
        image.save(folder_of(folder, "made") / f"{i}_leftImg8bit.png")
    return folder


def folder_of(folder, name):
    (folder / name).mkdir(exist_ok=True)
    return folder / name


def test_the_iou_of_each_class_is_over_all_pixels(run, scored):
    ran = run("score", "iou", "made", "truth", "--labels", "map.csv")
    assert ran.code == 0
    # Of 768 pixels a picture, sky has 384: half of those of one picture are taken for cars.
    lines = [line.split() for line in ran.out.decode().splitlines()]
    sky, road, car = (3 * 384 - 192) / (3 * 384), (3 * 288 - 192) / (3 * 288), 3 * 96 / (3 * 96 + 384)
    assert [(line[0], float(line[2])) for line in lines[:3]] == [
        ("sky", pytest.approx(sky, abs=1e-4)),
        ("road", pytest.approx(road, abs=1e-4)),
        ("car", pytest.approx(car, abs=1e-4)),
    ]
    assert lines[3][:4] == ["iou", f"{(sky + road + car) / 3:.4g}", "classes", "3"] and lines[3][-1] == "3"


def test_records_say_the_same(run, scored):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(scored / "truth" / "9.png")
    ran = run("score", "iou", "made", "truth", "--labels", "map.csv", "--json")
    *files, summary = map(json.loads, ran.out.splitlines())
    assert not [fault for record in (*files, summary) for fault in faults(record, SCORES)]
    assert ran.code == 1 and [file["status"] for file in files] == ["scored", "scored", "scored", "missing"]
    assert files[1]["scores"] == {"iou": 1, "classes": 3, "accuracy": 1} and files[0]["scores"]["iou"] < 1
    assert summary["labels"] == "map.csv" and list(summary["classes"]) == list(CLASSES)
    assert summary["scores"]["classes"] == 3 and summary["missing"] == 1


def test_a_class_that_the_truth_has_not_is_no_part_of_the_mean(run, folder):
    truth = classes_of(scene())
    truth[truth == 2] = 1
    Image.fromarray(truth + 10).save(folder / "truth.png")
    Image.fromarray(classes_of(scene()) + 10).save(folder / "made.png")
    ran = run("score", "iou", "made.png", "truth.png", "--labels", "map.csv", "--json")
    summary = json.loads(ran.out.splitlines()[-1])
    assert summary["classes"]["car"] == {"iou": None, "share": 0} and summary["scores"]["classes"] == 2
    assert summary["scores"]["iou"] == pytest.approx((1 + 288 / 384) / 2)


def test_a_truth_of_which_nothing_counts_is_nothing_to_score(run, folder):
    Image.fromarray(np.full((24, 32), 255, np.uint8)).save(folder / "truth.png")
    ran = run("score", "iou", "truth.png", "truth.png", "--labels", "map.csv")
    assert ran.code == 4 and "nothing to score: no pixel of the truth has a class that counts" in ran.err


def test_what_segment_writes_agrees_with_the_truth_by_its_palette(run, folder):
    assert run(*SEGMENT, "street.png", "-o", "made.png").code == 0
    write_picture(Picture(np.array(PALETTE, np.uint8)[classes_of(scene())]), folder / "truth.png")
    ran = run("score", "iou", "made.png", "truth.png", "--labels", "map.csv")
    assert ran.code == 0 and b"iou 1  classes 3  accuracy 1  files 1" in ran.out
    assert run("score", "iou", "made.png", "made.png", "--labels", "palette").code == 0


def test_a_prediction_of_another_size_is_resized(run, folder):
    Image.fromarray(classes_of(scene()) + 10).save(folder / "truth.png")
    Image.fromarray(classes_of(scene(12, 16)) + 10).save(folder / "made.png")
    assert b"iou 1  " in run("score", "iou", "made.png", "truth.png", "--labels", "map.csv").out


def test_labels_of_another_map_are_refused_with_the_ids(run, scored):
    ran = run("score", "iou", "made", "truth", "--labels", "camvid")
    assert ran.code == 1 and "labels that the map camvid does not know: id" in ran.err


@pytest.mark.parametrize("option", [("--threshold", "0.3"), ("--changed-from", "x")], ids=" ".join)
def test_options_of_masks_do_not_go_with_labels(run, scored, option):
    ran = run("score", "iou", "made", "truth", "--labels", "map.csv", *option)
    assert ran.code == 2 and "is for masks, and --labels says that files have classes" in ran.err


def test_two_files_of_one_name_are_refused(run, scored):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(scored / "made" / "1.png")
    ran = run("score", "iou", "made", "truth", "--labels", "map.csv")
    assert ran.code == 2 and "which one counts is not clear" in ran.err
