"""Clips made shorter: exact lengths, what is kept slow, curves that are used again."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

import structkit
from structkit.configs import SpeedCurveConfig
from structkit.engines.speednet.ladder import FACTORS
from structkit.errors import InputError, OptionError
from structkit.media.speech import Heard
from structkit.media.speed_curve import SpeedCurve, curve_file, read_curve
from structkit.verbs import speed_bounds, speed_meter
from structkit.verbs.speedup import pace_facts

from ..paced_clips import length, paced_clip

HOW = {"device": "cpu"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Two seconds of 25 frames, in which something moves from 0.8 to 1.4 s, with a tone in the first."""
    return paced_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


@pytest.fixture(scope="module")
def measured(clip) -> SpeedCurve:
    return structkit.speed_curve(clip, rate=2, **HOW)


@pytest.mark.parametrize(
    "asked",
    [{"rate": 1.3}, {"rate": 2}, {}, {"rate": 3.7}, {"rate": 6}, {"duration": "0.8"}, {"duration": "40%"}, {"rate": 1}],
)
def test_the_result_lasts_exactly_as_long_as_asked(clip, measured, asked, tmp_path):
    found = structkit.speed_curve(clip, measured=measured, **asked, **HOW)
    wanted = 0.8 if "duration" in asked else 2 / asked.get("rate", 2)
    assert found.duration == pytest.approx(wanted, rel=1e-6)
    made = structkit.speedup(clip, tmp_path / "out.mp4", curve=found)
    assert abs(length(tmp_path / "out.mp4") - wanted) <= 1 / 25
    assert made.seconds == pytest.approx(length(tmp_path / "out.mp4"), abs=1e-4)


def test_what_moves_is_slow_and_what_stands_still_is_fast(measured):
    middle = (measured.times[1:] + measured.times[:-1]) / 2
    moving = (middle > 0.9) & (middle < 1.3)
    assert measured.speeds[moving].max() < 2 < measured.speeds[(middle < 0.3) | (middle > 1.8)].min()


@pytest.mark.parametrize("asked", [{"rate": 3}, {"duration": "0.9s"}, {"rate": 2, "smooth": 10.0}, {"max_speed": 3.0}])
def test_a_curve_from_a_file_is_planned_anew_as_if_it_were_measured_again(clip, measured, asked, tmp_path, monkeypatch):
    anew = structkit.speed_curve(clip, **asked, **HOW)
    (tmp_path / "curve.json").write_bytes(curve_file(measured, "json"))
    monkeypatch.setattr("structkit.verbs.speedup.measured_curve", None)
    again = structkit.speed_curve(clip, measured=tmp_path / "curve.json", **asked, **HOW)
    assert np.array_equal(again.times, anew.times)
    assert again.speeds == pytest.approx(anew.speeds, rel=1e-9)


def test_a_curve_that_nothing_else_is_asked_of_stays_as_it_is(clip, measured, tmp_path):
    (tmp_path / "curve.json").write_bytes(curve_file(measured, "json"))
    again = structkit.speed_curve(clip, measured=tmp_path / "curve.json")
    assert np.array_equal(again.speeds, measured.speeds) and np.array_equal(again.times, measured.times)
    sent = structkit.speed_curve(clip, measured=(tmp_path / "curve.json").read_bytes())
    assert np.array_equal(sent.speeds, measured.speeds)
    anything = structkit.speed_curve(clip, measured=measured, keep="0-0.5s")
    assert anything.rate == pytest.approx(measured.rate) and not np.array_equal(anything.speeds, measured.speeds)


def test_the_speed_may_jump_at_a_cut(clip, measured):
    motion = [0.0] * 25 + [2.0] * 25
    facts = {**measured.facts, "motion": motion}
    smooth, cut = (
        structkit.speed_curve(clip, rate=2, measured=replace(measured, facts={**facts, "cuts": cuts}))
        for cuts in ([], [1.0])
    )
    jumps = [found.speeds[24] / found.speeds[25] for found in (smooth, cut)]
    assert jumps[1] > 1.2 * jumps[0]


