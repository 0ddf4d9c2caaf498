"""The networks that classify pictures: their parameters, features, sizes, and the places that were published."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from torch import nn

from structkit.configs.labels import CLASSIFIER_PRESETS, NETWORKS
from structkit.errors import OptionError
from structkit.nets.resnets import CLASSIFIERS, classifier_network

PARAMETERS = {  # as published, or counted in the published code
    ("resnet18", 100): 11_220_132,
    ("resnet34", 100): 21_328_292,
    ("resnet50", 100): 23_705_252,
    ("resnet20", 10): 272_474,
    ("resnext29", 100): 6_900_132,
    ("densenet40", 10): 1_059_298,
    ("pyramidnet110", 10): 3_904_446,
    ("pyramidnet200", 100): 26_844_952,
    ("wideresnet28", 10): 36_479_194,
    ("wideresnet40", 10): 2_243_546,
    ("torchvision:resnet50", 1000): 25_557_032,
}
SITES = {  # of permuted AdaIN, as published for the networks that it was published for
    "resnet18": 17,
    "resnet34": 33,
    "resnet50": 49,
    "resnext29": 28,
    "densenet40": 37,
}
NARROW = {"pyramidnet110": 18, "pyramidnet200": 12, "densenet40": 2}


def on_meta(name: str, classes: int, **how) -> nn.Module:
    """A network that takes no memory."""
    with torch.device("meta"):
        return classifier_network(name, classes, **how)


def test_every_network_has_the_parameters_that_are_known():
    for (name, classes), count in PARAMETERS.items():
        assert sum(p.numel() for p in on_meta(name, classes).parameters()) == count, name
    assert {name for name, _ in PARAMETERS} >= set(CLASSIFIERS)


def test_the_configuration_and_the_networks_have_the_same_names():
    assert set(NETWORKS) == set(CLASSIFIERS)
    assert {preset["network"] for preset in CLASSIFIER_PRESETS.values()} <= {*NETWORKS, "torchvision:resnet50"}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_logits_are_the_last_layer_of_the_features_of_pictures_of_any_size_and_number(name):
    network = classifier_network(name, 3, width=NARROW.get(name, 4)).eval()
    for count, shape in ((1, (16, 16)), (2, (19, 24))):
        pictures = torch.rand(count, 3, *shape)
        features = network.features(pictures)
        assert features.shape == (count, network.fc.in_features)
        assert torch.allclose(network.fc(features), network(pictures), atol=1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_published_places_are_convolutions_but_no_shortcuts(name):
    network = on_meta(name, 3)
    found = [n for n, m in network.named_modules() if re.search(network.published, n)]
    assert all(isinstance(network.get_submodule(n), nn.Conv2d) for n in found)
    assert not any(word in n for n in found for word in ("downsample", "shortcut", "transition"))
    assert len(found) == SITES.get(name, len(found)) > 1


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "vgg11_bn", "regnet_y_400mf"])
def test_a_network_of_torchvision_is_its_own_with_features(name):
    from torchvision import models

    network = on_meta(f"torchvision:{name}", 4).eval()
    with torch.device("cpu" if name.startswith("regnet") else "meta"):  # regnets cannot be made without memory
        theirs = models.get_model(name, num_classes=4)
    pictures = torch.zeros(2, 3, 32, 32, device="meta")
    assert network.network.state_dict().keys() == theirs.state_dict().keys()
    assert network(pictures).shape == (2, 4) and network.features(pictures).ndim == 2


def test_features_of_torchvision_are_what_its_last_layer_reads_in_a_copy_too():
    network = copy.deepcopy(classifier_network("torchvision:resnet18", 4).eval())
    pictures = torch.rand(1, 3, 32, 32)
    features = network.features(pictures)
    nn.init.zeros_(network.network.fc.weight)
    assert torch.equal(network(pictures)[0], network.network.fc.bias)
    assert torch.equal(network.features(pictures), features)


def test_initial_weights_are_those_of_the_published_code():
    torch.manual_seed(0)
    dense, plain = classifier_network("resnext29", 50, width=32), classifier_network("resnet18", 50, width=32)
    weight = dense.get_submodule("layer2.1.conv2").weight
    assert weight.std().item() == pytest.approx((2 / (9 * weight.shape[0])) ** 0.5, rel=0.05)
    assert dense.fc.weight.std().item() == pytest.approx((2 / dense.fc.in_features) ** 0.5, rel=0.05)
    assert not dense.fc.bias.any()
    weight = plain.get_submodule("layer2.1.conv2").weight  # uniform, within 1 / sqrt(inputs)
    assert weight.abs().max().item() == pytest.approx((9 * weight.shape[1]) ** -0.5, rel=0.01)


def test_names_that_there_are_not():
    with pytest.raises(OptionError, match=r"--network is 'resnet19': choose one of resnet18, .*torchvision:resnet50"):
        classifier_network("resnet19", 3)
    with pytest.raises(OptionError, match=r"torchvision has no such classifier; did you mean .*resnet50"):
        classifier_network("torchvision:resnet51", 3)
    with pytest.raises(OptionError, match="--width is not of torchvision:resnet18: leave it out"):
        classifier_network("torchvision:resnet18", 3, width=8)
