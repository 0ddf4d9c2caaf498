"""Synthesis gives the same bytes with any number of threads, and on any x86 processor from AVX2 on."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from unittest import mock

import pytest
import torch
import torch.nn.functional as F

from structkit.configs import AnalogyConfig, RetargetConfig, SampleConfig
from structkit.engines.patch import analogy as of_pictures
from structkit.engines.patch.analogy import analogy
from structkit.engines.patch.arrangement import retarget, sample
from structkit.engines.patch.channels import Channels
from structkit.engines.patch.draft_ways import drafts_of
from structkit.engines.patch.synthesis import Synthesis, SynthesisPlan, SynthesisState
from structkit.engines.patch.video import analogy_frames
from structkit.kernels import nearest_patches, patchmatch
from structkit.kernels.patchmatch import ChannelGroup, KeyPatches

from .pictures import dark_spots_on_light, red_spots_on_green

AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}  # hold a process to it


def drawn() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def made(kind: str) -> torch.Tensor:
    """One of each kind, through exact search and PatchMatch (of pictures with more than 1,414 patches).

    Of the drafts of an analogy, which are all made alike, every fourth is enough.
    """
    with mock.patch.object(of_pictures, "drafts_of", lambda *how: drafts_of(*how)[::4]):
        return _made(kind)


def _made(kind: str) -> torch.Tensor:
    source, target = dark_spots_on_light(48, 56), red_spots_on_green(60, 46)
    if kind == "frames":
        film = [source, source.roll(2, 3), source.roll(4, 3)]
        return torch.cat(list(analogy_frames(film, target, AnalogyConfig(), shape=(48, 56), generator=drawn())))
    if kind == "clip":
        film = torch.stack([target.roll(2 * step, -1) for step in range(5)], 2)
        synthesis = Synthesis(film, (4, 22, 26), coarsest=14, patch=(3, 5, 5), generator=drawn(), frame_ratio=0.8)
        start, levels = SynthesisState(source[:, :, None].expand(-1, -1, 4, -1, -1)), range(len(synthesis.shapes))
        return synthesis.run(start, levels, SynthesisPlan(2, 2, alpha=0.05)).picture
    if kind == "guided":
        guides = [Channels(source[:, :1], target[:, :1], 20.0), Channels(source[:, 1:].abs(), target[:, 1:].abs(), 0.3)]
        config = AnalogyConfig(rounds=2, coarsest=27)
        return analogy(source, target, config, shape=(48, 56), guides=guides, generator=drawn()).picture
    if kind == "sample":
        return sample(target, SampleConfig(), shape=(60, 46), generator=drawn())
    if kind == "retarget":
        return retarget(target, RetargetConfig(), shape=(46, 80), generator=drawn())
    config = {
        "analogy": AnalogyConfig(),
        "complete": AnalogyConfig(match="colour", rounds=2, completeness=1.0),
        "style": AnalogyConfig(mode="style", rounds=1),
    }
    result = analogy(source, target, config[kind], shape=(48, 56), generator=drawn())
    return torch.cat([result.picture, *(draft.state.picture for draft in result.drafts)])


KINDS = "analogy", "complete", "style", "sample", "retarget", "frames", "clip", "guided"


@cache
def expected(kind: str) -> torch.Tensor:
    """What this processor makes in one thread; to be asked for before anything is changed."""
    return made(kind)


def digests(make: Callable[[str], torch.Tensor]) -> list[str]:
    return [hashlib.sha256(make(kind).numpy().tobytes()).hexdigest() for kind in KINDS]


def test_a_processor_with_other_instructions_and_threads_gives_the_same_bytes(one_thread):
    """Where there is nothing beyond AVX2 it is the threads that differ."""
    script = "from tests.engines.test_processors import digests, made; print(*digests(made))"
    environment = os.environ | AVX2 | {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-c", script]
    ran = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    here = digests(expected)
    assert ran.stdout.split() == here and len(set(here)) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_other_roundings_of_products_and_convolutions_give_the_same_bytes(monkeypatch, one_thread, kind):
    """Libraries add in an order of the processor's.  Here all products are rounded once, from float64."""
    before = expected(kind)
    product, mm, mv, convolutions = torch.Tensor.__matmul__, torch.mm, torch.mv, (F.conv2d, F.conv3d)

    def rounded(call):
        return lambda a, b: call(a.double(), b.double()).to(a)

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded(product))
    monkeypatch.setattr(torch, "mm", lambda a, b, out: out.copy_(rounded(mm)(a, b)))
    monkeypatch.setattr(torch, "mv", lambda a, b, out: out.copy_(rounded(mv)(a, b)))
    for convolution in convolutions:
        monkeypatch.setattr(F, convolution.__name__, rounded(convolution))
    assert torch.equal(made(kind), before)


