"""`structkit info CHECKPOINT`: the kind of a checkpoint, how it was made, and the verbs that it serves."""

from __future__ import annotations

import json as encoder
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from structkit.header import read_card
from structkit.media.files import sha256_file
from structkit.models import kind_of, remarks_on, resolve_model
from structkit_cli.completion import complete_checkpoint
from structkit_cli.streams import emit, printable

HELP = "a .safetensors file that structkit train has written, or the name of a model that ships with structkit"
# As it was said: a Path would make ./glasses the name glasses.
Checkpoint = Annotated[str, typer.Argument(help=HELP, metavar="CHECKPOINT", autocompletion=complete_checkpoint)]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON record")]

ALONE = ("analogy",)  # verbs that need no more than a model: it draws; others need inputs


def info(checkpoint: Checkpoint, json: AsJson = False) -> None:
    """Say what a checkpoint is, how it was made, and which verbs it serves.  Its header is read, and no weights.

    In: a checkpoint.  Out: its card on stdout, one fact a line.

    Example: structkit info pair.safetensors
    """
    path = resolve_model(checkpoint)
    card = read_card(path)
    kind = kind_of(checkpoint, card)
    facts = {"words": kind.words, "verbs": list(kind.verbs), "bytes": path.stat().st_size, "sha256": sha256_file(path)}
    if json:
        emit(encoder.dumps({"record": "checkpoint", "path": str(path), **facts, "card": card}).encode() + b"\n")
        return
    lines = card_lines(checkpoint, card, bytes=facts["bytes"], sha256=facts["sha256"])
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
    return [f"{checkpoint}: {kind.words}{state}", f"use: {verbs}", *doubts, *notes, *_lines(shown)]


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
