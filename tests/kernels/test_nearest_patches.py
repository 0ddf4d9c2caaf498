"""Exact search equals the float64 reference, however the work is cut, and whatever the values are."""

import subprocess
import sys

import pytest
import torch

from structkit.errors import InputError, OptionError
from structkit.kernels import nearest_patches as kernel
from structkit.kernels.nearest_patches import nearest_patches, nearest_patches_reference
from structkit.kernels.patches import extract

SHAPES = [
    (1, 1, 1),
    (1, 40, 147),
    (40, 1, 147),
    (33, 1, 1),
    (3, 5, 196),
    (17, 1024, 147),
    (90, 1025, 27),
    (600, 70, 12),
    (0, 4, 3),
]
shapes = pytest.mark.parametrize(("n", "m", "d"), SHAPES)


def uniform(g, rows, d):
    return torch.rand(rows, d, generator=g) * 2 - 1


# Ranges and contrasts that break a careless screen: values on the 8-bit grid (ties), small contrast far from zero
# (cancellation), noise outside of [-1, 1] (clipping), one constant (nothing to tell apart).
VALUES = {
    "uniform": uniform,
    "8-bit": lambda g, rows, d: (uniform(g, rows, d) * 2).round() / 2,
    "shifted": lambda g, rows, d: 0.9 + uniform(g, rows, d) * 1e-3,
    "noisy": lambda g, rows, d: torch.randn(rows, d, generator=g) * 5,
    "constant": lambda g, rows, d: torch.full((rows, d), 7.25),
}


def tables(n, m, d, values="uniform", seed=0):
    g = torch.Generator().manual_seed(seed)
    return VALUES[values](g, n, d), VALUES[values](g, m, d), torch.rand(m, generator=g) * 5


