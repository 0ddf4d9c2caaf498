"""Pairs of a video and a picture: what is learned from which frames, and videos in which nothing moves but what moved
before.
"""

from __future__ import annotations

import hashlib
import re
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

import structkit
from structkit import checkpoint
from structkit.engines.pair.training import PairTraining
from structkit.errors import InputError, OptionError, OutputError
from structkit.media.pictures import Picture, write_picture
from structkit.media.video import Frame, VideoReader
from structkit.media.video_writer import VideoWriter
from structkit.recipes.material import PairInput
from structkit.verbs.analogy_video import BATCH
from structkit.verbs.frames import VideoSummary

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {"size": 32, "coarsest": 18, "width": 4, "widest": 4, "steps": 2, "device": "cpu", "dtype": "float32"}
COUNT = 16


def frame(step: int, height: int = 32, width: int = 40) -> np.ndarray:
    """(height, width, 3) uint8: a square on its way across a ramp."""
    pixels = np.broadcast_to(np.linspace(90, 220, width).astype(np.uint8)[None, :, None], (height, width, 3)).copy()
    pixels[10:20, 2 + step : 12 + step] = (200, 40, 90)
    return pixels


def film(path: Path, steps: list[int], *, height: int = 32, width: int = 40) -> Path:
    """At uneven times."""
    with VideoWriter(path, width=width, height=height) as writer:
        for i, step in enumerate(steps):
            writer.write(Frame(frame(step, height, width), Fraction(i * i + 20 * i, 250)))
    return path


@pytest.fixture(scope="module")
def moving(tmp_path_factory) -> Path:
    return film(tmp_path_factory.mktemp("clips") / "moving.mkv", list(range(COUNT)))


@pytest.fixture(scope="module")
def look() -> Picture:
    blocks = np.random.default_rng(1).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Picture(np.kron(blocks, np.ones((8, 8, 1), np.uint8)), name="look")


@pytest.fixture(scope="module")
def path(moving, look, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pair") / "pair.safetensors"
    structkit.train_analogy(moving, look, path, **TINY)
    return path


@pytest.fixture
def pair(path):
    return structkit.load(path, "cpu")


def frames(source) -> list[Frame]:
    with VideoReader(source) as reader:
        return list(reader)


def translate(source, output, pair, **options) -> VideoSummary:
    return structkit.analogy_video(source, None, output, model=pair, device="cpu", **options)


def test_the_card_says_that_the_source_was_a_video_and_which(path, moving):
    run = checkpoint.read_card(path)["run"]
    assert (run["config"]["mode"], run["config"]["frames"]) == ("video", 250)
    assert run["inputs"]["source"] == hashlib.sha256(moving.read_bytes()).hexdigest()
    assert (run["config"]["cycle"], run["config"]["abroad"]) == (1.0, 1.0)  # as the authors set for videos


def test_another_video_and_other_frames_of_it_are_another_training(path, moving, look, tmp_path):
    with pytest.raises(OutputError, match=r"another training \(config.frames is 250 there, 5 here\)"):
        structkit.train_analogy(moving, look, path, **TINY, frames=5)
    with pytest.raises(OutputError, match=r"another training \(inputs.source is [0-9a-f.]+ there,"):
        structkit.train_analogy(film(tmp_path / "other.mkv", list(range(1, COUNT + 1))), look, path, **TINY)


def test_it_learns_from_no_more_frames_than_it_may(moving, look, tmp_path, monkeypatch):
    given = []
    begin = PairTraining.__init__
    monkeypatch.setattr(
        PairTraining, "__init__", lambda self, *pair, **how: given.append(pair[0]) or begin(self, *pair, **how)
    )
    structkit.train_analogy(moving, look, tmp_path / "p.safetensors", frames=6, **TINY)
    assert given[0].shape == (4, 3, 29, 36)


def test_a_training_that_was_stopped_ends_in_the_same_bytes(path, moving, look, tmp_path, monkeypatch):
    step = PairTraining.step

    def stopped(self, draw):
        if (draw.stage, draw.step) == (2, 1):
            raise KeyboardInterrupt
        return step(self, draw)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PairTraining, "step", stopped)
        structkit.train_analogy(moving, look, tmp_path / "pair.safetensors", **TINY)
    structkit.train_analogy(moving, look, tmp_path / "pair.safetensors", **TINY)
    assert (tmp_path / "pair.safetensors").read_bytes() == path.read_bytes()


