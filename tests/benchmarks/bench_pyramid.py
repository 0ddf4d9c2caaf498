"""Antialiased resampling: PyTorch's filter (the fast path on CPU) beside one matrix product per axis (the reference).

python tests/benchmarks/bench_pyramid.py [--threads 2]
"""

from __future__ import annotations

import torch
from measure import options, record, timed

from structkit.kernels.pyramid import resize, resize_reference

CASES = [
    ((48, 64), (36, 48)),
    ((256, 256), (192, 192)),
    ((192, 192), (256, 256)),
    ((1080, 1920), (810, 1440)),
    ((13, 144, 256), (11, 122, 218)),
    ((11, 122, 218), (13, 144, 256)),
]


def main() -> None:
    chosen = options(__doc__)
    rows = []
    for space, size in CASES:
        images = torch.rand(1, 3, *space, generator=torch.Generator().manual_seed(0))
        case = " -> ".join(" x ".join(map(str, sides)) for sides in (space, size))
        for name, path in (("structkit", resize), ("products", resize_reference)):
            rows.append({"case": case, "path": name} | timed(lambda p=path, i=images, s=size: p(i, s), chosen.repeat))
    record(__file__, rows)


if __name__ == "__main__":
    main()
