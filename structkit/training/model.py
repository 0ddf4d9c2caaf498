"""The model of an engine: the product of a training and the content of a checkpoint."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from structkit import checkpoint
from structkit.configs import Config
from structkit.errors import CheckpointError, OptionError, StructkitError
from structkit.media.files import one_line
from structkit.training import DOUBTFUL
from structkit.training.draw import own_randomness


class Model(nn.Module):
    """Networks that can be saved and rebuilt; the methods of a subclass carry the names of the verbs.

    `type(model)(model.config, **model.facts())` builds the same networks with other weights.  The constructor is also
    called with the device "meta", where tensors have shapes and no values: it must not read values.
    """

    kind: ClassVar[str]
    config_class: ClassVar[type[Config]]

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.card: dict[str, Any] = {}  # the card of the file that the model was last loaded from or saved to

    @property
    def doubts(self) -> tuple[str, ...]:
        """Notes on each of the model's results: why they may be bad, as was found at the end of its training.

        Older cards do not tell.
        """
        return tuple(f"{DOUBTFUL}{doubt}" for doubt in self.card.get("doubts", ()))

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of a checkpoint: entries of `state_dict`, by default all."""
        return self.state_dict()

    def facts(self) -> dict[str, Any]:
        """The arguments of the constructor beside the configuration, by name, as JSON.

        For example sizes of levels, amplitudes.
        """
        return {}

    def save(self, path: str | Path, **card: Any) -> None:
        """Write a checkpoint, atomically.  Raises CheckpointError, OutputError.

        card: other facts for its card (JSON).
        """
        config = dataclasses.asdict(self.config)  # type: ignore[call-overload]
        card |= {"kind": self.kind, "config": config, "facts": self.facts()}
        checkpoint.save(path, self.tensors(), card)
        self.card = checkpoint.read_card(path)

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> Self:
        """The model of a checkpoint, in evaluation mode.  Raises CheckpointError."""

        def expected(card: dict[str, Any]) -> checkpoint.Layout:
            with torch.device("meta"):
                return {name: (t.dtype, tuple(t.shape)) for name, t in cls._rebuilt(path, card).tensors().items()}

        tensors, card = checkpoint.load(path, kind=cls.kind, expected=expected)
        with own_randomness("cpu"):  # the initial weights, which the loaded ones replace
            model = cls._rebuilt(path, card)
        model.load_state_dict(tensors, strict=False)  # the names were checked, against what `tensors` gives
        model.card = card
        return model.to(device).eval()

    @classmethod
    def _rebuilt(cls, path: str | Path, card: dict[str, Any]) -> Self:
        """The model that a card describes, untrained."""
        config, facts = card.get("config"), card.get("facts")
        if not isinstance(config, dict) or not isinstance(facts, dict):
            raise CheckpointError(f"{path}: its card has no configuration; train it again")
        fields = {f.name for f in dataclasses.fields(cls.config_class)}  # type: ignore[arg-type]
        # An option that is younger than the file has its default, which means what was done before there was one.
        if unknown := config.keys() - fields:
            raise CheckpointError(
                f"{path}: its configuration has unknown options ({', '.join(sorted(unknown))}); "
                f"it was made by structkit {card['structkit']}: use that version, or train it again"
            )
        try:
            return cls(cls.config_class(**config), **facts)
        except OptionError as error:
            raise CheckpointError(f"{path}: its configuration is refused ({error}); train it again") from error
        except Exception as error:  # the constructor's reaction to values of another form, in words of its own or not
            fact = str(error) if isinstance(error, StructkitError) else cls._misfit(facts)
            raise CheckpointError(
                f"{path}: no {cls.kind!r} can be built from its card ({one_line(fact)}); train it again"
            ) from error

    @classmethod
    def _misfit(cls, facts: dict[str, Any]) -> str:
        """The words for facts that the constructor does not take."""
        known = dict(list(inspect.signature(cls).parameters.items())[1:])  # after the configuration
        missing = [name for name, one in known.items() if one.default is one.empty and name not in facts]
        unknown = [name for name in facts if name not in known]
        for words, names in (("lacks", missing), ("has unknown", unknown)):
            if names:
                return f"it {words} facts: {', '.join(sorted(names))}"
        return f"a value of another form in its configuration{' or its facts' if facts else ''}"
