"""A large picture through `structkit segment`, `remove` and `transfer`: memory and CPU seconds of the whole command.

    python tests/benchmarks/bench_large.py [--model glasses] [--side 9000] [--repeat 1] [--format png ...]

Each row is a fresh process, from its start to its file.  `bytes_a_pixel` is what its peak has above that of the same
command on a picture of SMALL px, over the pixels that the larger has more.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from bench_contents import seconds
from measure import record
from PIL import Image

EXAMPLE = Path(__file__).parents[2] / "examples/avatar.png"
SMALL = 1000  # side, px


def faces(folder: Path, side: int, format: str) -> Path:
    """The example's face, as large as was asked for, with a little noise as of a camera, and opaque."""
    image = Image.open(EXAMPLE).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    pixels, draw = np.array(image), np.random.default_rng(0)
    for top in range(0, side, 256):
        rows = pixels[top : top + 256]
        rows[:] = (rows + draw.integers(-1, 2, rows.shape)).clip(0, 255)
    Image.fromarray(pixels).save(path := folder / f"{side}.{format}")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="glasses", help="checkpoint, or the name of one that ships")
    parser.add_argument("--side", type=int, default=9000, help="of the large picture, px")
    parser.add_argument("--repeat", type=int, default=1, help="repetitions, of which the median counts")
    parser.add_argument("--format", nargs="+", default=["jpg", "png"], help="of the picture, and of the result")
    chosen, rows = parser.parse_args(), []
    with tempfile.TemporaryDirectory() as work:
        for format in chosen.format:
            pictures = [faces(Path(work), side, format) for side in (SMALL, chosen.side)]
            for verb in ("segment", "remove", "transfer"):
                donor = ["--from", str(EXAMPLE)] if verb == "transfer" else []
                found = []
                for picture in pictures:
                    output = Path(work, "out")
                    made = ["--device", "cpu", "--quiet", "-o", str(output / f"made.{format}")]
                    command = ["-m", "structkit_cli", verb, str(picture), "--model", chosen.model, *donor, *made]
                    runs = [seconds(command, output) for _ in range(chosen.repeat)]
                    found.append([statistics.median(numbers) for numbers in zip(*runs, strict=True)])
                (_, small_cpu, start), (_, cpu, peak) = found
                rows.append(
                    {
                        "case": f"{chosen.side} x {chosen.side} px, {format}, {Path(chosen.model).stem}",
                        "path": verb,
                        "cpu_s": f"{cpu:.1f}",
                        "small_cpu_s": f"{small_cpu:.1f}",
                        "peak_mib": f"{peak:.0f}",
                        "small_peak_mib": f"{start:.0f}",
                        "bytes_a_pixel": f"{(peak - start) * 2**20 / (chosen.side**2 - SMALL**2):.1f}",
                    }
                )
    record(__file__, rows)


if __name__ == "__main__":
    main()
