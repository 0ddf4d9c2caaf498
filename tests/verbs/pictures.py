"""Stand-in models, and pictures in which they find content: what is red."""

import numpy as np

from structkit.media.pictures import Picture

from ..content_models import FakeConfig, FakeTransfer

RED, GREY = (255, 0, 0), (128, 128, 128)


def model(kind=FakeTransfer, **config):
    return kind(FakeConfig(**config))


def noise(height: int, width: int, *, seed: int = 0, bits: int = 8, alpha: np.ndarray | None = None) -> Picture:
    """Blue and green at random, and no red: nothing that a stand-in takes for content."""
    dtype = np.dtype(f"uint{bits}")
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True)
    pixels[..., 0] = 0
    return Picture(pixels, alpha, f"noise {seed}")


def with_glasses(height: int = 32, width: int = 32, *, bits: int = 8, alpha: np.ndarray | None = None) -> Picture:
    """Noise with a red band across its middle."""
    picture = noise(height, width, bits=bits, alpha=alpha)
    picture.pixels[height // 3 : 2 * height // 3] = np.array(RED) * (257 if bits == 16 else 1)
    return picture


def flat(colour, height: int = 16, width: int = 16, name: str = "flat") -> Picture:
    return Picture(np.full((height, width, 3), colour, np.uint8), None, name)
