"""PatchMatch: approximate nearest patches, found by spreading good matches to their neighbours.

What: PatchMatch (Barnes et al., SIGGRAPH 2009) in the parallel order of VGPNN (Haim et al., ECCV 2022, sec. 3): every
position at once takes its neighbours' matches, shifted, from 4 and then 1 pixels away, then random ones around its own.
Where they draw distant guesses blindly, here they come from keys with the same hash, as in Coherency Sensitive Hashing
(Korman and Avidan, ICCV 2011).
Laws: never worse than the initial field at any position; an exact field stays; a clip of one frame has the picture's
field; the same generator state gives the same field, on CPUs with any number of threads and whatever instructions they
have from AVX2 on.
How: a candidate is judged by 30 cosines of its patch, computed as a convolution, with their norm folded in: 32 numbers,
two cache lines, one product.  They are whole numbers of steps, so few that every sum of them is exact, in whatever
order a processor adds.  At the end, where the field has changed, the patches themselves decide between it and the
initial one.
On CUDA the gather, the product and the choice are one Triton kernel.
Measured: tests/benchmarks/patchmatch.csv.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.errors import InputError, OptionError
from structkit.kernels.patches import Nearest, Patch, PatchTable, finite

COMPONENTS = 30  # 95 to 99.9 % of the energy of 7 x 7 colour patches, principal components 96 to 99.9 %
SAMPLE, SPREAD = 2048, 40503  # key patches from which the components are chosen: each 40503rd, going round
STEPS_OF_PIXELS = 2**7  # in 1: those of 8 bits in [-1, 1]
EXACT = 24  # bits of a whole number that float32 holds
LIKE = 1e-9  # energies of components, relative to the largest, up to which they are the same
STEPS = (4, 1)  # distances of the neighbours asked, px
GUESSES = 4  # distant candidates per iteration
CHUNK = 2**13  # patches compared at a time: their numbers stay in the cache (1 MB)


@torch.no_grad()
def patchmatch(
    queries: Tensor,
    keys: Tensor | KeyPatches,
    *,
    patch: Patch,
    weights: Tensor | None = None,
    init: Tensor | None = None,
    iterations: int = 2,
    generator: torch.Generator,
) -> Nearest:
    """Nearest patches of two images, approximately: argmin_j weights[j] * mean((query patch i - key patch j)^2).

    queries (C, *space), keys (C, *other space) float32, meant for [-1, 1]: what lies beyond, and finer differences than
    1/128, is seen only at the end.  keys may be made ready for several searches (`KeyPatches`, of the same patch).
    weights (M,) not negative, per key patch.
    init: (N,) or (*query grid) int64 positions in the key grid, the field of a former iteration or level (see
    `upscale_field`), or None for a random one, which needs about 4 iterations instead of 2.  Returns flat fields (N,)
    over the query grid, row-major.  Raises InputError for values that are not finite, OptionError for shapes that do
    not match.
    """
    keys = keys if isinstance(keys, KeyPatches) else KeyPatches(keys, patch)
    mine, theirs = PatchTable(queries, patch), keys.table
    count = len(theirs.corner)
    if init is None:
        init = torch.randint(count, (len(mine.corner),), generator=generator, device=generator.device).to(
            queries.device
        )
    seed = init.reshape(-1)
    _check(queries, weights, seed, mine, theirs)
    weights = None if weights is None else weights.float()

    comparison = _Comparison(queries, keys, weights)
    moves = _moves(mine.grid, theirs.grid, generator)
    index, best = comparison.keep_better(seed, queries.new_full(seed.shape, math.inf), seed)
    for turn in range(iterations):
        # What leaves the key image comes in again elsewhere: one more random guess.
        moved = (move(index).remainder_(count) for move in moves)
        for candidates in itertools.chain(comparison.guesses(turn, generator), moved):
            index, best = comparison.keep_better(index, best, candidates)

    everywhere, (changed,) = torch.arange(len(index), device=index.device), (index != seed).nonzero(as_tuple=True)
    after = _distance(mine, everywhere, theirs, index)
    own, before = after[changed], _distance(mine, changed, theirs, seed[changed])
    factors = (1, 1) if weights is None else (weights[index[changed]], weights[seed[changed]])
    worse = ~(own * factors[0] < before * factors[1])
    index[changed[worse]], after[changed[worse]] = seed[changed[worse]], before[worse]
    return Nearest(index, after)


def upscale_field(
    index: Tensor, *, queries: tuple[Sequence[int], Sequence[int]], keys: tuple[Sequence[int], Sequence[int]]
) -> Tensor:
    """Field of a coarse level as the seed of the next finer one.

    index (N,): a position of the coarse key grid for each position of the coarse query grid.  queries, keys: (coarse,
    fine) patch grid of the query and of the key image.  Returns (N fine,) int64 positions of the fine key grid.  Grids
    are matched corner to corner; queries between two coarse ones keep their offset from the nearer one, so that a
    copied block stays a copied block.
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


