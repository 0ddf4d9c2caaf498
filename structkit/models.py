"""The kinds of checkpoints: what each is, which verbs it serves, and where its model is defined.  Free of torch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structkit_weights
from structkit._version import __version__
from structkit.errors import CheckpointError, OptionError
from structkit.training import RESUME

if TYPE_CHECKING:
    from structkit.training.model import Model


@dataclass(frozen=True)
class Kind:
    """One kind of checkpoint.  verbs: of the command line, those that use it."""

    words: str
    verbs: tuple[str, ...]
    made_by: str  # command
    module: str
    name: str  # of the class in the module


DIFFERENCE = "domain-difference"  # the kind of which a verb must know that it has two sides

KINDS = {
    "pair-analogy": Kind(
        "structural analogy between two pictures",
        ("analogy",),
        "structkit train analogy",
        "structkit.engines.pair.model",
        "PairAnalogy",
    ),
    "content-transfer": Kind(
        "transfer of a content, such as glasses, by masks",
        ("transfer", "remove", "segment", "score independence"),
        "structkit train transfer",
        "structkit.engines.transfer.model",
        "ContentTransfer",
    ),
    DIFFERENCE: Kind(
        "the difference of two domains, and what they have in common",
        ("transfer", "remove", "score independence"),
        "structkit train difference",
        "structkit.engines.difference.model",
        "DomainDifference",
    ),
}


def kind_of(path: str | Path, card: dict[str, Any], verb: str | None = None) -> Kind:
    """What the card of a checkpoint says that it is.

    verb: the one that wants to use it, if any.  Raises CheckpointError for a kind that this version does not know, or
    that does not serve the verb.
    """
    kind = KINDS.get(card["kind"])
    if kind is None and card["kind"] == RESUME:
        raise CheckpointError(
            f"{path}: the state of an unfinished training, not a model; the command of that training goes on with it"
        )
    if kind is None:
        raise CheckpointError(
            f"{path}: a checkpoint of kind {card['kind']!r}, written by structkit {card.get('structkit')}; "
            f"this structkit {__version__} knows {', '.join(KINDS)}; update structkit"
        )
    if verb is not None and verb not in kind.verbs:
        makers = ", ".join(k.made_by for k in KINDS.values() if verb in k.verbs)
        raise CheckpointError(
            f"{path}: {kind.words}, which serves {', '.join(kind.verbs)} and not {verb}; make one with {makers}"
        )
    return kind


def resolve_model(name: str | Path) -> Path:
    """The file of a model that is named: a file, else, by a bare name that is text, such as "glasses", a model that
    ships.

    A path that is neither is returned as it is: who reads it says what is wrong.  A `Path`, in which ./glasses is
    glasses, always is one. Raises CheckpointError for a bare name that is neither, OptionError for the empty text.
    """
    if name == "":
        raise OptionError(
            "the name of a model is the empty text: name a checkpoint, or a model that ships with structkit, such as "
            "glasses"
        )
    path = Path(name)
    if not isinstance(name, str) or path.is_file() or path.suffix or path.name != name:
        return path
    if shipped := structkit_weights.find(name):
        return shipped
    if path.exists():
        return path
    ships = ", ".join(structkit_weights.names()) or "none"
    raise CheckpointError(
        f"{name}: no such file, and no model of that name ships with structkit ({ships}); name a checkpoint"
    )


def load(path: str | Path, device: str = "auto", verb: str | None = None) -> Model:
    """See `structkit.load`."""
    from structkit import checkpoint
    from structkit.device import resolve

    path = resolve_model(path)
    kind = kind_of(path, checkpoint.read_card(path), verb)
    return getattr(importlib.import_module(kind.module), kind.name).load(path, resolve(device))
