"""The pairs of analogies: sources with targets, or with a model."""

from __future__ import annotations

from pathlib import Path, PurePath

from structkit.errors import OptionError
from structkit_cli.run.inputs import InputFile, InputList

Pairs = list[tuple[PurePath, dict[str, InputFile]]]  # the output's path without suffix, and the inputs by role


def paired(sources: InputList | None, targets: InputList | None, model: str | None = None) -> Pairs:
    """Sources with targets: one with each of many, or many with many by equal paths without suffix.

    sources, targets: None where they are not given.
    model: the pair that draws each of them; without a target too, and alone.
    """
    if model is None:
        return [
            (name, {"source": one, "target": other})
            for name, one, other in _pairs(sources or InputList(), targets or InputList())
        ]
    drawn = InputFile(Path(model), PurePath(Path(model).name))
    if targets is not None:
        return [(name, {**inputs, "model": drawn}) for name, inputs in paired(sources, targets)]
    if sources is None:
        return [(drawn.stem, {"model": drawn})]
    names = [s.stem if sources.many else PurePath(f"{s.relative.stem}-{drawn.stem}") for s in sources.inputs]
    return [(name, {"source": s, "model": drawn}) for name, s in zip(names, sources.inputs, strict=True)]


def _pairs(sources: InputList, targets: InputList) -> list[tuple[PurePath, InputFile, InputFile]]:
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
            raise OptionError(
                f"{t.name} and {partners[t.stem].name} are of the same name but for the suffix: rename one"
            )
    names = {s.stem for s in sources.inputs}
    alone = [s.name for s in sources.inputs if s.stem not in partners] + [
        t.name for t in targets.inputs if t.stem not in names
    ]
    if alone:
        more = f", nor have {len(alone) - 1} others" if len(alone) > 1 else ""
        raise OptionError(
            f"{alone[0]} has no partner of the same name on the other side{more}: complete the pairs, or give one "
            "picture"
        )
    return [(s.stem, s, partners[s.stem]) for s in sources.inputs]
