"""The drafts of analogies: their options, the draft to go on from, and the places of those that are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from structkit.configs import AnalogyConfig, Config
from structkit.errors import OptionError
from structkit_cli.options import named
from structkit_cli.run.plan import Destination, Output
from structkit_cli.run.results import OutputKind

if TYPE_CHECKING:
    from structkit.engines.patch.draft_ways import Draft


@dataclass(frozen=True)
class DraftOptions(Config):
    """Options of the drafts that an analogy is chosen from."""

    like: str | None = named(
        None, "go on from this draft: a file that --drafts wrote, or its name; else from the best", "DRAFT"
    )
    drafts: str | None = named(
        None, "also write all drafts, rough pictures of which one can be picked, the best first", "DIR"
    )

    def picked(self, config: AnalogyConfig) -> Draft | None:
        """The draft to go on from, if one was named.  Raises OptionError, InputError."""
        if self.like is not None and self.drafts is not None:
            raise OptionError("--drafts writes drafts to pick from, and --like has one already: leave one of them out")
        if self.like is None:
            return None
        from structkit.verbs.drafts import draft_of

        return draft_of(self.like, config)


class DraftPlaces:
    """The places of the drafts of a run, in one folder."""

    def __init__(self, folder: str, config: AnalogyConfig, *, keep_suffix: bool) -> None:
        """Raises OptionError where there are no drafts to pick from, or no such folder can be."""
        from structkit.verbs.drafts import draft_count

        self.count = draft_count(config)
        how = {"many": True, "format": None, "flag": "--drafts", "kind": OutputKind.DRAFT, "keep_suffix": keep_suffix}
        self.destination = Destination(folder, **how)

    def outputs(self, relative: PurePath, *, word: str, seed: int) -> list[Output]:
        """The drafts of a pair, the best first.

        relative, word, seed: those of its result, see `Destination.output`.
        """
        ranks = range(1, self.count + 1)
        return [self.destination.output(relative, word=f"{word}-draft-{rank:02d}", seed=seed) for rank in ranks]
