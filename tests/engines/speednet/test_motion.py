"""Laws of the meter of motion: things that move count, the camera, light and noise do not, or little."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from structkit.engines.speednet.curve import natural_rate
from structkit.engines.speednet.motion import MotionMeter, tolerated_motion

HEIGHT, WIDTH = 64, 96


def ground(height=HEIGHT + 80, width=WIDTH + 160, seed=0):
    """A texture of blobs of several sizes, (height, width, 3) uint8."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width))
    for cell in (16, 8, 4):
        coarse = random.normal(size=(height // cell + 2, width // cell + 2))
        fine = np.kron(coarse, np.ones((cell, cell)))
        for axis in (0, 1):
            fine = sum(np.roll(fine, shift, axis) for shift in range(cell)) / cell
        picture += fine[:height, :width] * 12
    return np.repeat((picture + 128).clip(0, 255).astype(np.uint8)[..., None], 3, 2)


def scene(count, speed=0.0, pan=0.0, thing=(24, 20), noise=0.0, back=None, seed=0):
    """Frames of a thing that moves by `speed` px a frame over a ground, of a camera that pans by `pan`."""
    back = ground(seed=seed) if back is None else back
    front = ground(seed=seed + 7)[: thing[0], : thing[1]]
    random = np.random.default_rng(seed + 1)
    frames = []
    for index in range(count):
        shift = round(index * pan) + 10
        frame = back[20 : 20 + HEIGHT, shift : shift + WIDTH].astype(float)
        left = round(10 + index * speed)
        if thing[0]:
            frame[20 : 20 + thing[0], left : left + thing[1]] = front
        frame += random.normal(size=frame.shape[:2])[..., None] * noise
        frames.append(frame.clip(0, 255).astype(np.uint8))
    return frames


def measured(frames, repeated=None, cuts=None, together=7):
    """What the meter says, pushed a few frames at a time."""
    none = [False] * len(frames)
    meter = MotionMeter()
    for start in range(0, len(frames), together):
        part = slice(start, start + together)
        meter.push(frames[part], (repeated or none)[part], (cuts or none)[part])
    return meter.finish()


def plain(level=120):
    return np.full((HEIGHT + 80, WIDTH + 160, 3), level, np.uint8)


def test_a_thing_that_moves_has_about_its_speed_and_twice_that_when_it_is_twice_as_fast():
    slow, fast = (measured(scene(20, speed)).mean() for speed in (1, 2))
    assert slow == pytest.approx(25 / HEIGHT, rel=0.45) and fast == pytest.approx(2 * slow, rel=0.2)


def test_a_still_scene_has_no_motion_even_if_it_is_noisy():
    assert measured(scene(20)).max() == 0
    moving = measured(scene(20, 1)).mean()
    assert measured(scene(20, noise=2)).max() < 0.05 * moving
    assert measured(scene(20, noise=5, back=plain(), thing=(0, 0))).max() < 0.05 * moving


def test_the_camera_counts_far_less_than_a_thing_that_is_as_fast():
    pan = measured(scene(20, pan=2, thing=(0, 0))).mean()
    thing = measured(scene(20, 2, thing=(40, 30))).mean()
    assert 0.1 * thing < pan < 0.5 * thing


def test_a_camera_that_comes_nearer_is_a_camera():
    wide = Image.fromarray(ground(300, 400))
    frames = []
    for index in range(12):
        height, width = (side * (0.8 - 0.015 * index) for side in (HEIGHT, WIDTH))
        edges = 200 - width, 150 - height, 200 + width, 150 + height
        frames.append(np.asarray(wide.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, edges)))
    assert measured(frames).mean() < 0.5 * measured(scene(12, 2)).mean()


def test_one_who_walks_before_a_plain_wall_is_no_camera():
    walking = measured(scene(20, 2, back=plain(), thing=(44, 14)))
    assert walking.min() > 0.5 * 2 * 25 / HEIGHT


def test_light_that_changes_is_little_motion():
    frames = scene(20)
    bright = [(frame * (1 - 0.02 * index)).astype(np.uint8) for index, frame in enumerate(frames)]
    bright[9] = (frames[9] * 0.4).astype(np.uint8)
    lamp = [frame.copy() for frame in frames]
    for index, frame in enumerate(lamp):
        frame[30:40, 50:60] = 250 if index % 4 < 2 else 20
    moving = measured(scene(20, 2)).mean()
    assert measured(bright).max() < 0.1 * moving and measured(lamp).max() < 0.1 * moving


def test_a_cut_is_no_motion():
    frames = scene(15) + scene(15, seed=3)
    assert measured(frames, cuts=[index == 15 for index in range(30)]).max() == 0
    assert measured(frames).max() == 0  # and one that was not found is short, so that the median leaves it out
    back_and_forth = scene(2, pan=3, thing=(0, 0)) * 15
    assert measured(back_and_forth, cuts=[True] * 30).max() == 0 and measured(back_and_forth).min() > 0.1


def test_frames_that_are_shown_twice_move_as_those_that_are_shown_once():
    frames = scene(24, 2)
    held = [frames[index // 2] for index in range(48)]
    repeated = [index % 2 == 1 for index in range(48)]
    assert measured(held, repeated).mean() == pytest.approx(measured(frames).mean() / 2, rel=0.1)


def test_what_is_shown_for_long_stands_still():
    frames = scene(10, 2)
    held = frames + [frames[-1]] * 60 + scene(10, 2)
    repeated = [10 <= index < 70 for index in range(80)]
    motion = measured(held, repeated)
    assert motion[20:50].max() == 0 and motion[:6].min() > 0.2 and motion[-6:].min() > 0.2
    assert measured(held[:70], repeated[:70])[20:].max() == 0


def test_the_parts_in_which_frames_come_change_nothing():
    frames = scene(40, 1)
    assert np.allclose(measured(frames, together=3), measured(frames, together=40), atol=1e-6)


def test_frames_of_any_kind_have_a_motion_each():
    for shape in ((1, 1), (2, 50), (200, 30)):
        frames = [np.full((*shape, 3), level, np.uint8) for level in (10, 200, 10)]
        assert measured(frames).tolist() == [0, 0, 0]
    assert measured([ground()]).tolist() == [0] and measured([]).shape == (0,)
    assert measured([ground(), ground(60, 70)]).tolist() == [0, 0]  # a clip may change its size


def test_what_moves_more_is_tolerated_less_at_the_rate_asked_for():
    motion = np.concatenate([np.zeros(100), np.full(100, 0.1), np.full(100, 0.8)])
    speeds = tolerated_motion(motion, np.full(300, 0.04), 2.0)
    still, slow, fast = speeds[::100]
    assert still > slow > fast == pytest.approx(1) and natural_rate(speeds, np.full(300, 0.04)) == pytest.approx(2)
    assert np.allclose(tolerated_motion(np.full(50, 0.3), np.full(50, 0.04), 3.0), 3)
    assert tolerated_motion(motion, np.full(300, 0.04), 20.0).max() <= 8
