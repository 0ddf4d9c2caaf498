"""What an engine hands to the loop, and what the loop tells of its progress."""

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
    """A part of a training.  It ends after its steps, or earlier when its seconds of work are over; one step is always
    done.
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
    """One training, as an engine describes it.  All that it draws comes from the `Draw` that it is given."""

    model_class: type[Model]  # of what `model` returns
    stages: Sequence[Stage]
    device: str
    processes: Processes = ALONE  # those that share the work; the loop sets it before it calls anything

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
        """All that later steps and the model depend on, the networks of finished stages and the optimisers included;
        see `state.pack`.
        """

    @abstractmethod
    def restore(self, stage: int, state: Mapping[str, Tensor]) -> None:
        """Come to where `state` was taken, in this stage, from nothing.  state: on the CPU."""

    @abstractmethod
    def model(self) -> Model:
        """As far as trained; asked for at the end, and when the training is interrupted."""

    def scores(self) -> Mapping[str, float]:
        """How good the model is, by name, for its card: measured once, when the training is complete, in the first
        process only.
        """
        return {}

    def doubts(self) -> Sequence[str]:
        """Why the model may be a bad one, for its card and for whoever uses it: a sentence each, none of a good one.
        Asked as `scores`.
        """
        return []

    def preview(self, draw: Draw) -> Tensor | None:
        """(1, 3, H, W) in [-1, 1]: what to show of the training now, or None.  Called in the first process only, at
        times of the clock: it must change nothing."""
        return None


@dataclass(frozen=True)
class Event:
    """Where a training is.  Sent every few steps, and at the end of each stage."""

    stage: str
    number: int  # of the stage, from 1
    stages: int
    step: int  # of the stage, from 1
    steps: int
    losses: Mapping[str, float]  # means over the steps since the last event
    rate: float  # steps per second
    eta: float  # seconds to the end of the stage
    preview: Path | None  # the picture on disk
