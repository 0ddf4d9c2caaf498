"""Encoders, decoders and the critic of codes: shapes, counts, norms, and the values of the game."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from structkit.errors import OptionError
from structkit.nets.codes import LATENT, CodeCritic, Decoder, Encoder, confusion, discrimination, stage_widths

SIZES = (8, 16, 32, 64, 128)
FORMS = ("one-sided", "even", "flipped")


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_the_published_widths():
    assert stage_widths(128, 32, 512) == [32, 64, 128, 256, 512, 512]


@pytest.mark.parametrize("size", SIZES)
def test_there_is_a_width_for_each_halving_and_none_is_above_the_widest(size):
    widths = stage_widths(size, 8, 40)
    assert LATENT * 2 ** len(widths) == size and widths[0] == 8 and max(widths) <= 40
    assert all(after == min(2 * before, 40) for before, after in itertools.pairwise(widths))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 24, 65, 100])
def test_other_sizes_are_refused_with_what_they_must_be(size):
    with pytest.raises(OptionError, match=f"^--size is {size}: it must be a power of two, such as 64 or 128$"):
        stage_widths(size, 8, 40)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize("upsampling", ["transposed", "nearest"])
def test_a_picture_goes_to_a_code_and_back_to_its_size(size, norm, spectral, upsampling):
    widths, images = stage_widths(size, 4, 8), noise(2, 3, size, size)
    codes = Encoder(widths, norm=norm, spectral=spectral)(images)
    assert codes.shape == (2, widths[-1], LATENT, LATENT)
    assert Decoder(widths, 4, norm=norm, spectral=spectral, upsampling=upsampling)(codes).shape == (2, 4, size, size)


@pytest.mark.parametrize("upsampling", ["transposed", "nearest"])
def test_gradients_reach_every_weight(upsampling):
    widths = stage_widths(32, 4, 16)
    nets = nn.Sequential(Encoder(widths), Decoder(widths, 3, upsampling=upsampling))
    nets(noise(4, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in nets.parameters())


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_a_convolution_has_a_bias_only_where_no_norm_takes_it_away(norm):
    convolutions = [m for m in Encoder([4, 8], norm=norm) if isinstance(m, nn.Conv2d)]
    assert [m.bias is not None for m in convolutions] == [norm == "none"] * 2
    *inner, last = (m for m in Decoder([4, 8], 3, norm=norm) if isinstance(m, nn.ConvTranspose2d))
    assert [m.bias is not None for m in inner] == [norm == "none"] and last.bias is not None


@pytest.mark.parametrize(("norm", "alone"), [("batch", False), ("instance", True), ("none", True)])
def test_in_training_only_batch_norm_mixes_the_pictures(norm, alone):
    net, images = Encoder([4, 8], norm=norm), noise(4, 3, 8, 8)
    assert torch.allclose(net(images)[:1], net(images[:1]), atol=1e-6) == alone
    net.eval()
    torch.testing.assert_close(net(images)[:1], net(images[:1]))


def test_a_spectral_norm_holds_each_convolution_to_a_gain_of_one():
    net = Encoder([8, 16], norm="none", spectral=True)
    for _ in range(50):
        net(noise(1, 3, 8, 8))
    values = [torch.linalg.matrix_norm(m.weight.flatten(1), 2) for m in net if isinstance(m, nn.Conv2d)]
    torch.testing.assert_close(torch.stack(values), torch.ones(2), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("slope", "least"), [(0.0, 0.0), (0.2, -math.inf)])
def test_a_slope_of_zero_makes_relus(slope, least):
    before_last = nn.Sequential(*list(Decoder([4, 8], 3, slope=slope))[:-1])(noise(2, 8, 2, 2))
    assert before_last.min() >= least and (before_last < 0).any() == (slope > 0)


def test_the_critics_are_the_published_ones():
    for channels, count in ((487, 998_401), (462, 947_201)):  # of MBU and Press, of DID
        assert sum(p.numel() for p in CodeCritic(channels).parameters()) == count
    assert CodeCritic(6)(noise(5, 6, LATENT, LATENT)).shape == (5,)


@pytest.mark.parametrize("form", FORMS)
def test_a_critic_that_knows_nothing_costs_two_bits(form):
    logits = torch.zeros(7)
    assert float(confusion(logits, 3, form)) == pytest.approx(2 * math.log(2))
    assert float(discrimination(logits, 3)) == pytest.approx(2 * math.log(2))


def test_the_game_written_out():
    """Binary cross-entropies: -log sigmoid(x) for what is believed, -log sigmoid(-x) for what is not."""
    logits = torch.tensor([2.0, -1.0, 0.5])
    yes, no = torch.log(torch.sigmoid(logits)), torch.log(torch.sigmoid(-logits))
    torch.testing.assert_close(discrimination(logits, 2), -yes[:2].mean() - no[2])
    torch.testing.assert_close(confusion(logits, 2, "one-sided"), -no[:2].mean() - no[2])
    torch.testing.assert_close(confusion(logits, 2, "flipped"), -no[:2].mean() - yes[2])
    torch.testing.assert_close(confusion(logits, 2, "even"), -(yes + no)[:2].mean() / 2 - (yes + no)[2] / 2)


@pytest.mark.parametrize("form", FORMS)
def test_the_encoder_is_drawn_to_what_the_critic_is_to_believe(form):
    logits = torch.tensor([3.0, 3.0, -3.0, -3.0], requires_grad=True)  # a critic that is right
    confusion(logits, 2, form).backward()
    first, second = logits.grad[0], logits.grad[2]
    assert first > 0 and (second > 0 if form == "one-sided" else second < 0)


def test_domains_weigh_alike_however_many_there_are_of_each():
    logits = torch.tensor([0.3, -0.2])
    more = torch.tensor([0.3, 0.3, 0.3, -0.2])
    torch.testing.assert_close(discrimination(more, 3), discrimination(logits, 1))
    torch.testing.assert_close(confusion(more, 3, "even"), confusion(logits, 1, "even"))
