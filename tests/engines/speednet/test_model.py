"""SpeedNet's model: logits of frames, of places and of clips, which agree; and whether it is to be trusted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from structkit.configs import SpeedNetConfig
from structkit.engines.speednet.model import SpeedNet
from structkit.errors import InputError, OptionError

TINY = SpeedNetConfig(sees="colour", width=0.25, frames=8, smallest=32, largest=32, side=32)


def clips(*shape: int) -> torch.Tensor:
    return torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("config", [TINY, replace(TINY, network="s3dg", width=0.1, gates="all", pool_stride=2)])
def test_logits_of_frames_places_and_clips_are_one_thing(config):
    net = SpeedNet(config).eval()
    with torch.no_grad():
        x = clips(9, 48, 64)
        logits = net.logits(x)
        assert logits.shape == (2, 9)
        torch.testing.assert_close(net(x), logits.mean(1))
        maps, head = net.maps(x), net.network.head
        assert maps.shape[:2] == (2, 9)
        features = net.features(x)
        assert features.shape == (2, net.network.channels)
        if config.pool_stride == 1:  # frames that share a logit are not of equal weight
            torch.testing.assert_close(features @ head.weight.flatten() + head.bias, net(x))
        one_place = net.maps(x[..., :32, :32])
        if one_place.shape[3:] == (1, 1):
            torch.testing.assert_close(one_place.flatten(2)[..., 0], net.logits(x[..., :32, :32]))


def test_the_temperature_is_part_of_the_weights(tmp_path):
    net = SpeedNet(TINY).eval()
    net.scale.fill_(2.0)
    net.save(tmp_path / "m.safetensors", complete=True)
    again = SpeedNet.load(tmp_path / "m.safetensors")
    x = clips(8, 32, 32)
    assert again.temperature == 2 and torch.equal(again.logits(x), net.logits(x))
    torch.testing.assert_close(again.probabilities(x), torch.sigmoid(net.logits(x) / 2))
    assert again.halo == 8 and not again.trusted


@pytest.mark.parametrize(
    ("scores", "trusted"),
    [
        ({"accuracy_low": 0.61, "flow_accuracy": 0.6}, True),
        ({"accuracy_low": 0.59, "flow_accuracy": 0.6}, False),
        ({"accuracy_low": 0.54, "flow_accuracy": 0.5}, False),
        ({}, False),
    ],
)
def test_it_is_trusted_where_it_tells_surely_more_than_motion_does(scores, trusted):
    net = SpeedNet(TINY)
    net.card = {"scores": scores}
    assert net.trusted is trusted


def test_clips_of_too_few_frames_are_refused():
    with pytest.raises(InputError, match=r"\(2, 3, 7, 32, 32\): expected \(B, 3, T, H, W\) of 8 frames"):
        SpeedNet(TINY).logits(clips(7, 32, 32))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"smallest": 64, "largest": 48}, "--smallest is 64: it must be at most --largest, which is 48"),
        ({"same_batch": False}, "--objective relative compares two versions of a moment"),
        ({"gates": "all"}, "--gates is of --network s3dg, and the network is plain: leave it out"),
        ({"network": "s3dg", "gate_frames": 5}, "--gate-frames is of gates, and there are none: choose --gates"),
        ({"network": "s3dg", "gate_bias": False}, "--no-gate-bias is of gates, and there are none"),
        ({"objective": "binary", "calibration": 1.0}, "--calibration is a weight beside another objective"),
        ({"network": "s3dg", "gate_frames": 4}, "--gate-frames is 4: it must be an odd number"),
    ],
)
def test_options_that_cannot_be_together_are_refused(options, words):
    with pytest.raises(OptionError, match=words):
        SpeedNetConfig(**options).filled()


def test_the_presets_are_the_published_form_and_one_for_processors():
    paper, fast = SpeedNetConfig(preset="paper").filled(), SpeedNetConfig().filled()
    assert (paper.network, paper.gates, paper.objective, paper.sampler) == ("s3dg", "all", "binary", "bernoulli")
    assert (paper.frames, paper.smallest, paper.largest) == (64, 64, 336)
    assert (fast.network, fast.gates, fast.objective) == ("plain", "none", "relative")
    assert SpeedNetConfig(preset="paper", network="plain").filled().gates == "none"
