"""`segment` by a segmenter: what each place shows, as large as the picture, as label files in colour."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import structkit
from structkit.errors import OptionError, OutputError, StructkitError
from structkit.media.label_files import read_label_file
from structkit.media.pictures import encode_picture, read_picture
from structkit.verbs.regions import largest, segmented

from .. import segmenter_models
from ..segmenter_models import CLASSES, PALETTE, classes_of, model, scene


@pytest.fixture(autouse=True)
def colours(monkeypatch):
    segmenter_models.install(monkeypatch)


def indices(picture) -> np.ndarray:
    return picture.palette.indices


@pytest.mark.parametrize("shape", [(24, 32), (96, 128), (240, 180), (7, 9)], ids=str)
def test_the_result_is_as_large_as_the_picture_and_has_its_classes(shape):
    made = structkit.segment(scene(*shape), model(), device="cpu")
    assert (made.height, made.width) == shape
    wrong = indices(made) != classes_of(scene(*shape))
    assert wrong.mean() < 0.12  # at edges alone, where pixels are mixed
    assert indices(made)[0, 0] == 0 and indices(made)[-1, 0] == 1 and indices(made)[-1, -1] == 2
    assert (made.pixels == np.array(PALETTE, np.uint8)[indices(made)]).all()


def test_at_its_own_size_nothing_is_lost():
    made = structkit.segment(scene(), model(), device="cpu")
    assert np.array_equal(indices(made), classes_of(scene()))
    assert made.shares == {"sky": 0.5, "road": 0.375, "car": 0.125}


@pytest.mark.parametrize("shape", [(10, 13), (47, 31), (3, 64), (1, 1)], ids=str)
def test_logits_are_enlarged_as_pytorch_does_it_whatever_the_strips(shape, monkeypatch):
    logits = torch.randn(4, 9, 12, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(logits[None], shape, mode="bilinear", align_corners=False)[0].argmax(0).numpy()
    found = largest(logits, shape)
    assert (found != whole).mean() < 0.002
    monkeypatch.setattr("structkit.verbs.regions.STRIP", 7)
    assert np.array_equal(largest(logits, shape), found)


def test_a_list_gives_what_each_alone_gives():
    pictures = [scene(20, 30), scene(24, 32), scene(31, 17)] * 4
    many = structkit.segment(pictures, model(), device="cpu")
    assert len(many) == 12
    for picture, made in zip(pictures, many, strict=True):
        assert np.array_equal(indices(made), indices(structkit.segment(picture, model(), device="cpu")))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif"])
def test_files_hold_the_classes_and_their_colours(suffix):
    made = structkit.segment(scene(), model(), device="cpu")
    indices(made)[indices(made) == 1] = 2  # a class that nothing shows, whose colour stays in its place
    made = replace(made, pixels=made.palette.pixels)
    data = encode_picture(made, suffix)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "P"
    raster = read_label_file(data)
    assert np.array_equal(raster.values, indices(made))
    assert raster.palette[: len(PALETTE)].tolist() == [list(colour) for colour in PALETTE]
    assert np.array_equal(read_picture(data).pixels, made.pixels)


def test_a_format_that_changes_colours_is_refused():
    made = structkit.segment(scene(), model(), device="cpu")
    for suffix, quality in (("jpg", None), ("avif", None), ("webp", 90)):
        with pytest.raises(OutputError, match="changes colours, and here each stands for something"):
            encode_picture(made, suffix, quality=quality)
    assert np.array_equal(read_picture(encode_picture(made, "webp")).pixels, made.pixels)


def test_a_result_that_was_painted_on_is_a_picture_like_others():
    made = structkit.segment(scene(), model(), device="cpu")
    painted = replace(made, pixels=255 - made.pixels)
    assert np.array_equal(read_picture(encode_picture(painted, "png")).pixels, painted.pixels)
    encode_picture(painted, "jpg")


def test_what_is_transparent_has_no_class():
    alpha = np.full((24, 32), 255, np.uint8)
    alpha[:, :8] = 0
    made = structkit.segment(scene(alpha=alpha), model(), device="cpu")
    assert (indices(made)[:, :8] == 255).all() and (indices(made)[:, 9:] != 255).all()
    assert made.alpha is None and sum(made.shares.values()) == pytest.approx(0.75)
    raster = read_label_file(encode_picture(made, "png"))
    assert np.array_equal(raster.values, indices(made))
    empty = structkit.segment(scene(alpha=np.zeros((24, 32), np.uint8)), model(), device="cpu")
    assert (indices(empty) == 255).all() and empty.shares == {}


@pytest.mark.parametrize("bits", [8, 16])
def test_an_overlay_is_the_picture_with_the_colours_over_it(bits):
    picture = scene(bits=bits)
    picture.pixels[:] = 0
    picture.pixels[:, :, 0] = np.iinfo(picture.pixels.dtype).max
    alpha = np.full((24, 32), np.iinfo(picture.pixels.dtype).max, picture.pixels.dtype)
    alpha[0, 0] = 0
    made = structkit.segment(replace(picture, alpha=alpha), model(), device="cpu", overlay=True)
    assert made.palette is None and made.bits == bits and np.array_equal(made.alpha, alpha)
    whole = structkit.segment(replace(picture, alpha=alpha), model(), device="cpu")
    there = indices(whole) != 255
    wanted = 0.6 * whole.pixels.astype(float) * (257 if bits == 16 else 1) + 0.4 * picture.pixels
    assert np.abs(made.pixels - wanted)[there].max() <= (1 if bits == 8 else 2)
    assert np.array_equal(made.pixels[0, 0], picture.pixels[0, 0])
    assert made.shares == whole.shares


def test_what_only_masks_have_is_refused():
    for options in ({"soft": True}, {"threshold": 0.2}):
        with pytest.raises(OptionError, match=f"--{next(iter(options))} is of masks.*leave it out"):
            structkit.segment(scene(), model(), device="cpu", **options)


def test_values_that_are_not_finite_are_an_error(monkeypatch):
    monkeypatch.setattr("structkit.engines.padain.segmenter.Segmenter.logits", lambda self, x: x[:, :3] * torch.nan)
    with pytest.raises(StructkitError, match="scene: the model gives values that are not finite"):
        structkit.segment(scene(), model(), device="cpu")


def test_a_picture_of_another_shape_is_squeezed_and_a_note_says_so():
    assert structkit.segment(scene(48, 64), model(), device="cpu").notes == ()
    assert "squeezed to the 32 x 24 px" in structkit.segment(scene(64, 20), model(), device="cpu").notes[0]
    assert "enlarged to the 32 x 24 px" in structkit.segment(scene(12, 16), model(), device="cpu").notes[0]


def test_too_little_memory_for_many_is_tried_with_fewer(monkeypatch):
    together = []

    def counted(self, pictures):
        together.append(len(pictures))
        if len(pictures) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return segmenter_models.nearest_colour(self, pictures)

    monkeypatch.setattr("structkit.engines.padain.segmenter.Segmenter.logits", counted)
    made = list(segmented([scene()] * 5, model()))
    assert len(made) == 5 and together[0] == 5 and set(together[1:]) == {2}
    assert tuple(made[0].shares) == CLASSES
