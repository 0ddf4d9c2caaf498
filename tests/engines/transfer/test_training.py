"""Content transfer's training: its step is the paper's, and it resumes and shares."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from structkit.configs import TransferConfig
from structkit.configs.transfer import ROUND
from structkit.data.batches import signed
from structkit.engines.transfer import training as transfer_training
from structkit.engines.transfer.layer import Layer
from structkit.engines.transfer.training import TransferTraining, losses, see
from structkit.errors import OptionError
from structkit.training.draw import Draw
from structkit.training.loop import train
from structkit.training.parallel import Processes

from .plain import Plain, published_step

SMALL = TransferConfig(
    size=16,
    width=8,
    widest=16,
    separate=4,
    narrow=8,
    steps=12,
    batch=6,
    painter=4,
    rounds=2,
    painter_steps=5,
    painter_size=32,
    critic_steps=1,
    placer_steps=3,
)
BARE = replace(SMALL, painter=0, rounds=0, painter_steps=None, painter_size=None, placer_steps=None)
PAPER = replace(BARE, preset="paper", steps=12)
ALL = replace(BARE, common_cycle=0.3, separate_cycle=0.2, sparsity=0.7)


def pictures(count: int, seed: int, size: int) -> Tensor:
    return torch.randint(
        0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def untrained(config: TransferConfig = SMALL, kind: type[TransferTraining] = TransferTraining) -> TransferTraining:
    side = config.filled().seen
    return kind(pictures(20, 1, side), pictures(15, 2, side), config)


def begun(config: TransferConfig = SMALL) -> TransferTraining:
    training = untrained(config)
    torch.manual_seed(0)
    training.begin(0, Draw(7, 0, 0))
    return training


class Still:
    """An optimiser that leaves everything where it is, so that gradients can be looked at."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.param_groups = [{"params": list(network.parameters())}]

    def zero_grad(self) -> None: ...
    def step(self) -> None: ...


def in_float64(config: TransferConfig) -> tuple[TransferTraining, Tensor, Tensor]:
    training = begun(config)
    training.net.double()
    training.critic.double()
    training.adam, training.critic_adam = Still(training.net), Still(training.critic)
    return training, *(signed(part[:6]).double() for part in training.reduced)


@pytest.mark.parametrize(
    "config", [PAPER, ALL, replace(ALL, form="flipped"), replace(PAPER, common_cycle=1.0, confusion=50.0)]
)
def test_a_step_is_the_papers_in_values_and_gradients(config):
    training, a, b = in_float64(config)
    plain = Plain(copy.deepcopy(training.net).train(), copy.deepcopy(training.critic), a, b)
    got = training.update(a, b, training.config)
    wanted = plain.terms()
    parameters = list(plain.net.parameters())
    gradients = torch.autograd.grad(sum(wanted.values()), parameters)
    length = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
    held = 5 / length if length > 5 else 1.0
    wanted["critic"] = plain.critic_term()
    for name, value in wanted.items():
        if name in got or value:
            torch.testing.assert_close(got[name], value.detach(), rtol=1e-9, atol=1e-9, msg=name)
    for parameter, gradient in zip(training.net.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, held * gradient, rtol=1e-5, atol=1e-8)
    plain.critic.zero_grad()
    wanted["critic"].backward()
    for parameter, one in zip(training.critic.parameters(), plain.critic.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, one.grad, rtol=1e-6, atol=1e-9)


def test_the_step_that_benchmarks_measure_against_is_the_papers_too():
    training, a, b = in_float64(replace(PAPER, common_cycle=1.0))
    net, critic = copy.deepcopy(training.net), copy.deepcopy(training.critic)
    got = published_step(net.train(), critic, a, b, Still(net), Still(critic))
    for name, value in training.update(a, b, training.config).items():
        if name in got:
            torch.testing.assert_close(value, got[name], rtol=1e-9, atol=1e-9, msg=name)


def terms_of(training: TransferTraining) -> dict[str, Tensor]:
    a, b = (signed(part[:6]) for part in training.reduced)
    seen = see(training.net.train(), a, b)
    return losses(seen, a, b, training.critic(seen.common), training.config)


def moved(loss: Tensor, net: torch.nn.Module) -> set[str]:
    """The networks that a loss moves."""
    net.zero_grad()
    loss.backward(retain_graph=True)
    return {
        name
        for name, part in net.named_children()
        if any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    }


def test_each_loss_moves_its_own_networks():
    training = begun(ALL)
    terms, net = terms_of(training), training.net
    everything = {"common_encoder", "separate_encoder", "plain_decoder", "masked_decoder"}
    assert moved(terms["rebuilt_with"], net) == everything
    assert moved(terms["rebuilt_without"], net) == {"common_encoder", "plain_decoder"}
    assert moved(terms["paste_with"], net) == everything - {"plain_decoder"}
    assert moved(terms["confusion"], net) == {"common_encoder"}


