"""The options of a classifier's training: each does what it says, or is refused where it would do nothing."""

from __future__ import annotations

import pytest

from structkit.configs import CLASSIFIER_PRESETS, ClassifierConfig
from structkit.errors import OptionError


@pytest.mark.parametrize("preset", CLASSIFIER_PRESETS)
def test_a_filled_configuration_stays_as_it_is(preset):
    filled = ClassifierConfig(preset=preset).filled()
    assert filled.filled() == filled


@pytest.mark.parametrize(
    ("preset", "published"),
    [
        ("paper", {"network": "resnet18", "width": 64, "side": 32, "epochs": 200, "batch": 128, "rate": 0.1,
                   "fall": 0.2, "weight_decay": 5e-4, "clip": 5.0, "rotation": 15.0, "padain": 0.01,
                   "nesterov": False, "views": 1}),
        ("augmix", {"network": "resnext29", "schedule": "cosine", "nesterov": True, "augmix": True, "jsd": True,
                    "severity": 3, "normalise": "half", "views": 3, "padain": 0.01}),
        ("imagenet", {"network": "torchvision:resnet50", "side": 224, "epochs": 300, "batch": 256, "weight_decay": 1e-4,
                      "milestones": "75,150,225", "crop": "resized", "padain": 0.01, "padain_sites": "paper"}),
        ("fast", {"width": 16, "epochs": 20, "schedule": "one-cycle", "padain": 0.0, "padain_sites": None}),
    ],
)  # fmt: skip
def test_presets_are_the_published_recipes(preset, published):
    filled = ClassifierConfig(preset=preset).filled()
    assert {name: getattr(filled, name) for name in published} == published


def test_milestones_warm_up_and_checks_follow_the_epochs():
    filled = ClassifierConfig(preset="paper", epochs=20).filled()
    assert (filled.turns(), filled.warm_up, filled.checks) == ([6, 12, 16], 0.1, 20)
    assert ClassifierConfig(preset="paper", epochs=400).filled().turns() == [120, 240, 320]
    assert ClassifierConfig(preset="paper", epochs=20, milestones="10").filled().turns() == [10]


def test_another_network_has_its_own_width():
    assert ClassifierConfig(network="resnet50").filled().width is None
    assert ClassifierConfig(network="resnet18").filled().width == 16


def test_pixmix_takes_the_place_of_a_presets_augmix():
    filled = ClassifierConfig(preset="augmix", pixmix=True).filled()
    assert (filled.pixmix, filled.augmix, filled.jsd, filled.views) == (True, False, None, 1)


@pytest.mark.parametrize("mixing", ["augmix", "pixmix"])
def test_severity_of_imagenet_is_one(mixing):
    assert ClassifierConfig(preset="imagenet", **{mixing: True}).filled().severity == 1
    assert ClassifierConfig(**{mixing: True}).filled().severity == 3
    assert ClassifierConfig(severity=5, **{mixing: True}).filled().severity == 5


def test_weights_of_densenet_decay_as_published_with_augmix():
    assert ClassifierConfig(preset="augmix", network="densenet40").filled().weight_decay == 1e-4
    assert ClassifierConfig(preset="augmix", network="densenet40", weight_decay=0.5).filled().weight_decay == 0.5
    assert ClassifierConfig(preset="paper", network="densenet40").filled().weight_decay == 5e-4


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"padain_sites": "early"}, "--padain-sites is of pAdaIN, and --padain is 0"),
        ({"mix": 0.1}, "--mix is of pAdaIN"),
        ({"preset": "paper", "padain": 0.0, "pairing": "halves"}, "--pairing is of pAdaIN"),
        ({"padain": 0.1, "padain_sites": "*"}, r"--padain-sites is '\*': no pattern"),
        ({"jsd": True}, "--jsd is of --augmix, which is off"),
        ({"severity": 2}, "--severity is of --augmix and --pixmix, which are off"),
        ({"augmix": True, "pixmix": True}, "--augmix and --pixmix are two ways to change a picture"),
        ({"fall": 0.5}, "--fall is of --schedule steps, and it is one-cycle"),
        ({"schedule": "steps"}, "--schedule steps needs --milestones"),
        ({"schedule": "steps", "milestones": "5,30"}, "--milestones is 5,30: they must be below --epochs, which is 20"),
        ({"milestones": "9,5"}, "must be rising epochs, such as 60,120,160"),
        ({"milestones": "x"}, "must be rising epochs"),
        ({"network": "torchvision:resnet18", "width": 8}, "--width is not of torchvision:resnet18"),
        ({"network": "resnet19"}, "--network is 'resnet19': choose one of resnet18"),
        ({"warm_up": 30.0}, "--warm-up is 30: it must be at most --epochs, which is 20"),
    ],
)
def test_what_would_do_nothing_or_cannot_be_is_refused(options, told):
    with pytest.raises(OptionError, match=told):
        ClassifierConfig(**options).filled()
