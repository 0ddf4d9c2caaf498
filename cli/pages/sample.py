"""`structkit sample INPUT...`: new pictures from the patches of one."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from structkit.configs import Config, SampleConfig, option
from structkit_cli.options import Inputs, RunOptions, named
from structkit_cli.run import batch
from structkit_cli.run.checks import result_size
from structkit_cli.run.each import plan_each


@dataclass(frozen=True)
class SampleOptions(Config):
    """Options of the samples: their number and their size."""

    count: int = option(4, "how many to draw of each input; more than one are numbered", low=1, high=9999)
    size: str | None = named(
        None, "width and height of the samples, px; else the input's, reduced to --max-side", "WxH"
    )


def sample(inputs: Inputs, *, wanted: SampleOptions, engine: SampleConfig, running: RunOptions) -> None:
    """Draw new pictures that are made of the patches of INPUT, with another arrangement.

    In: a picture; several, a folder, a pattern or a list are a batch.  Out: INPUT-sample-1.png .. -{count}.png in the
    current folder, or what --output names; in a batch the tree is mirrored there.  The paths are printed on stdout.
    The i-th sample is the one of seed + i - 1.

    Example: structkit sample balloons.png -n 2 -o balloons-again.png
    """
    options = asdict(engine) | {"size": result_size(wanted.size, engine.max_side)}
    batch.run(plan_each("sample", inputs, running, options=options, further={"count": 1}, count=wanted.count), running)
