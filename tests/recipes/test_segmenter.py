"""Pictures with label files, and a target without: what is read, what is never opened, what is told and refused."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import structkit
from structkit.configs import SegmenterConfig
from structkit.data.label_maps import LabelMap
from structkit.engines.padain.segmenter import Segmenter
from structkit.errors import CheckpointError, InputError, OptionError, OutputError
from structkit.recipes.segmenter import SegmentationMaterial

from ..segmenter_models import CLASSES, PALETTE, classes_of, scene

MAP = LabelMap("scenes", CLASSES, PALETTE, {10: 0, 11: 1, 12: 2})
HOW = {"size": "32x24", "width": 0.05, "batch": 2, "steps": 2, "device": "cpu", "dtype": "float32"}
OPENED: list[str] = []
LISTENS = SimpleNamespace(on=False)


def hear(event: str, arguments: tuple) -> None:
    """Write down each file that is opened, in whatever way."""
    if LISTENS.on and event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        OPENED.append(os.fsdecode(arguments[0]))


@pytest.fixture
def opened():
    """The files that were opened since, by any code; a hook of the interpreter cannot be taken away again."""
    if not getattr(LISTENS, "hooked", False):
        sys.addaudithook(hear)
        LISTENS.hooked = True
    OPENED.clear()
    LISTENS.on = True
    yield OPENED
    LISTENS.on = False


def street(folder: Path, count: int, *, dark: float = 1.0, labels: bool = True) -> Path:
    """Noisy scenes below images/, and their ids below labels/."""
    rng = np.random.default_rng(count)
    for name in ("images", "labels") if labels else ("images",):
        (folder / name).mkdir(parents=True)
    for i in range(count):
        one = scene(24 + 2 * i, 32)
        pixels = one.pixels * dark + rng.normal(0, 9, one.pixels.shape)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{i}.png")
        if labels:
            Image.fromarray(classes_of(one) + 10).save(folder / "labels" / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def streets(tmp_path_factory, one_thread):
    """source/ with labels, and night/, whose labels/ are broken files."""
    root = tmp_path_factory.mktemp("streets")
    street(root / "source", 6)
    night = street(root / "night", 5, dark=0.4, labels=False)
    (night / "labels").mkdir()
    for i in range(5):
        (night / "labels" / f"{i}.png").write_bytes(b"broken")
        (night / "images" / f"{i}_gtFine_labelIds.png").write_bytes(b"broken")
    return root


def source(root: Path) -> tuple[Path, Path]:
    return root / "source" / "images", root / "source" / "labels"


def test_a_model_knows_the_classes_of_the_map(streets, tmp_path):
    told = []
    model = structkit.train_segmenter(*source(streets), tmp_path / "seg.safetensors", map=MAP, tell=told.append, **HOW)
    assert isinstance(model, Segmenter) and model.classes == list(CLASSES)
    assert [tuple(colour) for colour in model.palette] == list(PALETTE)
    assert "learned from: 5 pictures of 3 classes, 1 held out for the scores" in told
    assert set(model.card["run"]["inputs"]) == {"source", "labels", "classes"}
    made = structkit.segment(source(streets)[0] / "0.png", model, device="cpu")
    assert set(np.unique(made.palette.indices)) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"padain_sites": "nowhere"}, r"in whose name 'nowhere' is found.*: choose places with --padain-sites, or say"),
        ({"padain_sites": "*"}, r"'\*' is no regular expression"),
        ({"batch": 1}, "--padain swaps statistics among the pictures of a step, and --batch is 1"),
    ],
)
def test_swaps_that_cannot_be_are_refused_before_anything_is_read(streets, tmp_path, opened, wrong, words):
    with pytest.raises(OptionError, match=words):
        structkit.train_segmenter(*source(streets), tmp_path / "seg.safetensors", map=MAP, padain=0.5, **HOW | wrong)
    assert not any("/source/" in Path(name).as_posix() for name in opened)


@pytest.mark.parametrize("adapt", ["bn", "fada", "selftrain"])
@pytest.mark.parametrize("target", ["images", ""], ids=["pictures", "with labels beside them"])
def test_label_files_of_the_target_are_never_opened(streets, tmp_path, opened, adapt, target):
    """The labels beside the target's pictures are broken files; all that is opened is heard by the interpreter."""
    more = {"fada": {"adversarial_steps": 1, "distillation_steps": 1, "pair_batch": 2}, "bn": {}}
    how = HOW | more.get(adapt, {"selftrain_steps": 1, "pair_batch": 2})
    structkit.train_segmenter(
        *source(streets), tmp_path / "seg.safetensors", map=MAP, target=streets / "night" / target, adapt=adapt, **how
    )
    names = [Path(name).as_posix() for name in opened]
    assert any("/source/labels/" in name for name in names) and any("/night/images/0.png" in name for name in names)
    assert not [name for name in names if "/night/labels" in name or "labelIds" in name]


def test_pictures_of_the_target_are_told_and_labels_beside_them_counted(streets, tmp_path):
    told = []
    how = HOW | {"adapt": "bn", "target": streets / "night", "tell": told.append}
    model = structkit.train_segmenter(*source(streets), tmp_path / "seg.safetensors", map=MAP, **how)
    assert any("10 files whose names say label files were not opened" in note for note in told)
    assert any("adapted to: 5 pictures without labels" in note for note in told)
    assert set(model.card["run"]["inputs"]) == {"source", "labels", "classes", "target"}


