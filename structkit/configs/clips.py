"""Options of generated clips that are none of an engine: their course in time."""

from __future__ import annotations

from dataclasses import dataclass

from structkit.configs.base import Config, option
from structkit.configs.patch import ClipConfig
from structkit.errors import OptionError

LEAST_FRAMES = 3  # of a clip, and of what is made of it: as many as a patch has
MOST_FRAMES = 100_000
MOST_SLOWED = 16


@dataclass(frozen=True)
class ClipCourse(Config):
    """Options of the course of a clip in time.

    Raises OptionError for those that cannot be together.
    """

    frames: int | None = option(
        None, "number of frames of the result; else the clip's", low=LEAST_FRAMES, high=MOST_FRAMES
    )
    extend: int = option(0, "frames to go on for after the last one; the clip itself stays", low=0, high=MOST_FRAMES)
    extend_back: int = option(0, "frames to begin with before the first one; likewise", low=0, high=MOST_FRAMES)
    loop: bool = option(
        False,
        "a loop, whose last frame leads into its first without a joint; there and back where things only go one way",
    )
    slow: int = option(
        1, "times slower that it plays: frames in between are made of the clip's own patches", low=1, high=MOST_SLOWED
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        longer = "--extend" if self.extend else "--extend-back"
        if self.loop and self.is_extended:
            way_out = "leave one of them out, or make the longer clip first, and a loop of that with --frames N --loop"
            raise OptionError(f"{longer} goes on from the clip's end, and a --loop has none: {way_out}")
        if self.frames is not None and self.is_extended:
            raise OptionError(f"--frames and {longer} both say how long the result is: give one of them")
        if self.slow > 1:
            asked = {longer: self.is_extended, "--loop": self.loop, "--frames": self.frames is not None}
            for flag in (flag for flag, is_set in asked.items() if is_set):
                way_out = "leave one of them out, or slow down what the other one has made"
                raise OptionError(
                    f"--slow keeps the clip's frames and puts others between, {flag} makes new ones: {way_out}"
                )

    @property
    def is_extended(self) -> bool:
        """True if the clip goes on at one of its ends."""
        return bool(self.extend or self.extend_back)

    @property
    def keeps(self) -> bool:
        """True if the clip's own frames are part of the result, as they are."""
        return self.is_extended or self.slow > 1

    @property
    def _unused(self) -> tuple[str, ...]:
        """The options of the patch engine that are without use: these courses begin at a fine level."""
        if self.slow > 1:
            return "variety", "upright", "coarsest"
        return ("upright", "coarsest") if self.is_extended or self.loop else ()

    def check(self, *, size: bool, model: bool, count: int | None = None, patches: ClipConfig | None = None) -> None:
        """Refuse what cannot be beside a course, and what would change nothing.  Raises OptionError.

        size: true if a size is asked for.
        model: true if a trained model draws.
        count: of the results, if it is asked for.
        patches: the options of the patch engine, if it draws.
        """
        flag = "--slow" if self.slow > 1 else "--extend" if self.extend else "--extend-back"
        if self.slow > 1 and count is not None and count > 1:
            raise OptionError(
                f"--count is {count}, and slow motion has one result, the same with every seed: ask for 1"
            )
        for name in self._unused if patches else ():
            if getattr(patches, name) != getattr(type(patches)(), name):
                course = flag if self.keeps else "--loop"
                raise OptionError(f"--{name} changes nothing with {course}, which begins with the clip: leave it out")
        if size and self.keeps:
            way_out = "leave it out, or reduce the clip with --max-side"
            raise OptionError(f"--size makes all frames anew, and {flag} keeps those of the clip: {way_out}")
        if model and (self.keeps or self.loop):
            way_out = "leave it out, or use the patch engine, without --engine and --model"
            raise OptionError(f"{flag if self.keeps else '--loop'} is not what a trained model can do: {way_out}")
