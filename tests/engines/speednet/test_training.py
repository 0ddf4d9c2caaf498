"""SpeedNet's training: it learns what speed is and nothing else, stops where nothing gets better, and resumes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from structkit.configs import SpeedNetConfig
from structkit.data.moments import Moments, shown_whole
from structkit.data.proxies import ProxyCache
from structkit.engines.speednet.model import SpeedNet
from structkit.engines.speednet.scoring import mean_motion, score_speeds
from structkit.engines.speednet.training import NOT_CLAIMED, BestWeights, SpeedNetTraining, speed_losses
from structkit.metrics.detection import area_under_curve, threshold
from structkit.training.draw import Draw
from structkit.training.parallel import Processes
from structkit.training.planned import PlannedTraining

from ...speed_videos import drifting, proxy, write_video

TINY = SpeedNetConfig(
    width=0.25,
    frames=8,
    smallest=32,
    largest=32,
    side=32,
    batch=4,
    steps=40,
    checks=2,
    zoom=False,
    jitter=0.0,
    noise=0.0,
    blur=0.0,
)
PLAIN = replace(
    TINY,
    objective="binary",
    sees="colour",
    width=0.5,
    batch=8,
    steps=100,
    rate=3e-3,
    space_augmentation=False,
    time_augmentation=False,
)


def videos(count: int, first: int = 0, frames: int = 60) -> list:
    """Videos in which everything moves by 1.5 px a frame: whoever sees how far tells whether they are sped up."""
    return [proxy(drifting(frames, 1.5, seed=first + n), f"{first + n}.mp4") for n in range(count)]


def trained(training: SpeedNetTraining, *, stop: int | None = None, seed: int = 5) -> SpeedNetTraining:
    """After all steps; stop: or after so many of the first part."""
    for stage in range(len(training.stages)):
        draw = Draw(seed, stage, 0)
        draw.seed_networks()
        training.begin(stage, draw)
        for step in range(1, training.stages[stage].steps + 1):
            training.step(Draw(seed, stage, step))
            if step == stop:
                return training
    return training


class Mislabelled(SpeedNetTraining):
    """A training whose labels are drawn by a coin for each moment."""

    def batch(self, draw, **how):
        natural, fast = super().batch(draw, **how).chunk(2)
        coins = torch.rand(len(natural), 1, 1, 1, 1, generator=draw.generator("coins")) < 0.5
        return torch.cat([torch.where(coins, fast, natural), torch.where(coins, natural, fast)])


@pytest.fixture(scope="module")
def learned(one_thread) -> SpeedNetTraining:
    """A training on videos of one speed, with nothing in the way of learning it."""
    return trained(SpeedNetTraining(videos(30), videos(8, 50), PLAIN))


def test_it_learns_the_speed_of_things(learned):
    some = Moments(videos(40, 100), 24, 18)
    told = score_speeds(learned.model(), some, some, most=120)
    assert told.right / 240 > 0.75 and told.auc > 0.8


@pytest.mark.slow
def test_with_labels_by_a_coin_nothing_is_learned(one_thread):
    """With labels that tell the truth, such networks are right in 0.54 to 0.68 of cases, 0.61 in the mean."""
    some, learned_from = Moments(videos(40, 100), 24, 18), videos(30)
    config = replace(PLAIN, steps=40, width=0.25, rate=6e-3)
    nets = (trained(Mislabelled(learned_from, [], config), seed=seed).model() for seed in range(6))
    right = [score_speeds(net, some, some, most=120).right / 240 for net in nets]
    assert abs(sum(right) / len(right) - 0.5) < 0.05, right  # each network by itself leans to either side


def test_the_noise_of_a_codec_on_a_still_picture_tells_no_speed(learned, tmp_path):
    still = drifting(1, 0)[0].astype(np.int16)
    noise = np.random.default_rng(0).normal(0, 8, (320, *still.shape))
    path = write_video(tmp_path / "v/still.mp4", (still + noise).clip(0, 255).astype(np.uint8), crf="28", g="12")
    noisy = ProxyCache(tmp_path / "cache", 40).proxy(path, most_bytes=1e9)
    net = learned.model()
    with torch.no_grad():
        logits = []
        for start in range(0, len(noisy) - 16, 3):
            frames = torch.from_numpy(np.array(noisy.frames[start : start + 16])).permute(3, 0, 1, 2)
            clip = frames.float().div(127.5).sub(1)[None]
            logits.append(torch.cat([net(clip[:, :, :8]), net(clip[:, :, ::2])]))
    natural, fast = torch.stack(logits, 1)
    assert abs(area_under_curve(fast, natural) - 0.5) < 0.1


def test_batches_of_one_class_are_told_as_mixed_ones(learned):
    """Batch statistics that know that half of the batch is sped up are none of the model's."""
    net = learned.model()
    with torch.no_grad():
        batch = learned.batch(Draw(1, 0, 1))
        natural, fast = batch.chunk(2)
        torch.testing.assert_close(torch.cat([net(natural), net(fast)]), net(batch), rtol=1e-4, atol=1e-4)


