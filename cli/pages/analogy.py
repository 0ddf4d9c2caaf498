"""`structkit analogy SOURCE TARGET`: the structure of a picture, or of a video, with the look of another picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from structkit.configs import AnalogyConfig, Config, PairResultConfig, option
from structkit.errors import OptionError
from structkit_cli.options import in_panels, named
from structkit_cli.pages.analogy_engines import PairTask, PatchEngine
from structkit_cli.pages.analogy_options import (
    PAIR_PANEL,
    PATCH_PANEL,
    AnalogyRunOptions,
    EngineOptions,
    checkpoint_of,
    painter_of,
)
from structkit_cli.pages.analogy_pairs import paired
from structkit_cli.run import batch
from structkit_cli.run.inputs import InputFile, InputList, gather
from structkit_cli.run.plan import Destination, Output, Task, check_alpha, numbered

if TYPE_CHECKING:
    from structkit.media.pictures import Picture

    Result = Picture | batch.Film

Source = Annotated[
    str | None,
    typer.Argument(
        help="gives the structure: a picture or video, a folder, a 'pattern*.png', @list.txt or -", metavar="SOURCE"
    ),
]
Target = Annotated[str | None, typer.Argument(help="gives the look: a picture, likewise", metavar="TARGET")]


@dataclass(frozen=True)
class AnalogyOptions(Config):
    """What to make of a pair: how large, how many, and in which directions."""

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

    Batches: SOURCE or TARGET may be a folder (with its subfolders), a pattern or a list (one path a line); the other
    picture is then used with each, and the tree is mirrored in the folder that --output names.  Where both are many,
    pictures of the same path and name (but for the suffix) make a pair, and each must have its partner.  What is there
    already, made from the same inputs and options, is skipped: the same command goes on where it was stopped.

    Trained pairs: --engine gan first trains generators between the two pictures (see structkit train analogy), and
    keeps them beside the output, as OUTPUT.safetensors; stopped in whatever way, it goes on with the same command.
    --model alone draws again from what was trained; with a SOURCE, which may be a video, it gives that the target's
    look.

    Each option can also be set in the environment, such as STRUCTKIT_ANALOGY_STRENGTH=0.7, or in a file with --config.

    Example: structkit analogy house.png cake.png -o house-of-cake.png
    """
    if source == target == "-":
        raise OptionError("SOURCE and TARGET are both standard input (-): it can be read only once")
    painter = painter_of(engine, patches, pair, running, source=source, target=target, size=wanted.size)
    if wanted.both and source is not None and target is None:
        raise OptionError("--both is for the pair's own two pictures, and SOURCE is another one: leave one of them out")
    compare, numbers = wanted.compare, numbered(wanted.count)
    places = running.output, compare
    sources = None if source is None else gather([source], leave_out=places, videos=True)
    targets = None if target is None else gather([target], leave_out=places)
    gathered = [found for found in (sources, targets) if found]
    many = any(found.many for found in gathered)
    films = [given for given in sources.inputs if given.is_video] if sources else []
    _check_videos(films, sources, targets, wanted, pair, running)
    place = Destination(running.output, many=many, format=running.format, video=bool(films) and not many)
    strips = Destination(compare, many=many, format=None, flag="--compare") if compare is not None else None
    tasks: list[Task] = []
    for name, inputs in paired(sources, targets, engine.drawn):
        for swapped in (False, True) if wanted.both else (False,):
            roles = inputs | {"source": inputs["target"], "target": inputs["source"]} if swapped and targets else inputs
            word, video = "-swapped" if swapped else "", "source" in inputs and inputs["source"].is_video
            outputs = [
                place.output(name, word=word + n, seed=running.seed + i, video=video) for i, n in enumerate(numbers)
            ]
            if strips:
                outputs.append(strips.output(name, word=word, seed=running.seed, strip=True))
            if isinstance(painter, PatchEngine):
                tasks.append(Task(roles, tuple(outputs)))
            else:
                checkpoint = checkpoint_of(engine, place.output(name, seed=running.seed), many=many)
                tasks.append(PairTask(roles, tuple(outputs), checkpoint, swapped))
    for p in (place, strips) if strips else (place,):
        p.set_apart(gathered, running.exists)

    def make(
        task: Task, missing: Sequence[Output], device: str, progress: batch.Progress
    ) -> Iterator[tuple[Output, Result]]:
        if missing[0].video:
            yield missing[0], painter.film(task, missing[0], device, progress)
            return
        pictures = painter.pictures(task, device)
        check_alpha(pictures["source"], missing)
        strip = next((output for output in missing if output.strip), None)
        results = [output for output in task.outputs if not output.strip and (strip or output in missing)]
        made: list[Picture] = []
        for i, output in enumerate(results):
            made.append(painter.paint(task, pictures, output.seed, device, batch.share(progress, i, len(results))))
            if output in missing:
                yield output, made[-1]
        if strip:
            yield strip, _side_by_side(pictures, made)

    # The key of --count in manifests, which folders of former versions have.
    options = painter.options | {"samples": len(numbers) if compare else 1}
    batch.run(
        "analogy", tasks, make, running, options=options, many=many, foreign=sum(found.foreign for found in gathered)
    )


def _check_videos(
    films: Sequence[InputFile],
    sources: InputList | None,
    targets: InputList | None,
    wanted: AnalogyOptions,
    pair: PairResultConfig,
    running: AnalogyRunOptions,
) -> None:
    """Refuse what cannot be with a video.  films: those among the sources."""
    for given in targets.inputs if targets else ():
        if given.path is not None and given.is_video:
            raise OptionError(f"{given.name} is a video, and TARGET must be a picture: name one of its frames")
    if not (films and sources):
        return
    asked = {"--count": wanted.count > 1, "--both": wanted.both, "--compare": wanted.compare is not None}
    asked |= {
        "--refine chain": pair.refine == "chain",
        "--draw partner": pair.draw == "partner",
    }  # a video flickers with the first
    for flag in (flag for flag, is_set in asked.items() if is_set):
        raise OptionError(f"{flag} is for pictures, and {films[0].name} is a video: leave one of them out")
    if running.format and len(films) == len(sources.inputs):
        raise OptionError(
            f"--format is for pictures, and {films[0].name} is a video: name the output, such as --output NAME.mkv"
        )


def _side_by_side(pictures: dict[str, Picture], results: list[Picture]) -> Picture:
    from structkit.media.strip import comparison_strip

    labels = ["result"] if len(results) == 1 else [f"result {i + 1}" for i in range(len(results))]
    return comparison_strip([*pictures.items(), *zip(labels, results, strict=True)])
