"""The verbs of content: transfer, remove, segment.

Two kinds of models serve, by their abilities (`structkit.models`).  One finds masks, and what it paints is pasted there
at the picture's own resolution.  The other makes the whole picture from codes, which is a layer whose mask is 1
everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from structkit.configs import ContentConfig, MaskConfig
from structkit.data.squares import LargeFields
from structkit.device import enough_memory
from structkit.engines.transfer.layer import Layer
from structkit.engines.transfer.model import Cut
from structkit.errors import OptionError
from structkit.kernels.composite import paste
from structkit.media.pictures import Picture, picture_in_grey
from structkit.models import abilities_of_model, usable
from structkit.verbs.canvas import opened, opened_all
from structkit.verbs.regions import segmented
from structkit.verbs.squares import (
    MEMORY,
    SquareBatches,
    notes_on_share,
    notes_on_sight,
    shows,
    square_of,
    with_notes,
    working,
)

if TYPE_CHECKING:
    from structkit.training.model import Model
    from structkit.verbs.canvas import PictureLike

REMOVED_FROM = 0.1  # of the mask: what is above is painted over altogether (the authors' script)
PAINTED_FROM = 0.3  # of a painter's mask, which is sharper: in-mask error as with 0.1, and a fifth less changed outside
LEAST_CONTENT = 0.002  # mean of the mask on a donor: below, it has next to none of the content
LEAST_CODE = 0.1  # mean size of a donor's code, in units of what is usual on its side: below, the same
TINT, COVER = (1.0, -1.0, 0.2), 0.6  # an overlay's colour in [-1, 1], and how much of it is laid over the picture


@dataclass(frozen=True)
class Content:
    """The content of a donor: its separate code or its own pixels.

    code: (1, C, h, w), on the model's device.
    notes: on the donor.
    cut: the donor's own pixels, if they are taken.
    """

    code: Tensor
    notes: tuple[str, ...] = ()
    cut: Cut | None = None

    def at(self, strength: float) -> Content:
        """The content, weaker or stronger; 0 is none."""
        return self if strength == 1 else Content(strength * self.code, self.notes)

    def towards(self, other: Content, share: float) -> Content:
        """The content between two, linearly: share 0 is this one, 1 the other."""
        return Content(torch.lerp(self.code, other.code, share), tuple(dict.fromkeys((*self.notes, *other.notes))))


Side = Sequence[Content]  # contents of a model's one domain; of a side that gives nothing there are none


def transfer(
    picture: PictureLike | list[PictureLike],
    donor: PictureLike | tuple[PictureLike, PictureLike] | None,
    model: Model | str | Path,
    *,
    donor_b: PictureLike | tuple[PictureLike, PictureLike] | None = None,
    device: str = "auto",
    **options: Any,
) -> Any:
    """`picture` with the content of `donor` put on, such as its glasses: what the model has learned to tell apart.

    model: of content transfer or of domain difference; or its checkpoint, or the name of one that ships with structkit.
    The model moves to `device`.
    options: fields of `configs.ContentConfig`, how much of the content.
    Content transfer pastes what it paints at the picture's own resolution, through a mask: outside it the picture stays
    as it is, bit for bit.  Size, bits, alpha and metadata are kept.  A donor without the content is named in the notes
    of the result.
    A domain difference has two contents and no mask, the whole picture is made anew: donor, or None, gives what is
    special to its domain a, donor_b what is special to b.
    With the option `steps` the result is a list of so many pictures, from nothing to the whole content, or from that of
    the first to that of the second donor of a tuple.
    A list of pictures gives a list of results; they pass through the model many at a time.
    Method: Mask-based unsupervised content transfer (Mokady et al., ICLR 2020), see `structkit.engines.transfer.model`;
    Domain intersection and domain difference (Benaim et al., ICCV 2019), see `structkit.engines.difference.model`.
    Raises InputError, OptionError, DeviceError, CheckpointError; StructkitError for a model whose results are not
    finite.
    """
    config, ready = ContentConfig.of(options), usable(model, device, "transfer")
    donors = [() if side is None else side if isinstance(side, list | tuple) else (side,) for side in (donor, donor_b)]
    abilities = abilities_of_model(ready)
    config.check(*map(len, donors), two_sided=abilities.two_sided, cut=abilities.cut)
    if config.steps is None and max(map(len, donors)) > 1:
        raise OptionError("two donors are the ends of steps: say how many, or give one donor")
    sides = [[taken(ready, opened(one), config, b=i == 1) for one in side] for i, side in enumerate(donors)]
    pictures, many = opened_all(picture)
    made = transferred(pictures, ready, [(sides[0], sides[1])] * len(pictures), config)
    results = [steps[0] for steps in made] if config.steps is None else made
    return results if many else results[0]


def remove(picture: PictureLike | list[PictureLike], model: Model | str | Path, *, device: str = "auto") -> Any:
    """`picture` without the content that the model knows.

    The content is painted over at the picture's own resolution; elsewhere the picture stays as it is, bit for bit.  A
    domain difference, which has no mask, makes the whole picture anew, without what is special to either domain.
    `found` of a result is the share of the picture that is content; where that is next to nothing a note says so.
    Lists of pictures, models, what is kept, methods and errors: as `transfer`.
    """
    ready = usable(model, device, "remove")
    abilities, (pictures, many) = abilities_of_model(ready), opened_all(picture)
    results: list[Picture] = []
    for batch in SquareBatches(pictures, ready):
        with batch.working():
            if abilities.mask:
                found = ready.remove(batch.squares)
                mask = _widened(found.mask, PAINTED_FROM if abilities.paint else REMOVED_FROM)
                batch.keep(replace(found, mask=mask), found.mask)
            else:
                batch.keep(_whole(ready.combine(ready.common(batch.squares))))
        results += batch.painted()
    return results if many else results[0]


def segment(
    picture: PictureLike | list[PictureLike], model: Model | str | Path, *, device: str = "auto", **options: Any
) -> Any:
    """The mask of the content that the model knows, as large as `picture`: 255 and 0 in three equal channels of 8 bits.

    A segmenter, of `train_segmenter`, gives the class of each pixel instead: see `structkit.verbs.regions`.
    The channels are the same memory, which cannot be written to: paint on a copy.  Files of it have one channel where
    their format can.  `found` is the share of the picture where the mask is one half
    or more; where that is next to nothing a note says so.
    options: fields of `configs.MaskConfig`: threshold, soft, overlay.
    Where a picture is fully transparent there is no content.
    Lists of pictures, models, methods and errors: as `transfer`; only content transfer finds masks.
    """
    config, ready = MaskConfig.of(options), usable(model, device, "segment")
    pictures, many = opened_all(picture)
    results: list[Picture] = []
    if abilities_of_model(ready).regions:
        config.check_regions()
        results = list(segmented(pictures, ready, overlay=config.overlay))
        return results if many else results[0]
    for batch in SquareBatches(pictures, ready):
        with batch.working():
            mask = ready.segment(batch.squares)
            batch.keep(mask, mask)
        for one, large, found in batch.fields():
            with enough_memory("cpu", MEMORY):
                made = replace(_shown(one, large, config), found=found)
            results.append(with_notes(made, *notes_on_sight(one, ready), *notes_on_share(found), *ready.doubts))
    return results if many else results[0]


def transferred(
    pictures: Sequence[Picture], model: Model, contents: Sequence[tuple[Side, Side]], config: ContentConfig
) -> list[list[Picture]]:
    """The results of each picture, in the order of the steps, or one.

    contents: those of each picture, of the model's first and of its second domain; only some models have a second.
    """
    made = [
        _put(pictures, model, *(list(side) for side in zip(*amounts, strict=True)))
        for amounts in zip(*(_amounts(config, *sides) for sides in contents), strict=True)
    ]
    return [list(results) for results in zip(*made, strict=True)]


def taken(model: Model, donor: Picture, config: ContentConfig, *, b: bool = False) -> Content:
    """The content of a donor.

    b: true for the model's second domain.
    The donor's own pixels are taken where the model can bring them to their place, and all of them are asked for.
    Raises InputError for a donor of which nothing shows.
    """
    abilities = abilities_of_model(model)
    whole = abilities.cut and config.by != "codes" and not config.graded
    notes = tuple(f"{donor.name}: {note}" for note in (*donor.notes, *notes_on_sight(donor, model)))
    with working(model) as device:
        square = square_of(donor, model).to(device)
        if abilities.two_sided:
            code, side = (model.separate_b if b else model.separate_a)(square), "b" if b else "a"
            # On pictures of its folder; older cards do not tell.
            usual = model.card.get("scores", {}).get(f"size_{side}", 0.0)
            if (share := float(code.abs().mean()) / usual if usual else 1.0) < LEAST_CODE:
                fact = "the model finds next to nothing there that is special to"
                notes += (f"{donor.name}: {fact} {side.upper()} ({share:.1%} of the usual)",)
            return Content(code, notes)
        if (share := float(model.segment(square).mean())) < LEAST_CONTENT:
            notes += (f"{donor.name}: the model finds next to none of its content there ({share:.2%} of the picture)",)
        return Content(model.separate(square), notes, model.cut(square) if whole else None)


def _amounts(config: ContentConfig, a: Side, b: Side) -> list[tuple[Side, Side]]:
    """The contents of each result: of one or two donors of each side, or none, as much as the configuration says.

    Steps go from a side's first donor to its second; where no side has a second, from nothing.  Beside a side with two
    donors, a side with a single donor gives all that it has in each step.
    """
    if config.steps is None:
        return [([c.at(config.strength) for c in a], [c.at(config.strength) for c in b])]
    rises = max(len(a), len(b)) == 1

    def step(side: Side, share: float) -> Side:
        if len(side) == 2:
            return [side[0].towards(side[1], share)]
        return [content.at(share) for content in side] if rises else side

    return [(step(a, share), step(b, share)) for share in torch.linspace(0, 1, config.steps).tolist()]


def _put(pictures: Sequence[Picture], model: Model, a: Sequence[Side], b: Sequence[Side]) -> list[Picture]:
    """The pictures with contents put on.

    a, b: the contents of each picture, one or none of a side.
    """
    results: list[Picture] = []
    for batch in SquareBatches(pictures, model):
        with batch.working():
            sides = [[contents for i in batch.indices for contents in side[i]] for side in (a, b)]
            batch.keep(_layer_of(model, batch.squares, *sides))
        for i, painted in zip(batch.which, batch.painted(), strict=False):
            results.append(with_notes(painted, *(note for content in (*a[i], *b[i]) for note in content.notes)))
    return results


def _layer_of(model: Model, squares: Tensor, a: Side, b: Side) -> Layer:
    """The layer of contents on squares.

    a, b: the content of each of the squares, or none of a side.
    """
    codes = [torch.cat([content.code for content in side]) if side else None for side in (a, b)]
    if not abilities_of_model(model).mask:
        return _whole(model.recombine(model.common(squares), *codes))
    if a[0].cut is None:
        found = model.put(squares, codes[0])
        some = codes[0].flatten(1).any(1)[:, None, None, None]  # zeros are no content, of which decoders leave traces
        return replace(found, mask=found.mask * some)
    cuts = [content.cut for content in a]
    masks, colours = (torch.cat([getattr(cut.layer, field) for cut in cuts]) for field in ("mask", "colours"))
    return model.place(squares, Cut(Layer(masks, colours), torch.cat([cut.frame for cut in cuts])))


def _shown(picture: Picture, large: LargeFields, config: MaskConfig) -> Picture:
    """A mask as a picture in grey, 255 where the content is; or the picture, tinted there."""
    tint = torch.tensor(TINT)[None, :, None, None]
    made = picture.pixels.copy() if config.overlay else np.empty((picture.height, picture.width), np.uint8)
    for where in large.strips:
        mask, shown = large.columns(where).clamp(0, 1), shows(picture, where)
        mask = mask if shown is None else mask * shown
        mask = mask if config.soft else (mask >= config.threshold).float()
        if config.overlay:
            made[:, where] = paste(picture.pixels[:, where], tint.expand(-1, -1, *mask.shape[2:]), COVER * mask)
        else:
            made[:, where] = (mask[0, 0] * 255).round().byte().numpy()
    if config.overlay:
        return replace(picture, pixels=made)
    return picture_in_grey(made, name=f"mask of {picture.name}", notes=picture.notes)


def _whole(colours: Tensor) -> Layer:
    """A layer that covers all."""
    return Layer(torch.ones_like(colours[:, :1]), colours)


def _widened(mask: Tensor, least: float) -> Tensor:
    """The mask of what is painted over: wherever a mask is at least `least`, a pixel more on each side.

    A soft edge lies beyond.  The authors paste just at the mask, which leaves thin outlines: the edges of things are
    antialiased.
    """
    wide = _of_three(mask >= least, lambda before, here, after: before | here | after)
    return _of_three(wide.float(), lambda before, here, after: (before + here + after) / 3)


def _of_three(field: Tensor, of: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """The values of(before, here, after) along rows, then along columns; at the edges `here` stands for what is beyond.

    (PyTorch's pooling takes ten times as long for a few planes.)
    """
    for dim in (-2, -1):
        n = field.shape[dim]
        wide = torch.cat([field.narrow(dim, 0, 1), field, field.narrow(dim, n - 1, 1)], dim)
        field = of(*(wide.narrow(dim, i, n) for i in range(3)))
    return field
