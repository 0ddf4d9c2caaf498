"""Verdicts on outputs before they are made: what each is made from, its state, and why one that exists is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from structkit.errors import OutputError


class Cause(Enum):
    """The causes for which an output that exists is kept, each in the words that many such outputs have in common."""

    NOT_OURS = "changed since, or not of structkit"
    UNKNOWN = "made from inputs that their records do not tell"
    VERB = "made with another verb"
    OPTIONS = "made with other options"
    MODEL = "made with another model"
    INPUT = "made from other inputs"
    STREAM = "made from what another run was sent"


class OutputRefusal(OutputError):
    """A refusal to replace an output that exists.  cause: by which refusals are alike."""

    def __init__(self, output: Path | str, cause: Cause, fact: str) -> None:
        super().__init__(f"{output} {fact}")
        self.output, self.cause, self.fact = output, cause, fact

    def of(self, flag: str) -> OutputRefusal:
        """The same of an output whose place this option names."""
        return OutputRefusal(self.output, self.cause, self.fact.replace("place with --output", f"place with {flag}"))


@dataclass(frozen=True)
class Origin:
    """All that an output is made from.

    made_from: the hash of the inputs' bytes, the options and the version: while it stays, the output would become the
    same again.
    inputs: the place of each input, by role, see `Manifest.place_of`.
    options: the hash of all that the user chose.
    verb: the command.
    """

    made_from: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    options: str = ""
    verb: str = ""


@dataclass(frozen=True)
class Entry:
    """An output that is made, for its record.

    sha256: of the file.
    facts: those of the output beside its hash: warnings, frames ...
    """

    output: Path | str
    origin: Origin
    sha256: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class OutputState(Enum):
    """The states of an output before it is made.

    CURRENT is ours, and would become the same again.
    STALE is ours, from the same inputs with the same options, but their bytes or structkit's version changed: such an
    output is made again.
    KEPT is not as we wrote it, or of other inputs or options.
    """

    MISSING = "missing"
    CURRENT = "current"
    STALE = "stale"
    KEPT = "kept"


@dataclass(frozen=True)
class Verdict:
    """The state of an output before it is made.

    refusal: why a kept one stays, with the way out.
    sha256: of the file, where it was needed.
    facts: those in the record of a current one.
    """

    state: OutputState
    refusal: OutputRefusal | None = None
    sha256: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
