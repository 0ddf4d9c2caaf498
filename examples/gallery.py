"""The strips in README.md that no `--compare` writes: what its commands read and wrote, side by side.

    python examples/gallery.py

Run the commands of README.md first: what they write is in out/.
"""

from __future__ import annotations

from pathlib import Path

import structkit
from structkit.media.strip import comparison_strip

STRIPS = {
    "sample": {"picture": "examples/balls.jpg", "-n 2": "out/again/*-1.png", "": "out/again/*-2.png"},
    "retarget": {"picture": "examples/pyramids.jpg", "--size 448x256": "out/wide.png"},
    "refine": {"picture": "out/rough.png", "--patches-of": "examples/balls.jpg", "result": "out/crisp.png"},
    "transfer": {"picture": "out/faces/plain/027.png", "--from": "examples/avatar.png", "result": "out/on.png"},
    "remove-segment": {
        "picture": "examples/avatar.png",
        "remove": "out/bare.png",
        "segment --overlay": "out/where.png",
    },
}


def main() -> None:
    for name, shown in STRIPS.items():
        [*found] = ((label, next(Path().glob(pattern))) for label, pattern in shown.items())
        strip = comparison_strip([(label, structkit.read_picture(path)) for label, path in found])
        structkit.write_picture(strip, Path("examples/gallery", f"{name}.jpg"), quality=88)


if __name__ == "__main__":
    main()