def test_what_is_pasted_on_itself_costs_the_mask_times_the_difference():
    training, a, b = in_float64(ALL)
    seen = see(training.net, a, b)
    terms = losses(seen, a, b, training.critic(seen.common), training.config)
    by_pasting = (seen.own.mask * seen.own.colours + (1 - seen.own.mask) * a - a).abs().mean()
    torch.testing.assert_close(terms["paste_with"], training.config.paste_with * by_pasting)


def test_networks_learn_with_the_critic_standing_still_and_the_other_way_round():
    for moving, still in (("adam", "critic"), ("critic_adam", "net")):
        training = begun(ALL)
        setattr(training, {"adam": "critic_adam", "critic_adam": "adam"}[moving], Still(getattr(training, still)))
        before = copy.deepcopy((list(training.net.parameters()), list(training.critic.parameters())))
        training.step(Draw(7, 0, 1))
        changed = [
            not all(map(torch.equal, old, network.parameters()))
            for old, network in zip(before, (training.net, training.critic), strict=True)
        ]
        assert changed == [still == "critic", still == "net"]


def test_the_placer_learns_where_masks_lie_on_bare_pictures():
    """Of contents that lie at the same place of every picture: it tells where that has gone when pictures are moved."""
    training = begun()
    training.begin(2, Draw(7, 2, 0))
    placing, mask = training.placing, torch.zeros(1, 1, 32, 32)
    mask[..., 8:14, 10:22] = 1
    blank = torch.zeros(1, 3, 32, 32)
    blank[..., 4:28, 6:26] = 0.8  # a face, say
    training.net.painted = lambda squares: Layer(
        mask.expand(len(squares), -1, -1, -1), blank.expand(len(squares), -1, -1, -1)
    )
    training.net.bare = lambda squares, layer: layer.colours
    losses = [float(placing.step(Draw(7, 2, i), 0.0, training.processes)["place"]) for i in range(1, 61)]
    assert sum(losses[-10:]) < 0.3 * sum(losses[:10])


def test_a_model_has_only_networks_that_have_begun_to_learn():
    training = begun()
    assert (training.model().painter, training.model().placer, training.model().size) == (None, None, 16)
    training.begin(1, Draw(7, 1, 0))
    assert training.model().painter is not None and training.model().placer is None
    for stage in (2, 3, 4):
        training.begin(stage, Draw(7, stage, 0))
    model = training.model()
    assert model.placer is not None and all(
        map(torch.equal, model.state_dict().values(), training.net.state_dict().values())
    )


class Stop(BaseException):
    """Stands for a death."""


def written(path: Path, kind: type[TransferTraining] = TransferTraining) -> bytes:
    """The file of a whole training, which goes on from what is there."""
    train(untrained(SMALL, kind), path, seed=7, run={}, save_every=0)
    return path.read_bytes()


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> bytes:
    """The file of a training that nothing has stopped."""
    return written(tmp_path_factory.mktemp("calm") / "one.safetensors")


@pytest.mark.parametrize(("stage", "number"), [(0, 7), (1, 1), (1, 4), (2, 2), (3, 1), (3, 3), (4, 1), (4, 2)])
def test_killed_and_started_again_it_ends_in_the_same_bytes(calm, stage, number, tmp_path):
    class Mortal(TransferTraining):
        def step(self, draw: Draw) -> dict[str, Tensor]:
            if (draw.stage, draw.step) == (stage, number):
                raise Stop
            return super().step(draw)

    with pytest.raises(Stop):
        written(tmp_path / "two.safetensors", Mortal)
    assert written(tmp_path / "two.safetensors") == calm


def test_processes_share_the_batch():
    training = begun(PAPER)
    training.processes = Processes(0, 4)
    with pytest.raises(OptionError, match="a batch of 6 cannot be shared evenly by 4 processes"):
        training.step(Draw(7, 0, 1))


def test_rates_fall_and_weights_rise():
    training = begun(replace(ALL, ramp=0.25, decay=0.5, rate=1e-3, sparsity=1.0))
    rates, confusions, sparsities = [], [], []
    for number in (1, 3, 7, 12):
        terms = training.step(Draw(7, 0, number))
        rates.append(training.adam.param_groups[0]["lr"])
        confusions.append(float(terms["confusion"]))
        sparsities.append(float(terms["sparsity"]))
    assert rates[:3] == [1e-3] * 3 and 1e-4 < rates[3] < 3e-4
    assert confusions[0] == 0 < confusions[1] < confusions[2] and sparsities[:2] == [0, 0] and min(sparsities[2:]) > 0


