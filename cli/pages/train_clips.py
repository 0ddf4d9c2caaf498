"""`structkit train ...` on clips: a model of one clip, and one of how fast things move in many."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from structkit.configs import GenvideoConfig, SpeedNetConfig
from structkit_cli.run import trainer
from structkit_cli.run.trainer import TrainOptions

ClipFile = Annotated[str, typer.Argument(help="a short clip: a video or an animated GIF; or a picture", metavar="CLIP")]

VideoFiles = Annotated[
    list[str],
    typer.Argument(help="videos, folders of videos, 'patterns*.mp4' or @list.txt", metavar="VIDEO"),
]


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


def train_speednet(videos: VideoFiles, *, engine: SpeedNetConfig, running: TrainOptions) -> None:
    """Learn from videos how fast things move by nature (SpeedNet): from then on, a video can be sped up where it does
    not show.

    In: videos (MP4, MOV, MKV, WebM, AVI and others), folders of them (with their subfolders), patterns or lists.  They
    need no labels, and should play at their own speed: neither slow motion nor time lapse, 23 frames a second or more,
    and two seconds or longer (six for --preset paper).  What cannot be used is left out, and a table says why.  Out: a
    checkpoint, at --output; its path is printed on stdout.  Beside it stands the log of the losses and, while it
    trains, the state; and a folder OUT.cache of decoded videos, of --cache-gb at most, which may be removed.  Use it
    with: structkit speedup --model speed.safetensors

    About one video in five is held out (of fewer than five none): the scores in the card come from these, with 95 %
    intervals, beside those of the mean motion.  What is learned from minutes of video tells little that the motion does
    not; hours are better, and a GPU with --preset paper.

    A training that was stopped, in whatever way, goes on with the same command.  With --minutes it ends in time.
    Several processes share the work with: torchrun --nproc-per-node 2 -m structkit_cli train speednet ...

    Each option can also be set in the environment, such as STRUCTKIT_TRAIN_SPEEDNET_STEPS=1000, or in a file with
    --config (its table is train.speednet).

    Example: structkit train speednet holidays/ --minutes 30 -o speed.safetensors
    """
    trainer.run("speednet", (videos,), asdict(engine), running)


TRAININGS = (train_genvideo, train_speednet)