class ChannelGroup(NamedTuple):
    """Channels of an image that belong together: their number, and the absolute value that theirs may come to."""

    count: int
    limit: float

    def in_steps(self) -> ChannelGroup:
        """The same with a limit in whole steps of pixels."""
        return self._replace(limit=math.ceil(self.limit * STEPS_OF_PIXELS) / STEPS_OF_PIXELS)


class KeyPatches:
    """Patches of an image to search in, each told by few numbers: made once, for any number of searches.

    The numbers are the products of a patch with the cosines (DCT over channels and space) in which the image's patches
    differ most.  Unlike those of principal components, which are as good for 30 % fewer, their directions are the same
    on any processor.
    """

    def __init__(self, image: Tensor, patch: Patch, groups: Sequence[ChannelGroup] = ()) -> None:
        """image (C, *space) float32, patch as in `kernels.patches`.  Raises InputError for values that are not
        finite.

        groups: of the channels, in their order, none of which is mixed with another; else all are one, meant for
        [-1, 1].
        """
        if not finite(image):
            raise InputError("the keys of a patch search hold values that are not finite")
        self.table = table = PatchTable(image, patch)
        groups = [group.in_steps() for group in groups or [ChannelGroup(len(image), 1.0)]]
        count, inside = len(table.corner), math.prod(table.sides)
        limits = torch.tensor([group.limit for group in groups for _ in range(group.count)], device=image.device)
        self._limits, within = limits.view(-1, *(1,) * len(table.sides)), limits.repeat_interleave(inside)
        # Of pixels within the limits and a unit axis the product is at most their norm.
        norm = math.sqrt(inside * sum(group.count * group.limit**2 for group in groups))
        steps = 2 ** math.floor(EXACT - math.log2(STEPS_OF_PIXELS * norm))
        rows = _pixels(table.rows(torch.arange(SAMPLE, device=image.device) * SPREAD % count), within)
        mean = _stepped(rows.mean(0), STEPS_OF_PIXELS)
        bases = [cosines((group.count, *table.sides)) for group in groups]
        axes = _stepped(torch.block_diag(*bases), steps).to(image)
        energy = ((rows - mean).double() @ axes.double()).square().sum(0)
        alike = (
            energy / (LIKE * energy.amax()).clamp_min(1e-30)
        ).round()  # ties are ties, whatever rounding makes of them
        self.axes = axes[:, alike.argsort(descending=True, stable=True)[:COMPONENTS].sort().values]
        self.mean = mean @ self.axes
        products = self._products(image)
        # |k|^2 + |q|^2 - 2 q.k comes, on the way, to no more than (|k| + |q|)^2.
        longest = max(float(part.double().norm(dim=1).amax()) for part in products.split(CHUNK))
        largest = longest + float((within + mean.double().abs()).norm())
        self.steps = 2 ** math.floor(EXACT / 2 - math.log2(largest))
        codes = _stepped(products, self.steps)
        self.right = torch.cat([codes, codes.square().sum(1, keepdim=True), torch.ones_like(codes[:, :1])], 1)
        self._cells: dict[int, _Cells] = {}

    def codes(self, image: Tensor) -> Tensor:
        """Numbers (N, K) of all patches of an image."""
        return _stepped(self._products(image), self.steps)

    def _products(self, image: Tensor) -> Tensor:
        convolve = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(self.table.sides)]
        filters = self.axes.T.reshape(-1, len(image), *self.table.sides)
        return convolve(_pixels(image, self._limits)[None], filters)[0].flatten(1).T - self.mean

    def cells(self, turn: int) -> _Cells:
        """Hash of the keys, another one at each turn."""
        if turn not in self._cells:
            self._cells[turn] = _Cells(self.right[:, :-2], turn)
        return self._cells[turn]


