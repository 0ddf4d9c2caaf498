"""The verbs of content, `transfer`, `remove` and `segment`: pictures in, squares to a model, layers back onto the
pictures.

A model sees squares of a few hundred pixels; a picture keeps its size and its levels, and only what lies under the mask
is painted anew. Two kinds of models serve: content transfer finds a mask, and domain difference makes the whole picture
from codes, which here is a layer whose mask is 1 everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from structkit import models as kinds
from structkit.configs import ContentConfig, MaskConfig
from structkit.data.squares import from_square, to_square
from structkit.device import enough_memory, resolve
from structkit.engines.transfer.layer import Layer
from structkit.engines.transfer.model import Cut
from structkit.errors import DeviceError, OptionError, StructkitError
from structkit.kernels.composite import paste
from structkit.media.pictures import Picture, read_picture
from structkit.media.tensors import alpha_to_tensor, filled, to_tensor

if TYPE_CHECKING:
    from structkit.training.model import Model

TOGETHER = 32  # squares at once: more are no faster on a CPU
REMOVED_FROM = 0.1  # of the mask: what is above is painted over altogether (the authors' script)
PAINTED_FROM = (
    0.3  # of a painter's mask, which is sharper: in-mask error as with 0.1, and a fifth less is changed outside
)
LEAST_SEEN = 0.5 / 255  # below, a mask cannot change an 8-bit level, and is exactly 0
LEAST_CONTENT = 0.002  # mean of the mask on a donor: below, it has next to none of the content
LEAST_CODE = 0.1  # mean size of a donor's code, in units of what is usual on its side: below, the same
MEMORY = "use smaller pictures, or another --device"
TINT, COVER = (
    (1.0, -1.0, 0.2),
    0.6,
)  # of what an overlay shows: a colour in [-1, 1], and how much of it is laid over the picture


@dataclass(frozen=True)
class Content:
    """What a donor gives: its separate code, (1, C, h, w) on the model's device, or its own pixels; and what is to be
    said of it.
    """

    code: Tensor
    notes: tuple[str, ...] = ()
    cut: Cut | None = None

    def at(self, strength: float) -> Content:
        """The same content, weaker or stronger; 0 is none."""
        return self if strength == 1 else Content(strength * self.code, self.notes)

    def towards(self, other: Content, share: float) -> Content:
        """Between two contents, linearly: share 0 is this one, 1 the other."""
        return Content(torch.lerp(self.code, other.code, share), tuple(dict.fromkeys((*self.notes, *other.notes))))


Side = Sequence[Content]


def usable(model: Model | str | Path, device: str, verb: str) -> Model:
    """The model, or that of a checkpoint or of a shipped weight's name, on the device.  Raises CheckpointError for one
    of another verb.
    """
    if isinstance(model, str | Path):
        return kinds.load(model, device, verb)
    kinds.kind_of("the model", {"kind": model.kind}, verb)
    return model.to(resolve(device)).eval()


def is_difference(model: Model) -> bool:
    """Whether it makes whole pictures from codes, and knows of two contents; else it finds masks, and knows of one."""
    return model.kind == kinds.DIFFERENCE


def each(given: Any, make: Callable[[list[Picture]], list[Any]]) -> Any:
    """make(pictures), of a list of pictures or paths; of a single one, its result alone."""
    many = isinstance(given, list | tuple)
    made = make([_picture(one) for one in (given if many else [given])])
    return made if many else made[0]


def transfer(pictures: Sequence[Picture], model: Model, a: Any, b: Any, config: ContentConfig) -> list[Any]:
    """See `structkit.transfer`.  a, b: donors: none, one, or two in a tuple."""
    donors = [() if side is None else side if isinstance(side, list | tuple) else (side,) for side in (a, b)]
    config.check_donors(*map(len, donors), two_sided=is_difference(model))
    if config.steps is None and max(map(len, donors)) > 1:
        raise OptionError("two donors are the ends of steps: say how many, or give one donor")
    whole = cuts(model, config)
    sides = [[taken(model, _picture(donor), b=i == 1, whole=whole) for donor in side] for i, side in enumerate(donors)]
    made = [
        put(pictures, model, *(list(side) * len(pictures) for side in contents)) for contents in amounts(config, *sides)
    ]
    return made[0] if config.steps is None else [list(results) for results in zip(*made, strict=True)]


def cuts(model: Model, config: ContentConfig) -> bool:
    """Whether donors' own pixels are put on.  Raises OptionError where that is asked of a model that cannot do it."""
    painter = not is_difference(model) and model.placer is not None
    config.check_by(two_sided=is_difference(model), painter=painter)
    return painter and config.by != "codes" and not config.graded


