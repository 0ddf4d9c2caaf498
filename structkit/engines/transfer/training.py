"""The training of content transfer: the codes and their decoders, as published; then the painter and the placer.

For these see `painter_training.py` and `placer_training.py`.  The losses are the paper's; a test holds that they equal
its formulas written out, in values and gradients.  Work is saved in three places:
* The masked decoder paints once for both canvases that it is judged on.
* The critic learns from the codes that the encoder's step has made (the authors encode again).
* Pictures go through a network in one batch where the domains share their statistics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.configs import TransferConfig
from structkit.data.batches import drawn, mirrored, signed, smaller
from structkit.engines.transfer.doubts import doubts
from structkit.engines.transfer.layer import Layer
from structkit.engines.transfer.model import ContentTransfer, layer_of
from structkit.engines.transfer.painter_training import PainterTraining
from structkit.engines.transfer.placer_training import PlacerTraining
from structkit.kernels.composite import composite
from structkit.nets.codes import CodeCritic, confusion, discrimination
from structkit.training.draw import Draw
from structkit.training.frozen import frozen
from structkit.training.parallel import Processes
from structkit.training.schedule import falling
from structkit.training.stages import Stage, Training
from structkit.training.state import Part, pack, unpack

BETAS = (0.5, 0.999)
LONGEST = 5.0  # norm of the gradient, held as the authors mean to: their critic's never was
# steps between two looks at the masks; the last step of a stage is looked at, too, unless its time is over before
LOOK_EVERY = 200
EMPTY, FULL = 0.001, 0.6  # means of masks that have collapsed
WAYS_OUT = {  # ways out for masks that cover nothing, and for masks that cover nearly all
    "codes": ("a lower --sparsity or a higher --confusion", "a higher --sparsity or more --steps"),
    "painter": ("more --steps or fewer --rounds",) * 2,  # its masks grew from the codes' masks, a little each round
}
# Share of the painter's rounds after which the placer learns to guide the others; it learns again at the end.
PLACER_AFTER = 0.3
PREVIEWED = 6  # pictures
LOOKED_AT = 64  # pictures at a time, for the scores and for a look at the painter's masks


class ContentPass(NamedTuple):
    """The outputs of the networks for B pictures with the content and B without."""

    common: Tensor  # (2 B, C, 2, 2): of those with, then of those without
    separate: Tensor  # (B, C', 2, 2)
    plain: Tensor  # (2 B, 3, S, S)
    own: Layer  # the content of each on itself
    put: Layer  # on a picture without
    none: Layer  # no content on a picture without
    separate_again: Tensor  # the separate code of the pictures that have got the content
    common_again: Tensor | None


def see(net: ContentTransfer, with_: Tensor, without: Tensor) -> ContentPass:
    """The outputs of the networks for pictures.  with_, without: (B, 3, S, S)."""
    count, joint = len(with_), net.config.norm == "joint"

    def together(call: Callable[[Tensor], Tensor], *batches: Tensor) -> Tensor:
        """The outputs for all batches: in one batch, with its statistics, or, as published, each with its own."""
        return call(torch.cat(batches)) if joint else torch.cat([call(batch) for batch in batches])

    common, separate = together(net.common, with_, without), net.separate(with_)
    of_with, of_without = common.split(count)
    codes = (of_with, separate), (of_without, separate), (of_without, torch.zeros_like(separate))
    made = together(net.content, *(torch.cat(code, 1) for code in codes))
    own, put, none = (layer_of(part) for part in made.split(count))
    moved = composite(without, put.colours, put.mask)
    common_again = net.common(moved) if net.config.common_cycle else None
    return ContentPass(
        common, separate, together(net.plain, of_with, of_without), own, put, none, net.separate(moved), common_again
    )


def losses(seen: ContentPass, with_: Tensor, without: Tensor, logits: Tensor, c: TransferConfig) -> dict[str, Tensor]:
    """The losses of the encoders and decoders.  Nothing is detached.

    A layer pasted onto the picture itself differs from it by m (z - x): Recon2 is the mean of m |z - x|.
    logits: (2 B,), the critic's, of `seen.common`.
    """
    plain_with, plain_without = seen.plain.split(len(with_))
    own, none = seen.own, seen.none
    terms = {
        "rebuilt_with": c.rebuilt_with
        * (composite(plain_with, own.colours, own.mask) - with_).abs().mean(),  # Recon1 (B)
        "rebuilt_without": c.rebuilt_without * (plain_without - without).abs().mean(),  # Recon1 (A)
        "paste_with": c.paste_with * (own.mask * (own.colours - with_).abs()).mean(),  # Recon2 (B)
        "paste_without": c.paste_without * (none.mask * (none.colours - without).abs()).mean(),  # Recon2 (A)
        "separate_cycle": c.separate_cycle
        * (seen.separate_again - seen.separate).square().mean(),  # Cycle, its 2nd term
        "confusion": c.confusion * confusion(logits, len(with_), c.form),
        "sparsity": c.sparsity * sum(layer.mask.mean() for layer in (own, seen.put, none)),  # ours
    }
    if seen.common_again is not None:
        again = seen.common_again - seen.common[len(with_) :]
        terms["common_cycle"] = c.common_cycle * again.square().mean()  # Cycle, its 1st term
    return terms


class TransferTraining(Training):
    """The training of content transfer: the codes in one stage, then the painter and the placer.

    The painter learns in rounds, and the placer between them and at their end.
    """

    model_class = ContentTransfer

    def __init__(
        self,
        with_: Tensor,
        without: Tensor,
        config: TransferConfig,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        held: Sequence[Tensor] = (),
        tell: Callable[[str], None] = lambda note: None,
    ) -> None:
        """with_, without: (N, 3, S, S) uint8, S as the model's `size`.
        dtype: of the networks' arithmetic, float32 or bfloat16.
        held: as many more of each as there are, that the training does not see: its scores come from them.
        tell: called when the masks, of the decoder or of the painter, are found to have collapsed.
        """
        self.config, self.device, self.dtype, self.tell = config.filled(), device, dtype, tell
        c = self.config
        self.squares, self.held = (with_.to(device), without.to(device)), tuple(held) or (with_[:0], without[:0])
        first = math.ceil(PLACER_AFTER * c.rounds)  # one round alone has none to guide
        placer = ["placer"] if c.painter else []
        self.kinds = [
            "codes",
            *["painter"] * first,
            *(placer if first < c.rounds else []),
            *["painter"] * (c.rounds - first),
            *placer,
        ]
        steps = {"codes": c.steps, "painter": c.painter_steps, "placer": c.placer_steps}
        self.stages = [Stage(self._name(stage), steps[kind]) for stage, kind in enumerate(self.kinds)]
        self.stage, self.warned = 0, False

    def begin(self, stage: int, draw: Draw) -> None:
        self._enter(stage)

    def restore(self, stage: int, state: Mapping[str, Tensor]) -> None:
        self._enter(stage)
        unpack(state, **self._parts())

    def state(self) -> dict[str, Tensor]:
        return pack(**self._parts())

    def model(self) -> ContentTransfer:
        """A copy of the networks in float32, as it will be used, without those that are not trained yet."""
        c, untrained = self.config, {}
        if c.painter and "placer" not in self.kinds[: self.stage + 1]:
            untrained = {"placer_steps": None} if self.stage else {"painter": 0, "rounds": 0, "placer_steps": None}
        net = ContentTransfer(replace(c, **untrained)).to(self.device)
        net.load_state_dict(self.net.state_dict(), strict=False)
        return net.eval()

    def step(self, draw: Draw) -> dict[str, Tensor]:
        c, steps = self.config, self.stages[self.stage].steps
        done, due = (draw.step - 1) / steps, draw.step % LOOK_EVERY == 0 or draw.step == steps
        kind, before = self.kinds[self.stage], self.kinds[: self.stage]
        if kind == "placer":
            learning, terms = self.net.placer, self.placing.step(draw, done, self.processes)
        elif kind == "painter":
            share = (before.count("painter") + done) / c.rounds
            learning, terms = (
                self.net.painter,
                self.painting.step(draw, steps, share, self.processes, guided="placer" in before),
            )
            if due:
                self._look("painter", self._found(), draw.step)
        else:
            learning, terms = self.net, self._coded(draw, done)
            if due and done >= 2 * c.ramp:
                self._look("codes", terms["mask"], draw.step)
        self.processes.mean_buffers(learning)
        return terms

    def _coded(self, draw: Draw, done: float) -> dict[str, Tensor]:
        """Do one step of the codes; returns the losses.  done: the share of the steps of the codes."""
        c, generator = self.config, draw.generator("batch")
        for adam in (self.adam, self.critic_adam):
            adam.param_groups[0]["lr"] = c.rate * falling(done, c.decay)
        with_, without = (batch(pictures, c.batch, generator, self.processes) for pictures in self.reduced)
        rising = done / c.ramp if c.ramp else 2.0
        weights = replace(
            c, confusion=c.confusion * min(rising, 1.0), sparsity=c.sparsity * min(max(rising - 1, 0.0), 1.0)
        )
        return self.update(with_, without, weights)

    def update(self, with_: Tensor, without: Tensor, weights: TransferConfig) -> dict[str, Tensor]:
        """Do one step of the encoders and decoders, then those of the critic.

        Returns the losses, and the mean of the masks of `with_`.
        """
        self.net.train()
        with frozen(self.critic):
            seen = see(self.net, with_, without)
            terms = losses(seen, with_, without, self.critic(seen.common), weights)
        self.processes.descend(self.adam, sum(terms.values()), longest=LONGEST)
        for _ in range(weights.critic_steps):
            terms["critic"] = discrimination(self.critic(seen.common.detach()), len(with_))
            self.processes.descend(self.critic_adam, terms["critic"], longest=LONGEST)
        return {name: value.detach() for name, value in (terms | {"mask": seen.own.mask.mean()}).items()}

    @torch.no_grad()
    def preview(self, draw: Draw) -> Tensor:
        """Rows of pictures: with the content, their masks, without it; then pictures without it.

        The last row has these with the content of the first.
        """
        count = min(PREVIEWED, *(len(pictures) for pictures in self.squares))
        net, (with_, without) = self.model(), (signed(pictures[:count]) for pictures in self.squares)
        mask, bare = _pasted(with_, net.remove(with_))
        on = net.place(without, net.cut(with_)) if net.placer else net.put(without, net.separate(with_))
        rows = with_, mask.expand_as(with_) * 2 - 1, bare, without, _pasted(without, on)[1]
        return torch.cat([torch.cat([*row[:, None]], 3) for row in rows], 2).clamp(-1, 1)

    @torch.no_grad()
    def scores(self) -> dict[str, float]:
        """The scores on pictures that were held out.

        Mean masks, of pictures with and without the content, and the error of giving them back.
        """
        net, found = self.model(), {}
        for name, pictures in zip(("with", "without"), self.held, strict=True):
            masks, errors = [], []
            for part in pictures.split(LOOKED_AT) if len(pictures) else ():
                squares = signed(part.to(self.device))
                reduced, common = net.reduced(squares), net.common(squares)
                again = net.plain(common)
                if name == "with":
                    layer = net.masked(common, net.separate(squares))
                    again = composite(again, layer.colours, layer.mask)
                masks.append(net.segment(squares).mean((1, 2, 3)))
                errors.append((again - reduced).abs().mean((1, 2, 3)))
            if masks:
                found |= {
                    f"mask_{name}": float(torch.cat(masks).mean()),
                    f"error_{name}": float(torch.cat(errors).mean()),
                }
        return {name: round(value, 5) for name, value in found.items()}

    def doubts(self) -> list[str]:
        """The doubts about the model, from pictures that were held out and from others.

        See `engines.transfer.doubts`.
        """
        return doubts(self.model(), self.squares, self.held)

    def _enter(self, stage: int) -> None:
        """Make the networks and optimisers of a stage.  Networks that are there already stay what they have become."""
        self.stage, c = stage, self.config
        if not hasattr(self, "net"):
            self.net = ContentTransfer(c).to(self.device, memory_format=torch.channels_last)
            self.net.dtype = self.dtype
        if stage == 0:
            self.reduced = [smaller(pictures, c.size) for pictures in self.squares]
            self.critic = CodeCritic(self.net.common_channels).to(self.device)
            learners = [p for name, p in self.net.named_parameters() if not name.startswith(("painter.", "placer."))]
            self.adam, self.critic_adam = (
                torch.optim.Adam(of, c.rate, BETAS, fused=True) for of in (learners, self.critic.parameters())
            )
        elif "painter" in self.kinds[stage:] and not hasattr(self, "painting"):
            self.painting, self.warned = PainterTraining(self.net, *self.squares), False  # its masks are new ones
        if self.kinds[stage] == "placer":
            self.placing = PlacerTraining(self.net, self.squares[0])

    def _parts(self) -> dict[str, Part]:
        if self.stage == 0:
            return {"net": self.net, "critic": self.critic, "adam": self.adam, "critic_adam": self.critic_adam}
        painting = {"painting": self.painting} if "painter" in self.kinds[self.stage :] else {}
        placing = {"placing": self.placing} if self.kinds[self.stage] == "placer" else {}
        return {"net": self.net, **painting, **placing}

    def _name(self, stage: int) -> str:
        kind, before = self.kinds[stage], self.kinds[:stage]
        if kind == "painter":
            return f"painter, round {before.count(kind) + 1}"
        return f"{kind}, again" if kind in before else kind

    @torch.no_grad()
    def _found(self) -> Tensor:
        """The mean of the painter's masks of some pictures with the content."""
        return self.net.eval().segment(signed(self.squares[0][:LOOKED_AT])).mean()

    def _look(self, of: str, mask: Tensor, step: int) -> None:
        """Tell when masks cover nothing or all, once for each network that paints masks (again after a stop).

        mask: the mean of the masks.
        """
        mean = float(mask)
        if EMPTY <= mean <= FULL or self.warned or mean != mean:  # values that are no numbers are told of elsewhere
            return
        self.warned, full = True, mean > FULL
        fact = (
            f"the masks cover {'nearly all' if full else 'nothing'} of the pictures with the content (mean {mean:.2g})"
        )
        self.tell(f"{self.stages[self.stage].name}, step {step}: {fact}; if that stays so, try {WAYS_OUT[of][full]}")


def batch(pictures: Tensor, count: int, generator: torch.Generator, processes: Processes) -> Tensor:
    """Pictures in [-1, 1], (count, 3, S, S), or this process's share of them, drawn and mirrored at random.

    pictures: (N, 3, S, S) uint8.
    """
    chosen = mirrored(pictures[drawn(count, len(pictures), generator)], generator)
    return signed(processes.share(chosen))


def _pasted(canvas: Tensor, layer: Layer) -> tuple[Tensor, Tensor]:
    """The mask, and the layer pasted, at the size of the canvas."""
    size = canvas.shape[-2:]
    mask, colours = (F.interpolate(field, size, mode="bilinear") for field in (layer.mask, layer.colours))
    return mask, composite(canvas, colours, mask)
