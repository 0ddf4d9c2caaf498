"""Freight: the files that go to the workers of a cluster, where these share no disk with the run.

Models go there once, and so do inputs that all tasks share; the inputs of a task go with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import structkit_weights
from structkit.errors import CheckpointError, InputError, OptionError
from structkit.media.files import open_source
from structkit_cli.run.cluster.wire import pack
from structkit_cli.run.inputs import InputFile
from structkit_cli.run.plan import Plan, Task, shared
from structkit_cli.run.results import OutputKind

MODEL = "model"  # begins the roles of models
EDIT_LISTS = ("otio", "fcpxml")


class Freight:
    """The files that a run sends to its workers.

    models: the paths of models, but for those that ship with structkit: each worker has these.
    common: inputs of all tasks.
    """

    def __init__(self, models: Sequence[Path], common: Sequence[InputFile]) -> None:
        self.models, self.common = models, common

    @classmethod
    def of(cls, plan: Plan) -> Freight:
        """The files that the tasks of a plan share.  Raises OptionError for a plan that needs a common disk."""
        models: dict[Path, None] = {}
        for task in plan.tasks:
            _check(task)
            models |= {given.path: None for role, given in task.inputs.items() if _is_model(role) and given.path}
        common = [given for role, given in shared(plan.tasks).items() if not _is_model(role)]
        return cls([path for path in models if path.parent != structkit_weights.FOLDER], common)

    @cached_property
    def keys(self) -> dict[Path, str]:
        """The words for models on their way, by their paths."""
        return {path: f"{MODEL}-{i}" for i, path in enumerate(self.models)}

    @property
    def names(self) -> dict[str, str]:
        """The names of models in messages, by the words for them."""
        return {key: str(path) for path, key in self.keys.items()}

    def model_bytes(self) -> list[bytes]:
        """The bytes of each model.  Raises CheckpointError."""
        return list(map(_read, self.models))

    def common_bytes(self) -> bytes:
        """The message of the common inputs, with their bytes.  Raises InputError."""
        return pack([given.held() for given in self.common])


def training_of(task: Task) -> Path | None:
    """The place of the model that is trained for a task, beside its output; None where none is."""
    place = getattr(task, "checkpoint", None)
    return None if place is None or any(given.path == place for given in task.inputs.values()) else place


def _check(task: Task) -> None:
    """Refuse a task that works with more files than its inputs and outputs.  Raises OptionError."""
    way_out = "use a disk that all workers share, and leave --ship out"
    if place := training_of(task):
        raise OptionError(f"--ship leaves no disk for {place}, which is trained first: {way_out}")
    for output in task.outputs:
        if output.kind is OutputKind.CURVE and output.format in EDIT_LISTS:
            raise OptionError(f"--ship hides the place of the clip from {output.path}, which names it: {way_out}")


def _is_model(role: str) -> bool:
    return role.partition("_")[0] == MODEL


def _read(path: Path) -> bytes:
    try:
        with open_source(path) as (_, stream):
            return stream.read()
    except InputError as error:
        raise CheckpointError(str(error)) from error
