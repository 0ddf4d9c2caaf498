"""Content transfer's model: what it pastes, what its codes are, and the sizes of the published networks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from structkit.configs import TransferConfig
from structkit.engines.transfer.layer import Layer
from structkit.engines.transfer.model import ContentTransfer, layer_of
from structkit.errors import OptionError
from structkit.kernels.composite import composite
from structkit.nets.codes import CodeCritic, confusion

SMALL = TransferConfig(size=16, width=8, widest=16, separate=4, narrow=8, painter=4, rounds=1, painter_size=32).filled()
BARE = replace(SMALL, painter=0, rounds=0)


def model(config: TransferConfig = SMALL) -> ContentTransfer:
    torch.manual_seed(0)
    return ContentTransfer(config).eval()


def squares(count: int = 3, side: int = 32) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def counted(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_the_published_networks_have_the_published_sizes_but_for_biases_that_a_norm_takes_away():
    net = ContentTransfer(TransferConfig(preset="paper").filled())
    assert counted(net.common_encoder) == 6_483_482 - (32 + 64 + 128 + 256 + 487 + 487)
    assert counted(net.separate_encoder) == 742_379 - (32 + 64 + 128 + 128 + 128 + 25)
    trunk = 512 + 256 + 128 + 64 + 32
    assert (counted(net.plain_decoder), counted(net.masked_decoder)) == (6_984_099 - trunk, 6_984_612 - trunk)
    assert counted(CodeCritic(487)) == 998_401
    assert net.painter is None and net.size == 128


def test_what_is_pasted_differs_from_its_canvas_by_the_mask_times_the_difference():
    canvas = squares(side=16)
    layer = layer_of(torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(2)))
    torch.testing.assert_close(
        composite(canvas, layer.colours, layer.mask) - canvas, layer.mask * (layer.colours - canvas)
    )


@pytest.mark.parametrize("logit", [-50.0, 50.0])
def test_a_mask_of_certain_logits_gives_the_canvas_or_the_colours(logit):
    made, canvas = torch.randn(3, 4, 16, 16), squares(side=16)
    made[:, 0] = logit
    layer = layer_of(made)
    torch.testing.assert_close(
        composite(canvas, layer.colours, layer.mask), canvas if logit < 0 else layer.colours, rtol=0, atol=1e-6
    )


def test_only_the_channels_of_the_separate_code_follow_from_it():
    net, seen = model(BARE), []
    net.masked_decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    common, separate = net.common(squares(side=16)), net.separate(squares(side=16))
    net.masked(common, separate)
    net.masked(common, separate + 1)
    changed = (seen[0] != seen[1]).any(0).flatten(1).any(1)
    assert changed.tolist() == [False] * net.common_channels + [True] * SMALL.separate


@pytest.mark.parametrize("config", [SMALL, BARE], ids=["painter", "published"])
def test_taking_off_is_not_a_matter_of_the_separate_channels_of_the_plain_decoder(config):
    """They are never trained: the authors' code feeds them all the same."""
    net, other = model(config), model(config)
    with torch.no_grad():
        other.plain_decoder[0].weight[net.common_channels :] += 1
    for x in (squares(side=net.size),):
        for one, two in zip(vars(net.remove(x)).values(), vars(other.remove(x)).values(), strict=True):
            assert torch.equal(one, two)


@pytest.mark.parametrize("config", [SMALL, BARE], ids=["painter", "published"])
def test_the_mask_of_what_is_taken_off_is_where_the_content_is(config):
    net = model(config)
    x = squares(side=net.size)
    assert torch.equal(net.remove(x).mask, net.segment(x))
    assert net.segment(x).shape == (3, 1, net.size, net.size)


def test_one_donor_serves_many_pictures():
    net = model()
    code = net.separate(squares(1))
    one, each = net.put(squares(), code), net.put(squares(), code.repeat(3, 1, 1, 1))
    assert torch.equal(one.mask, each.mask) and torch.equal(one.colours, each.colours)


def test_content_is_only_what_shows():
    net, x = model(), squares()
    mask = torch.ones_like(x[:, :1])
    net.painted = lambda x: Layer(mask, x + (torch.arange(32) % 3) * 0.06)  # 0, 0.06 and 0.12 of [-1, 1]
    assert torch.equal(net.segment(x), mask * (torch.arange(32) % 3 == 2))


def test_what_is_cut_is_put_back_where_it_was_on_its_own_picture():
    net = model()
    donors = squares()
    net.painted = net.found = lambda x: Layer((x[:, :1] > 0).float(), torch.zeros_like(x))
    layer = net.place(donors, net.cut(donors))
    torch.testing.assert_close(layer.colours, donors, atol=1e-4, rtol=0)
    assert torch.equal(layer.mask > 0.5, donors[:, :1] > 0)


def test_codes_are_made_of_reduced_squares_or_of_squares_as_small_as_they():
    net = model()
    x = squares()
    assert torch.equal(net.common(x), net.common(net.reduced(x)))
    assert net.reduced(x).shape[-1] == 16 and torch.equal(net.reduced(net.reduced(x)), net.reduced(x))


def test_a_model_comes_back_from_its_file_and_in_bfloat16_finds_nearly_the_same(tmp_path):
    net = model()
    net.save(tmp_path / "m.safetensors")
    again = ContentTransfer.load(tmp_path / "m.safetensors")
    assert torch.equal(net.segment(squares()), again.segment(squares()))
    again.dtype = torch.bfloat16
    torch.testing.assert_close(again.segment(squares()), net.segment(squares()), atol=0.05, rtol=0)


@pytest.mark.parametrize("form", ["one-sided", "even", "flipped"])
def test_a_critic_that_knows_nothing_costs_two_bits_whatever_it_is_to_believe(form):
    logits = torch.zeros(7)
    assert confusion(logits, 3, form).item() == pytest.approx(2 * torch.log(torch.tensor(2.0)).item())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"separate": 256},
            "--separate is 256: it must be below 256, the channels that --widest, --width and --size give a code",
        ),
        ({"painter": 0}, "--painter is 0 and --rounds 20: both are 0, or neither is"),
        (
            {"preset": "paper", "painter_steps": 7, "placer_steps": 5},
            "--painter-steps and --placer-steps: of the painter, and there is none",
        ),
        (
            {"painter": 0, "rounds": 0, "painter_size": 256},
            r"--painter-size: of the painter, and there is none \(--painter is 0\): leave out",
        ),
        ({"painter_size": 100}, "--painter-size is 100: it must be a multiple of 32"),
        ({"painter_size": 96}, "--painter-size is 96: it must be a multiple of --size, which is 64"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        TransferConfig(**options).filled()


@pytest.mark.parametrize(
    "config", [TransferConfig(), TransferConfig(preset="paper"), TransferConfig(painter=0, rounds=0), SMALL]
)
def test_a_configuration_that_is_filled_stays_as_it_is(config):
    assert config.filled().filled() == config.filled() and None not in vars(config.filled()).values()


@pytest.mark.parametrize("size", [48, 100])
def test_a_size_that_halving_does_not_bring_down_is_refused(size):
    with pytest.raises(OptionError, match=f"--size is {size}: it must be a power of two"):
        replace(BARE, size=size)
