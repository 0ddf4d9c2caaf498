"""Ways to begin the drafts of an analogy, and their names.

Nothing here computes: which drafts there will be is known before any work.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from structkit.configs import AnalogyConfig
from structkit.errors import OptionError

if TYPE_CHECKING:
    from structkit.kernels.pyramid import Shape

# Ways to colour a guide in each mode.
COLOURS = {
    "analogy": ("moments", "transported", "partly", "raw"),
    "style": ("transported",),
    "texture": ("luminance",),
    "paint": ("raw",),  # the colours of a painting are meant
}
# Starts, as levels from the one that strength says, factors of guidance, and whether positions count.
WAYS = ((0, 1.0, False), (1, 1.0, False), (-1, 0.5, False), (0, 1.0, True), (1, 0.5, True), (-1, 0.5, True))
OTHER_WAYS = {
    "transported": ((0, 1.0, False), (-1, 0.5, True)),
    "partly": ((1, 1.0, False), (0, 0.5, True)),
    "raw": ((1, 1.0, False),),
}
# A style leaves content where and what it is: the share of the short side at which it begins at strength 0, what it is
# multiplied by up to strength 1, and the guidance there.
STYLE_START, STYLE_RISE, STYLE_GUIDANCE = 0.045, 11.0, 4.0


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
    return 3 * strength ** math.log2(6)  # 0.5 at 0.5


def style_start(strength: float, shape: Shape) -> int:
    """The short side, px, of the level at which a style begins in a result of this shape."""
    return max(8, round(STYLE_START * STYLE_RISE**strength * min(shape)))
