"""`structkit genvideo CLIP...`: many new clips from one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from structkit.configs import ClipConfig, ClipCourse, Config, GenvideoResultConfig, option
from structkit_cli.options import in_panels, named
from structkit_cli.pages.genvideo_options import (
    MODEL_PANEL,
    PATCH_PANEL,
    ClipEngineOptions,
    ClipRunOptions,
    engine_of,
)
from structkit_cli.pages.genvideo_plan import COUNT, plan_clips
from structkit_cli.run import batch

Clips = Annotated[
    list[str] | None,
    typer.Argument(
        help="a video, or an animated GIF, WebP, PNG or AVIF; several, folders, a 'pattern*.mp4', @list.txt or -",
        metavar="CLIP",
    ),
]


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
        None,
        "width and height of the results, px, nothing stretched; else the clip's, reduced to --max-side; or the "
        "model's",
        "WxH",
    )
    compare: str | None = named(
        None,
        "also show the clip and the results: as a picture, some frames of each in a row; as NAME.html, a page that "
        "plays them in step; in a batch a folder; the first 32 results",
        "OUT",
    )


@in_panels(PATCH_PANEL, MODEL_PANEL)
def genvideo(
    clips: Clips = None,
    *,
    wanted: GenvideoOptions,
    course: ClipCourse,
    engine: ClipEngineOptions,
    patches: ClipConfig,
    model: GenvideoResultConfig,
    running: ClipRunOptions,
) -> None:
    """Draw new clips of the scene that CLIP shows: the same things, otherwise arranged and otherwise moving; or a
    longer, a looped or a slower one.

    In: a short clip without cuts, best of 8 to 60 frames (MP4, MOV, MKV, WebM, AVI and others, or an animated GIF,
    WebP, PNG or AVIF).  Out: CLIP-genvideo-1.mp4 .. -4.mp4 in the current folder, or what --output names (.mp4, .mov,
    .mkv, .webm, .gif, .webp, .png); without sound, at the frame rate of the clip.  The paths are printed on stdout.
    The i-th result is the one of seed + i - 1.

    --extend N goes on for N frames after the last one, --extend-back N begins N before the first: the clip itself stays
    as it is.  --loop makes a clip that can be repeated without a joint, --slow 4 one that takes four times as long.
    --size and --frames show more of the scene, or less, in space and time.  A sample of 13 frames of 256 x 144 px takes
    about 15 CPU seconds.

    Batches: several clips, a folder (with its subfolders), a pattern or a list; the tree is mirrored in the folder that
    --output names, and what is there already, made from the same inputs and options, is skipped.

    Trained models: --engine vaegan first trains a model of the clip (see structkit train genvideo), which takes about a
    quarter of an hour on two cores, and keeps it beside the output, as OUTPUT.safetensors; stopped in whatever way, it
    goes on with the same command.  --model alone draws again from what was trained; --refine patches then gives results
    the real texture, for seconds.

    Each option can also be set in the environment, such as STRUCTKIT_GENVIDEO_VARIETY=0.3, or in a file with --config.

    Example: structkit genvideo balloons.mp4 -n 4 -o out/
    """
    given = {"clips": clips or [], "size": wanted.size, "count": wanted.count}
    drawer = engine_of(engine, patches, model, course, running, **given)
    how = {"count": wanted.count, "compare": wanted.compare}
    batch.run(plan_clips(clips or [], drawer, engine, running, **how), running)
