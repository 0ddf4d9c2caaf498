"""The training of DID: reconstruction, the zero loss, and a game between the common encoder and critics of its codes.

The losses are the paper's; a test holds that they equal its formulas written out, in values and gradients.  Work is
saved in two places.  Each encoder sees both domains in one batch, which instance norm allows and batch norm wants (the
statistics of one domain alone would hide from the critic what it looks for, and are not those of later use).  The
critic learns from the codes that the encoder learnt from, where the authors encode them anew.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from structkit.configs import DifferenceConfig
from structkit.data.batches import drawn, mirrored, signed
from structkit.engines.difference.model import DomainDifference
from structkit.metrics.independence import probe
from structkit.nets.codes import LATENT, CodeCritic, confusion, discrimination
from structkit.training.draw import Draw
from structkit.training.ema import Average, forget_statistics
from structkit.training.frozen import frozen
from structkit.training.precision import arithmetic
from structkit.training.schedule import falling
from structkit.training.stages import Stage, Training
from structkit.training.state import Part, pack, unpack

BETAS = (0.5, 0.999)
LONGEST = 5.0  # norm of the networks' gradient, as published; the critic's was meant to be held, too, and never was
AVERAGED = 1000  # steps that the saved weights are an average of, or a tenth of all, if that is less
SETTLING = 50  # batches that its running statistics are taken from, or as many as there were steps
PREVIEWED = 6  # pictures of each domain
LOOKED_AT = 64  # pictures at a time, for the scores
PROBED = 1000  # pictures of each domain that a probe learns from


class Codes(NamedTuple):
    """The codes of n squares of a and, after them, as many of b: (2n, C, 2, 2) each."""

    common: Tensor
    a: Tensor
    b: Tensor


def encode(net: DomainDifference, squares: Tensor) -> Codes:
    return Codes(net.common(squares), net.separate_a(squares), net.separate_b(squares))


def paint(net: DomainDifference, codes: Codes) -> Tensor:
    """The squares again: each from its common code and its own domain's separate one; the other is 0."""
    of_a = torch.arange(len(codes.common), device=codes.common.device)[:, None, None, None] < len(codes.common) // 2
    return net.combine(codes.common, codes.a * of_a, codes.b * ~of_a)


def own_losses(codes: Codes, painted: Tensor, squares: Tensor, zero: float) -> dict[str, Tensor]:
    """The losses of the networks alone: both terms are sums over the domains of mean absolute differences.

    |G(E_c(a), E_A(a), 0) - a| + |G(E_c(b), 0, E_B(b)) - b|   and   zero * (|E_B(a)| + |E_A(b)|)
    """
    half = len(squares) // 2
    return {
        "reconstruction": 2 * (painted - squares).abs().mean(),  # both domains are as many: twice the mean over both
        "zero": zero * (codes.b[:half].abs().mean() + codes.a[half:].abs().mean()),
    }


