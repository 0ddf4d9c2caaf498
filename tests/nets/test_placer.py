"""Frames: they move with what they are of, and lead from one to another."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from structkit.nets.placer import Placer, between, frames, similarity, warped


def ellipse(x: float, y: float, long: float, short: float, turn: float, side: int = 128) -> Tensor:
    """(1, 1, side, side): soft at its edge."""
    axis = (torch.arange(side) * 2 + 1) / side - 1
    dx, dy = axis - x, axis[:, None] - y
    along, across = dx * math.cos(turn) + dy * math.sin(turn), -dx * math.sin(turn) + dy * math.cos(turn)
    return torch.sigmoid(40 * (1 - torch.sqrt((along / long) ** 2 + (across / short) ** 2)))[None, None]


def test_a_frame_says_where_how_large_and_how_turned():
    x, y, size, cos, sin = frames(ellipse(0.2, -0.3, 0.4, 0.1, 0.5))[0].tolist()
    assert (x, y) == pytest.approx((0.2, -0.3), abs=0.01) and math.atan2(sin, cos) / 2 == pytest.approx(0.5, abs=0.01)
    assert frames(ellipse(0.2, -0.3, 0.2, 0.05, 0.5))[0, 2].item() == pytest.approx(size - math.log(2), abs=0.06)
    round_one = frames(ellipse(0, 0, 0.3, 0.3, 0.0))[0]
    assert round_one[3:].abs().max() < 0.01


@pytest.mark.parametrize("turn", [-0.6, 0.0, 0.4])
def test_what_is_brought_from_a_frame_to_another_lies_there(turn):
    source, target = ellipse(0.2, -0.3, 0.4, 0.1, 0.3), ellipse(-0.1, 0.1, 0.32, 0.08, 0.3 + turn)
    moved = warped(source, between(frames(source), frames(target)))
    assert (moved - target).abs().mean() < 0.004 < (source - target).abs().mean()


def test_a_picture_that_is_turned_has_the_frame_of_the_mask_that_is_turned():
    """A similarity asks where each place comes from: the frame goes the other way."""
    mask = ellipse(0.1, 0.2, 0.3, 0.1, 0.2)
    way = similarity(torch.tensor([0.8]), torch.tensor([0.3]), torch.tensor([[0.1, 0.2]]), torch.tensor([[0.0, 0.1]]))
    frame = frames(warped(mask, way))[0]
    back = similarity(
        torch.tensor([1 / 0.8]), torch.tensor([-0.3]), torch.tensor([[0.0, 0.1]]), torch.tensor([[0.1, 0.2]])
    )
    wanted = back[0] @ torch.tensor([0.1, 0.2, 1.0])
    torch.testing.assert_close(frame[:2], wanted, atol=0.01, rtol=0)
    assert frame[2].item() == pytest.approx(frames(mask)[0, 2].item() + math.log(1 / 0.8), abs=0.02)
    assert math.atan2(frame[4], frame[3]) / 2 == pytest.approx(0.2 - 0.3, abs=0.02)


def test_the_same_frame_moves_nothing_and_frames_far_apart_move_no_more_than_is_sane():
    frame = frames(ellipse(0.1, 0.2, 0.3, 0.1, 0.2))
    torch.testing.assert_close(between(frame, frame), torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]), atol=1e-6, rtol=0)
    tiny = frame.clone()
    tiny[:, 2] -= 5
    scale = between(frame, tiny)[0, :, :2].det().abs().sqrt().item()
    assert scale == pytest.approx(1.5)


def test_what_is_round_is_not_turned():
    source, target = frames(ellipse(0, 0, 0.3, 0.3, 0.0)), frames(ellipse(0.1, 0, 0.3, 0.3, 0.0))
    target[:, 3:] = torch.tensor([-0.01, 0.015])  # a direction of nothing but noise
    assert between(source, target)[0, 0, 1].abs() < 0.01


def test_the_placer_reads_five_numbers():
    placer = Placer([4, 8, 8])
    assert placer(torch.zeros(2, 3, 16, 16)).shape == (2, 5)
