"""`structkit retarget INPUT... --size WxH`: the same scene in another shape."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from structkit.configs import Config, RetargetConfig
from structkit.errors import OptionError
from structkit_cli.options import Inputs, RunOptions, named
from structkit_cli.run import batch
from structkit_cli.run.checks import result_size
from structkit_cli.run.each import plan_each


@dataclass(frozen=True)
class RetargetOptions(Config):
    """Options of the shape of the result."""

    size: str | None = named(None, "width and height of the result, px (must be given)", "WxH")


def retarget(inputs: Inputs, *, wanted: RetargetOptions, engine: RetargetConfig, running: RunOptions) -> None:
    """Give INPUT another size and shape without stretching what is in it: patches are repeated or left out.

    In: a picture; several, a folder, a pattern or a list are a batch.  Out: INPUT-retarget.png in the current folder,
    or what --output names; in a batch the tree is mirrored there.  The path is printed on stdout.

    Example: structkit retarget beach.png --size 96x48 -o wide-beach.png
    """
    size = result_size(wanted.size)
    if size is None:
        raise OptionError("--size is missing: give width and height in px, such as 640x480")
    batch.run(plan_each("retarget", inputs, running, options=asdict(engine) | {"size": size}), running)
