"""Charts of the errors of a classifier under corruptions: a group of bars for each kind, a bar for each severity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from structkit.media.charts import FAINT, GRID, INK, ChartBar, ChartLine, ChartShape, ChartText, png_of, svg_of

WIDTH, HEIGHT = 1200, 440
LEFT, RIGHT, TOP, BOTTOM = 58, 1122, 84, 346  # of the plot
CLEAN = "#d97706"
COLOURS = ("#2563eb", "#7c3aed", "#0e7490", "#15803d", "#6b7280")  # of the groups' families, in turn
PALEST = 0.62  # share of white in the bar of the first severity; the last has none
BETWEEN, WITHIN = 0.55, 0.2  # gaps between families and between kinds, in widths of a kind
WIDEST = 110  # px of a kind
GOES = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)  # where the scale may end


@dataclass(frozen=True)
class ErrorChart:
    """Errors, shares from 0 to 1, and the words about them.

    families: of each family of kinds, by name, the errors of each of its kinds, by rising severity.
    clean: the error without corruption.
    title, words: what stands above.
    """

    families: Mapping[str, Mapping[str, Sequence[float]]]
    clean: float
    title: str
    words: str = ""

    def svg(self) -> str:
        """The text of an SVG file."""
        return svg_of(self._layout(), (WIDTH, HEIGHT), self.title)

    def png(self) -> bytes:
        """The bytes of a PNG file."""
        return png_of(self._layout(), (WIDTH, HEIGHT))

    def _layout(self) -> Iterator[ChartShape]:
        """The parts of the chart, from the back to the front."""
        highest = max([self.clean, *(e for kinds in self.families.values() for es in kinds.values() for e in es)])
        end = next((end for end in GOES if highest <= end), 1.0)

        def up(error: float) -> float:
            return BOTTOM - error / end * (BOTTOM - TOP)

        for tick in np.linspace(0, end, 5 if end in (0.2, 0.4, 0.8) else 6 if end != 0.6 else 4).tolist():
            yield ChartLine(np.array([[LEFT, up(tick)], [RIGHT, up(tick)]]), GRID)
            yield ChartText(LEFT - 10, up(tick) + 5, f"{100 * tick:g} %", 13, anchor="end")
        count = sum(map(len, self.families.values()))
        wide = min(WIDEST, (RIGHT - LEFT) / (count + BETWEEN * max(1, len(self.families) - 1)))
        x = LEFT + (RIGHT - LEFT - wide * (count + BETWEEN * (len(self.families) - 1))) / 2
        means = []
        for number, (family, kinds) in enumerate(self.families.items()):
            colour, first = COLOURS[number % len(COLOURS)], x
            for kind, errors in kinds.items():
                thin = wide * (1 - WITHIN) / len(errors)
                for i, error in enumerate(errors):
                    bar = x + wide * WITHIN / 2 + i * thin
                    yield ChartBar(bar, up(error), thin - 1, BOTTOM - up(error), _paler(colour, i, len(errors)))
                middle, mean = x + wide / 2, fmean(errors)
                words = f"{100 * mean:.{0 if mean > 0.0995 else 1}f}"
                means.append(ChartText(middle, up(max(errors)) - 7, words, 13, INK, "middle", halo=True))
                for line, word in enumerate(kind.split("_")):
                    yield ChartText(middle, BOTTOM + 19 + 14 * line, word, 12, FAINT, "middle")
                x += wide
            words = f"{family} {100 * fmean(fmean(errors) for errors in kinds.values()):.1f} %"
            yield ChartLine(np.array([[first + 6, BOTTOM + 48], [x - 6, BOTTOM + 48]]), colour, 2.0)
            yield ChartText((first + x) / 2, BOTTOM + 70, words, 15, colour, "middle", bold=True)
            x += BETWEEN * wide
        yield ChartLine(np.array([[LEFT, BOTTOM], [RIGHT, BOTTOM]]), FAINT)
        y = up(self.clean)
        yield ChartLine(np.array([[LEFT, y], [RIGHT, y]]), CLEAN, 1.6, (7, 5))
        yield from means
        yield ChartText(RIGHT + 8, y - 2, "clean", 13, CLEAN, bold=True)
        yield ChartText(RIGHT + 8, y + 14, f"{100 * self.clean:.1f} %", 13, CLEAN, bold=True)
        yield ChartText(LEFT, 34, self.title, 20, INK, bold=True)
        yield ChartText(LEFT, 58, self.words, 14)


def _paler(colour: str, place: int, of: int) -> str:
    """The colour of a severity: the higher, the less white is in it."""
    white = PALEST * (1 - (place + 1) / of) if of > 1 else 0.0
    levels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(level + (255 - level) * white):02x}" for level in levels)
