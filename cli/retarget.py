"""`structkit retarget INPUT... --size WxH`: the same scene in another shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from structkit_cli import batch
from structkit_cli.inputs import gather
from structkit_cli.options import Inputs, Running, named, parse_size
from structkit_cli.plan import Output, Place, Task, one_by_one

from structkit.configs import Config, PatchConfig
from structkit.errors import OptionError

if TYPE_CHECKING:
    from structkit.media.pictures import Picture


@dataclass(frozen=True)
class Wanted(Config):
    """What to make of a picture."""

    size: str | None = named(None, "width and height of the result, px (must be given)", "WxH")


def retarget(inputs: Inputs, *, wanted: Wanted, engine: PatchConfig, running: Running) -> None:
    """Give INPUT another size and shape without stretching what is in it: patches are repeated or left out.

    In: a picture; several, a folder, a pattern or a list are a batch.  Out: INPUT-retarget.png in the current folder, or what --output
    names; in a batch the tree is mirrored there.  The path is printed on stdout.

    Example: structkit retarget beach.png --size 96x48 -o wide-beach.png
    """
    size = parse_size(wanted.size)
    if size is None:
        raise OptionError("--size is missing: give width and height in px, such as 640x480")
    found = gather(inputs, leave_out=(running.output,))
    place = Place(running.output, many=found.many, format=running.format)
    place.set_apart((found,), running.exists)

    def make(task: Task, missing: Sequence[Output], device: str, progress: batch.Progress) -> Iterator[tuple[Output, Picture]]:
        import structkit

        [output] = missing
        picture = task.inputs["picture"].picture(running.max_pixels)
        how = {"seed": output.seed, "device": device, "dtype": running.dtype, "progress": progress}
        yield output, structkit.retarget(picture, size, **how, **asdict(engine))

    tasks = one_by_one("retarget", found, place, running.seed)
    batch.run("retarget", tasks, make, running, options=asdict(engine) | {"size": size}, many=found.many, foreign=found.foreign)