def picture(height, width, seed=0):
    """A smooth picture with some texture, so that patches resemble each other as in photographs."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 6, generator=g) * 2 - 1
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0] * 0.7
    return (smooth + 0.1 * torch.randn(3, height, width, generator=g)).clamp(-1, 1)


@shapes
@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("weighted", [False, True])
def test_it_equals_the_float64_reference(n, m, d, values, weighted):
    queries, keys, weights = tables(n, m, d, values)
    weights = weights if weighted else None
    found, expected = (
        nearest_patches(queries, keys, weights=weights),
        nearest_patches_reference(queries, keys, weights=weights),
    )
    assert found.index.dtype == torch.int64 and found.distance.dtype == torch.float32
    assert torch.equal(found.index, expected.index)
    torch.testing.assert_close(found.distance, expected.distance, rtol=1e-5, atol=1e-9)


def test_the_distance_is_the_plain_mean_square_of_the_chosen_pair():
    queries, keys, weights = tables(50, 60, 27)
    found = nearest_patches(queries, keys, weights=weights)
    torch.testing.assert_close(found.distance, (queries - keys[found.index]).square().mean(1))


@pytest.mark.parametrize(
    "cut", [{"ROWS": 64, "TILE": 32, "BLOCK": 32}, {"BLOCK": 8, "PAIRS": 7}, {"ROWS": 4096, "SCREEN": 1}]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_answer_does_not_depend_on_tile_sizes(monkeypatch, cut, weighted):
    queries, keys = extract(picture(24, 31), 7), extract(picture(40, 40, seed=1), 7)
    weights = torch.rand(len(keys), generator=torch.Generator().manual_seed(2)) if weighted else None
    expected = nearest_patches(queries, keys, weights=weights)
    for name, value in cut.items():
        monkeypatch.setattr(kernel, name, value)
    assert all(map(torch.equal, nearest_patches(queries, keys, weights=weights), expected))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("values", VALUES)
def test_what_8_bits_cannot_tell_apart_goes_through_float32(monkeypatch, values, weighted):
    queries, keys, weights = tables(70, 1100, 27, values)
    weights = weights if weighted else None
    monkeypatch.setattr(kernel, "FEW", -1)
    monkeypatch.setattr(kernel, "PATIENCE", -1)
    assert torch.equal(
        nearest_patches(queries, keys, weights=weights).index,
        nearest_patches_reference(queries, keys, weights=weights).index,
    )


def test_the_answer_does_not_depend_on_the_number_of_threads():
    queries, keys = extract(picture(24, 31), 7), extract(picture(40, 40, seed=1), 7)
    threads, answers = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            answers.append(nearest_patches(queries, keys))
    finally:
        torch.set_num_threads(threads)
    assert all(map(torch.equal, *answers))


def test_a_picture_finds_itself():
    rows = extract(picture(30, 41), 7)
    found = nearest_patches(rows, rows)
    assert torch.equal(found.index, torch.arange(len(rows))) and not found.distance.any()


def test_permuting_the_queries_permutes_the_answers():
    queries, keys, _ = tables(200, 300, 48)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(3))
    found, permuted = nearest_patches(queries, keys), nearest_patches(queries[order], keys)
    assert torch.equal(permuted.index, found.index[order]) and torch.equal(permuted.distance, found.distance[order])


@pytest.mark.parametrize("weighted", [False, True])
def test_ties_go_to_the_lowest_index(weighted):
    queries, keys, weights = tables(60, 500, 147)
    order = torch.randperm(1500, generator=torch.Generator().manual_seed(4)) % 500
    first = torch.stack([(order == j).nonzero()[0, 0] for j in range(500)])
    once = nearest_patches(queries, keys, weights=weights if weighted else None)
    thrice = nearest_patches(queries, keys[order], weights=weights[order] if weighted else None)
    assert torch.equal(thrice.index, first[once.index])


@pytest.mark.parametrize("few", [-1, 8])
@pytest.mark.parametrize("weighted", [False, True])
def test_of_keys_that_are_equally_near_it_is_the_first_whatever_finds_them(monkeypatch, few, weighted):
    """Keys are one 8-bit patch in other orders: sums of the same squares, which rounding tells apart."""
    monkeypatch.setattr(kernel, "FEW", few)
    monkeypatch.setattr(kernel, "PATIENCE", few)
    g = torch.Generator().manual_seed(1)
    patch = torch.randint(256, (147,), generator=g) / 127.5 - 1
    keys = torch.stack([patch[torch.randperm(147, generator=g)] for _ in range(400)])
    found = nearest_patches(torch.zeros(3, 147), keys, weights=torch.full((400,), 1e-6) if weighted else None)
    assert found.index.tolist() == [0, 0, 0]


@pytest.mark.parametrize("few", [-1, 8])
def test_small_weights_are_as_good_as_large_ones(monkeypatch, few):
    monkeypatch.setattr(kernel, "FEW", few)
    monkeypatch.setattr(kernel, "PATIENCE", few)
    queries, keys, _ = tables(20, 300, 27, "shifted")
    keys = torch.cat([keys, keys - 1.8])
    assert torch.equal(
        nearest_patches(queries, keys, weights=torch.full((600,), 1e-6)).index, nearest_patches(queries, keys).index
    )


def test_constant_weights_change_nothing():
    queries, keys, _ = tables(100, 300, 147)
    assert torch.equal(
        nearest_patches(queries, keys, weights=torch.full((300,), 0.3)).index,
        nearest_patches(queries, keys).index,
    )


def test_a_heavy_weight_repels():
    queries, keys, _ = tables(50, 80, 27)
    weights = torch.ones(80)
    weights[::2] = 1e6
    assert (nearest_patches(queries, keys, weights=weights).index % 2 == 1).all()


def test_inputs_may_be_views_and_stay_as_they_are():
    queries, keys, _ = tables(60, 90, 40)
    expected = nearest_patches(queries[::2, ::2].contiguous(), keys.T.contiguous().T[:, ::2].contiguous())
    copies = queries.clone(), keys.clone()
    found = nearest_patches(queries[::2, ::2], keys.T.contiguous().T[:, ::2])
    assert all(map(torch.equal, found, expected)) and torch.equal(queries, copies[0]) and torch.equal(keys, copies[1])


def test_errors_name_the_fact():
    queries, keys, _ = tables(4, 5, 3)
    with pytest.raises(InputError, match="the queries of a patch search hold values that are not finite"):
        nearest_patches(queries * float("nan"), keys)
    with pytest.raises(InputError, match="the keys of"):
        nearest_patches(queries, keys / 0)
    with pytest.raises(InputError, match="the weights of"):
        nearest_patches(queries, keys, weights=torch.full((5,), float("inf")))
    with pytest.raises(OptionError, match=r"\(4, 3\) and \(5, 2\): expected \(N, D\) and \(M, D\), M at least 1"):
        nearest_patches(queries, keys[:, :2])
    with pytest.raises(OptionError, match="M at least 1"):
        nearest_patches(queries, keys[:0])
    with pytest.raises(OptionError, match=r"\(4,\) weights for 5 keys: expected one per key"):
        nearest_patches(queries, keys, weights=torch.ones(4))
    with pytest.raises(OptionError, match="weights of a patch search must not be negative"):
        nearest_patches(queries, keys, weights=-torch.ones(5))
    with pytest.raises(OptionError, match="at most 32768 are supported"):
        nearest_patches(torch.zeros(1, 40000), torch.zeros(1, 40000))


@pytest.mark.slow
def test_the_matrix_of_all_pairs_never_exists():
    script = """
import resource, torch
from structkit.kernels.nearest_patches import nearest_patches
g = torch.Generator().manual_seed(0)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
queries, keys = torch.rand(16000, 27, generator=g), torch.rand(16000, 27, generator=g)
nearest_patches(queries[:2000], keys[:2000])
before = peak()
nearest_patches(queries, keys)
print(peak() - before)
"""
    grown = float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
    assert grown < 150  # MB; the matrix would take 1000
