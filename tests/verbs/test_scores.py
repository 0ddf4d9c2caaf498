"""What structkit score computes, in Python: pictures with known figures, and codes of a model whose codes are known."""

from __future__ import annotations

import inspect
import math
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from structkit.errors import InputError
from structkit.media.pictures import Picture
from structkit.metrics.overlap import TOLERANCE
from structkit.verbs.scores import Fidelity, Overlap, independence
from structkit_cli.pages.score import MaskOptions

from ..content_models import FakeConfig


def grey(levels: np.ndarray, name: str = "picture") -> Picture:
    return Picture(np.repeat(levels.astype(np.uint8)[..., None], 3, 2), name=name)


def triple(seed: int, size: int = 24) -> tuple[Picture, Picture, np.ndarray]:
    """A picture without and with a content, and where that is."""
    rng = np.random.default_rng(seed)
    plain, where = rng.integers(0, 200, (size, size, 3)), np.zeros((size, size), bool)
    where[4 : 8 + seed, 5:12] = True
    return Picture(plain.astype(np.uint8)), Picture((plain + 50 * where[..., None]).astype(np.uint8)), where


def test_the_true_mask_is_where_two_pictures_differ():
    tally = Overlap()
    for seed in range(3):
        plain, with_content, where = triple(seed)
        by_difference = tally.add(grey(255 * where), plain, changed_from=with_content)
        assert (
            by_difference == tally.add(grey(255 * where), grey(255 * where)) == {"iou": 1, "otsu_iou": 1, "soft_iou": 1}
        )
    assert tally.summary() == {
        **{"iou": 1, "iou_sd": 0, "otsu_iou": 1, "soft_iou": 1},
        **{"best_threshold": 0.5, "best_iou": pytest.approx(1)},
    }


def test_means_and_deviation_are_over_files():
    tally, whole = Overlap(), np.full((4, 4), 255)
    half = whole.copy()
    half[:2] = 0
    tally.add(grey(whole), grey(whole)), tally.add(grey(half), grey(whole))
    assert tally.summary()["iou"] == 0.75 and tally.summary()["iou_sd"] == 0.25


def test_a_threshold_and_a_tolerance_are_used():
    soft, truth = grey(np.array([[100, 10]])), grey(np.array([[255, 0]]))
    assert Overlap().add(soft, truth)["iou"] == 0 and Overlap(threshold=0.3).add(soft, truth)["iou"] == 1
    assert (
        Overlap(tolerance=10).add(truth, grey(np.array([[0, 0]])), changed_from=grey(np.array([[11, 10]])))["iou"] == 1
    )


def test_a_mask_of_another_size_and_depth_is_brought_to_the_truth_s():
    _, _, where = triple(0)
    small = Picture(np.repeat((65535 * where[::2, ::2]).astype(np.uint16)[..., None], 3, 2))
    assert Overlap().add(small, grey(255 * where))["iou"] > 0.6


def test_within_the_change_doing_nothing_and_the_rest_are_told():
    plain, with_content, where = triple(0)
    perfect = Fidelity("psnr").add(plain, plain, changed_from=with_content)
    assert perfect == {
        "psnr": pytest.approx(138.13, abs=0.01),
        "noop": pytest.approx(20 * math.log10(255 / 50)),
        "outside": 0,
    }
    nothing = Fidelity("psnr").add(with_content, plain, changed_from=with_content)
    assert nothing["psnr"] == nothing["noop"] and nothing["outside"] == 0
    changed = np.where(where[..., None], plain.pixels, 255 - with_content.pixels)
    assert Fidelity("psnr").add(Picture(changed), plain, changed_from=with_content)["outside"] > 0.9
    assert Fidelity("ssim").add(plain, plain, changed_from=with_content)["ssim"] == pytest.approx(1)


def test_pixels_are_pooled_over_files_of_different_sizes():
    tally, errors = Fidelity("psnr"), []
    for seed, size in ((0, 24), (1, 16)):
        plain, with_content, _ = triple(seed, size)
        tally.add(with_content, plain)
        errors.append((with_content.pixels.astype(float) - plain.pixels) ** 2)
    pooled = sum(e.sum() for e in errors) / sum(e.size for e in errors)
    single = [10 * math.log10(255**2 / e.mean()) for e in errors]
    expected = {"psnr": 10 * math.log10(255**2 / pooled), "psnr_mean": np.mean(single), "psnr_sd": np.std(single)}
    assert tally.summary() == pytest.approx(expected)


