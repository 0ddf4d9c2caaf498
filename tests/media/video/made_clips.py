"""Small films of every kind that is read, made on the spot with FFmpeg, without the code under test."""

from fractions import Fraction
from functools import cache
from io import BytesIO

import av
import numpy as np

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
OTHERS = {  # kinds that are read as well
    "mp4 h264, as streams are": ("mp4", {"movflags": "frag_every_frame+empty_moov"}, "libx264", QUICK, None),
    "mp4 with an open group": ("mp4", {}, "libx264", {"x264-params": "open-gop=1:keyint=8:bframes=3"}, "aac"),
    "mkv interlaced": ("matroska", {}, "libx264", {"flags": "+ilme+ildct"}, None),
    "mov prores": ("mov", {}, "prores_ks", {}, None),
    "webm vp8 with sound": ("webm", {}, "libvpx", {"deadline": "realtime", "cpu-used": "8"}, "libopus"),
    "webm vp9 with pictures held back": ("webm", {}, "libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "16"}, None),
    "avi mjpeg": ("avi", {}, "mjpeg", {}, "pcm_s16le"),
    "m2ts": ("mpegts", {"mpegts_m2ts_mode": "1"}, "libx264", QUICK, "ac3"),
    "mpg": ("mpeg", {}, "mpeg2video", {"g": "12", "bf": "2"}, "mp2"),
    "flv h264": ("flv", {}, "libx264", QUICK, "aac"),
    "wmv with sound": ("asf", {}, "wmv2", {"g": "12"}, "wmav2"),
    "ogv": ("ogg", {}, "libvpx", {"deadline": "realtime", "cpu-used": "8"}, None),
}


@cache
def clip(kind: str) -> bytes:
    """A film of a square that moves over a slope, with sound where the kind has some."""
    muxer, how, codec, options, sound = (KINDS | OTHERS)[kind]
    made, (width, height) = BytesIO(), SIZE
    y, x = np.mgrid[:height, :width]
    with av.open(made, "w", format=muxer, options={"fflags": "+bitexact", **how}) as output:
        video = output.add_stream(codec, rate=25, options=options)
        video.width, video.height = SIZE
        video.pix_fmt = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le"}.get(codec, "yuv420p")
        track = output.add_stream(sound, rate=48000, layout="mono") if sound else None
        if sound == "wmav2":
            track.bit_rate = 64_000  # has no default
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
