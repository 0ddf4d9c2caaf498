"""Times as people write them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from structkit.errors import OptionError
from structkit.media.moments import Length, TimeSpan, clock, spans


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90", 90), ("90s", 90), ("90 s", 90), ("2.5", "2.5"), (12.5, "12.5"), ("1500ms", "1.5")),
        *(("1:30", 90), ("0:07.25", "7.25"), ("1:02:03.5", "3723.5"), ("90:00", 5400)),
        *(("1m30s", 90), ("3m", 180), ("3min", 180), ("2h", 7200), ("1h30m", 5400), ("1M", 60), ("1m500ms", "60.5")),
    ],
)
def test_a_length_has_the_seconds_that_its_words_say(text, seconds):
    assert Length.read(text, "--duration").of(Fraction(1)) == Fraction(seconds)


@pytest.mark.parametrize(("text", "share"), [("50%", "0.5"), ("2%", "0.02"), ("100 %", 1)])
def test_a_share_is_of_the_whole(text, share):
    text = text.replace(" ", "")
    assert Length.read(text, "--duration").of(Fraction(80)) == 80 * Fraction(share)


@pytest.mark.parametrize("text", ["", "x", "3x", "-3", "1:2:3:4", "5%%", "%", "1e3", "nan", "1s3m"])
def test_what_is_no_time_is_refused_with_examples(text):
    with pytest.raises(OptionError, match=r"--duration is .*give a time, such as 90, 90s, 1:30, 1m30s, 3m or 50%"):
        Length.read(text, "--duration")


def test_times_that_cannot_be_are_refused():
    with pytest.raises(OptionError, match="--duration is '0': it must be more than nothing"):
        Length.read("0", "--duration")
    with pytest.raises(OptionError, match="--keep is '0:70': of minutes and seconds there are fewer than 60"):
        TimeSpan.read("0:70-", "--keep")
    with pytest.raises(OptionError, match="--keep is '0:05-0:03': it ends before it begins"):
        TimeSpan.read("0:05-0:03", "--keep")
    for text in ("0:10", "-", ""):
        with pytest.raises(OptionError, match="give a span of the clip, such as 0:10-0:25, 0:10- or -0:25"):
            TimeSpan.read(text, "--keep")


def test_a_span_that_names_one_end_has_the_other_of_the_clip():
    both, to_the_end, from_the_begin = spans(["0:10-0:25.5", "40s-", "-1m"], "--keep")
    assert both == TimeSpan(Fraction(10), Fraction("25.5"))
    assert to_the_end == TimeSpan(Fraction(40), None)
    assert from_the_begin == TimeSpan(Fraction(0), Fraction(60))


@pytest.mark.parametrize("tenths", [0, 1, 599, 600, 601, 35_999, 36_000, 36_001, 359_999])
def test_what_the_clock_tells_is_read_back(tenths):
    told = clock(tenths / 10)
    assert TimeSpan.read(f"{told}-", "--keep").start == Fraction(tenths, 10)
    assert clock(tenths // 10, digits=0).count(":") == told.count(":")
