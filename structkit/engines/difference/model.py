"""Domain intersection and domain difference (DID: Benaim, Khaitov, Galanti, Wolf; ICCV 2019).

Two domains, unpaired: a, say faces with glasses, and b, faces with a beard.  A common code holds what both have, the
face; a critic that may not tell the domains apart makes it the same for both.  Two separate codes hold what only one
domain has; each is 0 for the other domain.  One decoder paints from all three, and so also what no picture showed: the
face with neither (intersection), and with both (union).  This file has the trained model; `training.py` trains it.

Differs from the paper and its code:
* Every layer of an encoder has its norm; the authors' second layer of the common encoder lost its by a slip.
* `fast` normalises by the statistics of both domains at once.  The published norm, of each picture over the last 2 x 2
  pixels, gives every channel the same size, so that no separate code can come near 0 (its zero loss stays above 0.3
  where the joint norm's falls below 0.05).
* `fast` has the critic confused to one half, in four steps for each of the networks'.  A second critic beside it is
  ours: the best linear one in closed form (`LinearCritic`), which brings more independence for less sharpness than a
  greater weight of the first.
* Both contents on one face are painted apart, and the changes that each makes are added up (`recombine`): on avatars
  without either an error of 0.81 in what must change, in units of leaving it, instead of the published way's 0.86,
  where dark glasses fade beside beards.

Expect: avatars with glasses, and with beards, 1,500 each.  `fast`, 30 minutes of one CPU core, seed 0: fresh probes,
linear and of 256 units, tell the domain from the common code of these pictures in 44 % of cases (50 % is a guess), from
the separate codes in 99 and 97 %; of 200 + 200 others in 54 and 53 %, 96 and 92 %; a code of the other domain is 0.01
of the own one.  Pictures come back with an error of 0.09 (of 2).
On those others, errors inside what must change, in units of leaving it, and outside: glasses off 0.49 / 0.09, beard off
0.65 / 0.09, glasses on 0.72 / 0.09, beard on 0.83 / 0.09, a beard exchanged for glasses 0.64 / 0.09, both on 0.81 /
0.09.
Dark and tinted glasses come and go; beards and moustaches come, and full dark ones leave a shadow where they go; clear
glasses with thin frames mostly do neither, and everything is soft: all passes through 2 x 2 pixels.
Half the width and 6,000 steps, 10 minutes: 45 %, 93 and 89 %, error 0.11.  (2026-11)

Tried, 800 to 900 steps of width 24; error, and what a linear probe and one of 256 units tell: critic 0.3, linear critic
0: 0.14, 62 %, 62 %;  0.3 and 0.1: 0.14, 56 %, 59 %;  0.05 and 0.02: 0.13, 77 %, 73 %;  0 and 0.05: 0.12, 63 %, 70 %,
and beards stay on.  Twice the rate was no better.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from structkit.configs import DifferenceConfig
from structkit.nets.codes import LATENT, Decoder, Encoder, stage_widths
from structkit.training.model import Model
from structkit.training.precision import arithmetic


class DomainDifference(Model):
    """The networks of a domain difference: three encoders and a decoder.

    Squares are (B, 3, S, S) in [-1, 1], S = `size`; codes (B, C, 2, 2).
    """

    kind = "domain-difference"
    config_class = DifferenceConfig

    def __init__(self, config: DifferenceConfig) -> None:
        """config: with the values of its preset (`filled`)."""
        super().__init__(config)
        c = config
        widths = stage_widths(c.size, c.width, c.widest)
        # The codes beside each other have the last width: 462 + 25 + 25 = 512 channels; the layer before leaves one
        # code's out, too.
        commons = [*widths[:-2], min(widths[-2], widths[-1] - c.separate), widths[-1] - 2 * c.separate]
        self.channels = commons[-1]  # channels of the common code
        separates = [*widths[:-1], c.separate]
        norm = "batch" if c.norm == "joint" else "instance"  # a batch is of both domains
        # As published; behind a norm without weights it changes no value, only the size of steps.
        spectral = norm == "instance"
        self.common_encoder, self.a_encoder, self.b_encoder = (
            Encoder(own, norm=norm, spectral=spectral) for own in (commons, separates, separates)
        )
        self.decoder = Decoder(widths, 3, norm=norm, slope=0.0, spectral=spectral)
        self.to(memory_format=torch.channels_last)  # the format in which convolutions are fastest
        self.dtype = torch.float32  # the type of the networks' arithmetic

    @property
    def size(self) -> int:
        """Side of the squares, px."""
        return self.config.size

    @property
    def fit(self) -> str:
        """The way pictures become squares: squash or crop."""
        return self.config.fit

    def common(self, squares: Tensor) -> Tensor:
        """The common code of pictures of either domain."""
        return self._encoded(self.common_encoder, squares)

    def separate_a(self, squares: Tensor) -> Tensor:
        """The separate code of a's content; near 0 for pictures of b."""
        return self._encoded(self.a_encoder, squares)

    def separate_b(self, squares: Tensor) -> Tensor:
        """The separate code of b's content; near 0 for pictures of a."""
        return self._encoded(self.b_encoder, squares)

    def combine(self, common: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        """Paint the face of one picture with a's content of a second and b's content of a third: (B, 3, S, S).

        common, a, b: the codes of B pictures each; a code that is left out is 0: without that content.
        """
        nothing = common.new_zeros(len(common), self.config.separate, LATENT, LATENT)
        codes = torch.cat([common, nothing if a is None else a, nothing if b is None else b], 1)
        with arithmetic(codes, self.dtype):
            painted = self.decoder(codes.contiguous(memory_format=torch.channels_last))
        return torch.tanh(painted.to(codes.dtype))

    def recombine(self, common: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        """Paint as `combine`, but of two contents add up the change that each of them makes.

        The decoder has never seen both, and paints them less well together than each alone.  `paper` combines, as
        published.
        """
        if a is None or b is None or self.config.preset == "paper":
            return self.combine(common, a, b)
        return (self.combine(common, a) + self.combine(common, b=b) - self.combine(common)).clamp(-1, 1)

    def _encoded(self, encoder: nn.Module, squares: Tensor) -> Tensor:
        with arithmetic(squares, self.dtype):
            code = encoder(squares.contiguous(memory_format=torch.channels_last))
        return code.to(squares.dtype)