class _Cells:
    """Keys on the same side of some planes, about 8 to a cell; the planes have random directions and pass through
    random keys.
    """

    def __init__(self, codes: Tensor, seed: int) -> None:
        count, numbers = codes.shape
        bits = max(1, round(math.log2(count)) - 3)
        draw = {"generator": torch.Generator().manual_seed(seed)}
        # Whole numbers, so that which side a key is on is exact.
        self.planes = torch.randint(-8, 9, (numbers, bits), **draw).to(codes)
        self.offset = (codes[torch.randint(count, (bits,), **draw).to(codes.device)] * self.planes.T).sum(1)
        self.powers = 2.0 ** torch.arange(bits, device=codes.device)
        cells = self.of(codes)
        self.order = cells.argsort(stable=True)  # keys, cell by cell
        self.sizes = torch.bincount(cells, minlength=2**bits)
        self.first = self.sizes.cumsum(0) - self.sizes

    def of(self, codes: Tensor) -> Tensor:
        """Cells (N,) int64 of codes (N, K)."""
        return ((codes @ self.planes > self.offset).float() @ self.powers).long()


class _Comparison:
    """Queries beside keys, in few numbers: w |q - k|^2 = w (-2 q, 1, |q|^2) . (k, |k|^2, 1)."""

    def __init__(self, queries: Tensor, keys: KeyPatches, weights: Tensor | None) -> None:
        self.keys, self.weights, self.right = keys, weights, keys.right
        self.codes = codes = keys.codes(queries)
        self.left = torch.cat([-2 * codes, torch.ones_like(codes[:, :1]), codes.square().sum(1, keepdim=True)], 1)
        self.ones = torch.ones_like(self.left[0])

    def score(self, index: Tensor) -> Tensor:
        """Weighted squared distances (N,) of the queries to the candidate keys index (N,)."""
        score, gathered = torch.empty_like(self.left[:, 0]), torch.empty_like(self.left[:CHUNK])
        for start in range(0, len(index), CHUNK):
            part = slice(start, start + CHUNK)
            rows = gathered[: len(index[part])]
            torch.index_select(self.right, 0, index[part], out=rows)
            torch.mv(rows.mul_(self.left[part]), self.ones, out=score[part])
        return score if self.weights is None else score.mul_(self.weights[index])

    def keep_better(self, index: Tensor, best: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """Field (N,) and scores (N,), with the candidates (N,) where they score less than best; a tie stays."""
        if self.left.is_cuda:
            from structkit.kernels.patchmatch_triton import keep_better

            return keep_better(self.left, self.right, self.weights, index, best, candidates)
        value = self.score(candidates)
        return torch.where(value < best, candidates, index), torch.minimum(value, best)

    def guesses(self, turn: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Candidates (N,) for each query, out of the keys in its cell, GUESSES times."""
        cells = self.keys.cells(turn)
        own = cells.of(self.codes)
        first, sizes = cells.first[own], cells.sizes[own]
        for _ in range(GUESSES):
            share = torch.rand(len(own), generator=generator, device=generator.device).to(own.device)
            # An empty cell gives a key of the next.
            yield cells.order[((share * sizes).long() + first).clamp_(max=len(cells.order) - 1)]


@functools.lru_cache(maxsize=4)
def cosines(shape: tuple[int, ...]) -> Tensor:
    """Orthonormal basis (D, D) float64, D the product of shape: columns of products of cosines (DCT-II) along each
    axis.
    """
    basis = torch.ones(1, 1, dtype=torch.float64)
    for side in shape:
        at = torch.arange(side, dtype=torch.float64)
        axis = torch.cos(math.pi / side * at[:, None] * (at + 0.5)) * math.sqrt(2 / side)
        axis[0] /= math.sqrt(2)
        basis = torch.kron(basis, axis)
    return basis.T.contiguous()


def _pixels(values: Tensor, limits: Tensor) -> Tensor:
    """Values as they are judged: within their limits, in whole steps."""
    return _stepped(values.clamp(-limits, limits), STEPS_OF_PIXELS)


def _stepped(values: Tensor, steps: int) -> Tensor:
    """Values at the nearest multiples of 1 / steps."""
    return (values * steps).round_().div_(steps)


def _moves(queries: Sequence[int], keys: Sequence[int], generator: torch.Generator) -> list[Callable[[Tensor], Tensor]]:
    """Functions from a field to candidates: the neighbours' matches moved along with them, then random ones around the
    own.

    An axis with one key position has nothing to move to, and draws nothing: so a clip of one frame is a picture.
    """
    strides = [math.prod(keys[axis + 1 :]) for axis in range(len(keys))]
    axes = [axis for axis, side in enumerate(keys) if side > 1]

    def neighbour(axis: int, step: int) -> Callable[[Tensor], Tensor]:
        return lambda field: torch.roll(field.view(*queries), step, axis).view(-1) + step * strides[axis]

    def jump(scale: int) -> Callable[[Tensor], Tensor]:
        def candidates(field: Tensor) -> Tensor:
            for axis in axes:
                reach = max(1, keys[axis] // scale)
                noise = torch.randint(-reach, reach + 1, field.shape, generator=generator, device=generator.device)
                field = field + noise.to(field.device) * strides[axis]
            return field

        return candidates

    near = [neighbour(axis, sign * step) for step in STEPS for axis in axes for sign in (1, -1)]
    scales = range(2, max(3, math.ceil(math.log(max(keys), 4)) + 1))
    return near + [jump(4**n) for n in scales]


def _distance(queries: PatchTable, at: Tensor, keys: PatchTable, index: Tensor) -> Tensor:
    """Exact mean squared distances (N,) of the query patches `at` (N,) to key patches (N,), one line of the patch at a
    time.
    """
    (mine, here), (theirs, there) = queries.strips(), keys.strips()
    parts = []
    for own, other in zip(at.split(CHUNK), index.split(CHUNK), strict=True):
        own, other = queries.corner[own], keys.corner[other]
        total = mine.new_zeros(len(own), mine.shape[1])
        for down, down_there in zip(here, there, strict=True):
            apart = theirs.index_select(0, other + down_there).sub_(mine.index_select(0, own + down))
            total.addcmul_(apart, apart)
        parts.append(total.sum(1) / (total.shape[1] * len(here)))
    return torch.cat(parts) if parts else mine.new_zeros(0)


def _check(queries: Tensor, weights: Tensor | None, seed: Tensor, mine: PatchTable, theirs: PatchTable) -> None:
    positions, count = len(mine.corner), len(theirs.corner)
    if mine.pixels.shape[1] != theirs.pixels.shape[1]:
        raise OptionError(
            f"images of {mine.pixels.shape[1]} and {theirs.pixels.shape[1]} channels have no common patches"
        )
    if mine.sides != theirs.sides:
        raise OptionError(
            f"patches of {mine.sides} px searched for among patches of {theirs.sides} px: give both the same side"
        )
    if weights is not None and weights.shape != (count,):
        raise OptionError(f"{tuple(weights.shape)} weights for {count} key patches: expected one per patch")
    if seed.numel() != positions or int(seed.min()) < 0 or int(seed.max()) >= count:
        raise OptionError(
            f"an initial field of {seed.numel()} entries: expected {positions}, each a key patch from 0 to {count - 1}"
        )
    for name, values in (("queries", queries), ("weights", weights)):
        if values is not None and not finite(values):
            raise InputError(f"the {name} of a patch search hold values that are not finite")
    if weights is not None and bool((weights < 0).any()):
        raise OptionError("the weights of a patch search must not be negative")
