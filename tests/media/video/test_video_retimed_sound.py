"""Sound goes through the time map of the pictures: what was heard with a picture is heard with it afterwards."""

from contextlib import suppress
from fractions import Fraction

import av
import numpy as np
import pytest

from structkit.errors import InputError, OptionError
from structkit.media.speech import heard as heard_in
from structkit.media.timing import IDENTITY, TimeMap
from structkit.media.video import VideoReader

from .flashes import BURST, bursts, curve, flashes, flashing, heard, onsets, retimed, swinging
from .test_mutants import mutant

TIMES = (0.4, 1.0, 1.6, 2.2, 2.72)  # s, of frames
QUICK = curve(lambda time: 1.8 + np.sin(2 * np.pi * time / 2.5), 3)
KINDS = (
    (".mp4", {}),
    (".mkv", {"codec": "pcm_s16le", "rate": 22254, "layout": "stereo"}),
    (".ts", {}),
    (".mkv", {"codec": "libopus", "rate": 48000}),
    (".mov", {"layout": "5.1", "rate": 48000}),
    (".avi", {"codec": "mp3"}),
    (".mkv", {"codec": "flac", "rate": 48000}),
)  # of files
CLOSE = 0.04  # s, between sound and picture


def offsets(out, times=TIMES) -> list[float]:
    """From each flash to the burst that is nearest, s."""
    wave, rate, first = heard(out)
    bursting, lit = onsets(wave, rate, first), flashes(out)
    assert len(lit) == len(times)
    return [min((b - f for b in bursting), key=abs) for f in lit]


def sound_end(path) -> list[tuple[float, float]]:
    """From when to when each track of sound is heard by its packets, and the pictures, s."""
    with av.open(str(path)) as container:
        ends: dict[int, list] = {}
        for packet in container.demux():
            if packet.size:
                ends.setdefault(packet.stream.index, []).append((packet.pts + packet.duration) * packet.time_base)
        kinds = [stream.type for stream in container.streams]
    return [(kinds[index], float(max(found))) for index, found in ends.items()]


