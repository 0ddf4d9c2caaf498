"""The model of actions and its training: shapes, windows, beginnings, scores, and that it learns."""

from __future__ import annotations

import pytest
import torch

from structkit.configs import ActionConfig, SpeedNetConfig
from structkit.engines.speednet.action import (
    ActionNet,
    ActionTraining,
    LabelledVideo,
    confusion,
    score_lines,
)
from structkit.engines.speednet.model import SpeedNet
from structkit.errors import CheckpointError, InputError, OptionError
from structkit.training.draw import Draw

from ...speed_models import FRAMES, TINY, WAYS, frames_of, tiny_action, tiny_speednet

CONFIG = {**TINY, "batch": 6, "steps": 4, "zoom": 0.8}


def labelled(each: int = 3, seed: int = 0) -> list[LabelledVideo]:
    return [
        LabelledVideo(
            f"{way}{i}",
            label,
            [torch.from_numpy(frames_of(way, seed=seed + 10 * label + i)).permute(0, 3, 1, 2).contiguous()],
        )
        for label, way in enumerate(WAYS)
        for i in range(each)
    ]


def training(**how) -> ActionTraining:
    config = ActionConfig(**{**CONFIG, **how.pop("config", {})})
    return ActionTraining(how.pop("videos", labelled()), WAYS, config, **how)


def run(made: ActionTraining, stage: int = 0, steps: range | None = None) -> list[float]:
    """The losses of the steps of a stage, as the loop does them; those from the first on begin it."""
    steps = steps or range(1, made.stages[stage].steps + 1)
    if steps[0] == 1:
        Draw(0, stage, 0).seed_networks()
        made.begin(stage, Draw(0, stage, 0))
    losses = []
    for step in steps:
        (draw := Draw(0, stage, step)).seed_networks()
        losses.append(float(made.step(draw)["loss"]))
    return losses


def test_logits_probabilities_and_features_have_their_shapes():
    model, clips = tiny_action(), torch.rand(2, 3, FRAMES, 32, 40) * 2 - 1
    assert model.logits(clips).shape == (2, 3)
    assert torch.allclose(model.probabilities(clips).sum(1), torch.ones(2))
    assert model.features(clips).shape == (2, model.network.channels)


def test_logits_are_the_last_layer_of_the_features():
    """The mean over frames and a linear layer may change places."""
    model, clips = tiny_action(), torch.rand(2, 3, FRAMES, 32, 40) * 2 - 1
    after = model.network.head(model.features(clips)[..., None, None, None]).flatten(1)
    assert torch.allclose(after, model.logits(clips), atol=1e-5)


def test_clips_that_are_too_short_or_too_small_are_refused():
    with pytest.raises(InputError, match="clips of 7 frames of 40 x 32 px: 8 frames and 32 px are the least"):
        tiny_action().logits(torch.zeros(1, 3, 7, 32, 40))


@pytest.mark.parametrize("classes", [["walk"], ["walk", "walk"], "walk", ["walk", 3], [], None])
def test_classes_that_cannot_be_are_a_damaged_card(classes):
    with pytest.raises(CheckpointError, match="its classes are not"):
        ActionNet(ActionConfig(**TINY), classes)


def test_a_model_is_read_back_as_it_was_written(tmp_path):
    model, clips = tiny_action(), torch.rand(1, 3, FRAMES, 32, 32)
    model.save(tmp_path / "action.safetensors", complete=True)
    again = ActionNet.load(tmp_path / "action.safetensors")
    assert again.classes == WAYS and torch.equal(again.logits(clips), model.logits(clips))


def test_windows_show_parts_of_the_videos_of_their_labels():
    made = training(config={"zoom": 1.0, "jitter": 0.0, "sided": True})
    drawn = torch.rand(8, 10, generator=torch.Generator().manual_seed(0))
    windows, labels = made.windows(drawn)
    assert windows.shape == (8, 3, FRAMES, 32, 32) and windows.abs().max() <= 1
    for window, label, row in zip(windows, labels, drawn.tolist(), strict=True):
        assert label == int(row[0] * 3)
        [stretch] = made.by_class[label][int(row[1] * 3)].stretches
        start, left = int(row[3] * 9), round(row[5] * 8)
        seen = stretch[start : start + FRAMES, :, :, left : left + 32].float() / 127.5 - 1
        assert torch.allclose(window.transpose(0, 1), seen, atol=0.02)


def test_half_of_the_windows_are_mirrored_unless_sides_matter():
    drawn = torch.rand(30, 10, generator=torch.Generator().manual_seed(0))
    [mirrored, kept] = (training(config={"sided": sided}).windows(drawn)[0] for sided in (False, True))
    turned = drawn[:, 7] < 0.5
    assert 5 < turned.sum() < 25
    torch.testing.assert_close(mirrored[turned], kept[turned].flip(-1))
    torch.testing.assert_close(mirrored[~turned], kept[~turned])


def test_all_classes_are_drawn_alike_however_many_videos_they_have():
    videos = [*labelled(1), *(one for one in labelled(9, seed=50) if one.label == 0)]
    drawn = torch.rand(300, 10, generator=torch.Generator().manual_seed(0))
    _, labels = training(videos=videos).windows(drawn)
    assert all(70 < (labels == label).sum() < 130 for label in range(3))


