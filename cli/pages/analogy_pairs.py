"""The pairs of analogies: sources with targets, or with a model."""

from __future__ import annotations

from pathlib import Path, PurePath

from structkit.errors import OptionError
from structkit_cli.run.inputs import InputFile, InputList

Pairs = list[tuple[PurePath, dict[str, InputFile]]]  # the output's path without suffix, and the inputs by role


def paired(
    sources: InputList | None, targets: InputList | None, model: str | None = None, *, keep_suffix: bool = False
) -> Pairs:
    """Sources with targets: one with each of many, or many with many by equal paths without suffix.

    sources, targets: None where they are not given.
    model: the pair that draws each of them; without a target too, and alone.
    keep_suffix: true for names in which the suffixes of the inputs stay.
    """

    def place(given: InputFile) -> PurePath:
        return given.place(keep_suffix=keep_suffix)

    if model is None:
        return [
            (
                PurePath(f"{place(one).name}-{place(other).name}") if named is None else place(named),
                {"source": one, "target": other},
            )
            for named, one, other in _pairs(sources or InputList(), targets or InputList())
        ]
    drawn = InputFile(Path(model), PurePath(Path(model).name))
    if targets is not None:
        return [
            (name, {**inputs, "model": drawn}) for name, inputs in paired(sources, targets, keep_suffix=keep_suffix)
        ]
    if sources is None:
        return [(place(drawn), {"model": drawn})]
    names = [place(s) if sources.many else PurePath(f"{place(s).name}-{place(drawn).name}") for s in sources.inputs]
    return [(name, {"source": s, "model": drawn}) for name, s in zip(names, sources.inputs, strict=True)]


def _pairs(sources: InputList, targets: InputList) -> list[tuple[InputFile | None, InputFile, InputFile]]:
    """Each source with its target, after the one of them that the result is named after; None is both."""
    if not (sources.many or targets.many):
        return [(None, sources.inputs[0], targets.inputs[0])]
    if not targets.many:
        return [(s, s, t) for s in sources.inputs for t in targets.inputs]
    if not sources.many:
        return [(t, s, t) for s in sources.inputs for t in targets.inputs]
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
    return [(s, s, partners[s.stem]) for s in sources.inputs]
