"""The picture verbs of the training-free patch engine: analogy, sample, retarget, refine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from structkit.configs import AnalogyConfig, RefineConfig, RetargetConfig, SampleConfig
from structkit.engines.patch import analogy as engine
from structkit.engines.patch import arrangement
from structkit.errors import OptionError
from structkit.media.tensors import from_tensor, to_tensor
from structkit.verbs import pair
from structkit.verbs.canvas import (
    alpha_of,
    check_count,
    check_match,
    enlarged,
    notes_of,
    opened,
    result_size,
    usable_pixels,
    with_alpha,
    without_alpha,
)
from structkit.verbs.guides import guided_pictures, guides_of
from structkit.verbs.running import Progress, RunSettings

if TYPE_CHECKING:
    from structkit.engines.pair.model import PairAnalogy
    from structkit.media.pictures import Picture
    from structkit.verbs.canvas import PictureLike


def analogy(
    source: PictureLike | None = None,
    target: PictureLike | None = None,
    *,
    model: PairAnalogy | None = None,
    swapped: bool = False,
    guides: Sequence[tuple[PictureLike, PictureLike]] = (),
    guide_weight: float | Sequence[float] | None = None,
    size: tuple[int, int] | None = None,
    count: int = 1,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> list[Picture]:
    """Pictures with the structure of `source` (where things are) and the look of `target` (its patches).

    size: (width, height) in px; else the source's, reduced to `max_side`.
    count: of the results; the i-th is that of seed + i.
    progress: called with the share done, 0 .. 1, and the name of what is being made.
    guides: pairs of maps, one of the source and one of the target, in which what means the same is the same: labels
    (up to 24 colours), edges, depth.  Each part of the result is made of what the target has there.
    guide_weight: 0 to 100, for all guides or for each; at 1, the default, a map counts as much as all colours together.
    options: fields of `configs.AnalogyConfig`.
    The source's alpha is carried over; transparent parts of the target are not used.  No metadata is kept: the result
    is a new picture.
    Method: GPNN (Granot et al., CVPR 2022) with aligned statistics and guidance, see `structkit.engines.patch.analogy`.

    model: of `train_analogy` or `load`; it moves to `device`.  Then options are the fields of
    `configs.PairResultConfig`, and the pictures may be left out: the pair has its own, as large as it was trained on.
    A source that is given is injected.  A target gives the patches of refine="patches", which alone leaves the choice
    of a size; without, results are as large as the model makes them.
    swapped: the pair's other direction, the structure of its target with the look of its source.
    Method: Structural analogy from a single image pair (Benaim et al., CGF 2020), see `structkit.engines.pair.model`.
    Raises InputError, OptionError, DeviceError.
    """
    running, asked = RunSettings(seed, device, progress), guides_of(guides, guide_weight)
    if model is not None:
        if asked:
            raise OptionError("a trained pair takes no --guide: leave it out")
        given = [None if picture is None else opened(picture) for picture in (source, target)]
        return pair.analogies(model, *given, size=size, count=count, swapped=swapped, running=running, options=options)
    if source is None or target is None:
        raise OptionError("without a model an analogy needs a source and a target")
    if swapped:
        raise OptionError("swapped turns a trained pair round: without a model, exchange source and target")
    check_match(config := AnalogyConfig.of(options))
    one, other = opened(source), opened(target)
    canvas = result_size(one, size, config.max_side)
    usable = usable_pixels(other)
    maps, told = guided_pictures(asked, one, other, canvas)
    alpha, notes = alpha_of(one, canvas), notes_of(one, other) + enlarged(other, canvas) + told
    results = []
    for number in range(check_count(count)):
        with running.drawing(number, count) as draw:
            structure, look, mask = (tensor.to(draw.device) for tensor in (to_tensor(one), to_tensor(other), usable))
            how = {"usable": mask, "generator": draw.generator, "progress": draw.progress}
            how["guides"] = [own.on(draw.device) for own in maps]
            made = engine.analogy(structure, look, config, shape=canvas.shape, **how).picture.cpu()
        results.append(from_tensor(made, alpha=alpha, name=f"analogy of {one.name} and {other.name}", notes=notes))
    return results


def sample(
    picture: PictureLike,
    *,
    count: int = 1,
    size: tuple[int, int] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> list[Picture]:
    """New pictures made of the patches of `picture`, otherwise arranged.

    options: fields of `configs.SampleConfig`.  All else as in `analogy`.
    """
    running, config = RunSettings(seed, device, progress), SampleConfig.of(options)
    one = opened(picture)
    canvas = result_size(one, size, config.max_side)
    results = []
    for number in range(check_count(count)):
        with running.drawing(number, count) as draw:
            how = {"generator": draw.generator, "progress": draw.progress}
            made = arrangement.sample(with_alpha(one).to(draw.device), config, shape=canvas.shape, **how).cpu()
        results.append(without_alpha(made, one, "sample"))
    return results


def retarget(
    picture: PictureLike,
    size: tuple[int, int],
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> Picture:
    """The scene of `picture` in another size, (width, height) in px, with nothing stretched.

    options: fields of `configs.RetargetConfig`.  All else as in `analogy`.
    """
    running, config = RunSettings(seed, device, progress), RetargetConfig.of(options)
    one = opened(picture)
    canvas = result_size(one, size, None)
    with running.drawing() as draw:
        how = {"generator": draw.generator, "progress": draw.progress}
        made = arrangement.retarget(with_alpha(one).to(draw.device), config, shape=canvas.shape, **how).cpu()
    return without_alpha(made, one, "retarget")


def refine(
    picture: PictureLike,
    patches_of: PictureLike,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> Picture:
    """`picture` redrawn with the patches of another one: same layout and colours, real detail.

    options: fields of `configs.RefineConfig`.  All else as in `analogy`.
    """
    running, config = RunSettings(seed, device, progress), RefineConfig.of(options)
    one, other = opened(picture), opened(patches_of)
    canvas = result_size(one, None, config.max_side)
    usable = usable_pixels(other)
    with running.drawing() as draw:
        rough, patches, mask = (tensor.to(draw.device) for tensor in (to_tensor(one), to_tensor(other), usable))
        how = {"usable": mask, "generator": draw.generator, "progress": draw.progress}
        made = arrangement.refine(rough, patches, config, shape=canvas.shape, **how).cpu()
    notes = notes_of(one, other) + enlarged(other, canvas)
    return from_tensor(made, alpha=alpha_of(one, canvas), name=f"{one.name}, refined", notes=notes)