class LinearCritic:
    """The best linear critic of codes, in closed form: Fisher's discriminant of the last hundred batches or so.

    A critic that learns by steps lags behind the encoder that it judges; this one does not.  The gap between the
    domains along its direction is, in expectation, the squared Mahalanobis distance of their means, which the encoder
    is to bring to 0.
    """

    DECAY = 0.99
    RIDGE = 0.1  # in units of the mean variance: axes along which codes hardly vary are not to rule

    def __init__(self, channels: int, device: str = "cpu") -> None:
        self.gap = torch.zeros(channels, device=device)  # between the domains' means
        self.spread = torch.zeros(channels, channels, device=device)  # covariance within the domains
        self.seen = 0

    def update(self, gap: Tensor, spread: Tensor) -> None:
        """Take in a batch.  gap (D,), spread (D, D): as `gap_and_spread` gives them."""
        self.seen += 1
        weight = (1 - self.DECAY) / (1 - self.DECAY**self.seen)
        self.gap.lerp_(gap, weight)
        self.spread.lerp_(spread, weight)

    def direction(self) -> Tensor:
        """The direction of the critic, (D,): a difference of two codes along it is their difference of logits."""
        ridge = self.RIDGE * self.spread.diagonal().mean() + 1e-12
        one = torch.eye(len(self.gap), dtype=self.spread.dtype, device=self.spread.device)
        factor = torch.linalg.cholesky_ex(self.spread + ridge * one).L  # _ex: no wait for the device
        return torch.cholesky_solve(self.gap[:, None], factor)[:, 0]

    def state(self) -> dict[str, Tensor]:
        return {"gap": self.gap, "spread": self.spread, "seen": torch.tensor(self.seen)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.gap.copy_(state["gap"])
        self.spread.copy_(state["spread"])
        self.seen = int(state["seen"])


def gap_and_spread(common: Tensor) -> tuple[Tensor, Tensor]:
    """The gap between the domains' means, (D,), and the covariance within the domains, (D, D), of common codes.

    common: those of a first.
    """
    domains = common.flatten(1).unflatten(0, (2, -1))
    means = domains.mean(1, keepdim=True)
    centred = (domains - means).flatten(0, 1)
    return means[0, 0] - means[1, 0], centred.T @ centred / max(1, len(centred) - 2)


class DifferenceTraining(Training):
    """The training of a domain difference: both domains at once, in one stage."""

    model_class = DomainDifference

    def __init__(
        self,
        a: Tensor,
        b: Tensor,
        config: DifferenceConfig,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        held: Sequence[Tensor] = (),
    ) -> None:
        """a, b: pictures of each domain, (N, 3, S, S) uint8, S as the model's `size`.
        dtype: of the networks' arithmetic, float32 or bfloat16.
        held: as many more of each as there are, that the training does not see: its scores come from them.
        """
        self.config, self.device, self.dtype = config.filled(), device, dtype
        self.squares, self.held = (a.to(device), b.to(device)), tuple(held)
        self.stages = [Stage("codes", self.config.steps)]
        self.settled: tuple[int, DomainDifference] | None = None  # after so many updates

    def begin(self, stage: int, draw: Draw) -> None:
        c = self.config
        self.net = DomainDifference(c).to(self.device)
        self.net.dtype = self.dtype
        self.critic = CodeCritic(self.net.channels).to(self.device)
        self.linear = LinearCritic(self.net.channels * LATENT**2, self.device)
        self.average = Average(self.net, 1 - 1 / max(2, min(AVERAGED, self.stages[0].steps // 10)))
        self.adam, self.critic_adam = (
            torch.optim.Adam(of.parameters(), c.rate, BETAS, fused=True) for of in (self.net, self.critic)
        )

    def restore(self, stage: int, state: Mapping[str, Tensor]) -> None:
        self.begin(stage, Draw(0, stage, 0, self.device))
        unpack(state, **self._parts())

    def state(self) -> dict[str, Tensor]:
        return pack(**self._parts())

    def step(self, draw: Draw) -> dict[str, Tensor]:
        c, done = self.config, (draw.step - 1) / self.stages[0].steps
        for adam in (self.adam, self.critic_adam):
            adam.param_groups[0]["lr"] = c.rate * falling(done, c.decay)
        return self.update(self._batch(draw.generator("batch")), min(done / c.ramp, 1.0) if c.ramp else 1.0)

    def update(self, squares: Tensor, strength: float = 1.0) -> dict[str, Tensor]:
        """Do one step of the networks, then those of the critic, from the codes that the networks' step was made of.

        squares (2 B, 3, S, S): those of a first.
        strength: of the terms that keep the domains apart from the common code, 0 .. 1.
        """
        c, half = self.config, len(squares) // 2
        codes = encode(self.net, squares)
        terms = own_losses(codes, paint(self.net, codes), squares, c.zero)
        with frozen(self.critic):
            terms["confusion"] = strength * c.confusion * confusion(self._judged(codes.common), half, c.form)
        if c.linear:
            gap, spread = gap_and_spread(codes.common)
            self.linear.update(self.processes.mean(gap.detach()), self.processes.mean(spread.detach()))
            terms["linear"] = strength * c.linear * gap @ self.linear.direction()
        self.processes.descend(self.adam, sum(terms.values()), longest=LONGEST)
        self.processes.mean_buffers(self.net)
        self.average.update(self.net)

        common = codes.common.detach()
        for _ in range(c.critic_steps):
            terms["critic"] = discrimination(self._judged(common), half)
            self.processes.descend(self.critic_adam, terms["critic"])
        return {name: value.detach() for name, value in terms.items()}

    @torch.no_grad()
    def model(self) -> DomainDifference:
        """The average of the networks, in float32, as it will be used.

        Its running statistics are its own: those of the pictures in order, as many batches as settle them.
        """
        if self.settled and self.settled[0] == self.average.updates:
            return self.settled[1]
        net = copy.deepcopy(self.average.module)
        net.dtype = torch.float32
        norms = forget_statistics(net)
        for number in range(min(SETTLING, self.average.updates) if norms else 0):
            squares = self._in_order(number * self.config.batch, self.config.batch)
            paint(net, encode(net, squares.flip(3) if number % 2 else squares))
        self.settled = self.average.updates, net.eval()
        return self.settled[1]

    @torch.no_grad()
    def preview(self, draw: Draw) -> Tensor:
        """Rows of pictures: of a and of b; then the faces of a again.

        The latter with neither content, with b's instead of a's, and with both.
        """
        self.net.eval()
        squares = self._in_order(0, PREVIEWED)
        codes = encode(self.net, squares)
        (face, _), (a, _), (_, b) = (code.chunk(2) for code in codes)
        rows = [
            *squares.chunk(2),
            *(self.net.recombine(face, *extra) for extra in ((a, None), (None, None), (None, b), (a, b))),
        ]
        self.net.train()
        return torch.cat([torch.cat([*row[:, None]], 3) for row in rows], 2)

    def scores(self) -> dict[str, float]:
        """The scores of the model, by name.

        On pictures that were held out:
        error_a, error_b: the mean absolute error of giving them back, in [-1, 1].
        zero_a: the mean absolute a-code of pictures of b, in units of that of pictures of a, which is size_a.
        zero_b, size_b: the other way round.

        And on a thousand pictures of each domain, or all, the held ones among them, since few would fool a probe:
        told_from_common: the share of cases in which a fresh linear probe tells the domain from the common code; 0.5 is
        a guess.
        told_from_a, told_from_b: the same from the separate codes.
        """
        if min(map(len, self.held), default=0) == 0:
            return {}
        net = self.model()
        held, looked_at = (
            [_looked_at(net, pictures.to(self.device)) for pictures in part] for part in (self.held, self._probed())
        )
        (own_a, none_b), (none_a, own_b) = ((codes.a.abs().mean(), codes.b.abs().mean()) for codes in held)
        found = {"zero_a": none_a / own_a, "zero_b": none_b / own_b, "size_a": own_a, "size_b": own_b}
        for name, pictures, codes in zip("ab", self.held, held, strict=True):
            found[f"error_{name}"] = _error(net, pictures.to(self.device), codes, name)
        for name in Codes._fields:
            one, other = (getattr(codes, name).flatten(1) for codes in looked_at)
            found[f"told_from_{name}"] = probe(
                one, other, generator=torch.Generator(self.device).manual_seed(0)
            ).accuracy
        return {name: round(float(value), 5) for name, value in found.items()}

    def _probed(self) -> list[Tensor]:
        return [
            torch.cat([held.to(self.device), own[:PROBED]])[:PROBED]
            for held, own in zip(self.held, self.squares, strict=True)
        ]

    def _parts(self) -> dict[str, Part]:
        learners = {"net": self.net, "critic": self.critic, "adam": self.adam, "critic_adam": self.critic_adam}
        return learners | {"linear": self.linear, "average": self.average}

    def _batch(self, generator: torch.Generator) -> Tensor:
        """A batch (2 B, 3, S, S), those of a first: this process's share of pictures drawn and mirrored at random."""
        chosen = (mirrored(own[drawn(self.config.batch, len(own), generator)], generator) for own in self.squares)
        return signed(torch.cat([self.processes.share(pictures) for pictures in chosen]))

    def _in_order(self, first: int, count: int) -> Tensor:
        """The pictures from the `first` on, of a and then of b, (2 * count, 3, S, S); the first follows the last."""
        numbers = torch.arange(first, first + count, device=self.device)
        return signed(torch.cat([own[numbers % len(own)] for own in self.squares]))

    def _judged(self, common: Tensor) -> Tensor:
        """The logits of the critic, (B,)."""
        with arithmetic(common, self.dtype):
            return self.critic(common).to(common.dtype)


@torch.no_grad()
def _looked_at(net: DomainDifference, pictures: Tensor) -> Codes:
    """The codes of pictures of one domain, (N, 3, S, S) uint8."""
    codes = [encode(net, signed(part)) for part in pictures.split(LOOKED_AT)]
    return Codes(*map(torch.cat, zip(*codes, strict=True)))


@torch.no_grad()
def _error(net: DomainDifference, pictures: Tensor, codes: Codes, domain: str) -> Tensor:
    """The mean absolute error of giving back the pictures of a domain, of which these are the codes."""
    own = getattr(codes, domain)
    parts = zip(*(tensor.split(LOOKED_AT) for tensor in (pictures, codes.common, own)), strict=True)
    return torch.cat(
        [(net.combine(common, **{domain: extra}) - signed(part)).abs().mean((1, 2, 3)) for part, common, extra in parts]
    ).mean()
