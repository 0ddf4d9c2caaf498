"""The painter's training: pairs that are exact, of contents where they belong, from labels that get better."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.data.batches import signed
from structkit.engines.transfer import painter_training
from structkit.engines.transfer.painter_training import APART, MARGIN, grown, tinted, transmission
from structkit.engines.transfer.training import TransferTraining
from structkit.training.draw import Draw

from .test_training import BARE, SMALL, begun, untrained


def painting(training: TransferTraining):
    """Its painter at the beginning of the first round, with a mask in the middle of each picture."""
    training.begin(1, Draw(7, 1, 0))
    training.painting.labels[:, :, 8:24, 8:24] = True
    return training.painting


def test_the_painter_learns_from_exact_pairs():
    """Before and after differ where the label is, and nowhere else; what is pasted comes from the pictures with the
    content.
    """
    painter = painting(begun())
    painter.with_ = torch.full_like(painter.with_, 255)
    painter.without = torch.zeros_like(painter.without)
    pasted, labels, beneath = painter._cut_and_pasted(Draw(7, 1, 1).generator("batch"), 16, guided=False)
    assert torch.equal((pasted != beneath).any(1, keepdim=True), labels > 0)
    assert set(pasted.unique().tolist()) == {-1.0, 1.0} and (beneath == -1).all()
    bare = (labels.flatten(1).sum(1) == 0).float().mean()
    assert 0 < bare < 0.5


def test_the_painters_loss_is_least_for_the_truth_and_blind_to_colours_far_away():
    painter = painting(begun())
    pasted, labels, beneath = painter._cut_and_pasted(Draw(7, 1, 1).generator("batch"), 16, guided=False)

    def loss(colours: Tensor) -> dict[str, Tensor]:
        painter.net.overlay = lambda squares: torch.cat([200 * labels - 100, colours], 1)
        return painter.losses(pasted, labels, beneath)

    right = loss(beneath)
    assert right["mask"] < 1e-6 and right["beneath"] == 0
    near, far = F.max_pool2d(labels, 2 * MARGIN + 1, 1, MARGIN), 1 - labels
    wrong = []
    for where in (labels, near, far - (near - labels)):
        wrong.append(float(loss(torch.where(where > 0, -beneath, beneath))["beneath"]))
    assert 0 < wrong[2] < wrong[0] < wrong[1]


@pytest.mark.parametrize("stage", [1, 3, 4])
def test_a_round_begins_with_labels_from_the_best_that_there_is(stage):
    """The masked decoder's masks; then what the painter would change, in or near its masks; at last what it would
    change in them.
    """
    training = begun(replace(SMALL, rounds=3))
    squares = signed(training.squares[0])
    training.begin(stage, Draw(7, stage, 0))
    training.painting.labels.fill_(True)
    net = copy.deepcopy(training.net).eval()
    training.step(Draw(7, stage, 1))
    if stage == 1:
        mask = F.interpolate(net.masked(net.common(squares), net.separate(squares)).mask, (32, 32), mode="bilinear")
        assert torch.equal(training.painting.labels, mask > 0.3)
        return
    here, mirrored = (net.painted(x) for x in (squares, squares.flip(3)))
    mask, colours = (
        (one + other.flip(3)) / 2 for one, other in ((here.mask, mirrored.mask), (here.colours, mirrored.colours))
    )
    change = (colours - squares).abs().amax(1, keepdim=True)
    wide, exact = (F.max_pool2d(mask, 5, 1, 2) > 0.3) & (change > 48 / 255), (mask > 0.5) & (change > 24 / 255)
    assert torch.equal(training.painting.labels, wide if stage == 3 else exact)
    with torch.no_grad():
        frames, places = net.placed(net.bare(squares, here)), net.placed(signed(training.squares[1]))
    torch.testing.assert_close(training.painting.frames, frames * torch.tensor(APART))
    torch.testing.assert_close(training.painting.places, places * torch.tensor(APART))


@pytest.mark.parametrize("stage", [1, 3])
def test_any_number_of_pictures_is_labelled_as_each_would_be_alone(stage):
    """With the placer's word for where things belong, or without; those beyond the number keep what they had."""
    together, alone = painting(begun(replace(SMALL, rounds=3))), painting(begun(replace(SMALL, rounds=3)))
    rule = None if stage == 1 else painter_training.WIDE
    for painter, at_a_time in ((together, 5), (alone, 1)):
        painter.count = 13
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(painter_training, "LABELLED", at_a_time)
            painter._label(rule, guided=stage == 3)
    assert torch.equal(together.labels, alone.labels) and together.labels[13:].any()
    torch.testing.assert_close(together.frames, alone.frames)


def test_what_a_content_lets_through_is_the_most_that_its_light_allows():
    generator = torch.Generator().manual_seed(0)
    bare, tint, own = (
        torch.rand(50, 3, 4, 4, generator=generator),
        torch.rand(50, 1, 4, 4, generator=generator),
        torch.zeros(50, 3, 4, 4),
    )
    torch.testing.assert_close(transmission(tint * bare.clamp_min(0.1), bare.clamp_min(0.1)), tint)
    own[:, 0] = torch.rand(50, 4, 4, generator=generator)  # light of one colour hides nothing of the others
    torch.testing.assert_close(transmission(tint * bare.clamp_min(0.1) + own, bare.clamp_min(0.1)), tint)
    seen = torch.rand(50, 3, 4, 4, generator=generator)
    through = transmission(seen, bare)
    assert (seen - through * bare).min() > -1e-6 and through.min() >= 0 and through.max() <= 1


