"""Where somebody speaks and where it is silent, by what is heard in a video."""

import shutil
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest

from structkit.media.speech import Heard, heard
from structkit.media.video import VideoReader

from .flashes import encoded, flashing

RATE = 16_000
PHRASES = ((1.0, 2.4), (4.0, 4.5), (7.0, 11.5))  # s
SECONDS = 14


def syllables(seconds: float, seed: int = 0) -> np.ndarray:
    """What speech has in common: a voice whose pitch glides, through two formants, four syllables a second."""
    n = np.arange(round(seconds * RATE)) / RATE
    pitch = 115 + 20 * np.sin(2 * np.pi * 0.7 * n + seed) + 6 * np.sin(2 * np.pi * 3.1 * n)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(
        (1 / (1 + ((k * 115 - 600) / 200) ** 2) + 0.4 / (1 + ((k * 115 - 1500) / 300) ** 2)) * np.sin(k * phase)
        for k in range(1, 25)
    )
    loudness = np.sin(np.pi * ((4.1 * n + 0.05 * np.sin(5 * n)) % 1)) ** 2
    return (0.12 * voice * loudness).astype(np.float32)


def talk(seed: int = 0) -> np.ndarray:
    wave = np.zeros(SECONDS * RATE, np.float32)
    for start, end in PHRASES:
        wave[round(start * RATE) : round(end * RATE)] = syllables(end - start, seed)
    return wave


def notes(voices: int, a_second: float = 2) -> np.ndarray:
    """A tune, or chords, of plucked strings."""
    rng, wave = np.random.default_rng(5), np.zeros(SECONDS * RATE)
    for at in np.arange(0, SECONDS - 1, 1 / a_second):
        n = np.arange(RATE) / RATE
        for _ in range(voices):
            hertz = 220 * 2 ** (rng.integers(-12, 13) / 12)
            string = sum(np.sin(2 * np.pi * k * hertz * n) / k for k in range(1, 6)) * np.exp(-3 * n)
            wave[round(at * RATE) : round(at * RATE) + RATE] += string
    return (0.4 * wave / abs(wave).max()).astype(np.float32)


