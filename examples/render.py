"""Render the example pictures: python examples/render.py [NAME ...] [--into FOLDER] [--seed N]

Each subject is painted from noise and light alone (`textures.py`, `terrain.py`, `plants.py`); nothing is downloaded or
photographed. The same seed gives the same pictures.  Without names all are rendered, beside this file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import drawings
import landscapes
import numpy as np
import objects

SUBJECTS = {  # file name -> painter and the seed that composed best
    "pebbles.jpg": (objects.pebbles, 2),
    "balls.jpg": (objects.balls, 1),
    "letter.png": (drawings.letter, 1),
    "mosaic.jpg": (drawings.mosaic, 2),
    "tower.jpg": (landscapes.tower, 1),
    "canyon.jpg": (landscapes.canyon, 1),
    "pyramids.jpg": (landscapes.pyramids, 1),
    "mountains.jpg": (landscapes.mountains, 2),
    "lake.jpg": (landscapes.lake, 1),
    "paint.png": (drawings.paint, 1),
}


def main() -> None:
    names = {name.split(".")[0]: name for name in SUBJECTS}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(names)} (default: all)")
    parser.add_argument(
        "--into", type=Path, default=Path(__file__).parent, help="folder for the pictures (default: beside the script)"
    )
    parser.add_argument("--seed", type=int, help="one seed for all (default: the seed chosen for each)")
    wanted = parser.parse_args()
    if unknown := [name for name in wanted.names if name not in names]:
        parser.error(f"no subject {unknown[0]!r}; there are {', '.join(names)}")
    wanted.into.mkdir(parents=True, exist_ok=True)
    for name, (painter, seed) in SUBJECTS.items():
        if not wanted.names or name.split(".")[0] in wanted.names:
            picture = painter(np.random.default_rng(seed if wanted.seed is None else wanted.seed))
            picture.save(wanted.into / name, quality=92, optimize=True)
            print(wanted.into / name)


if __name__ == "__main__":
    main()
