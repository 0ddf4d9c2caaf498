"""Videos with damage of every kind: the result, a typed error, or a result with a note; never fewer frames in silence.

13 kinds of files, small and made on the spot, each damaged 77 times with fixed seeds.  Run as a script it tells how
each mutant ended: `python tests/media/video/test_mutants.py [KIND...]`.
"""

import random
import sys
import time
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest

from structkit.errors import InputError
from structkit.media.video import VideoReader

MUTANTS = 77  # of each kind
FRAMES, SIZE = 30, (64, 48)  # SIZE: (width, height), px
QUICK = {"preset": "ultrafast", "bf": "2", "g": "12", "threads": "1"}
KINDS = {  # a name: muxer, its options, codec, its options, sound
    "mp4 h264": ("mp4", {}, "libx264", QUICK, "aac"),
    "mp4 hevc": (
        "mp4",
        {},
        "libx265",
        {"x265-params": "log-level=none:pools=1:keyint=12", "preset": "ultrafast"},
        None,
    ),
    "mp4 in fragments": ("mp4", {"movflags": "frag_keyframe+empty_moov"}, "libx264", QUICK, "aac"),
    "mov mjpeg": ("mov", {}, "mjpeg", {}, None),
    "mkv h264": ("matroska", {}, "libx264", QUICK, "aac"),
    "mkv live": ("matroska", {"live": "1", "cluster_time_limit": "300"}, "libx264", QUICK, None),
    "webm vp9": ("webm", {}, "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "12"}, None),
    "webm vp8": ("webm", {}, "libvpx", {"deadline": "realtime", "cpu-used": "8", "g": "12"}, None),
    "avi mpeg4": ("avi", {}, "mpeg4", {"g": "12"}, "mp2"),
    "ts h264": ("mpegts", {}, "libx264", QUICK, "aac"),
    "ts mpeg2": ("mpegts", {}, "mpeg2video", {"g": "12", "bf": "2"}, None),
    "flv": ("flv", {}, "flv", {"g": "12"}, None),
    "wmv": ("asf", {}, "wmv2", {"g": "12"}, None),
}


def clip(kind: str) -> bytes:
    """A film of a square that moves over a slope, with sound where the kind has some."""
    muxer, how, codec, options, sound = KINDS[kind]
    made, (width, height) = BytesIO(), SIZE
    y, x = np.mgrid[:height, :width]
    with av.open(made, "w", format=muxer, options={"fflags": "+bitexact", **how}) as output:
        video = output.add_stream(codec, rate=25, options=options)
        video.width, video.height = SIZE
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        track = output.add_stream(sound, rate=48000, layout="mono") if sound else None
        packets = []
        for number in range(FRAMES):
            pixels = np.stack([3 * x, 4 * y, x + y + 3 * number], -1).astype(np.uint8)
            pixels[10 + number // 2 : 26 + number // 2, number : number + 20] = (220, 30 + 7 * number, 60)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=video.pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            packets += video.encode(frame)
        packets += video.encode(None)
        if track:
            wave = (0.2 * np.sin(np.arange(FRAMES * 1920) / 17)).astype(np.float32)
            form = track.codec_context.format.name
            samples = wave if form.startswith("flt") else (wave * 32767).astype(np.int16)
            size = track.codec_context.frame_size or 1024
            for at in range(0, len(samples) - size, size):
                frame = av.AudioFrame.from_ndarray(samples[None, at : at + size], format=form, layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 48000, at, Fraction(1, 48000)
                packets += track.encode(frame)
            packets += track.encode(None)
        for packet in sorted((p for p in packets if p.dts is not None), key=lambda p: p.dts * p.time_base):
            output.mux(packet)
    return made.getvalue()


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
