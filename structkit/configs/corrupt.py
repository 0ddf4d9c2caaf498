"""Names of the corruptions, and the choice of some of them, for `structkit.data.corruptions`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from structkit.errors import OptionError

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
}
CORRUPTIONS = tuple(kind for kinds in CATEGORIES.values() for kind in kinds)  # the 15 of the benchmark, in its order
EXTRA = ("speckle_noise", "gaussian_blur", "saturate")  # further ones, which no mean counts
SEVERITIES = (1, 2, 3, 4, 5)


def kinds_of(text: str) -> tuple[str, ...]:
    """The corruptions that a text names: "fog,blur" -> fog and the four blurs, each once.

    all: the 15 of the benchmark; extra: the further three.
    Raises OptionError for another name.
    """
    groups = {"all": CORRUPTIONS, "extra": EXTRA, **CATEGORIES, **{kind: (kind,) for kind in (*CORRUPTIONS, *EXTRA)}}
    names = [part.strip().lower().replace("-", "_") for part in text.split(",")]
    for name in names:
        if name not in groups:
            near = difflib.get_close_matches(name, groups, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise OptionError(f"--kind is {text!r}: choose from {', '.join(groups)}{meant}")
    return tuple(dict.fromkeys(kind for name in names for kind in groups[name]))


def severities_of(text: str) -> tuple[int, ...]:
    """The severities that a text names, rising: "1-3,5" -> 1, 2, 3, 5.  Raises OptionError for another text."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = (one.strip() for one in part.partition("-"))
        ends = (first, last if dash else first)
        if any(end not in {str(severity) for severity in SEVERITIES} for end in ends) or ends[0] > ends[1]:
            raise OptionError(
                f"--severity is {text!r}: give 1 to 5, a list or a range of them, such as 3 or 1,3 or 1-5"
            )
        found.update(range(int(ends[0]), int(ends[1]) + 1))
    return tuple(sorted(found))
