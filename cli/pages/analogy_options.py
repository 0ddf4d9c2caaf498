"""The choice of an engine for analogies: the options that choose it, and the refusal of those of no use to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from structkit.configs import PAIR_PRESETS, AnalogyConfig, Config, PairConfig, PairResultConfig, option
from structkit.errors import OptionError
from structkit_cli.completion import complete_checkpoint
from structkit_cli.help import Panel
from structkit_cli.options import RunOptions, named
from structkit_cli.pages.analogy_drafts import DraftOptions
from structkit_cli.pages.analogy_engines import PairEngine, PairTrainingEngine, PatchEngine
from structkit_cli.pages.analogy_guides import GuideOptions
from structkit_cli.run.checks import refuse_set, result_size
from structkit_cli.run.plan import Output
from structkit_cli.run.trainer import checkpoint_path

PAIR_MODES = {"analogy": None, "paint": "sketch"}  # the mode of a pair, where its word is another one
OF_BOTH = {"mode", "coarsest"}  # options of the patch engine that a training has too


@dataclass(frozen=True)
class AnalogyRunOptions(RunOptions):
    """Options of the running of analogies, and of where they are written."""

    dtype: str = option(
        "auto",
        "with --engine gan: of the training's arithmetic; auto: bfloat16 where the device computes in it",
        choices=("auto", "float32"),
    )


@dataclass(frozen=True)
class EngineOptions(Config):
    """Options that choose the engine of an analogy."""

    engine: str = option(
        "patch",
        "patch needs no training; gan trains generators between the two pictures first",
        choices=("patch", "gan"),
    )
    preset: str | None = option(
        None,
        f"with --engine gan: how much effort; else {PairConfig().preset}, for two CPU cores",
        choices=tuple(PAIR_PRESETS),
    )
    minutes: float | None = option(
        None,
        "with --engine gan: end the training in this time: by fewer steps, as few as make sense, then by smaller "
        "pictures, then by fewer still; else all its steps are done",
        low=0.01,
    )
    model: str | None = named(
        None,
        "draw from this trained pair; with --engine gan: keep the pair there",
        "PAIR.safetensors",
        complete=complete_checkpoint,
    )

    @property
    def drawn(self) -> str | None:
        """The pair to draw from, where none is trained."""
        return None if self.engine == "gan" else self.model


def _pair_in_use(options: Mapping[str, Any]) -> bool:
    return options.get("engine") == "gan" or options.get("model") is not None


PATCH_PANEL = Panel(
    "Patch engine (--engine patch, the default)",
    {field.name for kind in (AnalogyConfig, GuideOptions, DraftOptions) for field in fields(kind)} - OF_BOTH,
    used=lambda options: not _pair_in_use(options),
    shown_by="--engine patch",
)
PAIR_PANEL = Panel(
    "Trained pair (--engine gan, or --model)",
    {"preset", "minutes", "dtype", *(field.name for field in fields(PairResultConfig))},
    used=_pair_in_use,
    shown_by="--engine gan",
)


def painter_of(
    engine: EngineOptions,
    patches: AnalogyConfig,
    guides: GuideOptions,
    drafts: DraftOptions,
    pair: PairResultConfig,
    running: RunOptions,
    *,
    source: str | None,
    target: str | None,
    size: str | None,
) -> PatchEngine | PairEngine:
    """The engine that paints.

    source, target, size: as they were given.
    """
    gan, wide = engine.engine == "gan", result_size(size, patches.max_side)
    if gan or engine.model is None:
        for name, given in {"SOURCE": source, "TARGET": target}.items():
            if given is None:
                raise OptionError(
                    f"Missing argument '{name}': name a picture, or draw from a trained pair with --model alone"
                )
    if not gan:
        training = "is of a training: leave it out, or say --engine gan"
        refuse_set(engine, {"preset", "minutes"}, training)
        refuse_set(running, {"dtype"}, training)
    if not gan and engine.model is None:
        refuse_set(pair, _names(pair), "is for a trained pair: leave it out, say --engine gan, or name a --model")
        return PatchEngine(patches, wide, running, guides, drafts)
    for options in (guides, drafts):
        refuse_set(options, None, "is of the patch engine, not of a trained pair: leave it out")
    refuse_set(
        patches,
        _names(patches) - (OF_BOTH if gan else set()),
        "is of the patch engine, not of a trained pair: leave it out",
    )
    if wide is not None and pair.refine != "patches":
        raise OptionError("--size needs --refine patches: a trained pair makes results of its own size")
    if not gan:
        if target is not None and pair.refine != "patches":
            way_out = (
                "leave TARGET out, or say --refine patches, which takes its patches, or --engine gan, which "
                "trains the two"
            )
            raise OptionError(f"--model {engine.model} has a look of its own: {way_out}")
        return PairEngine(pair, wide, running)
    given = {"mode": PAIR_MODES.get(patches.mode, patches.mode), "coarsest": patches.coarsest}
    config = PairConfig(**given) if engine.preset is None else PairConfig(preset=engine.preset, **given)
    return PairTrainingEngine(config, engine.minutes, pair, wide, running)


def checkpoint_of(engine: EngineOptions, output: Output, *, many: bool) -> Path:
    """The place of the pair that makes an output, or will make it.

    many: true for a batch.
    """
    if engine.drawn is not None:
        from structkit.models import resolve_model

        return resolve_model(engine.drawn)
    if engine.model is not None:
        if many:
            raise OptionError(
                f"--model {engine.model} is one pair, and there may be several: leave it out, each is kept beside its "
                "output"
            )
        return checkpoint_path(engine.model, "--model")
    if output.path is None:
        raise OptionError("--output - leaves no place for the trained pair: name one with --model PAIR.safetensors")
    return output.path.with_suffix(".safetensors")


def _names(config: Config) -> set[str]:
    return {field.name for field in fields(config)}  # type: ignore[arg-type]
