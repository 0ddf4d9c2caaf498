"""A segmenter: a label for every pixel of pictures of any shape, and a file that gives it back."""

from __future__ import annotations

import pytest
import torch

from structkit.configs import SegmenterConfig
from structkit.configs.segmenter import OF_ADAPTATION
from structkit.engines.padain.segmenter import Segmenter
from structkit.errors import CheckpointError, OptionError

from .domains import TINY

CLASSES, PALETTE = ["sky", "road", "car"], [(70, 130, 180), (128, 64, 128), (0, 0, 142)]


def segmenter(**options) -> Segmenter:
    torch.manual_seed(1)
    return Segmenter(SegmenterConfig(**(TINY | options)), CLASSES, PALETTE).eval()


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(2)) * 2 - 1


@pytest.mark.parametrize("shape", [(24, 32), (48, 64), (7, 101)])
def test_there_is_a_logit_of_each_class_for_each_pixel(shape):
    model, seen = segmenter(), pictures(*shape)
    with torch.inference_mode():
        logits = model.logits(seen)
        assert logits.shape == (2, 3, *shape)
        assert torch.equal(model.labels(seen), logits.argmax(1).to(torch.uint8))


def test_what_it_says_of_a_picture_does_not_depend_on_the_others():
    model, seen = segmenter(), pictures(24, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model.logits(seen)[1:], model.logits(seen[1:]), rtol=1e-4, atol=1e-5)


def test_a_file_gives_back_the_model_its_classes_and_its_colours(tmp_path):
    model, path = segmenter(), tmp_path / "street.safetensors"
    model.save(path)
    loaded = Segmenter.load(path)
    assert loaded.classes == CLASSES and loaded.palette == PALETTE
    with torch.inference_mode():
        assert torch.equal(loaded.logits(pictures(24, 32)), model.logits(pictures(24, 32)))


@pytest.mark.parametrize(
    "classes, palette",
    [([], []), (["a", 1], [(0, 0, 0)] * 2), (["a"], [(0, 0, 300)]), (["a"], [(0, 0)]), (["a", "b"], [(0, 0, 0)])],
)
def test_a_card_with_other_classes_or_colours_is_refused(classes, palette):
    with pytest.raises(CheckpointError):
        Segmenter(SegmenterConfig(), classes, palette)


@pytest.mark.parametrize("adapt", ["none", "bn", "fada", "selftrain"])
def test_options_of_other_adaptations_are_refused_and_its_own_are_filled(adapt):
    filled = SegmenterConfig(adapt=adapt).filled()
    for name, (adaptations, _) in OF_ADAPTATION.items():
        value = {"upsampled": True, "pair_batch": 4}.get(name, 0.5 if not name.endswith("steps") else 5)
        if adapt in adaptations:
            assert getattr(filled, name) is not None
            assert getattr(SegmenterConfig(adapt=adapt, **{name: value}).filled(), name) == value
        else:
            assert getattr(filled, name) is None
            with pytest.raises(OptionError, match=f"is of --adapt .*, and --adapt is {adapt}: leave it out"):
                SegmenterConfig(adapt=adapt, **{name: value})
    assert filled.filled() == filled


@pytest.mark.parametrize(
    "options, words",
    [
        ({"size": "240"}, "it must be a width and a height"),
        ({"size": "8x240"}, "it must be a width and a height of 16 to 4096 px"),
        ({"source_size": "240x180x3"}, "--source-size"),
        ({"padain_sites": "early"}, "--padain-sites says where --padain is"),
        ({"init": "resnet.safetensors"}, "--init has weights of a ResNet, and the network is small"),
        ({"network": "resnet50", "width": 0.5}, "--width is of --network small"),
        ({"network": "resnet50", "frozen": True}, "--frozen leaves the batch norms as --init has them"),
        ({"adapt": "selftrain", "size": "64x48", "source_size": "48x48"}, "mixes pictures of both"),
    ],
)
def test_options_that_cannot_be_are_refused(options, words):
    with pytest.raises(OptionError, match=words):
        SegmenterConfig(**options).filled()


def test_presets_are_what_was_published_and_what_is_small():
    paper = SegmenterConfig(preset="paper", adapt="fada", init="r101.safetensors").filled()
    assert (paper.network, paper.size, paper.source_size) == ("resnet101", "1024x512", "1280x720")
    assert (paper.temperature, paper.ceiling, paper.adversarial, paper.upsampled) == (1.8, 0.9, 0.001, True)
    assert paper.frozen and not SegmenterConfig(preset="paper").filled().frozen
    fast = SegmenterConfig(size="64x48").filled()
    assert (fast.network, fast.source_size, fast.shape, fast.augment) == ("small", "64x48", (48, 64), True)