def test_a_target_and_an_adaptation_go_together(streets, tmp_path):
    out, folders = tmp_path / "seg.safetensors", source(streets)
    with pytest.raises(OptionError, match="--adapt bn adapts to pictures of another domain, and there are none"):
        structkit.train_segmenter(*folders, out, map=MAP, adapt="bn", **HOW)
    with pytest.raises(OptionError, match="--target names pictures to adapt to, and --adapt is none"):
        structkit.train_segmenter(*folders, out, map=MAP, target=streets / "night" / "images", **HOW)


def test_what_is_wrong_with_the_labels_is_said_before_the_training(streets, tmp_path):
    out, (images, labels) = tmp_path / "seg.safetensors", source(streets)
    with pytest.raises(InputError, match=r"100\.0% of the pixels .* id 10 \(50\.00%\), id 11"):
        few = LabelMap("few", ("a",), ((0, 0, 0),), {3: 0})
        structkit.train_segmenter(images, labels, out, map=few, **HOW)
    with pytest.raises(InputError, match="without a palette; say what the labels mean"):
        structkit.train_segmenter(images, labels, out, **HOW)
    with pytest.raises(OptionError, match="name camvid, cityscapes, or a file"):
        structkit.train_segmenter(images, labels, out, map="ade", **HOW)
    with pytest.raises(InputError, match="no pixel has a class of the map void"):
        void = LabelMap("void", ("a",), ((0, 0, 0),), {10: 255, 11: 255, 12: 255, 5: 0})
        structkit.train_segmenter(images, labels, out, map=void, **HOW)
    with pytest.raises(InputError, match="they show b alone, and a class is told from others"):
        one = LabelMap("one", ("a", "b"), PALETTE[:2], {10: 1, 11: 255, 12: 255, 5: 0})
        structkit.train_segmenter(images, labels, out, map=one, **HOW)
    with pytest.raises(CheckpointError, match=r"none\.safetensors: cannot be read as weights"):
        how = HOW | {"width": None, "init": "none.safetensors", "network": "resnet50"}
        structkit.train_segmenter(images, labels, out, map=MAP, **how)
    assert not out.exists()


def test_a_palette_is_enough(streets, tmp_path):
    shutil.copytree(streets / "source" / "images", tmp_path / "images")
    (tmp_path / "labels").mkdir()
    for path in sorted((streets / "source" / "labels").iterdir()):
        image = Image.fromarray(np.asarray(Image.open(path)))
        image.putpalette([level for i in range(256) for level in (i, 2 * i % 256, 9)])
        image.save(tmp_path / "labels" / path.name)
    told = []
    out = tmp_path / "seg.safetensors"
    model = structkit.train_segmenter(tmp_path / "images", tmp_path / "labels", out, tell=told.append, **HOW)
    assert model.classes == ["class 10", "class 11", "class 12"] and tuple(model.palette[1]) == (11, 22, 9)
    assert any("classes of the palette: class 10, class 11, class 12" in note for note in told)


def material(streets: Path, **how) -> tuple[SegmentationMaterial, list[str]]:
    """The material, read, and what it tells."""
    told: list[str] = []
    found = SegmentationMaterial(*source(streets), map=MAP, **how)
    config = found.fitted(SegmenterConfig(size="32x24", adapt="bn" if how else "none")).filled()
    found.find(streets.parent / "none.safetensors")
    found.read(config, SimpleNamespace(say=lambda *notes: told.extend(notes)))
    return found, told


def test_classes_that_nothing_shows_and_many_uncounted_pixels_are_told(streets, monkeypatch):
    other = LabelMap("other", ("sky", "boat", "car"), PALETTE, {10: 0, 11: 255, 12: 2, 3: 1})
    monkeypatch.setitem(globals(), "MAP", other)
    told = material(streets)[1]
    assert any("no picture shows boat, which cannot be learned" in note for note in told)
    assert any("of the pixels have labels that are not counted: is other their label map?" in note for note in told)


def test_pictures_that_are_in_both_domains_are_told(streets):
    told = material(streets, target=source(streets)[0])[1]
    assert any("6 pictures of it also in the source" in note for note in told)


def test_inputs_decide_on_the_digests(streets, tmp_path):
    one = material(streets)[0].digests
    shutil.copytree(streets / "source", tmp_path / "source")
    assert material(tmp_path)[0].digests == one
    image = Image.open(tmp_path / "source" / "labels" / "0.png")
    Image.fromarray(np.asarray(image)[::-1]).save(tmp_path / "source" / "labels" / "0.png")
    other = material(tmp_path)[0].digests
    assert [name for name in one if one[name] != other[name]] == ["labels"]


def test_an_output_among_the_inputs_is_refused(streets):
    for folder in (*source(streets), streets / "night" / "images"):
        with pytest.raises((OptionError, OutputError), match="a folder that is learnt from"):
            structkit.train_segmenter(
                *source(streets),
                folder / "seg.safetensors",
                map=MAP,
                target=streets / "night" / "images",
                adapt="bn",
                **HOW,
            )


def test_the_same_command_gives_the_same_model(streets, tmp_path):
    models = [
        structkit.train_segmenter(*source(streets), tmp_path / f"{i}.safetensors", map=MAP, **HOW) for i in range(2)
    ]
    one, other = (model.state_dict() for model in models)
    assert all(torch.equal(one[name], other[name]) for name in one)
