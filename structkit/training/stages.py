"""The interface of an engine and the loop: stages, a training, and the events that tell of its progress."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from structkit.errors import OptionError
from structkit.training.draw import Draw
from structkit.training.model import Model
from structkit.training.parallel import ALONE, Processes


@dataclass(frozen=True)
class Stage:
    """A part of a training.

    The stage ends after its steps, or earlier when its seconds of work are over; one step is always done.
    """

    name: str
    steps: int
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1 or (self.seconds is not None and not self.seconds >= 0):
            raise OptionError(
                f"stage {self.name}: {self.steps} steps, {self.seconds} seconds; it needs 1 step or more, 0 s or more"
            )


class Training(ABC):
    """A training, as an engine describes it.  All its random numbers come from the `Draw` that it is given."""

    model_class: type[Model]  # the class of what `model` returns
    stages: Sequence[Stage]
    device: str
    processes: Processes = ALONE  # those that share the work; the loop sets it before it calls anything
    over: bool = False  # true if the training has ended early, since nothing gets better; its steps then do nothing

    @abstractmethod
    def begin(self, stage: int, draw: Draw) -> None:
        """Make the networks and optimisers that are new in this stage, from what is there."""

    @abstractmethod
    def step(self, draw: Draw) -> Mapping[str, Tensor]:
        """Do one update; returns scalar losses by name, on the device: never wait for their values.

        With several processes: draw the whole batch, keep `processes.share` of it, step with `processes.descend`, and
        where networks have batch norms, call `processes.mean_buffers`.
        """

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """The tensors that later steps and the model depend on; see `state.pack`.

        The networks of finished stages and the optimisers are included.
        """

    @abstractmethod
    def restore(self, stage: int, state: Mapping[str, Tensor]) -> None:
        """Come to the place where `state` was taken, in this stage, from nothing.

        state: on the CPU.
        """

    @abstractmethod
    def model(self) -> Model:
        """The model as far as trained; asked for at the end, and when the training is interrupted."""

    def scores(self) -> Mapping[str, float]:
        """The scores of the model, by name, for its card.

        Measured once, when the training is complete, in the first process only.
        """
        return {}

    def doubts(self) -> Sequence[str]:
        """Reasons why the model may be a bad one, for its card and for its users: a sentence each, none of a good one.

        Asked as `scores`.
        """
        return []

    def preview(self, draw: Draw) -> Tensor | None:
        """A picture of the training as it is now, (1, 3, H, W) in [-1, 1], or None.

        Called in the first process only, at times of the clock: it must change nothing.
        """
        return None


@dataclass(frozen=True)
class Event:
    """The place that a training has come to.  Sent every few steps, and at the end of each stage."""

    stage: str
    number: int  # of the stage, from 1
    stages: int
    step: int  # of the stage, from 1
    steps: int
    losses: Mapping[str, float]  # means over the steps since the last event
    rate: float  # steps per second
    eta: float  # seconds to the end of the stage
    preview: Path | None  # the picture on disk
