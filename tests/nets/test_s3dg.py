"""S3D-G and the plain network of clips: as many parameters as published, any size, and what a frame depends on."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.video import s3d

from structkit.errors import CheckpointError
from structkit.nets.s3dg import GATES, S3DG, FeatureGate, load_trunk
from structkit.nets.separable import MotionContrast, PlainClipNetwork


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def published() -> S3DG:
    """The network of torchvision, but for its head, which pools."""
    return S3DG(gates="none", stem_stride=2, pool_stride=2, classes=400)


def clips(*shape: int) -> torch.Tensor:
    return torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_it_has_as_many_parameters_as_published():
    assert parameters(published()) == parameters(s3d(num_classes=400)) == 8_320_048
    assert parameters(S3DG()) == 9_136_081
    assert parameters(S3DG(gates="none")) == 7_911_073
    blocks = 256 + 480 + 512 + 512 + 512 + 528 + 832 + 832 + 1024
    assert parameters(S3DG()) - parameters(S3DG(gate_bias=False)) == 192 + blocks
    assert 290_000 < parameters(PlainClipNetwork()) < 310_000


def test_with_the_weights_of_torchvision_its_features_are_torchvisions():
    theirs, ours = s3d(num_classes=4).eval(), published().eval()
    for layer in theirs.modules():  # as they are made, features fade away with depth
        if isinstance(layer, torch.nn.Conv3d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    names = sorted(theirs.state_dict())  # in no order of layers
    load_trunk(ours, {name: theirs.state_dict()[name] for name in names})
    with torch.no_grad():
        x = clips(16, 64, 64)
        wanted = theirs.features(x)
        assert wanted.std() > 0.1
        torch.testing.assert_close(ours.trunk(x), wanted, rtol=1e-4, atol=1e-4)


def test_weights_of_another_network_are_refused():
    theirs = s3d(num_classes=400).state_dict()
    with pytest.raises(CheckpointError, match=r"w: features\.0\.0\.0\.weight is .*, and must be .* a width of 1"):
        load_trunk(S3DG(width=0.5), theirs, "w")
    with pytest.raises(CheckpointError, match=r"w: 1 layers where S3D has 154"):
        load_trunk(S3DG(), {"a.weight": torch.zeros(1)}, "w")


@pytest.mark.parametrize("network", [PlainClipNetwork(width=0.25, classes=2), S3DG(width=0.1, classes=2)])
@pytest.mark.parametrize("shape", [(8, 64, 64), (9, 97, 64), (8, 64, 224)])
def test_clips_of_any_size_have_a_logit_for_each_frame(network, shape):
    with torch.no_grad():
        found = network.eval().frame_logits(clips(*shape))
        assert found.shape == (1, 2, shape[0])
        torch.testing.assert_close(network(clips(*shape)), found.mean(2))
        assert network.maps(clips(*shape)).shape[:3] == (1, 2, shape[0])


@pytest.mark.parametrize(
    ("network", "halo"),
    [
        (PlainClipNetwork(width=0.5), 8),
        (PlainClipNetwork(width=0.5, motion=True), 13),
        (S3DG(width=0.1, gates="none"), 14),
        (S3DG(width=0.1, gates="stem", gate_frames=5), 16),
    ],
)
def test_a_frame_changes_the_logits_as_far_as_the_halo_says(network, halo):
    assert network.halo == halo
    one = clips(2 * halo + 7, 32, 32)
    other = one.clone()
    other[:, :, halo + 3] = -1
    with torch.no_grad():
        network = network.eval().double()
        changed = (network.frame_logits(one.double()) != network.frame_logits(other.double()))[0, 0].nonzero()
    late = isinstance(network.view, MotionContrast)  # a change is that from the frame before
    assert (int(changed.min()), int(changed.max())) == (3 + late, 2 * halo + 3)


@pytest.mark.parametrize(
    "network", [PlainClipNetwork(width=0.5), PlainClipNetwork(motion=True), S3DG(width=0.1, gates="none")]
)
def test_a_chunk_with_its_halo_has_the_logits_of_the_whole(network):
    halo = network.halo
    whole = clips(3 * halo, 32, 32)
    with torch.no_grad():
        dense, part = network.eval().frame_logits(whole), network.frame_logits(whole[:, :, : 2 * halo])
    torch.testing.assert_close(part[..., :halo], dense[..., :halo], rtol=1e-4, atol=1e-5)


def test_gradients_are_the_same_with_less_memory(monkeypatch):
    network, kept = PlainClipNetwork(width=0.5), []
    found = []
    for sparing in (False, True):
        network.sparing = sparing
        network.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
            logits = network(clips(8, 32, 32))
        logits.sum().backward()
        found.append(([p.grad.clone() for p in network.parameters()], sum(kept)))
        kept.clear()
    (plain, much), (again, little) = found
    assert all(torch.equal(*two) for two in zip(plain, again, strict=True)) and little < much / 2


def test_the_contrast_of_motion_is_as_strong_whatever_the_light_and_none_where_nothing_moves():
    moving = 0.8 * clips(12, 20, 20)
    view = MotionContrast()
    torch.testing.assert_close(view(moving / 2 + 0.1), view(moving), rtol=0.2, atol=0.05)
    assert view(moving[:, :, :1].expand(-1, -1, 12, -1, -1)).eq(0).all()
    assert view(moving[:, :, :8]).shape == (1, 1, 8, 20, 20)  # fewer frames than the window has
    noise = 0.01 * clips(12, 20, 20)
    assert view(noise).abs().mean() < 0.3 * view(moving).abs().mean()


def test_where_gates_see_all_of_the_clip_no_halo_is_enough():
    halos = {gates: S3DG(width=0.1, gates=gates).halo for gates in GATES}
    assert halos == {"none": 14, "stem": None, "mixed": None, "all": None}
    assert S3DG(width=0.1, gates="none", pool_stride=2).halo is None


def test_a_gate_over_more_frames_than_the_clip_has_is_the_published_one():
    near, far = FeatureGate(4, frames=21), FeatureGate(4)
    near.load_state_dict(far.state_dict())
    x = torch.rand(2, 4, 10, 3, 3)
    torch.testing.assert_close(near(x), far(x))
    torch.testing.assert_close(FeatureGate(4)(x), x * 0.5, rtol=0.05, atol=0.05)  # gates begin half open
