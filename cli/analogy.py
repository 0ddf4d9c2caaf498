"""`structkit analogy SOURCE TARGET`: the structure of one picture with the look of another."""

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

Source = Annotated[str, typer.Argument(help="gives the structure: a picture, a folder, a 'pattern*.png', @list.txt or -", metavar="SOURCE")]
Target = Annotated[str, typer.Argument(help="gives the look: likewise", metavar="TARGET")]


@dataclass(frozen=True)
class Wanted(Config):
    """What to make of a pair."""

    size: str | None = named(None, "width and height of the result, px; else the source's, reduced to --max-side", "WxH")
    samples: int = option(1, "how many to draw; more than one are numbered", low=1, high=9999)
    both: bool = option(False, "also the target's structure with the source's look, as NAME-swapped")
    compare: str | None = named(None, "also write the pictures side by side: a file, or in a batch a folder", "OUT")


def analogy(source: Source, target: Target, *, wanted: Wanted, engine: AnalogyConfig, running: Running) -> None:
    """Make a picture with the structure of SOURCE (where things are) and the look of TARGET (colours, textures).

    In: two pictures (PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF).  Out: one picture, SOURCE-TARGET.png in the current folder, or what --output
    names; its path is printed on stdout.

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
    sources, targets = (gather([argument], leave_out=(running.output, compare)) for argument in (source, target))
    many = sources.many or targets.many
    place = Place(running.output, many=many, format=running.format)
    strips = Place(compare, many=many, format=None, flag="--compare") if compare is not None else None
    tasks: list[Task] = []
    for name, one, other in _pairs(sources, targets):
        for word, inputs in {"": (one, other), "-swapped": (other, one)}.items() if wanted.both else [("", (one, other))]:
            outputs = [place.output(name, word=word + number, seed=running.seed + i) for i, number in enumerate(numbers)]
            if strips:
                outputs.append(strips.output(name, word=word, seed=running.seed, strip=True))
            tasks.append(Task(dict(zip(("source", "target"), inputs, strict=True)), tuple(outputs)))
    for p in (place, strips) if strips else (place,):
        p.set_apart((sources, targets), running.exists)

    def make(task: Task, missing: Sequence[Output], device: str, progress: batch.Progress) -> Iterator[tuple[Output, Picture]]:
        import structkit

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

    options = asdict(engine) | {"size": size, "samples": len(numbers) if compare else 1}
    batch.run("analogy", tasks, make, running, options=options, many=many, foreign=sources.foreign + targets.foreign)


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
