"""`structkit similar QUERY GALLERY... --model M`: pieces of videos that move alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from structkit.configs import Config, option
from structkit.errors import OptionError
from structkit.media.moments import clock, seconds_of
from structkit_cli.completion import complete_checkpoint
from structkit_cli.options import named
from structkit_cli.run import tables
from structkit_cli.run.inputs import InputFile, gather
from structkit_cli.run.models import model_refs, roles
from structkit_cli.run.plan import Progress
from structkit_cli.run.tables import Findings, TableOptions, each_input

if TYPE_CHECKING:
    from structkit.verbs.similar import Match

COLUMNS = ("rank", "video", "start", "end", "similarity", "query_start", "query_end")  # of a CSV file

QueryVideo = Annotated[str, typer.Argument(help="a video, or - for one on standard input", metavar="QUERY")]
GalleryVideos = Annotated[
    list[str] | None,
    typer.Argument(
        help="videos in which it is looked for: files, folders, a 'pattern*.mp4', @list.txt; none: QUERY itself",
        metavar="GALLERY",
    ),
]


@dataclass(frozen=True)
class SimilarOptions(Config):
    """Options of the piece that is looked for, and of the number of matches."""

    model: str | None = named(
        None,
        "checkpoint of structkit train speednet or structkit train action, or a name that ships (must be given)",
        "MODEL",
        complete=complete_checkpoint,
    )
    at: str | None = named(
        None, "look for the piece of QUERY around this time alone, such as 0:05 or 1:02:03.5; else for each", "TIME"
    )
    count: int = option(10, "how many matches to tell, at most", low=1, high=9999)


def similar(query: QueryVideo, gallery: GalleryVideos = None, *, wanted: SimilarOptions, running: TableOptions) -> None:
    """Find the pieces of videos that move as a piece of QUERY does: the same kind of motion, whatever it is that moves.

    In: a video to look for, and those to look in; with --at and no GALLERY, the rest of QUERY itself.  A piece lasts as
    long as those that the model was trained on, about a second, and every half of that another one begins.  Out: a
    table on stdout, the most alike first: rank, similarity, from and to, and video.  The similarity is the cosine of
    the model's features, less what all pieces have in common: 1 for a piece and itself, about 0 for any two.  No two
    matches of one video overlap.

    -o matches.csv or matches.json writes the table with all figures; -o sheet.png (.jpg, .webp and others) shows the
    query and its matches beneath one another, some pictures of each in a row.

    A video that cannot be read is told and passed over, and the exit code is 1.

    Example: structkit similar jump.mp4 clips/ --model speed.safetensors
    """
    if wanted.model is None:
        raise OptionError("--model is missing: name a checkpoint of structkit train speednet or structkit train action")
    at = None if wanted.at is None else float(seconds_of(wanted.at, "--at", "such as 0:05, 1:02:03.5 or 90s"))
    [ref] = model_refs([wanted.model], "similar")
    [asked] = _one(gather([query], films=True).inputs, query)
    found = gather(gallery or [], films=True)
    videos = found.inputs if gallery else [asked]
    if not gallery and at is None:
        fact = "one video, and nothing says which piece of it is looked for"
        raise OptionError(f"--at is missing: {fact}: say --at 0:05, or name other videos behind it")
    if at is None and gallery and found.many:
        videos = [given for given in videos if not _same(given, asked)]
        if found.inputs and not videos:
            fact = f"there is no video but {query} in what it is looked for in"
            raise OptionError(f"{fact}: name others behind it, or say --at 0:05 to look in the rest of it")

    def find(device: str, progress: Progress) -> Findings:
        from structkit.verbs.similar import PieceIndex

        index = PieceIndex(ref.input.path, device=device, **running.reading)  # type: ignore[arg-type]
        sought = index.query(asked.video(**running.reading), at=at)  # first: without it nothing can be found
        failures = each_input(
            videos, lambda given: index.add(given.video(**running.reading), given.name), progress, 0.9
        )
        own = next((given.name for given in videos if _same(given, asked)), None)
        matches = index.matches(sought, count=wanted.count, name=own)

        def sheet():
            return index.sheet(sought, matches)

        records = [match.record() for match in matches]
        told = {"notes": index.notes, "failures": failures, "sheet": sheet}
        return Findings("match", records, _lines(matches), COLUMNS, **told)

    inputs = ({"query": asked} | roles("gallery", videos if gallery else [])) if videos else {}
    options = {"at": at, "count": wanted.count}
    how = {"model": ref.input, "options": options, "sheets": True, "foreign": found.foreign}
    tables.run("similar", inputs, find, running, **how)


def _one(inputs: list[InputFile], query: str) -> list[InputFile]:
    if len(inputs) != 1:
        raise OptionError(f"QUERY {query} may be many videos: name one file")
    return inputs


def _same(one: InputFile, other: InputFile) -> bool:
    if one.path is None or other.path is None:
        return one is other
    return one.path.exists() and other.path.exists() and one.path.samefile(other.path)


def _lines(matches: list[Match]) -> list[tuple[str, ...]]:
    rows = [(str(m.rank), f"{m.similarity:.4f}", f"{clock(m.start)}-{clock(m.end)}", m.video) for m in matches]
    return [("rank", "similarity", "from-to", "video"), *rows]
