"""Where Permuted AdaIN goes: the convolutions of a network that batch normalisation follows."""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import nn

from structkit.errors import OptionError

Where = str | Callable[[str, nn.Module], bool]
CONV_BN = "conv-bn"
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
EXCLUDED = r"downsample|shortcut|skip|(^|\.)proj(\.|$)"  # of regnet, `proj` is the shortcut
PASSED = (nn.Identity, nn.Dropout, nn.Dropout2d)  # what may stand between a convolution and its normalisation


def swap_places(model: nn.Module, where: Where = CONV_BN, exclude: str | None = EXCLUDED) -> list[str]:
    """The names of the places, in the order in which the network defines them.

    where: "conv-bn": the stem, and every convolution that batch normalisation follows, in order or by its number
    (`conv2`, `bn2`); neither depthwise ones nor those of DenseNet's transitions.
    Another str: the convolutions in whose names this regular expression is found.
    A callable (name, module) -> bool: any modules whose output is a tensor.
    exclude: a regular expression; places in whose names it is found are none.
    Raises OptionError, which lists what was looked at, where there is no place.
    """
    convolutions = _convolutions(model)
    if callable(where):
        found = [name for name, module in model.named_modules() if where(name, module)]
    elif where == CONV_BN:
        found = _normalised(model)
        if found and convolutions[0] not in found:  # the stem of a network whose blocks begin with a normalisation
            found.insert(0, convolutions[0])
    else:
        found = [name for name in convolutions if _pattern(where).search(name)]
    kept = found if exclude is None else [name for name in found if not _pattern(exclude).search(name)]
    if not kept:
        raise OptionError(_nowhere(model, convolutions, where, found, exclude))
    return kept


def stem_of(model: nn.Module) -> str | None:
    """The name of the first convolution, None of a network without any."""
    return next(iter(_convolutions(model)), None)


def early_places(names: list[str]) -> list[str]:
    """Of the places, in order, the stem's and those of the first stage.

    A stage is the first number in the names of the modules around a place (`layer1.0.conv2`, `features.3.conv`);
    without any, the first quarter is early.
    """
    numbers = [re.search(r"\d+", name.rpartition(".")[0]) for name in names]
    stages = [None if number is None else int(number[0]) for number in numbers]
    first = next((at for at, stage in enumerate(stages) if at and stage is not None), None)
    if first is None:
        return names[: max(1, len(names) // 4)]
    last = next((at for at in range(first, len(names)) if stages[at] not in (None, stages[first])), len(names))
    return names[:last]


def _convolutions(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, CONVOLUTIONS)]


def _normalised(model: nn.Module) -> list[str]:
    order = {name: at for at, (name, _) in enumerate(model.named_modules())}
    found = []
    for path, parent in model.named_modules():
        if re.search(r"trans(ition)?[\d_]*$", path, re.IGNORECASE) or "Transition" in type(parent).__name__:
            continue
        children = [(name, module) for name, module in parent.named_children() if not isinstance(module, PASSED)]
        norms = {name for name, module in children if _is_batch_norm(module)}
        for at, (name, module) in enumerate(children):
            full, follows = f"{path}.{name}" if path else name, at + 1 < len(children) and children[at + 1][0] in norms
            while follows and isinstance(module, nn.Sequential) and len(module):  # a deep stem: its last convolution
                last, module = list(module.named_children())[-1]
                full = f"{full}.{last}"
            number = re.fullmatch(r"conv_?(\d+)", name)
            numbered = number and any(re.fullmatch(rf"\D+{number[1]}", norm) for norm in norms)
            if (
                isinstance(module, CONVOLUTIONS)
                and not 1 < module.groups == module.in_channels
                and (follows or numbered)
            ):
                found.append(full)
    return sorted(found, key=order.__getitem__)


def _is_batch_norm(module: nn.Module) -> bool:
    return isinstance(module, BATCH_NORMS) or "BatchNorm" in type(module).__name__


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise OptionError(f"{text!r} is no regular expression: {error}") from None


def _nowhere(model: nn.Module, convolutions: list[str], where: Where, found: list[str], exclude: str | None) -> str:
    if callable(where) or where != CONV_BN:
        asked = "that `where` chooses" if callable(where) else f"in whose name {where!r} is found"
    else:
        asked = "that batch normalisation follows"
    some = f"{len(convolutions)} convolution" + "s" * (len(convolutions) > 1)
    looked = f"{some}: {_listed(convolutions)}" if convolutions else "no convolution"
    words = f"{type(model).__name__} has no place for Permuted AdaIN {asked}; looked at {looked}"
    if found:
        words += f"; {exclude!r} excludes {_listed(found)}"
    others = sorted(
        {type(module).__name__ for module in model.modules() if re.search(r"Norm(\dd)?$", type(module).__name__)}
    )
    if others and not any("BatchNorm" in name for name in others):
        words += f"; the network is normalised by {', '.join(others)}, behind which Permuted AdaIN was never studied"
    return words + ": choose places with where="


def _listed(names: list[str], shown: int = 8) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