def drums() -> np.ndarray:
    rng, wave = np.random.default_rng(6), np.zeros(SECONDS * RATE)
    for number, at in enumerate(np.arange(0, SECONDS - 1, 0.25)):
        n = np.arange(RATE // 4) / RATE
        beat = (
            rng.standard_normal(len(n)) * np.exp(-30 * n) if number % 2 else np.sin(120 * np.pi * n) * np.exp(-20 * n)
        )
        wave[round(at * RATE) : round(at * RATE) + len(n)] += 0.3 * beat
    return wave.astype(np.float32)


def noise(level: float) -> np.ndarray:
    return level * np.random.default_rng(7).standard_normal(SECONDS * RATE).astype(np.float32)


@pytest.fixture
def listened(tmp_path):
    """listened(wave, ...): what is heard in a video with that sound."""

    def listen(wave: np.ndarray, at: float = 0, count: int | None = None, **how) -> Heard | None:
        path = tmp_path / "sound.mkv"
        with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as output:
            video = output.add_stream("libx264", rate=5, time_base=Fraction(1, 1000))
            video.width = video.height = 16
            video.pix_fmt = "yuv420p"
            sound = output.add_stream("pcm_s16le", rate=RATE, layout="mono")
            packets = encoded(sound, wave[:, None], at, "mono", (), 0)
            for number in range(5 * SECONDS):
                frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
                frame.pts, frame.time_base = 200 * number, Fraction(1, 1000)
                packets += video.encode(frame.reformat(format="yuv420p"))
            for packet in sorted([*packets, *video.encode(None)], key=lambda p: p.dts * p.time_base):
                output.mux(packet)
        return heard(VideoReader(path), start=Fraction(0), count=count or 25 * SECONDS, **how)

    return listen


def within(phrases, by: float = 0, count: int = 25 * SECONDS) -> np.ndarray:
    """The cells that lie in the phrases, widened by so many seconds."""
    time = (np.arange(count) + 0.5) / 25
    return np.logical_or.reduce([(time > start - by) & (time < end + by) for start, end in phrases])


@pytest.mark.parametrize("loudness", [1, 0.02])
@pytest.mark.parametrize("hiss", [0, 0.005])
def test_phrases_are_found_whole_and_pauses_between_them_too(listened, loudness, hiss):
    found = listened(loudness * (talk() + noise(hiss)))
    assert found.speech[within(PHRASES, 0.06)].all()  # and a little more, so that nothing is cut
    assert not found.speech[~within(PHRASES, 0.6)].any()
    assert not (found.speech & found.silence).any()
    assert found.silence[~within(PHRASES, 0.6)].all() or (hiss and loudness == 1)


@pytest.mark.parametrize(
    "wave",
    [noise(0.1), notes(1, 2), notes(3, 4), drums(), 0 * noise(1)],
    ids=["hiss", "a tune", "chords", "drums", "nothing"],
)
def test_what_is_not_speech_is_none(listened, wave):
    assert listened(wave).speech.mean() < 0.05


def test_silence_is_where_the_level_is_low_for_a_while(listened):
    wave = noise(0.1)
    for start, end in ((1, 2), (3, 3.1), (5, 9)):
        wave[round(start * RATE) : round(end * RATE)] *= 0.01
    wave[7 * RATE : 7 * RATE + RATE // 100] = 0.5  # a click does not end a silence
    found = listened(wave).silence
    assert found[within([(1, 2), (5, 9)], -0.08)].all()
    assert not found[~within([(1, 2), (5, 9)], 0.08)].any()


def test_far_below_loud_speech_is_silence_too(listened):
    hiss, pauses = noise(0.0112), within([(5.3, 6.4), (12.3, 13.8)])  # of -39 dB
    assert listened(1.8 * talk().clip(-0.5, 0.5) + hiss).silence[pauses].all()
    assert not listened(0.3 * talk() + hiss).silence[pauses].any()


@pytest.mark.parametrize("at", [-0.5, 0.7])
def test_times_are_those_of_the_sound(listened, at):
    found, moved = listened(talk()), listened(talk(), at)
    by = round(25 * at)
    one, other = (found.speech, moved.speech)[:: 1 if by > 0 else -1]
    assert abs(one[: -abs(by)].astype(int) - other[abs(by) :]).sum() <= 6  # of six edges; cells are 40 ms
    assert moved.silence[: max(0, by)].all()


@pytest.mark.parametrize("step", [Fraction(1, 60), Fraction(1, 7), Fraction(1, 300)])
def test_a_cell_of_any_length_is_speech_where_some_of_it_is(listened, step):
    count = int(SECONDS / step)
    fine, found = listened(talk()), listened(talk(), step=step, count=count)
    assert found.speech.shape == found.silence.shape == (count,)
    middle = ((np.arange(count) + 0.5) * float(step) * 25).astype(int)
    assert (found.speech != fine.speech[middle]).mean() < 0.03


def test_cells_behind_the_end_are_silent(listened):
    found = listened(talk(), count=25 * SECONDS + 100)
    assert found.speech.shape == (25 * SECONDS + 100,)
    assert found.silence[-100:].all() and not found.speech[-100:].any()
    assert (found.speech[:-100] == listened(talk()).speech).all()


def test_a_video_without_sound_has_none(tmp_path):
    path = flashing(tmp_path / "in.mp4", (0.4,), seconds=1, tracks=0)
    assert heard(VideoReader(path), start=Fraction(0), count=25) is None


def test_of_no_cells_nothing_is_heard(tmp_path):
    path = flashing(tmp_path / "in.mp4", (0.4,), seconds=1)
    assert heard(VideoReader(path), start=Fraction(0), count=0).speech.shape == (0,)


def test_sound_that_cannot_be_decoded_is_silence(tmp_path):
    path = flashing(tmp_path / "in.mkv", (0.4, 2.0), codec="flac", rate=48_000)
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    path.write_bytes(data)
    found = heard(VideoReader(path, tolerant=True), start=Fraction(0), count=75)
    assert found.silence.shape == (75,)


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="needs espeak-ng, which speaks")
@pytest.mark.parametrize("voice", ["en-us", "en-us+f3", "de"])
def test_spoken_words_are_found_whole(listened, tmp_path, voice):
    wave, phrases = np.zeros(SECONDS * RATE, np.float32), []
    for at, words in (
        (1, "Hello there."),
        (4, "Yes."),
        (6, "We went up the hill, and after a rest we came down again."),
    ):
        subprocess.run(["espeak-ng", "-v", voice, "-w", str(tmp_path / "words.wav"), words], check=True)
        to_rate = av.AudioResampler("flt", "mono", RATE)
        with av.open(str(tmp_path / "words.wav")) as spoken:
            said = np.concatenate([f.to_ndarray()[0] for s in spoken.decode(audio=0) for f in to_rate.resample(s)])
        loud = np.flatnonzero(abs(said) > 0.01)
        said = said[loud[0] : loud[-1]][: (SECONDS - 1 - at) * RATE]
        wave[at * RATE : at * RATE + len(said)] = said
        phrases.append((at, at + len(said) / RATE))
    found = listened(wave + noise(0.003)).speech
    assert found[within(phrases)].mean() > 0.98
    assert not found[~within(phrases, 0.6)].any()
