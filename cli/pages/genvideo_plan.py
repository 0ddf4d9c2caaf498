"""The plan of new clips: the outputs of each clip, and the maker that asks an engine for them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from structkit.errors import OptionError
from structkit.header import read_card
from structkit.media.containers import WRITTEN as VIDEOS_WRITTEN
from structkit_cli.options import RunOptions
from structkit_cli.pages.genvideo_engines import ClipTask, ModelClips, PatchClips
from structkit_cli.pages.genvideo_options import ClipEngineOptions, checkpoint_of
from structkit_cli.run.inputs import InputFile, InputList, gather
from structkit_cli.run.models import model_refs
from structkit_cli.run.plan import Destination, Maker, Output, Plan, Progress, names_video, numbered, share
from structkit_cli.run.results import (
    ClipResult,
    OutputKind,
    PictureResult,
    Result,
    TextResult,
)

if TYPE_CHECKING:
    from structkit.media.moving_pictures import Clip

COUNT = 4  # results of each clip, where nothing says that one is wanted
MOST_SHOWN = 32  # results of a sheet or a page


class ClipMaker(Maker):
    """The maker of new clips, and of the sheets and pages that show them beside the one that they were made of."""

    def __init__(self, engine: PatchClips | ModelClips) -> None:
        self.engine = engine

    def make(
        self, task: ClipTask, missing: Sequence[Output], device: str, progress: Progress
    ) -> Iterator[tuple[Output, Result]]:
        clip = self.engine.clip(task, device, progress)
        shown = next((output for output in missing if output.kind.compares), None)
        results = [output for output in task.outputs if not output.kind.compares]
        kept = results[:MOST_SHOWN] if shown else []
        wanted = [output for output in results if output in missing or output in kept]
        rows = [("clip", _ahead(clip, self.engine.course.extend_back))]
        for i, output in enumerate(wanted):
            made = self.engine.draw(task, clip, output.seed, device, share(progress, i, len(wanted)))
            if output in kept:
                rows.append((f"result {len(rows)}" if len(results) > 1 else "result", made))
            if output in missing:
                yield output, _result(made, output)
        if shown:
            left_out = (f"of {len(results)} results the first {len(kept)} are shown",) if kept != results else ()
            yield shown, _comparison(rows, shown, f"{clip.name}, and new clips of it", left_out)


def plan_clips(
    clips: Sequence[str],
    drawer: PatchClips | ModelClips,
    engine: ClipEngineOptions,
    running: RunOptions,
    *,
    count: int | None,
    compare: str | None,
) -> Plan:
    """The plan of new clips of each clip, or of a model alone.

    count: of the results of one clip; None is one where one is asked for, else COUNT.
    compare: where to show them beside the clip, or None.
    """
    found = gather(clips, leave_out=(running.output, compare), clips=True) if clips else InputList()
    model = model_refs([engine.drawn], "genvideo")[0].input if engine.drawn else None
    sources = found.inputs if model is None or clips else [model]
    kept = running.keep_suffix
    how = {"many": found.many, "keep_suffix": kept}
    pictures = _is_of_a_picture(model) if model else engine.trains and all(given.is_still for given in sources)
    kind = OutputKind.PICTURE if pictures and not _asks_for_video(running) else OutputKind.CLIP
    place = Destination(running.output, format=running.format, kind=kind, **how)
    single = place.stdout or not place.is_folder or drawer.course.keeps
    numbers = numbered(count or (1 if single else COUNT))
    sheets = None
    if compare is not None:
        kind = _sheet_kind(compare, many=found.many)
        sheets = Destination(compare, format=None, flag="--compare", kind=kind, **how)
    tasks = []
    for given in sources:
        own = place.name_of(given)
        name = own if found.many else PurePath(f"{own}-genvideo")
        outputs = [place.output(name, word=word, seed=running.seed + i) for i, word in enumerate(numbers)]
        if sheets:
            outputs.append(sheets.output(name, seed=running.seed))
        checkpoint = model.path if model else None
        if engine.trains:
            checkpoint = checkpoint_of(engine, place.output(name, seed=running.seed), many=found.many)
        inputs = ({"clip": given} if clips else {}) | ({"model": model} if model else {})
        tasks.append(ClipTask(inputs, tuple(outputs), checkpoint))
    for one in (place, sheets) if sheets else (place,):
        one.set_apart((found,), running.exists)
    options = drawer.options | {"samples": len(numbers) if compare else 1}
    how = {"many": found.many, "foreign": found.foreign, "unread": found.unread}
    return Plan("genvideo", tasks, ClipMaker(drawer), options=options, **how)


def _sheet_kind(compare: str, *, many: bool) -> OutputKind:
    """The kind of what --compare names: a page, or a picture or a folder of them.  Raises OptionError."""
    if compare == "-" or compare.endswith("/") or os.path.isdir(compare):
        return OutputKind.COMPARISON
    suffix, suffixes = PurePath(compare).suffix.lower(), OutputKind.COMPARISON.suffixes
    if suffix in OutputKind.PLAYER.suffixes:
        return OutputKind.PLAYER
    if not many and suffix not in suffixes and not names_video(compare):
        ends = " ".join((*suffixes, *OutputKind.PLAYER.suffixes))
        raise OptionError(f"--compare {compare} has a suffix that names no format: use one of {ends}")
    return OutputKind.COMPARISON


def _is_of_a_picture(model: InputFile) -> bool:
    """True for a model of a picture, which draws pictures."""
    config = read_card(model.path).get("config")  # type: ignore[arg-type]
    return isinstance(config, dict) and config.get("window") == 1


def _asks_for_video(running: RunOptions) -> bool:
    return f".{running.format}" in VIDEOS_WRITTEN or (running.output is not None and names_video(running.output))


def _result(made: Clip, output: Output) -> Result:
    if output.kind is OutputKind.CLIP:
        return ClipResult(made.frames, made.rate, made.notes)
    from structkit.media.pictures import Picture

    return PictureResult(Picture(made.frames[0], name=made.name, notes=made.notes))


def _ahead(clip: Clip, count: int) -> Clip:
    """The clip as it is shown beside results that begin so many frames before it: with white frames ahead."""
    import numpy as np

    if not count:
        return clip
    return replace(clip, frames=np.concatenate([np.full((count, *clip.frames.shape[1:]), 255, np.uint8), clip.frames]))


def _comparison(rows: Sequence[tuple[str, Clip]], output: Output, title: str, notes: tuple[str, ...]) -> Result:
    if output.kind is OutputKind.PLAYER:
        from structkit.media.player import player_page

        return TextResult(player_page(rows, title=title), notes)
    from structkit.media.contact import contact_sheet

    return PictureResult(replace(contact_sheet(rows), notes=notes))
