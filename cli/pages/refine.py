"""`structkit refine INPUT... --patches-of PICTURE`: a picture repainted with another's fine patches."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from structkit.configs import Config, RefineConfig
from structkit.errors import OptionError
from structkit_cli.options import Inputs, RunOptions, named
from structkit_cli.run import batch
from structkit_cli.run.each import plan_each
from structkit_cli.run.inputs import gather


@dataclass(frozen=True)
class RefineOptions(Config):
    """Options that name the picture whose patches are painted with."""

    patches_of: str | None = named(None, "the picture that the patches are taken from (must be given)", "PICTURE")


def refine(inputs: Inputs, *, wanted: RefineOptions, engine: RefineConfig, running: RunOptions) -> None:
    """Repaint INPUT with the fine patches of another picture: what is blurred or broken in it becomes crisp.

    In: a picture; several, a folder, a pattern or a list are a batch.  Out: INPUT-refine.png in the current folder, or
    what --output names; in a batch the tree is mirrored there.  The path is printed on stdout.

    Example: structkit refine rough.png --patches-of photo.png -o crisp.png
    """
    if wanted.patches_of is None:
        raise OptionError("--patches-of is missing: name the picture that the patches are taken from")
    if wanted.patches_of == "-" and "-" in inputs:
        raise OptionError("INPUT and --patches-of are both standard input (-): it can be read only once")
    given = gather([wanted.patches_of])
    if given.many:
        raise OptionError(f"--patches-of {wanted.patches_of} may be many pictures: name one file")
    shared = {"patches_of": given.inputs[0]}
    batch.run(plan_each("refine", inputs, running, options=asdict(engine), shared=shared), running)
