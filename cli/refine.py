"""`structkit refine INPUT... --patches-of PICTURE`: a picture repainted with another's fine patches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from structkit_cli import batch
from structkit_cli.inputs import gather
from structkit_cli.options import Inputs, Running, named
from structkit_cli.plan import Output, Place, Task, one_by_one

from structkit.configs import Config, PatchConfig
from structkit.errors import OptionError

if TYPE_CHECKING:
    from structkit.media.pictures import Picture


@dataclass(frozen=True)
class Wanted(Config):
    """What to make of a picture."""

    patches_of: str | None = named(None, "the picture that the patches are taken from (must be given)", "PICTURE")


def refine(inputs: Inputs, *, wanted: Wanted, engine: PatchConfig, running: Running) -> None:
    """Repaint INPUT with the fine patches of another picture: what is blurred or broken in it becomes crisp.

    In: a picture; several, a folder, a pattern or a list are a batch.  Out: INPUT-refine.png in the current folder, or what --output
    names; in a batch the tree is mirrored there.  The path is printed on stdout.

    Example: structkit refine rough.png --patches-of photo.png -o crisp.png
    """
    if wanted.patches_of is None:
        raise OptionError("--patches-of is missing: name the picture that the patches are taken from")
    found, given = gather(inputs, leave_out=(running.output,)), gather([wanted.patches_of])
    if given.many:
        raise OptionError(f"--patches-of {wanted.patches_of} may be many pictures: name one file")
    if any(one.path is None for one in found.inputs) and wanted.patches_of == "-":
        raise OptionError("INPUT and --patches-of are both standard input (-): it can be read only once")
    place = Place(running.output, many=found.many, format=running.format)
    place.set_apart((found,), running.exists)

    def make(task: Task, missing: Sequence[Output], device: str, progress: batch.Progress) -> Iterator[tuple[Output, Picture]]:
        import structkit

        [output] = missing
        picture, patches_of = (given.picture(running.max_pixels) for given in task.inputs.values())
        how = {"seed": output.seed, "device": device, "dtype": running.dtype, "progress": progress}
        yield output, structkit.refine(picture, patches_of, **how, **asdict(engine))

    tasks = one_by_one("refine", found, place, running.seed, shared={"patches_of": given.inputs[0]})
    batch.run("refine", tasks, make, running, options=asdict(engine), many=found.many, foreign=found.foreign)
