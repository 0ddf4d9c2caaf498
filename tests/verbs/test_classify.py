"""Names for what is done in videos, with their probabilities."""

from __future__ import annotations

import pytest
import torch

import structkit
from structkit.errors import CheckpointError, InputError, OptionError
from structkit.models import Abilities, abilities_of_model
from structkit.verbs.classify import looking

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
