"""`structkit analogy SOURCE TARGET`: the structure of a picture, or of a video, with the look of another picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from structkit.configs import AnalogyConfig, Config, option
from structkit.errors import OptionError
from structkit_cli import batch
from structkit_cli.inputs import Gathered, Input, gather
from structkit_cli.options import Running, named, result_size
from structkit_cli.plan import Output, Place, Task, check_alpha, numbered

if TYPE_CHECKING:
    from structkit.media.pictures import Picture

    Result = Picture | batch.Film

Source = Annotated[
    str, typer.Argument(help="gives the structure: a picture or video, a folder, a 'pattern*.png', @list.txt or -", metavar="SOURCE")
]
Target = Annotated[str, typer.Argument(help="gives the look: a picture, likewise", metavar="TARGET")]


@dataclass(frozen=True)
class Wanted(Config):
    """What to make of a pair."""

    size: str | None = named(None, "width and height of the result, px; else the source's, reduced to --max-side", "WxH")
    samples: int = option(1, "how many to draw; more than one are numbered", low=1, high=9999)
    both: bool = option(False, "also the target's structure with the source's look, as NAME-swapped")
    compare: str | None = named(None, "also write the pictures side by side: a file, or in a batch a folder", "OUT")


def analogy(source: Source, target: Target, *, wanted: Wanted, engine: AnalogyConfig, running: Running) -> None:
    """Make a picture, or a video, with the structure of SOURCE (where things are) and the look of TARGET (colours, textures).

    In: two pictures (PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF).  Out: one picture, SOURCE-TARGET.png in the current folder, or what --output
    names; its path is printed on stdout.

    SOURCE may be a video (MP4, MOV, MKV, WebM, AVI and others).  Out then: a video, SOURCE-TARGET.mp4 or what --output names (.mp4, .mov,
    .mkv, .webm), with the same times of frames, sound and subtitles; --quality is that of the encoding (else 64).

    Batches: SOURCE or TARGET may be a folder (with its subfolders), a pattern or a list (one path a line); the other picture is then used
    with each, and the tree is mirrored in the folder that --output names.  Where both are many, pictures of the same path and name (but for
    the suffix) make a pair, and each must have its partner.  What is there already, made from the same inputs and options, is skipped: the
    same command goes on where it was stopped.

    Each option can also be set in the environment, such as STRUCTKIT_ANALOGY_STRENGTH=0.7, or in a file with --config.

    Example: structkit analogy house.png cake.png -o house-of-cake.png
    """
    if source == target == "-":
        raise OptionError("SOURCE and TARGET are both standard input (-): it can be read only once")
    size, compare, numbers = result_size(wanted.size, engine.max_side), wanted.compare, numbered(wanted.samples)
    places = running.output, compare
    sources, targets = gather([source], leave_out=places, videos=True), gather([target], leave_out=places)
    many = sources.many or targets.many
    _check_videos(sources, targets, wanted, running)
    place = Place(running.output, many=many, format=running.format, video=not many and sources.inputs[0].is_video)
    strips = Place(compare, many=many, format=None, flag="--compare") if compare is not None else None
    tasks: list[Task] = []
    for name, one, other in _pairs(sources, targets):
        for word, inputs in {"": (one, other), "-swapped": (other, one)}.items() if wanted.both else [("", (one, other))]:
            outputs = [
                place.output(name, word=word + number, seed=running.seed + i, video=one.is_video) for i, number in enumerate(numbers)
            ]
            if strips:
                outputs.append(strips.output(name, word=word, seed=running.seed, strip=True))
            tasks.append(Task(dict(zip(("source", "target"), inputs, strict=True)), tuple(outputs)))
    for p in (place, strips) if strips else (place,):
        p.set_apart((sources, targets), running.exists)

    def make(task: Task, missing: Sequence[Output], device: str, progress: batch.Progress) -> Iterator[tuple[Output, Result]]:
        import structkit

        if missing[0].video:
            yield missing[0], film(task, missing[0], device, progress)
            return
        pictures = {role: given.picture(running.max_pixels) for role, given in task.inputs.items()}
        check_alpha(pictures["source"], missing)
        strip = next((output for output in missing if output.strip), None)
        results = [output for output in task.outputs if not output.strip and (strip or output in missing)]
        made: list[Picture] = []
        for i, output in enumerate(results):
            how = {"seed": output.seed, "device": device, "dtype": running.dtype, "progress": batch.share(progress, i, len(results))}
            made += structkit.analogy(*pictures.values(), size=size, samples=1, **how, **asdict(engine))
            if output in missing:
                yield output, made[-1]
        if strip:
            yield strip, _side_by_side(pictures, made)

    def film(task: Task, output: Output, device: str, progress: batch.Progress) -> batch.Film:
        import structkit

        one, other = task.inputs.values()
        how = {"seed": output.seed, "device": device, "dtype": running.dtype, "progress": progress, **asdict(engine)}
        return lambda where: structkit.analogy_video(
            one.video(running.max_pixels), other.picture(running.max_pixels), where, size=size, quality=running.quality, **how
        )

    options = asdict(engine) | {"size": size, "samples": len(numbers) if compare else 1}
    batch.run("analogy", tasks, make, running, options=options, many=many, foreign=sources.foreign + targets.foreign)


def _check_videos(sources: Gathered, targets: Gathered, wanted: Wanted, running: Running) -> None:
    """Refuse what cannot be with a video."""
    for given in targets.inputs:
        if given.path is not None and given.is_video:
            raise OptionError(f"{given.name} is a video, and TARGET must be a picture: name one of its frames")
    films = [given for given in sources.inputs if given.is_video]
    asked = {"--samples": wanted.samples > 1, "--both": wanted.both, "--compare": wanted.compare is not None}
    for flag in (flag for flag, is_set in asked.items() if is_set and films):
        raise OptionError(f"{flag} is for pictures, and {films[0].name} is a video: leave one of them out")
    if running.format and films and len(films) == len(sources.inputs):
        raise OptionError(f"--format is for pictures, and {films[0].name} is a video: name the output, such as --output NAME.mkv")


def _side_by_side(pictures: dict[str, Picture], results: list[Picture]) -> Picture:
    from structkit.media.strip import comparison_strip

    labels = ["result"] if len(results) == 1 else [f"result {i + 1}" for i in range(len(results))]
    return comparison_strip([*pictures.items(), *zip(labels, results, strict=True)])


def _pairs(sources: Gathered, targets: Gathered) -> list[tuple[PurePath, Input, Input]]:
    """(output's path without suffix, source, target): one with each of many, or many with many by equal paths without suffix."""
    if not (sources.many or targets.many):
        one, other = sources.inputs[0], targets.inputs[0]
        return [(PurePath(f"{one.relative.stem}-{other.relative.stem}"), one, other)]
    if not targets.many:
        return [(s.stem, s, t) for s in sources.inputs for t in targets.inputs]
    if not sources.many:
        return [(t.stem, s, t) for s in sources.inputs for t in targets.inputs]
    partners = {t.stem: t for t in targets.inputs}
    for t in targets.inputs:
        if partners[t.stem] is not t:
            raise OptionError(f"{t.name} and {partners[t.stem].name} are of the same name but for the suffix: rename one")
    names = {s.stem for s in sources.inputs}
    alone = [s.name for s in sources.inputs if s.stem not in partners] + [t.name for t in targets.inputs if t.stem not in names]
    if alone:
        more = f", nor have {len(alone) - 1} others" if len(alone) > 1 else ""
        raise OptionError(f"{alone[0]} has no partner of the same name on the other side{more}: complete the pairs, or give one picture")
    return [(s.stem, s, partners[s.stem]) for s in sources.inputs]