def test_a_curve_that_was_drawn_by_hand_is_followed(clip, tmp_path):
    (tmp_path / "curve.csv").write_text("t,S\n0,4\n1.0,1\n2,1\n")
    made = structkit.speedup(clip, tmp_path / "out.mp4", curve=tmp_path / "curve.csv")
    assert made.curve.duration == pytest.approx(1.25)
    assert abs(length(tmp_path / "out.mp4") - 1.25) <= 1 / 25
    faster = structkit.speed_curve(clip, measured=tmp_path / "curve.csv", rate=3.0)
    assert faster.rate == pytest.approx(3)
    assert faster.speeds[faster.times[:-1] < 0.9].mean() > faster.speeds[faster.times[:-1] > 1.1].mean()


def test_a_curve_that_ends_early_or_is_of_another_clip_is_told(clip, tmp_path):
    (tmp_path / "short.csv").write_text("0,2\n1.5,2\n")
    with pytest.raises(InputError, match=r"short.csv: the curve ends at 1.5 s, and the clip at 2 s: give it a row"):
        structkit.speed_curve(clip, measured=tmp_path / "short.csv")
    (tmp_path / "long.csv").write_text("0,2\n1,3\n9,1\n")
    found = structkit.speed_curve(clip, measured=tmp_path / "long.csv")
    assert "long.csv goes on for 7.0 s behind the end of the clip: is it of another one?" in found.facts["notes"][0]
    (tmp_path / "back.csv").write_text("0,2\n1,3\n0.5,1\n")
    with pytest.raises(InputError, match=r"back\.csv: .*put the rows in order"):
        structkit.speed_curve(clip, measured=tmp_path / "back.csv")


@pytest.mark.parametrize(("span", "start", "end"), [("0.5-1.1", 0.5, 1.1), ("1.5s-", 1.5, 2.0), ("-0:00.3", 0.0, 0.3)])
def test_a_span_that_is_kept_is_no_faster_and_the_length_is_the_same(clip, measured, span, start, end):
    found = structkit.speed_curve(clip, measured=measured, rate=1.6, keep=[span])
    inside = (found.times[1:] > start + 1e-9) & (found.times[:-1] < end - 1e-9)
    assert found.speeds[inside].max() == pytest.approx(1) and found.rate == pytest.approx(1.6)


def ears(monkeypatch, speech: tuple[float, float], silence: tuple[float, float]) -> None:
    """Speech and silence between these times, s."""

    def heard(video, *, step, start, count):
        at = float(start) + np.arange(count) * float(step)
        return Heard(*((at >= first) & (at < last) for first, last in (speech, silence)))

    monkeypatch.setattr(speed_bounds, "heard", heard)


def test_where_somebody_speaks_it_is_at_most_so_fast(clip, measured, monkeypatch):
    ears(monkeypatch, (0.0, 0.6), (9, 9))
    found = structkit.speed_curve(clip, measured=measured, rate=2, protect_speech=True)
    assert found.speeds[:15].max() <= 1.6 + 1e-9 < measured.speeds[:15].max()
    assert found.rate == pytest.approx(2)


def test_speech_is_no_faster_than_anything_may_be(clip, measured, monkeypatch):
    count = len(measured.speeds)
    found = Heard(speech=np.ones(count, bool), silence=np.zeros(count, bool))
    monkeypatch.setattr(speed_bounds, "heard", lambda *args, **how: found)
    with pytest.raises(OptionError, match=r"1 to 1\.3 times as fast"):
        structkit.speed_curve(clip, measured=measured, rate=1.5, max_speed=1.3, protect_speech=True)


