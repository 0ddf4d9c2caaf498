"""Pieces of videos that are like a query, by the features of a network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import structkit
from structkit.data.windows import video_windows, window_tensor
from structkit.errors import CheckpointError, InputError, OptionError
from structkit.media.sampled import SampledVideo
from structkit.media.video import VideoReader
from structkit.verbs.similar import PieceIndex

from ..speed_models import FRAMES, film, tiny_action, tiny_speednet

HOW = {"device": "cpu"}


@pytest.fixture(scope="module")
def model():
    return tiny_speednet()


@pytest.fixture
def films(tmp_path):
    return [film(tmp_path / f"{way}.mp4", way, 32, seed=i) for i, way in enumerate(("across", "down", "blink"))]


def test_a_clip_is_most_similar_to_itself(model, films, tmp_path):
    for one in films:
        copy = shutil.copy(one, tmp_path / "copy.mp4")
        first, *others = structkit.similar(one, [*(f for f in films if f != one), copy], model, **HOW)
        assert first.video == str(copy) and first.similarity == pytest.approx(1, abs=1e-5)
        assert (first.start, first.end) == (first.query_start, first.query_end)
        assert all(match.similarity <= first.similarity + 1e-6 for match in others)


def test_matches_are_ranked_and_do_not_overlap(model, films):
    found = structkit.similar(films[0], films[1:], model, count=99, **HOW)
    assert [match.rank for match in found] == list(range(1, len(found) + 1))
    likeness = [match.similarity for match in found]
    assert likeness == sorted(likeness, reverse=True) and len(found) > 2
    for i, one in enumerate(found):
        for other in found[i + 1 :]:
            assert one.video != other.video or one.end <= other.start or other.end <= one.start


def test_in_one_video_the_piece_itself_is_no_match(model, tmp_path):
    one = film(tmp_path / "long.mp4", count=48)
    found = structkit.similar(one, model=model, at=1.0, count=99, **HOW)
    asked = found[0].query_start, found[0].query_end
    assert asked[1] - asked[0] == pytest.approx(FRAMES / 25)
    assert asked[0] <= 1.0 <= asked[1] and found
    assert all(match.end <= asked[0] + 1e-9 or asked[1] <= match.start + 1e-9 for match in found)


def test_only_of_the_query_itself_is_the_piece_left_out(model, tmp_path):
    one = film(tmp_path / "long.mp4", count=48)
    copy = shutil.copy(one, tmp_path / "copy.mp4")
    first, *_ = structkit.similar(one, [one, copy], model, at=0.96, **HOW)
    assert first.video == str(copy) and (first.start, first.end) == (first.query_start, first.query_end)


def test_an_embedding_does_not_depend_on_what_else_is_looked_at(model):
    clips = torch.rand(5, 3, FRAMES, 32, 40) * 2 - 1
    with torch.inference_mode():
        whole, apart = model.features(clips), torch.cat([model.features(clip[None]) for clip in clips])
    assert torch.allclose(whole, apart, atol=1e-5)


def test_the_order_of_the_gallery_changes_nothing(model, films):
    one, other = (structkit.similar(films[0], some, model, count=4, **HOW) for some in (films[1:], films[:0:-1]))
    assert [(m.video, m.start) for m in one] == [(m.video, m.start) for m in other]


def test_what_all_pieces_have_in_common_does_not_make_them_alike(model, films):
    index = PieceIndex(model, **HOW)
    for one in films[1:]:
        index.add(one)
    windows = list(video_windows(SampledVideo(films[0], side=32), FRAMES))
    with torch.inference_mode():
        features = torch.nn.functional.normalize(model.features(window_tensor(windows)), dim=1)
    assert (features @ features.T).min() > 0.95  # so that the cosine itself says little
    assert min(match.similarity for match in index.matches(index.query(films[0]), count=99)) < 0.9


def test_the_features_of_a_classifier_serve_as_well(films):
    assert structkit.similar(films[0], films[1], tiny_action(), **HOW)


def test_a_sheet_has_a_row_for_the_query_and_one_for_each_match(model, films):
    index = PieceIndex(model, **HOW)
    for one in films[1:]:
        index.add(one)
    query = index.query(films[0])
    matches = index.matches(query)
    heights = [index.sheet(query, matches[:count]).height for count in (1, 2)]
    sheet = index.sheet(query, matches[:2])
    assert heights[1] > heights[0] and sheet.pixels.dtype == np.uint8
    assert (sheet.pixels[..., 0] > 200).any() and (sheet.pixels[..., 2] < 100).any()  # the square is seen


def test_videos_of_one_name_are_told_apart(model, films):
    readers = [VideoReader(Path(one).read_bytes(), name="clip") for one in films[1:]]
    found = structkit.similar(films[0], readers, model, count=99, **HOW)
    assert {match.video for match in found} == {"clip", "clip (2)"}


def test_a_record_is_json_with_the_facts_of_the_match(model, films):
    [match] = structkit.similar(films[0], films[1], model, count=1, **HOW)
    record = json.loads(json.dumps(match.record()))
    assert record["video"] == str(films[1]) and record["rank"] == 1 and -1 <= record["similarity"] <= 1


def test_what_cannot_be_asked(model, films, tmp_path):
    with pytest.raises(OptionError, match="--at is missing: one video, and nothing says which piece"):
        structkit.similar(films[0], model=model, **HOW)
    with pytest.raises(OptionError, match="the model is missing: name a checkpoint"):
        structkit.similar(films[0], films[1])
    with pytest.raises(OptionError, match="--count is 0: it must be at least 1"):
        structkit.similar(films[0], films[1], model, count=0, **HOW)
    with pytest.raises(OptionError, match="--at is -1: it must be a time in the video"):
        structkit.similar(films[0], model=model, at=-1, **HOW)
    with pytest.raises(InputError, match=r"across.mp4: no frame at 9 s"):
        structkit.similar(films[0], model=model, at=9, **HOW)
    short = film(tmp_path / "short.mp4", count=5)
    with pytest.raises(InputError, match=r"short.mp4: 0.20 s, and 0.32 s are the least"):
        structkit.similar(short, model=model, at=0, **HOW)
    with pytest.raises(CheckpointError, match=r"transfer of a content.*not similar; make one with structkit train"):
        structkit.similar(films[0], films[1], "glasses", **HOW)
