"""Colours over a video: where a network of speed sees what, at every frame's own time."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import structkit
from structkit.errors import CheckpointError, InputError, OptionError, OutputError
from structkit.media.moving_pictures import Clip, write_clip
from structkit.media.video import VideoReader
from structkit.verbs.heatmap import OPACITY, PALETTES, heat_painter, palette, spread

from ..speed_models import film, frames_of, tiny_action, tiny_speednet

HOW = {"device": "cpu"}


@pytest.fixture(scope="module")
def model():
    return tiny_speednet()


@pytest.mark.parametrize("kind", ["cam", "speed"])
def test_the_frames_their_times_and_the_sound_stay(model, sounding, sound_of, tmp_path, kind):
    source = sounding(list(frames_of("across", 9, width=48)))
    made = structkit.heatmap(source, tmp_path / "heat.mp4", model, kind=kind, **HOW)
    before, after = (list(VideoReader(path)) for path in (source, tmp_path / "heat.mp4"))
    assert [frame.time for frame in after] == [frame.time for frame in before] and made.frames == len(before)
    assert [frame.duration for frame in after] == [frame.duration for frame in before]
    assert after[0].pixels.shape == before[0].pixels.shape
    assert sound_of(tmp_path / "heat.mp4") == sound_of(source)


def test_without_opacity_a_frame_is_itself_and_with_all_of_it_the_palette(model, tmp_path):
    reader = VideoReader(film(tmp_path / "a.mp4"))
    pixels = frames_of("across", 1)[0]
    assert np.array_equal(heat_painter(reader, model, opacity=0)(pixels, 0.1), pixels)
    full = heat_painter(reader, model, opacity=1)(pixels, 0.1)
    shades = {tuple(shade) for shade in palette(PALETTES["cam"]).tolist()}
    assert {tuple(pixel) for pixel in full.reshape(-1, 3).tolist()} <= shades


def test_the_colours_cover_as_much_as_the_opacity_says(model, tmp_path):
    painter = heat_painter(VideoReader(film(tmp_path / "a.mp4")), model)
    white, black = (np.full((32, 40, 3), level, np.uint8) for level in (255, 0))
    gap = painter(white, 0.2).astype(int) - painter(black, 0.2)
    assert np.abs(gap - 255 * (1 - OPACITY)).max() <= 2


def test_where_nothing_moves_no_colour_of_speed_is_told(model, tmp_path):
    still = np.broadcast_to(frames_of("blink", 1)[0], (20, 32, 40, 3))
    write_clip(Clip(still, Fraction(25)), tmp_path / "still.mp4")
    reader = VideoReader(tmp_path / "still.mp4")
    painter = heat_painter(reader, model, kind="speed")
    frames = [frame.pixels for frame in reader]
    assert np.abs(painter(frames[5], 0.2).astype(int) - frames[5]).max() <= 6


def test_palettes_run_from_their_first_colour_to_their_last():
    for colours in PALETTES.values():
        table = palette(colours)
        assert tuple(table[0]) == colours[0] and tuple(table[-1]) == colours[-1]
        assert np.abs(np.diff(table.astype(int), axis=0)).max() <= 6


def test_the_palette_is_spread_over_the_values_of_what_moves_but_not_over_noise():
    values = np.linspace(2, 4, 101).reshape(-1, 1, 1)
    assert spread(values, None, (0, 1), 0.1).ravel()[[0, 50, 100]] == pytest.approx([0, 0.5, 1])
    moves = np.where(values > 3, 0.9, 0.1)
    assert spread(values, moves, (0, 1), 0.1).ravel()[[51, 100]] == pytest.approx([0, 1], abs=0.01)
    noise = spread(1 + 0.001 * values, None, (0, 1), 0.5)
    assert np.abs(noise - 0.5).max() < 0.01


def test_what_was_slowed_down_has_another_colour_than_what_was_not(tmp_path):
    """Of a network that calls sped up what changes fast: the left half of the clip does, the right half hardly."""
    fast, slow = frames_of("blink", 24, seed=1), np.repeat(frames_of("blink", 6, seed=1), 4, 0)
    frames = np.concatenate([np.roll(fast, 6, 1), slow], 2)
    frames[:, ::2] = np.roll(frames[:, ::2], 1, 2)
    write_clip(Clip(frames, Fraction(25)), tmp_path / "half.mp4")

    class Judge:
        halo, temperature, config = 2, 1.0, SimpleNamespace(side=16, frames=8)

        def maps(self, clips):
            changed = (clips[:, :, 1:] - clips[:, :, :-1]).abs().mean(1)
            changed = torch.cat([changed[:, :1], changed], 1)
            return 40 * torch.nn.functional.adaptive_avg_pool2d(changed, (1, 2)) - 1

    cam = heat_painter(VideoReader(tmp_path / "half.mp4"), Judge(), opacity=1.0)
    shades = cam.shades.mean((0, 1))
    assert shades[0] > shades[1]
    speed = heat_painter(VideoReader(tmp_path / "half.mp4"), Judge(), kind="speed", opacity=1.0)
    shades = speed.shades.mean((0, 1))
    assert shades[0] < shades[1]


def test_what_cannot_be_asked(model, tmp_path):
    path = film(tmp_path / "a.mp4")
    with pytest.raises(OptionError, match="--heatmap-kind is 'jet': choose one of cam, speed"):
        structkit.heatmap(path, tmp_path / "b.mp4", model, kind="jet", **HOW)
    with pytest.raises(OptionError, match="the opacity is 2: it must be between 0 and 1"):
        structkit.heatmap(path, tmp_path / "b.mp4", model, opacity=2, **HOW)
    with pytest.raises(CheckpointError, match=r"what is done in clips.*not speedup"):
        structkit.heatmap(path, tmp_path / "b.mp4", tiny_action(), **HOW)
    with pytest.raises(OutputError, match="unknown video format"):
        structkit.heatmap(path, tmp_path / "b.xyz", model, **HOW)
    with pytest.raises(InputError, match=r"nothing.mp4"):
        structkit.heatmap(tmp_path / "nothing.mp4", tmp_path / "b.mp4", model, **HOW)
    write_clip(Clip(np.zeros((10, 16, 24, 3), np.uint8), Fraction(25)), tmp_path / "small.mp4")
    with pytest.raises(InputError, match=r"small.mp4: 24 x 16 px, and 32 px are the least in which motion is seen"):
        structkit.heatmap(tmp_path / "small.mp4", tmp_path / "b.mp4", model, **HOW)
    with pytest.raises(InputError, match=r"small.mp4: 24 x 16 px, and 32 px are the least in which motion is seen"):
        structkit.speed_curve(tmp_path / "small.mp4", model=model, **HOW)
    assert not (tmp_path / "b.mp4").exists()
