"""Drafts of an analogy: small results that begin in different ways, of which the best goes on.

What serves differs from pair to pair.  A source whose colours the target has too is best compared as it is, another
only in the target's colours; a calm target follows any layout, a busy one falls to pieces.  So several drafts are made
up to SMALL px, where that costs little, and are judged by what a person sees: whether the layout, the edges and the
small parts of the source are there, whether all is made of the target, and whether the target is all there.

Strength is a dial over all of it: how fine drafts begin, how much and how long the guide leads, and what structure
counts for beside patches in the choice.  The guide is the source, in colours that can be compared with the target's.

Pictures are (1, 3, H, W) in [-1, 1]; shapes are (H, W), px.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from structkit.configs import AnalogyConfig
from structkit.engines.patch.alignment import match_moments, shared_colours, transport_colours, transport_luminance
from structkit.engines.patch.channels import Channels
from structkit.engines.patch.course import plan_for
from structkit.engines.patch.synthesis import SMALL, Synthesis, SynthesisPlan, SynthesisState
from structkit.errors import OptionError
from structkit.kernels.pyramid import Shape, resize
from structkit.metrics.structure import (
    contrast_agreement,
    edge_agreement,
    explained_structure,
    patch_distance,
    segment_agreement,
)

Progress = Callable[[float, str], None]

# Ways to colour a guide in each mode.
COLOURS = {
    "analogy": ("moments", "transported", "partly", "raw"),
    "style": ("transported",),
    "texture": ("luminance",),
    "paint": ("raw",),  # the colours of a painting are meant
}
NOISY = {"texture", "paint"}  # modes in which a guide is noisy: a painted area is flat, and would find one patch alone
FLAT_NOISE = 0.1  # its standard deviation
PLACE_WEIGHT = 0.06  # of positions beside colours, in a draft that is placed
# Starts, as levels from the one that strength says, factors of guidance, and whether positions count.
WAYS = ((0, 1.0, False), (1, 1.0, False), (-1, 0.5, False), (0, 1.0, True), (1, 0.5, True), (-1, 0.5, True))
OTHER_WAYS = {
    "transported": ((0, 1.0, False), (-1, 0.5, False)),
    "partly": ((1, 1.0, False), (0, 0.5, False), (-1, 0.5, True)),
    "raw": ((1, 1.0, False), (0, 0.5, False)),
}
COMPLETENESS = {"analogy": 0.4, "style": 0.0, "texture": 0.2, "paint": 0.0}
CONTRAST, SOFTNESS = 0.4, 0.3
ROUNDS, SMALL_ROUNDS, FINE_ROUNDS = 3, 8, 1
SEGMENTS, LAYOUT, EDGES, PARTS = 1.0, 0.5, 0.7, 0.5  # weights of what is kept
# A style leaves content where and what it is: shares of the short side at which it begins, and up to which it is
# led, at strength 0, and what they are multiplied by up to strength 1.
STYLE_START, STYLE_RISE, STYLE_LED, STYLE_LED_RISE, STYLE_GUIDANCE = 0.045, 11.0, 0.36, 2.8, 4.0
# Weight of incoherence at strength 0, by what it falls up to strength 1, and that of incompleteness relative to it.
INCOHERENCE, FALL, INCOMPLETENESS = 6.0, 1 / 16, 2 / 3


@dataclass(frozen=True)
class Draft:
    """A way to begin an analogy.

    colours: of the guide.  start: short side of the first level, px.  guidance: weight of the guide beside the result.
    placed: whether patches are compared by where they are, too, up to SMALL px.
    """

    colours: str
    start: int
    guidance: float
    placed: bool = False

    @property
    def name(self) -> str:
        """The name, which says all of it: `moments-48-0.5-placed`."""
        return f"{self.colours}-{self.start}-{self.guidance:g}" + ("-placed" if self.placed else "")

    @classmethod
    def named(cls, name: str, mode: str) -> Draft:
        """The draft of a name.  Raises OptionError for one that is no draft's of this mode."""
        found = re.fullmatch(rf"({'|'.join(COLOURS[mode])})-(\d{{1,4}})-(\d+(?:\.\d+)?(?:e-\d+)?)(-placed)?", name)
        if found is None or int(found[2]) < 8 or float(found[3]) > 100:
            example = Draft(COLOURS[mode][0], 48, 0.5).name
            raise OptionError(f"{name!r} is no draft of --mode {mode}, whose names are such as {example}")
        return cls(found[1], int(found[2]), float(found[3]), bool(found[4]))


