"""DID's model: its sizes are the paper's, its codes stand beside each other, and a code that is left out is no
content.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from structkit.configs import DifferenceConfig
from structkit.engines.difference.model import DomainDifference
from structkit.errors import OptionError
from structkit.nets.codes import CodeCritic

SMALL = DifferenceConfig(size=16, width=8, widest=32, separate=4).filled()
# Published numbers, and the biases in front of norms that are left out here, for each layer one a channel.
PUBLISHED = {
    "common_encoder": (6_285_749, 32 + 64 + 128 + 256 + 487 + 462),
    "a_encoder": (2_992_633, 32 + 64 + 128 + 256 + 512 + 25),
    "b_encoder": (2_992_633, 32 + 64 + 128 + 256 + 512 + 25),
    "decoder": (6_982_115, 512 + 256 + 128 + 64 + 32),
}


def squares(count: int, size: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def size_of(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.fixture
def net() -> DomainDifference:
    torch.manual_seed(0)
    return DomainDifference(SMALL).eval()


def test_the_networks_of_the_paper_have_the_papers_sizes():
    with torch.device("meta"):
        net = DomainDifference(DifferenceConfig(preset="paper").filled())
    for name, (count, biases) in PUBLISHED.items():
        assert size_of(getattr(net, name)) == count - biases, name
    assert size_of(CodeCritic(net.channels)) == 947_201
    assert size_of(net) == 19_253_130 - sum(biases for _, biases in PUBLISHED.values())


@pytest.mark.parametrize("norm", ["joint", "instance"])
def test_codes_and_pictures_have_their_shapes(norm):
    net = DomainDifference(replace(SMALL, norm=norm)).eval()
    common, a, b = (encode(squares(3)) for encode in (net.common, net.separate_a, net.separate_b))
    assert (common.shape, a.shape, b.shape) == ((3, 24, 2, 2), (3, 4, 2, 2), (3, 4, 2, 2))
    painted = net.combine(common, a, b)
    assert painted.shape == (3, 3, 16, 16) and painted.abs().max() <= 1


def test_a_code_that_is_left_out_is_zero(net):
    common, a, b = net.common(squares(2)), net.separate_a(squares(2)), net.separate_b(squares(2))
    nothing = torch.zeros_like(a)
    assert torch.equal(net.combine(common), net.combine(common, nothing, nothing))
    assert torch.equal(net.combine(common, a), net.combine(common, a, nothing))
    assert torch.equal(net.combine(common, b=b), net.combine(common, nothing, b))


def test_of_two_contents_what_each_changes_is_added_up_but_in_the_paper(net):
    common, a, b = net.common(squares(2)), net.separate_a(squares(2)), net.separate_b(squares(2))
    nothing = torch.zeros_like(a)
    for code in ({"a": a}, {"b": b}, {}):
        assert torch.equal(net.recombine(common, **code), net.combine(common, **code))
    torch.testing.assert_close(net.recombine(common, a, nothing), net.combine(common, a))
    torch.testing.assert_close(net.recombine(common, nothing, b), net.combine(common, b=b))
    both, neither = net.recombine(common, a, b), net.combine(common)
    changed = (net.combine(common, a) - neither) + (net.combine(common, b=b) - neither)
    torch.testing.assert_close(both, (neither + changed).clamp(-1, 1))
    assert both.abs().max() <= 1 and not torch.equal(both, net.combine(common, a, b))
    net.config = replace(SMALL, preset="paper")
    assert torch.equal(net.recombine(common, a, b), net.combine(common, a, b))


def test_each_code_has_channels_of_its_own_in_the_decoder(net):
    """Common first, then a's, then b's: what a code changes in the first layer's input is its own channels only."""
    seen = []
    net.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    common, a, b = net.common(squares(2)), net.separate_a(squares(2)), net.separate_b(squares(2))
    net.combine(common, a, b)
    for i, changed in enumerate(((common + 1, a, b), (common, a + 1, b), (common, a, b + 1))):
        net.combine(*changed)
        different = (seen[-1] - seen[0]).abs().amax((0, 2, 3)) > 0
        assert torch.equal(different, (torch.arange(32) >= (0, 24, 28)[i]) & (torch.arange(32) < (24, 28, 32)[i]))


def test_a_picture_without_content_does_not_depend_on_the_weights_of_the_separate_channels(net):
    common = net.common(squares(2))
    before = net.combine(common)
    with torch.no_grad():
        net.decoder[0].weight[net.channels :] += 1
    assert torch.equal(net.combine(common), before)


@pytest.mark.parametrize("norm", ["joint", "instance"])
def test_it_comes_back_from_a_file(norm, tmp_path):
    net = DomainDifference(replace(SMALL, norm=norm)).eval()
    net.save(tmp_path / "faces.safetensors")
    again = DomainDifference.load(tmp_path / "faces.safetensors")
    common, a = net.common(squares(2)), net.separate_a(squares(2))
    assert torch.equal(again.combine(again.common(squares(2)), again.separate_a(squares(2))), net.combine(common, a))
    assert (again.size, again.fit, again.channels) == (16, "crop", 24)


def test_bfloat16_is_near_float32(net):
    painted = net.combine(net.common(squares(2)))
    net.dtype = torch.bfloat16
    coarse = net.combine(net.common(squares(2)))
    assert coarse.dtype == torch.float32 and 0 < (coarse - painted).abs().max() < 0.05


def test_options_that_contradict_each_other_are_refused():
    message = r"--separate is 25: two such codes leave nothing of 32 channels for the common one; it must be at most 15"
    with pytest.raises(OptionError, match=message):
        DifferenceConfig(size=16, width=8).filled()
    assert DomainDifference(replace(SMALL, separate=15)).channels == 2
    with pytest.raises(OptionError, match=r"--size is 48: it must be a power of two"):
        replace(SMALL, size=48)


def test_what_is_said_goes_before_the_preset():
    assert DifferenceConfig(preset="paper", batch=8).filled() == replace(
        DifferenceConfig(preset="paper").filled(), batch=8
    )
    paper = DifferenceConfig(preset="paper").filled()
    assert (paper.size, paper.batch, paper.rate, paper.steps, paper.separate) == (128, 32, 2e-4, 1_250_000, 25)
    assert (paper.zero, paper.confusion, paper.form, paper.linear, paper.critic_steps) == (
        1.0,
        0.001,
        "one-sided",
        0.0,
        1,
    )
