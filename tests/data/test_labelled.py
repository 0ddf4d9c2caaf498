"""Labelled pictures: each layout gives the same set, what is bad is listed or refused, and parts never share."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from structkit.data import labelled
from structkit.data.labelled import read_labelled
from structkit.errors import InputError, OptionError
from structkit.media.pictures import Picture, write_picture


def levels(count: int, side: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def class_folders(folder: Path, pictures: np.ndarray, labels: list[int], names: list[str]) -> Path:
    for i, label in enumerate(labels):
        (folder / names[label]).mkdir(parents=True, exist_ok=True)
        write_picture(Picture(pictures[i]), folder / names[label] / f"{i}.png")
    return folder


def cifar(file: Path, pictures: np.ndarray, *heads: list[int]) -> Path:
    planes = pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(np.concatenate([np.array(heads, np.uint8).T, planes], 1).tobytes())
    return file


def same(found: labelled.LabelledPictures, pictures: np.ndarray, labels: list[int]) -> bool:
    return found.labels.tolist() == labels and all((found.pixels(i) == pictures[i]).all() for i in range(len(found)))


def test_every_layout_gives_the_same_pictures_and_labels(tmp_path):
    pictures, labels = levels(6), [0, 0, 1, 1, 2, 2]
    found = read_labelled(class_folders(tmp_path / "folders", pictures, labels, ["a", "b", "c"]))
    assert same(found, pictures, labels) and found.classes == ["a", "b", "c"] and found.labels.dtype == torch.int64
    assert found.names[0] == "a/0.png" and not found.rejected and not found.notes
    cifar(tmp_path / "ten" / "data_batch_1.bin", pictures[:4], labels[:4])
    cifar(tmp_path / "ten" / "data_batch_2.bin", pictures[4:], labels[4:])
    ten = read_labelled(tmp_path / "ten")
    assert same(ten, pictures, labels) and ten.classes[:3] == ["airplane", "automobile", "bird"]
    assert same(read_labelled(tmp_path / "ten" / "data_batch_1.bin"), pictures[:4], labels[:4])
    (tmp_path / "numpy").mkdir()
    np.save(tmp_path / "numpy" / "x.npy", pictures)
    np.save(tmp_path / "numpy" / "y.npy", np.array(labels, np.uint8))
    arrays = read_labelled(tmp_path / "numpy")
    assert same(arrays, pictures, labels) and arrays.classes == ["0", "1", "2"]
    assert same(read_labelled(tmp_path / "numpy" / "x.npy"), pictures, labels)
    np.savez(tmp_path / "packed.npz", images=pictures, labels=np.array(labels)[:, None])
    assert same(read_labelled(tmp_path / "packed.npz"), pictures, labels)
    for one in (found, ten, arrays):
        assert (one.array(32).permute(0, 2, 3, 1).numpy() == pictures).all()


def test_the_fine_and_the_coarse_labels_of_cifar_100_have_their_names(tmp_path):
    pictures = levels(4)
    cifar(tmp_path / "train.bin", pictures, [3, 3, 19, 1], [99, 98, 97, 0])
    fine = read_labelled(tmp_path)
    assert same(fine, pictures, [99, 98, 97, 0]) and len(fine.classes) == 100 and fine.classes[99] == "99"
    assert "no picture of 96 of 100 classes" in fine.notes[0]
    for name, count in (("fine", 100), ("coarse", 20)):
        (tmp_path / f"{name}_label_names.txt").write_text("".join(f"{name}_{i}\n" for i in range(count)))
    assert read_labelled(tmp_path).classes[99] == "fine_99"
    coarse = read_labelled(tmp_path, coarse=True)
    assert same(coarse, pictures, [3, 3, 19, 1]) and coarse.classes[19] == "coarse_19"
    (tmp_path / "fine_label_names.txt").write_text("one\ntwo\n")
    with pytest.raises(InputError, match=r"fine_label_names.txt: 2 names"):
        read_labelled(tmp_path)


def test_the_part_that_is_asked_for_is_taken_and_the_other_where_it_is_not_there(tmp_path):
    pictures = levels(8)
    for part, some in (("train", pictures[:4]), ("val", pictures[4:])):
        class_folders(tmp_path / "set" / part, some, [0, 0, 1, 1], ["a", "b"])
    assert same(read_labelled(tmp_path / "set"), pictures[:4], [0, 0, 1, 1])
    assert same(read_labelled(tmp_path / "set", part="test"), pictures[4:], [0, 0, 1, 1])
    cifar(tmp_path / "ten" / "test_batch.bin", pictures, [0, 1] * 4)
    assert len(read_labelled(tmp_path / "ten")) == 8
    cifar(tmp_path / "ten" / "data_batch_3.bin", pictures[:2], [0, 1])
    assert len(read_labelled(tmp_path / "ten")) == 2 and len(read_labelled(tmp_path / "ten", part="test")) == 8
    np.savez(tmp_path / "a.npz", x_train=pictures, y_train=[0, 1] * 4, x_test=pictures[:2], y_test=[0, 1])
    assert len(read_labelled(tmp_path / "a.npz")) == 8 and len(read_labelled(tmp_path / "a.npz", part="test")) == 2
    with pytest.raises(OptionError, match="the part of a set is 'all'"):
        read_labelled(tmp_path, part="all")


def test_parts_beside_other_folders_are_no_classes(tmp_path):
    pictures = levels(8)
    for part, some in (("Train", pictures[:4]), ("test", pictures[4:])):
        class_folders(tmp_path / part, some, [0, 0, 1, 1], ["a", "b"])
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "readme.txt").write_text("text")
    assert same(read_labelled(tmp_path), pictures[:4], [0, 0, 1, 1])
    assert same(read_labelled(tmp_path, part="test"), pictures[4:], [0, 0, 1, 1])
    write_picture(Picture(pictures[0]), tmp_path / "meta" / "0.png")
    with pytest.raises(InputError, match="test and train seem to be parts of a set, and meta is none; name one of"):
        read_labelled(tmp_path)


def test_a_class_may_have_the_name_of_a_part(tmp_path):
    class_folders(tmp_path, levels(4), [0, 0, 1, 1], ["car", "train"])
    assert read_labelled(tmp_path).classes == ["car", "train"]


def test_a_folder_without_pictures_is_told(tmp_path):
    class_folders(tmp_path, levels(4), [0, 0, 1, 1], ["a", "b"])
    (tmp_path / "c").mkdir()
    found = read_labelled(tmp_path)
    assert found.classes == ["a", "b"]
    assert found.notes == (f"{tmp_path}: no picture in 1 folder (c), so no class",)


def test_an_unreadable_picture_among_good_ones_is_left_out_and_listed(tmp_path):
    class_folders(tmp_path, levels(4), [0, 0, 1, 1], ["a", "b"])
    (tmp_path / "a" / "bad.png").write_bytes(b"no picture")
    (tmp_path / "b" / "cut.png").write_bytes((tmp_path / "b" / "2.png").read_bytes()[:200])
    write_picture(Picture(levels(1)[0]), tmp_path / "loose.png")
    (tmp_path / "readme.txt").write_text("text")
    found = read_labelled(tmp_path)
    assert len(found) == 4
    assert [name for name, _ in found.rejected] == ["loose.png", "a/bad.png", "b/cut.png"]
    assert "in no folder of a class" in found.rejected[0][1] and "not a picture" in found.rejected[1][1]
    assert "left out: 3 of 7 pictures (loose.png: in no folder of a class; a/bad.png: " in found.notes[0]
    assert "1 other file passed over" in found.notes[1]


@pytest.mark.parametrize("names", [[], ["a"]])
def test_fewer_than_two_classes_are_refused(tmp_path, names):
    class_folders(tmp_path, levels(2), [0] * 2 * len(names), names)
    with pytest.raises(InputError, match=r"folders? of pictures.*and a class is told from others"):
        read_labelled(tmp_path)
    np.savez(tmp_path / "one.npz", x=levels(2 * len(names)), y=np.zeros(2 * len(names), int))
    with pytest.raises(InputError, match="a class is told from others; name a set of two or more classes"):
        read_labelled(tmp_path / "one.npz")


def test_a_class_of_which_nothing_can_be_read_is_refused(tmp_path):
    class_folders(tmp_path, levels(4), [0, 0, 1, 1], ["a", "b"])
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "bad.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"c: no picture of it can be read .an empty file.*take the folder away"):
        read_labelled(tmp_path)


def test_binary_files_that_are_damaged_are_refused(tmp_path):
    file = cifar(tmp_path / "data_batch_1.bin", levels(2), [0, 1])
    data = file.read_bytes()
    for bad, words in ((data[:-1], "6,145 bytes.*truncated"), (b"", "0 bytes.*empty")):
        file.write_bytes(bad)
        with pytest.raises(InputError, match=words):
            read_labelled(tmp_path)
    cifar(file, levels(2), [0, 10])
    with pytest.raises(InputError, match="a label 10, and CIFAR-10 has 0 to 9"):
        read_labelled(tmp_path)
    with pytest.raises(InputError, match="no coarse classes"):
        read_labelled(cifar(file, levels(2), [0, 1]), coarse=True)


class Loud:
    """A pickle that says so when it is opened."""

    def __reduce__(self) -> tuple:
        return (pytest.fail, ("unpickled",))


def test_nothing_is_ever_unpickled(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(Loud(), protocol=2))
    for place in (tmp_path, tmp_path / "data_batch_1"):
        with pytest.raises(InputError, match=r"a pickle of Python.*download the binary version"):
            read_labelled(place)
    objects = np.array([Loud(), Loud()], object)
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / "x.npy", objects)
    np.save(tmp_path / "arrays" / "y.npy", np.arange(2))
    np.savez(tmp_path / "arrays.npz", x=objects, y=np.arange(2))
    for place in (tmp_path / "arrays", tmp_path / "arrays.npz"):
        with pytest.raises(InputError, match=r"pickled objects.*not read; save arrays of numbers"):
            read_labelled(place)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (levels(2).astype(np.float32), [0, 1], r"pictures are float32 \(2, 32, 32, 3\); pictures must be uint8"),
        (levels(2).transpose(0, 3, 1, 2), [0, 1], "move the axis of the channels to the end"),
        (levels(2)[..., :2], [0, 1], r"pictures are uint8 \(2, 32, 32, 2\)"),
        (levels(2)[:, :0], [0, 1], "empty"),
        (levels(2), [0, 1, 2], "2 pictures and 3 labels"),
        (levels(2), [0.0, 1.0], "labels are float64"),
        (levels(2), [-1, 1], "labels from -1 to 1; they must count from 0"),
    ],
)
def test_arrays_of_another_shape_or_type_are_refused(tmp_path, x, y, words):
    np.savez(tmp_path / "a.npz", x=x, y=np.array(y))
    with pytest.raises(InputError, match=words):
        read_labelled(tmp_path / "a.npz")


def test_arrays_that_are_damaged_or_alone_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", levels(2))
    with pytest.raises(InputError, match="one array; name its folder"):
        read_labelled(tmp_path / "x.npy")
    (tmp_path / "y.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "b.npz").write_bytes(b"PK no archive")
    np.savez(tmp_path / "c.npz", left=levels(2))
    for place, words in ((".", "y.npy: no NumPy array"), ("b.npz", "no NumPy array"), ("c.npz", "arrays left; x with")):
        with pytest.raises(InputError, match=words):
            read_labelled(tmp_path / place)
    for place in ("nowhere", "a.txt"):
        (tmp_path / "a.txt").write_text("text")
        with pytest.raises(InputError, match=f"{place}: (no such file or folder|a file that holds no labelled)"):
            read_labelled(tmp_path / place)


def test_grey_16_bit_and_transparent_pictures_become_rgb_of_8_bits(tmp_path):
    class_folders(tmp_path, levels(2), [0, 1], ["a", "b"])
    deep = np.full((8, 6, 3), 0x8080, np.uint16)
    write_picture(Picture(deep), tmp_path / "a" / "deep.png")
    alpha = np.zeros((4, 4), np.uint8)
    alpha[0] = 255
    seen = np.zeros((4, 4, 3), np.uint8)
    seen[0], seen[1:] = 200, 7
    write_picture(Picture(seen, alpha), tmp_path / "a" / "glass.png")
    found = read_labelled(tmp_path)
    by_name = {name: found.pixels(i) for i, name in enumerate(found.names)}
    assert (by_name["a/deep.png"] == 128).all() and by_name["a/deep.png"].shape == (8, 6, 3)
    assert (by_name["a/glass.png"] == 200).all() and by_name["a/glass.png"].dtype == np.uint8
    grey = levels(3)[..., 0]
    np.savez(tmp_path / "grey.npz", x=grey, y=[0, 1, 1])
    assert (read_labelled(tmp_path / "grey.npz").array(32).numpy() == grey[:, None]).all()


def test_files_that_do_not_fit_into_memory_are_read_when_they_are_asked_for(tmp_path, monkeypatch):
    pictures = levels(4)
    class_folders(tmp_path, pictures, [0, 0, 1, 1], ["a", "b"])
    monkeypatch.setattr(labelled, "MOST_HELD", 2 * 32 * 32 * 3)
    found = read_labelled(tmp_path)
    assert [isinstance(one, Path) for one in found.pictures] == [False, False, True, True]
    assert same(found, pictures, [0, 0, 1, 1])


def test_a_set_that_is_lightened_decodes_the_same_pictures_again(tmp_path):
    class_folders(tmp_path, levels(4), [0, 0, 1, 1], ["a", "b"])
    found = read_labelled(tmp_path).take([3, 1])
    held = levels(4).nbytes
    assert found.lightened(held) is found
    light = found.lightened(held - 1)
    assert all(isinstance(one, Path) for one in light.pictures) and light.sha256 == found.sha256
    assert all(np.array_equal(light.pixels(i), found.pixels(i)) for i in range(2))
    np.savez(tmp_path / "a.npz", x=levels(4), y=[0, 0, 1, 1])
    arrays = read_labelled(tmp_path / "a.npz")
    assert arrays.lightened(0) is arrays


def test_files_that_are_not_checked_are_opened_when_they_are_asked_for(tmp_path):
    pictures = levels(4)
    class_folders(tmp_path, pictures, [0, 0, 1, 1], ["a", "b"])
    (tmp_path / "b" / "0.png").write_bytes(b"no picture")
    found = read_labelled(tmp_path, checked=False)
    assert len(found) == 5 and found.labels.tolist() == [0, 0, 1, 1, 1] and not found.rejected
    squares, kept, rejected = found.readable([4, 2, 0], 32)
    assert kept == [4, 0] and [name for name, _ in rejected] == ["b/0.png"] and "not a picture" in rejected[0][1]
    assert (squares.permute(0, 2, 3, 1).numpy() == pictures[[3, 0]]).all()
    assert found.take([0, 4]).digests == read_labelled(tmp_path).take([0, 3]).digests
    for ask in (lambda: found.pixels(2), lambda: found.array(32)):
        with pytest.raises(InputError, match=r"b/0.png: not a picture"):
            ask()


def test_the_square_is_the_middle_of_a_picture_as_large_as_was_asked_for(tmp_path):
    wide = np.zeros((2, 8, 16, 3), np.uint8)
    wide[:, :, 4:12] = 90
    np.savez(tmp_path / "a.npz", x=wide, y=[0, 1])
    found = read_labelled(tmp_path / "a.npz")
    for side in (4, 8, 12):
        assert found.array(side).shape == (2, 3, side, side) and (found.array(side) == 90).all()


def test_the_two_sides_of_a_split_share_no_picture_whatever_the_order(tmp_path):
    pictures = levels(40)
    pictures[1] = pictures[0]  # equal pictures stay together
    labels = [0] * 24 + [1] * 15 + [2]
    np.savez(tmp_path / "a.npz", x=pictures, y=labels)
    found = read_labelled(tmp_path / "a.npz")
    learned, held = found.split(0.25, seed=1)
    assert sorted(learned.names + held.names, key=int) == found.names and not set(learned.digests) & set(held.digests)
    assert held.labels.bincount(minlength=3)[1:].tolist() == [4, 0]  # of a class of one picture none is held out
    assert held.labels.bincount()[0] in (6, 7)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0)).tolist()
    assert set(found.take(order).split(0.25, seed=1)[1].digests) == set(held.digests)
    assert set(found.split(0.25, seed=2)[1].digests) != set(held.digests)
    assert (held.pixels(0) == pictures[int(held.names[0])]).all()
    everything, nothing = found.split(0)
    assert (len(everything), len(nothing)) == (40, 0)
    with pytest.raises(OptionError, match=r"held out is 0.6"):
        found.split(0.6)


def test_drawn_pictures_are_as_many_of_each_class(tmp_path):
    np.savez(tmp_path / "a.npz", x=levels(40, 4), y=[0] * 30 + [1] * 8 + [2] * 2)
    found = read_labelled(tmp_path / "a.npz")
    assert found.drawn(12, seed=3).labels.bincount().tolist() == [5, 5, 2]
    assert found.drawn(12, seed=3).names == found.drawn(12, seed=3).names != found.drawn(12, seed=4).names
    assert found.drawn(40) is found


def test_the_hash_tells_contents_labels_and_names(tmp_path):
    pictures = levels(3)
    hashes = set()
    for number, (x, y) in enumerate([(pictures, [0, 1, 1]), (pictures, [0, 1, 0]), (levels(3, seed=1), [0, 1, 1])]):
        np.savez(tmp_path / f"{number}.npz", x=x, y=y)
        hashes.add(read_labelled(tmp_path / f"{number}.npz").sha256)
    assert len(hashes) == 3