def test_the_running_statistics_of_the_model_are_those_of_its_own_batches(learned):
    net = learned.model()
    with torch.no_grad():
        natural, fast = net(learned.batch(Draw(1, 0, 1))).chunk(2)
    assert float(((natural < 0).float().mean() + (fast > 0).float().mean()) / 2) > 0.7


def test_the_card_says_how_well_it_tells_beside_the_motion(learned):
    scores = learned.scores()
    assert scores["accuracy_low"] < scores["accuracy"] < scores["accuracy_high"]
    assert scores["pairwise_low"] <= scores["pairwise"] <= scores["pairwise_high"]
    assert scores["flow_pairwise"] == 1 and scores["flow_accuracy"] > 0.9  # here motion is all there is
    assert scores["moments"] == 24 and scores["held_videos"] == 8
    assert 1 <= scores["reference_speed"] <= 2
    assert scores["hours"] == pytest.approx(38 * 60 / 25 / 3600, abs=1e-4)
    assert learned.doubts() == []
    net = learned.model()
    wanted = score_speeds(net, learned.held, learned.moments, most=64).temperature
    assert net.temperature == pytest.approx(wanted) and abs(wanted - 1) > 0.01


def test_zero_is_the_best_threshold_on_what_was_learned_from(learned):
    net = learned.model()
    found = score_speeds(net, learned.moments, learned.moments, most=64)
    assert threshold(found.fast, found.natural) == pytest.approx(0, abs=1e-4)


def test_scored_are_a_moment_at_its_own_speed_and_every_second_frame_of_it():
    seen = []

    class Watcher(SpeedNet):
        def forward(self, frames):
            seen.append(frames)
            return super().forward(frames)

    some = Moments([proxy(drifting(16, 1.5))], 24, 16)
    score_speeds(Watcher(TINY).eval(), some, some, most=9)
    [[natural, fast]] = seen
    whole = shown_whole(torch.from_numpy(some.proxies[0].frames).permute(0, 3, 1, 2), 32)
    assert torch.equal(fast, whole[:, ::2]) and torch.equal(natural, whole[:, 4:12])


def test_without_videos_held_out_no_accuracy_is_claimed():
    training = trained(SpeedNetTraining(videos(3), [], replace(PLAIN, steps=2)))
    assert set(training.scores()) == {"hours", "held_videos"}
    assert training.doubts() == [NOT_CLAIMED] and not training.model().trusted


