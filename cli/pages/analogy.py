"""`structkit analogy SOURCE TARGET`: the structure of a picture, or of a video, with the look of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from structkit.configs import AnalogyConfig, Config, PairResultConfig, option
from structkit.errors import OptionError
from structkit_cli.options import in_panels, named
from structkit_cli.pages.analogy_drafts import DraftOptions
from structkit_cli.pages.analogy_guides import GuideOptions
from structkit_cli.pages.analogy_options import (
    PAIR_PANEL,
    PATCH_PANEL,
    AnalogyRunOptions,
    EngineOptions,
    painter_of,
)
from structkit_cli.pages.analogy_plan import plan_analogies
from structkit_cli.run import batch

Source = Annotated[
    str | None,
    typer.Argument(
        help="gives the structure: a picture or video, a folder, a 'pattern*.png', @list.txt or -", metavar="SOURCE"
    ),
]
Target = Annotated[
    str | None,
    typer.Argument(help="gives the look: a picture, likewise; with a video for SOURCE also a video", metavar="TARGET"),
]


@dataclass(frozen=True)
class AnalogyOptions(Config):
    """Options of the results of a pair: their size, their number and their directions."""

    size: str | None = named(
        None, "width and height of the result, px; else the source's, reduced to --max-side", "WxH"
    )
    count: int = option(1, "how many to draw; more than one are numbered", low=1, high=9999)
    both: bool = option(False, "also the target's structure with the source's look, as NAME-swapped")
    compare: str | None = named(None, "also write the pictures side by side: a file, or in a batch a folder", "OUT")


@in_panels(PATCH_PANEL, PAIR_PANEL)
def analogy(
    source: Source = None,
    target: Target = None,
    *,
    wanted: AnalogyOptions,
    engine: EngineOptions,
    patches: AnalogyConfig,
    guides: GuideOptions,
    drafts: DraftOptions,
    pair: PairResultConfig,
    running: AnalogyRunOptions,
) -> None:
    """Make a picture, or a video, with the structure of SOURCE (where things are) and the look of TARGET (colours,
    textures).

    In: two pictures (PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF).  Out: one picture, SOURCE-TARGET.png in the current
    folder, or what --output names; its path is printed on stdout.

    SOURCE may be a video (MP4, MOV, MKV, WebM, AVI and others).  Out then: a video, SOURCE-TARGET.mp4 or what --output
    names (.mp4, .mov, .mkv, .webm), with the same times of frames, sound and subtitles; --quality is that of the
    encoding.

    TARGET may be a video, too, and gives its motion with its look: what moves in SOURCE becomes what moves in TARGET.
    --match motion asks for that alone, which suits a stream that is to become another; --match structure, the default,
    has the colours of SOURCE say more.  Such a result is made in space and time: of the first 120 frames of TARGET, its
    longest side 256 px unless --size or --max-side says another.

    Batches: SOURCE or TARGET may be a folder (with its subfolders), a pattern or a list (one path a line); the other
    picture is then used with each, and the tree is mirrored in the folder that --output names.  Where both are many,
    pictures of the same path and name (but for the suffix) make a pair, and each must have its partner.  What is there
    already, made from the same inputs and options, is skipped: the same command goes on where it was stopped.

    Guides: --guide SOURCE_MAP TARGET_MAP says what is to become what: where the map of SOURCE is red the result is made
    of what is red in the map of TARGET.  A map of up to 24 colours has labels; any other is compared as it looks.  It
    has the shape of its picture, in any size.  The map of a video is a video or a folder of pictures, one for each
    frame, or one picture for all; in a batch a folder has the maps of many, under the names of their pictures.

    Drafts: the result is the best of several small ones, chosen by scores, which --json tells.  --drafts DIR writes all
    of them as NAME-draft-01.png (the best), NAME-draft-02.png and so on: rough, but one sees what each keeps.  The same
    command with --like DIR/NAME-draft-03.png in the place of --drafts, and another --output, goes on from the third.

    Trained pairs: --engine gan first trains generators between the two pictures (see structkit train analogy), and
    keeps them beside the output, as OUTPUT.safetensors; stopped in whatever way, it goes on with the same command.
    --model alone draws again from what was trained; with a SOURCE, which may be a video, it gives that the target's
    look.

    Each option can also be set in the environment, such as STRUCTKIT_ANALOGY_STRENGTH=0.7, or in a file with --config.

    Example: structkit analogy house.png cake.png -o house-of-cake.png
    """
    if source == target == "-":
        raise OptionError("SOURCE and TARGET are both standard input (-): it can be read only once")
    painter = painter_of(engine, patches, guides, drafts, pair, running, source=source, target=target, size=wanted.size)
    asked = {"count": wanted.count, "both": wanted.both, "compare": wanted.compare, "drafts": drafts.drafts}
    batch.run(plan_analogies(source, target, painter, engine, pair, running, **asked), running)
