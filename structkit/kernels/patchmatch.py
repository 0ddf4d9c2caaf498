"""PatchMatch: approximate nearest patches, found by spreading good matches to their neighbours.

What: PatchMatch (Barnes et al., SIGGRAPH 2009) in the parallel order of VGPNN (Haim et al., ECCV 2022, sec. 3): every position at
once takes its neighbours' matches, shifted, from 4 and then 1 pixels away, then random ones around its own.  Where they draw distant
guesses blindly, here they come from keys with the same hash, as in Coherency Sensitive Hashing (Korman and Avidan, ICCV 2011).
Laws: never worse than the initial field at any position; an exact field stays; the same generator state gives the same field.
How: a candidate is judged by its 30 leading principal components, computed as a convolution, with norms and weight folded in:
32 numbers, two cache lines, one product.  At the end the patches themselves decide between the field found and the initial one.
On CUDA the gather, the product and the choice are one Triton kernel.
Measured: tests/benchmarks/patchmatch.csv.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.errors import InputError, OptionError
from structkit.kernels.patches import Nearest, Patch, PatchTable

COMPONENTS = 30  # 99 % of the energy of 7 x 7 colour patches
SAMPLE = 2048  # key patches from which the components are computed
FLAT = 1e-8  # variance up to which patches are all the same; a step of 8 bits in one pixel of a hundred has 6e-7
STEPS = (4, 1)  # distances of the neighbours asked, px
GUESSES = 4  # distant candidates per iteration


@torch.no_grad()
def patchmatch(
    queries: Tensor,
    keys: Tensor,
    *,
    patch: Patch,
    weights: Tensor | None = None,
    init: Tensor | None = None,
    iterations: int = 2,
    generator: torch.Generator,
) -> Nearest:
    """Approximate argmin_j weights[j] * mean((query patch i - key patch j)^2) over the patches of two images.

    queries (C, *space), keys (C, *other space) float32; weights (M,) not negative, per key patch; init: (N,) or (*query grid) int64
    positions in the key grid, the field of a former iteration or level (see `upscale_field`), or None for a random one, which
    needs about 4 iterations instead of 2.  Returns flat fields (N,) over the query grid, row-major.
    Raises InputError for values that are not finite, OptionError for shapes that do not match.
    """
    mine, theirs = PatchTable(queries, patch), PatchTable(keys, patch)
    count = len(theirs.corner)
    if init is None:
        init = torch.randint(count, (len(mine.corner),), generator=generator, device=generator.device).to(keys.device)
    seed = init.reshape(-1)
    _check(queries, keys, weights, seed, len(mine.corner), count)
    weights = torch.ones(count, device=keys.device) if weights is None else weights.float()

    descriptors = _Descriptors(queries, keys, theirs, weights, generator)
    moves = _moves(mine.grid, theirs.grid, generator)
    index, best = descriptors.keep_better(seed, keys.new_full(seed.shape, math.inf), seed)
    for _ in range(iterations):
        # What leaves the key image comes in again elsewhere: one more random guess.
        for candidates in itertools.chain(descriptors.guesses(generator), (move(index).remainder_(count) for move in moves)):
            index, best = descriptors.keep_better(index, best, candidates)

    before, after = (_distance(mine, theirs, field) for field in (seed, index))
    better = after * weights[index] < before * weights[seed]
    return Nearest(torch.where(better, index, seed), torch.where(better, after, before))


def upscale_field(index: Tensor, *, queries: tuple[Sequence[int], Sequence[int]], keys: tuple[Sequence[int], Sequence[int]]) -> Tensor:
    """The field of a coarse level as the seed of the next finer one.

    index (N,): a position of the coarse key grid for each position of the coarse query grid.  queries, keys: (coarse, fine) patch
    grid of the query and of the key image.  Returns (N fine,) int64 positions of the fine key grid.  Grids are matched corner to
    corner; queries between two coarse ones keep their offset from the nearer one, so that a copied block stays a copied block.
    """
    coarse = torch.unravel_index(index.reshape(tuple(queries[0])), tuple(keys[0]))
    near, rest = [], []
    for few, many in zip(*queries, strict=True):
        exact = torch.arange(many, device=index.device, dtype=torch.float64) * ((few - 1) / max(1, many - 1))
        near.append(exact.round().long())
        rest.append((exact - near[-1]) * ((many - 1) / max(1, few - 1)))
    offsets = torch.meshgrid(*rest, indexing="ij")
    fine = torch.zeros([len(axis) for axis in near], dtype=torch.int64, device=index.device)
    for position, offset, few, many in zip(coarse, offsets, *keys, strict=True):
        moved = position[torch.meshgrid(*near, indexing="ij")] * ((many - 1) / max(1, few - 1)) + offset
        fine = fine * many + moved.round().long().clamp_(0, many - 1)
    return fine.reshape(-1)


class _Descriptors:
    """The leading principal components of all patches: what candidates are judged by, and distant ones chosen by."""

    def __init__(self, queries: Tensor, keys: Tensor, table: PatchTable, weights: Tensor, generator: torch.Generator) -> None:
        sample = torch.randint(len(table.corner), (SAMPLE,), generator=generator, device=generator.device).to(keys.device)
        rows = table.rows(sample)
        mean = rows.mean(0)
        scatter = (rows - mean).T @ (rows - mean)
        if scatter.diagonal().amax() < FLAT * SAMPLE:  # of one patch, or of a flat picture: rounding, on which eigh may fail or give NaN
            scatter = torch.eye(len(scatter)).to(scatter)
        axes = torch.linalg.eigh(scatter).eigenvectors[:, -COMPONENTS:]
        self.queries, self.keys = q, k = [_project(image, axes, table.sides) - mean @ axes for image in (queries, keys)]
        # w |q - k|^2 = (-2 q, 1, |q|^2) . (w k, w |k|^2, w)
        self.left = torch.cat([-2 * q, torch.ones_like(q[:, :1]), q.square().sum(1, keepdim=True)], 1)
        self.right = torch.cat([k, k.square().sum(1, keepdim=True), torch.ones_like(k[:, :1])], 1) * weights[:, None]
        self.ones = torch.ones_like(self.left[0])

    @functools.cached_property
    def gathered(self) -> Tensor:
        """Memory for the candidates' rows, made once, which the CUDA path does not need."""
        return torch.empty_like(self.left)

    def score(self, index: Tensor) -> Tensor:
        """(N,) weighted squared distance of each query to the candidate key index (N,)."""
        torch.index_select(self.right, 0, index, out=self.gathered)
        return self.gathered.mul_(self.left) @ self.ones

    def keep_better(self, index: Tensor, best: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """The field (N,) and its scores (N,), with the candidates (N,) where they score less than best; a tie stays."""
        if self.left.is_cuda:
            from structkit.kernels.patchmatch_triton import keep_better

            return keep_better(self.left, self.right, index, best, candidates)
        value = self.score(candidates)
        return torch.where(value < best, candidates, index), torch.minimum(value, best)

    def guesses(self, generator: torch.Generator) -> Iterator[Tensor]:
        """GUESSES candidates (N,) for each query, out of the keys on the same side of some random hyperplanes.

        The planes have random directions, pass through random keys, and are so many that about 8 keys share a cell.
        """
        count, components = self.keys.shape
        bits = max(1, round(math.log2(count)) - 3)
        draw = {"generator": generator, "device": generator.device}
        planes = torch.randn(components, bits, **draw).to(self.keys.device)
        through = torch.randint(count, (bits,), **draw).to(self.keys.device)
        offset = (self.keys[through] * planes.T).sum(1)
        powers = 2.0 ** torch.arange(bits, device=self.keys.device)
        own, cells = ((rows @ planes > offset).float() @ powers for rows in (self.queries, self.keys))
        cells, order = cells.sort(stable=True)
        first, behind = (torch.searchsorted(cells, own, right=right) for right in (False, True))
        for _ in range(GUESSES):
            position = torch.rand(len(own), **draw).to(own.device) * (behind - first) + first
            yield order[position.long().clamp_(max=count - 1)]  # an empty cell gives a key of the next one


def _project(image: Tensor, axes: Tensor, sides: tuple[int, ...]) -> Tensor:
    """All patches of the image times axes (D, components), as a convolution: (N, components)."""
    convolve = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(sides)]
    filters = axes.T.reshape(-1, len(image), *sides)
    return convolve(image[None], filters)[0].flatten(1).T.contiguous()


