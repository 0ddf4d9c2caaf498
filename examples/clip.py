"""A short clip to try videos on: a window that glides over examples/lake.jpg.

    python examples/clip.py out/clip.mp4

12 frames of 160 x 96 px, ten a second.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image

WIDE, HIGH, FRAMES, RATE = 160, 96, 12, 10


def main(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(Path(__file__).parent / "lake.jpg") as lake:
        scene = lake.resize((256, 256), Image.Resampling.LANCZOS)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE))
        stream.width, stream.height, stream.pix_fmt = WIDE, HIGH, "yuv420p"
        for i in range(FRAMES):
            left, top = 4 * i, 40 + 2 * i
            window = scene.crop((left, top, left + WIDE, top + HIGH))
            container.mux(stream.encode(av.VideoFrame.from_image(window)))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
