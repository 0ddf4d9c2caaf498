"""The classifier and its training: shapes, losses, schedules, the layer that acts in training alone, and resumption."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from structkit.configs import ClassifierConfig
from structkit.engines.padain.classifier import (
    JSD_WEIGHT,
    Classifier,
    ClassifierTraining,
    check_network,
    divergence,
    normalised,
    padain_layer,
    rate_at,
)
from structkit.errors import CheckpointError, OptionError
from structkit.kernels.convolution import memory_format_of
from structkit.nets.resnets import classifier_network
from structkit.training.draw import Draw
from structkit.training.parallel import ALONE

from ...labelled_toys import CLASSES, SIDE, TINY, labelled

STATISTICS = [0.5, 0.4, 0.3], [0.25, 0.2, 0.3]


def training(**how) -> ClassifierTraining:
    """A small training; config: options in place of those of TINY."""
    config = ClassifierConfig(**{**TINY, **how.pop("config", {})})
    return ClassifierTraining(how.pop("learned", None) or labelled(), config, **how)


def run(made: ClassifierTraining, steps: range | None = None, seed: int = 0) -> list[float]:
    """The losses of steps, as the loop does them; those from the first on begin the training."""
    steps = steps or range(1, made.stages[0].steps + 1)
    if steps[0] == 1:
        Draw(seed, 0, 0).seed_networks()
        made.begin(0, Draw(seed, 0, 0))
    losses = []
    for step in steps:
        (draw := Draw(seed, 0, step)).seed_networks()
        losses.append(float(made.step(draw)["loss"]))
    return losses


def tiny(**options) -> Classifier:
    return Classifier(ClassifierConfig(**{**TINY, **options}), CLASSES, *map(list, STATISTICS)).eval()


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_logits_probabilities_and_features_have_their_shapes():
    model, pictures = tiny(), torch.rand(2, 3, SIDE, SIDE) * 2 - 1
    assert model.logits(pictures).shape == (2, 3)
    assert torch.allclose(model.probabilities(pictures).sum(1), torch.ones(2))
    features = model.features(pictures)
    assert torch.allclose(model.network.fc(features), model.logits(pictures), atol=1e-5)


def test_a_model_normalises_by_itself():
    model, pictures = tiny(), torch.rand(2, 3, SIDE, SIDE)
    mean, deviation = (torch.tensor(values)[:, None, None] for values in STATISTICS)
    seen = (pictures - mean) / deviation
    torch.testing.assert_close(model.network(seen), model.logits(2 * pictures - 1))


def test_a_model_is_read_back_as_it_was_written(tmp_path):
    model, pictures = tiny(network="wideresnet40"), torch.rand(2, 3, SIDE, SIDE)
    model.save(tmp_path / "m.safetensors", complete=True)
    again = Classifier.load(tmp_path / "m.safetensors")
    assert again.classes == CLASSES and again.config == model.config
    assert torch.equal(again.logits(pictures), model.logits(pictures))


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ((["a"], *STATISTICS), "its classes are not two or more different names"),
        ((["a", "a"], *STATISTICS), "its classes are not two or more different names"),
        ((["a", 3], *STATISTICS), "its classes are not a list of texts"),
        ((CLASSES, [0.5, 0.5], STATISTICS[1]), "its mean is not three numbers between 0 and 1"),
        ((CLASSES, [0.5, 0.5, "x"], STATISTICS[1]), "its mean is not three numbers between 0 and 1"),
        ((CLASSES, STATISTICS[0], [0.1, 0.2, 0.0]), "its deviation has a 0"),
    ],
)
def test_facts_that_cannot_be_are_a_damaged_card(facts, told):
    with pytest.raises(CheckpointError, match=told):
        Classifier(ClassifierConfig(**TINY), *facts)


def test_the_divergence_is_the_mean_distance_of_the_answers_from_their_mean():
    logits = torch.randn(3, 4, 5, dtype=torch.float64) * 3
    clean, one, other = (F.softmax(view, 1) for view in logits)
    mixture = torch.clamp((clean + one + other) / 3, 1e-7, 1).log()
    distances = [F.kl_div(mixture, answer, reduction="batchmean") for answer in (clean, one, other)]
    torch.testing.assert_close(divergence(logits), sum(distances) / 3)
    assert divergence(logits[:1].expand(3, -1, -1)) == pytest.approx(0, abs=1e-12)
    apart = torch.full((2, 1, 2), 100.0)
    apart[0, 0, 0] = apart[1, 0, 1] = -100
    assert divergence(apart) == pytest.approx(math.log(2), rel=1e-4)


def test_a_step_with_the_divergence_goes_down_the_published_loss():
    made = training(config={"augmix": True, "batch": 6})
    Draw(0, 0, 0).seed_networks()
    made.begin(0, Draw(0, 0, 0))
    views, labels = made.feed.take(Draw(0, 0, 1), made.stages[0].steps, 6, ALONE)
    assert views.shape == (3, 6, 3, SIDE, SIDE)
    twin = training(config={"augmix": True, "batch": 6})
    twin.begin(0, Draw(0, 0, 0))
    twin.network.load_state_dict(made.network.state_dict())
    seen = normalised(views.flatten(0, 1), twin.mean, twin.deviation)
    logits = twin.network(seen.contiguous(memory_format=memory_format_of(twin.network))).view(3, 6, 3)
    (F.cross_entropy(logits[0], labels) + JSD_WEIGHT * divergence(logits)).backward()
    made.step(Draw(0, 0, 1))
    torch.testing.assert_close(made.network.fc.weight.grad, twin.network.fc.weight.grad)


def test_one_mixture_alone_without_the_divergence():
    made = training(config={"augmix": True, "jsd": False})
    made.begin(0, Draw(0, 0, 0))
    assert "divergence" not in made.step(Draw(0, 0, 1))


def test_the_published_rates():
    paper = ClassifierConfig(preset="paper").filled()
    each = 391  # steps of an epoch
    at = [rate_at(paper, 1 + round(each * epoch), 200 * each) for epoch in (0, 0.5, 1, 59.9, 60, 119.9, 120, 160, 199)]
    assert at == pytest.approx([1 / each, 0.5, 1, 1, 0.2, 0.2, 0.04, 0.008, 0.008], abs=5e-3)
    imagenet = ClassifierConfig(preset="imagenet").filled()
    at = [rate_at(imagenet, 1 + 10 * epoch, 3000) for epoch in (0, 74, 75, 150, 225, 299)]
    assert at == pytest.approx([1, 1, 0.1, 0.01, 0.001, 0.001])
    augmix = ClassifierConfig(preset="augmix").filled()
    for step in (1, 50, 100):
        published = 1e-6 + (0.1 - 1e-6) * (1 + math.cos(math.pi * (step - 1) / 100)) / 2
        assert 0.1 * rate_at(augmix, step, 100) == pytest.approx(published)


def test_one_cycle_rises_over_the_warm_up_and_falls_in_a_straight_line_to_nothing():
    fast = ClassifierConfig().filled()
    rates = [rate_at(fast, step, 400) for step in range(1, 401)]
    assert rates[:100] == pytest.approx([(i + 1) / 100 for i in range(100)])
    assert rates[100:] == pytest.approx([1 - i / 300 for i in range(300)])


def test_the_schedule_is_that_of_all_epochs_whatever_the_steps():
    """A training that is cut to end in time goes through all of it."""
    paper = ClassifierConfig(preset="paper").filled()
    for steps in (200, 1000):
        assert rate_at(paper, steps, steps) == pytest.approx(0.008)


def test_a_training_is_the_same_with_the_layer_but_for_what_it_does():
    with_it, without = training(config={"padain": 1.0, "pairing": "derange"}), training()
    for made in (with_it, without):
        run(made, range(1, 2))
    assert with_it.state().keys() == without.state().keys()
    assert not equal(with_it.state(), without.state())
    assert len(with_it.padain.names) == 17 and without.padain is None


def test_the_layer_does_nothing_where_pictures_are_told_apart():
    made, pictures = training(config={"padain": 1.0}), torch.rand(4, 3, SIDE, SIDE)
    run(made, range(1, 3))
    network = made.network.eval()
    before = network(pictures)
    made.padain.remove()
    assert torch.equal(network(pictures), before)
    assert torch.equal(made.model().network(pictures), made.model().network(pictures))


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"padain_sites": "early"}, ["conv1", *(f"layer1.{b}.conv{c}" for b in (0, 1) for c in (1, 2))]),
        ({"padain_sites": r"layer4\.1"}, ["layer4.1.conv1", "layer4.1.conv2"]),
        ({"network": "densenet40", "padain_sites": "early"}, ["conv1", *(f"layer1.{i}.conv1" for i in range(12))]),
    ],
)
def test_the_places_of_the_layer(options, names):
    config = ClassifierConfig(**TINY | {"padain": 0.5} | options).filled()
    assert padain_layer(classifier_network(config.network, 3, width=4), config).names == names


def test_a_pattern_without_a_place_says_what_was_looked_at():
    with pytest.raises(OptionError, match=r"no place for Permuted AdaIN.*layer9.*looked at 20 convolutions: conv1"):
        check_network(ClassifierConfig(**TINY, padain=0.5, padain_sites="layer9").filled())
    with pytest.raises(OptionError, match=r"LayerNorm.*: choose places with --padain-sites, or say --padain 0$"):
        check_network(ClassifierConfig(network="torchvision:swin_t", side=32, padain=0.5).filled())


@pytest.mark.parametrize(
    "config",
    [
        {"padain": 0.5, "ema": 0.8, "keep": "best"},
        {"augmix": True, "padain": 0.3, "padain_sites": "early", "mix": 0.1},
        {"pixmix": True, "clip": 1.0, "nesterov": False},
    ],
)
def test_a_state_continues_as_if_nothing_had_been(config):
    how = {"config": {**config, "epochs": 3}, "held": labelled(2, seed=9)}
    whole, before, after = training(**how), training(**how), training(**how)
    run(whole)
    run(before, range(1, 4))
    after.restore(0, {name: tensor.clone() for name, tensor in before.state().items()})
    run(after, range(4, 7))
    assert equal(after.state(), whole.state())
    assert equal(after.model().state_dict(), whole.model().state_dict())
    assert after.scores() == whole.scores()


def test_the_average_has_statistics_of_its_own():
    made = training(config={"ema": 0.5, "rate": 1e-7})
    run(made, range(1, 2))
    first = made.network.bn1.running_mean.clone()
    run(made, range(2, 3))
    second = made.network.bn1.running_mean
    expected = (0.5 * first + second) / 1.5
    torch.testing.assert_close(made.average.module.bn1.running_mean, expected)
    assert torch.equal(made.model().network.bn1.running_mean, made.average.module.bn1.running_mean)


def test_the_last_weights_or_those_of_the_best_check_are_in_the_model():
    held, found = labelled(4, seed=9), {}
    for keep in ("last", "best"):
        made = training(config={"keep": keep, "epochs": 4, "checks": 8, "rate": 0.5}, held=held)
        after = []
        for step in range(1, 9):
            run(made, range(step, step + 1))
            after.append({name: tensor.clone() for name, tensor in made.network.state_dict().items()})
        shares = [share for _, share in made.checks.found]
        best = shares.index(max(shares))
        assert len(shares) == 8 and best < 7  # else nothing is tried here
        scores, chosen = made.scores(), 7 if keep == "last" else best
        assert equal(made.model().network.state_dict(), after[chosen])
        assert scores["accuracy"] == pytest.approx(shares[chosen], abs=1e-6) and scores["kept"] == keep
        assert scores["best_check"] == {"accuracy": round(shares[best], 6), "epoch": (best + 1) / 2}
        found[keep] = shares
    assert found["last"] == found["best"]


def test_classes_of_stripes_are_learned():
    held, told = labelled(10, seed=7), []
    config = {"width": 8, "epochs": 12, "batch": 24, "rate": 0.1, "flip": False}
    made = training(learned=labelled(40), config=config, held=held, tell=told.append)
    losses = run(made)
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    scores = made.scores()
    assert scores["accuracy"] >= 0.8 and scores["chance"] == pytest.approx(1 / 3, abs=1e-6) and scores["held"] == 30
    assert scores["accuracy_low"] < scores["accuracy"] <= scores["accuracy_high"]
    assert scores["classes"].keys() == set(CLASSES) and made.doubts() == []
    assert told[0].startswith("of 30 pictures held out ") and any(line.startswith("worst classes: ") for line in told)


def test_a_model_that_tells_nothing_apart_says_so():
    made = training(held=labelled(2, seed=9), config={"rate": 1e-7, "epochs": 1})
    run(made)
    assert made.doubts() == ["on 6 pictures held out it is no better than always naming one class"]
    assert training().scores() == {} and training().doubts() == []


def test_half_precision_and_the_average_learn_too():
    made = training(dtype=torch.bfloat16, config={"padain": 0.5})
    assert all(map(math.isfinite, run(made))) and made.network.fc.weight.dtype == torch.float32


def test_pictures_that_a_network_cannot_see_are_refused():
    with pytest.raises(OptionError, match="--side is 16, which torchvision:alexnet cannot see: use 224"):
        check_network(ClassifierConfig(network="torchvision:alexnet", side=16).filled())