def test_only_what_is_within_the_masks_counts():
    plain, with_content, where = triple(0)
    assert Fidelity("psnr").add(with_content, plain, within=grey(255 * ~where))["psnr"] > 138
    tally = Fidelity("psnr")
    assert math.isnan(tally.add(with_content, plain, within=grey(0 * where))["psnr"]) and math.isnan(
        tally.summary()["psnr_mean"]
    )


def test_a_pair_of_two_sizes_is_refused():
    with pytest.raises(
        InputError, match="w has 2 x 3 px and t 3 x 2: where two pictures differ can only be seen at one size"
    ):
        Overlap().add(grey(np.zeros((2, 3))), grey(np.zeros((2, 3)), "t"), changed_from=grey(np.zeros((3, 2)), "w"))


def test_the_command_line_has_the_same_defaults():
    defaults = {name: p.default for name, p in inspect.signature(Overlap).parameters.items()}
    said = {field.name: field for field in fields(MaskOptions)}
    assert said["threshold"].default == defaults["threshold"]
    assert f"else {TOLERANCE}" in said["tolerance"].metadata["help"] and defaults["tolerance"] == TOLERANCE


class Codes(nn.Module):
    """Rows of noise, and one number that a domain's pictures (bright ones) have in their separate code; the common code
    may leak it.
    """

    def __init__(self, leak: float) -> None:
        super().__init__()
        self.leak = nn.Parameter(torch.tensor(leak))

    def common(self, squares: Tensor) -> Tensor:
        assert squares.shape[1:] == (3, 4, 4) and squares.abs().max() <= 1
        return torch.cat([squares[:, :1] * 10, self.leak * self._bright(squares)], 1)

    def _bright(self, squares: Tensor) -> Tensor:
        return (squares[:, 1:2] > 0).float()


class Transfer(Codes):
    kind, config = "content-transfer", FakeConfig()

    def separate(self, squares: Tensor) -> Tensor:
        return self._bright(squares) * (1.5 + squares[:, 2:])


class Difference(Codes):
    kind, config = "domain-difference", FakeConfig()

    def separate_a(self, squares: Tensor) -> Tensor:
        return self._bright(squares)

    def separate_b(self, squares: Tensor) -> Tensor:
        return 1 - 0.9 * self._bright(squares) + squares[:, 2:]


@pytest.fixture
def domains() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(256, (count, 3, 4, 4), generator=generator, dtype=torch.uint8) for count in (120, 90))
    a[:, 1], b[:, 1] = 200, 50
    return a, b


def test_a_common_code_that_leaks_is_found(domains):
    tight, leaky = independence(Transfer(0.0), *domains), independence(Transfer(1.0), *domains)
    assert tight["common"]["linear_accuracy"] < 0.65 and leaky["common"]["linear_accuracy"] > 0.99
    assert tight["common"]["bits"] < 0.1 < 0.9 < leaky["common"]["bits"]


def test_a_transfer_has_one_separate_code_and_a_difference_two(domains):
    one, two = independence(Transfer(0.0), *domains), independence(Difference(0.0), *domains)
    assert list(one) == ["common", "separate"] and list(two) == ["common", "separate_a", "separate_b"]
    assert (
        one["separate"]["mlp_accuracy"] > 0.99
        and one["separate"]["zero_ratio"] == 0
        and one["separate"]["chance"] > 0.01
    )
    assert two["separate_a"]["zero_ratio"] == 0 and two["separate_b"]["zero_ratio"] == pytest.approx(
        0.5, abs=0.1
    )  # b's content


def test_a_separate_code_that_holds_what_is_common_is_found(domains):
    class Blended(Transfer):
        def separate(self, squares: Tensor) -> Tensor:
            return squares[:, :1] + (squares[:, 1:2] > 0)

    found = independence(Blended(0.0), *domains)["separate"]
    assert found["chance"] == pytest.approx(1 / 200) and found["correlation"] > 0.9


def test_equal_seeds_give_equal_figures(domains):
    assert independence(Transfer(0.0), *domains, seed=3) == independence(Transfer(0.0), *domains, seed=3)


def test_too_few_pictures(domains):
    with pytest.raises(
        InputError, match="19 and 90 codes; a probe learns from at least 20 of each kind: give more pictures"
    ):
        independence(Transfer(0.0), domains[0][:19], domains[1])
