"""Patch networks: sizes, fields, counts, and that domains and samples never mix."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from structkit.nets.norm import instance_norm
from structkit.nets.patch import PatchNet, PatchStack


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def net(**how) -> PatchNet:
    return PatchNet(PatchStack(**how), torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("shape", [(1, 3, 5, 4), (3, 8, 1, 7), (2, 4, 3, 5, 6)])
@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_instance_norm_is_torchs_in_values_and_in_first_and_second_gradients(shape, shift):
    channels = shape[1]
    given = [noise(*shape) + shift, noise(channels, seed=1), noise(channels, seed=2)]
    results = []
    for norm in (instance_norm, lambda x, gain, bias: F.instance_norm(x, None, None, gain, bias)):
        x, gain, bias = (t.clone().requires_grad_() for t in given)
        y = norm(x, gain, bias)
        first = torch.autograd.grad((y**3).sum(), (x, gain, bias), create_graph=True)
        results.append((y, *first, *torch.autograd.grad(first[0].square().sum(), (x, gain))))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)


def test_at_batch_one_it_is_batch_norm_in_training():
    x, gain, shift = noise(1, 6, 5, 7), noise(6, seed=1), noise(6, seed=2)
    torch.testing.assert_close(instance_norm(x, gain, shift), F.batch_norm(x, None, None, gain, shift, training=True))


@pytest.mark.parametrize(
    ("shape", "order"), [((2, 4, 5, 6), torch.channels_last), ((2, 4, 3, 5, 6), torch.channels_last_3d)]
)
def test_the_order_in_memory_is_kept(shape, order):
    for images in (noise(*shape).to(memory_format=order), noise(*shape)):
        normed = instance_norm(images, noise(4), noise(4))
        assert normed.is_contiguous(memory_format=order) == images.is_contiguous(memory_format=order)


@pytest.mark.parametrize(
    ("width", "generator", "critic"), [(32, 29_763, 29_185), (64, 114_819, 113_665), (128, 450_819, 448_513)]
)
def test_the_parameters_are_the_published_ones_but_for_the_biases_that_a_norm_takes_away(width, generator, critic):
    for stack, count in ((PatchStack(width), generator), (PatchStack(width, outputs=1, padded=False), critic)):
        assert sum(p.numel() for p in PatchNet(stack).parameters()) + 4 * width == count


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("layers", [2, 5])
def test_a_generator_keeps_the_size_and_a_critic_scores_each_patch_of_its_field(axes, layers):
    space = (13, 12, 14)[:axes]
    assert net(width=4, axes=axes, layers=layers)(noise(1, 3, *space)).shape == (1, 3, *space)
    critic = net(width=4, outputs=1, padded=False, axes=axes, layers=layers)
    assert critic(noise(1, 3, *space)).shape == (1, 1, *(n - critic.stack.field + 1 for n in space))


def test_what_lies_outside_the_field_changes_no_score_but_through_the_norm():
    critic = net(width=4, outputs=1, padded=False, layers=2)
    x = noise(1, 3, 12, 12).requires_grad_()
    [slope] = torch.autograd.grad(critic(x)[0, 0, 0, 0], x)
    assert critic.stack.field == 5
    assert slope[0, :, :5, :5].abs().max() > 10 * slope[0, :, 6:, 6:].abs().max()


def test_a_domains_result_depends_on_its_own_channels_only_and_is_that_of_its_part_alone():
    both = net(width=4, domains=2)
    x = noise(2, 6, 12, 12)
    y = both(x)
    other = torch.cat([x[:, :3], noise(2, 3, 12, 12, seed=5)], 1)
    assert torch.equal(both(other)[:, :3], y[:, :3]) and not torch.equal(both(other)[:, 3:], y[:, 3:])
    for i in range(2):
        torch.testing.assert_close(both(x[:, 3 * i : 3 * i + 3], domain=i), y[:, 3 * i : 3 * i + 3])


def test_the_names_of_a_default_stacks_state_are_those_of_checkpoints():
    layers = [f"{kind}.{layer}" for kind in ("gains", "shifts") for layer in range(4)]
    assert list(PatchNet(PatchStack(4)).state_dict()) == ["bias", *[f"weights.{i}" for i in range(5)], *layers]


@pytest.mark.parametrize(
    ("stack", "count"),
    [  # HP-VAE-GAN's; a block's and a decoder's published 384 biases are those that a norm takes away again
        (PatchStack(64, layers=7, axes=3, init="uniform"), 564_483 - 384),
        (PatchStack(64, layers=7, inputs=128, axes=3, init="uniform"), 780_483 - 384),
        (PatchStack(64, 1, layers=7, axes=3, norm="spectral", init="uniform"), 560_257),
        (PatchStack(64, 256, layers=4, axes=3, norm="spectral", init="uniform"), 669_184),
        (PatchStack(64, layers=7, init="uniform"), 188_931 - 384),
        (PatchStack(64, 1, layers=7, norm="spectral"), 187_009),
    ],
)
def test_the_parameters_of_generators_encoders_and_critics_of_clips_are_the_published_ones(stack, count):
    assert sum(p.numel() for p in PatchNet(stack).parameters()) == count


NORMS = pytest.mark.parametrize("norm", ["instance", "spectral", "none"])


@pytest.mark.parametrize("norm", ["instance", "none"])
@pytest.mark.parametrize("domains", [1, 2])
def test_one_padded_frame_gives_what_the_middle_weights_in_time_make_of_a_picture(norm, domains):
    clips, pictures = (net(width=4, axes=axes, layers=3, norm=norm, domains=domains) for axes in (3, 2))
    state = {name: value[:, :, 1] if value.dim() == 5 else value for name, value in clips.state_dict().items()}
    pictures.load_state_dict(state)
    x = noise(2, 3 * domains, 9, 8)
    torch.testing.assert_close(clips(x[:, :, None])[:, :, 0], pictures(x))


@pytest.mark.parametrize("norm", ["spectral", "none"])
def test_weights_that_are_zero_but_in_the_middle_of_time_paint_frame_by_frame(norm):
    clips, pictures = (net(width=4, axes=axes, layers=3, norm=norm).eval() for axes in (3, 2))
    state = {}
    for name, value in pictures.state_dict().items():
        state[name] = F.pad(value[:, :, None], (0, 0, 0, 0, 1, 1)) if value.dim() == 4 else value
    clips.load_state_dict(state)
    x = noise(2, 3, 5, 9, 8)
    torch.testing.assert_close(clips(x), torch.stack([pictures(frame) for frame in x.unbind(2)], 2))


def test_time_is_an_axis_like_the_others_in_a_padded_net():
    one, other = (net(width=4, axes=3, layers=2) for _ in range(2))
    turned = {name: value.transpose(2, 4) if value.dim() == 5 else value for name, value in one.state_dict().items()}
    other.load_state_dict(turned)
    x = noise(1, 3, 4, 5, 6)
    torch.testing.assert_close(other(x.transpose(2, 4)).transpose(2, 4), one(x))


@pytest.mark.parametrize("domains", [1, 2])
@pytest.mark.parametrize("axes", [2, 3])
def test_a_spectral_norm_divides_each_domains_weights_by_their_largest_singular_value(domains, axes):
    critic, plain = (
        net(width=4, outputs=1, layers=3, domains=domains, axes=axes, norm=norm) for norm in ("spectral", "none")
    )
    x = noise(1, 3 * domains, *(7, 8, 6)[:axes])
    for _ in range(200):
        critic(x)
    state = {name: value.clone() for name, value in critic.state_dict().items() if "direction" not in name}
    for i in range(2):
        parts = state[f"weights.{i}"].chunk(domains)
        state[f"weights.{i}"] = torch.cat([part / torch.linalg.matrix_norm(part.flatten(1), 2) for part in parts])
    plain.load_state_dict(state)
    torch.testing.assert_close(critic.eval()(x), plain(x))


def test_a_spectral_norm_is_torchs_in_each_call_in_training_and_in_gradients():
    mine = net(width=4, outputs=1, layers=2, norm="spectral")
    theirs = nn.Conv2d(3, 4, 3, padding=1).double()
    with torch.no_grad():
        theirs.weight.copy_(mine.weights[0])
        theirs.bias.copy_(mine.shifts[0])
    theirs = spectral_norm(theirs, n_power_iterations=1)
    inner = theirs.parametrizations.weight[0]
    inner._u.copy_(mine.direction0[0])
    inner._v.copy_(F.normalize(mine.weights[0].flatten(1).T @ mine.direction0[0], dim=0))
    x = noise(1, 3, 6, 7)
    for _ in range(3):
        hidden = F.leaky_relu(theirs(x), 0.2)
        torch.testing.assert_close(
            mine(x), F.conv2d(hidden, mine.weights[1], mine.bias, padding=1), rtol=1e-9, atol=1e-9
        )
        torch.testing.assert_close(mine.direction0[0], inner._u)
    got = torch.autograd.grad((mine(x) ** 2).sum(), mine.weights[0])[0]
    hidden = F.leaky_relu(theirs(x), 0.2)
    loss = (F.conv2d(hidden, mine.weights[1], mine.bias, padding=1) ** 2).sum()
    torch.testing.assert_close(got, torch.autograd.grad(loss, theirs.parametrizations.weight.original)[0])


def test_directions_are_state_turn_in_training_alone_and_allow_several_calls_before_one_backward():
    critic, x = net(width=4, outputs=1, norm="spectral"), noise(1, 3, 12, 12)
    names = [name for name in critic.state_dict() if name.startswith("direction")]
    assert names == [f"direction{i}" for i in range(4)]
    (critic(x).mean() - critic(-x).mean()).backward()
    with torch.no_grad():
        critic.weights[0].add_(noise(*critic.weights[0].shape))
    before = critic.direction0.clone()
    critic.eval()(x)
    assert torch.equal(critic.direction0, before)
    critic.train()(x)
    assert not torch.equal(critic.direction0, before)
    again = net(width=4, outputs=1, norm="spectral")
    again.load_state_dict(critic.state_dict())
    assert torch.equal(again.eval()(x), critic.eval()(x))


@NORMS
def test_uniform_weights_are_torchs_own_and_normal_ones_singans(norm):
    uniform, normal = (
        PatchNet(PatchStack(64, norm=norm, init=init), torch.Generator().manual_seed(1))
        for init in ("uniform", "normal")
    )
    bound = 1 / (64 * 9) ** 0.5
    for drawn in (uniform.weights[1], uniform.bias, *([] if norm == "instance" else [uniform.shifts[1]])):
        assert drawn.abs().max() <= bound < 2 * drawn.abs().mean() + 0.3 * bound
    assert normal.weights[1].std().item() == pytest.approx(0.02, rel=0.02) and normal.weights[1].abs().max() > 2 * 0.02
    if norm == "instance":
        assert (uniform.gains[0] == 1).all() and normal.gains[0].std() > 0.01


def test_another_norm_or_init_is_refused():
    with pytest.raises(ValueError, match="norm is 'batch', init 'normal': choose from"):
        PatchStack(4, norm="batch")
    with pytest.raises(ValueError, match="init 'zeros'"):
        PatchStack(4, init="zeros")


def test_samples_of_a_batch_never_mix():
    generator, x = net(width=4), noise(3, 3, 12, 12)
    torch.testing.assert_close(generator(x), torch.cat([generator(one[None]) for one in x]))


def test_the_same_generator_state_makes_the_same_network():
    one, other = (net(width=4).state_dict() for _ in range(2))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
