"""Masks of a folder of pictures, by a pool of processes that each hold the model: for your own programs in Python.

    python examples/pool.py PICTURES/ MASKS/ --model glasses --processes 4

Pictures and models can be pickled; a process reads the model once, and computes with one thread, since there are as
many processes as processors.  (The command line does the same with `structkit segment --on ray`.)
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import structkit

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def begin(name: str) -> None:
    """Make a process ready: its threads, and its model."""
    global model
    import torch

    torch.set_num_threads(1)
    model = structkit.load(name, "cpu")


def mask_of(path: Path, folder: Path) -> Path:
    """Write the mask of a picture; returns its path."""
    mask = structkit.segment(structkit.read_picture(path), model, device="cpu")
    structkit.write_picture(mask, place := folder / f"{path.name}.png")  # there may be a.jpg and a.png
    return place


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--model", default="glasses")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    given = parser.parse_args(arguments)
    given.masks.mkdir(parents=True, exist_ok=True)
    paths = sorted(path for path in given.pictures.iterdir() if path.suffix.lower() in SUFFIXES)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes, before they load PyTorch
    fresh = multiprocessing.get_context("spawn")  # a process that has computed with threads cannot be forked
    with ProcessPoolExecutor(given.processes, fresh, begin, (given.model,)) as pool:
        for place in pool.map(mask_of, paths, [given.masks] * len(paths)):
            print(place)


if __name__ == "__main__":
    main()