def taken(model: Model, donor: Picture, *, b: bool = False, whole: bool = False) -> Content:
    """The content of a donor.  b: that of the second domain, of which only a domain difference knows.  whole: with its
    own pixels.

    Raises InputError for a donor of which nothing shows.
    """
    notes = tuple(f"{donor.name}: {note}" for note in (*donor.notes, *_seen(donor, model)))
    with _working(model) as device:
        square = _square(donor, model).to(device)
        if is_difference(model):
            code, side = (model.separate_b if b else model.separate_a)(square), "b" if b else "a"
            usual = model.card.get("scores", {}).get(
                f"size_{side}", 0.0
            )  # on pictures of its folder; older cards do not tell
            if (share := float(code.abs().mean()) / usual if usual else 1.0) < LEAST_CODE:
                fact = (
                    f"the model finds next to nothing there that is special to {side.upper()} ({share:.1%} of the "
                    "usual)"
                )
                notes += (f"{donor.name}: {fact}",)
            return Content(code, notes)
        if (share := float(model.segment(square).mean())) < LEAST_CONTENT:
            notes += (f"{donor.name}: the model finds next to none of its content there ({share:.2%} of the picture)",)
        return Content(model.separate(square), notes, model.cut(square) if whole else None)


def amounts(
    config: ContentConfig, a: Sequence[Content], b: Sequence[Content]
) -> list[tuple[Sequence[Content], Sequence[Content]]]:
    """What is put on for each result: of one or two donors of each side, or none, as much as the configuration says.

    Steps go from a side's first donor to its second; where no side has a second, from nothing.  Beside a side with two
    donors, one with a single donor gives all that it has in each step.
    """
    if config.steps is None:
        return [([c.at(config.strength) for c in a], [c.at(config.strength) for c in b])]
    rises = max(len(a), len(b)) == 1

    def step(side: Sequence[Content], share: float) -> Sequence[Content]:
        if len(side) == 2:
            return [side[0].towards(side[1], share)]
        return [content.at(share) for content in side] if rises else side

    return [(step(a, share), step(b, share)) for share in torch.linspace(0, 1, config.steps).tolist()]


def put(pictures: Sequence[Picture], model: Model, a: Side, b: Side = ()) -> list[Picture]:
    """The pictures with contents put on.  a, b: of each picture; a side that gives nothing is empty.  b: of a domain
    difference only.
    """

    def layer(squares: Tensor, which: Sequence[int]) -> Layer:
        codes = [torch.cat([side[i].code for i in which]) if side else None for side in (a, b)]
        if is_difference(model):
            return _whole(model.recombine(model.common(squares), *codes))
        if a[0].cut is None:
            found = model.put(squares, codes[0])
            some = (
                codes[0].flatten(1).any(1)[:, None, None, None]
            )  # a code of zeros is no content, of which decoders leave traces
            return replace(found, mask=found.mask * some)
        cuts = [a[i].cut for i in which]
        masks, colours = (torch.cat([getattr(cut.layer, field) for cut in cuts]) for field in ("mask", "colours"))
        return model.place(squares, Cut(Layer(masks, colours), torch.cat([cut.frame for cut in cuts])))

    said = [
        [note for content in contents for note in content.notes] for contents in zip(*filter(None, (a, b)), strict=True)
    ]
    return [_with_notes(made, *notes) for made, notes in zip(_painted(pictures, model, layer), said, strict=True)]


def remove(pictures: Sequence[Picture], model: Model) -> list[Picture]:
    """The pictures without the content, or without both contents of a domain difference."""

    def layer(squares: Tensor, which: Sequence[int]) -> Layer:
        if is_difference(model):
            return _whole(model.combine(model.common(squares)))
        found = model.remove(squares)
        return replace(found, mask=_widened(found.mask, PAINTED_FROM if model.painter else REMOVED_FROM))

    return list(_painted(pictures, model, layer))


def segment(pictures: Sequence[Picture], model: Model, config: MaskConfig) -> list[Picture]:
    """The masks of the content, as pictures of equal channels, 8 bits: 255 where it is; or the pictures, tinted
    there.
    """
    tint = torch.tensor(TINT)[None, :, None, None]

    def shown(picture: Picture, mask: Tensor) -> Picture:
        mask = mask.clamp(0, 1) * (alpha_to_tensor(picture) > 0)
        mask = mask if config.soft else (mask >= config.threshold).float()
        if config.overlay:
            return replace(picture, pixels=paste(picture.pixels, tint.expand(-1, -1, *mask.shape[2:]), COVER * mask))
        grey = (mask[0, 0] * 255).round().byte().numpy()
        return Picture(np.repeat(grey[..., None], 3, 2), name=f"mask of {picture.name}", notes=picture.notes)

    found = _fields(pictures, model, lambda squares, which: model.segment(squares))
    return [
        _with_notes(shown(picture, mask), *_seen(picture, model), *model.doubts)
        for picture, mask in zip(pictures, found, strict=True)
    ]


