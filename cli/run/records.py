"""Records: the facts that are told of each output of a run, and the exit code that an error stands for."""

from __future__ import annotations

from typing import Any

from structkit.errors import CheckpointError, DeviceError, InputError, OptionError, OutputError, StructkitError
from structkit_cli.run.plan import Output, Task


def exit_code(error: BaseException) -> int:
    """The exit code of a command that came to nothing because of this error."""
    if isinstance(error, OptionError):
        return 2
    return 3 if isinstance(error, DeviceError | CheckpointError | OutputError) else 1


def output_record(task: Task, output: Output, status: str, **facts: Any) -> dict[str, Any]:
    """The record of an output, as records.schema.json has it."""
    (_, first), *others = task.inputs.items()
    record = {
        "input": first.name,
        "with": {role: source.name for role, source in others},
        "output": str(output.path or "-"),
    }
    record |= {"role": output.kind.role, "status": status, "error": None, "ms": None, "device": None}
    return record | {"seed": output.seed, "warnings": [], "sha256": None} | facts


def message(names: str, error: Exception) -> str:
    """The line that says why a task failed.

    names: the words for the task, where the error does not name a file itself.
    """
    if isinstance(error, InputError | OutputError | CheckpointError):
        return str(error)
    if isinstance(error, StructkitError):
        return f"{names}: {error}"
    return f"{names}: unexpected {type(error).__name__}: {error} (STRUCTKIT_DEBUG=1 shows where)"
