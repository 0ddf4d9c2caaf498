"""Charts of errors: a bar for each, as high as it says, in both formats."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from structkit.media.error_charts import BOTTOM, COLOURS, TOP, ErrorChart

FAMILIES = {"noise": {"shot_noise": [0.1, 0.2, 0.4]}, "weather": {"fog": [0.05, 0.3, 0.35], "snow": [0.0, 0.1, 0.2]}}
CHART = ErrorChart(FAMILIES, 0.08, "Errors: <a & b>", "some words")
SVG = "{http://www.w3.org/2000/svg}"


def bars(chart: ErrorChart) -> list[dict[str, str]]:
    """The bars of the file; the first rectangle is the paper."""
    return [bar.attrib for bar in ElementTree.fromstring(chart.svg()).findall(f"{SVG}rect")[1:]]


def test_each_error_has_a_bar_whose_height_is_in_proportion():
    errors = [error for kinds in FAMILIES.values() for errors in kinds.values() for error in errors]
    heights = [float(bar["height"]) for bar in bars(CHART)]
    assert heights == pytest.approx([error / 0.4 * (BOTTOM - TOP) for error in errors], abs=0.1)
    assert all(float(bar["y"]) + float(bar["height"]) == pytest.approx(BOTTOM, abs=0.11) for bar in bars(CHART))
    places = [float(bar["x"]) for bar in bars(CHART)]
    assert places == sorted(places)


def test_severities_go_from_pale_to_full_in_the_colour_of_the_family():
    colours = [bar["fill"] for bar in bars(CHART)]
    assert colours[2] == COLOURS[0] and colours[5] == colours[8] == COLOURS[1]
    red = [int(colour[1:3], 16) for colour in colours[:3]]
    assert red == sorted(red, reverse=True) and len(set(red)) == 3


def test_kinds_families_means_and_the_clean_error_are_named():
    texts = [text.text for text in ElementTree.fromstring(CHART.svg()).iter(f"{SVG}text")]
    wanted = ("shot", "noise", "fog", "snow", "noise 23.3 %", "weather 16.7 %", "23", "clean", "8.0 %", "40 %")
    assert not set(wanted) - set(texts) and {"Errors: <a & b>", "some words"} <= set(texts)
    assert re.search(r"<title>Errors: &lt;a &amp; b&gt;</title>", CHART.svg())


@pytest.mark.parametrize("highest", [0.0, 0.1, 0.15, 0.55, 0.93, 1.0])
def test_the_scale_ends_at_or_above_the_highest_error(highest):
    chart = ErrorChart({"blur": {"glass_blur": [0.0, highest]}}, 0.0, "t")
    assert 0 <= float(bars(chart)[1]["height"]) <= BOTTOM - TOP + 0.1


def test_the_png_shows_the_same_bars():
    image = np.asarray(Image.open(io.BytesIO(CHART.png())))
    assert image.shape == (880, 2400, 3)
    for bar in bars(CHART):
        x, y, width, height = (float(bar[name]) for name in ("x", "y", "width", "height"))
        if height > 30:
            middle = image[round(2 * (y + height - 9)), round(2 * (x + width / 2))]
            assert np.abs(middle.astype(int) - [int(bar["fill"][i : i + 2], 16) for i in (1, 3, 5)]).max() <= 2
    assert CHART.png() == CHART.png() and CHART.svg() == CHART.svg()
