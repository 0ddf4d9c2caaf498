"""The speed of each place and time of a video: chunks, speeds, motion."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from structkit.data.windows import VideoWindow, window_tensor
from structkit.engines.speednet import places
from structkit.engines.speednet.places import class_activation, smoothed, tolerance
from structkit.media.moving_pictures import Clip, write_clip
from structkit.media.sampled import SampledVideo

from ...speed_models import film, tiny_speednet


class Teller:
    """A stand-in for a network: at each place, sped up is what changes by more than so many levels from the frame
    before.
    """

    halo, temperature = 2, 1.0

    def __init__(self, level: float) -> None:
        self.level = level

    def maps(self, frames: Tensor) -> Tensor:
        changed = (frames[:, :, 1:] - frames[:, :, :-1]).abs().mean(1)
        changed = torch.cat([changed[:, :1], changed], 1) * 127.5
        pooled = torch.nn.functional.adaptive_max_pool2d(changed, (2, 4))
        return torch.where(pooled > self.level, 50.0, -50.0)


@pytest.fixture
def video(tmp_path):
    return lambda count=40, **how: SampledVideo(film(tmp_path / "film.mp4", count=count, **how), side=32)


@pytest.mark.parametrize("chunk", [7, 16, 100])
def test_chunks_make_the_maps_of_the_whole_video(video, monkeypatch, chunk):
    """Away from its ends, where the whole is padded by the network, and chunks by the first and the last frame."""
    film, model = video(), tiny_speednet()
    frames = np.stack([sample.pixels for sample in film])
    clip, head = window_tensor([VideoWindow(frames, 0, 0)]), model.network.head
    with torch.no_grad():
        head.weight *= 2000  # what is untrained hardly tells frames apart
        head.bias -= model.maps(clip).mean()
        whole = model.maps(clip)[0].numpy()
    monkeypatch.setattr(places, "CHUNK", chunk)
    maps = class_activation(film, model, "cpu")
    assert maps.values.shape == whole.shape and (maps.start, maps.rate) == (0, 25)
    inside = slice(model.halo, -model.halo)
    gap = np.abs(maps.values[inside].astype(np.float32) - whole[inside]).max()
    assert gap < 0.05 * whole[inside].std(0).max()


@pytest.mark.parametrize("chunk", [9, 100])
def test_what_stands_still_tolerates_every_speed_and_what_is_sped_up_none(video, monkeypatch, chunk):
    monkeypatch.setattr(places, "CHUNK", chunk)
    film = video(30)
    assert np.allclose(tolerance(film, Teller(999), "cpu").values, math.log2(places.FACTORS[-1]), atol=1e-3)
    assert (tolerance(film, Teller(-1), "cpu").values == 0).all()


def test_each_factor_sees_frames_that_are_so_far_apart(tmp_path):
    """Of a clip whose brightness rises by 4 levels a frame."""
    frames = np.broadcast_to((40 + 4 * np.arange(48, dtype=np.uint8))[:, None, None, None], (48, 32, 32, 3))
    write_clip(Clip(np.ascontiguousarray(frames), Fraction(25)), tmp_path / "rising.mp4")
    seen = []

    class Watcher(Teller):
        def maps(self, frames: Tensor) -> Tensor:
            seen.append((frames.mean((0, 1, 3, 4)) + 1) * 127.5)
            return super().maps(frames)

    tolerance(SampledVideo(tmp_path / "rising.mp4", side=32), Watcher(1), "cpu")
    assert len(seen) == len(places.FACTORS)
    for factor, levels in zip(places.FACTORS, seen, strict=True):
        steps = levels.diff()[2:-3]  # what follows is padding
        assert float(steps[: int(40 / factor)].mean()) == pytest.approx(4 * factor, rel=0.15)


@pytest.mark.parametrize("heat", [1.0, 3.0])
def test_a_place_tolerates_the_speeds_at_which_nothing_before_was_refused(video, heat):
    """Expected, for independent refusals: here of chances that do not depend on the frames."""
    chances = iter([0.0, 0.5, 0.2, 1.0, 0.0])

    class Constant(Teller):
        temperature = heat

        def maps(self, frames: Tensor) -> Tensor:
            chance = torch.full((1, frames.shape[2], 2, 4), next(chances)).clamp(1e-6, 1 - 1e-6)
            return heat * chance.logit()

    logs = [math.log2(factor) for factor in places.FACTORS]
    expected = 0.5 * (logs[1] - logs[0]) + 0.5 * 0.8 * (logs[2] - logs[1])
    assert np.allclose(tolerance(video(20), Constant(0), "cpu").values, expected, atol=1e-3)


def test_motion_is_where_something_moves(video):
    maps = class_activation(video(30, way="blink", width=64), Teller(5), "cpu")
    assert maps.motion.shape == maps.values.shape
    left, right = maps.motion[:, :, :2].mean(), maps.motion[:, :, 2:].mean()
    assert left > 1 and right < 0.2 * left


def test_a_map_of_a_time_lies_between_those_of_the_samples_around_it(video):
    maps = class_activation(video(20), tiny_speednet(), "cpu")
    values = maps.values.astype(np.float32)
    assert np.allclose(maps.at(0.02, maps.values), values[0]) and np.allclose(maps.at(0.06, maps.values), values[1])
    assert np.allclose(maps.at(0.04, maps.values), (values[0] + values[1]) / 2, atol=1e-3)
    assert np.allclose(maps.at(-5, maps.values), values[0]) and np.allclose(maps.at(99, maps.values), values[-1])


def test_smoothing_keeps_what_is_constant_and_takes_the_mean_around():
    steps = np.arange(12.0).reshape(12, 1, 1)
    assert np.allclose(smoothed(np.full((9, 2, 2), 3.0), 4), 3)
    assert smoothed(steps, 4)[5:7].ravel().tolist() == [5, 6] and smoothed(steps, 4)[0, 0, 0] == 1


def test_progress_counts_the_samples(video):
    told = []
    class_activation(video(20), tiny_speednet(), "cpu", told.append)
    assert told[-1] == 20 and told == sorted(told)


def test_times_are_those_of_the_samples(video):
    maps = class_activation(video(20), tiny_speednet(), "cpu")
    assert maps.start == 0 and maps.rate == Fraction(25) and len(maps.values) == 20
