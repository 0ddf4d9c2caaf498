"""Small trained checkpoints that ship with structkit, installed as `structkit_weights`.

NAME.safetensors is a model; NAME.md beside it, its card, tells readers of the data and its licence, the command, the
hardware, the minutes, the scores and the date.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
SUFFIX = ".safetensors"


def names() -> tuple[str, ...]:
    """Of the models that ship, in order."""
    return tuple(sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}")))


def find(name: str) -> Path | None:
    """The file of a model that ships, or None."""
    return FOLDER / f"{name}{SUFFIX}" if name in names() else None
