"""The kinds of checkpoints: the verbs that each serves, the abilities of its models, the place where they are defined.

Free of torch: a card is enough to know all of it.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structkit_weights
from structkit._version import __version__
from structkit.errors import CheckpointError, OptionError
from structkit.header import read_card
from structkit.training import RESUME

if TYPE_CHECKING:
    from structkit.training.model import Model


@dataclass(frozen=True)
class Abilities:
    """The abilities of a model, by which verbs decide what may be asked of it.

    mask: to find where the content is; a model without it makes whole pictures from codes.
    two_sided: to tell two contents apart, one of each of its domains; a model without it knows one.
    paint: to paint what is beneath the mask sharply, pixel by pixel.
    cut: to bring a donor's own pixels to where they belong.
    features: to tell how alike clips are.
    labels: to name what is shown.
    clips: to see clips; a model without it sees pictures.
    """

    mask: bool = False
    two_sided: bool = False
    paint: bool = False
    cut: bool = False
    features: bool = False
    labels: bool = False
    clips: bool = False


def _of_labels(config: Mapping[str, Any]) -> Iterator[str]:
    """The remarks on a model that names pictures, or places of them."""
    if config.get("padain"):
        where = f"p {config['padain']}, places: {config.get('padain_sites')}"
        yield f"pAdaIN ({where}) acted in training alone: the model has no such layer, and is used as any other"


def _of_content(config: Mapping[str, Any]) -> Abilities:
    painter = bool(config.get("painter"))
    return Abilities(mask=True, paint=painter, cut=painter and bool(config.get("placer_steps")))


@dataclass(frozen=True)
class Kind:
    """A kind of checkpoint.

    verbs: of the command line, those that use it.
    training: the name of the training that makes one.  recipe: the full name of its recipe.
    model: the full name of the class of its models.
    abilities: of a model with this configuration.
    remarks: on what a model with this configuration is, for whoever asks; a line each.
    """

    words: str
    verbs: tuple[str, ...]
    training: str
    recipe: str
    model: str
    abilities: Callable[[Mapping[str, Any]], Abilities] = lambda config: Abilities()
    remarks: Callable[[Mapping[str, Any]], Iterable[str]] = lambda config: ()

    @property
    def made_by(self) -> str:
        """The command that makes one."""
        return f"structkit train {self.training}"


KINDS = {
    "pair-analogy": Kind(
        "structural analogy between two pictures",
        ("analogy",),
        "analogy",
        "structkit.recipes.pair.PAIR",
        "structkit.engines.pair.model.PairAnalogy",
    ),
    "clip-vaegan": Kind(
        "new clips from one clip",
        ("genvideo",),
        "genvideo",
        "structkit.recipes.genvideo.GENVIDEO",
        "structkit.engines.genvideo.model.PatchVaeGan",
    ),
    "speednet": Kind(
        "whether a video plays at its natural speed, or faster",
        ("speedup", "similar"),
        "speednet",
        "structkit.recipes.speednet.SPEEDNET",
        "structkit.engines.speednet.model.SpeedNet",
        lambda config: Abilities(features=True, clips=True),
    ),
    "content-transfer": Kind(
        "transfer of a content, such as glasses, by masks",
        ("transfer", "remove", "segment", "score independence"),
        "transfer",
        "structkit.recipes.domains.TRANSFER",
        "structkit.engines.transfer.model.ContentTransfer",
        _of_content,
    ),
    "domain-difference": Kind(
        "the difference of two domains, and what they have in common",
        ("transfer", "remove", "score independence"),
        "difference",
        "structkit.recipes.domains.DIFFERENCE",
        "structkit.engines.difference.model.DomainDifference",
        lambda config: Abilities(two_sided=True),
    ),
    "action": Kind(
        "what is done in clips, by name",
        ("classify", "similar"),
        "action",
        "structkit.recipes.action.ACTION",
        "structkit.engines.speednet.action.ActionNet",
        lambda config: Abilities(features=True, labels=True, clips=True),
    ),
    "classifier": Kind(
        "what pictures show, by name",
        ("classify", "score corruptions", "score texture"),
        "classifier",
        "structkit.recipes.labels.CLASSIFIER",
        "structkit.engines.padain.classifier.Classifier",
        lambda config: Abilities(features=True, labels=True),
        _of_labels,
    ),
}


def abilities_of(card: Mapping[str, Any]) -> Abilities:
    """The abilities that a card promises, of a known kind."""
    config = card.get("config")
    return KINDS[card["kind"]].abilities(config if isinstance(config, dict) else {})


def remarks_on(card: Mapping[str, Any]) -> list[str]:
    """The remarks on what the model of a card is, of a known kind."""
    config = card.get("config")
    return list(KINDS[card["kind"]].remarks(config if isinstance(config, dict) else {}))


def abilities_of_model(model: Model) -> Abilities:
    """The abilities of a model in memory."""
    return abilities_of({"kind": model.kind, "config": dataclasses.asdict(model.config)})  # type: ignore[call-overload]


def kind_of(path: str | Path, card: dict[str, Any], verb: str | None = None) -> Kind:
    """The kind of a checkpoint, by its card.

    verb: the one that wants to use it, if any.
    Raises CheckpointError for a kind that this version does not know, or that does not serve the verb.
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
    """The file of a model that is named: a file, else, by a bare name such as "glasses", a model that ships.

    A path that is neither is returned as it is: its reader says what is wrong.  A `Path`, in which ./glasses is
    glasses, always is a path.
    Raises CheckpointError for a bare name that is neither, OptionError for the empty text.
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


def named_object(name: str) -> Any:
    """The object of a full name, whose module is loaded now."""
    module, _, own = name.rpartition(".")
    return getattr(importlib.import_module(module), own)


def load(path: str | Path, device: str = "auto", *, verb: str | None = None) -> Model:
    """The model of a checkpoint, whatever its kind (`structkit info` says it), on `device`.

    path: a file, or the bare name of a model that ships, such as "glasses".
    verb: the one that is to use it, such as "remove"; a model of another kind is refused before its weights are read.
    Raises CheckpointError, OptionError, DeviceError.
    """
    from structkit.device import resolve

    path = resolve_model(path)
    kind = kind_of(path, read_card(path), verb)
    return named_object(kind.model).load(path, resolve(device))


def usable(model: Model | str | Path, device: str, verb: str) -> Model:
    """The model for a verb, on the device: the one given, or that of a checkpoint or of a name that ships.

    Raises CheckpointError for a kind that does not serve the verb, OptionError, DeviceError.
    """
    from structkit.device import resolve

    if isinstance(model, str | Path):
        return load(model, device, verb=verb)
    kind_of("the model", {"kind": model.kind}, verb)
    return model.to(resolve(device)).eval()
