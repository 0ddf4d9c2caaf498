"""PatchMatch: never worse than its seed, close to exact from a fair one, and the same for the same generator."""

import math

import pytest
import torch
import torch.nn.functional as F

from structkit.errors import InputError, OptionError
from structkit.kernels.nearest_patches import nearest_patches
from structkit.kernels.patches import extract, patch_grid
from structkit.kernels.patchmatch import KeyPatches, _Comparison, patchmatch, upscale_field

CASES = [
    ((24, 31), (40, 28), 7),
    ((9, 9), (7, 7), 7),
    ((6, 40), (30, 8), (3, 5)),
    ((5, 14, 15), (4, 16, 12), (3, 5, 5)),
    ((60,), (90,), 7),
]
cases = pytest.mark.parametrize(("target", "source", "patch"), CASES)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def picture(*space, seed=0):
    """A smooth picture with some texture, so that patches resemble each other and their neighbours, as in
    photographs.
    """
    mode = {1: "linear", 2: "bicubic", 3: "trilinear"}[len(space)]
    coarse = torch.rand(1, 3, *[3 + side // 6 for side in space], generator=generator(seed)) * 2 - 1
    texture = 0.05 * torch.randn(3, *space, generator=generator(seed + 100))
    return (F.interpolate(coarse, space, mode=mode, align_corners=False)[0] + texture).clamp(-1, 1)


def random_field(target, source, patch):
    return torch.randint(math.prod(patch_grid(source, patch)), patch_grid(target, patch), generator=generator(7))


def distance(queries, keys, patch, index):
    return (extract(queries, patch) - extract(keys, patch)[index.reshape(-1)]).square().mean(1)


@cases
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_never_worse_than_its_seed_at_any_position(target, source, patch, weighted):
    queries, keys = picture(*target), picture(*source, seed=1)
    count = math.prod(patch_grid(source, patch))
    weights = torch.rand(count, generator=generator(2)) + 0.1 if weighted else None
    seed = random_field(target, source, patch)
    found = patchmatch(queries, keys, patch=patch, weights=weights, init=seed, generator=generator())
    factor = torch.ones(count) if weights is None else weights
    before = distance(queries, keys, patch, seed) * factor[seed.reshape(-1)]
    after = found.distance * factor[found.index]
    assert (after <= before * (1 + 1e-6)).all()
    assert found.index.shape == found.distance.shape == (math.prod(patch_grid(target, patch)),)
    torch.testing.assert_close(found.distance, distance(queries, keys, patch, found.index), rtol=1e-5, atol=1e-8)


@cases
def test_the_exact_field_stays_exact(target, source, patch):
    queries, keys = picture(*target), picture(*source, seed=1)
    exact = nearest_patches(extract(queries, patch), extract(keys, patch))
    found = patchmatch(queries, keys, patch=patch, init=exact.index, generator=generator())
    torch.testing.assert_close(found.distance, exact.distance, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_field_of_which_a_fifth_is_off_ends_within_three_percent_of_exact(weighted):
    queries, keys = picture(70, 80), picture(80, 70, seed=1)
    rows, table = extract(queries, 7), extract(keys, 7)
    weights = 1 / (0.005 + nearest_patches(table, rows).distance) if weighted else None
    exact = nearest_patches(rows, table, weights=weights)
    off = torch.rand(len(rows), generator=generator(3)) < 0.2
    seed = torch.where(off, random_field((70, 80), (80, 70), 7).reshape(-1), exact.index)
    found = patchmatch(queries, keys, patch=7, weights=weights, init=seed, generator=generator())
    factor = torch.ones(len(table)) if weights is None else weights
    assert (found.distance * factor[found.index]).mean() < 1.03 * (exact.distance * factor[exact.index]).mean()


def test_a_picture_finds_itself_from_nothing():
    image = picture(50, 60)
    found = patchmatch(image, image, patch=7, iterations=8, generator=generator())
    assert (found.index == torch.arange(len(found.index))).float().mean() > 0.95


@pytest.mark.parametrize("seeded", [False, True])
def test_a_clip_of_one_frame_has_the_pictures_field(seeded):
    queries, keys, seed = picture(24, 31), picture(40, 28, seed=1), random_field((24, 31), (40, 28), 7)
    flat = patchmatch(queries, keys, patch=7, init=seed if seeded else None, generator=generator())
    deep = patchmatch(
        queries[:, None], keys[:, None], patch=(1, 7, 7), init=seed[None] if seeded else None, generator=generator()
    )
    assert torch.equal(deep.index, flat.index) and torch.equal(deep.distance, flat.distance)


def test_more_iterations_are_no_worse():
    queries, keys = picture(50, 60), picture(60, 50, seed=1)
    means = [
        patchmatch(queries, keys, patch=7, iterations=n, generator=generator()).distance.mean() for n in (0, 1, 3, 9)
    ]
    assert means == sorted(means, reverse=True)


def test_the_same_generator_state_gives_the_same_field():
    queries, keys = picture(30, 40), picture(40, 30, seed=1)
    first, again = (patchmatch(queries, keys, patch=7, generator=generator(5)) for _ in range(2))
    other = patchmatch(queries, keys, patch=7, generator=generator(6))
    assert torch.equal(first.index, again.index) and not torch.equal(first.index, other.index)


def test_the_seed_stays_as_it_is():
    seed = random_field((24, 31), (40, 28), 7)
    copy = seed.clone()
    patchmatch(picture(24, 31), picture(40, 28, seed=1), patch=7, init=seed, generator=generator())
    assert torch.equal(seed, copy)


@pytest.mark.parametrize(("patch", "tolerance"), [(2, 0.05), (7, 0.1)])
def test_candidates_are_judged_by_nearly_their_distance(patch, tolerance):
    """Patches of 2 x 2 have fewer values than components: only steps are left out.  Of larger ones the texture's noise
    is.
    """
    queries, keys = picture(40, 30), picture(30, 40, seed=1)
    seed = random_field((40, 30), (30, 40), patch).reshape(-1)
    weights = torch.rand(math.prod(patch_grid((30, 40), patch)), generator=generator(2))
    found = _Comparison(queries, KeyPatches(keys, patch), weights).score(seed)
    expected = distance(queries, keys, patch, seed) * 3 * patch**2 * weights[seed]
    assert ((found - expected).abs() <= tolerance * expected.mean()).all()


def step_of(comparison, *fields):
    """One step of the Triton path, compiled where CUDA is present, else interpreted; memory that it leaves unwritten
    shows.
    """
    pytest.importorskip("triton")
    from structkit.kernels.patchmatch_triton import keep_better

    device = "cuda" if torch.cuda.is_available() else "cpu"
    inputs = comparison.left, comparison.right, comparison.weights, *fields
    torch.use_deterministic_algorithms(True, warn_only=True)  # fills torch.empty with NaN, or the largest integer
    try:
        return [result.cpu() for result in keep_better(*(x if x is None else x.to(device) for x in inputs))]
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("target", "source", "patch"),
    [*CASES[1:3], ((7, 7), (9, 8), 7), ((13, 17), (11, 5), 1), ((14, 14), (9, 9), 2), ((70,), (97,), 4)],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_in_triton_is_that_of_torch(target, source, patch, weighted):
    queries, keys = picture(*target), picture(*source, seed=1)
    seed, count = random_field(target, source, patch).reshape(-1), math.prod(patch_grid(source, patch))
    comparison = _Comparison(
        queries, KeyPatches(keys, patch), torch.rand(count, generator=generator(2)) if weighted else None
    )
    candidates = torch.randint(count, seed.shape, generator=generator(3))
    started, fields = torch.full((len(seed),), math.inf), []
    for step in (comparison.keep_better, lambda *fields: step_of(comparison, *fields)):
        index, best = step(seed, started, seed)
        assert torch.equal(index, seed)
        fields.append((best, *step(index, best, candidates)))
    (start, index, best), (start_too, index_too, best_too) = fields
    assert torch.equal(index, index_too)
    torch.testing.assert_close((start_too, best_too), (start, best), rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="asks where patchmatch itself sends CUDA tensors")
@cases
def test_on_cuda_too_it_is_never_worse_than_its_seed(target, source, patch):
    queries, keys, seed = picture(*target), picture(*source, seed=1), random_field(target, source, patch)
    found = patchmatch(queries.cuda(), keys.cuda(), patch=patch, init=seed.cuda(), generator=generator())
    assert (found.distance.cpu() <= distance(queries, keys, patch, seed) * (1 + 1e-5)).all()
    torch.testing.assert_close(
        found.distance.cpu(), distance(queries, keys, patch, found.index.cpu()), rtol=1e-5, atol=1e-8
    )


def test_a_tie_stays_in_triton_as_in_torch():
    """Sums of small whole numbers are exact in any order, and few, so that many candidates tie with another key."""
    queries, keys = picture(83), picture(101, seed=1)
    comparison = _Comparison(queries, KeyPatches(keys, 2), None)
    for name in ("left", "right"):
        rows = getattr(comparison, name)
        setattr(comparison, name, torch.randint(2, rows.shape, generator=generator(4)).to(rows))
    seed, candidates = torch.randint(100, (2, 82), generator=generator(5))
    best, rival = comparison.score(seed), comparison.score(candidates)
    assert ((rival == best) & (seed != candidates)).sum() > 10 and (rival < best).sum() > 10
    index, score = step_of(comparison, seed, best, candidates)
    assert torch.equal(index, torch.where(rival < best, candidates, seed)) and torch.equal(
        score, torch.minimum(best, rival)
    )
    assert torch.equal(index, comparison.keep_better(seed, best, candidates)[0])


def test_a_field_scaled_to_its_own_grids_is_itself():
    for target, source, patch in CASES:
        grids = patch_grid(target, patch), patch_grid(source, patch)
        field = random_field(target, source, patch)
        assert torch.equal(upscale_field(field, queries=(grids[0],) * 2, keys=(grids[1],) * 2), field.reshape(-1))


def test_the_identity_scales_to_the_identity():
    for coarse, fine in [((10, 12), (14, 17)), ((5, 6), (20, 31)), ((1, 4), (1, 9)), ((3, 6, 7), (5, 8, 9))]:
        field = torch.arange(math.prod(coarse))
        scaled = upscale_field(field, queries=(coarse, fine), keys=(coarse, fine))
        assert torch.equal(scaled, torch.arange(math.prod(fine)))


def test_a_scaled_field_stays_in_the_grid_and_copies_blocks():
    coarse = torch.full((6, 6), 9 * 10 + 9)  # every query wants the last key
    scaled = upscale_field(coarse, queries=((6, 6), (13, 13)), keys=((10, 10), (20, 22)))
    assert int(scaled.min()) >= 0 and int(scaled.max()) < 20 * 22
    shifted = (torch.arange(6)[:, None] + 2) * 12 + torch.arange(6) + 3  # a block copied from (2, 3)
    scaled = upscale_field(shifted, queries=((6, 6), (11, 11)), keys=((12, 12), (23, 23))).reshape(11, 11)
    assert torch.equal(scaled, (torch.arange(11)[:, None] + 4) * 23 + torch.arange(11) + 6)


@pytest.mark.parametrize("threads", [1, 2])
def test_keys_that_are_all_the_same_are_found_too(threads):
    """One patch, or a flat picture: there is no direction in which they differ most."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for seed in range(60):
            queries, one = (torch.rand(3, side, side, generator=generator(seed + side)) * 2 - 1 for side in (9, 7))
            flat = one[:, :1, :1].expand(3, 20, 21).contiguous()
            for keys in (one, flat):
                score = _Comparison(queries, KeyPatches(keys, 7), None).score(torch.zeros(9, dtype=torch.int64))
                assert score.isfinite().all()
    finally:
        torch.set_num_threads(before)


def test_errors_name_the_fact():
    queries, keys = picture(24, 31), picture(40, 28, seed=1)
    with pytest.raises(
        OptionError, match="an initial field of 3 entries: expected 450, each a key patch from 0 to 747"
    ):
        patchmatch(queries, keys, patch=7, init=torch.zeros(3, dtype=torch.int64), generator=generator())
    with pytest.raises(OptionError, match="each a key patch from 0 to 747"):
        patchmatch(queries, keys, patch=7, init=torch.full((450,), 748), generator=generator())
    with pytest.raises(OptionError, match=r"patches of \(7, 7\) px searched for among patches of \(5, 5\) px"):
        patchmatch(
            queries, KeyPatches(keys, 5), patch=7, init=torch.zeros(450, dtype=torch.int64), generator=generator()
        )
    with pytest.raises(OptionError, match="3 and 2 channels"):
        patchmatch(queries, keys[:2], patch=7, generator=generator())
    with pytest.raises(OptionError, match=r"\(2,\) weights for 748 key patches: expected one per patch"):
        patchmatch(queries, keys, patch=7, weights=torch.ones(2), generator=generator())
    with pytest.raises(OptionError, match="must not be negative"):
        patchmatch(queries, keys, patch=7, weights=-torch.ones(748), generator=generator())
    with pytest.raises(InputError, match="the keys of a patch search hold values that are not finite"):
        patchmatch(queries, keys / 0, patch=7, generator=generator())
