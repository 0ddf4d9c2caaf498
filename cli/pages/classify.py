"""`structkit classify INPUT... --model M`: names for what is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from structkit.configs import Config, option
from structkit.errors import OptionError
from structkit_cli.completion import complete_checkpoint
from structkit_cli.options import named
from structkit_cli.run import tables
from structkit_cli.run.inputs import InputFile, gather
from structkit_cli.run.models import model_refs, roles
from structkit_cli.run.plan import Progress
from structkit_cli.run.tables import Findings, TableOptions, each_input

COLUMNS = ("input", "rank", "label", "probability")  # of a CSV file

LabelledInputs = Annotated[
    list[str], typer.Argument(help="videos, folders, a 'pattern*.mp4', @list.txt or -", metavar="INPUT")
]


@dataclass(frozen=True)
class ClassifyOptions(Config):
    """Options of the model, and of the number of labels."""

    model: str | None = named(
        None,
        "checkpoint of structkit train action, or a name that ships (must be given)",
        "MODEL",
        complete=complete_checkpoint,
    )
    top: int = option(
        3, "labels to tell of each input, the likeliest; probabilities are those of all", low=1, high=9999
    )


def classify(inputs: LabelledInputs, *, wanted: ClassifyOptions, running: TableOptions) -> None:
    """Name what is done in videos, such as walk, jump or wave, by a model that has learned these (see structkit train
    action).

    In: a video; several, a folder, a pattern or a list.  Out: a table on stdout: for each video its likeliest labels
    with their probabilities.  Of a long video each window of the model's length is looked at, and the mean counts.

    -o labels.csv (one row for each label) or labels.json writes a file.  A video that cannot be read is told and passed
    over, and the exit code is 1.

    Example: structkit classify jump.mp4 --model action.safetensors
    """
    if wanted.model is None:
        raise OptionError("--model is missing: name a checkpoint of structkit train action")
    [ref] = model_refs([wanted.model], "classify")
    found = gather(inputs, films=True)

    def find(device: str, progress: Progress) -> Findings:
        from structkit.verbs.classify import LabelMaker

        maker = LabelMaker(ref.input.path, top=wanted.top, device=device, **running.reading)  # type: ignore[arg-type]
        records: list[dict[str, Any]] = []
        notes: list[str] = []

        def look(given: InputFile) -> None:
            made = maker(given.video(**running.reading))
            notes.extend(f"{given.label}: {note}" for note in made.notes)
            labels = [{"label": label, "probability": round(share, 6)} for label, share in made.labels]
            records.append({"input": given.name, "labels": labels})

        failures = each_input(found.inputs, look, progress)
        rows = [
            {"input": record["input"], "rank": rank, **one}
            for record in records
            for rank, one in enumerate(record["labels"], 1)
        ]
        told = {"rows": rows, "notes": notes, "failures": failures}
        return Findings("labels", records, _lines(records), COLUMNS, **told)

    how = {"model": ref.input, "options": {"top": wanted.top}, "foreign": found.foreign}
    tables.run("classify", roles("input", found.inputs), find, running, **how)


def _lines(records: list[dict[str, Any]]) -> list[list[str]]:
    most = max((len(record["labels"]) for record in records), default=0)
    lines = [["input", "labels", *([""] * (most - 1))]]
    for record in records:
        told = [f"{one['label']} {one['probability']:.3f}" for one in record["labels"]]
        lines.append([record["input"], *told])
    return lines
