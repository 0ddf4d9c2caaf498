"""Exact nearest patches of one picture in another: time, and agreement with the float64 answer.

    python tests/benchmarks/bench_nearest_patches.py [--threads 2] [--pictures A.png B.png]

`tiles` is what one would write first: float32 products, tile by tile, and `min`.  faiss is measured where it is
installed.
`same` is the share of 512 sampled queries whose index is that of products in float64; `ratio` their mean distance over
the exact one.
"""

from __future__ import annotations

import torch
from measure import options, picture_pair, record, timed

from structkit.kernels.nearest_patches import nearest_patches
from structkit.kernels.patches import extract


def tiles(queries, keys, weights=None):
    squares = keys.square().sum(1)
    parts = []
    for part in queries.split(512):
        score = squares - 2 * part @ keys.T
        if weights is not None:
            score = (score + part.square().sum(1, keepdim=True)) * weights
        parts.append(score.min(1).indices)
    return torch.cat(parts)


def in_float64(queries, keys, weights):
    queries, keys, weights = queries.double(), keys.double(), torch.ones(()) if weights is None else weights.double()
    distance = queries.square().sum(1, keepdim=True) + keys.square().sum(1) - 2 * queries @ keys.T
    return (distance * weights).argmin(1)


def faiss_flat(queries, keys):
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatL2(keys.shape[1])
    index.add(keys.numpy())
    return torch.from_numpy(index.search(queries.numpy(), 1)[1][:, 0])


def main() -> None:
    chosen = options(__doc__)
    rows = []
    for size in [(90, 125), (180, 250)]:
        name, query, key = picture_pair(chosen.pictures, size)
        queries, keys = extract(query, 7), extract(key, 7)
        completeness = 1 / (0.005 + nearest_patches(keys, queries).distance)
        for label, weights in [("plain", None), ("weighted", completeness)]:
            sample = torch.randperm(len(queries), generator=torch.Generator().manual_seed(0))[:512]
            exact = in_float64(queries[sample], keys, weights)
            distance = lambda index, q=queries[sample], k=keys: (q - k[index]).square().mean(1)  # noqa: E731
            factor = torch.ones(len(keys)) if weights is None else weights
            paths = {
                "structkit": lambda q=queries, k=keys, w=weights: nearest_patches(q, k, weights=w).index,
                "tiles": lambda q=queries, k=keys, w=weights: tiles(q, k, w),
            }
            if weights is None and _has_faiss():
                paths["faiss"] = lambda q=queries, k=keys: faiss_flat(q, k)
            for path, call in paths.items():
                index, numbers = call()[sample], timed(call, 1 if path != "structkit" else chosen.repeat)
                ratio = (distance(index) * factor[index]).mean() / (distance(exact) * factor[exact]).mean()
                rows.append(
                    {"case": f"{len(queries)} x {len(keys)} x {queries.shape[1]} {label}, {name}", "path": path}
                    | numbers
                    | {"same": f"{(index == exact).float().mean():.4f}", "ratio": f"{ratio:.6f}"}
                )
    record(__file__, rows)


def _has_faiss() -> bool:
    from importlib.util import find_spec

    return find_spec("faiss") is not None


if __name__ == "__main__":
    main()
