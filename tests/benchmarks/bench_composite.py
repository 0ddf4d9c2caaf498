"""Masked blending by one interpolation beside the written-out sum: forward, and with the gradients of all three.

python tests/benchmarks/bench_composite.py [--threads 2]
"""

from __future__ import annotations

import torch
from measure import options, record, timed
from torch import Tensor

from structkit.device import keep_memory
from structkit.kernels.composite import composite, composite_reference, paste

SHAPES = [(96, 3, 64, 64), (96, 3, 128, 128), (1, 3, 2048, 2048)]  # three canvases of a batch of 32, and a photograph


def layers(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    batch, _, height, width = shape
    draw = torch.Generator().manual_seed(0)
    parts = (
        torch.rand(shape, generator=draw),
        torch.rand(shape, generator=draw),
        torch.rand(batch, 1, height, width, generator=draw),
    )
    return tuple(part.to(dtype).requires_grad_() for part in parts)


def main() -> None:
    chosen = options(__doc__)
    # as the command line does; else fresh pages cost more than the arithmetic, now and then twice as much
    keep_memory()
    rows = []
    for shape in SHAPES:
        for dtype in (torch.float32, torch.bfloat16):
            parts, weights = layers(shape, dtype), torch.ones(shape, dtype=dtype)
            case = f"{' x '.join(map(str, shape))}, {str(dtype).removeprefix('torch.')}"
            for name, path in (("structkit", composite), ("sum", composite_reference)):
                with torch.no_grad():
                    rows.append({"case": case, "path": name} | timed(lambda p=path, g=parts: p(*g), chosen.repeat))
                numbers = timed(lambda p=path, g=parts, w=weights: torch.autograd.grad(p(*g), g, w), chosen.repeat)
                rows.append({"case": f"{case}, with gradients", "path": name} | numbers)
    _, colours, whole = (part.detach() for part in layers(SHAPES[-1], torch.float32))
    small = torch.zeros_like(whole).index_fill_(2, torch.arange(700, 900), 1).index_fill_(3, torch.arange(1500), 0)
    for bits in (8, 16):
        levels = torch.zeros(*SHAPES[-1][2:], 3).numpy().astype(f"uint{bits}")
        for words, mask in (("a whole mask", whole), ("a mask of 548 x 200", small)):
            case = f"paste on {levels.shape[1]} x {levels.shape[0]} px, {bits} bits, {words}"
            rows.append(
                {"case": case, "path": "structkit"}
                | timed(lambda a=levels, m=mask: paste(a, colours, m), chosen.repeat)
            )
    record(__file__, rows)


if __name__ == "__main__":
    main()
