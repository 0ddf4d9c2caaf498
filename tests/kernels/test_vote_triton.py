"""The Triton path of the vote gives the very bits of the CPU path: compiled where CUDA is present, else interpreted."""

import math

import pytest
import torch

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

from structkit.kernels.patches import PatchTable, patch_grid  # noqa: E402
from structkit.kernels.vote import vote  # noqa: E402
from structkit.kernels.vote_triton import gather_votes  # noqa: E402

CASES = [
    ((9, 12), (11, 8), 7),
    ((7, 7), (36, 8), 7),
    ((5, 8), (3, 4), 1),
    ((4, 6, 7), (5, 6, 9), (3, 5, 4)),
    ((8,), (30,), 3),
]


@pytest.mark.parametrize(("source", "target", "patch"), CASES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_equals_the_cpu_path(source, target, patch, channels, weighted):
    g = torch.Generator().manual_seed(0)
    grid = patch_grid(target, patch)
    values = torch.rand(channels, *source, generator=g) * 2 - 1
    index = torch.randint(math.prod(patch_grid(source, patch)), (math.prod(grid),), generator=g)
    weights = torch.rand(math.prod(grid), generator=g) + 0.01 if weighted else None
    expected = vote(values, index, grid, patch=patch, weights=weights)
    table = PatchTable(values.to(DEVICE), patch)
    torch.use_deterministic_algorithms(
        True, warn_only=True
    )  # fills torch.empty with NaN: a pixel that is never written shows
    try:
        own = None if weights is None else weights.to(DEVICE)
        result = gather_votes(table.pixels, table.space, table.corner[index.to(DEVICE)], grid, table.sides, own)
    finally:
        torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(result.cpu(), expected, rtol=0, atol=1e-7)
