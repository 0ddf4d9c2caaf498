"""`structkit classify INPUT... --model M`: names for what is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import typer

from structkit.configs import Config, option
from structkit.errors import InputError, OptionError
from structkit_cli.completion import complete_checkpoint
from structkit_cli.options import SHARD, named
from structkit_cli.run import tables
from structkit_cli.run.inputs import InputFile, gather
from structkit_cli.run.models import model_refs, roles
from structkit_cli.run.plan import Progress
from structkit_cli.run.shards import shard_of, share
from structkit_cli.run.tables import Findings, TableOptions, TableShare
from structkit_cli.streams import tell

COLUMNS = ("input", "rank", "label", "probability")  # of a CSV file

LabelledInputs = Annotated[
    list[str],
    typer.Argument(help="pictures or videos, folders, a 'pattern*.png', @list.txt or -", metavar="INPUT"),
]


@dataclass(frozen=True)
class ClassifyOptions(Config):
    """Options of the model, and of the number of labels."""

    model: str | None = named(
        None,
        "checkpoint of structkit train classifier or structkit train action, or a name that ships (must be given)",
        "MODEL",
        complete=complete_checkpoint,
    )
    top: int = option(
        3, "labels to tell of each input, the likeliest; probabilities are those of all", low=1, high=9999
    )
    shard: str | None = named(None, SHARD, "I/N")


def classify(inputs: LabelledInputs, *, wanted: ClassifyOptions, running: TableOptions) -> None:
    """Name what pictures show, such as cat, ship or truck, or what is done in videos, such as walk, jump or wave, by a
    model that has learned these.

    In: a picture or a video; several, a folder, a pattern or a list.  A model of structkit train classifier looks at
    pictures: of each at the square in its middle.  A model of structkit train action looks at videos: of a long one at
    each window of the model's length, and the mean counts.  Out: a table on stdout: for each input its likeliest labels
    with their probabilities.

    -o labels.csv (one row for each label) or labels.json writes a file; each of several workers (--shard) one of its
    own, such as labels-3-of-16.csv.  An input that cannot be read, and a video that
    a model of pictures is given, is told and passed over, and the exit code is 1.

    Example: structkit classify jump.mp4 --model action.safetensors
    """
    if wanted.model is None:
        raise OptionError(
            "--model is missing: name a checkpoint of structkit train action, for videos, or of structkit train "
            "classifier, for pictures"
        )
    [ref] = model_refs([wanted.model], "classify")
    found = gather(inputs, films=ref.abilities.clips)
    shard = shard_of(wanted.shard) if found.many or wanted.shard else None
    part = None
    if shard:
        part = TableShare(shard, len(found.inputs))
        found.inputs = [found.inputs[i] for i in share([given.size for given in found.inputs], shard)]
        running = replace(running, output=part.output(running.output))

    def find(device: str, progress: Progress) -> Findings:
        from structkit.verbs.classify import LabelMaker

        maker = LabelMaker(ref.input.path, top=wanted.top, device=device, **running.reading)  # type: ignore[arg-type]
        records: list[dict[str, Any]] = []
        notes: list[str] = []
        failures: list[str] = []
        opening = partial(_opened, clips=ref.abilities.clips, reading=running.reading)
        for first in range(0, len(found.inputs), maker.together):
            some = found.inputs[first : first + maker.together]
            progress(first / len(found.inputs), some[0].name)
            for given, made in zip(some, maker.each([partial(opening, given) for given in some]), strict=True):
                if isinstance(made, InputError):
                    tell(f"error: {made}")
                    failures.append(given.label)
                    continue
                notes.extend(f"{given.label}: {note}" for note in made.notes)
                labels = [{"label": label, "probability": round(share, 6)} for label, share in made.labels]
                records.append({"input": given.name, "labels": labels})
        rows = [
            {"input": record["input"], "rank": rank, **one}
            for record in records
            for rank, one in enumerate(record["labels"], 1)
        ]
        told = {"rows": rows, "notes": notes, "failures": failures}
        return Findings("labels", records, _lines(records), COLUMNS, **told)

    how = {"model": ref.input, "options": {"top": wanted.top}, "foreign": found.foreign, "share": part}
    tables.run("classify", roles("input", found.inputs), find, running, **how)


def _opened(given: InputFile, clips: bool, reading: dict[str, Any]) -> Any:
    """The reader of a video, or a picture; a video that should be a picture is refused by what looks at it."""
    return given.video(**reading) if clips or given.is_video else given.picture(**reading)


def _lines(records: list[dict[str, Any]]) -> list[list[str]]:
    most = max((len(record["labels"]) for record in records), default=0)
    lines = [["input", "labels", *([""] * (most - 1))]]
    for record in records:
        told = [f"{one['label']} {one['probability']:.3f}" for one in record["labels"]]
        lines.append([record["input"], *told])
    return lines
