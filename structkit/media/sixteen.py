"""Sixteen bits a channel, for colour PNG and TIFF: Pillow has no such mode, FFmpeg (PyAV) reads and writes the samples."""

import struct
import zlib
from io import BytesIO

import numpy as np

CHANNELS = {"gray16": 1, "ya16": 2, "rgb48": 3, "rgba64": 4}  # FFmpeg's packed formats, without their byte order


def at_bits(levels: np.ndarray, bits: int) -> np.ndarray:
    """Levels 0..255 (uint8) <-> 0..65535 (uint16), to the nearest.  257 = 65535 / 255."""
    if levels.dtype.itemsize * 8 == bits:
        return levels
    return levels.astype(np.uint16) * np.uint16(257) if bits == 16 else ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def read_samples(data: bytes, codec: str) -> np.ndarray | None:
    """Decode one 16-bit picture.  codec: "png" or "tiff".

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
    samples = rows[: frame.height, : frame.width * channels].reshape(frame.height, frame.width, channels).astype(np.uint16)
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
    plane = np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size)
    plane[:height, : width * channels * 2] = (
        np.ascontiguousarray(samples, ">u2" if codec == "png" else "<u2").view(np.uint8).reshape(height, -1)
    )
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def png_with(png: bytes, dpi: tuple[float, float] | None, exif: bytes) -> bytes:
    """Keep of a PNG what makes the picture, and put resolution and EXIF before it (PNG specification, 11.3.4.3 and 11.3.2.5)."""
    at, chunks = 8, {b"IHDR": b"", b"IDAT": b"", b"IEND": b""}
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        if kind in chunks:
            chunks[kind] += png[at : at + length + 12]
        at += length + 12

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    extra = chunk(b"pHYs", struct.pack(">IIB", *(round(d / 0.0254) for d in dpi), 1)) if dpi else b""  # dots a metre
    extra += chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")) if exif else b""
    return png[:8] + chunks[b"IHDR"] + extra + chunks[b"IDAT"] + chunks[b"IEND"]


def tiff_with(tiff: bytes, tags: dict[int, object]) -> bytes:
    """Write a TIFF's directory anew, with `tags` added and the encoder's own name dropped; the strips stay as they are."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    old = ImageFileDirectory_v2(tiff[:8])
    stream = BytesIO(tiff)
    stream.seek(old.next)
    old.load(stream)
    strips = [tiff[at : at + size] for at, size in zip(old[273], old[279], strict=True)]
    new = ImageFileDirectory_v2()
    for tag, value in {**old, **tags, 259: 8}.items():  # 259: deflate under its registered number
        if tag != 305:
            new[tag] = value
    new[273] = tuple(sum(map(len, strips[:i])) for i in range(len(strips)))  # from the directory's end: Pillow adds where that is
    return b"II*\0\x08\0\0\0" + new.tobytes(8) + b"".join(strips)
