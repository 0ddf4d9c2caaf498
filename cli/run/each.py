"""Verbs of one kind of input: each picture for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from structkit_cli.options import RunOptions
from structkit_cli.run import batch
from structkit_cli.run.inputs import InputFile, gather
from structkit_cli.run.plan import Destination, Output, Task, check_alpha, numbered

if TYPE_CHECKING:
    from structkit.media.pictures import Picture


def run_each(
    verb: str,
    inputs: Sequence[str],
    paint: Callable[..., Picture],
    running: RunOptions,
    *,
    options: Mapping[str, Any],
    count: int = 1,
    shared: Mapping[str, InputFile] | None = None,
) -> None:
    """Paint `count` outputs of each input, and end the program with the exit code that tells how it went.

    paint: gets the input, then the `shared` ones, as pictures, and seed, device, dtype and progress by name.  The i-th
    output of an input has the seed + i.  options: those of the verb that change the bytes of the outputs.
    """
    found = gather(inputs, leave_out=(running.output,))
    place = Destination(running.output, many=found.many, format=running.format)
    place.set_apart((found,), running.exists)
    tasks = []
    for given in found.inputs:
        name = given.stem if found.many else PurePath(f"{given.stem}-{verb}")
        outputs = [place.output(name, word=word, seed=running.seed + i) for i, word in enumerate(numbered(count))]
        tasks.append(Task({"picture": given, **(shared or {})}, tuple(outputs)))

    def make(
        task: Task, missing: Sequence[Output], device: str, progress: batch.Progress
    ) -> Iterator[tuple[Output, Picture]]:
        pictures = [given.picture(running.max_pixels) for given in task.inputs.values()]
        check_alpha(pictures[0], missing)
        for i, output in enumerate(missing):
            share = batch.share(progress, i, len(missing))
            yield output, paint(*pictures, seed=output.seed, device=device, dtype=running.dtype, progress=share)

    batch.run(verb, tasks, make, running, options=options, many=found.many, foreign=found.foreign)
