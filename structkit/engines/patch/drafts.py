"""Drafts of an analogy: small results that begin in different ways, of which the best goes on.

What serves differs from pair to pair.  A source whose colours the target has too is best compared as it is, another
only in the target's colours; a calm target follows any layout, a busy one falls to pieces.  So several drafts are made
up to SMALL px, where that costs little, or at the level where they begin, if that is finer.  They are judged by what a
person sees: whether the layout, the edges and the small parts of the source are there, whether all is made of the
target, and whether the target is all there.

Strength is a dial over all of it: how fine drafts begin, how much and how long the guide leads, and what structure
counts for beside patches in the choice.  The guide is the source, in colours that can be compared with the target's.

Pictures are (1, 3, H, W) in [-1, 1]; shapes are (H, W), px.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from structkit.configs import AnalogyConfig
from structkit.engines.patch.alignment import match_moments, shared_colours, transport_colours, transport_luminance
from structkit.engines.patch.channels import place_channels
from structkit.engines.patch.course import plan_for
from structkit.engines.patch.draft_ways import Draft
from structkit.engines.patch.synthesis import SMALL, Synthesis, SynthesisPlan, SynthesisState
from structkit.kernels.pyramid import Shape, resize
from structkit.metrics.structure import contrast_agreement, edge_agreement, explained_structure, patch_distance

Progress = Callable[[float, str], None]

NOISY = {"texture", "paint"}  # modes in which a guide is noisy: a painted area is flat, and would find one patch alone
FLAT_NOISE = 0.1  # its standard deviation
UNSETTLED = 0.02  # standard deviation of the noise that a draft begins with, so that each seed has a result of its own
PLACE_WEIGHT = 0.04  # of positions beside colours, in a draft that is placed
COMPLETENESS = {"analogy": 0.4, "style": 0.0, "texture": 0.2, "paint": 0.0}
CONTRAST, SOFTNESS = 0.5, 0.3
ROUNDS, SMALL_ROUNDS, FINE_ROUNDS = 3, 6, 1
EDGES, PARTS = 0.7, 0.5  # weights beside that of the layout
# A style leaves content where and what it is: the share of the short side up to which it is led, at strength 0, and
# what it is multiplied by up to strength 1.
STYLE_LED, STYLE_LED_RISE = 0.36, 2.8
# Weight of incoherence at strength 0, by what it falls up to strength 1, and that of incompleteness relative to it.
INCOHERENCE, FALL, INCOMPLETENESS = 5.6, 1 / 16, 2 / 3


@dataclass(frozen=True)
class DraftScores:
    """Scores of a draft beside the source and the target.

    layout, edges, parts: what is kept of the source's structure, up to 1.  incoherence, incompleteness: distances of
    its patches to the target's, and of the target's to its, over those of the source.
    """

    layout: float
    edges: float
    parts: float
    incoherence: float
    incompleteness: float

    def total(self, strength: float) -> float:
        """The sum by which drafts are chosen, at a strength."""
        structure = self.layout + EDGES * self.edges + PARTS * self.parts
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


def guided_to(strength: float) -> float:
    """The short side, px, up to which levels are guided: at strength 1 to the last."""
    return 1.1 * SMALL / (1 - strength) ** 0.9 if strength < 1 else math.inf


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
        generator: torch.Generator,
    ) -> None:
        """source (1, 3, *shape of the result).  made: the synthesis that a draft goes on in.

        All drafts begin with the state that the generator has now, so that one that is made alone is the same.
        """
        self.source, self.made, self.config = source, made, config
        self.generator, self.draw = generator, generator.get_state()
        self._guides: dict[str, Tensor] = {}
        self._placed: Synthesis | None = None
        self.small = small_picture(source), small_picture(made.target)
        apart = patch_distance(*self.small), patch_distance(*reversed(self.small))
        self.apart = [max(value, 1e-6) for value in apart]

    def best(self, drafts: Sequence[Draft], progress: Progress) -> list[MadeDraft]:
        """All of the drafts, the best first."""
        made = []
        for number, draft in enumerate(drafts, 1):
            made.append(self.make(draft, judged=len(drafts) > 1))
            progress(number / len(drafts), f"draft {number} of {len(drafts)}")
        return sorted(made, key=lambda one: one.scores.total(self.config.strength) if one.scores else 0.0, reverse=True)

    def make(self, draft: Draft, *, judged: bool = True) -> MadeDraft:
        """The draft, made."""
        guide = self._guide(draft.colours)
        made = self._with_places() if draft.placed else self.made
        self.generator.set_state(self.draw)
        first = made.starting_near(draft.start)
        levels = range(first, max(first, made.layout) + 1)
        noise = torch.randn(guide.shape[2:], generator=self.generator, device=self.generator.device)
        begun = SynthesisState(guide + UNSETTLED * noise.to(guide))
        plan = draft_plan(self.config, self.made.shapes[-1], draft.guidance)
        state = made.run(begun, levels, plan, guide)
        return MadeDraft(draft, state, guide, self.scores(state.picture) if judged else None)

    def scores(self, picture: Tensor) -> DraftScores:
        """The scores of a picture (1, 3, any, any) of the source's aspect."""
        source, target = self.small
        seen = resize(picture, source.shape[2:]).clamp(-1, 1)
        kept = explained_structure(source, seen), edge_agreement(source, seen), contrast_agreement(source, seen)
        apart = patch_distance(seen, target) / self.apart[0], patch_distance(target, seen) / self.apart[1]
        return DraftScores(*kept, *apart)

    def _guide(self, colours: str) -> Tensor:
        if colours not in self._guides:
            self.generator.set_state(self.draw)
            self._guides[colours] = guide_of(self.source, self.made, colours, self.config.mode, self.generator)
        return self._guides[colours]

    def _with_places(self) -> Synthesis:
        """The synthesis in which places count."""
        if self._placed is None:
            made = self.made
            weights = {"down": PLACE_WEIGHT / 2, "across": PLACE_WEIGHT / 2}
            places = place_channels(made.key_shapes[-1], made.shapes[-1], to=SMALL, **weights)
            self._placed = made.with_beside((*made.beside.given, *(own.on(self.source.device) for own in places)))
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


def small_picture(picture: Tensor) -> Tensor:
    """The picture in the shape in which drafts are compared."""
    return resize(picture, small_shape(picture.shape[-2:], least=8)).clamp(-1, 1)


def small_shape(shape: Shape, *, least: int) -> Shape:
    """The shape reduced to that of the level at which layout is settled; long strips have no more than four times its
    area.
    """
    by = min(1.0, SMALL / min(shape), 2 * SMALL / math.sqrt(math.prod(shape)))
    return tuple(max(least, round(side * by)) for side in shape)
