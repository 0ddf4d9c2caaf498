"""Errors under corruptions: what is counted, that files score as what is made here does, and what cannot be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import structkit
from structkit.configs.corrupt import CORRUPTIONS
from structkit.data.corruptions import content_name, corrupted_batch, seed_of
from structkit.data.labelled import read_labelled
from structkit.errors import CheckpointError, InputError, OptionError
from structkit.metrics.labels import ALEXNET, ALEXNET_CLEAN, LabelTally
from structkit.verbs import labelled_view
from structkit.verbs.robustness import CorruptionScores

from ..label_models import SLANTS, TONES, by_rule, slant_of, striped, tiny_classifier, tone_of
from ..labelled_toys import class_tree, labelled
from ..speed_models import tiny_action

HOW = {"device": "cpu"}


def scores(model, data, **options):
    return structkit.score_corruptions(model, data, **{**HOW, **options})


def test_whoever_always_names_one_class_is_as_wrong_whatever_the_corruption():
    model = by_rule(lambda pictures: torch.eye(3)[[1]].repeat(len(pictures), 1), ["flat", "steep", "slanted"])
    found = scores(model, labelled(each=3))
    assert list(found.errors) == list(CORRUPTIONS)
    assert found.clean.error == pytest.approx(2 / 3)
    for errors in found.errors.values():
        assert list(errors) == [1, 2, 3, 4, 5] and list(errors.values()) == pytest.approx([2 / 3] * 5)
    assert found.mean == found.mean_without_frost == pytest.approx(2 / 3) and found.of_imagenet is None
    assert list(found.categories.values()) == pytest.approx([2 / 3] * 4)


def test_errors_are_of_what_the_corruption_changes():
    """Brightness misleads whoever looks at tones, and not whoever looks at slants."""
    tones = scores(by_rule(tone_of, TONES), striped(), kinds=["brightness"])
    slants = scores(by_rule(slant_of, SLANTS), striped(classes=SLANTS), kinds=["brightness"])
    assert tones.clean.error == slants.clean.error == 0
    assert tones.errors["brightness"][5] == 0.5 and slants.errors["brightness"][5] == 0


def test_a_score_does_not_depend_on_how_many_pictures_are_in_memory(monkeypatch):
    model, data, how = tiny_classifier(), labelled(each=4), {"kinds": ["shot_noise", "glass_blur"], "severities": [5]}
    whole = scores(model, data, **how)
    monkeypatch.setattr(labelled_view, "CHUNK", 5)
    assert scores(model, data, **how).errors == whole.errors
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0)).tolist()
    assert scores(model, data.take(order), **how).errors == whole.errors


def test_the_published_files_score_as_what_is_made_here(tmp_path):
    model, data = tiny_classifier(), labelled(each=3)
    pictures = data.array(16).permute(0, 2, 3, 1).numpy()
    for kind in ("fog", "speckle_noise"):
        blocks = [
            corrupted_batch(pictures, kind, s, [seed_of(content_name(one), kind, s, 7) for one in pictures])
            for s in range(1, 6)
        ]
        np.save(tmp_path / f"{kind}.npy", np.concatenate(blocks))
    np.save(tmp_path / "labels.npy", np.tile(data.labels.numpy(), 5))
    made = scores(model, data, kinds=["speckle_noise", "fog"], seed=7)
    given = scores(model, data, corrupted=tmp_path)
    assert given.errors == made.errors and given.given and not made.given
    assert list(made.errors) == ["fog", "speckle_noise"] and made.counted == ["fog"]
    assert made.mean == made.means["fog"] and made.categories == {"weather": made.mean}
    assert any("classes are numbers" in note for note in given.notes)
    few = {"count": 4, "seed": 7, "severities": [2], "kinds": ["fog"]}
    assert scores(model, data, **few).errors == scores(model, data, corrupted=tmp_path, **few).errors


def test_fewer_corrupted_pictures_than_others_are_told(tmp_path):
    class_tree(tmp_path / "clean", each=2)
    for severity, each in (("1", 2), ("2", 1)):
        class_tree(tmp_path / "made" / "fog" / severity, each=each)
    how = {"corrupted": tmp_path / "made"}
    assert scores(tiny_classifier(), tmp_path / "clean", severities=[1], **how).notes == ()
    [note] = scores(tiny_classifier(), tmp_path / "clean", severities=[1, 2], **how).notes
    assert note == "fog 2: 3 pictures, and 6 without corruption: not the same ones"


def test_labels_are_matched_by_the_names_of_their_classes():
    model, data = by_rule(tone_of, ["light", "dark"]), striped()
    assert scores(model, data, kinds=["fog"], severities=[1]).clean.error == 1
    turned = by_rule(lambda pictures: tone_of(pictures).flip(1), ["light", "dark"])
    assert scores(turned, data, kinds=["fog"], severities=[1]).clean.error == 0
    with pytest.raises(InputError, match=r"stripes: 1 of its 2 classes are none of the model's \(light\), which knows"):
        scores(by_rule(tone_of, ["dark", "bright"]), data)


def test_a_picture_that_cannot_be_read_is_left_out_and_listed(tmp_path):
    class_tree(tmp_path, each=2)
    whole = scores(tiny_classifier(), tmp_path, kinds=["fog"], severities=[3])
    (tmp_path / "flat" / "bad.png").write_bytes(b"no picture")
    found = scores(tiny_classifier(), tmp_path, kinds=["fog"], severities=[3])
    assert found.errors == whole.errors and len(found.clean) == 6
    assert [name for name, _ in found.rejected] == ["flat/bad.png"] and "left out: 1 picture" in found.notes[0]
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"no picture can be read; the first: flat/0.png: an empty file"):
        scores(tiny_classifier(), tmp_path)


def test_the_part_that_was_held_apart_is_scored(tmp_path):
    class_tree(tmp_path / "train", each=1)
    class_tree(tmp_path / "test", each=2)
    how = {"kinds": ["fog"], "severities": [1]}
    assert len(scores(tiny_classifier(), tmp_path, **how).clean) == 6
    assert len(scores(tiny_classifier(), tmp_path, part="train", **how).clean) == 3
    assert len(scores(tiny_classifier(), read_labelled(tmp_path), **how).clean) == 3
    assert scores(tiny_classifier(), tmp_path, count=3, **how).clean.pictures.tolist() == [1, 1, 1]


def test_the_mce_of_alexnet_is_one_and_no_other_set_has_one():
    classes = [f"n{i:08d}" for i in range(1000)]
    clean = LabelTally(1000)
    clean.pictures[0], clean.right[0] = 1000, round(1000 * (1 - ALEXNET_CLEAN))
    errors = {kind: dict.fromkeys(range(1, 6), error) for kind, error in ALEXNET.items()}
    found = CorruptionScores(clean, errors, classes, 224)
    figures = found.of_imagenet
    assert figures["mce"] == figures["mce_without_frost"] == pytest.approx(1)
    assert figures["relative_mce"] == pytest.approx(1)
    for other in (
        {"side": 64},
        {"classes": classes[:10]},
        {"errors": {kind: errors[kind] for kind in CORRUPTIONS[:14]}},
        {"errors": errors | {"fog": {1: 0.5}}},
    ):
        assert dataclasses.replace(found, **other).of_imagenet is None


def test_progress_rises_to_one_and_the_model_stays_as_it_was():
    model, told = tiny_classifier(), []
    scores(model, labelled(each=2), kinds=["fog", "snow"], progress=lambda share, name: told.append((share, name)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[-1] == 1 and {name for _, name in told} == {"clean", "fog", "snow"}
    assert model.dtype == torch.float32


def test_what_cannot_be_scored(tmp_path):
    model, data = tiny_classifier(), labelled(each=1)
    with pytest.raises(OptionError, match="'rain' is no corruption: choose from gaussian_noise"):
        scores(model, data, kinds=["rain"])
    for options in ({"severities": [6]}, {"severities": []}, {"kinds": []}):
        with pytest.raises(OptionError, match="give some, and severities 1 to 5"):
            scores(model, data, **options)
    with pytest.raises(OptionError, match="--count is 1: it must be at least 2"):
        scores(model, data, count=1)
    with pytest.raises(CheckpointError, match="and not score corruptions; make one with structkit train classifier"):
        scores(tiny_action(), data)
    class_tree(tmp_path / "fog" / "2", each=1)
    with pytest.raises(InputError, match="no snow; there are fog"):
        scores(model, data, corrupted=tmp_path, kinds=["snow"])
    with pytest.raises(InputError, match="fog has no severity 1; choose from 2"):
        scores(model, data, corrupted=tmp_path)
    assert list(scores(model, data, corrupted=tmp_path, severities=[2]).errors) == ["fog"]
