"""Permuted AdaIN as a layer, and put into any network by one call (Nuriel, Benaim and Wolf, CVPR 2021).

In training, and there with a small probability at each place, the maps behind a convolution take the channel statistics
of other samples of the batch, before batch normalisation: a network that cannot rely on global statistics looks at
local structure.  Labels stay as they are.  Outside of training the layer does nothing, and it has no parameters.

Differs from the published code: coins come from a plan of each pass, neither from Python's `random` nor inside of the
layers (see `structkit.engines.padain.plan`); a module that is called twice in a pass has one coin; depthwise
convolutions are no places.
Expect: nothing of p = 0.01 in a short training.  What was measured stands in tests/benchmarks/README.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from structkit.engines.padain.places import CONV_BN, EXCLUDED, Where, early_places, stem_of, swap_places
from structkit.engines.padain.plan import SwapSchedule
from structkit.errors import OptionError
from structkit.kernels.adain import adain, adain_backward, permuted_adain, permuted_adain_backward

PAIRINGS = ("permute", "halves", "derange")
PRESETS = {"paper": 0.01, "early": 0.5, "fada": 0.01}  # each with its p


@dataclass(frozen=True)
class Swap:
    """How statistics are swapped: who takes whose, and how much of them."""

    eps: float = 1e-5
    pairing: str = "permute"
    mix: float | None = None  # alpha of the Beta distribution of the share of own statistics: MixStyle's
    detach_content: bool = False

    def __post_init__(self) -> None:
        if self.pairing not in PAIRINGS:
            raise OptionError(f"pairing is {self.pairing!r}: choose {', '.join(PAIRINGS)}")
        if self.mix is not None and not 0 < self.mix < inf:
            raise OptionError(f"mix is {self.mix:g}: the parameter of a Beta distribution must be above 0, and finite")
        if not 0 < self.eps < inf:
            raise OptionError(f"eps is {self.eps:g}: it must be above 0, and finite")

    def __call__(self, x: Tensor, seed: int) -> Tensor:
        """x (N, C, *space) with statistics swapped as this seed says; a batch of one is itself."""
        if len(x) < 2:
            return x
        index, how = self._drawn(x, seed)
        if index is not None:
            return permuted_adain(x, index, **how)
        half = len(x) // 2
        return torch.cat([adain(x[:half], x[half : 2 * half], **how), x[half:]])

    def backward(self, slope: Tensor, x: Tensor, seed: int) -> Tensor:
        """The gradient at x, from that at the result."""
        if len(x) < 2:
            return slope
        index, how = self._drawn(x, seed)
        if index is not None:
            return permuted_adain_backward(slope, x, index, **how)
        half = len(x) // 2
        return torch.cat([adain_backward(slope[:half], x[:half], x[half : 2 * half], **how), slope[half:]])

    def _drawn(self, x: Tensor, seed: int) -> tuple[Tensor | None, dict[str, Any]]:
        """Whose statistics each sample takes, None for halves; and the options of the kernel."""
        numbers, count = np.random.default_rng(seed), len(x)
        how: dict[str, Any] = {"eps": self.eps, "detach_content": self.detach_content}
        halves = self.pairing == "halves"
        if self.mix is not None:
            shares = numbers.beta(self.mix, self.mix, count // 2 if halves else count).astype(np.float32)
            how["own"] = torch.from_numpy(shares).to(x.device, non_blocking=True)
        if halves:
            return None, how
        index = numbers.permutation(count)
        while self.pairing == "derange" and (index == np.arange(count)).any():
            index = numbers.permutation(count)
        return torch.from_numpy(index).to(x.device, non_blocking=True), how


class PermutedAdaIN(nn.Module):
    """Permuted AdaIN as a layer of a network that you write: behind a convolution, before its batch normalisation.

    p: the probability with which a call in training swaps; one coin for the whole batch.  The coin and the permutation
    come from PyTorch's own generator of the processor, which activation checkpointing restores; they are drawn in
    training only.
    eps: under the root of the variance, and added to the content's deviation.
    pairing: "permute": a uniform permutation, which may leave a sample to itself; "derange": one that leaves none;
    "halves": the first half of the batch takes the statistics of the second, which stays as it is (FADA).
    mix: alpha of MixStyle's Beta distribution, from which each sample draws the share of its statistics that it keeps;
    None: it keeps nothing.
    detach_content: no gradient goes through the content's own statistics, as in MixStyle.
    Takes and returns (N, C, *space).  No parameters and no buffers.
    Raises OptionError for values that cannot be.
    """

    def __init__(
        self,
        p: float = 0.01,
        eps: float = 1e-5,
        pairing: str = "permute",
        mix: float | None = None,
        detach_content: bool = False,
    ) -> None:
        super().__init__()
        self.p, self.swap = _probability(p), Swap(eps, pairing, mix, detach_content)
        self.muted = 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.muted or not self.p:
            return x
        if torch.compiler.is_compiling():
            coin, seed = torch.rand(1, device="cpu") < self.p, torch.randint(2**62, (1,), device="cpu")
            table = torch.stack([coin.long(), seed], 1)
            return _compiled(x, table, 0, self.swap)
        if torch.rand((), device="cpu").item() >= self.p:
            return x
        return self.swap(x, int(torch.randint(2**62, (), device="cpu")))

    def extra_repr(self) -> str:
        return f"p={self.p:g}, {', '.join(f'{name}={value}' for name, value in vars(self.swap).items())}"


class SwapSite:
    """One place: the hook that swaps what comes out of a module, or what goes into it."""

    def __init__(self, schedule: SwapSchedule, number: int, name: str, swap: Swap) -> None:
        self.schedule, self.number, self.name, self.swap = schedule, number, name, swap

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        return self.swapped(output) if module.training else None

    def before(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        changed = self.swapped(inputs[0]) if module.training else None
        return None if changed is None else (changed, *inputs[1:])

    def swapped(self, x: Tensor) -> Tensor | None:
        schedule = self.schedule
        if schedule.muted:
            return None
        if not isinstance(x, Tensor) or x.dim() < 3:  # in the first pass, not only once a coin says so
            raise OptionError(f"{self.name or 'the model itself'} is no place for Permuted AdaIN: {_kind(x)}, not maps")
        if torch.compiler.is_compiling() and schedule.inside:
            return _compiled(x, schedule.table, self.number, self.swap) if schedule.active else None
        return self._at_once(x)

    @torch.compiler.disable
    def _at_once(self, x: Tensor) -> Tensor | None:
        seed = self.schedule.seed_of(self.number)
        return None if seed is None else self.swap(x, seed)


class PadainHandles:
    """What `insert_padain` put into a model: where it is, how often it swaps, and how it is taken out again.

    names: of the places, in the order of the network.
    """

    def __init__(
        self, model: nn.Module, names: list[str], p: float, swap: Swap, seed: int, *, stem_input: bool
    ) -> None:
        self.names = names
        self._schedule = SwapSchedule(len(names), p, seed)
        self._hooks = [
            model.register_forward_pre_hook(self._schedule.enter, prepend=True, with_kwargs=True),
            model.register_forward_hook(self._schedule.leave, always_call=True),
        ]
        for number, name in enumerate(names):
            module, site = model.get_submodule(name), SwapSite(self._schedule, number, name, swap)
            if stem_input and not number:
                self._hooks.append(module.register_forward_pre_hook(site.before))
            else:
                self._hooks.append(module.register_forward_hook(site))

    @property
    def p(self) -> float:
        return self._schedule.p

    @property
    def active(self) -> list[str]:
        """The places that swap in the pass that `draw` has drawn; else in the present or the last one."""
        plan = self._schedule.ahead or self._schedule.plan
        return [self.names[number] for number in sorted(plan.seeds)]

    def set(self, *, p: float) -> None:
        """Swap with this probability from the next plan on."""
        self._schedule.p = _probability(p)

    def draw(self, generator: torch.Generator) -> None:
        """Draw the plan of the next step now.

        One number is taken from the generator; what the passes until the next `draw` swap follows from it and from the
        rank of this process.  So a training that keeps the generator's state goes on as if it had never stopped.
        """
        self._schedule.start(int(torch.randint(2**62, (), generator=generator, device=generator.device)))

    def remove(self) -> None:
        """Take everything out: the model is as it was."""
        for hook in self._hooks:
            hook.remove()


def insert_padain(
    model: nn.Module,
    p: float | None = None,
    *,
    where: Where = CONV_BN,
    exclude: str | None = EXCLUDED,
    preset: str = "paper",
    pairing: str | None = None,
    mix: float | None = None,
    detach_content: bool = False,
    eps: float = 1e-5,
    seed: int = 0,
) -> PadainHandles:
    """Permuted AdaIN put into a network, which then trains with it: one line between making and training it.

    >>> model = torchvision.models.resnet50()
    >>> structkit.insert_padain(model)

    From Nuriel, Benaim and Wolf, "Permuted AdaIN: Reducing the Bias Towards Global Statistics in Image Classification"
    (CVPR 2021).  Forward hooks do it: modules, parameters and state dicts stay as they are, evaluation is not touched,
    copies (`copy.deepcopy`, moving averages) have hooks of their own, and handles of their own where these are copied
    along: `copy.deepcopy((model, handles))`.
    Activation checkpointing, torch.compile and DistributedDataParallel change nothing; each process draws for itself.
    torch.jit.script wants `remove()` before.

    p: the probability with which a place swaps in a pass; None: the preset's.
    preset: "paper": the stem and every convolution of the branches, p = 0.01; "early": the stem and the first stage,
    p = 0.5; "fada": as "paper", but at the stem it swaps what goes in, as the released code of the adaptation
    experiments does.
    where, exclude: which places; see `structkit.engines.padain.places.swap_places`.  A `where` of your own stands
    before the places of "early".
    pairing, mix, detach_content, eps: as `PermutedAdaIN` has them.
    seed: of the plans, where nobody calls `draw` of what is returned.
    Raises OptionError for a model without a place, with what was looked at, for one that has it already, and for values
    that cannot be.
    """
    if preset not in PRESETS:
        raise OptionError(f"preset is {preset!r}: choose {', '.join(PRESETS)}")
    if seed < 0:
        raise OptionError(f"seed is {seed}: it must not be below 0")
    names = swap_places(model, where, exclude)
    if preset == "early" and where == CONV_BN:
        names = early_places(names)
    taken = [name for name in names if _sites(model.get_submodule(name), deep=False)]
    if taken:
        name = type(model).__name__
        raise OptionError(f"{name} has Permuted AdaIN already, at {taken[0]}: call remove() of its handles before")
    p = _probability(PRESETS[preset] if p is None else p)
    swap = Swap(eps, pairing or "permute", mix, detach_content)
    return PadainHandles(model, names, p, swap, seed, stem_input=preset == "fada" and names[0] == stem_of(model))


@contextmanager
def disabled(model: nn.Module) -> Iterator[None]:
    """Inside, no place of the model swaps, and nothing is drawn: for statistics, or losses, of training mode."""
    muted: dict[int, Any] = {id(site.schedule): site.schedule for site in _sites(model)}
    muted |= {id(module): module for module in model.modules() if isinstance(module, PermutedAdaIN)}
    for part in muted.values():
        part.muted += 1
    try:
        yield
    finally:
        for part in muted.values():
            part.muted -= 1


def _sites(model: nn.Module, *, deep: bool = True) -> list[SwapSite]:
    found = []
    for module in model.modules() if deep else [model]:
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values()):
            owner = getattr(hook, "__self__", hook)
            found += [owner] if isinstance(owner, SwapSite) else []
    return found


def _kind(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _probability(p: float) -> float:
    if not 0 <= p <= 1:
        raise OptionError(f"p is {p:g}: a probability is between 0 and 1")
    return float(p)


# A compiled graph holds each place as one opaque operation, which reads the plan when it runs.


def _compiled(x: Tensor, table: Tensor, number: int, swap: Swap) -> Tensor:
    return torch.ops.structkit.swap(x, table, number, swap.eps, swap.pairing, swap.mix or 0.0, swap.detach_content)


@torch.library.custom_op("structkit::swap", mutates_args=())
def _swap(x: Tensor, table: Tensor, number: int, eps: float, pairing: str, mix: float, detach_content: bool) -> Tensor:
    active, seed = table[number].tolist()
    return Swap(eps, pairing, mix or None, detach_content)(x, seed).clone() if active else x.clone()


@_swap.register_fake
def _(x: Tensor, *_: object) -> Tensor:
    return torch.empty_like(x)


@torch.library.custom_op("structkit::swap_backward", mutates_args=())
def _swap_backward(
    slope: Tensor, x: Tensor, table: Tensor, number: int, eps: float, pairing: str, mix: float, detach_content: bool
) -> Tensor:
    active, seed = table[number].tolist()
    return Swap(eps, pairing, mix or None, detach_content).backward(slope, x, seed).clone() if active else slope.clone()


@_swap_backward.register_fake
def _(slope: Tensor, x: Tensor, *_: object) -> Tensor:
    return torch.empty_like(x)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, table, *ctx.rest = inputs
    ctx.save_for_backward(x, table)


def _differentiate(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
    return torch.ops.structkit.swap_backward(slope, *ctx.saved_tensors, *ctx.rest), *(None,) * 6


_swap.register_autograd(_differentiate, setup_context=_keep)