def test_each_frame_keeps_its_time_and_the_video_its_shape(pair, moving, tmp_path):
    made = translate(moving, tmp_path / "out.mkv", pair)
    result = frames(tmp_path / "out.mkv")
    assert [f.time for f in result] == [f.time for f in frames(moving)] and made.frames == COUNT
    assert result[0].pixels.shape == (28, 36, 3)  # 29 x 36 made even
    assert not np.array_equal(result[0].pixels, result[-1].pixels) and 0 < made.flicker < 50


def test_the_sound_goes_along(pair, sounding, sound_of, tmp_path):
    source = sounding([frame(step) for step in range(3)])
    translate(source, tmp_path / "out.mp4", pair)
    assert sound_of(tmp_path / "out.mp4") == sound_of(source) != []


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(pair, moving, tmp_path):
    one, again, other = BytesIO(), BytesIO(), BytesIO()
    for stream, seed in ((one, 3), (again, 3), (other, 4)):
        translate(moving, stream, pair, seed=seed)
    assert one.getvalue() == again.getvalue() != other.getvalue()


@pytest.fixture
def painted(moving, monkeypatch) -> list[np.ndarray]:
    """The frames that are written from now on, as they are before encoding."""
    found, write = [], VideoWriter.write
    monkeypatch.setattr(VideoWriter, "write", lambda self, frame: found.append(frame.pixels) or write(self, frame))
    return found


@pytest.mark.parametrize("refine", ["none", "patches"])
def test_where_nothing_moves_nothing_moves(pair, moving, tmp_path, monkeypatch, painted, refine):
    """In one batch and from one to the next: all frames have the same noise."""
    still = [Frame(frame(3), Fraction(i, 10)) for i in range(BATCH + 3)]
    monkeypatch.setattr(VideoReader, "__iter__", lambda self: iter(still))
    made = translate(moving, tmp_path / "out.mp4", pair, refine=refine)
    assert len(painted) == len(still) and all(np.array_equal(pixels, painted[0]) for pixels in painted)
    assert made.flicker == 1


def test_a_frame_is_the_analogy_of_its_picture(pair, tmp_path, monkeypatch, painted):
    square = Frame(frame(5, 32, 32), Fraction(0))  # even as it is
    source = film(tmp_path / "square.mp4", [5], width=32)
    painted.clear()
    monkeypatch.setattr(VideoReader, "__iter__", lambda self: iter([square]))
    translate(source, tmp_path / "out.mp4", pair)
    [alone] = structkit.analogy(Picture(square.pixels), model=pair, device="cpu")
    assert np.array_equal(painted[0], alone.pixels)


def test_the_options_of_a_result_change_it(pair, moving, tmp_path):
    made = {}
    for name, options in {
        "plain": {},
        "i": {"inject": pair.finest},
        "p": {"refine": "patches"},
        "s": {"swapped": True},
    }.items():
        translate(moving, tmp_path / f"{name}.mp4", pair, **options)
        made[name] = frames(tmp_path / f"{name}.mp4")[0].pixels.tobytes()
    assert len(set(made.values())) == 4
    translate(moving, tmp_path / "f.mp4", pair, inject=max(0, pair.finest - 2))
    assert (tmp_path / "f.mp4").read_bytes() == (tmp_path / "plain.mp4").read_bytes()


def test_patches_give_another_look_and_any_size(pair, tmp_path):
    red = Picture(np.full((20, 20, 3), (255, 0, 0), np.uint8), name="red")
    source = film(tmp_path / "two.mp4", [0, 1])
    made = structkit.analogy_video(
        source, red, tmp_path / "out.mp4", model=pair, refine="patches", size=(32, 26), device="cpu"
    )
    result = frames(tmp_path / "out.mp4")
    assert len(result) == 2 and result[0].pixels.shape == (26, 32, 3)
    assert np.abs(result[1].pixels.astype(int) - (255, 0, 0)).max() < 9  # what the encoding leaves
    assert made.notes == ("red: enlarged 1.3 times, the result cannot be sharper",)


