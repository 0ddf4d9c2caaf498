"""`structkit genvideo CLIP...`: many new clips from one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from structkit.configs import ClipConfig, ClipCourse, Config, option
from structkit.errors import OptionError
from structkit_cli.options import RunOptions, named
from structkit_cli.pages.genvideo_engines import PatchClips
from structkit_cli.pages.genvideo_plan import COUNT, plan_clips
from structkit_cli.run import batch
from structkit_cli.run.checks import result_size

Clips = Annotated[
    list[str] | None,
    typer.Argument(help="videos, animated GIF, WebP or PNG, folders, a 'pattern*.mp4', @list.txt or -", metavar="CLIP"),
]
FORMATS = ("mp4", "mov", "mkv", "webm", "gif", "webp", "png")


@dataclass(frozen=True)
class GenvideoOptions(Config):
    """Options of the results: their number and their size."""

    count: int | None = option(
        None,
        f"how many to draw of each clip; more than one are numbered; else {COUNT}, or 1 where --output names a file, "
        "and with --extend, --extend-back and --slow",
        low=1,
        high=9999,
    )
    size: str | None = named(
        None, "width and height of the results, px, nothing stretched; else the clip's, reduced to --max-side", "WxH"
    )
    compare: str | None = named(
        None,
        "also show the clip and the results, frame by frame in one picture, or as NAME.html in a page that plays them "
        "in step; in a batch a folder",
        "OUT",
    )


@dataclass(frozen=True)
class ClipRunOptions(RunOptions):
    """Options of the running, and of clips as they are written."""

    format: str | None = option(
        None, "format of the results; else the one that --output names, or mp4", choices=FORMATS
    )


def genvideo(
    clips: Clips = None, *, wanted: GenvideoOptions, course: ClipCourse, patches: ClipConfig, running: ClipRunOptions
) -> None:
    """Draw new clips of the scene that CLIP shows: the same things, otherwise arranged and moving otherwise; or a
    longer, a looped or a slower one.

    In: a short clip, best of 8 to 60 frames (MP4, MOV, MKV, WebM, AVI and others, or an animated GIF, WebP or PNG);
    several, a folder, a pattern or a list are a batch.  Out: CLIP-genvideo-1.mp4 .. -4.mp4 in the current folder, or
    what --output names (.mp4, .mov, .mkv, .webm, .gif, .webp, .png); in a batch the tree is mirrored there.  The paths
    are printed on stdout.  The i-th result is the one of seed + i - 1.

    Example: structkit genvideo birds.mp4 -n 4 -o birds/
    """
    if not clips:
        raise OptionError("Missing argument 'CLIP': name a video, an animated picture or a folder")
    course.check(size=wanted.size is not None, model=False)
    engine = PatchClips(patches, course, result_size(wanted.size), running)
    batch.run(plan_clips(clips, engine, running, count=wanted.count, compare=wanted.compare), running)
