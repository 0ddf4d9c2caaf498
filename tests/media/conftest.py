"""Pictures made on the spot, one file per format and mode."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from structkit.media.pictures import Picture


@pytest.fixture(scope="session")
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def levels(rng) -> Callable[..., np.ndarray]:
    """levels(H, W, C, bits): random levels that use the whole range; C = 0 for (H, W)."""

    def make(height: int = 12, width: int = 17, channels: int = 3, bits: int = 8) -> np.ndarray:
        shape = (height, width, channels) if channels else (height, width)
        return rng.integers(0, 2**bits, shape).astype(np.uint8 if bits == 8 else np.uint16)

    return make


@pytest.fixture(scope="session")
def picture(levels) -> Callable[..., Picture]:
    def make(height: int = 12, width: int = 17, *, bits: int = 8, alpha: bool = False, **fields) -> Picture:
        return Picture(levels(height, width, 3, bits), levels(height, width, 0, bits) if alpha else None, **fields)

    return make


@pytest.fixture(scope="session")
def smooth() -> Picture:
    """A smooth 8-bit picture, which lossy formats keep closely."""
    y, x = np.mgrid[0:40, 0:56] / 56
    return Picture(np.stack([255 * x, 255 * y, 128 + 60 * (x - y)], -1).astype(np.uint8))


@pytest.fixture(scope="session")
def saved() -> Callable[..., bytes]:
    """saved(image or array, "PNG", ...): Pillow's file."""

    def make(image, format: str, **options) -> bytes:
        buffer = BytesIO()
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, format, **options)
        return buffer.getvalue()

    return make


@pytest.fixture(scope="session")
def png_file() -> Callable[..., bytes]:
    """A PNG chunk by chunk: for bit depths and chunks that Pillow does not write.  samples: (H, W, C)."""

    def make(samples: np.ndarray, colour_type: int, extra: tuple[tuple[bytes, bytes], ...] = (), size=None) -> bytes:
        height, width = samples.shape[:2]
        bits = 8 * samples.dtype.itemsize
        rows = samples.reshape(height, -1).astype(">u2" if bits == 16 else "u1")
        raw = b"".join(b"\0" + row.tobytes() for row in rows)
        header = struct.pack(">IIBBBBB", *(size or (width, height)), bits, colour_type, 0, 0, 0)
        chunks = ((b"IHDR", header), *extra, (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )

    return make


@pytest.fixture(scope="session")
def tiff_file() -> Callable[..., bytes]:
    """A TIFF with one strip: for sample formats that Pillow does not write.  samples: (H, W) or (H, W, C); tags
    override.
    """

    def make(samples: np.ndarray, tags: dict | None = None, predictor: bool = False) -> bytes:
        height, width = samples.shape[:2]
        channels = 1 if samples.ndim == 2 else samples.shape[2]
        little = samples.astype(samples.dtype.newbyteorder("<"))
        if predictor:
            little = np.concatenate([little[:, :1], np.diff(little, axis=1)], 1)
        strip = zlib.compress(little.tobytes())
        kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
        ifd = ImageFileDirectory_v2()
        values = {
            256: width,
            257: height,
            258: (8 * samples.dtype.itemsize,) * channels,
            259: 8,
            262: 1 if channels == 1 else 2,
        }
        values |= {273: 0, 277: channels, 278: height, 279: len(strip), 339: (kind,) * channels} | (
            {317: 2} if predictor else {}
        )
        for tag, value in (values | (tags or {})).items():
            ifd[tag] = value
        return b"II*\0\x08\0\0\0" + ifd.tobytes(8) + strip

    return make


@pytest.fixture(scope="session")
def rgb_profile() -> Callable[..., bytes]:
    """A matrix profile written by hand (ICC.1:2022): primaries as XYZ rows (D50), one tone curve tag for all three."""

    def make(primaries=None, curve: bytes | None = None, space: bytes = b"RGB ") -> bytes:
        p3 = [[0.5151, 0.2412, -0.0011], [0.2920, 0.6922, 0.0419], [0.1571, 0.0666, 0.7841]]  # Display P3

        def fixed(*values: float) -> bytes:
            return struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))

        curve = curve or b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256)) + bytes(2)
        tags = {
            b"desc": b"desc" + bytes(4) + struct.pack(">I", 8) + b"by hand\0" + bytes(78),
            b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1, 0.8249),
        }
        if space == b"GRAY":
            tags[b"kTRC"] = curve
        else:
            tags |= {
                n + b"XYZ": b"XYZ " + bytes(4) + fixed(*xyz)
                for n, xyz in zip((b"r", b"g", b"b"), primaries or p3, strict=True)
            }
            tags |= {n + b"TRC": curve for n in (b"r", b"g", b"b")}
        tags = {name: body + bytes(-len(body) % 4) for name, body in tags.items()}
        at, table, bodies = 132 + 12 * len(tags), b"", b""
        for name, body in tags.items():
            table += struct.pack(">4sII", name, at + len(bodies), len(body))
            bodies += body
        size = at + len(bodies)
        header = (
            struct.pack(">I4sI4s4s4s", size, b"\0" * 4, 0x02400000, b"mntr", space, b"XYZ ")
            + struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
            + b"acsp"
        )
        header += bytes(28) + fixed(0.9642, 1, 0.8249)
        return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + bodies

    return make


@pytest.fixture(scope="session")
def builtin_profile() -> Callable[[str], bytes]:
    return lambda space: ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()
