"""Reading pictures: what the second look costs by which damage is found that decoders pass over.

    python tests/benchmarks/bench_pictures.py [--repeat 7]

`decoder` is Pillow's decoder alone, `looked at` the same with the look (`structkit.media.damage`), `read` the whole of
`read_picture`.  For GIF, PNG and BMP nothing is added but what was there before.
"""

from __future__ import annotations

import argparse
from io import BytesIO

import torch
from measure import natural_picture, record, side_by_side
from PIL import Image

from structkit.media.damage import load
from structkit.media.formats import HEAD, recognise
from structkit.media.pictures import read_picture

SIDE = 1000, 1500  # (height, width), px
FILES = {
    "JPEG": ("JPEG", {"quality": 90}),
    "JPEG progressive": ("JPEG", {"quality": 90, "progressive": True}),
    "JPEG restarts": ("JPEG", {"quality": 90, "restart_marker_rows": 1}),
    "TIFF deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "TIFF jpeg": ("TIFF", {"compression": "jpeg"}),
    "TIFF lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "WebP": ("WEBP", {"quality": 90}),
    "WebP lossless": ("WEBP", {"lossless": True}),
    "AVIF": ("AVIF", {"speed": 10}),
    "PNG": ("PNG", {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=7, help="repetitions, of which the median counts")
    repeat = parser.parse_args().repeat
    torch.set_num_threads(1)
    levels = ((natural_picture(*SIDE, seed=3) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    rows = []
    for case, (name, options) in FILES.items():
        buffer = BytesIO()
        Image.fromarray(levels).save(buffer, name, **options)
        data = buffer.getvalue()
        format = recognise(data[:HEAD])
        calls = {
            "decoder": lambda data=data, format=format: format.open(data).load(),
            "looked at": lambda data=data, format=format: load(format.open(data), data, format),
            "read": lambda data=data: read_picture(data),
        }
        found = side_by_side(calls, repeat)
        alone = float(found["decoder"]["cpu_ms"])
        rows += [
            {"case": case, "path": path, "times_decoder": f"{float(times['cpu_ms']) / alone:.2f}"} | times
            for path, times in found.items()
        ]
    record(__file__, rows)


if __name__ == "__main__":
    main()
