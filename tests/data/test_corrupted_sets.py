"""Sets that were corrupted before: published layouts, and what is wrong with a folder."""

from __future__ import annotations

import numpy as np
import pytest

from structkit.data.corrupted_sets import CorruptedSet
from structkit.errors import InputError
from structkit.media.pictures import Picture, write_picture

from ..labelled_toys import class_tree


def arrays(folder, count=4, side=8, labels=None, **kinds):
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    for name in kinds or ("fog", "snow"):
        np.save(folder / f"{name}.npy", random.integers(0, 256, (5 * count, side, side, 3), dtype=np.uint8))
    np.save(folder / "labels.npy", np.tile(np.arange(count) % 2, 5) if labels is None else labels)
    return folder


def test_the_blocks_of_an_array_are_its_severities(tmp_path):
    found = CorruptedSet(arrays(tmp_path))
    assert found.kinds == ["fog", "snow"] and found.severities("fog") == (1, 2, 3, 4, 5)
    whole = np.load(tmp_path / "fog.npy")
    for severity in (1, 2, 5):
        some = found.pictures("fog", severity)
        assert len(some) == 4 and some.labels.tolist() == [0, 1, 0, 1] and some.classes == ["0", "1"]
        expected = whole[4 * severity - 4 : 4 * severity]
        assert (some.array(8).permute(0, 2, 3, 1).numpy() == expected).all()
        assert (some.drawn(2, seed=1).pixels(0) == expected[int(some.drawn(2, seed=1).names[0])]).all()


def test_labels_of_one_severity_are_those_of_all(tmp_path):
    found = CorruptedSet(arrays(tmp_path, labels=np.array([1, 0, 0, 1])))
    assert found.pictures("snow", 4).labels.tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("category", ["", "weather"])
def test_folders_are_read_with_and_without_their_category(tmp_path, category):
    for severity in (1, 3):
        class_tree(tmp_path / category / "fog" / str(severity), each=2, seed=severity)
    found = CorruptedSet(tmp_path)
    assert found.kinds == ["fog"] and found.severities("fog") == (1, 3)
    some = found.pictures("fog", 3)
    assert len(some) == 6 and some.classes == ["flat", "slanted", "steep"] and some.names[0] == "flat/0.png"


def test_a_folder_of_another_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such folder; name one of KIND.npy and labels.npy"):
        CorruptedSet(tmp_path / "nowhere")
    write_picture(Picture(np.zeros((4, 4, 3), np.uint8)), tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a.png: a file, where a folder is needed"):
        CorruptedSet(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"no corrupted pictures; they stand as KIND.npy"):
        CorruptedSet(tmp_path)


def test_arrays_that_do_not_belong_together_are_refused(tmp_path):
    arrays(tmp_path)
    (tmp_path / "labels.npy").unlink()
    with pytest.raises(InputError, match=r"labels.npy: no such file"):
        CorruptedSet(tmp_path)
    for bad in (np.zeros(20), np.arange(20) - 1, np.zeros((20, 1), int), np.zeros(0, int)):
        np.save(tmp_path / "labels.npy", bad)
        with pytest.raises(InputError, match="whole numbers"):
            CorruptedSet(tmp_path)
    np.save(tmp_path / "labels.npy", np.zeros(7, int))
    with pytest.raises(InputError, match=r"7 labels for 20 pictures of fog.npy"):
        CorruptedSet(tmp_path).pictures("fog", 1)
    for bad in (np.zeros((21, 8, 8, 3), np.uint8), np.zeros((20, 8, 8, 3), np.float32), np.zeros((20, 8, 8), np.uint8)):
        np.save(tmp_path / "fog.npy", bad)
        with pytest.raises(InputError, match="five severities of as many pictures are needed"):
            CorruptedSet(tmp_path).pictures("fog", 1)
    for bad in (b"", b"\x93NUMPY", b"no array"):
        (tmp_path / "fog.npy").write_bytes(bad)
        with pytest.raises(InputError, match=r"fog.npy: no NumPy array of numbers"):
            CorruptedSet(tmp_path).pictures("fog", 1)
    np.save(tmp_path / "fog.npy", np.array([{}] * 20, object))
    with pytest.raises(InputError, match=r"fog.npy: no NumPy array of numbers"):
        CorruptedSet(tmp_path).pictures("fog", 1)
