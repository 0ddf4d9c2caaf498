"""A model is its configuration, its facts and its tensors."""

from __future__ import annotations

import re

import pytest
import torch

from structkit import checkpoint
from structkit.errors import CheckpointError

from .toy import Toy, ToyConfig


@pytest.fixture
def toy():
    return Toy(ToyConfig(width=3), parts=2)


def test_what_is_saved_is_what_is_loaded(toy, tmp_path):
    toy.save(tmp_path / "a", seed=3, scores={"iou": 0.5})
    torch.manual_seed(1)
    before = torch.get_rng_state()
    loaded = Toy.load(tmp_path / "a")
    assert torch.get_rng_state().equal(before)
    x = torch.ones(2, 2)
    assert loaded(x).equal(toy(x)) and not loaded.training
    assert loaded.config == toy.config and loaded.card == toy.card == checkpoint.read_card(tmp_path / "a")
    assert {k: toy.card[k] for k in ("kind", "seed", "scores", "facts")} == {
        "kind": "toy",
        "seed": 3,
        "scores": {"iou": 0.5},
        "facts": {"parts": 2},
    }


def test_a_model_may_keep_tensors_to_itself(tmp_path):
    class Partial(Toy):
        def tensors(self):
            return {name: tensor for name, tensor in super().tensors().items() if name.startswith("parts.0")}

    model = Partial(ToyConfig(), 2)
    model.save(tmp_path / "a")
    assert len(checkpoint.load(tmp_path / "a", kind="toy")[0]) == 4
    assert Partial.load(tmp_path / "a").parts[0][0].weight.equal(model.parts[0][0].weight)
    with pytest.raises(CheckpointError, match="lacks tensors"):
        Toy.load(tmp_path / "a")


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"kind": "other"}, "a checkpoint of kind 'other', where 'toy' is needed; name one of that kind"),
        ({"config": None}, "its card has no configuration; train it again"),
        ({"facts": []}, "its card has no configuration; train it again"),
        (
            {"config": {"width": 3, "b": 1, "a": 1}},
            "its configuration has unknown options (a, b); it was made by structkit * use that version, or train it "
            "again",
        ),
        (
            {"config": {"width": 1000}},
            "its configuration is refused (--width is 1000: it must be between 1 and 64); train it again",
        ),
        (
            {"config": {"width": "3"}},
            "its configuration is refused (--width is '3': it must be a whole number, between 1 and 64); "
            "train it again",
        ),
        ({"facts": {}}, "no 'toy' can be built from its card (*parts*); train it again"),
        ({"facts": {"parts": "2"}}, "no 'toy' can be built from its card (*); train it again"),
        ({"facts": {"parts": 1}}, "has unknown tensors (4: *"),
        ({"facts": {"parts": 3}}, "lacks tensors (4: *"),
        ({"config": {"width": 4}}, "parts.0.0.weight has the shape (3, 2); its card asks for (4, 2); *"),
    ],
)
def test_a_card_that_does_not_fit(toy, tmp_path, change, fact):
    toy.save(tmp_path / "a")
    tensors, card = checkpoint.load(tmp_path / "a", kind="toy")
    checkpoint.save(tmp_path / "a", tensors, {**card, **change})
    with pytest.raises(CheckpointError) as caught:
        Toy.load(tmp_path / "a")
    pattern = re.escape(f"{tmp_path}/a: {fact}").replace(r"\*", ".*")
    assert re.fullmatch(pattern, str(caught.value)), str(caught.value)


def test_a_huge_model_is_refused_without_its_memory(toy, tmp_path):
    """A card may claim what it likes: what is built of it first has no values."""
    toy.save(tmp_path / "a")

    class Wide(Toy):
        def __init__(self, config, parts):
            super().__init__(config, parts)
            self.wide = torch.nn.Linear(2**30, 2**20)  # 4 PiB

    with pytest.raises(CheckpointError, match=r"lacks tensors \(2: wide.bias, wide.weight\)"):
        Wide.load(tmp_path / "a")


def test_an_option_that_is_younger_than_the_file_has_its_default(tmp_path):
    toy = Toy(ToyConfig(), parts=2)
    toy.save(tmp_path / "a")
    tensors, card = checkpoint.load(tmp_path / "a", kind="toy")
    checkpoint.save(tmp_path / "a", tensors, {**card, "config": {}})
    assert Toy.load(tmp_path / "a").config == ToyConfig()