def test_silence_may_be_faster_than_anything_else_and_speech_in_it_goes_before(clip, measured, monkeypatch):
    ears(monkeypatch, (0.2, 0.4), (0.0, 1.0))
    asked = {"rate": 2.6, "max_speed": 3.0, "silence_speed": 12.0, "smooth": 0.0}
    found = structkit.speed_curve(clip, measured=measured, protect_speech=True, **asked)
    assert found.speeds[:5].min() > 3 and found.speeds[25:].max() <= 3 + 1e-9
    assert found.speeds[5:10].max() <= 1.6 + 1e-9
    kept = structkit.speed_curve(clip, measured=measured, keep=["-0.2s"], **asked | {"rate": 1.5})
    assert kept.speeds[:5].max() == pytest.approx(1)


def test_what_is_heard_is_asked_for_the_cells_of_the_curve(tmp_path):
    path = paced_clip(tmp_path / "clip.mp4", tone=(0.0, 1.0))
    found = structkit.speed_curve(path, rate=2, silence_speed=8.0, smooth=0.0, **HOW)
    assert found.speeds[30:].mean() > found.speeds[:20].mean()


def test_without_sound_the_options_of_sound_are_told_to_be_without_use(tmp_path):
    path = paced_clip(tmp_path / "clip.mp4", tone=None)
    found = structkit.speed_curve(path, protect_speech=True, **HOW)
    assert found.notes == ("no sound: --protect-speech and --silence-speed change nothing",)
    assert structkit.speedup(path, tmp_path / "out.mp4", curve=found).notes == found.notes


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"rate": 9}, r"cannot be made 9 times as fast: here it can be made 1 to 8 times as fast, 0\.2 to 2\.0 s"),
        ({"rate": 0.5}, "--rate is 0.5: it must be between 1 and 100"),
        ({"rate": 2, "duration": 1}, "--rate and --duration both say how long"),
        ({"duration": "3s"}, r"--duration is 0:03\.0, and the clip lasts 0:02\.0: ask for less"),
        ({"duration": "130%"}, r"--duration is 0:02\.6"),
        ({"keep": ["2s-3s"]}, r"--keep begins at 0:02\.0, and the clip lasts 0:02\.0: name a span of the clip"),
        ({"rate": 2, "keep": ["0-"]}, "here it can only be 1 times as fast"),
        ({"vmode": "max"}, "--vmode is of --method speednet"),
        ({"method": "motion", "vmode": "max"}, "--vmode is of --method speednet"),
        ({"speed": 2}, "unexpected keyword argument 'speed'"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(clip, asked, message):
    with pytest.raises(OptionError, match=message):
        structkit.speed_curve(clip, **asked, **HOW)


def test_a_curve_needs_neither_method_nor_model(clip, measured):
    for asked in ({"method": "motion"}, {"model": "net.safetensors"}):
        with pytest.raises(OptionError, match="the curve has measured it: leave one of them out"):
            structkit.speed_curve(clip, measured=measured, **asked)


class OddNet:
    """A stand-in for a model: it finds a clip natural at first, and later at no factor above 1."""

    def __init__(self, *, trusted: bool) -> None:
        self.trusted, self.config = trusted, SimpleNamespace(side=32)

    def parameters(self):
        return iter([np.zeros(1).view(type("P", (np.ndarray,), {"device": "cpu"}))])


class OddLadder:
    """Its ladder."""

    def __init__(self, model) -> None:
        self.factors, self.count = np.array(FACTORS), 0

    def push(self, frames) -> None:
        self.count += len(frames)

    def finish(self) -> np.ndarray:
        found = np.full((len(self.factors), self.count), 0.95)
        found[:, : self.count // 2] = 0.05
        found[0] = 0.05
        return found


@pytest.fixture
def odd_net(monkeypatch):
    """odd_net(trusted, ships): puts stand-ins in the place of models."""
    monkeypatch.setattr(speed_meter, "SpeedLadder", OddLadder)

    def install(*, trusted: bool, ships: bool) -> None:
        monkeypatch.setattr(speed_meter, "usable", lambda model, device, verb: OddNet(trusted=trusted))
        monkeypatch.setattr(speed_meter.structkit_weights, "find", lambda name: Path(name) if ships else None)

    return install


def test_a_model_says_how_fast_a_moment_may_be_and_beyond_that_there_is_a_note(clip, odd_net, tmp_path):
    odd_net(trusted=True, ships=True)
    found = structkit.speed_curve(clip, model="net.safetensors", rate=1.5, **HOW)
    assert found.facts["method"] == "speednet" and found.facts["model"] == "net" and found.facts["notes"] == []
    assert found.speeds[:20].mean() > 1.5 > found.speeds[30:].mean()
    assert pace_facts(found)["natural_rate"] == pytest.approx(1 / (0.5 / 8 + 0.5), rel=0.1)
    (tmp_path / "curve.json").write_bytes(curve_file(found, "json"))
    beyond = structkit.speed_curve(clip, measured=tmp_path / "curve.json", rate=5.0)
    assert "5.00 times as fast is more than looks natural here, which is up to 1." in beyond.notes[-1]


def test_a_model_that_was_not_found_to_tell_speeds_apart_is_asked_only_where_it_was_named(clip, odd_net):
    odd_net(trusted=False, ships=True)
    fallen = structkit.speed_curve(clip, method="speednet", **HOW)
    assert fallen.facts["method"] == "motion"
    assert "speednet-fast was not found to tell speeds apart" in fallen.facts["notes"][0]
    named = structkit.speed_curve(clip, model="net.safetensors", rate=1.5, **HOW)
    assert named.facts["method"] == "speednet"
    assert "the model was not found to tell speeds apart" in named.facts["notes"][0]


def test_speednet_without_a_model_is_refused(clip, odd_net):
    odd_net(trusted=True, ships=False)
    with pytest.raises(OptionError, match="--method speednet needs a model, and none ships with this version: name"):
        structkit.speed_curve(clip, method="speednet", **HOW)
    with pytest.raises(OptionError, match="--model is of --method speednet, and motion needs none"):
        structkit.speed_curve(clip, method="motion", model="net.safetensors", **HOW)


def test_what_was_asked_of_sound_is_no_news_and_another_codec_is(clip, measured, tmp_path):
    for audio in ("stretch", "varispeed", "drop"):
        assert structkit.speedup(clip, tmp_path / f"{audio}.mp4", curve=measured, audio=audio).notes == ()
    [note] = structkit.speedup(clip, tmp_path / "out.webm", curve=measured).notes
    assert "sound encoded anew as opus" in note


def test_options_of_the_video_reach_it(clip, measured, tmp_path):
    for name, asked in {"drop": {"audio": "drop"}, "small": {"max_side": 32}, "all": {"resample": "vfr"}}.items():
        structkit.speedup(clip, tmp_path / f"{name}.mp4", curve=measured, **asked)
    with av.open(str(tmp_path / "drop.mp4")) as container:
        assert not container.streams.audio
    with av.open(str(tmp_path / "small.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (32, 24)
    with av.open(str(tmp_path / "all.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 50
    with pytest.raises(OptionError, match="--audio is 'loud': choose one of stretch, varispeed, drop"):
        structkit.speedup(clip, tmp_path / "never.mp4", curve=measured, audio="loud")


@pytest.mark.parametrize("rate", [10, 12, 60])
def test_clips_of_any_rate_of_frames_are_measured_at_25_a_second(rate, tmp_path):
    path = paced_clip(tmp_path / "clip.mp4", seconds=1.0, rate=rate, moving=(0.2, 0.5), tone=None)
    found = structkit.speed_curve(path, **HOW)
    assert len(found.speeds) == 25 and found.seconds == pytest.approx(1.0)
    structkit.speedup(path, tmp_path / "out.mp4", curve=found)
    assert abs(length(tmp_path / "out.mp4") - 0.5) <= 1 / rate


def test_a_clip_of_one_frame_is_one_shorter_frame(tmp_path):
    path = paced_clip(tmp_path / "clip.mp4", seconds=0.04, tone=None)
    made = structkit.speedup(path, tmp_path / "out.mp4", rate=2, **HOW)
    assert made.frames == 1 and made.curve.rate == pytest.approx(2)


def test_sound_alone_and_pictures_are_no_clips(tmp_path):
    with av.open(str(tmp_path / "sound.m4a"), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match=r"sound\.m4a: .*picture"):
        structkit.speed_curve(tmp_path / "sound.m4a")
    with pytest.raises(InputError, match=r"lake\.jpg: a JPEG picture, not a video"):
        structkit.speed_curve(Path(__file__).parents[2] / "examples/lake.jpg")


def test_progress_goes_from_nothing_to_all(clip, tmp_path):
    seen = []
    structkit.speedup(clip, tmp_path / "out.mp4", progress=lambda share, note: seen.append(share), **HOW)
    assert seen == sorted(seen) and 0 <= seen[0] < 0.5 and seen[-1] > 0.9


def test_the_facts_of_a_curve_add_up(measured):
    facts = json.loads(json.dumps(pace_facts(measured)))
    assert facts["seconds"] / facts["duration"] == pytest.approx(facts["rate"]) and facts["method"] == "motion"
    assert facts["slowest"] <= facts["rate"] <= facts["fastest"]
    shown = sum((piece["end"] - piece["start"]) / piece["speed"] for piece in facts["segments"])
    assert shown == pytest.approx(facts["duration"], rel=0.01)


def test_a_curve_read_back_is_the_one_that_was_written(measured, tmp_path):
    (tmp_path / "curve.json").write_bytes(curve_file(measured, "json"))
    again = read_curve(tmp_path / "curve.json")
    assert again.facts["motion"] == measured.facts["motion"] and again.facts["cuts"] == measured.facts["cuts"]
    assert replace(again, speeds=measured.speeds).document() == measured.document()


def test_notes_on_an_earlier_plan_are_not_told_of_another(clip, odd_net):
    odd_net(trusted=True, ships=True)
    fast = structkit.speed_curve(clip, rate=5, model="net.safetensors", **HOW)
    again = structkit.speed_curve(clip, measured=fast, rate=1, **HOW)
    assert any("5.00 times as fast is more than" in note for note in fast.notes)
    assert again.notes == fast.notes[:-1]


def test_a_mode_of_factors_is_refused_for_a_curve_without_them(clip, measured):
    with pytest.raises(OptionError, match="--vmode is of --method speednet"):
        structkit.speed_curve(clip, measured=measured, vmode="max", **HOW)


@pytest.mark.parametrize(
    "fact", [{"notes": 3}, {"notes": [3]}, {"cuts": ["a"]}, {"motion": [None]}, {"natural_rate": "x"}, {"method": []}]
)
def test_facts_of_another_type_are_refused_by_name(clip, measured, fact, tmp_path):
    document = json.loads(curve_file(measured, "json"))
    document["facts"] |= fact
    (tmp_path / "odd.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=rf"odd\.json: its {next(iter(fact))} (are|is) no "):
        structkit.speed_curve(clip, measured=tmp_path / "odd.json", rate=1.5, **HOW)


def test_options_beside_a_curve_plan_it_anew_or_are_refused(clip, measured, tmp_path):
    made = structkit.speedup(clip, tmp_path / "out.mp4", curve=measured, rate=4)
    assert made.curve.rate == pytest.approx(4) and abs(length(tmp_path / "out.mp4") - 0.5) <= 1 / 25
    with pytest.raises(OptionError, match="unexpected keyword argument 'pace'"):
        structkit.speedup(clip, tmp_path / "no.mp4", curve=measured, pace=4)


def test_the_mode_of_factors_decides_which_of_them_count():
    predictions = np.array([[0.1] * 4, [0.9] * 4, [0.9] * 4, [0.1] * 4])  # natural, twice not so, and so again
    curve = SpeedCurve(np.arange(5) / 25, np.ones(4), factors=np.array([1.0, 2.0, 3.0, 4.0]), predictions=predictions)
    runs, top = (speed_meter.judged(curve, SpeedCurveConfig(vmode=mode), 1.0)[0] for mode in ("runs", "max"))
    assert (runs < 2).all() and top == pytest.approx(4)
