"""`structkit train ...`: models from the user's own pictures and videos.  One page for each kind of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from structkit.configs import PairConfig
from structkit.errors import OptionError
from structkit_cli import trainer
from structkit_cli.inputs import Input, gather
from structkit_cli.trainer import Running

if TYPE_CHECKING:
    from structkit.engines.pair import PairAnalogy
    from structkit.training.stages import Event

Source = Annotated[
    str, typer.Argument(help="one of the two pictures, usually the one that gives the structure; or a video", metavar="SOURCE")
]
Target = Annotated[str, typer.Argument(help="the other one", metavar="TARGET")]


def analogy(source: Source, target: Target, *, engine: PairConfig, running: Running) -> None:
    """Train generators between two pictures: from then on, new analogies of the pair are drawn in no time, in both directions.

    In: two pictures.  Out: the trained pair, a checkpoint, at --output; its path is printed on stdout.  Beside it stand the log of the
    losses and, while it trains, a preview and the state.  Use it with: structkit analogy --model pair.safetensors

    SOURCE may be a video (MP4, MOV, MKV, WebM, AVI and others): it learns from its frames, --frames at most, spread over the video, and can
    then give it the look of TARGET.  Use it with: structkit analogy clip.mp4 --model pair.safetensors

    A training that was stopped, in whatever way, goes on with the same command.  With --minutes it ends in time.  Several processes share
    the work with: torchrun --nproc-per-node 2 -m structkit_cli train analogy ...

    Each option can also be set in the environment, such as STRUCTKIT_TRAIN_ANALOGY_STEPS=1000, or in a file with --config (its table is
    train.analogy).

    Example: structkit train analogy house.png cake.png --minutes 20 -o pair.safetensors
    """
    one, other = _one(source, "SOURCE"), _one(target, "TARGET")
    if one.path is None and other.path is None:
        raise OptionError("SOURCE and TARGET are both standard input (-): it can be read only once")
    if other.path is not None and other.is_video:
        raise OptionError(f"{other.name} is a video, and TARGET must be a picture: name one of its frames")

    def train(output: Path, report: Callable[[Event], None], tell: Callable[[str], None]) -> PairAnalogy:
        from structkit import pairs

        shown = one.video(running.max_pixels) if one.is_video else one.picture(running.max_pixels), other.picture(running.max_pixels)
        given = [pairs.Given(picture, source.sha256, source.path) for picture, source in zip(shown, (one, other), strict=True)]
        how = {"minutes": running.minutes, "seed": running.seed, "device": running.device, "dtype": running.dtype}
        how |= {"overwrite": running.exists == "overwrite", "report": report, "tell": tell}
        return pairs.train(*given, output, options=asdict(engine), **how)

    trainer.run("train analogy", train, running)


def _one(argument: str, name: str) -> Input:
    found = gather([argument])
    if found.many:
        raise OptionError(f"{name} {argument} may be many pictures: name one file")
    return found.inputs[0]


PAGES = (analogy,)