def test_it_resumes_in_the_same_bytes():
    config = replace(TINY, steps=6, objective="relative", zoom=True, jitter=0.2)
    whole = trained(SpeedNetTraining(videos(3), videos(3, 50), config))
    half = trained(SpeedNetTraining(videos(3), videos(3, 50), config), stop=2)
    state = {name: tensor.clone() for name, tensor in half.state().items()}
    rest = SpeedNetTraining(videos(3), videos(3, 50), config)
    rest.restore(0, state)
    rest.step(Draw(5, 0, 3))
    rest.begin(1, Draw(5, 1, 0))
    for step in range(1, 4):
        rest.step(Draw(5, 1, step))
    ended, wanted = rest.state(), whole.state()
    assert ended.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(ended[name], tensor), name
    assert all(torch.equal(a, b) for a, b in zip(whole.model().parameters(), rest.model().parameters(), strict=True))


@pytest.mark.parametrize("natural", [-1.0, 0.0, 2.0])
def test_the_losses_are_those_written_out(natural):
    one, other = torch.tensor([natural, 1.0]), torch.tensor([0.5, -2.0])
    pairs = [(natural, 0.5), (1.0, -2.0)]

    def likelihood(x: float) -> float:
        return -math.log(1 / (1 + math.exp(-x)))

    binary = sum(likelihood(-a) + likelihood(b) for a, b in pairs) / 4
    relative = sum(likelihood(b - a) for a, b in pairs) / 2
    found = speed_losses(one, other, replace(TINY, objective="binary"))
    assert {name: float(value) for name, value in found.items()} == pytest.approx({"binary": binary})
    ranked = sum(likelihood(b - a) for a in (natural, 1.0) for b in (0.5, -2.0)) / 4
    found = speed_losses(one, other, replace(TINY, objective="ranked", calibration=0.25))
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {"ranked": ranked, "binary": 0.25 * binary}
    )
    found = speed_losses(one, other, replace(TINY, objective="relative", calibration=0.25))
    wanted = {"relative": relative, "binary": 0.25 * binary}
    assert {name: float(value) for name, value in found.items()} == pytest.approx(wanted)


def test_both_versions_show_the_same_square_unless_each_has_a_scale_of_its_own():
    still = [proxy(np.random.default_rng(0).integers(0, 256, (1, 40, 56, 3), np.uint8).repeat(40, 0))]

    def two(**changed):
        batch = SpeedNetTraining(still, [], replace(TINY, jitter=0.3, **changed)).batch(Draw(2, 0, 1))
        return batch.chunk(2)

    assert torch.equal(*two()) and torch.equal(*two(blur=1.0))
    one, other = two(noise=1.0)
    assert not torch.equal(one, other) and 0 < float((one - other).std()) < 1
    assert not torch.equal(*two(zoom=True))
    assert not torch.equal(*two(same_batch=False, objective="binary"))


def test_each_step_has_a_size_of_its_own_unless_there_is_no_augmentation():
    training = SpeedNetTraining(videos(2), [], replace(TINY, smallest=32, largest=60, side=40))
    sides = {training.batch(Draw(0, 0, step)).shape[-1] for step in range(1, 6)}
    assert len(sides) > 2 and min(sides) >= 32 and max(sides) <= 60
    assert training.batch(Draw(0, 0, 1)).shape[-1] == 60  # what is too large for the memory shows at once
    training.config = replace(training.config, space_augmentation=False)
    assert training.batch(Draw(0, 0, 1)).shape == (8, 3, 8, 40, 40)


def test_a_step_that_is_larger_than_the_machine_is_refused_at_once(monkeypatch):
    monkeypatch.setattr("structkit.engines.speednet.training.machine_memory", lambda: 1e6)
    with pytest.raises(MemoryError):
        SpeedNetTraining(videos(2), [], replace(TINY, largest=256)).begin(0, Draw(0, 0, 0))
    SpeedNetTraining(videos(2), [], replace(TINY, batch=1)).begin(0, Draw(0, 0, 0))


