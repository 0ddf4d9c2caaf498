"""Completions of what is typed, for the Tab key of a shell (`structkit --install-completion` sets it up)."""

from __future__ import annotations

import glob
from collections.abc import Callable

import structkit_weights

STATE_SUFFIX = ".resume.safetensors"  # of the state of an unfinished training, which is no model


def complete_checkpoint(incomplete: str) -> list[str]:
    """The models that ship and the checkpoints on disk whose names begin with `incomplete`.

    Where there are none, the shell completes names of any files.
    """
    files = sorted(glob.glob(f"{glob.escape(incomplete)}*{structkit_weights.SUFFIX}"))
    return [
        *(name for name in structkit_weights.names() if name.startswith(incomplete)),
        *(name for name in files if not name.endswith(STATE_SUFFIX)),
    ]


def complete_choice(choices: tuple[str, ...]) -> Callable[[str], list[str]]:
    """The completion of an option whose value is one of `choices`: typed beginning -> the words that begin so."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in choices if word.startswith(incomplete)]

    return complete
