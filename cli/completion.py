"""Completions of what is typed, for the Tab key of a shell (`structkit --install-completion` sets it up)."""

from __future__ import annotations

import glob
from collections.abc import Callable

import structkit_weights

STATE = ".resume.safetensors"  # ends the file of an unfinished training, which is no model


def checkpoints(incomplete: str) -> list[str]:
    """Names of models that ship, and checkpoints on disk; without any, the shell completes names of files."""
    files = sorted(glob.glob(f"{glob.escape(incomplete)}*{structkit_weights.SUFFIX}"))
    return [
        *(name for name in structkit_weights.names() if name.startswith(incomplete)),
        *(name for name in files if not name.endswith(STATE)),
    ]


def words(choices: tuple[str, ...]) -> Callable[[str], list[str]]:
    """The completion of an option that is one of some words."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in choices if word.startswith(incomplete)]

    return complete