@pytest.mark.parametrize("audio", ["stretch", "varispeed"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_what_was_heard_with_a_picture_is_heard_with_it_under_a_curve(tmp_path, suffix, audio):
    path = flashing(tmp_path / "in.mp4", TIMES)
    notes = retimed(path, out := tmp_path / f"out{suffix}", QUICK, audio=audio)
    made = "opus" if suffix == ".webm" else "aac"
    how = {"stretch": "stretched", "varispeed": "played like a tape"}[audio]
    assert notes == (f"aac sound encoded anew as {made}, {how}",)
    assert max(map(abs, offsets(out))) < 0.005


SOUNDS = {
    "late": {"start": 0.7},
    "before zero": {"start": -0.3},
    "ends early": {"end": 2.0},
    "ends late": {"end": 4.0},
    "long gap": {"gaps": [(1.1, 1.5)]},
    "one packet missing": {"gaps": [(1.1, 1.17)]},
    "of an odd rate": {"codec": "pcm_s16le", "rate": 22254, "layout": "stereo"},
    "Opus": {"codec": "libopus", "rate": 48000},
    "pictures that begin late": {"begin": 0.2},
}


@pytest.mark.parametrize("how", SOUNDS.values(), ids=SOUNDS)
def test_sound_of_every_kind_stays_in_step(tmp_path, how):
    path = flashing(tmp_path / "in.mkv", TIMES, **how)
    timing = curve(lambda time: 1.8 + np.sin(2 * np.pi * time / 2.5), 3, begin=how.get("begin", 0))
    retimed(path, out := tmp_path / "out.mp4", timing)
    found = offsets(out)
    is_there = [how.get("start", 0) <= time < how.get("end", 9) for time in TIMES]
    assert max(abs(off) for off, there in zip(found, is_there, strict=True) if there) < 0.012
    ends = dict(sound_end(out))
    assert abs(ends["audio"] - ends["video"]) < 0.001


@pytest.mark.parametrize("drift", [0.05, -0.05])
def test_a_clock_that_drifts_away_from_the_samples_is_followed(tmp_path, drift):
    path = flashing(tmp_path / "in.mkv", TIMES[:-1], drift=drift)
    retimed(path, out := tmp_path / "out.mkv", QUICK)
    wave, rate, first = heard(out)
    for time, found in zip(TIMES, onsets(wave, rate, first), strict=False):
        assert abs(found - float(QUICK.at(Fraction(time * (1 + drift))))) < CLOSE / 1.5


@pytest.mark.slow
def test_after_minutes_nothing_has_drifted(tmp_path):
    """Sound whose clock loses as much in three minutes as those of phones do in ten: 100 parts in a million."""
    seconds, drift = 180, 1e-4 * 600 / 180
    times = [k + 0.5 for k in range(0, seconds, 7)]
    path = flashing(tmp_path / "in.mkv", times, seconds=seconds, fps=4, rate=8000, drift=drift)
    timing = curve(swinging, seconds)
    retimed(path, out := tmp_path / "out.mkv", timing)
    wave, rate, first = heard(out)
    found = np.array(onsets(wave, rate, first))
    wanted = [float(timing.at(Fraction(time * (1 + drift)))) for time in times]
    assert max(abs(found - time).min() for time in wanted) < CLOSE
    assert abs(dict(sound_end(out))["audio"] - dict(sound_end(out))["video"]) < 0.03


@pytest.mark.parametrize(
    ("layout", "kept"),
    [("stereo", "stereo"), ("5.1", "5.1"), ("5.1(side)", "5.1"), ("7.1", "7.1"), ("hexadecagonal", "stereo")],
)
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_every_channel_is_kept_that_the_encoder_takes(tmp_path, layout, kept, suffix):
    path = flashing(tmp_path / "in.mkv", TIMES, layout=layout, codec="pcm_s16le", rate=48_000)
    notes = retimed(path, out := tmp_path / f"out{suffix}", QUICK)
    with av.open(str(out)) as container:
        assert len(container.streams.audio[0].layout.channels) == len(av.AudioLayout(kept).channels)
    assert notes[1:] == (("16 channels of sound mixed down to 2",) if kept != layout and kept == "stereo" else ())
    assert max(map(abs, offsets(out))) < 0.005
    wave, _, _ = heard(out)
    levels = np.sqrt((wave**2).mean(0))
    if layout in ("stereo", "5.1", "7.1"):
        ratios = levels[0] / levels
        full = [
            c for c in range(wave.shape[1]) if c != 3
        ]  # the fourth is that of low frequencies, filtered by encoders
        np.testing.assert_allclose(ratios[full], (1.0 + np.arange(wave.shape[1]))[full], rtol=0.25)


def test_all_tracks_are_carried(tmp_path):
    path = flashing(tmp_path / "in.mkv", TIMES, tracks=2)
    notes = retimed(path, out := tmp_path / "out.mp4", QUICK)
    assert notes == ("aac sound encoded anew as aac, stretched",) * 2
    with av.open(str(out)) as container:
        assert len(container.streams.audio) == 2
    for track in (0, 1):
        wave, rate, first = heard(out, track)
        assert onsets(wave, rate, first) == pytest.approx([float(QUICK.at(Fraction(t))) for t in TIMES], abs=0.005)


@pytest.mark.parametrize(
    ("how", "left_out"),
    [({}, ()), ({"begin": 0.8}, ("before the first picture",)), ({"end": 3.6}, ("behind the last picture",))],
    ids=["with all pictures", "before them", "behind them"],
)
def test_sound_without_pictures_is_left_out_with_a_note(tmp_path, how, left_out):
    path = flashing(tmp_path / "in.mkv", TIMES[2:], **how)
    timing = curve(lambda time: 0.1 if time < 1.2 else 2, 3, begin=how.get("begin", 0))
    begin = timing.at(Fraction(how.get("begin", 0)).limit_denominator(10))
    notes = retimed(path, tmp_path / "out.mkv", timing.then(TimeMap.shifted(-begin)))
    assert notes[1:] == tuple(f"sound {where} left out" for where in left_out)


@pytest.mark.parametrize("timing", [IDENTITY, QUICK], ids=["a shift", "a curve"])
def test_dropped_sound_is_left_out_with_a_note(tmp_path, timing):
    path = flashing(tmp_path / "in.mp4", TIMES)
    out = tmp_path / "out.mp4"
    assert retimed(path, out, timing, audio="drop") == ("aac sound left out, as asked",)
    with av.open(str(out)) as container:
        assert not container.streams.audio


def test_another_way_to_treat_sound_is_refused(tmp_path):
    path = flashing(tmp_path / "in.mp4", TIMES)
    with pytest.raises(OptionError, match="tape is no way to treat sound; choose stretch, varispeed, drop"):
        retimed(path, tmp_path / "out.mp4", QUICK, audio="tape")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("audio", ["stretch", "varispeed"])
def test_under_a_shift_sound_is_copied_however_it_would_be_treated(tmp_path, packets, audio):
    path = flashing(tmp_path / "in.mp4", TIMES)
    out = tmp_path / "out.mp4"
    assert retimed(path, out, IDENTITY, audio=audio) == ()
    assert packets(out, "audio") == packets(path, "audio")


def test_a_video_without_sound_stays_without(tmp_path):
    path = flashing(tmp_path / "in.mp4", TIMES, tracks=0)
    out = tmp_path / "out.mp4"
    assert retimed(path, out, QUICK) == ()
    with av.open(str(out)) as container:
        assert not container.streams.audio


@pytest.fixture
def spoilt(tmp_path):
    """A video in whose sound some packets cannot be decoded."""
    path = flashing(tmp_path / "whole.mkv", TIMES, codec="flac", rate=48_000)
    with av.open(str(path)) as source, av.open(str(tmp_path / "in.mkv"), "w") as output:
        made = {stream.index: output.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size:
                time = packet.pts * packet.time_base
                if packet.stream.type == "audio" and Fraction(6, 5) < time < Fraction(7, 5):
                    spoilt = av.Packet(bytes(packet.size))
                    spoilt.pts, spoilt.dts, spoilt.time_base = packet.pts, packet.dts, packet.time_base
                    spoilt.duration, spoilt.stream = packet.duration, made[packet.stream.index]
                    output.mux(spoilt)
                    continue
                packet.stream = made[packet.stream.index]
                output.mux(packet)
    return tmp_path / "in.mkv"


def test_damaged_sound_is_an_error_and_silence_where_damage_is_tolerated(tmp_path, spoilt):
    with pytest.raises(InputError, match="damaged sound or subtitles"):
        retimed(spoilt, tmp_path / "out.mp4", QUICK)
    assert not (tmp_path / "out.mp4").exists()
    notes = retimed(spoilt, out := tmp_path / "out.mp4", QUICK, tolerant=True)
    assert "damaged sound: silence where it cannot be decoded" in notes
    assert max(map(abs, offsets(out))) < 0.005


def test_samples_that_are_no_numbers_are_silence_and_those_beyond_measure_are_clipped(tmp_path):
    path = flashing(tmp_path / "in.mkv", TIMES, codec="pcm_f32le", rate=48_000)
    data = bytearray(path.read_bytes())
    sample = np.float32(0.6 * np.sin(2 * np.pi * 1000 * (0.4 * 48_000 + 10) / 48_000)).tobytes()
    for at, value in ((0, np.nan), (4, np.inf), (8, 1e30)):
        place = data.index(sample) + at
        data[place : place + 4] = np.float32(value).tobytes()
    path.write_bytes(data)
    retimed(path, out := tmp_path / "out.mp4", QUICK)
    assert max(map(abs, offsets(out))) < 0.01
    assert np.isfinite(heard(out)[0]).all()


def test_a_part_that_takes_no_time_is_not_heard(tmp_path):
    path = flashing(tmp_path / "in.mkv", TIMES)
    cut = TimeMap(((Fraction(7, 10), Fraction(7, 10)), (Fraction(19, 10), Fraction(7, 10))))
    retimed(path, out := tmp_path / "out.mkv", cut)
    wave, rate, first = heard(out)
    assert onsets(wave, rate, first) == pytest.approx([0.4, 1.0, 1.52], abs=0.01)


def test_the_same_input_gives_the_same_bytes(tmp_path):
    path = flashing(tmp_path / "in.mp4", TIMES)
    for name in ("one.mp4", "two.mp4"):
        retimed(path, tmp_path / name, QUICK)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_bursts_are_found_where_they_are_put():
    assert onsets(bursts((0.1, 0.5), 1, 8000, 1), 8000) == pytest.approx([0.1, 0.5], abs=0.001) and BURST > CLOSE


@pytest.mark.parametrize("timing", [IDENTITY, QUICK], ids=["a shift", "a curve"])
def test_sound_of_a_codec_without_a_name_is_left_out_with_a_note(tmp_path, timing):
    path = flashing(tmp_path / "in.mkv", TIMES)
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_ABC"))
    assert retimed(path, tmp_path / "out.mp4", timing) == ("unknown sound left out: its codec is not read",)


def test_many_channels_without_names_are_left_out_with_a_note(tmp_path):
    """Matroska says only how many there are; nine cannot be brought to two by their number."""
    layout = "FL+FR+FC+LFE+BL+BR+FLC+FRC+BC"
    path = flashing(tmp_path / "in.mkv", TIMES, codec="pcm_s16le", layout=layout)
    notes = retimed(path, tmp_path / "out.mp4", QUICK)
    assert notes == ("pcm_s16le sound left out: what its 9 channels are is not said",)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: " ".join(map(str, (kind[0], *kind[1].values()))))
def test_damage_of_any_kind_ends_in_a_video_or_in_an_error_of_ours(tmp_path, kind):
    suffix, how = kind
    data = flashing(tmp_path / f"in{suffix}", (0.2, 0.6), seconds=1.2, **how).read_bytes()
    path, ends = tmp_path / f"damaged{suffix}", set()
    for seed in range(40):
        path.write_bytes(mutant(data, seed))
        try:
            retimed(path, tmp_path / "out.mp4", curve(swinging, 1.2), tolerant=bool(seed % 2))
            ends.add("written")
        except InputError:
            ends.add("refused")
        with suppress(InputError):
            heard_in(VideoReader(path, tolerant=True), start=Fraction(0), count=30)
    assert ends == {"written", "refused"}
