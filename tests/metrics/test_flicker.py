"""Laws of flicker."""

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from structkit.errors import InputError
from structkit.media.video import Frame
from structkit.metrics.flicker import flicker


@pytest.fixture
def video() -> list[Frame]:
    rng = np.random.default_rng(0)
    return [Frame(rng.integers(0, 128, (6, 9, 3)).astype(np.uint8), Fraction(i, 25)) for i in range(5)]


def painted(video: list[Frame], paint) -> list[Frame]:
    return [replace(frame, pixels=paint(i, frame.pixels)) for i, frame in enumerate(video)]


def test_a_video_is_as_calm_as_itself_in_any_colours(video):
    assert flicker(video, video) == 1
    assert flicker(painted(video, lambda _, p: 255 - p[..., [1, 2, 0]]), video) == pytest.approx(1)


def test_twice_the_contrast_is_twice_the_flicker(video):
    assert flicker(painted(video, lambda _, p: p * 2), video) == pytest.approx(2)
    assert flicker(video, painted(video, lambda _, p: p * 2)) == pytest.approx(0.5)


def test_a_painting_that_changes_at_random_flickers(video):
    calm = painted(video, lambda i, p: np.full_like(p, 10 * i))
    noisy = painted(calm, lambda i, p: p + video[i].pixels)
    assert flicker(noisy, calm) > 2


def test_scale_in_space_and_time_of_day_do_not_matter(video):
    large = painted(video, lambda _, p: p.repeat(3, 0).repeat(2, 1))
    assert flicker([replace(f, time=2 * f.time) for f in large], video) == pytest.approx(1)


def test_it_streams(video):
    held = 0

    def frames() -> Iterator[Frame]:
        nonlocal held
        for frame in video:
            held += 1
            yield frame

    assert flicker(frames(), iter(video)) == 1 and held == len(video)


def test_a_source_that_stands_still(video):
    still = painted(video, lambda _, p: np.zeros_like(p))
    assert flicker(still, still) == 1
    assert flicker(video, still) == math.inf
    assert flicker(still, video) == 0


def test_what_cannot_be_compared(video):
    with pytest.raises(
        InputError, match=r"the source has more frames than the output \(4\); compare videos of equal length"
    ):
        flicker(video[:4], video)
    with pytest.raises(InputError, match=r"the output has more frames than the source \(3\)"):
        flicker(video, video[:3])
    with pytest.raises(InputError, match="fewer than 2 frames"):
        flicker(video[:1], video[:1])
    with pytest.raises(
        InputError, match=r"frames of \(6, 9, 3\) and \(3, 9, 3\); a video's frames must be of one size"
    ):
        flicker([video[0], replace(video[1], pixels=video[1].pixels[:3])], video[:2])
