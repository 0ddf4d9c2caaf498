"""The plan of analogies: the outputs of each pair, and the maker that asks an engine for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from structkit.configs import PairResultConfig
from structkit.errors import OptionError
from structkit.media.formats import HEAD, recognise
from structkit.media.warned import warnings_of_this_thread
from structkit_cli.options import RunOptions
from structkit_cli.pages.analogy_drafts import DraftPlaces
from structkit_cli.pages.analogy_engines import PairEngine, PairTask, PatchEngine
from structkit_cli.pages.analogy_guides import GuideFiles
from structkit_cli.pages.analogy_options import EngineOptions, checkpoint_of
from structkit_cli.pages.analogy_pairs import paired
from structkit_cli.run.checks import check_alpha
from structkit_cli.run.inputs import InputFile, InputList, gather
from structkit_cli.run.plan import Destination, Maker, Output, Plan, Progress, Task, names_video, numbered, share
from structkit_cli.run.results import OutputKind, PictureResult, Result, VideoResult

if TYPE_CHECKING:
    from structkit.media.pictures import Picture


class AnalogyMaker(Maker):
    """The maker of analogies, of their videos, of the strips that compare them, and of the drafts behind them."""

    def __init__(self, engine: PatchEngine | PairEngine) -> None:
        self.engine = engine

    def make(
        self, task: Task, missing: Sequence[Output], device: str, progress: Progress
    ) -> Iterator[tuple[Output, Result]]:
        if missing[0].kind is OutputKind.VIDEO:
            yield missing[0], VideoResult(self.engine.film(task, missing[0], device, progress))
            return
        pictures = self.engine.pictures(task, device)
        check_alpha(pictures["source"], missing)
        strip = next((output for output in missing if output.kind is OutputKind.COMPARISON), None)
        results = [o for o in task.outputs if o.kind is OutputKind.PICTURE and (strip or o in missing)]
        drafts = [output for output in missing if output.kind is OutputKind.DRAFT]
        shown: list[Picture] = []
        best: dict[str, Picture] = {}
        if drafts and isinstance(self.engine, PatchEngine):
            part = share(progress, 0, 1 + len(results))
            shown = self.engine.drafts(task, pictures, drafts[0].seed, device, part)
            best["best"] = shown[0]
        made: list[Picture] = []
        for i, output in enumerate(results, bool(drafts)):
            part = share(progress, i, bool(drafts) + len(results))
            made.append(self.engine.paint(task, pictures, output.seed, device, part, **best))
            if output in missing:
                yield output, PictureResult(made[-1])
        if strip:
            yield strip, PictureResult(_side_by_side(pictures, made))
        ranked = [output for output in task.outputs if output.kind is OutputKind.DRAFT] if shown else []
        for output, picture in zip(ranked, shown, strict=True):
            if output in drafts:
                yield output, PictureResult(picture)


def plan_analogies(
    source: str | None,
    target: str | None,
    painter: PatchEngine | PairEngine,
    engine: EngineOptions,
    pair: PairResultConfig,
    running: RunOptions,
    *,
    count: int,
    both: bool,
    compare: str | None,
    drafts: str | None,
) -> Plan:
    """The plan of the analogies of all sources and targets; one that is None is the painter's own.

    count: the number of results of each pair.
    both: also those of source and target exchanged.
    compare: the place of the strips.
    drafts: that of the drafts.
    """
    if both and source is not None and target is None:
        raise OptionError("--both is for the pair's own two pictures, and SOURCE is another one: leave one of them out")
    numbers, places = numbered(count), (running.output, compare, drafts)
    sources = None if source is None else gather([source], leave_out=places, videos=True)
    films = [given for given in sources.inputs if given.is_video] if sources else []
    moving = isinstance(painter, PatchEngine) and sources is not None and len(films) == len(sources.inputs) > 0
    targets = None if target is None else gather([target], leave_out=places, videos=moving)
    maps = None
    if isinstance(painter, PatchEngine) and painter.guides.guide and sources and targets:
        maps = GuideFiles(painter.guides.guide, sources, targets, places)
    gathered = [found for found in (sources, targets) if found]
    many = any(found.many for found in gathered)
    _check_targets(targets, sources, painter, moving=moving)
    if films and sources:
        asked = {"--count": count > 1, "--both": both, "--compare": compare is not None}
        asked |= {"--drafts": drafts is not None, "--like": isinstance(painter, PatchEngine) and bool(painter.like)}
        # a video flickers with the chain
        asked |= {"--refine chain": pair.refine == "chain", "--draw partner": pair.draw == "partner"}
        _check_videos(films, asked, running, alone=len(films) == len(sources.inputs))
    elif sources and not many and running.output and names_video(running.output):
        _check_still(sources.inputs[0], running)
    single = OutputKind.VIDEO if films and not many else OutputKind.PICTURE
    kept = running.keep_suffix
    place = Destination(running.output, many=many, format=running.format, kind=single, keep_suffix=kept)
    strips = None
    if compare is not None:
        strips = Destination(compare, many=many, format=None, flag="--compare", kind=OutputKind.COMPARISON)
    sketches = None
    if drafts is not None and isinstance(painter, PatchEngine):
        if count > 1:
            raise OptionError("--drafts are those of one result: leave it out, or --count")
        sketches = DraftPlaces(drafts, painter.config, keep_suffix=kept)
    tasks: list[Task] = []
    for name, inputs in paired(sources, targets, engine.drawn, keep_suffix=kept):
        kind = OutputKind.VIDEO if "source" in inputs and inputs["source"].is_video else OutputKind.PICTURE
        for swapped in (False, True) if both else (False,):
            roles = inputs | {"source": inputs["target"], "target": inputs["source"]} if swapped and targets else inputs
            word = "-swapped" if swapped else ""
            outputs = [
                place.output(name, word=word + n, seed=running.seed + i, kind=kind) for i, n in enumerate(numbers)
            ]
            if strips:
                outputs.append(strips.output(name, word=word, seed=running.seed))
            if sketches:
                outputs += sketches.outputs(name, word=word, seed=running.seed)
            if maps:
                roles = roles | maps.of(roles, swapped=swapped)
            if isinstance(painter, PatchEngine):
                tasks.append(Task(roles, tuple(outputs)))
            else:
                checkpoint = checkpoint_of(engine, place.output(name, seed=running.seed), many=many)
                tasks.append(PairTask(roles, tuple(outputs), checkpoint, swapped))
    for p in (place, *filter(None, (strips, sketches and sketches.destination))):
        p.set_apart([*gathered, *(maps.gathered if maps else ())], running.exists)
    # The key of --count in manifests, also in those of former versions.
    options = painter.options | {"samples": len(numbers) if compare else 1}
    foreign = sum(found.foreign for found in gathered)
    unread = [path for found in gathered for path in found.unread]
    return Plan("analogy", tasks, AnalogyMaker(painter), options=options, many=many, foreign=foreign, unread=unread)


def _check_targets(
    targets: InputList | None, sources: InputList | None, painter: PatchEngine | PairEngine, *, moving: bool
) -> None:
    """Refuse a video among the targets where the engine or a source takes none, and a picture where motion is compared.

    moving: true for an analogy by patches all of whose sources are videos.
    """
    by_patches = isinstance(painter, PatchEngine)
    stills = [given for given in sources.inputs if not given.is_video] if sources else []
    for given in targets.inputs if targets else ():
        if given.path is not None and given.is_video and not moving:
            way_out = "name one of its frames"
            if not by_patches:
                raise OptionError(f"{given.name} is a video, and TARGET must be a picture: {way_out}")
            fact = f"{given.name} is a video, and SOURCE {stills[0].name} is a picture" if stills else given.name
            raise OptionError(f"{fact}: give a video for SOURCE, too, or {way_out}")
    if by_patches and painter.config.match == "motion":
        given = [*stills, *(given for given in (targets.inputs if targets else ()) if not given.is_video)]
        if given:
            fact = f"--match motion compares how things move, and {given[0].name} is a picture"
            raise OptionError(f"{fact}: give two videos, or leave it out")


def _check_still(given: InputFile, running: RunOptions) -> None:
    """Refuse a video's name for what comes of a picture.

    Only the header is read: whether the picture is whole is another question, for which there are options.
    """
    if given.path is None or not given.path.is_file():  # an input that can be read only once
        return
    format, is_animation = None, False
    # Whoever reads the picture says what is wrong: no right to read it, a damaged header.
    with suppress(Exception), given.path.open("rb") as stream, warnings_of_this_thread():
        format = recognise(stream.read(HEAD))
        stream.seek(0)
        is_animation = format and format.name != "TIFF" and getattr(format.open(stream), "is_animated", False)
    if format is None:
        return
    if is_animation:
        raise OptionError(
            f"{given.name} is an animation, of which only the first picture is read: convert it to a video, such as "
            f".mp4, or end --output {running.output} in .png"
        )
    if not running.format:
        fact = f"{given.name} is a picture, and --output {running.output} names a video"
        raise OptionError(f"{fact}: end the name in .png, or give a video")


def _check_videos(films: Sequence[InputFile], asked: Mapping[str, bool], running: RunOptions, *, alone: bool) -> None:
    """Refuse options and outputs that cannot be with a video.

    films: those among the sources.
    asked: by the words of an option, true if it is set.
    alone: true if there are no pictures among the sources.
    """
    for flag in (flag for flag, is_set in asked.items() if is_set):
        raise OptionError(f"{flag} is for pictures, and {films[0].name} is a video: leave one of them out")
    if running.format and alone:
        raise OptionError(
            f"--format is for pictures, and {films[0].name} is a video: name the output, such as --output NAME.mkv"
        )


def _side_by_side(pictures: dict[str, Picture], results: list[Picture]) -> Picture:
    from structkit.media.strip import comparison_strip

    labels = ["result"] if len(results) == 1 else [f"result {i + 1}" for i in range(len(results))]
    return comparison_strip([*pictures.items(), *zip(labels, results, strict=True)])
