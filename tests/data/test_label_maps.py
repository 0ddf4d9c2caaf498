"""Label maps: ids and colours to classes, known maps, files of classes, palettes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from structkit.data.label_map_files import label_map, palette_map
from structkit.data.label_maps import CAMVID, CITYSCAPES, UNCOUNTED, LabelMap, usual_palette
from structkit.errors import InputError, OptionError
from structkit.media.label_files import LabelRaster

CSV = "id,name,colour\n5,sky,#4682b4\n7,road,128 64 128\n8,road,\n9,,\n"


def ids(*values: int) -> LabelRaster:
    return LabelRaster(np.array([values], np.uint8))


def classes(map: LabelMap, raster: LabelRaster) -> list[int]:
    return map.classes(raster)[0].tolist()


def written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_cityscapes_has_its_19_classes_and_camvid_its_11():
    assert (len(CITYSCAPES), len(CAMVID)) == (19, 11)
    evaluated = (7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33)
    assert classes(CITYSCAPES, ids(*evaluated)) == list(range(19))
    assert set(classes(CITYSCAPES, ids(*(i for i in range(35) if i not in evaluated), 255))) == {UNCOUNTED}
    assert CITYSCAPES.palette[CITYSCAPES.names.index("sky")] == (70, 130, 180)
    assert classes(CAMVID, ids(*range(12), 255)) == [*range(11), UNCOUNTED, UNCOUNTED]
    assert CAMVID.names[3] == "road" and CAMVID.palette[3] == (128, 64, 128)


@pytest.mark.parametrize("map", [CAMVID, CITYSCAPES], ids=lambda map: map.name)
def test_the_colours_of_classes_are_classes_too(map):
    colours = LabelRaster(np.array([[*map.palette, (0, 0, 0)]], np.uint8))
    assert classes(map, colours) == [*range(len(map)), UNCOUNTED]
    assert len(set(map.palette)) == len(map)


def test_camvids_32_colours_are_merged():
    suv, child, marking = (64, 128, 192), (192, 128, 64), (128, 0, 192)
    found = classes(CAMVID, LabelRaster(np.array([[suv, child, marking]], np.uint8)))
    assert [CAMVID.names[label] for label in found] == ["car", "pedestrian", "road"]


def test_values_that_the_map_does_not_know_are_counted_by_value():
    unmapped = Counter()
    assert CAMVID.classes(ids(0, 77, 77, 88, 255), unmapped).tolist() == [[0, *[UNCOUNTED] * 4]]
    assert unmapped == {77: 2, 88: 1}
    unmapped = Counter()
    CAMVID.classes(LabelRaster(np.array([[(1, 2, 3), (128, 128, 128)]], np.uint8)), unmapped)
    assert unmapped == {(1, 2, 3): 1}


def test_a_palette_is_read_by_its_indices_and_not_by_its_colours():
    wrong = np.array([CITYSCAPES.palette[0]] * 40, np.uint8)  # all indices have the colour of roads
    raster = LabelRaster(np.array([[7, 23, 26]], np.uint8), wrong)
    assert classes(CITYSCAPES, raster) == [0, 10, 13]


def test_a_palette_of_the_maps_own_colours_in_its_order_has_classes():
    raster = LabelRaster(np.array([[0, 10, 18, 255]], np.uint8), np.array(CITYSCAPES.palette, np.uint8))
    assert classes(CITYSCAPES, raster) == [0, 10, 18, UNCOUNTED]


def test_a_map_of_colours_reads_a_palettes_colours_and_refuses_ids():
    map = LabelMap("m", ("a", "b"), ((9, 9, 9), (1, 2, 3)))
    raster = LabelRaster(np.array([[5, 4]], np.uint8), np.array([(0, 0, 0)] * 4 + [(9, 9, 9), (1, 2, 3)], np.uint8))
    assert classes(map, raster) == [1, 0]
    with pytest.raises(InputError, match="give each class its id"):
        map.classes(ids(1))


def test_a_file_of_classes_is_a_map(tmp_path):
    map = label_map(written(tmp_path, "m.csv", CSV))
    assert (map.names, map.palette) == (("sky", "road"), ((70, 130, 180), (128, 64, 128)))
    unmapped = Counter()
    assert map.classes(ids(5, 7, 8, 9, 10), unmapped).tolist() == [[0, 1, 1, UNCOUNTED, UNCOUNTED]]
    assert unmapped == {10: 1}


def test_json_says_the_same_as_csv(tmp_path):
    rows = [
        {"id": 5, "name": "sky", "color": [70, 130, 180]},
        {"ids": [7, 8], "name": "road", "colour": "#804080"},
        {"id": 9, "name": None},
    ]
    one = label_map(written(tmp_path, "m.csv", CSV))
    for value in (rows, {"classes": rows}):
        other = label_map(written(tmp_path, "m.json", json.dumps(value)))
        assert (other.names, other.palette, other.ids) == (one.names, one.palette, one.ids)


def test_a_table_of_colours_alone_is_a_map_of_colours(tmp_path):
    map = label_map(written(tmp_path, "class_dict.csv", "name,r,g,b\nsky,70,130,180\nroad,128,64,128\n"))
    assert map.is_of_colours
    assert classes(map, LabelRaster(np.array([[(128, 64, 128), (70, 130, 180)]], np.uint8))) == [1, 0]


def test_classes_without_colours_get_colours_that_are_far_apart(tmp_path):
    map = label_map(written(tmp_path, "m.csv", "id,name\n" + "".join(f"{i},c{i}\n" for i in range(254))))
    assert len(set(map.palette)) == 254
    assert usual_palette(2) == ((128, 0, 0), (0, 128, 0))


@pytest.mark.parametrize(
    ("name", "text", "fact"),
    [
        ("m.csv", "", "an empty file"),
        ("m.csv", "id,colour\n1,#000000\n", "no column name"),
        ("m.csv", "id,name\n", "it has no class"),
        ("m.csv", "id,name\n1,a\n1,b\n", "id 1 has two names"),
        ("m.csv", "id,name\nx,a\n", "class 1: its id is 'x'"),
        ("m.csv", "id,name\n99999,a\n", "below 65536"),
        ("m.csv", "id,name,colour\n1,a,#zz\n", "its colour must be"),
        ("m.csv", "name,r,g,b\na,1,2,3\nb,1,2,3\n", "has two names"),
        ("m.csv", "id,name,colour\n1,a,\n,b,#010203\n", "b has no id"),
        ("m.json", "{", "Expecting property name"),
        ("m.json", '{"classes": 3}', "not a list of classes"),
        ("m.json", "[3]", "class 1 is not an object"),
        ("m.json", '[{"name": "a"}]', "neither an id nor a colour"),
        ("m.json", '[{"id": true, "name": "a"}]', "ids are whole numbers"),
        ("m.json", '[{"id": 1, "name": "a\\u001b[31m"}]', "a text of one line"),
        ("m.json", "[" * 5000, "maximum recursion"),
    ],
)
def test_a_file_that_is_no_map_is_refused_with_its_place(tmp_path, name, text, fact):
    path = written(tmp_path, name, text)
    with pytest.raises(InputError, match=fact) as refusal:
        label_map(path)
    assert str(refusal.value).startswith(path)


def test_a_name_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(OptionError, match="camvid, cityscapes, or a file of classes"):
        label_map("ade20k")
    with pytest.raises(InputError, match="no such file"):
        label_map("there_is_none.csv")


def indexed(path: Path, values, palette) -> Path:
    image = Image.fromarray(np.array(values, np.uint8))
    image.putpalette(np.array(palette, np.uint8).tobytes())
    image.save(path)
    return path


def test_palettes_say_the_classes_that_occur(tmp_path):
    palette = [(i, i, 9) for i in range(50)]
    files = [indexed(tmp_path / "1.png", [[0, 7]], palette), indexed(tmp_path / "2.png", [[7, 40, 255]], palette)]
    map = palette_map(files, "labels")
    assert map.names == ("class 0", "class 7", "class 40") and map.palette[1] == (7, 7, 9)
    assert classes(map, ids(40, 7, 0, 255)) == [2, 1, 0, UNCOUNTED]


def test_a_known_palette_is_the_known_map(tmp_path):
    assert palette_map([indexed(tmp_path / "1.png", [[0]], CAMVID.palette)], "labels") is CAMVID


def test_palettes_that_differ_and_files_without_are_refused(tmp_path):
    one = indexed(tmp_path / "1.png", [[0, 7]], [(i, i, 9) for i in range(50)])
    other = indexed(tmp_path / "2.png", [[7]], [(i, 0, 9) for i in range(50)])
    with pytest.raises(InputError, match="another palette"):
        palette_map([one, other], "labels")
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "3.png")
    with pytest.raises(InputError, match="without a palette; say what the labels mean: --labels camvid or cityscapes"):
        palette_map([tmp_path / "3.png"], "labels")
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "4.jpg")
    with pytest.raises(InputError, match=r"no label file can be read; the last: .*4\.jpg: a JPEG, which"):
        palette_map([tmp_path / "4.jpg"], "labels")