def test_what_shows_through_is_pasted_with_what_it_is_pasted_onto():
    """A painter that knows: its content is glass that takes half of the light.  Pasted, it takes half of the light
    there, or hides it.
    """
    painter = painting(begun())
    painter.with_, painter.without = torch.full_like(painter.with_, 100), torch.full_like(painter.without, 50)

    class Knows:
        def eval(self):
            return self

        def painted(self, squares):
            return type("Layer", (), {"colours": signed(torch.full_like(squares, 200))})

    painter.net = Knows()
    found = set()
    for step in range(1, 6):
        pasted, labels, beneath = painter._cut_and_pasted(Draw(7, 1, step).generator("batch"), 16, guided=True)
        assert torch.equal(beneath, signed(torch.full_like(beneath, 50)))
        found |= {round(value) for value in ((pasted + 1) * 127.5)[labels.expand_as(pasted) > 0].unique().tolist()}
    assert max(found) == 100 and 25 <= min(found) < 35


def test_what_is_clear_has_no_spots_inside_and_what_is_not_stays_as_it_is():
    """Glass over a grey face, with a frame of 2 px and an eye behind it; one of the two lets all through that it may,
    the other nothing.
    """
    seen, mask = torch.full((2, 3, 32, 32), 0.3), torch.zeros(2, 1, 32, 32)
    mask[:, :, 4:28, 4:28] = 1
    seen[:, :, 4:28, 4:6] = 0.1
    seen[:, :, 14:18, 14:18] = 0.35
    bare, share = torch.full_like(seen, 0.6), torch.tensor([1.0, 0.0]).view(2, 1, 1, 1)
    own, through = tinted(seen, bare, mask, share)
    assert torch.equal(own[1], seen[1]) and (through[1] == 0).all()
    again = own[0] + through[0] * 0.6
    assert again[:, 7:25, 7:25].std() < 0.3 * seen[0, :, 7:25, 7:25].std() and 0.4 < through[0].mean() < 0.6
    torch.testing.assert_close(again[:, :, :7], seen[0, :, :, :7])


def test_what_has_a_place_is_pasted_onto_pictures_that_have_it_nearly_there():
    painter = painting(begun())
    painter.frames[:, 0], painter.places[:, 0] = torch.linspace(-1, 1, 20), torch.linspace(-1, 1, 15)
    which = torch.arange(20).repeat(40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(painter_training, "ALIKE", 3)
        drawn = painter._alike(which, Draw(7, 3, 1).generator("batch")).view(40, 20)
    assert (painter.places[drawn, 0] - painter.frames[:, 0]).abs().max() < 0.3
    assert all(len(column.unique()) == 3 for column in drawn.T)
    assert len(painter._alike(which, Draw(7, 3, 1).generator("batch")).unique()) == 15  # fewer than are to choose from


def test_a_content_is_pasted_where_it_belongs_once_the_placer_knows(monkeypatch):
    """At the place of each picture without the content, which is of one grey, are donors that are lighter by 50."""
    monkeypatch.setattr(painter_training, "ALIKE", 1)
    monkeypatch.setattr(painter_training, "CLEAR", 0)  # nothing is glass
    painter = painting(begun())
    for pictures, frames, lighter in ((painter.with_, painter.frames, 50), (painter.without, painter.places, 0)):
        greys = torch.linspace(0, 200, len(pictures)).round()
        pictures.copy_((greys + lighter).view(-1, 1, 1, 1).expand_as(pictures))
        frames[:, 0] = greys / 200
    spreads = []
    for guided in (True, False):
        pasted, labels, beneath = painter._cut_and_pasted(Draw(7, 3, 1).generator("batch"), 64, guided=guided)
        lighter = ((pasted - beneath) * 127.5)[labels.expand_as(pasted) > 0]
        spreads.append(float((lighter - 50).abs().max()))
    assert spreads[0] < 10 < 50 < spreads[1]


@pytest.mark.parametrize(("rounds", "kinds"), [(1, "cpL"), (2, "cpLpL"), (10, "cpppLpppppppL")])
def test_the_placer_learns_after_a_third_of_the_rounds_and_at_their_end(rounds, kinds):
    training = untrained(replace(SMALL, rounds=rounds))
    assert training.kinds == [{"c": "codes", "p": "painter", "L": "placer"}[kind] for kind in kinds]
    assert len({stage.name for stage in training.stages}) == len(kinds) and untrained(BARE).kinds == ["codes"]


def test_what_grows_reaches_so_far_and_no_farther():
    spot = torch.zeros(1, 1, 9, 9)
    spot[..., 4, 3] = 1
    assert torch.equal(grown(spot, 0), spot)
    for by in (1, 2, 5):
        assert torch.equal(grown(spot, by), F.max_pool2d(spot, 2 * by + 1, 1, by))


def test_a_round_labels_no_more_pictures_than_it_has_use_for():
    painter = painting(begun())
    painter._choose(1e9, Draw(7, 1, 1).generator("chosen"))
    assert painter.chosen.tolist() == list(range(20))
    painter.with_ = painter.with_.repeat(10, 1, 1, 1)
    painter.chosen = torch.arange(100)
    painter._choose(60, Draw(7, 1, 1).generator("chosen"))
    assert painter.count == len(set(painter.chosen[:60].tolist())) == 60 and (painter.chosen[60:] == -1).all()
    assert painter.chosen.max() < 200


@pytest.mark.parametrize("stage", [1, 3])
def test_any_number_of_pictures_can_be_labelled(monkeypatch, stage):
    """The last part of them may be smaller than the others, and others may stay without."""
    monkeypatch.setattr(painter_training, "LABELLED", 4)
    training = begun()
    painter = painting(training)
    painter._choose(10, Draw(7, 1, 1).generator("chosen"))
    painter._label(None if stage == 1 else painter_training.WIDE, guided=False)
    assert painter.count == 10 and painter.labels[10:, :, 8:24, 8:24].all()
