"""Laws of speed curves: what is written is read back, the map keeps the length, and a bad row is named."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from structkit.errors import InputError, OptionError
from structkit.media.edit_lists import EditedClip, pieces
from structkit.media.speed_curve import CURVE_FORMATS, SpeedCurve, curve_file, read_curve

CLIP = EditedClip(Path("/clips/a day.mp4"), Fraction(30000, 1001))


def curve(count=300, seed=0, start=0.5, judged=True):
    """A smooth curve of cells of 1/25 s."""
    steps = np.random.default_rng(seed).normal(size=count) * 0.05
    speeds = np.exp(np.clip(np.cumsum(steps) + 0.7, 0, 2))
    more = {"tolerated": speeds * 1.1, "factors": [1, 2], "predictions": np.random.default_rng(1).random((2, count))}
    times = start + np.arange(count + 1) / 25
    return SpeedCurve(times, speeds, **(more if judged else {}), facts={"method": "motion"})


@pytest.mark.parametrize("format", ["json", "csv"])
@pytest.mark.parametrize("count", [1, 2, 300])
def test_a_written_curve_is_read_back_to_the_last_bit(format, count):
    written = curve(count)
    read = read_curve(curve_file(written, format), f"curve.{format}")
    assert np.array_equal(read.times, written.times) and np.array_equal(read.speeds, written.speeds)
    if format == "json":
        assert read.facts == written.facts
        assert np.allclose(read.tolerated, written.tolerated, atol=1e-5)
        assert np.allclose(read.predictions, written.predictions, atol=1e-5)


def test_predictions_that_were_not_made_are_read_back_as_none():
    written = SpeedCurve([0, 1, 2], [2, 3], None, [1, 8], [[0.25, 0.5], [np.nan, np.nan]])
    read = read_curve(curve_file(written, "json"))
    assert np.array_equal(read.predictions, written.predictions, equal_nan=True)


@pytest.mark.parametrize("count", [1, 4, 301, 2000])
def test_the_map_of_a_curve_starts_at_zero_and_lasts_as_long_as_the_curve(count):
    made = curve(count)
    timing = made.timing()
    assert timing.at(Fraction(1, 2)) == 0
    assert abs(timing.at(Fraction(1, 2) + Fraction(count, 25)) - Fraction(made.duration)) <= Fraction(1, 2 * 10**6)
    assert made.rate == pytest.approx(made.seconds / made.duration)


def test_the_map_of_a_curve_is_near_the_sum_over_its_cells_and_has_few_small_knots():
    made = curve(2000)
    timing = made.timing()
    mapped = [float(timing.at(Fraction(time))) for time in made.times.tolist()]
    assert np.abs(np.array(mapped) - made.shown).max() < 0.01
    assert len(timing.knots) <= 2000 / 5 + 1
    assert all(time.denominator <= 10**6 and shown.denominator <= 10**6 for time, shown in timing.knots)


def test_a_jump_of_speed_is_where_it_is_and_not_near_it():
    speeds = np.where(np.arange(50) < 23, 1.0, 4.0)
    timing = SpeedCurve(np.arange(51) / 25, speeds).timing()
    assert timing.at(Fraction(23, 25)) == Fraction(23, 25)
    assert timing.at(Fraction(24, 25)) == Fraction(23, 25) + Fraction(1, 100)


def test_a_short_cell_before_a_long_one_leaves_the_long_one_as_it_is():
    timing = SpeedCurve([0, 3.05, 3.1, 10], [1, 1.1, 1.2]).timing()
    shown = Fraction(305, 100) + Fraction(5, 110)
    assert abs(timing.at(Fraction(31, 10)) - shown) < Fraction(1, 10**6)
    assert abs(timing.at(Fraction(10)) - shown - Fraction(69, 12)) < Fraction(2, 10**6)


def test_the_map_of_a_constant_speed_has_that_slope_everywhere():
    timing = SpeedCurve(np.arange(101) / 25, np.full(100, 2.0)).timing()
    assert timing.before == timing.after == Fraction(1, 2) and len(timing.knots) == 1


def test_ends_that_are_no_round_numbers_are_exact():
    end = Fraction(1001 * 107_892, 30000)  # an hour of 29.97 fps
    times = np.linspace(float(Fraction(1001, 90000)), float(end), 1001)
    knots = SpeedCurve(times, 1 + np.arange(1000) / 1000).timing().knots
    assert knots[0][0] == Fraction(1001, 90000) and knots[-1][0] == end


@pytest.mark.parametrize(
    "text",
    [
        "0,1\n10,4\n30,1\n",
        "t,S\n0,1\n10,4\n30,\n",
        "\ufefft;S\r\n0;1,0\r\n10;4,0\r\n30;1,0\r\n",
        "# my curve\n\n0:00 1x\n0:10 4x\n0:30 1x\n",
        "speed,note,time\n1,still,0\n4,run,0:10.0\n,end,0:00:30",
        "0\t1\n10\t4\n30\t1\n",
        '{"times": [0, 10, 30], "speeds": [1, 4]}',
    ],
)
def test_a_curve_is_written_by_hand_in_many_ways(text, tmp_path):
    (tmp_path / "curve").write_bytes(text.encode())
    for source in (text, tmp_path / "curve", BytesIO(text.encode())):
        read = read_curve(source)
        assert read.times.tolist() == [0, 10, 30] and read.speeds.tolist() == [1, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t,S\n0,1\n5,2\n5,3\n9,1\n", "hand.csv: line 4 has the time 5 s after 5 s; put the rows in order"),
        ("0,1\n9,2\n5,3\n", "line 3 has the time 5 s after 9 s; put the rows in order, each time once"),
        ("0,1\n5,0\n9,1\n", "line 2 has the speed 0; a speed is a number above 0"),
        ("0,-2\n5,1\n", "line 1 has the speed -2; a speed is a number above 0"),
        ("0,nan\n5,1\n", "line 1 has the speed nan; a speed is a number above 0"),
        ("0,inf\n5,1\n", "line 1 has the speed inf; a speed is a number above 0"),
        ("nan,1\n5,1\n", "line 1 has the time nan; a time is a number of seconds"),
        ("0,1\n5,fast\n9,1", "line 2 has 'fast' where a speed is expected; write t,S on each line"),
        ("0,1\nsoon,2\n9,1", "line 2 has 'soon' where a time is expected; write t,S on each line"),
        ("0,1\n5\n9,1", "line 2 has no speed; write t,S on each line"),
        ("", "no rows; a curve has a row t,S for each change of speed, and one where the clip ends"),
        ("t,S\n", "no rows; a curve has a row t,S for each change of speed"),
        ("t,S\n0,2\n", "one row, line 2, and no end; a curve has a row"),
        ("name,size\n0,2\n", "no speed curve: its columns are name, size; name two of them t and S"),
        ('{"times": [0, 1, 1], "speeds": [1, 1]}', "row 3 has the time 1 s after 1 s"),
        ('{"times": [0, 1], "speeds": [0]}', "row 1 has the speed 0"),
        ('{"times": [0, 1], "speeds": [1, 2, 3]}', "2 times and 3 speeds; each speed lasts from one time to the next"),
        ('{"times": [0, 1]}', "a curve without speeds; write one with --curve curve.json, or a CSV file"),
        ('{"times": "soon", "speeds": [1]}', "its times are no list of numbers"),
        ('{"times": [[0], [1]], "speeds": [1]}', "its times are no list of numbers"),
        ('{"times": 5, "speeds": [1]}', "its times are no list of numbers"),
        ('{"times": [0, 1], "speeds": [[0]]}', "its speeds are no list of numbers"),
        ('{"times": [0, 1], "speeds": [1], "factors": 3}', "its factors are no list of numbers"),
        ('{"times": [0, 1], "speeds": [1], "factors": [1], "predictions": [1]}', "predictions are no list of lists"),
        ('{"times": [0, 1], "speeds": [1], "factors": [2, 1]}', "the factors of a curve must increase"),
        ('{"times": [0, 1], "speeds": [1], "tolerated": [null]}', "the tolerated of a curve must be numbers above"),
        ('{"times": [0, 1], "speeds": [1], "tolerated": [0]}', "the tolerated of a curve must be numbers above zero"),
        (
            '{"times": [0, 1e300], "speeds": [1]}',
            "row 2 has the time 1e\\+300; a time is a number of seconds, 1e\\+07 at",
        ),
        ('{"times": [0, 1], "speeds": [1], "facts": {"cuts": "x"}}', "its cuts are no list of numbers"),
        ('{"times": [0, 1], "speeds": [1], "facts": {"motion": [null]}}', "its motion are no list of numbers"),
        ('{"times": [0, 1], "speeds": [1], "facts": {"notes": 3}}', "its notes are no list of texts"),
        ('{"times": [0, 1], "speeds": [1], "facts": {"method": 3}}', "its method is no text"),
        ('{"times": [0, 1], "speeds": [1], "facts": {"natural_rate": "x"}}', "its natural_rate is no number"),
        ('{"kind": "manifest"}', "no speed curve; write one with --curve curve.json"),
        ('{"version": 9, "times": [0, 1], "speeds": [1]}', "a curve of version 9; this structkit reads 1"),
        ("[1, 2]", "no speed curve; write one with --curve curve.json"),
        ('{"times": [0, 1', "no JSON"),
        ('{"times": [0, 1], "speeds": [1], "tolerated": [1, 2]}', r"cannot have tolerated of \(2,\)"),
    ],
)
def test_the_error_names_the_row_and_the_way_out(text, message):
    with pytest.raises(InputError, match=message):
        read_curve(text.encode(), "hand.csv")


def test_a_file_that_is_no_text_is_no_curve():
    with pytest.raises(InputError, match=r"clip.mp4: .*text"):
        read_curve(b"\x00\x00\x00 ftypisom\xff\xfe", "clip.mp4")


def test_a_curve_is_cut_or_held_to_its_clip_within_a_frame():
    made = SpeedCurve([0, 1, 2, 3], [1, 2, 3], [4, 5, 6])
    cut = made.over(0.5, 2.5, 0.04, "c")
    assert cut.times.tolist() == [0.5, 1, 2, 2.5] and cut.speeds.tolist() == [1, 2, 3]
    inner = made.over(1, 2, 0.04, "c")
    assert inner.times.tolist() == [1, 2] and inner.tolerated.tolist() == [5]
    held = made.over(-0.03, 3.03, 0.04, "c")
    assert held.times.tolist() == [-0.03, 1, 2, 3.03]
    beside = SpeedCurve([-1, 0], [2]).over(0, 0.04, 0.04, "c")
    assert beside.times.tolist() == [0, 0.04] and beside.speeds.tolist() == [2]
    with pytest.raises(InputError, match="c: the curve ends at 3 s, and the clip at 4 s: give it a row for 4 s, which"):
        made.over(0, 4, 0.04, "c")
    with pytest.raises(InputError, match="c: the curve begins at 0 s, and the clip at -1 s: give it a row for -1 s"):
        made.over(-1, 3, 0.04, "c")


def test_the_motion_of_the_cells_is_cut_with_them():
    made = SpeedCurve([0, 1, 2, 3], [1, 2, 3], facts={"motion": [7, 8, 9], "cuts": [1, 2, 3]})
    assert made.over(1, 3, 0.04, "c").facts == {"motion": [8, 9], "cuts": [1, 2, 3]}


def test_a_chart_says_both_lengths_and_has_a_line_of_what_was_tolerated():
    text = curve_file(curve(), "svg").decode()
    root = ElementTree.fromstring(text)
    words = [element.text for element in root.iter() if element.tag.endswith(("text", "title"))]
    made = curve()
    assert f"0:12.0 becomes 0:{made.duration:04.1f}, {made.rate:.2f} times as fast" in words
    assert "0:04" in words and "2x" in words and "tolerated" in words
    alone = curve_file(curve(judged=False), "svg").decode()
    assert alone.count("<polyline") == text.count("<polyline") - 1


@pytest.mark.parametrize("speeds", [[1.0], [0.25, 0.5], [1.0, 1.0], [900.0, 0.002]])
def test_a_chart_of_any_curve_is_drawn_within_its_edges(speeds):
    made = SpeedCurve(np.arange(len(speeds) + 1) * 40.0, speeds)
    root = ElementTree.fromstring(curve_file(made, "svg"))
    for element in root.iter():
        for point in element.get("points", "").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= 1200 and 0 <= y <= 400
    assert Image.open(BytesIO(curve_file(made, "png"))).size == (2400, 800)


def test_the_area_of_a_drawn_chart_is_higher_where_the_clip_is_faster():
    made = SpeedCurve(np.arange(101) / 25, np.where(np.arange(100) < 50, 1.2, 4.0))
    pixels = np.asarray(Image.open(BytesIO(curve_file(made, "png"))).convert("RGB")).astype(int)
    blue = (pixels[150:700, :, 2] - pixels[150:700, :, 0] > 12).sum(0)
    assert blue[1400:2200].mean() > 2 * blue[300:1000].mean() > 0


def test_the_pieces_of_an_edit_list_follow_each_other_and_show_the_whole_clip():
    made = curve(start=0.0)
    timeline = json.loads(curve_file(made, "otio", CLIP))
    video, audio = timeline["tracks"]["children"]
    assert (timeline["OTIO_SCHEMA"], video["kind"], audio["kind"]) == ("Timeline.1", "Video", "Audio")
    at, frames = 0.0, 0
    for clip in video["children"]:
        start, length = clip["source_range"]["start_time"]["value"], clip["source_range"]["duration"]["value"]
        assert start == pytest.approx(at, abs=1e-6) and length >= 1
        at, frames = start + length * clip["effects"][0]["time_scalar"], frames + length
    rate = float(CLIP.rate)
    assert at / rate == pytest.approx(made.times[-1]) and frames == round(made.duration * rate)
    assert video["children"][0]["media_reference"]["target_url"] == "file:///clips/a%20day.mp4"


def test_within_a_piece_of_an_edit_list_the_speed_is_nearly_constant():
    made = curve(start=0.0)
    edges = pieces(made)
    assert edges[0] == 0 and edges[-1] == 300 and len(edges) < 100
    for first, last in pairwise(edges.tolist()):
        speeds = made.speeds[first:last]
        assert speeds.max() <= 1.11 * speeds.min()


def test_the_map_of_an_edit_list_is_the_curve_s_to_a_frame():
    made = curve(start=0.0)
    root = ElementTree.fromstring(curve_file(made, "fcpxml", CLIP).decode().split("<!DOCTYPE fcpxml>")[1])
    points = [[Fraction(point.get(name)[:-1]) for name in ("time", "value")] for point in root.iter("timept")]
    assert points[0] == [0, 0] and points[-1][1] == 12
    timing = made.timing()
    assert all(abs(timing.at(value) - time) < 1 / CLIP.rate for time, value in points)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(points))
    assert root.find(".//sequence").get("duration") == root.find(".//asset-clip").get("duration")


def test_names_that_are_no_text_are_left_out_of_what_must_be_text():
    clip = EditedClip(Path("/clips/b\udcffad\x01.mp4"), Fraction(25))
    root = ElementTree.fromstring(curve_file(curve(), "fcpxml", clip).decode().split("<!DOCTYPE fcpxml>")[1])
    assert root.find(".//asset").get("name") == "b ad"
    assert root.find(".//media-rep").get("src") == "file:///clips/b%FFad%01.mp4"
    ElementTree.fromstring(curve_file(SpeedCurve([0, 1], [2], facts={"method": "\x01\udcff"}), "svg"))


def test_a_format_is_one_that_there_is():
    assert all(curve_file(curve(), name, CLIP) for name in CURVE_FORMATS)
    with pytest.raises(OptionError, match="a curve as 'gif': choose one of json, csv"):
        curve_file(curve(), "gif")
    with pytest.raises(OptionError, match="a curve as otio names its clip: hand it in"):
        curve_file(curve(), "otio")


@pytest.mark.parametrize(
    "arguments", [([0, 1], []), ([0, 1, 1], [1, 1]), ([0, 1], [0]), ([0, 1], [np.nan]), ([0, np.inf], [1]), ([1], [])]
)
def test_what_is_no_curve_cannot_be_made(arguments):
    with pytest.raises(ValueError, match="curve"):
        SpeedCurve(*arguments)
