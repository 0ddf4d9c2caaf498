"""The published constants of the corruptions, a second time, in the form in which the authors' code has them."""

from __future__ import annotations

import pytest

from structkit.data.corruptions import CORRUPTIONS, EXTRA, parameters

# The severities in turn, and of each its constants in the order that they have in the tables.
OF_32_PX = {
    "gaussian_noise": ".04; .06; .08; .09; .10",
    "shot_noise": "500; 250; 100; 75; 50",
    "impulse_noise": ".01; .02; .03; .05; .07",
    "defocus_blur": ".3 .4; .4 .5; .5 .6; 1 .2; 1.5 .1",
    "glass_blur": ".05 1 1; .25 1 1; .4 1 1; .25 1 2; .4 1 2",
    "motion_blur": "6 1; 6 1.5; 6 2; 8 2; 9 2.5",
    "zoom_blur": ".01 7; .01 12; .01 16; .01 21; .01 26",
    "snow": ".1 .2 1 .6 8 3 .95; .1 .2 1 .5 10 4 .9; .15 .3 1.75 .55 10 4 .9; .25 .3 2.25 .6 12 6 .85;"
    ".3 .3 1.25 .65 14 12 .8",
    "frost": "1 .2 .2; 1 .3 .2; .9 .4 .2; .85 .4 .2; .75 .45 .2",
    "fog": ".2 3; .5 3; .75 2.5; 1 2; 1.5 1.75",
    "brightness": ".05; .1; .15; .2; .3",
    "contrast": ".75; .5; .4; .3; .15",
    "elastic_transform": "0 0 2.56; 1.6 6.4 2.24; 2.56 1.92 1.92; 3.2 1.28 1.6; 3.2 .96 .96",
    "jpeg_compression": "80; 65; 58; 50; 40",
    "speckle_noise": ".06; .1; .12; .16; .2",
    "gaussian_blur": ".4; .6; .7; .8; 1",
    "saturate": ".3 0; .1 0; 1.5 0; 2 .1; 2.5 .2",
}
OF_224_PX = {
    "gaussian_noise": ".08; .12; .18; .26; .38",
    "shot_noise": "60; 25; 12; 5; 3",
    "impulse_noise": ".03; .06; .09; .17; .27",
    "defocus_blur": "3 .1; 4 .5; 6 .5; 8 .5; 10 .5",
    "glass_blur": ".7 1 2; .9 2 1; 1 2 3; 1.1 3 2; 1.5 4 2",
    "motion_blur": "10 3; 15 5; 15 8; 15 12; 20 15",
    "zoom_blur": ".01 12; .01 16; .02 11; .02 13; .03 11",
    "snow": ".1 .3 3 .5 10 4 .8; .2 .3 2 .5 12 4 .7; .55 .3 4 .9 12 8 .7; .55 .3 4.5 .85 12 8 .65;"
    ".55 .3 2.5 .85 12 12 .55",
    "frost": "1 .4 1; .8 .6 1; .7 .7 1; .65 .7 1; .6 .75 1",
    "fog": "1.5 2; 2 2; 2.5 1.7; 2.5 1.5; 3 1.4",
    "brightness": ".1; .2; .3; .4; .5",
    "contrast": ".4; .3; .2; .1; .05",
    "elastic_transform": "488 170.8 24.4; 488 19.52 48.8; 12.2 2.44 4.88; 17.08 2.44 4.88; 29.28 2.44 4.88",
    "jpeg_compression": "25; 18; 15; 10; 7",
    "speckle_noise": ".15; .2; .35; .45; .6",
    "gaussian_blur": "1; 2; 3; 4; 6",
    "saturate": ".3 0; .1 0; 2 0; 5 .1; 20 .2",
}
SCALES = {32: (0.95, 0.9, 0.85, 0.75, 0.65), 224: (0.6, 0.5, 0.4, 0.3, 0.25)}  # of pixelate


@pytest.mark.parametrize(("side", "published"), [(32, OF_32_PX), (224, OF_224_PX)])
def test_the_constants_are_those_of_the_authors(side, published):
    assert {*published, "pixelate"} == {*CORRUPTIONS, *EXTRA}
    for kind, text in published.items():
        lines = text.split(";")
        assert len(lines) == 5
        for severity, line in enumerate(lines, 1):
            assert list(parameters(kind, severity, side).values()) == [float(word) for word in line.split()], kind
    for severity, scale in enumerate(SCALES[side], 1):
        assert 1 / parameters("pixelate", severity, side)["block"] == pytest.approx(scale)
