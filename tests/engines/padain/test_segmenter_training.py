"""The training of a segmenter: its stages, what each of them may change, and that it goes on as if never stopped."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from structkit.configs import SegmenterConfig
from structkit.engines.padain.adaptation import ClassCounts, mixed, pictures_at
from structkit.engines.padain.domain_views import signed
from structkit.engines.padain.segmenter import Segmenter
from structkit.engines.padain.segmenter_rates import optimiser_of, set_critic_rate, set_rates
from structkit.engines.padain.segmenter_training import SegmenterTraining
from structkit.errors import OptionError
from structkit.nets.deeplab import FrozenBatchNorm, enlarged
from structkit.training.draw import Draw
from structkit.training.loop import train
from structkit.training.parallel import Processes
from structkit.training.planned import PlannedTraining

from .domains import OF, DarkScenes, Scenes, training_of

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def run(training: SegmenterTraining, stages: int | None = None, seed: int = 7) -> SegmenterTraining:
    for number, stage in enumerate(training.stages[:stages]):
        draw = Draw(seed, number, 0)
        draw.seed_networks()
        training.begin(number, draw)
        for step in range(1, stage.steps + 1):
            training.step(Draw(seed, number, step))
    return training


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in network.state_dict().items() if not name.endswith(STATISTICS)}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("adapt", OF)
def test_a_killed_training_ends_in_the_same_bytes(adapt, tmp_path):
    class Killed(SegmenterTraining):
        left = 0

        def step(self, draw):
            self.left -= 1
            if self.left == 0:
                raise Stopped
            return super().step(draw)

    def trained(output, kills):
        for left in (*kills, 0):
            training = training_of(adapt, padain=0.3, **({"masked": 0.5} if adapt == "selftrain" else {}))
            training.__class__, training.left = Killed, left
            try:
                train(training, tmp_path / output, seed=7, run={}, save_every=0)
            except Stopped:
                continue
        return (tmp_path / output).read_bytes()

    import structkit.training.loop as loop

    every, loop.LOG_EVERY = loop.LOG_EVERY, 1  # a state after each step
    try:
        calm = trained("calm.safetensors", ())
        assert trained("killed.safetensors", (4, 5, 4)) == calm
    finally:
        loop.LOG_EVERY = every


@pytest.mark.parametrize("adapt", OF)
def test_every_adaptation_begins_with_the_same_stage(adapt):
    none, other = run(training_of("none")), run(training_of(adapt), 1)
    assert same(none.network.state_dict(), other.network.state_dict())


def test_the_statistics_of_the_target_are_all_that_bn_changes():
    none, bn = run(training_of("none")), run(training_of("bn"))
    assert [stage.name for stage in bn.stages] == ["source", "statistics"]
    before, after = none.model().network, bn.model().network
    assert same(weights(before), weights(after))
    assert not same(before.state_dict(), after.state_dict())


def test_alpha_goes_from_the_statistics_of_the_source_to_those_of_the_target():
    source = run(training_of("none")).model().network
    found = {alpha: run(training_of("bn", alpha=alpha)).model().network for alpha in (0.0, 0.5, 1.0)}
    assert same(found[0.0].state_dict(), source.state_dict())
    for name in (n for n, _ in source.named_buffers() if n.endswith("running_mean")):
        ends = [found[alpha].state_dict()[name] for alpha in (0.0, 1.0)]
        torch.testing.assert_close(found[0.5].state_dict()[name], sum(ends) / 2)


@pytest.mark.parametrize("adapt", ["bn", "fada", "selftrain"])
def test_the_model_has_the_statistics_of_the_target(adapt):
    """The first norm: the mean of what its convolution makes of all pictures of the target."""
    training = run(training_of(adapt))
    model = training.model()
    pictures = signed(pictures_at(training.target, range(len(training.target))))
    backbone = model.network.backbone
    seen = backbone.conv1(torch.addcmul(model.network.shift, pictures, model.network.scale))
    torch.testing.assert_close(backbone.bn1.running_mean, seen.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)


def test_the_teacher_is_the_moving_average_of_the_weights():
    training = training_of("selftrain")
    run(training, 1)
    training.begin(1, Draw(7, 1, 0))
    passed = []
    for step in range(1, 4):
        training.step(Draw(7, 1, step))
        passed.append(weights(training.network))
    decay = training.config.teacher
    for name, found in weights(training.teacher.module).items():
        parts = [decay ** (2 - i) * one[name] for i, one in enumerate(passed)]
        torch.testing.assert_close(found, sum(parts) / sum(decay**i for i in range(3)), rtol=1e-4, atol=1e-6)
    assert all(p.grad is None for p in training.teacher.module.parameters())


def test_the_first_labels_of_the_teacher_are_those_of_bn():
    """It sees a batch of the target by the statistics of that batch."""
    training = run(training_of("selftrain"), 1)
    training.begin(1, Draw(7, 1, 0))
    assert all(module.training for module in training.teacher.module.modules() if isinstance(module, nn.BatchNorm2d))


def test_a_discriminator_learns_from_features_and_moves_none():
    training = run(training_of("fada"), 1)
    training.begin(1, Draw(7, 1, 0))
    before, critic = weights(training.network), weights(training.critic)
    terms = training.step(Draw(7, 1, 1))
    assert set(terms) == {"loss", "adversarial", "critic"}
    assert not same(before, weights(training.network)) and not same(critic, weights(training.critic))
    assert abs(terms["critic"] - math.log(6)) < 1  # at first all six logits are alike
    assert all(p.requires_grad for p in training.critic.parameters())


@pytest.mark.parametrize("upsampled", [False, True])
def test_the_discriminator_is_asked_for_the_shape_of_the_soft_labels(upsampled):
    training = run(training_of("fada", upsampled=upsampled), 1)
    training.begin(1, Draw(7, 1, 0))
    shapes, judged = [], SegmenterTraining._judged
    training._judged = lambda features, soft: (
        shapes.append(judged(training, features, soft).shape) or judged(training, features, soft)
    )
    training.step(Draw(7, 1, 1))
    assert {tuple(shape) for shape in shapes} == {(3, 6, 24, 32) if upsampled else (3, 6, 3, 4)}


def test_a_step_of_fada_has_the_published_losses():
    temperature, ceiling, weight, count = 2.5, 0.33, 0.7, 3
    options = {"temperature": temperature, "ceiling": ceiling, "adversarial": weight, "augment": False}
    training = training_of("fada", **options)
    training.begin(0, Draw(7, 0, 0))
    training.begin(1, draw := Draw(7, 1, 0))
    draw, network, critic = draw.at(1), copy.deepcopy(training.network), copy.deepcopy(training.critic)
    source, labels = training.views.of_source(draw, count)
    seen = signed(training.views.in_colours(source, draw, "colours")), signed(training.views.of_target(draw, count))
    features = [network.features(pictures) for pictures in seen]
    logits = [network.classifier(part) / temperature for part in features]
    soft = [one.softmax(1).clamp(max=ceiling) for one in logits]
    judged = [critic(part).log_softmax(1) for part in features]
    as_source, as_target = judged[1][:, :3], judged[1][:, 3:]
    own, theirs = -(soft[0] * judged[0][:, :3]).sum(1).mean(), -(soft[1] * as_target).sum(1).mean()
    expected = {
        "loss": F.cross_entropy(enlarged(logits[0], labels.shape[1:]), labels.long(), training.weights),
        "adversarial": -weight * (soft[1] * as_source).sum(1).mean(),
        "critic": 0.5 * own + 0.5 * theirs,
    }
    found = training.step(draw)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value.detach(), rtol=1e-4, atol=1e-5)


def test_a_step_of_self_training_has_the_losses_of_dacs():
    training, count = training_of("selftrain", augment=False, confidence=0.34), 3
    training.begin(0, Draw(7, 0, 0))
    training.begin(1, draw := Draw(7, 1, 0))
    draw, network, teacher = draw.at(1), copy.deepcopy(training.network), copy.deepcopy(training.teacher.module)
    source, labels = training.views.of_source(draw, count)
    target = training.views.of_target(draw, count)
    most, own = enlarged(teacher(signed(target)), labels.shape[1:]).softmax(1).max(1)
    share = (most >= 0.34).float().mean((1, 2))[:, None, None].expand_as(most)
    numbers = training.views.numbers(draw, "mixed", count, 3)
    pictures, mixed_labels, trust = mixed(source, labels, target, own.to(torch.uint8), share, numbers)
    logits = network(signed(source))
    mixed_logits = network(signed(training.views.in_colours(pictures, draw, "mixed colours", blur=True)))
    every = F.cross_entropy(enlarged(mixed_logits, labels.shape[1:]), mixed_labels.long(), reduction="none")
    weights = training.weights[mixed_labels.long()]
    expected = {
        "loss": F.cross_entropy(enlarged(logits, labels.shape[1:]), labels.long(), training.weights),
        "mixed": (weights * every * trust).sum() / weights.sum(),
        "trust": share.mean(),
    }
    found = training.step(draw)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value.detach(), rtol=1e-4, atol=1e-5)


def test_only_the_adversarial_stage_pairs_halves():
    training, found = training_of("fada", padain=0.5), []
    for number in range(3):
        run(training, 1) if number == 0 else None
        training.begin(number, Draw(7, number, 0))
        hooks = [h for m in training.network.modules() for h in m._forward_hooks.values() if hasattr(h, "swap")]
        found.append({hook.swap.pairing for hook in hooks})
    assert found == [{"permute"}, {"halves"}, {"permute"}]


def test_the_last_stage_of_fada_is_left_out_where_labels_get_less_steady(monkeypatch):
    training = run(training_of("fada", target=30))
    path = "structkit.engines.padain.segmenter_training.steadiness"
    before, after = training.labeller, training._settled(training.network)
    for steady, kept in ((0.4, before), (0.6, after)):
        monkeypatch.setattr(path, lambda network, pictures, judge, s=steady: 0.5 if network is training.labeller else s)
        training.made = None
        assert same(training.model().network.state_dict(), kept.state_dict())
    assert "less steady (50.0 % before and 40.0 % after it)" in training.kept_before


def test_the_last_stage_learns_no_picture_that_it_is_judged_by():
    training = run(training_of("fada", target=30), 1)
    training.begin(2, Draw(7, 2, 0))
    assert len(training.held_target) == 3
    assert sorted(training.learned + training.held_target) == list(range(30))


def test_a_target_is_its_pictures_alone():
    """Nothing else of it is ever asked for, by any stage or score: a stand-in has nothing else."""
    assert {name for name in vars(DarkScenes) if not name.startswith("_")} == {"picture"}
    for adapt in ("bn", "fada", "selftrain"):
        training = run(training_of(adapt, held=2))
        training.scores(), training.doubts(), training.preview(Draw(7, 0, 1))


def test_an_adaptation_without_a_target_is_refused():
    with pytest.raises(OptionError, match="--adapt bn adapts to pictures of a target, and there are none"):
        SegmenterTraining(Scenes(3), None, SegmenterConfig(adapt="bn"))


def test_frozen_norms_stand_still_up_to_the_last_stage_and_the_model_does_what_they_did(monkeypatch):
    """The published weights of a ResNet are too large for a test: the small network stands in for one."""
    monkeypatch.setattr(SegmenterTraining, "_begin_published", lambda self: None)
    training = training_of("none")
    object.__setattr__(training.config, "frozen", True)
    torch.manual_seed(0)
    training.begin(0, Draw(7, 0, 0))
    training.step(Draw(7, 0, 1))
    norms = [module for module in training.network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and all(type(norm) is FrozenBatchNorm for norm in norms)
    assert all((norm.running_var == 1).all() and (norm.weight == 1).all() for norm in norms)
    pictures = torch.rand(1, 3, 24, 32) * 2 - 1
    object.__setattr__(training.config, "frozen", False)
    model = training.model()
    assert not any(isinstance(module, FrozenBatchNorm) for module in model.modules())
    torch.testing.assert_close(model.network(pictures), training.network(pictures), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("adapt", ["fada", "selftrain"])
def test_adapting_with_frozen_norms_leaves_them_their_statistics(monkeypatch, adapt):
    monkeypatch.setattr(SegmenterTraining, "_begin_published", lambda self: None)
    training = training_of(adapt)
    object.__setattr__(training.config, "frozen", True)
    training.begin(0, Draw(7, 0, 0))
    training.begin(1, Draw(7, 1, 0))
    training.step(Draw(7, 1, 1))
    object.__setattr__(training.config, "frozen", False)
    pictures = torch.rand(1, 3, 24, 32) * 2 - 1
    last = training.network if adapt == "fada" else training.teacher.module
    torch.testing.assert_close(training.model().network(pictures), last(pictures), rtol=1e-4, atol=1e-5)


def test_the_last_stage_of_published_fada_begins_anew(monkeypatch):
    monkeypatch.setattr(SegmenterTraining, "_begin_published", lambda self: None)
    training = training_of("fada")
    training.begin(0, Draw(7, 0, 0))
    training.begin(1, Draw(7, 1, 0))
    before = training.network
    training.start = {}
    training.begin(2, Draw(7, 2, 0))
    assert training.network is not before
    for mine, theirs in zip(training.network.classifier.branches, before.classifier.branches, strict=True):
        assert not torch.equal(mine.weight, theirs.weight)
    labelled = training._own_labels(0)
    assert torch.equal(labelled, training._seen(training._settled(before), [0])[0].argmax(0).to(torch.uint8))


def test_the_discriminators_rate_falls_as_the_networks_beside_sgd_alone():
    for optimiser, equal in (("sgd", False), ("adam", True)):
        training = training_of("fada", optimiser=optimiser)
        training.begin(0, Draw(7, 0, 0))
        training.begin(1, Draw(7, 1, 0))
        rates = []
        for step in (1, 3):
            training.step(Draw(7, 1, step))
            rates.append(training.critic_adam.param_groups[0]["lr"])
        assert rates[0] == training.config.discriminator_rate and (rates[1] == rates[0]) is equal


def test_rates_of_sgd_are_the_published_ones():
    config = SegmenterConfig(preset="paper", network="small", adapt="fada").filled()
    optimiser = optimiser_of(Segmenter(config, ["a"], [(0, 0, 0)]).network, config)
    for kind, step, steps, expected in (
        ("source", 1, 20_000, 5e-3),
        ("source", 10_001, 20_000, 5e-3 * (1 - 10_000 / 31_250) ** 0.9),
        ("adversarial", 40_000, 40_000, 2.5e-3 * (1 - 39_999 / 62_500) ** 0.9),
        ("distillation", 20_001, 40_000, 5e-3 * (1 - 20_000 / 41_250) ** 0.9),
    ):
        set_rates(optimiser, config, kind, step, steps)
        assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([expected / 10, expected])
    critic = torch.optim.Adam([torch.zeros(1)], 1.0)
    set_critic_rate(critic, config, 40_000, 40_000)
    assert critic.param_groups[0]["lr"] == pytest.approx(1e-4 * (1 - 39_999 / 62_500) ** 0.9)


def test_two_processes_draw_the_batch_of_one():
    training = training_of("selftrain", pair_batch=4)
    whole, whole_labels = training.views.of_source(Draw(7, 1, 1), 4)
    parts = []
    for rank in range(2):
        training.processes = Processes(rank, 2)
        parts.append((*training.views.of_source(Draw(7, 1, 1), 4), training.views.of_target(Draw(7, 1, 1), 4)))
    assert torch.equal(torch.cat([part[0] for part in parts]), whole)
    assert torch.equal(torch.cat([part[1] for part in parts]), whole_labels)
    assert len(parts[0][2]) == 2 and not torch.equal(parts[0][2], parts[1][2])


@pytest.mark.parametrize("adapt", OF)
def test_a_training_plans_its_minutes(adapt, tmp_path):
    told = []
    planned = PlannedTraining(
        lambda config: training_of(adapt), [None], lambda training: [1.0] * len(training.stages), seconds=0.01,
        least=lambda training: [1] * len(training.stages), tell=told.append,
    )  # fmt: skip
    model = train(planned, tmp_path / "m.safetensors", seed=1, run={})
    assert told and model.classes == ["ground", "square", "disc"]


def test_a_training_learns_its_classes_and_adapting_helps_on_the_target():
    """Squares and discs, then darker: the statistics of the target bring back what their change has taken."""
    truth, found = Scenes(20, 9), {}
    for adapt in ("none", "bn"):
        training = run(training_of(adapt, target=20, width=0.25, steps=60, batch=8, rate=0.01, augment=False))
        counts, model = ClassCounts(3), training.model()
        for index in range(20):
            seen = signed(pictures_at(DarkScenes(20), [index]))
            with torch.inference_mode():
                counts.add(truth.labels(index)[None], model.labels(seen))
        found[adapt] = counts.mean_iou()
    assert found["bn"] > found["none"] + 0.05 and found["bn"] > 0.5, found


def test_scores_are_measured_on_what_is_held_out_and_on_the_target():
    lines = []
    training = training_of("bn", held=3)
    training.tell = lines.append
    run(training)
    scores = training.scores()
    assert set(scores) == {"held", "miou", "present", "iou", "confidence", "steadiness", "told"}
    assert scores["held"] == 3 and set(scores["iou"]) == {"ground", "square", "disc"}
    assert 0 <= scores["miou"] <= 1 and 0 <= scores["steadiness"] <= 1 and len(lines) == 2
    assert training.doubts() == (["it tells one class of all pictures of the target"] if scores["told"] == 1 else [])


def test_looking_at_a_training_changes_nothing():
    training = run(training_of("selftrain", padain=0.5, held=2))
    before = {name: tensor.clone() for name, tensor in training.state().items()}
    picture = training.preview(Draw(7, 1, 4))
    assert picture.shape == (1, 3, 2 * 24, 4 * 32) and picture.abs().max() <= 1
    training.model(), training.scores()
    assert same(before, training.state())


def test_copies_of_a_network_have_no_hooks_of_padain():
    training = run(training_of("selftrain", padain=0.5))
    for network in (training.teacher.module, training.model().network):
        hooks = [hook for module in network.modules() for hook in module._forward_hooks.values()]
        assert not [hook for hook in hooks if hasattr(hook, "swap")]
