"""`structkit info CHECKPOINT`: the kind of a checkpoint, how it was made, and the verbs that it serves.

`structkit info FOLDER/`: how far the batches are that write into a folder.
"""

from __future__ import annotations

import json as encoder
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from structkit.header import read_card
from structkit.media.files import sha256_file
from structkit.models import kind_of, remarks_on, resolve_model
from structkit_cli.completion import complete_checkpoint
from structkit_cli.streams import emit, printable

HELP = (
    "a .safetensors file that structkit train has written, the name of a model that ships with structkit, or a folder "
    "that a batch writes into"
)
# As it was said: a Path would make ./glasses the name glasses.
Checkpoint = Annotated[str, typer.Argument(help=HELP, metavar="CHECKPOINT", autocompletion=complete_checkpoint)]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON record")]

ALONE = ("analogy",)  # verbs that need no more than a model: it draws; others need inputs


def info(checkpoint: Checkpoint, json: AsJson = False) -> None:
    """Say what a checkpoint is, how it was made, and which verbs it serves.  Its header is read, and no weights.
    Or say how far the batches are that write into a folder, with the share of each of several workers.

    In: a checkpoint, or the folder that --output of a batch names.  Out: its card on stdout, one fact a line; of a
    folder, the outputs that are there, of how many, and what each shard does.

    Example: structkit info pair.safetensors
    """
    path = resolve_model(checkpoint)
    if path.is_dir():
        _tell_standing(path, json)
        return
    card = read_card(path)
    kind = kind_of(checkpoint, card)
    facts = {"words": kind.words, "verbs": list(kind.verbs), "bytes": path.stat().st_size, "sha256": sha256_file(path)}
    if json:
        emit(encoder.dumps({"record": "checkpoint", "path": str(path), **facts, "card": card}).encode() + b"\n")
        return
    lines = card_lines(checkpoint, card, bytes=facts["bytes"], sha256=facts["sha256"])
    emit("".join(printable(line) + "\n" for line in lines).encode("utf-8", "surrogateescape"))


def _tell_standing(folder: Path, json: bool) -> None:
    """Tell how far the batches in a folder are.  Raises InputError where there is none."""
    from structkit_cli.run.standing import standings

    found = standings(folder)
    if json:
        facts = {"path": str(folder), "batches": [standing.facts for standing in found]}
        emit(encoder.dumps({"record": "folder", **facts}).encode() + b"\n")
        return
    lines = [line for standing in found for line in standing.lines(folder)]
    emit("".join(printable(line) + "\n" for line in lines).encode("utf-8", "surrogateescape"))


def card_lines(checkpoint: str, card: Mapping[str, Any], **facts: Any) -> list[str]:
    """The lines about a checkpoint with this card: its kind, its use, and its facts.

    checkpoint: as it was named.
    facts: others, by name.
    Raises CheckpointError for a kind that is not known.
    """
    kind = kind_of(checkpoint, card)
    state = "" if card.get("complete", True) else "; its training is not finished: the same command goes on"
    verbs = ", ".join(f"structkit {verb}{'' if verb in ALONE else ' ...'} --model {checkpoint}" for verb in kind.verbs)
    own = {name: value for name, value in card.items() if name not in ("run", "doubts")}
    # Of the options asked for most are the options of the model.
    shown = own | facts | {"run": _other(card.get("run", {}), own)}
    doubts = [f"doubtful: {doubt}" for doubt in card.get("doubts", ())]
    notes = [f"note: {remark}" for remark in remarks_on(card)]
    return [f"{checkpoint}: {kind.words}{state}", f"use: {verbs}", *doubts, *notes, *_legend(shown), *_lines(shown)]


def _legend(shown: dict[str, Any]) -> Iterator[str]:
    """The number, name and colour of each class, of a model that paints them; they are taken out of the facts."""
    facts = shown.get("facts")
    if not (isinstance(facts, dict) and {"classes", "palette"} <= facts.keys()):
        return
    try:
        colours = [bytes(colour).hex() for colour in facts["palette"]]
        rows = [f"{i} {name} #{colour}" for i, (name, colour) in enumerate(zip(facts["classes"], colours, strict=True))]
    except (TypeError, ValueError):  # the card of no model of ours; its facts are shown as they are
        return
    shown["facts"] = {name: value for name, value in facts.items() if name not in ("classes", "palette")}
    yield f"classes: {', '.join(rows)}"


def _other(one: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The part of one tree that is not known already."""
    same = {name: value for name, value in one.items() if name in known}
    nested = {
        name: _other(value, known[name])
        for name, value in same.items()
        if isinstance(value, dict) and isinstance(known[name], dict)
    }
    return {
        name: nested.get(name, value)
        for name, value in one.items()
        if name in nested or name not in known or known[name] != value
    }


def _lines(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The lines of a tree, one for each fact; nested names are joined by dots."""
    for name, value in sorted(tree.items()):
        if isinstance(value, dict):
            yield from _lines(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}: {value if isinstance(value, str) else encoder.dumps(value)}"