@dataclass(frozen=True)
class DraftScores:
    """Scores of a draft beside the source and the target.

    segments, layout, edges, parts: what is kept of the source's structure, up to 1.
    incoherence, incompleteness: distances of its patches to the target's, and of the target's to its, over those of the
    source.
    """

    segments: float
    layout: float
    edges: float
    parts: float
    incoherence: float
    incompleteness: float

    def total(self, strength: float) -> float:
        """The sum by which drafts are chosen, at a strength."""
        structure = SEGMENTS * self.segments + LAYOUT * self.layout + EDGES * self.edges + PARTS * self.parts
        patches = self.incoherence + INCOMPLETENESS * self.incompleteness
        return structure - INCOHERENCE * FALL**strength * patches


@dataclass(frozen=True)
class MadeDraft:
    """A draft that was made.

    state: of the synthesis, up to its level.  guide (1, 3, *shape of the result).  scores: None where there was nothing
    to choose from.
    """

    draft: Draft
    state: SynthesisState
    guide: Tensor
    scores: DraftScores | None


def drafts_of(config: AnalogyConfig, shape: Shape) -> list[Draft]:
    """The drafts that an analogy of this shape is chosen from; a style has one."""
    strength, mode = config.strength, config.mode
    if mode == "style":
        start = config.coarsest or style_start(strength, shape)
        return [Draft("transported", start, float(f"{STYLE_GUIDANCE * strength:.3g}"))]
    first, *others = COLOURS[mode]
    ways = [(first, way) for way in WAYS] + [(colours, way) for colours in others for way in OTHER_WAYS[colours]]
    found = []
    for colours, (levels, factor, placed) in ways:
        start = config.coarsest or max(12, round(start_at(strength) * (4 / 3) ** levels))
        found.append(Draft(colours, start, float(f"{factor * guidance_at(strength):.3g}"), placed))
    return list(dict.fromkeys(found))


def start_at(strength: float) -> float:
    """The short side, px, of the level at which a draft begins, about."""
    return 20 * 4.6**strength


def guidance_at(strength: float) -> float:
    """The weight of the guide beside the result, at the beginning of each level."""
    return 4 * strength**3


def guided_to(strength: float) -> float:
    """The short side, px, up to which levels are guided: at strength 1 to the last."""
    return 1.1 * SMALL / (1 - strength) if strength < 1 else math.inf


def style_start(strength: float, shape: Shape) -> int:
    """The short side, px, of the level at which a style begins in a result of this shape."""
    return max(8, round(STYLE_START * STYLE_RISE**strength * min(shape)))


def style_led(strength: float, shape: Shape) -> float:
    """The short side, px, up to which the levels of a style are led."""
    return STYLE_LED * STYLE_LED_RISE**strength * min(shape)


def draft_plan(config: AnalogyConfig, shape: Shape, guidance: float) -> SynthesisPlan:
    """The plan of a draft, and of what follows it."""
    plan = plan_for(config, rounds=ROUNDS, small_rounds=SMALL_ROUNDS, completeness=COMPLETENESS[config.mode])
    last = style_led(config.strength, shape) if config.mode == "style" else guided_to(config.strength)
    led = {"guidance": guidance, "guided": 1.0, "guided_to": last}
    kept = {"softness": SOFTNESS, "softened": True, "contrast": CONTRAST}
    return replace(plan, fine_rounds=None if config.rounds else FINE_ROUNDS, **led, **kept)


