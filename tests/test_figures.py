"""The clips of examples/figures.py: what moves in them moves as things of their size do."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import figures

    yield figures
    for name in ("figures", "physics", "stage", "textures"):
        sys.modules.pop(name, None)


def walker(figures, action: str = "walk", seed: int = 0):
    return figures.Figure(np.random.default_rng(seed), action, (0.0, 0.0), 0.0, 0.0)


def test_a_leg_four_times_as_long_takes_twice_as_long_for_a_step(figures, monkeypatch):
    short = walker(figures).period
    monkeypatch.setattr(figures, "GRAVITY", figures.GRAVITY / 4)  # as long, in sqrt(leg / g)
    assert walker(figures).period == pytest.approx(2 * short)


def test_the_foot_that_stands_does_not_slip(figures):
    person = walker(figures)
    times = np.linspace(0.1, 0.35, 15) * person.period - person.start * person.period
    heels = np.array([person.seen(time)[0][13, 0] for time in times])
    assert np.ptp(heels) < 0.03 * person.pace * person.period  # of a stride
    assert 0.8 < person.pace < 2.2  # m/s


def test_whoever_runs_is_faster_than_whoever_walks_and_leaves_the_ground(figures):
    walking, running = walker(figures), walker(figures, "run")
    assert running.pace > 1.5 * walking.pace and running.period < walking.period
    times = np.linspace(0, 1, 40) * running.period
    lowest = [[person._body(np.array([time]))[0, 13:, 2].min() for time in times] for person in (walking, running)]
    assert max(lowest[0]) < 1e-9 and max(lowest[1]) > 0.04


def test_a_ball_in_the_air_falls_with_gravity(figures):
    import physics

    ball = physics.bouncing(np.random.default_rng(1), 1.0, 4.0, 2.0)
    fall = np.diff(ball.path[:, 1], 2) / physics.STEP**2
    assert np.median(fall) == pytest.approx(-figures.GRAVITY)


def test_the_same_seed_makes_the_same_clips_of_all_classes(figures, monkeypatch, tmp_path):
    made = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        monkeypatch.setattr(sys, "argv", ["figures.py", "actions", str(folder), "--clips", "1", "--seed", "3"])
        figures.main()
        clips = sorted(folder.rglob("*.mp4"))
        assert {clip.parent.name for clip in clips} == set(figures.ACTIONS)
        made.append([clip.read_bytes() for clip in clips])
    assert made[0] == made[1]
    with av.open(str(clips[0])) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(stream)]
    assert (len(frames), frames[0].shape, stream.average_rate) == (48, (96, 96), 25)
    assert np.abs(np.diff(np.stack(frames).astype(int), axis=0)).mean() > 0.3


def test_the_clips_of_things_last_as_long_as_asked(figures, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["figures.py", "physics", str(tmp_path), "--clips", "2", "--seconds", "0.4"])
    figures.main()
    for clip in sorted(tmp_path.iterdir()):
        with av.open(str(clip)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 10
