"""Masks of a folder of pictures, by a pipeline of Ray Data: for your own programs in Python, on any cluster of Ray.

    pip install 'structkit[ray]'
    python examples/ray_data.py PICTURES/ MASKS/ --model glasses --workers 4

Ray Data streams the files to actors that each hold the model.  An actor gets one processor, and computes with one
thread.  The pictures of a batch are painted together.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import ray

import structkit


class Segmenter:
    """The model, as an actor of Ray Data holds it."""

    def __init__(self, model: str) -> None:
        import torch

        torch.set_num_threads(1)
        self.model = structkit.load(model, "cpu")

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The masks of a batch.  batch: the columns `bytes` and `path`; returns the columns `mask`, PNG, and `path`."""
        from structkit.media.pictures import encode_picture

        pictures = [structkit.read_picture(io.BytesIO(data)) for data in batch["bytes"]]
        masks = structkit.segment(pictures, self.model, device="cpu")
        return {"mask": [encode_picture(mask, "png") for mask in masks], "path": batch["path"]}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--model", default="glasses")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args(arguments)
    given.masks.mkdir(parents=True, exist_ok=True)
    suffixes = ["jpg", "jpeg", "png", "webp"]
    files = ray.data.read_binary_files(str(given.pictures), include_paths=True, file_extensions=suffixes)
    how = {"fn_constructor_args": (given.model,), "batch_size": 8, "concurrency": given.workers, "num_cpus": 1}
    for row in files.map_batches(Segmenter, **how).iter_rows():
        place = given.masks / f"{Path(row['path']).name}.png"
        place.write_bytes(row["mask"])
        print(place)


if __name__ == "__main__":
    main()
