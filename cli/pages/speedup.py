"""`structkit speedup VIDEO...`: a clip made shorter, and fast where that does not show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from structkit.configs import HEATMAP_KINDS, Config, RetimeConfig, SpeedCurveConfig, option
from structkit_cli.completion import complete_checkpoint
from structkit_cli.options import named
from structkit_cli.pages.speedup_plan import SpeedupRunOptions, plan_speedups
from structkit_cli.run import batch

Videos = Annotated[
    list[str],
    typer.Argument(help="a video; several, folders, a 'pattern*.mp4', @list.txt or -", metavar="VIDEO"),
]
Kept = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        help="a span that is no faster than it is, such as 0:10-0:25, or 40s- to the end; may be given several times",
        metavar="FROM-TO",
        rich_help_panel="What to make",
        show_envvar=False,
    ),
]


@dataclass(frozen=True)
class SpeedupOptions(Config):
    """Options of the length of the result, and of what is written or read beside it."""

    duration: str | None = named(
        None, "how long the result is, in place of --rate: 90, 90s, 1:30, 1m30s, 3m, or 50% of the clip", "TIME"
    )
    model: str | None = named(
        None,
        "for speednet and --heatmap: a checkpoint of structkit train speednet, or the name of one that ships",
        "MODEL",
        complete=complete_checkpoint,
    )
    curve: str | None = named(
        None,
        "also write the curve of speeds there: .json (all of it), .csv, .svg, .png, .otio or .fcpxml (for editors); in "
        "a batch a folder",
        "OUT",
    )
    from_curve: str | None = named(
        None,
        "take the curve from there, and measure nothing: .json, or .csv with a line t,S for each change of speed; "
        "with --rate, --keep ... it is planned anew, by what is said now alone; in a batch a folder",
        "CURVE",
    )
    report: str | None = named(
        None,
        "also write a page that plays the clip at one speed beside the result, over the curve: .html; in a batch a "
        "folder",
        "OUT",
    )
    heatmap: str | None = named(
        None,
        "also write the clip under colours of what the model sees: .mp4, .mov, .mkv, .webm; in a batch a folder",
        "OUT",
    )
    heatmap_kind: str | None = option(
        None,
        "of --heatmap: cam, where the model sees what is sped up, from blue to red; or speed, how fast each place "
        "plays beside the others of the clip, from blue, the fastest, over green and yellow to orange, slowed down; "
        "else cam",
        choices=HEATMAP_KINDS,
    )
    dry_run: bool = option(
        False, "make no video: tell how long it would be, and how fast where; what else is named is written"
    )


def speedup(
    videos: Videos,
    *,
    keep: Kept = None,
    course: SpeedCurveConfig,
    wanted: SpeedupOptions,
    video: RetimeConfig,
    running: SpeedupRunOptions,
) -> None:
    """Make VIDEO shorter without its looking sped up: fast where nothing would look wrong, slow where it would.

    In: a video (MP4, MOV, MKV, WebM, AVI and others), of any length and rate of frames.  Out: VIDEO-speedup.mp4 in the
    current folder, or what --output names (.mp4, .mov, .mkv, .webm).  The result lasts exactly as long as --rate or
    --duration says; its speed changes smoothly.  All sound keeps its pitch and stays in step with the pictures, as
    subtitles and chapters do.

    --method motion needs no model: what moves against the rest of the picture is slow, stillness is fast.  A model of
    structkit train speednet (--model) has learnt how fast things move by nature.  Who speaks can be kept to be
    understood (--protect-speech), what is silent be passed over (--silence-speed 6), and parts be kept as they are
    (--keep 0:10-0:25).

    --dry-run tells what would come of it.  --curve curve.json keeps what was measured: --from-curve curve.json with
    another --rate needs no time for that again.  A curve can be edited, or drawn from scratch as CSV: 0,4 and 12.5,1
    and 20,1 in three lines is four times as fast for 12.5 s, then as it was, to the end at 20 s.

    --heatmap heat.mp4 writes the clip itself, with its sound, under colours that show where the model sees what, and
    with --heatmap-kind speed which places were slowed down.

    Batches: several videos, a folder (with its subfolders), a pattern or a list; the tree is mirrored in the folder
    that --output names, and what is there already, made from the same inputs and options, is skipped.

    Each option can also be set in the environment, such as STRUCTKIT_SPEEDUP_RATE=3, or in a file with --config.
    In the environment the spans of --keep are separated by : and written as 10s-25s.

    Example: structkit speedup hike.mp4 --rate 2 --curve curve.svg -o short.mp4
    """
    asked = {"duration": wanted.duration, "model": wanted.model, "keep": tuple(keep or ())}
    places = {"curve": wanted.curve, "from_curve": wanted.from_curve, "report": wanted.report}
    colours = {"heatmap": wanted.heatmap, "heatmap_kind": wanted.heatmap_kind}
    batch.run(plan_speedups(videos, course, video, running, **asked, **places, **colours, dry=wanted.dry_run), running)
