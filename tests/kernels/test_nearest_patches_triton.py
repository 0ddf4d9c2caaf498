"""The Triton path keeps the laws of the exact search: compiled where CUDA is present, else through Triton's
interpreter.
"""

import pytest
import torch

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

from structkit.kernels.nearest_patches import nearest_patches_reference  # noqa: E402
from structkit.kernels.nearest_patches_triton import ROWS, TILE, nearest_index  # noqa: E402

SHAPES = [(1, 1, 1), (1, 3, 147), (3, 1, 33), (ROWS + 1, TILE + 1, 27), (ROWS, 2 * TILE, 32), (70, 300, 147), (0, 4, 3)]


@pytest.fixture(autouse=True)
def poisoned_memory():
    """torch.empty is filled with NaN, or the largest integer: an entry that no program writes shows."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def tables(n, m, d):
    g = torch.Generator().manual_seed(0)
    queries, keys, weights = (
        torch.rand(n, d, generator=g) * 2 - 1,
        torch.rand(m, d, generator=g) * 2 - 1,
        torch.rand(m, generator=g),
    )
    return queries.to(DEVICE), keys.to(DEVICE), weights.to(DEVICE)


@pytest.mark.parametrize(("n", "m", "d"), SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("offset", "contrast"), [(0, 1), (0.9, 1e-3)])
def test_it_equals_the_float64_reference(n, m, d, weighted, offset, contrast):
    queries, keys, weights = tables(n, m, d)
    queries, keys, weights = queries * contrast + offset, keys * contrast + offset, weights if weighted else None
    assert torch.equal(
        nearest_index(queries, keys, weights), nearest_patches_reference(queries, keys, weights=weights).index
    )


def test_ties_go_to_the_lowest_index():
    queries, keys, _ = tables(9, 100, 20)
    thrice = keys.repeat(3, 1)  # the copies lie in other tiles, and in the same
    assert torch.equal(nearest_index(queries, thrice, None), nearest_index(queries, keys, None))
    assert not nearest_index(queries, torch.full_like(keys, 0.5), None).any()


def test_a_table_finds_itself():
    rows = tables(TILE + 5, 1, 147)[0]
    assert torch.equal(nearest_index(rows, rows, None), torch.arange(len(rows), device=DEVICE))


def test_inputs_may_be_views():
    queries, keys, _ = tables(20, 30, 40)
    assert torch.equal(
        nearest_index(queries[::2, ::2], keys.T.contiguous().T[:, ::2], None),
        nearest_patches_reference(queries[::2, ::2], keys[:, ::2]).index,
    )
