"""Videos with damage of every kind: the result, a typed error, or a result with a note; never fewer frames in silence.

13 kinds of files, small and made on the spot, each damaged 77 times with fixed seeds.  Run as a script it tells how
each mutant ended: `python -m tests.media.video.test_mutants [KIND...]`.
"""

import random
import sys
import time

import pytest

from structkit.errors import InputError
from structkit.media.video import VideoReader

from .made_clips import FRAMES, KINDS, clip

MUTANTS = 77  # of each kind


def mutant(data: bytes, seed: int) -> bytes:
    """The file with one wound, or up to four small ones, as disks, networks and interrupted copies leave them."""
    chance, made = random.Random(seed), bytearray(data)

    def place() -> int:
        """Anywhere, or in the first kilobyte, or in the last."""
        spots = (len(made), len(made), min(1024, len(made)))
        at = chance.randrange(chance.choice(spots))
        return at if chance.random() < 0.8 else len(made) - 1 - at

    wound = chance.choice(("bits", "bits", "zeros", "noise", "lost", "lost packet", "inserted", "copied", "cut"))
    if wound == "cut":
        return bytes(made[: chance.randrange(len(made) // 8, len(made))])
    for _ in range(chance.randint(1, 4) if wound == "bits" else 1):
        at, length = place(), chance.choice((1, 4, 16, 64, 300))
        match wound:
            case "bits":
                made[at] ^= 1 << chance.randrange(8)
            case "zeros":
                made[at : at + length] = bytes(len(made[at : at + length]))
            case "noise":
                made[at : at + length] = chance.randbytes(len(made[at : at + length]))
            case "lost":
                del made[at : at + length]
            case "lost packet":
                at -= at % 188
                del made[at : at + 188]
            case "inserted":
                made[at:at] = chance.randbytes(length)
            case "copied":
                source = place()
                made[at : at + length] = made[source : source + length]
    return bytes(made)


def watched(data: bytes) -> tuple[list[bytes], set[str]]:
    """The frames' pixels and the notes."""
    with VideoReader(data, name="some.file", max_pixels=1 << 16) as video:
        return [frame.pixels.tobytes() for frame in video], set(video.notes)


def ending(data: bytes, frames: list[bytes]) -> str:
    """What became of a mutant: refused, noted, whole, other pixels, or fewer frames."""
    try:
        seen, notes = watched(data)
    except InputError as error:
        assert str(error).startswith("some.file: ") and "\n" not in str(error)
        return "refused"
    if notes:
        return "noted"
    if len(seen) < len(frames):
        return "fewer frames"
    return "whole" if seen == frames else "other pixels"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damage_never_takes_frames_in_silence(kind):
    data = clip(kind)
    frames, notes = watched(data)
    assert len(frames) == FRAMES and not notes
    lost = [seed for seed in range(MUTANTS) if ending(mutant(data, seed), frames) == "fewer frames"]
    assert lost == []


if __name__ == "__main__":
    for kind in sys.argv[1:] or KINDS:
        start, data = time.process_time(), clip(kind)
        frames, notes = watched(data)
        found = {}
        for seed in range(MUTANTS):
            found.setdefault(ending(mutant(data, seed), frames), []).append(seed)
        print(
            f"{kind}: {len(data)} bytes, {len(frames)} frames {sorted(notes)},",
            {k: len(v) for k, v in found.items()},
            f"{time.process_time() - start:.1f} CPU s",
            "| fewer:",
            found.get("fewer frames"),
            flush=True,
        )
