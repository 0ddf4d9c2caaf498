"""Motion between two pictures there and back, and warping along it, beside the slow gather.

python tests/benchmarks/bench_flow.py [--threads 2]
"""

from __future__ import annotations

import torch
from measure import natural_picture, options, record, timed

from structkit.kernels.flow import motion, warp, warp_reference


def main() -> None:
    chosen = options(__doc__)
    rows = []
    for height, width in ((144, 256), (256, 256), (720, 1280)):
        wide = natural_picture(height + 8, width + 8, seed=1)[None]
        first, second = wide[..., 4:-4, 4:-4], wide[..., 1:-7, 6:-2]
        pair = torch.cat([first, second]), torch.cat([second, first])
        flow = motion(*pair)
        error = (flow[:1] - torch.tensor([3.0, -2.0]).view(1, 2, 1, 1)).norm(dim=1).mean()
        numbers = timed(lambda p=pair: motion(*p), chosen.repeat)
        rows.append(
            {"case": f"{height} x {width}, there and back", "path": "structkit", "error_px": f"{error:.3f}"} | numbers
        )
        for name, path in (("structkit", warp), ("gather", warp_reference)):
            numbers = timed(lambda q=path, s=second, f=flow[:1]: q(s, f, cubic=True), chosen.repeat)
            rows.append({"case": f"{height} x {width}, cubic warp", "path": name, "error_px": ""} | numbers)
    record(__file__, rows)


if __name__ == "__main__":
    main()
