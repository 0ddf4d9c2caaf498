"""Pictures with labels, and those of a target: pairs by name, sizes, what is left out, strange ids, memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from structkit.data import segmentation
from structkit.data.label_maps import CAMVID, CITYSCAPES, UNCOUNTED
from structkit.data.label_pairs import pair_files, without_labels
from structkit.data.listing import list_files
from structkit.data.segmentation import SegmentationPictures, TargetPictures, nearest
from structkit.errors import InputError, OptionError
from structkit.media.pictures import Picture

SIZE = (8, 6)


def picture(path: Path, size=(16, 12), level: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, 100, 200)).save(path)
    return path


def labels(path: Path, size=(16, 12), value: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.full(size[::-1], value, np.uint8)
    values[: size[1] // 2] = 0
    Image.fromarray(values).save(path)
    return path


@pytest.fixture
def source(tmp_path):
    """Four pictures with labels: sky above road."""
    for i in range(4):
        picture(tmp_path / "images" / f"{i}.png", level=10 * i)
        labels(tmp_path / "labels" / f"{i}.png")
    return tmp_path


def read(folder: Path, map=CAMVID, **how) -> SegmentationPictures:
    return SegmentationPictures(folder / "images", folder / "labels", map, SIZE, **how)


def names(*pairs: tuple[str, str]) -> set[tuple[str, str]]:
    return set(pairs)


def paired(folder: Path, images="images", labels="labels") -> set[tuple[str, str]]:
    found = pair_files(folder / images, folder / labels)
    return {(pair.name, pair.labels.relative_to(folder / labels).as_posix()) for pair in found.pairs}


def test_pictures_and_labels_have_the_size_and_the_classes(source):
    found = read(source)
    assert len(found) == 4 and found.names == ["0.png", "1.png", "2.png", "3.png"]
    assert found.picture(1).shape == (3, 6, 8) and found.picture(1).dtype == torch.uint8
    assert found.picture(1)[:, 0, 0].tolist() == [10, 100, 200]
    assert found.labels(1).tolist() == [[0] * 8] * 3 + [[3] * 8] * 3
    assert found.classes_in(0) == [0, 3]
    assert found.shares[0].tolist() == [0.5, 0, 0, 0.5, *[0] * 7]
    assert list(found.notes()) == []


def test_labels_keep_their_values_in_any_size():
    values = np.random.default_rng(0).choice(np.array([0, 9, 200], np.uint8), (37, 53))
    for size in ((8, 6), (53, 37), (100, 90), (1, 1)):
        small = nearest(values, size)
        assert small.shape == size[::-1] and set(np.unique(small)) <= {0, 9, 200}
    assert np.array_equal(nearest(values, (53, 37)), values)
    assert np.array_equal(nearest(np.flip(values), (8, 6)), np.flip(nearest(values, (8, 6))))


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("1.jpg", "1.png"),
        ("aachen/a_000_leftImg8bit.png", "aachen/a_000_gtFine_labelIds.png"),
        ("aachen/a_000_leftImg8bit.png", "aachen/a_000_gtFine_color.png"),
        ("00001.png", "00001_labelTrainIds.png"),
        ("0001TP_6690.png", "0001TP_6690_L.png"),
        ("day/7.png", "7_mask.png"),
    ],
)
def test_names_agree_but_for_what_they_say_of_a_file(tmp_path, image, label):
    picture(tmp_path / "images" / image)
    labels(tmp_path / "labels" / label)
    assert paired(tmp_path) == names((image, label))


def test_of_several_label_files_the_ids_are_taken(tmp_path):
    picture(tmp_path / "images" / "a_leftImg8bit.png")
    for end in ("color", "labelIds", "instanceIds", "labelTrainIds"):
        labels(tmp_path / "labels" / f"a_gtFine_{end}.png")
    found = pair_files(tmp_path / "images", tmp_path / "labels")
    assert found.pairs[0].labels.name == "a_gtFine_labelIds.png" and not found.rejected


def test_both_may_be_in_one_folder(tmp_path):
    picture(tmp_path / "a.png")
    labels(tmp_path / "a_L.png")
    assert paired(tmp_path, ".", ".") == names(("a.png", "a_L.png"))


def test_equal_names_in_other_folders_are_no_partners(tmp_path):
    for part in ("train", "val"):
        picture(tmp_path / "images" / part / "1.png")
        labels(tmp_path / "labels" / part / "1.png")
    assert paired(tmp_path) == names(("train/1.png", "train/1.png"), ("val/1.png", "val/1.png"))


def test_what_has_no_partner_or_several_is_left_out_and_told(source):
    picture(source / "images" / "alone.png")
    labels(source / "labels" / "other.png")
    picture(source / "images" / "0.jpg")
    found = read(source)
    assert found.names == ["1.png", "2.png", "3.png"]
    assert sorted(found.rejected) == [
        ("0.jpg", "several pictures or label files of this name"),
        ("0.png", "several pictures or label files of this name"),
        ("alone.png", "no label file"),
        ("other.png", "a label file without picture"),
    ]
    assert any("no label file: 1 file (alone.png)" in note for note in found.notes())


def test_no_pair_at_all_is_refused(tmp_path):
    picture(tmp_path / "images" / "a.png")
    labels(tmp_path / "labels" / "b.png")
    with pytest.raises(InputError, match=r"no picture has a label file of its name.*\(a\.png, b\.png\)"):
        read(tmp_path)


def test_pictures_in_memory_have_no_label_files(source):
    with pytest.raises(OptionError, match="must be files"):
        pair_files([Picture(np.zeros((2, 2, 3), np.uint8))], source / "labels")


def test_unreadable_files_and_labels_of_another_size_are_left_out_and_told(source):
    (source / "images" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    data = (source / "labels" / "1.png").read_bytes()
    (source / "labels" / "1.png").write_bytes(data[:-20])
    labels(source / "labels" / "2.png", size=(15, 12))
    found = read(source)
    assert found.names == ["3.png"] and len(found.shares) == 1
    reasons = dict(found.rejected)
    assert "damaged" in reasons["0.png"] and "damaged" in reasons["1.png"]
    assert reasons["2.png"] == "labels of 15 x 12 px, and the picture has 16 x 12"
    assert sum("left out" in note for note in found.notes()) == 3
    labels(source / "labels" / "3.png", size=(15, 12))
    with pytest.raises(InputError, match="none of 4 pictures can be used"):
        read(source)


def test_an_orientation_of_the_picture_counts(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    (tmp_path / "images").mkdir()
    Image.new("RGB", (16, 12)).save(tmp_path / "images" / "a.jpg", exif=exif)
    labels(tmp_path / "labels" / "a.png", size=(12, 16))
    assert len(read(tmp_path)) == 1


def test_more_than_a_hundredth_of_strange_ids_is_refused_with_ids_and_shares(source):
    values = np.zeros((12, 16), np.uint8)
    values[0, :2] = 77  # 2 of 768 pixels: 0.26 %
    Image.fromarray(values).save(source / "labels" / "0.png")
    found = read(source)
    assert found.unmapped == {77: 2} and any("2 pixels not counted" in n and "id 77" in n for n in found.notes())
    values[1] = 78
    Image.fromarray(values).save(source / "labels" / "0.png")
    with pytest.raises(InputError, match=r"2\.3% of the pixels .* camvid does not know: id 78 \(2\.08%\), id 77"):
        read(source)


def test_ids_that_are_not_counted_are_not_strange(source):
    values = np.full((12, 16), 255, np.uint8)
    values[:6] = 11  # CamVid's void
    Image.fromarray(values).save(source / "labels" / "0.png")
    found = read(source)
    assert not found.unmapped and found.classes_in(0) == [] and not found.shares[0].any()


def test_what_does_not_stay_in_memory_is_read_again_to_the_same_values(source, monkeypatch):
    whole = read(source)
    monkeypatch.setattr(segmentation, "MOST_BYTES", 2 * 4 * SIZE[0] * SIZE[1])
    some = read(source)
    assert [item is None for item in some._held] == [False, False, True, True]
    for i in range(4):
        assert torch.equal(whole.picture(i), some.picture(i)) and torch.equal(whole.labels(i), some.labels(i))


def test_both_parts_are_the_whole_and_their_contents_decide(source):
    whole = read(source)
    learned, held = whole.split(0.25)
    assert (len(learned), len(held)) == (3, 1) and sorted([*learned.names, *held.names]) == whole.names
    assert torch.equal(held.picture(0), whole.picture(whole.names.index(held.names[0])))
    assert len(held.shares) == 1 and held.map is CAMVID
    (source / "images" / held.names[0]).rename(source / "images" / "z.png")
    (source / "labels" / held.names[0]).rename(source / "labels" / "z.png")
    assert read(source).split(0.25)[1].names == ["z.png"]
    assert len(whole.split(0)[1]) == 0


def test_names_and_contents_decide_on_the_digests(source):
    one = read(source)
    labels(source / "labels" / "0.png", value=4)
    other = read(source)
    assert one.sha256 == other.sha256 and one.labels_sha256 != other.labels_sha256


def test_a_target_has_pictures_alone(source):
    (source / "images" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = TargetPictures(source / "images", SIZE)
    assert len(found) == 4 and found.picture(2).shape == (3, 6, 8)
    assert found.rejected[0][0] == "bad.png" and any("left out" in note for note in found.notes())
    memory = TargetPictures([Picture(np.zeros((9, 9, 3), np.uint8), None, "mine")], SIZE)
    assert memory.names == ["mine"] and memory.picture(0).shape == (3, 6, 8)
    (source / "bad").mkdir()
    (source / "bad" / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="none of 1 picture can be read"):
        TargetPictures(source / "bad", SIZE)


@pytest.mark.parametrize(
    "label",
    [
        "labels/1.png",
        "testannot/1.png",
        "1_L.png",
        "gtFine/x/1_gtFine_labelIds.png",
        "1_gtFine_color.png",
        "1_instanceIds.png",
    ],
)
def test_files_of_a_target_whose_names_say_labels_are_passed_over(tmp_path, label):
    picture(tmp_path / "images" / "1.png")
    picture(tmp_path / "1.png")
    labels(tmp_path / label)
    found, count = without_labels(list_files(tmp_path))
    assert count == 1 and [name for name, _ in found.sources] == ["1.png", "images/1.png"]


def test_a_png_beside_a_jpeg_of_its_name_is_no_picture_of_a_target(tmp_path):
    for name in ("1.JPG", "2.png", "far/1.png"):
        picture(tmp_path / name)
    labels(tmp_path / "1.png")
    found, count = without_labels(list_files(tmp_path))
    assert count == 1 and {name for name, _ in found.sources} == {"1.JPG", "2.png", "far/1.png"}


def test_a_target_whose_names_only_look_so_is_kept(tmp_path):
    picture(tmp_path / "face_L.png")
    assert without_labels(list_files(tmp_path))[1] == 0
    picture(tmp_path / "masks" / "1.png")
    (tmp_path / "face_L.png").unlink()
    assert without_labels(list_files(tmp_path))[1] == 0


def test_files_of_training_ids_have_the_numbers_of_classes(tmp_path):
    picture(tmp_path / "images" / "a.png")
    labels(tmp_path / "labels" / "a_gtFine_labelTrainIds.png", value=18)
    assert read(tmp_path, CITYSCAPES).classes_in(0) == [0, 18]


def test_remarks_on_pictures_are_told(source):
    (source / "images" / "notes.heic").write_bytes(b"no picture")
    pixels = np.zeros((12, 16, 4), np.uint8)
    Image.fromarray(pixels + 128).save(source / "images" / "0.png")
    data = (source / "images" / "1.png").read_bytes()
    (source / "images" / "1.png").write_bytes(data[:-8])
    pixels[6:, :, 3] = 255
    Image.fromarray(pixels).save(source / "images" / "2.png")
    found = read(source, tolerant=True)
    assert found.labels(2).tolist() == [[UNCOUNTED] * 8] * 3 + [[3] * 8] * 3 and found.shares[2].tolist()[0] == 0
    told = list(found.notes())
    assert any("what is transparent is taken as its mean colour: 2 files (0.png, 2.png)" in note for note in told)
    assert any("damaged PNG" in note and "(1.png)" in note for note in told)
    assert any("notes.heic" in note for note in told)


def test_cityscapes_labels_are_read_by_their_ids(tmp_path):
    picture(tmp_path / "images" / "a_leftImg8bit.png")
    labels(tmp_path / "labels" / "a_gtFine_labelIds.png", value=23)
    found = read(tmp_path, CITYSCAPES)
    assert found.classes_in(0) == [CITYSCAPES.names.index("sky")]
