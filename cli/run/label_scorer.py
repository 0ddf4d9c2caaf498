"""The scorer of classifiers on labelled pictures that are changed: what it tells, as a table, a record and a chart."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from structkit._version import __version__
from structkit.configs import MAX_PIXELS, millions, option
from structkit.configs.corrupt import CATEGORIES, CORRUPTIONS, SEVERITIES
from structkit.data.listing import counted
from structkit.device import load_torch
from structkit.errors import InputError, OptionError, OutputError
from structkit.media.files import write_atomically
from structkit_cli.options import TOLERANT, ProbeOptions
from structkit_cli.run.models import model_refs
from structkit_cli.run.report import Report
from structkit_cli.run.scorer import emit_lines, emit_record, figures_line
from structkit_cli.run.tables import SOME_FAILED, aligned
from structkit_cli.streams import check_stdout, tell

if TYPE_CHECKING:
    from structkit.verbs.robustness import CorruptionScores
    from structkit.verbs.texture import TextureScores

DRAWN = "frost is drawn here: its errors are not comparable with published ones, whose frost was photographed"
CHARTS = (".png", ".svg")
DIGITS = 6  # of figures, in records


@dataclass(frozen=True)
class LabelScoreOptions(ProbeOptions):
    """Options of the way labelled pictures are read and looked at."""

    dtype: str = option(
        "float32",
        "numbers that the network computes in; bfloat16, which auto takes where it is fast, names some pictures of a "
        "thousand otherwise",
        choices=("auto", "float32", "bfloat16"),
    )
    max_pixels: int | None = option(None, f"largest picture that is read, px; else {millions(MAX_PIXELS)}", low=1)
    tolerant: bool = option(False, TOLERANT)


@dataclass(frozen=True)
class LabelScoring:
    """The pictures and the model that are scored.

    data: the place of the pictures.  model: the checkpoint, or a name that ships.
    part: test or train.  count: pictures that are drawn; None: all.
    settings: of the score, by name, for its function.
    """

    data: str
    model: str | None
    part: str
    count: int | None
    settings: Mapping[str, Any] = field(default_factory=dict)


def score_labelled(measure: str, given: LabelScoring, running: LabelScoreOptions, chart: str | None = None) -> None:
    """Score, tell what is found, and end the program with the exit code that tells how it went.

    measure: corruptions or texture.
    chart: the file to draw a chart into, if any.
    Raises OptionError, InputError, CheckpointError, DeviceError, OutputError.
    """
    check_stdout()
    if given.model is None:
        raise OptionError("--model is missing: name a checkpoint of structkit train classifier")
    check_chart(chart)
    [ref] = model_refs([given.model], f"score {measure}")
    if not os.path.lexists(given.data):
        raise InputError(f"{given.data}: no such file or folder; name a folder that has one folder of pictures a class")
    load_torch()
    from structkit.device import resolve

    began, device = time.monotonic(), resolve(running.device)
    how = {name: getattr(running, name) for name in ("seed", "dtype", "max_pixels", "tolerant")}
    with Report(f"score {measure}", total=1, as_json=False, quiet=running.quiet, paths=False) as report:
        found = _function(measure)(
            ref.input.path,
            given.data,
            part=given.part,
            count=given.count,
            device=device,
            progress=report.progress,
            **how,
            **given.settings,
        )
    for name, why in found.rejected:
        tell(f"error: {name}: {why}")
    if not running.quiet:
        for note in [*found.notes, *_drawn(found)]:
            tell(f"warning: {note}")
    code = SOME_FAILED if found.rejected else 0
    if running.json:
        facts = {
            "record": measure,
            "verb": f"score {measure}",
            "version": __version__,
            "model": ref.input.name,
            "data": given.data,
            "part": given.part,
            "pictures": len(found.clean),
            "rejected": [{"file": name, "error": why} for name, why in found.rejected],
            "seed": running.seed,
            "dtype": running.dtype,
            "device": device,
            "clean": _clean(found),
        }
        told = {"notes": [*found.notes, *_drawn(found)], "ms": round(1000 * (time.monotonic() - began)), "exit": code}
        emit_record(_rounded(facts | _figures(found) | told))
    else:
        emit_lines(_lines(found))
    if chart is not None:  # last: what was found is told, even if a disk is full
        _write_chart(found, ref.input.stem.name, chart)
    raise typer.Exit(code)


def check_chart(chart: str | None) -> None:
    """Refuse a file for a chart that cannot be, or is there.  Raises OptionError, OutputError."""
    if chart is None:
        return
    if Path(chart).suffix.lower() not in CHARTS:
        raise OptionError(f"--chart {chart} has a suffix that names no format: use one of {' '.join(CHARTS)}")
    if os.path.lexists(chart):
        raise OptionError(f"{chart} exists: name another file with --chart")
    if not Path(chart).parent.is_dir():
        raise OutputError(f"{chart}: no such folder {Path(chart).parent}; create it first")


def _function(measure: str) -> Any:
    from structkit.verbs.robustness import score_corruptions
    from structkit.verbs.texture import score_texture

    return {"corruptions": score_corruptions, "texture": score_texture}[measure]


def _is_of_corruptions(found: Any) -> bool:
    return hasattr(found, "errors")


def _drawn(found: CorruptionScores | TextureScores) -> list[str]:
    """A note on frost, where it was drawn."""
    if not _is_of_corruptions(found):
        return []
    return [DRAWN] if "frost" in found.errors and not found.given else []  # type: ignore[union-attr]


def _clean(found: CorruptionScores | TextureScores) -> dict[str, Any]:
    clean = found.clean
    shares = {"error": clean.error, "accuracy": clean.accuracy, "top5_accuracy": clean.near_accuracy}
    return shares | {"classes": clean.by_class(found.classes)}


def _figures(found: Any) -> dict[str, Any]:
    """The figures of a record."""
    if not _is_of_corruptions(found):
        return {"draws": list(found.swapped), **_texture_figures(found)}
    complete = len(found.counted) == len(CORRUPTIONS) and all(
        set(found.errors[kind]) == set(SEVERITIES) for kind in CORRUPTIONS
    )
    frost = ("given" if found.given else "drawn") if "frost" in found.errors else None
    figures: dict[str, Any] = {
        "side": found.side,
        "frost": frost,
        "errors": {
            kind: {str(severity): error for severity, error in errors.items()} for kind, errors in found.errors.items()
        },
        "means": found.means,
        "categories": found.categories,
        "counted": found.counted,
        "mean": found.mean,
        "mean_without_frost": found.mean_without_frost,
        "imagenet": found.of_imagenet,
        "robustbench": None,
    }
    if complete:  # the names and the units of the leaderboard's files
        figures["robustbench"] = {"clean_acc": 100 * found.clean.accuracy, "corruptions_acc": 100 * (1 - found.mean)}
        if found.of_imagenet:
            figures["robustbench"]["corruptions_mce"] = 100 * found.of_imagenet["mce"]
    return figures


def _texture_figures(found: TextureScores) -> dict[str, float]:
    return {
        "swapped": found.accuracy,
        "swapped_sd": found.deviation,
        "fall": found.fall,
        "followed": found.followed,
        "followed_clean": found.followed_clean,
        "changed": found.changed,
        "clipped": found.clipped,
    }


def _lines(found: Any) -> list[str]:
    """The figures as text: of corruptions a table in percent."""
    if not _is_of_corruptions(found):
        return [f"{figures_line({'clean': found.clean.accuracy, **_texture_figures(found)})}  files {len(found.clean)}"]
    severities = sorted({severity for errors in found.errors.values() for severity in errors})
    gap = [""] * len(severities)
    rows = [["corruption", *(f"{severity:5}" for severity in severities), " mean"]]
    kinds = {
        kind: [*(_percent(errors[severity]) for severity in severities), _percent(found.means[kind])]
        for kind, errors in found.errors.items()
    }
    rows += [[kind, *kinds[kind]] for kind in found.counted]
    rows += [[name, *gap, _percent(error)] for name, error in found.categories.items()]
    count = len(found.counted)
    if found.mean is not None:
        rows.append([f"mean of {count}", *gap, _percent(found.mean)])
    if found.mean_without_frost is not None and "frost" in found.errors:
        rows.append([f"mean of {count - 1}, no frost", *gap, _percent(found.mean_without_frost)])
    if found.of_imagenet:
        rows.append(["mCE", *gap, _percent(found.of_imagenet["mce"])])
        rows.append(["mCE, no frost", *gap, _percent(found.of_imagenet["mce_without_frost"])])
        rows.append(["relative mCE", *gap, _percent(found.of_imagenet["relative_mce"])])
    rows.append(["clean", *gap, _percent(found.clean.error)])
    rows += [[f"{kind} (extra)", *told] for kind, told in kinds.items() if kind not in found.counted]
    return aligned(rows)


def _percent(share: float) -> str:
    return f"{100 * share:5.1f}"


def _write_chart(found: CorruptionScores, model: str, chart: str) -> None:
    """Draw the errors into a file.  Raises OutputError."""
    from structkit.media.error_charts import ErrorChart

    families = {name: [kind for kind in kinds if kind in found.errors] for name, kinds in CATEGORIES.items()}
    families["extra"] = [kind for kind in found.errors if kind not in CORRUPTIONS]
    errors = {
        name: {kind: [found.errors[kind][severity] for severity in sorted(found.errors[kind])] for kind in kinds}
        for name, kinds in families.items()
        if kinds
    }
    mean = (
        "" if found.mean is None else f"{_percent(found.mean)} % in the mean of {counted(len(found.counted), 'kind')}, "
    )
    words = [model, counted(len(found.clean)), _severity_words(found)]
    words += ["frost is drawn, not photographed"] if _drawn(found) else []
    title = f"Error under corruptions: {mean}{100 * found.clean.error:.1f} % clean"
    made = ErrorChart(errors, found.clean.error, title, "; ".join(words))
    write_atomically(chart, made.png() if Path(chart).suffix.lower() == ".png" else made.svg().encode())


def _severity_words(found: CorruptionScores) -> str:
    severities: Sequence[int] = sorted({severity for errors in found.errors.values() for severity in errors})
    if len(severities) == 1:
        return f"severity {severities[0]}"
    if severities == list(range(severities[0], severities[-1] + 1)):
        return f"severities {severities[0]} to {severities[-1]}, pale to full"
    return f"severities {', '.join(map(str, severities))}, pale to full"


def _rounded(value: Any) -> Any:
    """The record with its figures rounded."""
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, DIGITS) if isinstance(value, float) else value
