"""The training of a segmenter on a labelled source, and its adaptation to a target whose pictures have no labels.

none: the source alone.
bn: then the statistics of the batch norms come from the target; no weight changes.
fada: then a discriminator tells the domains apart at each place, class by class, and the features learn to look to it
like the source's; then the network learns the target by the labels that it gives it itself.
selftrain: then it learns pictures of the target with classes of the source put on them; the target's labels are those
of a teacher, the average of its weights.

Batches of the source and of the target have statistics of their own, and the model has the target's: in networks of a
few layers the statistics are most of the gap.  pAdaIN swaps statistics within each batch; in the adversarial stage the
source gets the target's (`halves`).
Differs from FADA: the statistics, as above, where norms are not frozen; the discriminator sees features
at their own resolution where `upsampled` is not set; the last stage goes on from the weights before it, unless there
are published weights; where it makes the labels less steady, it is left out.  Beyond their edges pictures go on
mirrored, where published ones are black; labels are not counted there in both.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from structkit.configs import SegmenterConfig
from structkit.data.segmentation import SegmentationPictures, TargetPictures
from structkit.engines.padain.adaptation import (
    ClassBalance,
    blended_statistics,
    domain_loss,
    hidden,
    mixed,
    pictures_at,
    segmentation_loss,
    soft_labels,
    spread_out,
    trusted_labels,
)
from structkit.engines.padain.domain_views import DomainViews, signed
from structkit.engines.padain.layer import PadainHandles, disabled
from structkit.engines.padain.segmenter import Segmenter, padain_backbone, plain_copy, segmentation_network
from structkit.engines.padain.segmenter_rates import optimiser_of, set_critic_rate, set_rates
from structkit.engines.padain.segmenter_scores import SegmenterScores, shown, steadiness
from structkit.errors import OptionError
from structkit.nets.deeplab import FrozenBatchNorm, PixelDiscriminator, SegmentationNetwork, enlarged, set_norms
from structkit.training.draw import Draw
from structkit.training.ema import Average, forget_statistics
from structkit.training.frozen import frozen
from structkit.training.precision import arithmetic
from structkit.training.stages import Stage, Training
from structkit.training.state import Part, pack, unpack

KINDS = {
    "none": ("source",),
    "bn": ("source", "statistics"),
    "fada": ("source", "adversarial", "distillation"),
    "selftrain": ("source", "self-training"),
}
# Of each stage: what it has beside the network and its optimiser.
OWN_PARTS: Mapping[str, tuple[str, ...]] = {
    "source": (),
    "statistics": ("own",),
    "adversarial": ("critic", "critic_adam"),
    "distillation": ("labeller",),
    "self-training": ("teacher",),
}
SETTLED = 256  # pictures of the target that statistics are taken from, at most
LONGEST = 5.0  # norm of the gradient, to which Adam's is cut down
BETAS = (0.9, 0.99)  # of the discriminator's Adam
HELD_TARGET, MOST_HELD = 10, 32  # each tenth picture of the target is kept from the last stage of FADA, 32 at most
LABELLED = 10**9  # bytes of labels that are kept, once made
SHOWN = 4  # pictures of a preview


class SegmenterTraining(Training):
    """The training of a segmenter, by the stages of its adaptation.  The target has no labels here."""

    model_class = Segmenter

    def __init__(
        self,
        source: SegmentationPictures,
        target: TargetPictures | None,
        config: SegmenterConfig,
        *,
        held: SegmentationPictures | None = None,
        start: Mapping[str, Tensor] | None = None,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        tell: Callable[[str], None] = lambda note: None,
    ) -> None:
        """source: labelled pictures of `config.source_size`.  target: pictures of `config.size`; None for none.

        held: labelled pictures that are not learned from, for the scores.
        start: weights of torchvision's ResNet, which the backbone begins with; None: random ones.
        dtype: of the networks' arithmetic, float32 or bfloat16.
        Raises OptionError where an adaptation has no target.
        """
        self.config, self.device, self.dtype, self.tell = config.filled(), device, dtype, tell
        c = self.config
        if target is None and c.adapt != "none":
            raise OptionError(f"--adapt {c.adapt} adapts to pictures of a target, and there are none: give --target")
        self.source, self.target, self.start = source, target, start
        self.classes, self.palette = list(source.map.names), [tuple(colour) for colour in source.map.palette]
        self.balance = ClassBalance(source.shares)
        self.weights = self.balance.weights().to(device) if c.weighted else None
        self.order = spread_out(len(target), SETTLED) if target is not None else []
        self.kinds = KINDS[c.adapt]
        steps = {
            "source": c.steps,
            "statistics": -(-len(self.order) // c.batch),
            "adversarial": c.adversarial_steps,
            "distillation": c.distillation_steps,
            "self-training": c.selftrain_steps,
        }
        self.stages = [Stage(kind, steps[kind]) for kind in self.kinds]
        self.scored = SegmenterScores(self.classes, held, target, self.order)
        self.handles: PadainHandles | None = None  # of pAdaIN in the network
        self.network: SegmentationNetwork | None = None
        self.made: Segmenter | None = None  # the model as it is, until the next step
        self.kept_before = ""  # the reason why the last stage of FADA is left out, once it is known

    @property
    def views(self) -> DomainViews:
        """The pictures of both domains, as this process draws them."""
        balance = self.balance if self.config.balanced else None
        return DomainViews(self.source, self.target, balance, self.config.augment, self.device, self.processes)

    def begin(self, stage: int, draw: Draw) -> None:
        if stage == 0 or self.network is None:  # stages that are only measured may begin in any order
            self._build()
        self._enter(stage)

    def restore(self, stage: int, state: Mapping[str, Tensor]) -> None:
        self._build()
        self._enter(stage)
        unpack(state, **self._parts())

    def state(self) -> dict[str, Tensor]:
        return pack(**self._parts())

    def _build(self) -> None:
        """The network before the first stage."""
        self._without_padain()
        self.network = segmentation_network(self.config, len(self.classes)).to(self.device).train()
        self._begin_published()

    def _begin_published(self) -> None:
        if self.start is not None:
            self.network.backbone.load_published(self.start)

    def _enter(self, stage: int) -> None:
        """Make what a stage needs, from the network as it is."""
        self._without_padain()
        self.made = None
        c, self.kind = self.config, self.kinds[stage]
        if self.kind == "statistics":
            self.own = copy.deepcopy(self.network)
            set_norms(self.network, nn.BatchNorm2d)
            forget_statistics(self.network)
            return
        if self.kind == "distillation":
            self.labeller = self._settled(self.network)
            self.labelled: dict[int, Tensor] = {}
            self.learned, self.held_target = self._parts_of_target()
            if self.start is not None:  # published: from those weights, and with a new classifier
                self._build()
        set_norms(self.network, FrozenBatchNorm if c.frozen and self.kind != "distillation" else nn.BatchNorm2d)
        if self.kind == "self-training":
            self.teacher = Average(self.network, c.teacher)
            self.teacher.module.train()  # it sees each batch by the statistics of that batch
        if self.kind == "adversarial":
            # The published one has 256 channels, an eighth of its backbone's.
            width = max(8, self.network.backbone.channels // (8 if c.network != "small" else 1))
            self.critic = PixelDiscriminator(self.network.backbone.channels, len(self.classes), width).to(self.device)
            self.critic_adam = torch.optim.Adam(self.critic.parameters(), c.discriminator_rate, BETAS)
        self.optimiser = optimiser_of(self.network, c)
        self._with_padain()

    def _parts(self) -> dict[str, Part]:
        optimiser = () if self.kind == "statistics" else ("optimiser",)
        return {name: getattr(self, name) for name in ("network", *optimiser, *OWN_PARTS[self.kind])}

    def step(self, draw: Draw) -> dict[str, Tensor]:
        self.made = None
        if self.kind == "statistics":
            return self._gather(draw)
        steps = self.stages[draw.stage].steps
        set_rates(self.optimiser, self.config, self.kind, draw.step, steps)
        if self.kind == "adversarial":
            set_critic_rate(self.critic_adam, self.config, draw.step, steps)
        if self.handles is not None:
            self.handles.draw(draw.generator("padain"))
        losses = {
            "source": self._learn_source,
            "adversarial": self._learn_adversarial,
            "distillation": self._distill,
            "self-training": self._train_itself,
        }[self.kind](draw)
        return {name: loss.detach() for name, loss in losses.items()}

    def _learn_source(self, draw: Draw) -> dict[str, Tensor]:
        pictures, labels = self.views.of_source(draw, self.config.batch)
        if self.config.augment:
            pictures = self.views.in_colours(pictures, draw, "colours")
        with arithmetic(pictures, self.dtype):
            logits = self.network(signed(pictures))
        loss = segmentation_loss(enlarged(logits.float(), labels.shape[1:]), labels, self.weights)
        self._descend(loss)
        return {"loss": loss}

    @torch.no_grad()
    def _gather(self, draw: Draw) -> dict[str, Tensor]:
        """Let the batch norms see a batch of the target."""
        some = self.order[(draw.step - 1) * self.config.batch :][: self.config.batch]
        confidence = self._seen(self.network, some).softmax(1).amax(1).mean()
        return {"confidence": confidence}

    def _learn_adversarial(self, draw: Draw) -> dict[str, Tensor]:
        """A step of FADA: the network's on the source and against the discriminator, then the discriminator's."""
        c = self.config
        pictures, labels = self.views.of_source(draw, c.pair_batch)
        source = signed(self.views.in_colours(pictures, draw, "colours"))
        target = signed(self.views.of_target(draw, c.pair_batch))
        with arithmetic(source, self.dtype):
            features = self._features_of_source(source, target)
            logits = self.network.classifier(features).float() / c.temperature
            with disabled(self.network):
                target_features = self.network.features(target)
            target_logits = self.network.classifier(target_features).float() / c.temperature
        whole = enlarged(logits, labels.shape[1:])
        if c.upsampled:
            logits, target_logits = whole, enlarged(target_logits, target.shape[-2:])
        soft, target_soft = (soft_labels(one, c.ceiling) for one in (logits, target_logits))
        terms = {"loss": segmentation_loss(whole, labels, self.weights)}
        with frozen(self.critic):
            judged = self._judged(target_features, target_soft)
        terms["adversarial"] = c.adversarial * domain_loss(judged, target_soft, target=False)
        self._descend(sum(terms.values()))
        own = domain_loss(self._judged(features.detach(), soft), soft, target=False)
        theirs = domain_loss(self._judged(target_features.detach(), target_soft), target_soft, target=True)
        terms["critic"] = (own + theirs) / 2
        self.processes.descend(self.critic_adam, terms["critic"])
        return terms

    def _features_of_source(self, source: Tensor, target: Tensor) -> Tensor:
        """The features of the source; where pAdaIN swaps in this step, in one batch with the target."""
        if self.handles is None or not self.handles.active:
            return self.network.features(source)
        resized = nn.functional.interpolate(target, source.shape[-2:], mode="nearest")
        return self.network.features(torch.cat([source, resized]))[: len(source)]

    def _judged(self, features: Tensor, soft: Tensor) -> Tensor:
        """The logits of the discriminator, (B, 2 K, h, w) of the shape of the soft labels."""
        with arithmetic(features, self.dtype):
            judged = self.critic(features).float()
        return enlarged(judged, soft.shape[-2:]) if self.config.upsampled else judged

    def _distill(self, draw: Draw) -> dict[str, Tensor]:
        pictures, labels = self.views.of_labelled_target(draw, self.config.batch, self.learned, self._own_labels)
        seen = signed(self.views.in_colours(pictures, draw, "colours"))
        with arithmetic(seen, self.dtype):
            logits = self.network(seen)
        loss = segmentation_loss(enlarged(logits.float(), labels.shape[1:]), labels)
        self._descend(loss)
        return {"loss": loss}

    def _train_itself(self, draw: Draw) -> dict[str, Tensor]:
        """A step of self-training: on the source, and on pictures mixed of both, labelled by truth and teacher."""
        c = self.config
        source, labels = self.views.of_source(draw, c.pair_batch)
        target = self.views.of_target(draw, c.pair_batch)
        shape = labels.shape[1:]
        with torch.no_grad(), arithmetic(target, self.dtype):
            taught = self.teacher.module(signed(target)).float()
        own_labels, trust = trusted_labels(enlarged(taught, shape), c.confidence)
        numbers = self.views.numbers(draw, "mixed", c.pair_batch, len(self.classes))
        pictures, mixed_labels, mixed_trust = mixed(source, labels, target, own_labels, trust, numbers)
        pictures = signed(self.views.in_colours(pictures, draw, "mixed colours", blur=True))
        seen = signed(self.views.in_colours(source, draw, "colours") if c.augment else source)
        with arithmetic(seen, self.dtype):
            logits, mixed_logits = self.network(seen).float(), self.network(pictures).float()
        terms = {
            "loss": segmentation_loss(enlarged(logits, shape), labels, self.weights),
            "mixed": segmentation_loss(enlarged(mixed_logits, shape), mixed_labels, self.weights, mixed_trust),
        }
        if c.masked:
            part = signed(self.views.in_colours(target, draw, "masked colours"))
            with arithmetic(part, self.dtype):
                part_logits = self.network(
                    hidden(part, self.views.squares(draw, c.pair_batch, shape), c.masked)
                ).float()
            terms["masked"] = segmentation_loss(enlarged(part_logits, shape), own_labels, self.weights, trust)
        self._descend(sum(terms.values()))
        self.teacher.update(self.network)
        return terms | {"trust": trust.mean()}

    def _descend(self, loss: Tensor) -> None:
        longest = LONGEST if self.config.optimiser == "adam" else None
        self.processes.descend(self.optimiser, loss, longest=longest)
        self.processes.mean_buffers(self.network)

    @torch.no_grad()
    def _own_labels(self, index: int) -> Tensor:
        """The labels that the network before the last stage gives a picture of the target, (h, w) uint8."""
        if (found := self.labelled.get(index)) is None:
            found = self._seen(self.labeller, [index])[0].argmax(0).to(torch.uint8).cpu()
            if (len(self.labelled) + 1) * found.numel() <= LABELLED:
                self.labelled[index] = found
        return found

    def _seen(self, network: nn.Module, indices: list[int]) -> Tensor:
        """The logits of each pixel of pictures of the target, (B, K, h, w)."""
        pictures = signed(pictures_at(self.target, indices).to(self.device))
        with arithmetic(pictures, self.dtype):
            return enlarged(network(pictures).float(), pictures.shape[-2:])

    def _parts_of_target(self) -> tuple[list[int], list[int]]:
        """The pictures of the target that the last stage learns, and those that are held out."""
        held = spread_out(len(self.target), min(len(self.target) // HELD_TARGET, MOST_HELD))
        return sorted(set(range(len(self.target))) - set(held)), sorted(held)

    @torch.no_grad()
    def _settled(self, network: nn.Module) -> nn.Module:
        """A copy of a network with the target's statistics, in evaluation mode; frozen norms stay as they are."""
        settled = plain_copy(network, self.config)
        if any(isinstance(module, FrozenBatchNorm) for module in network.modules()):
            return settled
        forget_statistics(settled)
        for first in range(0, len(self.order), self.config.batch):
            self._seen(settled, self.order[first : first + self.config.batch])
        return settled.eval()

    def _with_padain(self) -> None:
        if self.config.padain:
            pairing = "halves" if self.kind == "adversarial" else "permute"
            self.handles = padain_backbone(self.network, self.config, pairing)

    def _without_padain(self) -> None:
        if self.handles is not None:
            self.handles.remove()
        self.handles = None

    def model(self) -> Segmenter:
        """The network as far as trained, with the statistics of what it is adapted to."""
        if self.made is not None:
            return self.made
        model = Segmenter(self.config, self.classes, self.palette).to(self.device)
        model.network.load_state_dict(self._final().state_dict())
        self.made = model.eval()
        return self.made

    def _final(self) -> nn.Module:
        if self.kind == "source":
            return plain_copy(self.network, self.config)
        if self.kind == "statistics":
            blended = plain_copy(self.own, self.config)
            blended.load_state_dict(blended_statistics(blended, self.network, self.config.alpha), strict=False)
            return blended
        if self.kind == "distillation":
            return self._steadier()
        return self._settled(self.teacher.module if self.kind == "self-training" else self.network)

    def _steadier(self) -> nn.Module:
        """The network after the last stage of FADA, or that before it where its labels are steadier."""
        after = self._settled(self.network)
        if not self.held_target:
            return after
        pictures = pictures_at(self.target, self.held_target).to(self.device)
        steady = [steadiness(network, pictures, self.labeller) for network in (self.labeller, after)]
        if steady[1] >= steady[0]:
            return after
        fact = f"{100 * steady[0]:.1f} % before and {100 * steady[1]:.1f} % after it"
        self.kept_before = f"the last stage made the labels of the target less steady ({fact}): it is left out"
        return self.labeller

    def scores(self) -> Mapping[str, Any]:
        """See `SegmenterScores.of`; it is told whether the last stage of FADA was left out."""
        model = self.model()
        if self.kept_before:
            self.tell(self.kept_before)
        return self.scored.of(model, self.tell)

    def doubts(self) -> list[str]:
        """The signs of a bad model."""
        return self.scored.doubts(self.model())

    def preview(self, draw: Draw) -> Tensor | None:
        """Pictures of the target, or of the source, beside their labels as the network tells them now."""
        pictures = self.source if self.target is None else self.target
        return shown(
            self.network, pictures_at(pictures, range(min(SHOWN, len(pictures)))).to(self.device), self.palette
        )