@pytest.mark.parametrize(
    ("mean", "codes", "painter"),
    [
        (
            0.0,
            "nothing of {0} (mean 0); {1} a lower --sparsity or a higher --confusion",
            "nothing of {0} (mean 0); {1} {2}",
        ),
        (
            0.9,
            "nearly all of {0} (mean 0.9); {1} a higher --sparsity or more --steps",
            "nearly all of {0} (mean 0.9); {1} {2}",
        ),
        (0.05, None, None),
        (float("nan"), None, None),
    ],
)
def test_masks_that_collapse_are_told_once_of_codes_and_once_of_the_painter(monkeypatch, mean, codes, painter):
    """Every so many steps, and at the end of a stage."""
    monkeypatch.setattr(transfer_training, "LOOK_EVERY", 3)
    training, told = begun(replace(SMALL, ramp=0.2, painter_steps=2)), []
    training.tell = told.append
    monkeypatch.setattr(training, "update", lambda *_: {"mask": torch.tensor(mean)})
    for number in range(1, 13):
        training.step(Draw(7, 0, number))
    monkeypatch.setattr(training.net, "segment", lambda squares: torch.full_like(squares[:, :1], mean))
    for stage in (1, 3):
        training.begin(stage, Draw(7, stage, 0))
        for number in (1, 2):
            training.step(Draw(7, stage, number))
    # The confusion, and then the sparsity, are rising up to step 5.
    wanted = [("codes, step 6", codes), ("painter, round 1, step 2", painter)] if codes else []
    words = "the pictures with the content", "if that stays so, try", "more --steps or fewer --rounds"
    assert told == [f"{where}: the masks cover {fact.format(*words)}" for where, fact in wanted]


@pytest.mark.parametrize("steps", [20, 100, 400, 799, 800, 1600, 3200])
def test_steps_scale_all_stages_and_what_is_given_stays(steps):
    default, scaled = TransferConfig().filled(), TransferConfig(steps=steps).filled()
    share = steps / default.steps
    assert scaled.placer_steps == round(share * default.placer_steps)
    painted = scaled.rounds * scaled.painter_steps
    assert abs(painted - share * default.rounds * default.painter_steps) <= scaled.rounds
    assert scaled.rounds <= default.rounds and (scaled.painter_steps >= ROUND - 1 or scaled.rounds == 1)
    given = TransferConfig(steps=steps, rounds=7, painter_steps=33, placer_steps=5).filled()
    assert (given.rounds, given.painter_steps, given.placer_steps) == (7, 33, 5)
    assert scaled.filled() == scaled and TransferConfig(preset="paper", steps=steps).filled().rounds == 0
    assert TransferConfig(steps=steps, rounds=7).filled().painter_steps == max(round(share * default.painter_steps), 1)


def test_steps_scale_the_painter_of_a_preset_that_has_none():
    default, painter = TransferConfig(preset="paper").filled(), {"preset": "paper", "painter": 24, "rounds": 4}
    scaled = TransferConfig(**painter, steps=default.steps // 10).filled()
    assert (scaled.painter_steps, scaled.placer_steps) == (default.painter_steps // 10, default.placer_steps // 10)
    assert TransferConfig(**painter).filled().painter_steps == default.painter_steps and scaled.filled() == scaled
    with pytest.raises(OptionError, match="--painter is 24 and --rounds 0"):
        TransferConfig(preset="paper", painter=24, steps=100).filled()


def test_looking_changes_nothing():
    training = begun()
    for stage in range(5):
        training.begin(stage, Draw(7, stage, 0)) if stage else None
        training.step(Draw(7, stage, 1))
        before = {name: value.clone() for name, value in training.state().items()}
        assert training.preview(Draw(7, stage, 1)).shape == (1, 3, 5 * 32, 6 * 32)
        training.model()
        assert all(torch.equal(value, before[name]) for name, value in training.state().items())


def test_scores_are_of_pictures_that_were_held_out():
    training = begun()
    assert training.scores() == {}
    training.held = pictures(9, 3, 32), pictures(70, 4, 32)
    scores = training.scores()
    assert scores.keys() == {"mask_with", "error_with", "mask_without", "error_without"}
    with torch.no_grad():
        mask = training.model().segment(signed(training.held[1])).mean()
    assert scores["mask_without"] == pytest.approx(float(mask), abs=1e-5) and scores == training.scores()


def test_model_and_scores_are_of_float32_however_it_was_trained():
    """As the checkpoint will be used."""
    fine, coarse = begun(), begun()
    coarse.dtype = coarse.net.dtype = torch.bfloat16
    for training in (fine, coarse):
        training.held = pictures(9, 3, 32), pictures(7, 4, 32)
    assert (
        coarse.scores() == fine.scores()
        and coarse.model().dtype == torch.float32
        and coarse.net.dtype == torch.bfloat16
    )