def test_a_training_begins_from_the_weights_it_is_given_and_tunes_all_layers():
    made = training(start=tiny_speednet(3))
    start = tiny_speednet(3).network.trunk.state_dict()
    made.begin(0, Draw(0, 0, 0))
    assert all(torch.equal(made.network.trunk.state_dict()[name], start[name]) for name in start)
    made.step(Draw(0, 0, 1))
    moved = [not torch.equal(p.detach(), start[name]) for name, p in made.network.trunk.named_parameters()]
    assert all(moved)


def test_a_model_that_begins_from_one_that_sees_motion_sees_it_too(tmp_path):
    start = SpeedNet(SpeedNetConfig(**TINY, smallest=32, largest=32, sees="motion"))
    made = training(start=start)
    run(made, steps=range(1, 2))
    made.model().save(tmp_path / "action.safetensors", complete=True)
    again, clips = ActionNet.load(tmp_path / "action.safetensors"), torch.rand(1, 3, FRAMES, 32, 32)
    assert again.backbone.sees == "motion" and torch.equal(again.logits(clips), made.model().logits(clips))


def test_a_baseline_begins_from_random_weights_and_leaves_the_tuned_model_alone():
    start = tiny_speednet(3).network.trunk.state_dict()
    made = training(start=tiny_speednet(3), config={"init": "x", "baseline": True}, held=labelled(1, seed=9))
    assert [(stage.name, stage.steps) for stage in made.stages] == [("tuning", 4), ("random weights", 4)]
    run(made)
    tuned = {name: tensor.clone() for name, tensor in made.model().state_dict().items()}
    made.begin(1, Draw(0, 1, 0))
    assert not any(torch.equal(p, start[name]) for name, p in made.network.trunk.named_parameters() if p.dim() > 1)
    run(made, 1, range(2, 5))
    assert all(torch.equal(tensor, tuned[name]) for name, tensor in made.model().state_dict().items())
    assert {"accuracy", "random_accuracy", "random_accuracy_low"} <= made.scores().keys()


def test_a_state_continues_as_if_nothing_had_been():
    how = {"start": tiny_speednet(3), "config": {"init": "x", "baseline": True}}
    whole, before, after = training(**how), training(**how), training(**how)
    for stage in (0, 1):
        run(whole, stage)
    run(before)
    run(before, 1, range(1, 3))
    after.restore(1, {name: tensor.clone() for name, tensor in before.state().items()})
    run(after, 1, range(3, 5))
    mine, others = after.state(), whole.state()
    assert mine.keys() == others.keys() and all(torch.equal(mine[name], others[name]) for name in mine)
    assert all(map(torch.equal, after.model().state_dict().values(), whole.model().state_dict().values()))


def test_classes_that_move_in_their_own_ways_are_learned():
    torch.manual_seed(0)
    held, told = labelled(2, seed=500), []
    config = {"width": 0.25, "steps": 120, "rate": 5e-3, "average": 0.8, "dropout": 0.0}
    made = training(videos=labelled(6), held=held, config=config, tell=told.append)
    losses = run(made)
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    scores = made.scores()
    assert scores["accuracy"] >= 0.8 and scores["chance"] == pytest.approx(1 / 3) and scores["held"] == 6
    assert scores["accuracy_low"] < scores["accuracy"] <= scores["accuracy_high"]
    assert sum(sum(row.values()) for row in scores["confusion"].values()) == 6
    assert any("videos held out" in line for line in told) and made.doubts() == []


def test_a_model_that_tells_nothing_apart_says_so():
    made = training(held=labelled(1, seed=9), config={"rate": 1e-7, "steps": 1})
    run(made)
    assert made.doubts() == ["on 3 videos held out it is no better than always naming one class"]
    assert training().scores() == {} and training().doubts() == []


def test_confusions_are_counted():
    classes = ["walk", "run", "jump"]
    found = confusion([0, 0, 1], [0, 1, 1], classes)
    assert found == {"walk": {"walk": 1, "run": 1}, "run": {"run": 1}}
    figures = {"held": 3, "chance": 2 / 3, "accuracy": 2 / 3, "accuracy_low": 0.2, "accuracy_high": 0.94}
    lines = score_lines({**figures, "confusion": found}, begun=False)
    assert lines[0] == "from random weights: of 3 videos held out 67 % right (20 to 94 with 95 % confidence)"
    assert lines[-1] == "taken for another: walk for run 1x"


def test_options_that_do_not_go_together():
    with pytest.raises(OptionError, match="--baseline trains from random weights"):
        ActionConfig(baseline=True)
    with pytest.raises(OptionError, match="--gates is of --network s3dg, and the network is plain"):
        ActionConfig(gates="all").filled()
    start = tiny_speednet().config
    assert ActionConfig(init="x").begun_from(start).backbone().width == start.width
    with pytest.raises(OptionError, match="--network is s3dg and that of --init is plain: leave --network out"):
        ActionConfig(init="x", network="s3dg").begun_from(start)
