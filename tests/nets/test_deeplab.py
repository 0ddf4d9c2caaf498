"""Networks for segmentation: where their features lie, what frozen norms do, what the discriminator tells apart."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from structkit.errors import CheckpointError
from structkit.nets.deeplab import (
    DilatedClassifier,
    FrozenBatchNorm,
    PixelDiscriminator,
    ResNetBackbone,
    SegmentationNetwork,
    SmallBackbone,
    enlarged,
    set_norms,
)


def small() -> SegmentationNetwork:
    torch.manual_seed(0)
    return SegmentationNetwork("small", 3, 0.25).eval()


def test_the_small_backbone_has_half_a_million_weights():
    assert 400_000 < sum(p.numel() for p in SmallBackbone().parameters()) < 600_000


@pytest.mark.parametrize("height, width", [(16, 24), (17, 25), (23, 40)])
def test_there_is_a_logit_every_8_px(height, width):
    logits = small()(torch.zeros(2, 3, height, width))
    assert logits.shape == (2, 3, -(-height // 8), -(-width // 8))


@pytest.mark.slow
def test_a_published_resnet_has_features_every_8_px_and_takes_its_weights():
    import torchvision

    backbone = ResNetBackbone("resnet50")
    assert backbone.eval()(torch.zeros(1, 3, 32, 40)).shape == (1, 2048, 4, 5)
    whole = torchvision.models.resnet50(weights=None)
    backbone.load_published(whole.state_dict())
    assert torch.equal(backbone.layer4[2].conv3.weight, whole.layer4[2].conv3.weight)
    with pytest.raises(CheckpointError, match="weights of another network"):
        backbone.load_published(torchvision.models.resnet18(weights=None).state_dict())


def test_a_logit_stays_where_its_feature_is():
    logits = torch.zeros(1, 1, 3, 4)
    logits[0, 0, 1, 2] = 1
    whole = enlarged(logits, (20, 28))
    assert whole.shape == (1, 1, 20, 28)
    assert whole.flatten().argmax() == 8 * 28 + 16
    assert whole[0, 0, 8, 16] == 1


@pytest.mark.parametrize("shape", [(24, 32), (17, 25)])
def test_logits_are_linear_between_features_and_constant_beyond_the_last(shape):
    down, right = torch.meshgrid(torch.arange(3.0), torch.arange(4.0), indexing="ij")
    whole = enlarged((down + 10 * right)[None, None], shape)[0, 0]
    rows, columns = torch.arange(shape[0]).clamp(max=16) / 8, torch.arange(shape[1]).clamp(max=24) / 8
    torch.testing.assert_close(whole, rows[:, None] + 10 * columns)


def test_shifting_a_picture_by_8_px_shifts_its_logits_by_one():
    """The middle of them, where no border is seen."""
    network, picture = small(), torch.rand(1, 3, 24, 648)
    whole, moved = network(picture)[..., :, 36:44], network(picture[..., 8:])[..., :, 35:43]
    torch.testing.assert_close(whole, moved, rtol=1e-4, atol=1e-5)


def test_a_frozen_norm_is_its_formula_without_epsilon_and_learns_nothing():
    norm, features = FrozenBatchNorm(3).train(), torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    norm.double()
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            tensor.copy_(torch.rand(3) / 1000 + 1e-6)
    before = copy.deepcopy(norm.state_dict())
    found = norm(features)
    weight, bias, mean, variance = (
        before[name][:, None, None] for name in ("weight", "bias", "running_mean", "running_var")
    )
    torch.testing.assert_close(found, weight * (features - mean) / variance.sqrt() + bias)
    found.sum().backward()
    assert norm.weight.grad is None and norm.bias.grad is None
    assert all(torch.equal(tensor, before[name]) for name, tensor in norm.state_dict().items())


def test_norms_change_their_kind_and_keep_their_weights():
    network = small()
    names, before = [name for name, _ in network.named_modules()], copy.deepcopy(network.state_dict())
    weights = [id(p) for p in network.parameters()]
    set_norms(network, FrozenBatchNorm)
    assert sum(type(m) is FrozenBatchNorm for m in network.modules()) == 16
    set_norms(network, nn.BatchNorm2d)
    assert not any(type(m) is FrozenBatchNorm for m in network.modules())
    assert [name for name, _ in network.named_modules()] == names
    assert [id(p) for p in network.parameters()] == weights
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_the_classifier_is_the_sum_of_its_dilated_convolutions():
    head, features = DilatedClassifier(4, 3, (1, 2)), torch.randn(1, 4, 6, 7)
    expected = sum(
        nn.functional.conv2d(features, branch.weight, branch.bias, padding=rate, dilation=rate)
        for branch, rate in zip(head.branches, (1, 2), strict=True)
    )
    torch.testing.assert_close(head(features), expected)
    assert 0.005 < DilatedClassifier(64, 19, (6, 12)).branches[1].weight.std() < 0.015


def test_the_discriminator_has_the_sources_logits_before_the_targets():
    critic, features = PixelDiscriminator(5, 19, 8), torch.randn(2, 5, 3, 4)
    before = critic(features)
    assert before.shape == (2, 38, 3, 4)
    with torch.no_grad():
        critic.target.bias += 1
    torch.testing.assert_close(
        critic(features) - before, torch.eye(2)[1].repeat_interleave(19)[:, None, None].expand_as(before)
    )
