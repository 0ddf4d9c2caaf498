"""Donors: their own pixels or their codes, and those that cannot be."""

import numpy as np
import pytest

import structkit
from structkit.errors import OptionError

from ..content_models import FakeDifference, FakePainter, FakeTransfer
from .pictures import RED, flat, model, noise, with_glasses


def test_a_donors_own_pixels_are_put_on_where_the_model_can_and_no_other_amount_is_asked_for():
    donor, target = with_glasses(), noise(32, 32, seed=1)
    whole = structkit.transfer(target, donor, model(FakePainter), device="cpu")
    assert np.abs(whole.pixels[14:18].astype(int) - RED).max() < 64 and np.array_equal(
        whole.pixels[:6], target.pixels[:6]
    )
    by_codes = structkit.transfer(target, donor, model(FakeTransfer), device="cpu").pixels
    for options in ({"by": "codes"}, {"strength": 0.999999}):
        assert (
            np.abs(
                structkit.transfer(target, donor, model(FakePainter), device="cpu", **options).pixels.astype(int)
                - by_codes
            ).max()
            <= 1
        )
    steps = structkit.transfer(target, donor, model(FakePainter), device="cpu", steps=2)
    assert np.array_equal(steps[0].pixels, target.pixels) and np.array_equal(steps[1].pixels, by_codes)


@pytest.mark.parametrize(
    ("kind", "donors", "options", "message"),
    [
        (
            FakeTransfer,
            (flat(0), None),
            {"by": "donor"},
            "--by donor needs a painter and a placer, and this model has not both: leave it out",
        ),
        (
            FakeDifference,
            (flat(0), None),
            {"by": "codes"},
            "--by codes is for a model of one content, and this is a domain difference",
        ),
        (
            FakePainter,
            (flat(0), None),
            {"by": "donor", "steps": 3},
            "--by donor puts on all that the donor has: leave out --steps",
        ),
        (
            FakePainter,
            (flat(0), None),
            {"by": "donor", "strength": 0.5},
            "--by donor puts on all that the donor has: leave out --strength",
        ),
        (FakeTransfer, (None, None), {}, "--from is missing: name the picture whose content is to be put on"),
        (FakeDifference, (None, None), {}, "--from is missing: .*; or with --from-b that of the second folder"),
        (FakeTransfer, (flat(0), flat(0)), {}, "--from-b is for a domain difference, and this model knows one content"),
        (FakeTransfer, ((flat(0),) * 2, None), {}, "two donors are the ends of steps: say how many, or give one donor"),
        (
            FakeTransfer,
            ((flat(0),) * 3, None),
            {"steps": 4},
            "--steps goes from nothing to one donor, or from one donor to another",
        ),
        (FakeTransfer, (flat(0), None), {"steps": 1}, "--steps is 1: it must be between 2 and 99"),
        (FakeTransfer, (flat(0), None), {"strength": 1.4}, "--strength is 1.4: it must be between 0 and 1.3"),
        (FakeTransfer, (flat(0), None), {"strength": 0.5, "steps": 3}, "--strength and --steps both say how much"),
        (
            FakeTransfer,
            (flat(0), None),
            {"strenght": 1},
            "unexpected keyword argument 'strenght': the options are strength, steps, by",
        ),
    ],
)
def test_donors_and_options_that_cannot_be(kind, donors, options, message):
    with pytest.raises(OptionError, match=message):
        structkit.transfer(flat(0), donors[0], model(kind), donor_b=donors[1], device="cpu", **options)
