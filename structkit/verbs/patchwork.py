"""The picture verbs of the training-free patch engine: analogy, sample, retarget, refine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from structkit.configs import AnalogyConfig, RefineConfig, RetargetConfig, SampleConfig
from structkit.engines.patch import analogy as engine
from structkit.engines.patch import arrangement
from structkit.errors import OptionError
from structkit.kernels.pyramid import resize
from structkit.media.tensors import from_tensor, to_tensor
from structkit.verbs import pair
from structkit.verbs.canvas import (
    Size,
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
from structkit.verbs.drafts import draft_count, draft_facts, draft_metadata, draft_of
from structkit.verbs.guides import Guide, guided_pictures, guides_of
from structkit.verbs.running import Drawing, Progress, RunSettings

if TYPE_CHECKING:
    from torch import Tensor

    from structkit.engines.pair.model import PairAnalogy
    from structkit.engines.patch.channels import Channels
    from structkit.media.pictures import Picture
    from structkit.verbs.canvas import PictureLike

DRAFT_SIDE = 256  # px: the short side of a draft that is shown, unless the result is smaller


class PairMaterial(NamedTuple):
    """The material of an analogy of two pictures, ready for the engine.

    canvas: the size of the result.
    usable: which pixels of the target may be used, as in `patch.analogy`.
    maps: the channels of the guides.
    notes: those on all pictures.
    """

    source: Picture
    target: Picture
    canvas: Size
    usable: Tensor
    maps: list[Channels]
    notes: tuple[str, ...]

    def on(self, draw: Drawing) -> tuple[list[Tensor], dict[str, Any]]:
        """The pictures, and the arguments of the engine by name, on the device of a drawing."""
        *pictures, usable = (
            tensor.to(draw.device) for tensor in (to_tensor(self.source), to_tensor(self.target), self.usable)
        )
        how = {"shape": self.canvas.shape, "usable": usable, "generator": draw.generator, "progress": draw.progress}
        return pictures, how | {"guides": [own.on(draw.device) for own in self.maps]}


def analogy(
    source: PictureLike | None = None,
    target: PictureLike | None = None,
    *,
    model: PairAnalogy | None = None,
    swapped: bool = False,
    guides: Sequence[tuple[PictureLike, PictureLike]] = (),
    guide_weight: float | Sequence[float] | None = None,
    like: PictureLike | None = None,
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
    like: the draft to go on from: its name, or one of `analogy_drafts`, also as a file that was written of it; else the
    best.  The `draft` of each result says which it was.
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
        if like is not None:
            raise OptionError("a trained pair takes no --like: leave it out")
        given = [None if picture is None else opened(picture) for picture in (source, target)]
        return pair.analogies(model, *given, size=size, count=count, swapped=swapped, running=running, options=options)
    if source is None or target is None:
        raise OptionError("without a model an analogy needs a source and a target")
    if swapped:
        raise OptionError("swapped turns a trained pair round: without a model, exchange source and target")
    check_match(config := AnalogyConfig.of(options))
    begun = None if like is None else draft_of(like, config)
    material = _material(source, target, asked, size, config)
    one, other, alpha = material.source, material.target, alpha_of(material.source, material.canvas)
    results = []
    for number in range(check_count(count)):
        with running.drawing(number, count) as draw:
            pictures, how = material.on(draw)
            made = engine.analogy(*pictures, config, like=begun, **how)
        name = f"analogy of {one.name} and {other.name}"
        result = from_tensor(made.picture.cpu(), alpha=alpha, name=name, notes=material.notes)
        results.append(replace(result, draft=draft_facts(made.chosen, config) if made.chosen else None))
    return results


def analogy_drafts(
    source: PictureLike,
    target: PictureLike,
    *,
    guides: Sequence[tuple[PictureLike, PictureLike]] = (),
    guide_weight: float | Sequence[float] | None = None,
    size: tuple[int, int] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> list[Picture]:
    """The drafts of the analogy with these arguments, the best first, which it goes on from.

    Each is rough: made with 64 px on its short side, with more where it begins finer, which it does at much strength;
    shown with 256 px, or in the size of the result if that is smaller.
    Its `draft` has its name and its scores; as `like` of `analogy` it leads to its own result.
    All arguments as in `analogy`.
    """
    running, asked = RunSettings(seed, device, progress), guides_of(guides, guide_weight)
    check_match(config := AnalogyConfig.of(options))
    draft_count(config)
    material = _material(source, target, asked, size, config)
    one, canvas = material.source, material.canvas
    with running.drawing() as draw:
        pictures, how = material.on(draw)
        drafts = engine.analogy_drafts(*pictures, config, **how)
    by = min(1.0, DRAFT_SIDE / min(canvas))
    shown = Size(round(canvas.width * by), round(canvas.height * by))
    results = []
    for made in drafts:
        facts, seen = draft_facts(made, config), resize(made.state.picture.cpu(), shown.shape)
        how = {"name": f"draft {facts['name']}", "notes": material.notes, "metadata": draft_metadata(facts["name"])}
        results.append(replace(from_tensor(seen, alpha=alpha_of(one, shown), **how), draft=facts))
    return results


def _material(
    source: PictureLike,
    target: PictureLike,
    guides: Sequence[Guide],
    size: tuple[int, int] | None,
    config: AnalogyConfig,
) -> PairMaterial:
    one, other = opened(source), opened(target)
    canvas = result_size(one, size, config.max_side)
    usable = usable_pixels(other)
    maps, told = guided_pictures(guides, one, other, canvas)
    return PairMaterial(one, other, canvas, usable, maps, notes_of(one, other) + enlarged(other, canvas) + told)


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
