"""The drafts of analogies as users have them: names, records, and files of which one can be picked.

A file says which draft it shows in its EXIF description, so that it may have any name.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from structkit.configs import AnalogyConfig
from structkit.engines.patch.draft_ways import Draft, drafts_of
from structkit.errors import OptionError
from structkit.media.exif import Metadata
from structkit.media.formats import SUFFIXES
from structkit.media.pictures import Picture, read_picture

if TYPE_CHECKING:
    from structkit.engines.patch.drafts import MadeDraft

    PictureLike = Picture | str | Path

DESCRIPTION = 270  # the EXIF tag ImageDescription
MARK = "structkit draft "  # begins the description of a draft


def draft_of(like: PictureLike, config: AnalogyConfig) -> Draft:
    """The draft of a name, or the one that a picture or its file shows.

    Raises OptionError where it is none of this analogy, InputError for a file that cannot be read.
    """
    if config.match != "structure":
        raise OptionError(f"--match {config.match} is the published analogy and has no --like: leave one of them out")
    draft = _named(like, config)
    if config.coarsest not in (None, draft.start):
        fact = f"--coarsest {config.coarsest} and --like {draft.name} both say where an analogy begins"
        raise OptionError(f"{fact}: leave one of them out")
    return draft


def _named(like: PictureLike, config: AnalogyConfig) -> Draft:
    """The draft of a name, or the one that a picture or its file shows."""
    if isinstance(like, str) and Path(like).suffix.lower() not in SUFFIXES:
        return Draft.named(like, config.mode)
    picture = like if isinstance(like, Picture) else read_picture(like)
    if (name := shown_draft(picture)) is None:
        raise OptionError(f"--like {picture.name} is no draft: give a file that --drafts wrote, or a draft's name")
    try:
        return Draft.named(name, config.mode)
    except OptionError as error:
        raise OptionError(f"--like {picture.name}: {error}") from error


def shown_draft(picture: Picture) -> str | None:
    """The name of the draft that a picture is, or was made from; None for another picture."""
    if picture.draft is not None:
        return picture.draft["name"]
    text = dict(picture.metadata.exif).get(DESCRIPTION)
    return text.removeprefix(MARK) if isinstance(text, str) and text.startswith(MARK) else None


def draft_metadata(name: str) -> Metadata:
    """The metadata by which a file says which draft it shows."""
    return Metadata(exif=((DESCRIPTION, MARK + name),))


def draft_count(config: AnalogyConfig) -> int:
    """The number of drafts that an analogy is chosen from.  Raises OptionError where there is nothing to pick."""
    if config.match != "structure":
        raise OptionError(f"--match {config.match} is the published analogy and has no --drafts: leave one of them out")
    if config.mode == "style":
        raise OptionError("--mode style has a single draft, and nothing to pick from: leave --drafts out")
    return len(drafts_of(config, (1, 1)))  # which shape does not matter but to a style


def draft_facts(made: MadeDraft, config: AnalogyConfig) -> dict[str, Any]:
    """The name of a draft, and its scores beside the source and the target; None where it was not judged."""
    if made.scores is None:
        return {"name": made.draft.name, "scores": None}
    scores = asdict(made.scores) | {"total": made.scores.total(config.strength)}
    return {"name": made.draft.name, "scores": {name: round(score, 6) for name, score in scores.items()}}
