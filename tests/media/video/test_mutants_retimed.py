"""Damaged videos through the samples and through a map of times: made, refused or noted; no crash, and no endless work.

Run as a script it reads a thousand of them: `python -m tests.media.video.test_mutants_retimed [COUNT]`.
"""

import json
import multiprocessing
import sys
import time
from collections import Counter
from fractions import Fraction
from io import BytesIO

import pytest

from structkit.errors import InputError
from structkit.media.retiming import retime
from structkit.media.sampled import SampledVideo
from structkit.media.timing import TimeMap
from structkit.media.video import VideoReader

from .made_clips import FRAMES, clip
from .test_mutants import mutant

KINDS = (
    "mp4 h264",
    "mkv h264",
    "webm vp8 with sound",
    "avi mpeg4",
    "ts h264",
    "mp4 with an open group",
    "mkv interlaced",
    "mp4 in fragments",
)
LONGEST = 10  # s of processor time for one file
RETIMED = 4  # one of so many is written too
TIMING = TimeMap.of_speeds([Fraction(0), Fraction(1, 2), Fraction(6, 5)], [Fraction(3, 2), Fraction(3)])


def endings(numbers: list[int]) -> list[tuple[str, str]]:
    """What became of each mutant, sampled or retimed, and how long it took where that was too long."""
    found = []
    for number in numbers:
        kind = KINDS[number % len(KINDS)]
        data = mutant(clip(kind), number)
        start = time.process_time()
        try:
            ending = _retimed(data, number) if number // len(KINDS) % RETIMED == 0 else _sampled(data, number)
        except InputError as error:
            ending = "refused" if str(error).startswith("some.file: ") and "\n" not in str(error) else f"said {error}"
        except Exception as error:
            ending = f"{type(error).__name__}: {error}"
        if time.process_time() - start > LONGEST:
            ending = "too long"
        found.append((kind, ending))
    return found


def _sampled(data: bytes, number: int) -> str:
    video = SampledVideo(data, side=24, name="some.file", max_pixels=1 << 16, tolerant=number % 3 == 0)
    count = sum(1 for _ in video)
    assert count == video.count
    return "noted" if video.notes else "whole" if count == FRAMES else f"{count} samples"


def _retimed(data: bytes, number: int) -> str:
    video = VideoReader(data, name="some.file", max_pixels=1 << 16, tolerant=number % 3 == 0)
    output = BytesIO()
    made = retime(video, output, TIMING, resample=("nearest", "blend", "vfr")[number % 3])
    assert made.frames > 0 and output.tell() > 0
    return "noted, retimed" if video.notes else "retimed"


@pytest.mark.slow
def test_damaged_videos_are_sampled_retimed_or_refused():
    found = Counter(ending for _, ending in endings(range(0, 1000, 5)))
    assert set(found) <= {"whole", "noted", "refused", "retimed", "noted, retimed"}


def test_some_damaged_videos_are_sampled_retimed_or_refused():
    found = Counter(ending for _, ending in endings(range(3, 1000, 41)))
    assert set(found) <= {"whole", "noted", "refused", "retimed", "noted, retimed"} and len(found) >= 4


def main() -> None:
    """Read the mutants in processes of their own, a few at a time, and print what became of them."""
    count, together = int(sys.argv[1]) if len(sys.argv) > 1 else 1000, 20
    context, found = multiprocessing.get_context("spawn"), Counter()
    pool = context.Pool(1)
    for first in range(0, count, together):
        numbers = list(range(first, min(count, first + together)))
        try:
            for kind, ending in pool.apply_async(endings, (numbers,)).get(timeout=LONGEST * together):
                found[kind, ending] += 1
        except Exception as error:
            pool.terminate()
            pool = context.Pool(1)
            found["crash or endless", f"{numbers[0]} to {numbers[-1]}: {type(error).__name__}"] += 1
    print(json.dumps({f"{kind}: {ending}": times for (kind, ending), times in sorted(found.items())}, indent=1))


if __name__ == "__main__":
    main()
