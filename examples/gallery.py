"""The pictures in README.md that no `--compare` writes: what its commands read and wrote, side by side.

    python examples/gallery.py

Run the commands of README.md first: what they write is in out/.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import structkit
from structkit.media.moving_pictures import Clip, read_clip, write_clip
from structkit.media.strip import comparison_strip

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
STRIPS = {
    "river": {
        "source, and its map": "examples/river-map.png",
        "target": "examples/lake.jpg",
        "the target's map": "examples/lake-map.png",
        "result": "out/river.png",
    },
    "sample": {"picture": "examples/balls.jpg", "-n 2": "out/again/*-1.png", "": "out/again/*-2.png"},
    "retarget": {"picture": "examples/pyramids.jpg", "--size 448x256": "out/wide.png"},
    "refine": {"picture": "out/rough.png", "--patches-of": "examples/balls.jpg", "result": "out/crisp.png"},
    "corrupt": {
        "picture": "examples/lake.jpg",
        **{kind: f"out/weather/lake-{kind}-3.png" for kind in ("fog", "frost", "snow")},
    },
    "transfer": {"picture": "out/faces/plain/027.png", "--from": "examples/avatar.png", "result": "out/on.png"},
    "remove-segment": {
        "picture": "examples/avatar.png",
        "remove": "out/bare.png",
        "segment --overlay": "out/where.png",
    },
    "street": {
        "picture": "examples/street.png",
        "segment --model streets": "out/street.png",
        "at dusk": "examples/street-dusk.png",
        "train segmenter --adapt bn": "out/dusk.png",
    },
}
GAP = 2  # px, between clips
CLIPS = ("examples/balloons.mp4", *(f"out/balloons-genvideo-{number}.mp4" for number in (2, 3, 4)))


def four(clips: list[Clip]) -> Clip:
    """Four clips as one, the first at the top left."""
    edge = ((0, 0), (0, GAP), (0, GAP), (0, 0))
    one, two, three, last = (np.pad(clip.frames, edge, constant_values=255) for clip in clips)
    rows = np.concatenate([one, two], 2), np.concatenate([three, last], 2)
    return Clip(np.concatenate(rows, 1)[:, :-GAP, :-GAP], clips[0].rate)


def strengths() -> None:
    """One pair in all strengths."""
    source, target = "examples/pyramids.jpg", "examples/canyon.jpg"
    shown = [(label, structkit.read_picture(path)) for label, path in {"source": source, "target": target}.items()]
    for strength in STRENGTHS:
        shown += [(f"{strength:g}", structkit.analogy(source, target, strength=strength, max_side=256)[0])]
    structkit.write_picture(comparison_strip(shown), "examples/gallery/strength.jpg", quality=70)


def main() -> None:
    strengths()
    for name, shown in STRIPS.items():
        [*found] = ((label, next(Path().glob(pattern))) for label, pattern in shown.items())
        strip = comparison_strip([(label, structkit.read_picture(path)) for label, path in found])
        structkit.write_picture(strip, Path("examples/gallery", f"{name}.jpg"), quality=88)
    clips = four([read_clip(path, side=160) for path in CLIPS])
    write_clip(clips, "examples/gallery/genvideo.webp", quality=45)


if __name__ == "__main__":
    main()
