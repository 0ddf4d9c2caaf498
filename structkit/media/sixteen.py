"""Sixteen bits a channel, for colour PNG and TIFF, read and written by FFmpeg (PyAV): Pillow has no such mode."""

import numpy as np

CHANNELS = {"gray16": 1, "ya16": 2, "rgb48": 3, "rgba64": 4}  # FFmpeg's packed formats, without their byte order


def at_bits(levels: np.ndarray, bits: int) -> np.ndarray:
    """The levels at another depth, the nearest: 0..255 (uint8) <-> 0..65535 (uint16).  257 = 65535 / 255."""
    if levels.dtype.itemsize * 8 == bits:
        return levels
    return (
        levels.astype(np.uint16) * np.uint16(257)
        if bits == 16
        else ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    )


def read_samples(data: bytes, codec: str) -> np.ndarray | None:
    """Decode one 16-bit picture.

    codec: "png" or "tiff".
    Returns (H, W, 3 or 4) uint16 (grey is repeated), or None where FFmpeg cannot.
    FFmpeg conceals damage: the caller compares with what another decoder read.
    """
    import av

    try:
        frames = av.CodecContext.create(codec, "r").decode(av.Packet(data))
    except (av.FFmpegError, ValueError):
        return None
    layout, order = (frames[0].format.name[:-2], frames[0].format.name[-2:]) if frames else ("", "")
    if layout not in CHANNELS:
        return None
    frame, plane, channels = frames[0], frames[0].planes[0], CHANNELS[layout]
    rows = np.frombuffer(plane, ">u2" if order == "be" else "<u2").reshape(-1, plane.line_size // 2)
    samples = (
        rows[: frame.height, : frame.width * channels].reshape(frame.height, frame.width, channels).astype(np.uint16)
    )
    return samples if channels > 2 else np.concatenate([samples[..., :1].repeat(3, 2), samples[..., 1:]], 2)


def write_samples(samples: np.ndarray, codec: str) -> bytes:
    """Encode (H, W, 3 or 4) uint16 as "png" or "tiff" (deflate).  Raises av.FFmpegError."""
    from fractions import Fraction

    import av

    height, width, channels = samples.shape
    layout = ("rgb48" if channels == 3 else "rgba64") + ("be" if codec == "png" else "le")
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, layout, Fraction(1, 25)
    encoder.options = {"pred": "mixed"} if codec == "png" else {"compression_algo": "deflate"}
    frame = av.VideoFrame(width, height, layout)
    plane = np.frombuffer(frame.planes[0], ">u2" if codec == "png" else "<u2").reshape(height, -1)
    plane[:, : width * channels] = samples.reshape(height, -1)
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    del plane, frame, encoder  # as large as the picture
    return b"".join(bytes(packet) for packet in packets)
