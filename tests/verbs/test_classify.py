"""Names for what is done in videos and shown in pictures, with their probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import structkit
from structkit.errors import CheckpointError, InputError, OptionError
from structkit.media.pictures import Picture, write_picture
from structkit.models import Abilities, abilities_of_model
from structkit.verbs.classify import LabelMaker, looking

from ..label_models import TONES, by_rule, tiny_classifier, tone_of
from ..labelled_toys import SIDE, stripes
from ..speed_models import WAYS, film, tiny_action, tiny_speednet

HOW = {"device": "cpu"}


@pytest.fixture(scope="module")
def model():
    return tiny_action()


def test_the_probabilities_of_all_classes_have_the_sum_one_and_the_likeliest_comes_first(model, tmp_path):
    found = structkit.classify(film(tmp_path / "a.mp4", count=29), model, **HOW)
    shares = [share for _, share in found.labels]
    assert sum(shares) == pytest.approx(1, abs=1e-6) and shares == sorted(shares, reverse=True)
    assert {label for label, _ in found.labels} == set(WAYS) and found.best == found.labels[0][0]
    assert found.probability(found.best) == shares[0] and found.name.endswith("a.mp4")


def test_the_likeliest_are_told_with_the_same_probabilities(model, tmp_path):
    path = film(tmp_path / "a.mp4")
    whole, best = structkit.classify(path, model, **HOW), structkit.classify(path, model, top=2, **HOW)
    assert best.labels == whole.labels[:2]


def test_several_videos_have_the_labels_of_each(model, tmp_path):
    paths = [film(tmp_path / f"{i}.mp4", way, seed=i) for i, way in enumerate(WAYS)]
    told = []
    found = structkit.classify(paths, model, progress=lambda share, note: told.append(share), **HOW)
    assert [one.labels for one in found] == [structkit.classify(path, model, **HOW).labels for path in paths]
    assert told == sorted(told) and told[-1] == 1


def test_the_probabilities_of_a_video_are_the_mean_over_its_windows(model, tmp_path):
    """A video of two windows that do not overlap but for the one between them."""
    from structkit.data.windows import video_windows, window_tensor
    from structkit.media.sampled import SampledVideo

    path = film(tmp_path / "a.mp4", count=16)
    windows = list(video_windows(SampledVideo(path, side=32), 8))
    with torch.inference_mode():
        mean = sum(model.probabilities(window_tensor([window]))[0] for window in windows) / len(windows)
    found = dict(structkit.classify(path, model, **HOW).labels)
    assert [found[label] for label in model.classes] == pytest.approx(mean.tolist(), abs=1e-5)


def test_a_model_is_used_by_what_it_can_do(model):
    assert abilities_of_model(model) == Abilities(features=True, labels=True, clips=True)
    with pytest.raises(CheckpointError, match="a model of kind 'speednet': it names nothing that is shown in videos"):
        looking(tiny_speednet())


def test_what_cannot_be_asked(model, tmp_path):
    path = film(tmp_path / "a.mp4")
    with pytest.raises(OptionError, match="--top is 0: it must be at least 1"):
        structkit.classify(path, model, top=0, **HOW)
    with pytest.raises(CheckpointError, match="similar and not classify; make one with structkit train"):
        structkit.classify(path, tiny_speednet(), **HOW)
    with pytest.raises(InputError, match=r"5.mp4: 0.20 s, and 0.32 s are the least"):
        structkit.classify(film(tmp_path / "5.mp4", count=5), model, **HOW)
    with pytest.raises(InputError, match=r"nothing.mp4"):
        structkit.classify(tmp_path / "nothing.mp4", model, **HOW)


def shown(label: int = 0, seed: int = 0, side: int = SIDE) -> Picture:
    return Picture(stripes(label, seed, side), name=f"{label}-{seed}")


def test_a_picture_has_the_probabilities_of_the_models_classes():
    model = tiny_classifier()
    found = structkit.classify(shown(), model, **HOW)
    assert found.name == "0-0" and sum(share for _, share in found.labels) == pytest.approx(1, abs=1e-6)
    square = torch.from_numpy(shown().pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        expected = model.probabilities(square)[0].tolist()
    assert [found.probability(label) for label in model.classes] == pytest.approx(expected, abs=1e-6)


def test_pictures_together_have_the_labels_of_each_alone(tmp_path):
    model, given = tiny_classifier(), [shown(i % 3, i, side=16 + i % 4) for i in range(40)]
    told = []
    found = structkit.classify(given, model, progress=lambda share, name: told.append(share), **HOW)
    assert len(told) == 40 and told[-1] == 1 and [one.name for one in found] == [one.name for one in given]
    for one, picture in zip(found[::13], given[::13], strict=True):
        alone = structkit.classify(picture, model, **HOW)
        assert dict(one.labels) == pytest.approx(dict(alone.labels), abs=1e-5)
    write_picture(given[0], tmp_path / "a.png")
    assert structkit.classify(tmp_path / "a.png", model, **HOW).labels == found[0].labels


def test_a_picture_is_seen_upright_opaque_and_in_its_middle(tmp_path):
    model = by_rule(tone_of, TONES)
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = 250
    assert structkit.classify(Picture(wide), model, **HOW).best == "light"
    hidden, alpha = np.full((16, 16, 3), 255, np.uint8), np.zeros((16, 16), np.uint8)
    hidden[:2], alpha[:2] = 20, 255
    found = structkit.classify(Picture(hidden, alpha), model, **HOW)
    assert found.best == "dark" and found.notes == ("what is transparent is taken as its mean colour",)
    deep = Picture(np.full((16, 16, 3), 60000, np.uint16))
    assert structkit.classify(deep, model, **HOW).best == "light"


def test_what_cannot_be_looked_at_leaves_the_others(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    maker = LabelMaker(tiny_classifier(), **HOW)
    film(tmp_path / "a.mp4")
    found = maker.each([shown(), tmp_path / "bad.png", tmp_path / "a.mp4", lambda: shown(1), tmp_path / "none.png"])
    assert [isinstance(one, InputError) for one in found] == [False, True, True, False, True]
    assert "not a picture" in str(found[1]) and str(found[2]).endswith(
        "a.mp4: a video, and this model names what a picture shows; give pictures, or use a model of structkit train "
        "action"
    )
    with pytest.raises(InputError, match=r"bad.png: not a picture"):
        structkit.classify([shown(), tmp_path / "bad.png"], tiny_classifier(), **HOW)
    empty = Picture(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), "empty")
    with pytest.raises(InputError, match="empty: every pixel is transparent"):
        structkit.classify(empty, tiny_classifier(), **HOW)
