"""`structkit train genvideo`: a model of one clip."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from structkit.configs import GenvideoConfig
from structkit_cli.run import trainer
from structkit_cli.run.trainer import TrainOptions

ClipFile = Annotated[str, typer.Argument(help="a short clip: a video or an animated GIF; or a picture", metavar="CLIP")]


def train_genvideo(clip: ClipFile, *, engine: GenvideoConfig, running: TrainOptions) -> None:
    """Train a model of one clip (HP-VAE-GAN): from then on, new clips of the same scene are drawn in no time.

    In: one clip, a video (MP4, MOV, MKV, WebM, AVI and others) or an animated GIF, WebP, PNG or AVIF; or a picture,
    whose model draws pictures.  Out: the model, a checkpoint, at --output; its path is printed on stdout.  Beside it
    stand the log of the losses and, while it trains, a preview and the state.  Use it with: structkit genvideo --model
    clip.safetensors

    Windows of 13 frames are learned, as long as what is made later; of a longer clip each step sees another one.
    Before the first step a line says the minutes and the memory that it will take.  With --vae-levels 1 results are
    near the clip; with 3 of 5 they are far more diverse.

    A training that was stopped, in whatever way, goes on with the same command.  With --minutes it ends in time.
    Several processes share the work with: torchrun --nproc-per-node 2 -m structkit_cli train genvideo ...

    Each option can also be set in the environment, such as STRUCTKIT_TRAIN_GENVIDEO_STEPS=1000, or in a file with
    --config (its table is train.genvideo).

    Example: structkit train genvideo clip.mp4 --minutes 15 -o clip.safetensors
    """
    trainer.run("genvideo", (clip,), asdict(engine), running)


TRAININGS = (train_genvideo,)
