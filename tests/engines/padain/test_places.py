"""Permuted AdaIN goes where its paper has it, in every network that is normalised by batches."""

import importlib.util

import pytest
import torch
import torchvision
from torch import nn

from structkit.engines.padain.layer import insert_padain
from structkit.engines.padain.places import early_places, swap_places
from structkit.errors import OptionError
from structkit.nets.resnets import classifier_network

PUBLISHED = {"resnet18": 17, "resnet34": 33, "resnet50": 49, "resnet101": 100, "resnet152": 151}  # the paper's counts
OTHERS = (
    *("resnext50_32x4d", "wide_resnet50_2", "densenet121", "vgg11_bn", "mobilenet_v2", "mobilenet_v3_small"),
    *("efficientnet_b0", "efficientnet_v2_s", "shufflenet_v2_x0_5", "mnasnet0_5", "googlenet", "inception_v3"),
)
REGNETS = ("regnet_x_400mf", "regnet_y_400mf")
EARLY = {
    "resnet18": "layer1.1.conv2",
    "densenet121": "features.denseblock1.denselayer6.conv2",
    "mobilenet_v2": "features.1.conv.1",
    "efficientnet_b0": "features.1.0.block.2.0",
    "shufflenet_v2_x0_5": "stage2.3.branch2.5",
    "googlenet": "conv2.conv",
    "vgg11_bn": "features.4",
}  # the last place of the first stage


def network(name):
    """One of torchvision's, without memory for its weights."""
    how = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if name in REGNETS:  # they compute their shapes with tensors
        return getattr(torchvision.models, name)(weights=None)
    with torch.device("meta"):
        return getattr(torchvision.models, name)(weights=None, **how)


@pytest.mark.parametrize(("name", "count"), PUBLISHED.items())
def test_a_resnet_has_the_papers_places(name, count):
    model = network(name)
    names = swap_places(model)
    branches = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and "downsample" not in n]
    assert names == branches and len(names) == count


def test_a_densenet_has_the_stem_and_its_layers_and_no_transition():
    model = network("densenet121")
    convolutions = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    assert swap_places(model) == [name for name in convolutions if "transition" not in name]


@pytest.mark.parametrize(("name", "count"), [("resnet18", 17), ("resnet50", 49), ("resnext29", 28), ("densenet40", 37)])
def test_a_network_for_small_pictures_has_the_papers_places(name, count):
    with torch.device("meta"):
        model = classifier_network(name, 10)
    assert len(swap_places(model)) == count
    assert swap_places(model) == swap_places(model, model.published)


@pytest.mark.parametrize("name", [*OTHERS, *REGNETS])
def test_every_network_of_batch_normalisation_has_places_before_it(name):
    model = network(name)
    names = swap_places(model)
    assert len(names) >= 8 and names[0] == next(n for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    for place in names:
        module = model.get_submodule(place)
        assert isinstance(module, nn.Conv2d) and not 1 < module.groups == module.in_channels
        assert ".proj." not in f".{place}." and ".fc" not in place  # neither shortcuts nor gates


@pytest.mark.parametrize(("name", "last"), EARLY.items())
def test_early_places_are_the_stem_and_the_first_stage(name, last):
    names = swap_places(network(name))
    early = early_places(names)
    assert early == names[: len(early)] and early[-1] == last


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")
@pytest.mark.parametrize(("name", "count"), [("resnet18", 17), ("resnet50", 49), ("resnet50d", 51)])
def test_a_resnet_of_timm_has_the_same_places(name, count):
    import timm

    names = swap_places(timm.create_model(name))
    assert len(names) == count and not any("downsample" in place for place in names)


def test_a_deep_stem_has_a_place_behind_each_of_its_convolutions():
    stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3))
    model = nn.ModuleDict({"conv1": stem, "bn1": nn.BatchNorm2d(4)})
    assert swap_places(model) == ["conv1.0", "conv1.3"]


def test_numbers_pair_convolutions_with_norms_that_are_defined_apart():
    parts = {
        "conv1": nn.Conv2d(3, 4, 1),
        "conv2": nn.Conv2d(4, 4, 1),
        "bn1": nn.BatchNorm2d(4),
        "bn2": nn.SyncBatchNorm(4),
    }
    assert swap_places(nn.ModuleDict(parts)) == ["conv1", "conv2"]


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_sounds_and_clips_have_places_too(axes):
    conv, norm = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1], (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[axes - 1]
    assert swap_places(nn.Sequential(conv(3, 4, 3), nn.Dropout(), norm(4))) == ["0"]


def test_a_pattern_and_a_callable_choose_and_exclude_is_above_both():
    model = network("resnet18")
    assert swap_places(model, r"^layer1\.0\.conv") == ["layer1.0.conv1", "layer1.0.conv2"]
    assert swap_places(model, r"^layer2\.0\.", exclude=None)[-1] == "layer2.0.downsample.0"
    assert swap_places(model, r"^layer2\.0\.") == ["layer2.0.conv1", "layer2.0.conv2"]
    assert swap_places(model, lambda name, module: name in ("layer1", "layer2")) == ["layer1", "layer2"]
    assert len(swap_places(model, exclude=r"^conv1$|downsample")) == 16


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: nn.Linear(2, 2),
            "Linear has no place for .* that batch normalisation follows; looked at no convolution:",
        ),
        (
            lambda: network("vgg11"),
            r"looked at 8 convolutions: features\.0, features\.3, .* features\.18: choose places",
        ),
        (lambda: network("convnext_tiny"), "and 14 more; the network is normalised by LayerNorm, LayerNorm2d, behind"),
        (lambda: network("vit_b_16"), "1 convolution: conv_proj; the network is normalised by LayerNorm, behind which"),
    ],
)
def test_a_model_without_a_place_is_refused_with_what_was_looked_at(make, words):
    with pytest.raises(OptionError, match=words):
        insert_padain(make())


def test_where_and_exclude_that_leave_nothing_are_refused():
    model = network("resnet18")
    with pytest.raises(OptionError, match=r"no place for Permuted AdaIN in whose name 'block' is found; looked at 20"):
        swap_places(model, "block")
    with pytest.raises(OptionError, match=r"excludes conv1, layer1\.0\.conv1, .* and 12 more: choose"):
        swap_places(model, exclude="conv|downsample")
    with pytest.raises(OptionError, match="that `where` chooses"):
        swap_places(model, lambda name, module: False)
    with pytest.raises(OptionError, match=r"'\(' is no regular expression: missing \)"):
        swap_places(model, "(")
