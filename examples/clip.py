"""A short clip to try videos on: a window that glides over examples/lake.jpg.

    python examples/clip.py out/clip.mp4

6 frames of 128 x 80 px, ten a second.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image

WIDE, HIGH, FRAMES, RATE = 128, 80, 6, 10


def main(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(Path(__file__).parent / "lake.jpg") as lake:
        scene = lake.resize((205, 205), Image.Resampling.LANCZOS)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE))
        stream.width, stream.height, stream.pix_fmt = WIDE, HIGH, "yuv420p"
        for i in range(FRAMES):
            left, top = 7 * i, 32 + 3 * i
            window = scene.crop((left, top, left + WIDE, top + HIGH))
            container.mux(stream.encode(av.VideoFrame.from_image(window)))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
