"""The training of SpeedNet: two versions of each moment, one at its own speed and one sped up, in every batch.

What would tell the versions apart without any sense of speed is taken away: both come from the same frames, with the
same square, mirroring and colours; the size of the clips is another one in each step, so that motion in px says
little, and the resizing blurs the noise of codecs away; speeds and gaps are drawn (`structkit.data.speeds`);
repeated frames are left out (`structkit.data.proxies`).  Each can be switched off, to measure what it is good for.

Objectives: `binary` is cross entropy, label 1 for sped up (published).  `relative` compares the two versions of a
moment, -log sigmoid(l(2x) - l(1x)), with a share of the binary one, without which nothing says where natural ends;
`ranked` compares each sped-up clip of a batch with each natural one.
Two versions of a moment at one scale are told apart by the mere amount of motion, hence `zoom`: each is seen at a scale
of its own, by up to twice, as much as the speeds differ.

Between two parts of the training, videos that were held out are told apart, at regular gaps; the best weights are kept.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from structkit.configs import SpeedNetConfig
from structkit.data.listing import counted
from structkit.data.moments import ClipView, Moment, Moments, shown_square
from structkit.data.proxies import Proxy
from structkit.data.speeds import SpeedSampler
from structkit.device import machine_memory
from structkit.engines.speednet.model import SpeedNet
from structkit.engines.speednet.scoring import SpeedScores, calibrate, score_speeds
from structkit.training.draw import Draw
from structkit.training.ema import Average, forget_statistics
from structkit.training.schedule import rising_and_falling
from structkit.training.stages import Stage, Training
from structkit.training.state import Part, pack, unpack

SETTLING = 8  # batches that settle the running statistics of the average
SCALES = 0.5, 1.0  # of the squares that are seen, in units of the short side
SHARED_SCALES = 0.75, 1.0  # where both versions are seen alike
MANY = 2**24  # px of a batch, from which on memory is spared: 32 clips of 64 frames of 90 px
MOMENTS = 64  # that a check looks at
MOST_MOMENTS = 400  # that the last one does
Version = tuple[Moment, Tensor, ClipView]  # which of its frames are seen, and how
NOT_CLAIMED = "no video was held out, which takes 5 different ones or more: how well it tells speeds is not known"


def speed_losses(natural: Tensor, fast: Tensor, config: SpeedNetConfig) -> dict[str, Tensor]:
    """The losses of a batch, by name: cross entropy of each clip, and of the order of two versions, or of two clips.

    natural, fast: logits (B,) of the versions of the same moments.
    """
    binary = (F.softplus(natural).mean() + F.softplus(-fast).mean()) / 2
    if config.objective == "binary":
        return {"binary": binary}
    if config.objective == "ranked":  # each sped-up clip with each natural one: it bounds the area under the curve
        order = {"ranked": F.softplus(natural[:, None] - fast[None]).mean()}
    else:
        order = {"relative": F.softplus(natural - fast).mean()}
    return order | {"binary": config.calibration * binary}


class BestWeights:
    """The best weights so far, and for how many checks there were none better."""

    def __init__(self, net: nn.Module) -> None:
        self.net, self.score, self.waited = copy.deepcopy(net), -1.0, 0

    def offer(self, net: nn.Module, score: float) -> None:
        """Take weights where they are better, or as good; only better ones end the wait."""
        self.waited = 0 if score > self.score else self.waited + 1
        if score >= self.score:
            self.score = score
            self.net.load_state_dict(net.state_dict())

    def state(self) -> dict[str, Tensor]:
        kept = {f"net.{name}": tensor for name, tensor in self.net.state_dict().items()}
        return kept | {"score": torch.tensor(self.score, dtype=torch.float64), "waited": torch.tensor(self.waited)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        own = {name.removeprefix("net."): tensor for name, tensor in state.items() if name.startswith("net.")}
        self.net.load_state_dict(own)
        self.score, self.waited = float(state["score"]), int(state["waited"])


class SpeedNetTraining(Training):
    """The training of a SpeedNet, in as many parts as it is checked on the way."""

    model_class = SpeedNet

    def __init__(
        self,
        videos: Sequence[Proxy],
        held: Sequence[Proxy],
        config: SpeedNetConfig,
        *,
        init: Callable[[SpeedNet], None] = lambda net: None,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        tell: Callable[[str], None] = lambda note: None,
    ) -> None:
        """videos, held: those to learn from, and those for the scores, which the training does not see.
        init: puts weights into a network that is new.
        dtype: of the network's arithmetic, float32 or bfloat16.
        tell: called with the scores of each check.
        """
        self.config, self.device, self.dtype, self.init, self.tell = config.filled(), device, dtype, init, tell
        c = self.config
        self.moments, self.held = (Moments(some, c.pool, c.least_pool) for some in (videos, held))
        self.sampler = SpeedSampler(c.frames, c.sampler, c.time_augmentation)
        parts = min(c.checks, c.steps)
        ends = [c.steps * (part + 1) // parts for part in range(parts)]
        steps = [end - before for end, before in zip(ends, [0, *ends], strict=False)]
        self.stages = [Stage(f"part {part + 1}", count) for part, count in enumerate(steps)]
        self.built = False
        self.settled: tuple[int, SpeedNet] | None = None  # after so many updates
        self.offered: int | None = None  # to the best weights, after so many updates

    def begin(self, stage: int, draw: Draw) -> None:
        if stage == 0 or not self.built:  # the latter where the cost of a step is measured
            self._build()
            self.init(self.net)
            self.average.module.load_state_dict(self.net.state_dict())
        else:
            self._check(stage)
            self._shorten(stage)

    def restore(self, stage: int, state: Mapping[str, Tensor]) -> None:
        self._build()
        unpack(state, **self._parts())
        self._shorten(stage)

    def state(self) -> dict[str, Tensor]:
        return pack(**self._parts())

    def step(self, draw: Draw) -> dict[str, Tensor]:
        if self.over:
            return {}
        c = self.config
        done = sum(stage.steps for stage in self.stages[: draw.stage]) + draw.step
        share = rising_and_falling(done / sum(stage.steps for stage in self.stages), c.warm_up)
        self.adam.param_groups[0]["lr"] = c.rate * share
        return self.update(self.batch(draw))

    def update(self, clips: Tensor) -> dict[str, Tensor]:
        """Do one step of the network.  clips: (2 B, 3, T, N, N), the natural versions first."""
        self.net.network.sparing = clips[:, 0].numel() > MANY
        natural, fast = self.net(clips).chunk(2)
        terms = speed_losses(natural, fast, self.config)
        self.processes.descend(self.adam, sum(terms.values()), longest=self.config.gradient_clip)
        self.processes.mean_buffers(self.net)
        self.average.update(self.net)
        with torch.no_grad():
            told = ((natural < 0).float().mean() + (fast > 0).float().mean()) / 2
        return {name: value.detach() for name, value in terms.items()} | {"told": told}

    def batch(self, draw: Draw, *, shared: bool = True) -> Tensor:
        """The clips of a step, (2 B, 3, T, N, N), of moments that are drawn at random.

        shared: this process's part of them, else all.
        """
        c, generator = self.config, replace(draw, device="cpu").generator("batch")
        whole = self.processes.evenly(c.batch)
        side = c.side
        if c.space_augmentation:
            side = int(torch.randint(c.smallest, c.largest + 1, (), generator=generator))
            if draw.stage == 0 and draw.step == 1:
                side = c.largest  # so that what does not fit into memory is known at once
        moments = self.moments.draw(whole, generator)
        others = moments if c.same_batch else self.moments.draw(whole, generator)
        plans = [self._versions(*two, generator) for two in zip(moments, others, strict=True)]
        numbers = torch.arange(whole)
        ours = [plans[number] for number in (self.processes.share(numbers) if shared else numbers).tolist()]
        clips = [
            shown_square(self.moments.frames(moment, at, blurred=view.blurred), view, side)
            for fast in (0, 1)
            for moment, at, view in (plan[fast] for plan in ours)
        ]
        return torch.stack(clips).to(self.device)

    @torch.no_grad()
    def model(self) -> SpeedNet:
        """The best weights so far, where videos are held out, else the latest average, in float32."""
        if not len(self.held):
            return self._settled()
        if self.offered != self.average.updates:
            self._offer()
        return self.best.net

    def scores(self) -> dict[str, float]:
        """The scores of the model, by name: see `SpeedScores`; without videos held out, only what is known anyway."""
        found = score_speeds(self.model(), self.held, self.moments, most=MOST_MOMENTS, beside=True)
        if len(found.natural):
            self.tell(f"in the end: {found.words()}; by the motion alone {found.motion_words()}")
        hours = sum(proxy.seconds for proxy in (*self.moments.proxies, *self.held.proxies)) / 3600
        return found.card() | {"hours": round(hours, 4), "held_videos": float(len(self.held.proxies))}

    def doubts(self) -> Sequence[str]:
        return [] if len(self.held) else [NOT_CLAIMED]

    @property
    def over(self) -> bool:
        """True if the training ends early, since checks do not find better scores."""
        return bool(len(self.held)) and self.best.waited >= self.config.patience

    def _build(self) -> None:
        """Make the networks and the optimiser."""
        c, self.built = self.config, True
        self.net = SpeedNet(replace(c, init=None)).to(self.device)
        self.net.dtype = self.dtype
        self.average = Average(self.net, min(c.average, 1 - 1 / max(2, c.steps // 10)))
        self.best = BestWeights(self.average.module)
        self.adam = torch.optim.AdamW(self.net.parameters(), c.rate, weight_decay=c.weight_decay, fused=True)
        if self.device == "cpu" and self._least_bytes() > machine_memory():
            raise MemoryError  # now, and not by a system that ends the process in the midst of it

    def _least_bytes(self) -> int:
        """Bytes that a step on the largest clips takes at least: the values of the first layer, and their gradients."""
        c, first = self.config, next(one for one in self.net.modules() if isinstance(one, nn.Conv3d))
        side = c.largest if c.space_augmentation else c.side
        clips = 2 * self.processes.evenly(c.batch) // self.processes.size
        return 6 * 4 * clips * c.frames * first.out_channels * (side // 2) ** 2

    def _parts(self) -> dict[str, Part]:
        return {"net": self.net, "average": self.average, "best": self.best, "adam": self.adam}

    def _versions(self, natural: Moment, fast: Moment, generator: torch.Generator) -> list[Version]:
        """Both versions, each with its frames and how it is shown; of one moment they are shown alike."""
        shared = self._view(generator)
        views = [shared, shared if self.config.same_batch else self._view(generator)]
        if self.config.zoom:
            low, high = SCALES
            scales = (low + (high - low) * torch.rand(2, generator=generator, dtype=torch.float64)).tolist()
            views = [replace(view, scale=scale) for view, scale in zip(views, scales, strict=True)]
        views[1] = replace(views[1], seed=views[1].seed + 1)  # noise is another one in each frame that is seen
        frames = [
            self.sampler.indices(moment.frames, is_fast, generator)
            for moment, is_fast in ((natural, False), (fast, True))
        ]
        return list(zip((natural, fast), frames, views, strict=True))

    def _view(self, generator: torch.Generator) -> ClipView:
        """A way to show a clip."""
        c = self.config
        scale, top, left, flip, noisy, noise, blur = torch.rand(7, generator=generator, dtype=torch.float64).tolist()
        seed = int(torch.randint(2**31, (), generator=generator))
        colours = 1 + c.jitter * (2 * torch.rand(c.frames, 3, generator=generator) - 1) if c.jitter else None
        low, high = SHARED_SCALES
        square = (low + (high - low) * scale, (top, left)) if c.space_augmentation else (1.0, (0.5, 0.5))
        # Half of the clips are as they are, and of the others most have little noise.
        level = c.noise * noise**2 if noisy < 0.5 else 0.0
        return ClipView(*square, flip < 0.5, colours, level, seed, blur < c.blur)

    @torch.no_grad()
    def _settled(self) -> SpeedNet:
        """The average of the networks, in float32, whose running statistics are its own."""
        updates = self.average.updates
        if self.settled and self.settled[0] == updates:
            return self.settled[1]
        net = copy.deepcopy(self.average.module)
        net.dtype = torch.float32
        forget_statistics(net)
        for number in range(min(SETTLING, updates)):
            net(self.batch(Draw(0, 0, number, self.device), shared=False))
        calibrate(net.eval(), self.moments, most=MOMENTS)
        self.settled = updates, net
        return net

    def _offer(self) -> SpeedScores:
        """Score the weights as they are, and keep them where they are the best."""
        net, self.offered = self._settled(), self.average.updates
        found = score_speeds(net, self.held, self.moments, most=MOMENTS)
        net.scale.fill_(found.temperature)
        self.best.offer(net, found.order)
        return found

    def _check(self, stage: int) -> None:
        """Look at the videos that are held out, after a part of the training."""
        if len(self.held) and not self.over:
            self.tell(f"after part {stage} of {len(self.stages)}: {self._offer().words()}")
            if self.over:
                checks = counted(self.best.waited, "check")
                self.tell(f"{checks} without better scores: the training ends here, and the best weights are kept")

    def _shorten(self, stage: int) -> None:
        """Leave what is left of the training out, if it is over: a step is always done, and does nothing."""
        if self.over:
            left = [Stage(one.name, 1, one.seconds) for one in self.stages[stage:]]
            self.stages = [*self.stages[:stage], *left]
