"""Configurations of the verbs of content: `structkit transfer` and `structkit segment`."""

from __future__ import annotations

from dataclasses import dataclass

from structkit.configs.base import Config, option
from structkit.errors import OptionError

THRESHOLD = 0.5  # the value of a soft mask from which on a pixel is content
NO_DONOR = "--from is missing: name the picture whose content is to be put on"


@dataclass(frozen=True)
class ContentConfig(Config):
    """Options of `structkit transfer`: the amount of a content that is put on."""

    strength: float = option(
        1.0, "how much of the content: 0 none, 1 as the donor has it, above 1 more than that", low=0, high=1.3
    )
    steps: int | None = option(
        None,
        "so many results, from none of the content to all of it; with two donors from the first's to the second's",
        low=2,
        high=99,
    )
    by: str | None = option(
        None,
        "how: donor, its own pixels, brought to where they belong; codes, painted from its code (as published), which "
        "--strength and --steps need; else donor, where the model can",
        choices=("donor", "codes"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps is not None and self.strength != 1:
            raise OptionError("--strength and --steps both say how much of the content there is: give one of them")
        if self.by == "donor" and self.graded:
            raise OptionError(
                "--by donor puts on all that the donor has: leave out "
                f"{'--strength' if self.steps is None else '--steps'}"
            )

    @property
    def graded(self) -> bool:
        """True if other amounts than the whole are asked for."""
        return self.steps is not None or self.strength != 1

    def check(self, a: int, b: int, *, two_sided: bool, cut: bool) -> None:
        """Refuse options that a model has no use for.  Raises OptionError.

        a, b: the number of donors of its first and of its second side.
        two_sided, cut: the model's abilities (`structkit.models`).
        """
        if b and not two_sided:
            fact = "and this model knows one content: name the donor with --from"
            raise OptionError(f"--from-b is for a domain difference, {fact}")
        if not a + b:
            raise OptionError(NO_DONOR + ("; or with --from-b that of the second folder" if two_sided else ""))
        if self.steps is not None and max(a, b) > 2:
            raise OptionError("--steps goes from nothing to one donor, or from one donor to another: name one or two")
        if self.by is not None and two_sided:
            fact = "is for a model of one content, and this is a domain difference: leave it out"
            raise OptionError(f"--by {self.by} {fact}")
        if self.by == "donor" and not cut:
            raise OptionError("--by donor needs a painter and a placer, and this model has not both: leave it out")


@dataclass(frozen=True)
class MaskConfig(Config):
    """Options of `structkit segment`: the way a mask is shown."""

    threshold: float = option(
        THRESHOLD, "of the soft mask: where it is at least this, the content is", low=0.01, high=1
    )
    soft: bool = option(False, "the soft mask, in grey: how much of each pixel is content")
    overlay: bool = option(False, "the picture with the mask in colour, to look at")

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag, is_set in {"--overlay": self.overlay, "--threshold": self.threshold != THRESHOLD}.items():
            if self.soft and is_set:
                raise OptionError(f"--soft writes the mask as it was found: leave out --soft or {flag}")

    def check_regions(self) -> None:
        """Refuse what only masks have, for a model that tells classes apart.  Raises OptionError."""
        for flag, is_set in {"--soft": self.soft, "--threshold": self.threshold != THRESHOLD}.items():
            if is_set:
                fact = "the model says of each pixel what it shows, and not how much of one content"
                raise OptionError(f"{flag} is of masks: {fact}; leave it out")