class DraftTable:
    """A source and a target, and the drafts that are made of them."""

    def __init__(
        self,
        source: Tensor,
        made: Synthesis,
        config: AnalogyConfig,
        guides: Sequence[Channels],
        usable: Tensor | None,
        generator: torch.Generator,
    ) -> None:
        """source (1, 3, *shape of the result).  made: the synthesis that a draft goes on in.

        guides, usable: as in `patch.analogy`.  All drafts begin with the state that the generator has now, so that one
        that is made alone is the same.
        """
        self.source, self.made, self.config = source, made, config
        self.guides, self.usable = guides, usable
        self.generator, self.draw = generator, generator.get_state()
        self._guides: dict[str, Tensor] = {}
        self._placed: Synthesis | None = None
        self.small = small_picture(source), small_picture(made.target)
        apart = patch_distance(*self.small), patch_distance(*reversed(self.small))
        self.apart = [max(value, 1e-6) for value in apart]

    def best(self, drafts: Sequence[Draft], progress: Progress) -> tuple[MadeDraft, list[MadeDraft]]:
        """The best of the drafts, and all of them."""
        made = []
        for number, draft in enumerate(drafts, 1):
            made.append(self.make(draft, judged=len(drafts) > 1))
            progress(number / len(drafts), f"draft {number} of {len(drafts)}")
        return max(made, key=lambda one: one.scores.total(self.config.strength) if one.scores else 0.0), made

    def make(self, draft: Draft, *, judged: bool = True) -> MadeDraft:
        """The draft, made."""
        self.generator.set_state(self.draw)
        guide = self._guide(draft.colours)
        self.generator.set_state(self.draw)  # whether or not the guide was there already
        made = self._with_places() if draft.placed else self.made
        first = made.starting_near(draft.start)
        levels = range(first, max(first, made.layout) + 1)
        state = made.run(
            SynthesisState(guide), levels, draft_plan(self.config, self.made.shapes[-1], draft.guidance), guide
        )
        return MadeDraft(draft, state, guide, self.scores(state.picture) if judged else None)

    def scores(self, picture: Tensor) -> DraftScores:
        """The scores of a picture (1, 3, any, any) of the source's aspect."""
        source, target = self.small
        seen = resize(picture, source.shape[2:]).clamp(-1, 1)
        kept = (
            segment_agreement(source, seen),
            explained_structure(source, seen),
            edge_agreement(source, seen),
            contrast_agreement(source, seen),
        )
        apart = patch_distance(seen, target) / self.apart[0], patch_distance(target, seen) / self.apart[1]
        return DraftScores(*kept, *apart)

    def _guide(self, colours: str) -> Tensor:
        if colours not in self._guides:
            self._guides[colours] = guide_of(self.source, self.made, colours, self.config.mode, self.generator)
        return self._guides[colours]

    def _with_places(self) -> Synthesis:
        """The synthesis in which places count."""
        if self._placed is None:
            made = self.made
            shapes = made.shapes[-1], made.key_shapes[-1]
            places = Channels(*(positions(shape).to(self.source) for shape in shapes), PLACE_WEIGHT, 1.1 * SMALL)
            how = {"coarsest": min(made.shapes[0]), "patch": self.config.patch, "generator": self.generator}
            beside = (*self.guides, places)
            self._placed = Synthesis(made.target, made.shapes[-1], usable=self.usable, beside=beside, **how)
        return self._placed


def guide_of(source: Tensor, made: Synthesis, colours: str, mode: str, generator: torch.Generator) -> Tensor:
    """Guide (1, 3, *shape): the source in colours that can be compared with the target's.

    They are found in small pictures.  What they change is brought to the source's size, and its detail stays.
    """
    target = made.keys(made.layout)
    if mode == "style":  # its guide leads at fine levels, too
        return transport_colours(source, made.target, rounds=10, generator=generator)
    if colours == "moments":
        guide = match_moments(source, target)
    elif colours == "raw":
        guide = source
    else:
        small = resize(source, made.shapes[made.layout]).clamp(-1, 1)
        if colours == "partly":
            other = torch.lerp(match_moments(small, target), small, shared_colours(small, target))
        elif colours == "luminance":
            other = transport_luminance(small, target)
        else:
            other = transport_colours(small, target, rounds=12, generator=generator)
        guide = (source + resize(other - small, source.shape[2:])).clamp(-1, 1)
    if mode in NOISY:
        noise = torch.randn(guide.shape, generator=generator, device=generator.device)
        guide = guide + FLAT_NOISE * noise.to(guide)
    return guide


def positions(shape: Shape) -> Tensor:
    """Positions (1, 2, *shape), down and across, from -1 to 1."""
    axes = [torch.linspace(-1, 1, side) for side in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


def small_picture(picture: Tensor) -> Tensor:
    """The picture in the shape in which drafts are compared."""
    return resize(picture, small_shape(picture.shape[-2:], least=8)).clamp(-1, 1)


def small_shape(shape: Shape, *, least: int) -> Shape:
    """The shape reduced to that of the level at which layout is settled; long strips have no more than four times its
    area.
    """
    by = min(1.0, SMALL / min(shape), 2 * SMALL / math.sqrt(math.prod(shape)))
    return tuple(max(least, round(side * by)) for side in shape)