def _painted(
    pictures: Sequence[Picture], model: Model, layer: Callable[[Tensor, Sequence[int]], Layer]
) -> Iterator[Picture]:
    """Each picture with the layer that was found for it, at its own resolution.  Where the mask is 0 it stays as it is,
    bit for bit.
    """

    def fields(squares: Tensor, which: Sequence[int]) -> Tensor:
        found = layer(squares, which)
        return torch.cat([found.mask, found.colours], 1)

    for picture, field in zip(pictures, _fields(pictures, model, fields), strict=True):
        mask = field[:, :1].clamp(0, 1)
        mask = torch.where((mask >= LEAST_SEEN) & (alpha_to_tensor(picture) > 0), mask, 0.0)
        pixels = paste(picture.pixels, field[:, 1:].clamp(-1, 1), mask)
        yield _with_notes(replace(picture, pixels=pixels), *_seen(picture, model), *model.doubts)


def _fields(
    pictures: Sequence[Picture], model: Model, find: Callable[[Tensor, Sequence[int]], Tensor]
) -> Iterator[Tensor]:
    """(1, C, H, W) on the CPU for each picture, at its own resolution: what is found for its square.

    find: gets (B, 3, S, S) in [-1, 1] on the model's device, and which of the pictures each of them is; returns (B, C,
    S, S).
    """
    done, together = 0, TOGETHER
    while done < len(pictures):
        which = list(range(done, min(done + together, len(pictures))))
        try:
            with _working(model) as device:
                squares = torch.cat([_square(_colours(pictures[i]), model) for i in which])
                # One alone goes twice: for a single square PyTorch's convolutions round otherwise, and bytes would
                # depend on the batch.
                twice = [*which, *which] if len(which) == 1 else which
                found = find(squares.expand(len(twice), -1, -1, -1).to(device), twice)[: len(which)].cpu()
        except DeviceError:
            if len(which) == 1:
                raise
            together = len(which) // 2  # fewer at once need less memory
            continue
        for i, field in zip(which, found, strict=True):
            if not field.sum().isfinite():
                fact = "the model gives values that are not finite for it; train it again, or use another"
                raise StructkitError(f"{pictures[i].name}: {fact}")
            with enough_memory("cpu", MEMORY):
                whole = from_square(field[None], (pictures[i].height, pictures[i].width), model.fit)
            yield whole
        done += len(which)


@contextmanager
def _working(model: Model) -> Iterator[torch.device]:
    """No gradients, and the device of the model; too little memory there is a DeviceError."""
    device = next(model.parameters()).device
    with torch.inference_mode(), enough_memory(str(device), MEMORY):
        yield device


def _square(picture: Picture, model: Model) -> Tensor:
    """(1, 3, S, S) in [-1, 1]: what the model sees.  Where a picture is transparent that is the mean of what shows of
    it.

    Raises InputError where nothing shows.
    """
    opaque = picture.alpha is None or picture.alpha.min() == np.iinfo(picture.alpha.dtype).max
    return to_square(to_tensor(picture) if opaque else filled(picture), model.size, model.fit)


def _colours(picture: Picture) -> Picture:
    """One that is to be painted may show nothing, and is then looked at as if it were opaque."""
    return picture if (alpha_to_tensor(picture) > 0.5).any() else replace(picture, alpha=None)


def _whole(colours: Tensor) -> Layer:
    return Layer(torch.ones_like(colours[:, :1]), colours)


def _widened(mask: Tensor, least: float) -> Tensor:
    """What is to be painted over: wherever the mask is at least so much, a pixel more on each side, and a soft edge
    beyond.

    The authors paste just there.  That leaves thin outlines: the edges of things are antialiased.
    """
    wide = _of_three(mask >= least, lambda before, here, after: before | here | after)
    return _of_three(wide.float(), lambda before, here, after: (before + here + after) / 3)


def _of_three(field: Tensor, of: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """of(before, here, after) along rows, then along columns; at the edges here stands for what is beyond.

    (PyTorch's pooling takes ten times as long for a few planes.)
    """
    for dim in (-2, -1):
        n = field.shape[dim]
        wide = torch.cat([field.narrow(dim, 0, 1), field, field.narrow(dim, n - 1, 1)], dim)
        field = of(*(wide.narrow(dim, i, n) for i in range(3)))
    return field


def _seen(picture: Picture, model: Model) -> Iterator[str]:
    """What is to be said of how the model sees a picture."""
    if min(picture.width, picture.height) < model.size:
        what = "" if max(picture.width, picture.height) <= model.size else "its shorter side is "
        yield f"{picture.width} x {picture.height} px: {what}enlarged to the {model.size} px that the model sees"
    if model.fit == "crop" and picture.width != picture.height:
        yield "the model sees only the square in the middle"


def _with_notes(picture: Picture, *notes: str) -> Picture:
    return replace(picture, notes=tuple(dict.fromkeys((*picture.notes, *notes))))


def _picture(given: Picture | str | Path) -> Picture:
    return given if isinstance(given, Picture) else read_picture(given)