def _moves(queries: Sequence[int], keys: Sequence[int], generator: torch.Generator) -> list[Callable[[Tensor], Tensor]]:
    """Functions from a field to candidates: the neighbours' matches moved along with them, then random ones around the own."""
    strides = [math.prod(keys[axis + 1 :]) for axis in range(len(keys))]

    def neighbour(axis: int, step: int) -> Callable[[Tensor], Tensor]:
        return lambda field: torch.roll(field.view(*queries), step, axis).view(-1) + step * strides[axis]

    def jump(scale: int) -> Callable[[Tensor], Tensor]:
        def candidates(field: Tensor) -> Tensor:
            for side, stride in zip(keys, strides, strict=True):
                reach = max(1, side // scale)
                noise = torch.randint(-reach, reach + 1, field.shape, generator=generator, device=generator.device)
                field = field + noise.to(field.device) * stride
            return field

        return candidates

    near = [neighbour(axis, sign * step) for step in STEPS for axis in range(len(keys)) for sign in (1, -1)]
    scales = range(2, max(3, math.ceil(math.log(max(keys), 4)) + 1))
    return near + [jump(4**n) for n in scales]


def _distance(queries: PatchTable, keys: PatchTable, index: Tensor) -> Tensor:
    """(N,) exact mean squared distance of each query patch to its key patch, one pixel of the patch at a time."""
    corner, picked = keys.corner[index], queries.pixels.new_empty(len(index), queries.pixels.shape[1])
    total, mine, theirs = torch.zeros_like(picked), torch.empty_like(picked), torch.empty_like(corner)
    for (_, here), (_, there) in zip(queries.offsets(), keys.offsets(), strict=True):
        torch.index_select(queries.pixels, 0, queries.corner + here, out=mine)
        torch.index_select(keys.pixels, 0, torch.add(corner, there, out=theirs), out=picked)
        total.addcmul_(picked.sub_(mine), picked)
    return total.sum(1) / (total.shape[1] * math.prod(queries.sides))


def _check(queries: Tensor, keys: Tensor, weights: Tensor | None, seed: Tensor, positions: int, count: int) -> None:
    if len(queries) != len(keys):
        raise OptionError(f"images of {len(queries)} and {len(keys)} channels have no common patches")
    if weights is not None and weights.shape != (count,):
        raise OptionError(f"{tuple(weights.shape)} weights for {count} key patches: expected one per patch")
    if seed.numel() != positions or int(seed.min()) < 0 or int(seed.max()) >= count:
        raise OptionError(f"an initial field of {seed.numel()} entries: expected {positions}, each a key patch from 0 to {count - 1}")
    for name, values in (("queries", queries), ("keys", keys), ("weights", weights)):
        if values is not None and not values.isfinite().all():
            raise InputError(f"the {name} of a patch search hold values that are not finite")
    if weights is not None and bool((weights < 0).any()):
        raise OptionError("the weights of a patch search must not be negative")