def test_a_pair_of_pictures_translates_videos_too_and_a_pair_of_a_video_pictures(pair, moving, look, tmp_path):
    pictures = structkit.train_analogy(Picture(frame(0)), look, tmp_path / "p.safetensors", **TINY)
    assert translate(moving, tmp_path / "out.mp4", pictures).frames == COUNT
    [result] = structkit.analogy(Picture(frame(0)), model=pair, device="cpu")
    assert result.pixels.shape == (29, 36, 3)


def refused(kind: type, message: str):
    return pytest.raises(kind, match=re.escape(message))


def test_trainings_that_cannot_be(moving, look, tmp_path):
    output = tmp_path / "p.safetensors"
    with refused(OptionError, f"--mode style is for pictures, and {moving} is a video: leave it out"):
        structkit.train_analogy(moving, look, output, mode="style", **TINY)
    with refused(OptionError, "--mode video is for videos, and look is a picture: leave it out"):
        structkit.train_analogy(look, look, output, mode="video", **TINY)
    with refused(OptionError, "--frames is for videos, and look is a picture: leave it out"):
        structkit.train_analogy(look, look, output, frames=9, **TINY)
    with refused(InputError, f"{moving}: a video, where a picture is needed; name one of its frames"):
        structkit.train_analogy(moving, moving, output, **TINY)
    write_picture(look, tmp_path / "look.png")
    (tmp_path / "look.png").rename(tmp_path / "look.mp4")
    with refused(InputError, "look.mp4: a PNG picture, not a video"):
        structkit.train_analogy(tmp_path / "look.mp4", look, output, **TINY)
    (tmp_path / "cut.mkv").write_bytes(moving.read_bytes()[:-700])
    with refused(InputError, "cut.mkv: truncated MKV"):
        structkit.train_analogy(tmp_path / "cut.mkv", look, output, **TINY)
    assert not output.exists()


def test_translations_that_cannot_be(pair, moving, look, tmp_path):
    output = tmp_path / "out.mp4"
    with refused(
        OptionError,
        "a trained pair has its own look: leave TARGET out, or say --refine patches, which uses its patches",
    ):
        structkit.analogy_video(moving, look, output, model=pair)
    with refused(OptionError, "--size needs --refine patches: without, this pair makes 36 x 28 px"):
        translate(moving, output, pair, size=(64, 48))
    with refused(
        OptionError, "--refine chain is for pictures, a video flickers with it: leave it out, or say --refine patches"
    ):
        translate(moving, output, pair, refine="chain")
    with refused(OptionError, f"--inject is 9: this pair has the levels 0 to {pair.finest}"):
        translate(moving, output, pair, inject=9)
    with refused(OptionError, "without a model an analogy needs a target"):
        structkit.analogy_video(moving, None, output)
    with refused(OptionError, "swapped turns a trained pair round: it needs a model"):
        structkit.analogy_video(moving, look, output, swapped=True)
    with refused(InputError, f"{moving}: a video, where a picture is needed"):
        structkit.analogy(moving, model=pair)
    assert list(tmp_path.iterdir()) == []


def test_a_video_of_an_unfinished_pair_says_so(pair, moving, tmp_path):
    pair.generators, pair.amplitudes = pair.generators[:2], pair.amplitudes[:2]
    pair.save(tmp_path / "cut.safetensors", complete=False)
    made = translate(moving, tmp_path / "out.mp4", structkit.load(tmp_path / "cut.safetensors"))
    assert made.notes == (f"the training of the pair is not finished: 2 of {len(pair.shapes)} levels",)
    height, width = pair.shapes[1]
    assert frames(tmp_path / "out.mp4")[0].pixels.shape == (height - height % 2, width - width % 2, 3)


def test_a_small_video_is_told(look, tmp_path):
    notes: list[str] = []
    source = film(tmp_path / "stamp.mp4", [0, 1], height=24, width=24)
    structkit.train_analogy(source, look, tmp_path / "p.safetensors", tell=notes.append, **TINY)
    assert notes == [f"{source}: enlarged 1.3 times, the result cannot be sharper"]
    assert PairInput.of(source, video=True).sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