@pytest.mark.parametrize(
    "cut", [(nearest_patches, {"WORTH": 0}), (nearest_patches, {"BLOCK": 32}), (patchmatch, {"CHUNK": 1000})]
)
def test_how_the_work_is_cut_changes_nothing(monkeypatch, one_thread, cut):
    before, (kernel, values) = expected("analogy"), cut
    for name, value in values.items():
        monkeypatch.setattr(kernel, name, value)
    assert torch.equal(made("analogy"), before)


def white_on_black() -> torch.Tensor:
    """(3, 40, 44): far from the mean that it has elsewhere, where sums are largest."""
    picture = torch.full((3, 40, 44), -1.0)
    picture[:, 9:24, 10:25] = 1
    return picture + 0.02 * torch.rand(3, 40, 44, generator=drawn())


@pytest.mark.parametrize("limit", [0.37, 1.7, 12.25])
def test_what_candidates_are_judged_by_is_exact_for_channels_of_other_limits_too(limit):
    image = torch.rand(5, 24, 31, generator=drawn()) * 2 - 1
    image[3:] *= limit
    keys = KeyPatches(image, 7, [ChannelGroup(3, 1.0), ChannelGroup(2, limit)])
    filters = keys.axes.T.reshape(-1, 5, 7, 7).double()
    exact = F.conv2d((image * 128).round()[None].double() / 128, filters, bias=-keys.mean.double())
    assert torch.equal(keys.codes(image), ((exact[0].flatten(1).T * keys.steps).round() / keys.steps).float())
    mixed = keys.axes.view(5, 49, -1)
    assert not bool(((mixed[:3] != 0).any(1).any(0) & (mixed[3:] != 0).any(1).any(0)).any())

    products = patchmatch._Comparison(image, keys, None).left[:, None] * keys.right[::7]
    for order in (torch.arange(products.shape[2]), torch.randperm(products.shape[2], generator=drawn())):
        total = torch.zeros_like(products[..., 0])
        for column in order:
            total += products[..., column]
        assert torch.equal(total.double(), products.double().sum(2))


@pytest.mark.parametrize("values", ["noise", "8-bit", "black and white", "white on black", "beyond the range"])
@pytest.mark.parametrize("patch", [3, 7, 9, 15])
def test_what_candidates_are_judged_by_is_exact_in_float32(values, patch):
    noise = torch.rand(3, 24, 31, generator=drawn()) * 2 - 1
    pictures = {
        "noise": noise,
        "8-bit": (noise * 127).round() / 127,
        "black and white": noise.sign(),
        "beyond the range": 5 * noise,
    }
    image = pictures[values] if values in pictures else white_on_black()
    keys = KeyPatches(image, patch)
    filters = keys.axes.T.reshape(-1, 3, patch, patch).double()
    exact = F.conv2d((image.clamp(-1, 1) * 128).round()[None].double() / 128, filters, bias=-keys.mean.double())
    assert torch.equal(keys.codes(image), ((exact[0].flatten(1).T * keys.steps).round() / keys.steps).float())

    comparison = patchmatch._Comparison(image, keys, None)
    products = comparison.left[:, None] * keys.right[::7]
    exact = products.double().sum(2)
    norms_first = torch.arange(products.shape[2] - 1, -1, -1)
    for order in (norms_first, norms_first.flip(0), torch.randperm(len(norms_first), generator=drawn())):
        total = torch.zeros_like(products[..., 0])
        for column in order:
            total += products[..., column]
        assert torch.equal(total.double(), exact)
