"""Verbs that work on each picture for itself, by a function of the Python interface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from structkit_cli.options import RunOptions
from structkit_cli.run.checks import check_alpha
from structkit_cli.run.inputs import InputFile, gather
from structkit_cli.run.plan import Destination, Maker, Output, Plan, Progress, Task, numbered, share
from structkit_cli.run.results import PictureResult


class EachMaker(Maker):
    """The maker of pictures that a function of the Python interface draws, one a call.

    function: its name.  The function gets the pictures of a task, and seed, device and progress by name, and
    returns a picture, or a list of one.  arguments: others that it gets, by name.
    """

    def __init__(self, function: str, arguments: Mapping[str, Any], running: RunOptions) -> None:
        self.function, self.arguments, self.running = function, arguments, running

    def make(
        self, task: Task, missing: Sequence[Output], device: str, progress: Progress
    ) -> Iterator[tuple[Output, PictureResult]]:
        import structkit

        pictures = [given.picture(**self.running.reading) for given in task.inputs.values()]
        check_alpha(pictures[0], missing)
        draw = getattr(structkit, self.function)
        for i, output in enumerate(missing):
            how = {"device": device, "progress": share(progress, i, len(missing))}
            made = draw(*pictures, seed=output.seed, **how, **self.arguments)
            yield output, PictureResult(made[0] if isinstance(made, list) else made)


def plan_each(
    verb: str,
    inputs: Sequence[str],
    running: RunOptions,
    *,
    options: Mapping[str, Any],
    further: Mapping[str, Any] = MappingProxyType({}),
    count: int = 1,
    shared: Mapping[str, InputFile] = MappingProxyType({}),
) -> Plan:
    """The plan of `count` outputs of each input, by the function of the Python interface that has the verb's name.

    options: arguments of the function that change the bytes of the outputs.
    further: other arguments of it.
    shared: inputs, by role, that it gets after the input itself.
    The i-th output of an input has the seed + i.
    """
    found = gather(inputs, leave_out=(running.output,))
    kept = running.keep_suffix
    place = Destination(running.output, many=found.many, format=running.format, keep_suffix=kept, inputs=found.inputs)
    place.set_apart((found,), running.exists)
    tasks = []
    for given in found.inputs:
        name = place.spelled(given) if found.many else f"{place.spelled(given)}-{verb}"
        outputs = [place.output(name, word=word, seed=running.seed + i) for i, word in enumerate(numbered(count))]
        tasks.append(Task({"picture": given, **shared}, tuple(outputs)))
    maker = EachMaker(verb, {**options, **further}, running)
    return Plan(verb, tasks, maker, options=options, many=found.many, foreign=found.foreign, unread=found.unread)
