"""Cues of subtitles laid out one after another, for a container that shows one at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Cue:
    """A text and when it is shown.

    start, end: ticks of one clock; the end is None where it is not stated.
    """

    start: int
    end: int | None
    text: str


class CueStack:
    """A stack of the cues that are on at once, from which spans that do not overlap are taken.

    The time is split at each start and each end, and a span has the texts of all cues that are on in it, a line each,
    in the order in which they began; a text that is on twice is shown once.
    A cue without an end is shown until the next one begins.
    Only the cues that are on are held, so that a film takes no more memory than a clip.
    """

    def __init__(self) -> None:
        self._on: list[Cue] = []
        self._from: int | None = None  # ticks: where the spans taken so far end

    def put(self, cue: Cue) -> list[Cue]:
        """Put a cue on the stack; the spans in front of its start, which no later cue can change.

        Cues come in the order of their starts.  One that comes too late begins where the spans taken so far end.
        """
        spans = self.until(cue.start)
        start = cue.start if self._from is None else max(self._from, cue.start)
        if self._on and self._from < start:
            spans.append(self._span(start))
        self._on = [other for other in self._on if other.end is not None or other.start == start]
        self._from = start
        if cue.end is None or start < cue.end:
            self._on.append(replace(cue, start=start))
        return spans

    def until(self, tick: int) -> list[Cue]:
        """The spans that end by a tick, if no cue is to come that begins before it."""
        spans = []
        while ends := [cue.end for cue in self._on if cue.end is not None and cue.end <= tick]:
            spans.append(self._span(min(ends)))
            self._from = min(ends)
            self._on = [cue for cue in self._on if cue.end != self._from]
        return spans

    def rest(self, tick: int) -> list[Cue]:
        """The spans that are left, if no cue is to come; tick: where a cue without an end ends."""
        self._on = [replace(cue, end=max(tick, cue.start + 1)) if cue.end is None else cue for cue in self._on]
        return self.until(max((cue.end for cue in self._on), default=tick))

    def _span(self, end: int) -> Cue:
        return Cue(self._from, end, "\n".join(dict.fromkeys(cue.text for cue in self._on)))