def test_a_large_batch_spares_memory(monkeypatch):
    made = []
    for many in (10**9, 0):
        monkeypatch.setattr("structkit.engines.speednet.training.MANY", many)
        training = trained(SpeedNetTraining(videos(2), [], TINY), stop=2)
        made.append([parameter.detach() for parameter in training.net.parameters()])
        assert training.net.network.sparing is (many == 0)
    assert all(torch.equal(*two) for two in zip(*made, strict=True))


def test_processes_share_a_batch():
    training = SpeedNetTraining(videos(2), [], TINY)
    whole = training.batch(Draw(0, 0, 1))
    parts = []
    for rank in range(2):
        training.processes = Processes(rank, 2)
        parts.append(training.batch(Draw(0, 0, 1)))
    (a, b), (c, d) = (part.chunk(2) for part in parts)
    assert torch.equal(torch.cat([a, c, b, d]), whole)
    assert torch.equal(training.batch(Draw(0, 0, 1), shared=False), whole)  # what all have alike is made of all


def test_it_ends_where_checks_find_nothing_better():
    told: list[str] = []
    config = replace(TINY, steps=12, checks=4, patience=1)
    training = SpeedNetTraining(videos(2), videos(2, 50), config, tell=told.append)
    training.begin(0, Draw(0, 0, 0))
    training.step(Draw(0, 0, 1))
    training.best.score = 2.0  # which none can reach
    training.begin(1, Draw(0, 1, 0))
    assert training.over and [stage.steps for stage in training.stages] == [3, 1, 1, 1]
    assert told[-1] == "1 check without better scores: the training ends here, and the best weights are kept"
    before = [p.clone() for p in training.net.parameters()]
    assert training.step(Draw(0, 1, 1)) == {}
    assert all(torch.equal(a, b) for a, b in zip(before, training.net.parameters(), strict=True))
    again = SpeedNetTraining(videos(2), videos(2, 50), training.config)
    again.restore(1, training.state())
    assert again.over and [stage.steps for stage in again.stages] == [3, 1, 1, 1]


def test_it_ends_early_with_a_plan_too():
    config = replace(TINY, steps=12, checks=3, patience=1)

    def make(config: SpeedNetConfig) -> SpeedNetTraining:
        return SpeedNetTraining(videos(2), videos(2, 50), config)

    planned = PlannedTraining(
        make, [config], lambda t: [1.0] * 3, seconds=1e6, least=lambda t: [3] * 3, clock=iter(range(10**6)).__next__
    )
    planned.begin(0, Draw(0, 0, 0))
    planned.step(Draw(0, 0, 1))
    planned.inner.best.score = 2.0
    planned.begin(1, Draw(0, 1, 0))
    assert [stage.steps for stage in planned.stages] == [4, 1, 1] and planned.step(Draw(0, 1, 1)) == {}
    assert "accuracy" in planned.scores() and planned.doubts() == []  # no more time would have made it better


def test_the_best_weights_are_kept():
    net = torch.nn.Linear(1, 1)
    best = BestWeights(net)
    for weight, score in ((1.0, 0.6), (2.0, 0.7), (3.0, 0.65)):
        torch.nn.init.constant_(net.weight, weight)
        best.offer(net, score)
    assert (best.net.weight.item(), best.score, best.waited) == (2.0, 0.7, 1)
    torch.nn.init.constant_(net.weight, 4.0)
    best.offer(net, 0.7)  # as good: the latest weights are kept, and the wait for better ones goes on
    assert (best.net.weight.item(), best.score, best.waited) == (4.0, 0.7, 2)


def test_the_mean_motion_is_that_of_a_texture_that_moves():
    y, x = torch.linspace(0, 12, 64)[:, None], torch.linspace(0, 18, 96)
    for speed in (0.5, 1.0):
        step = 18 / 95 * speed
        clip = torch.stack([(torch.sin(x - step * t) * torch.cos(y)).expand(3, 64, 96) for t in range(6)], 1)
        assert float(mean_motion(clip[None])) == pytest.approx(speed, rel=0.1)
