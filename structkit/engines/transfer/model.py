"""Mask-based unsupervised content transfer (MBU: Mokady, Benaim, Wolf, Bermano; ICLR 2020).

After Press et al. (ICLR 2019).  A model learns from pictures with some content (glasses, a beard) and pictures without,
unpaired, what that content is: it puts it on, takes it off and says where it is.  A common code holds what both kinds
of pictures have; a critic that may not tell them apart makes it the same for both.  A small separate code holds the
rest.  Two decoders: the plain one paints a picture without the content, from the common code alone; the masked one
paints the content and a mask, which are pasted onto a canvas.  This file has the trained model; `training.py` trains
it.

Differs from the paper and its code:
* `with` and `without` are named (paper: B and A; code: A and B).
* Taking the content off decodes with a zero code (the authors' code feeds a code into channels that were never
  trained).
* Layers are pasted at the picture's own resolution, not at that of the networks.
* `fast` normalises by the statistics of both domains at once (per-domain ones leave a gap between training and use: in
  a toy of 32 px 0.140 of the pixels of pictures without content were masked, against 0.056), lets the critic be
  confused to one half, and keeps masks small (`sparsity`).
* The painter, which is ours, see `painter_training.py`: a U-Net that learns from pictures that the first networks'
  masks cut and paste.  It sees every pixel, where the published networks see through 2 x 2 of them, and mixes what it
  paints from the picture's own colours; it then takes the content off and says where it is.
* The placer, ours too, see `placer_training.py`: with it the donor's own pixels are put on, where the published
  networks paint from a code.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from structkit.configs import TransferConfig
from structkit.engines.transfer.layer import Layer
from structkit.kernels.composite import composite
from structkit.nets.codes import LATENT, Decoder, Encoder, stage_widths
from structkit.nets.painter import Painter
from structkit.nets.placer import Placer, between, warped
from structkit.training.model import Model
from structkit.training.precision import arithmetic

PLACER = 16  # channels of the placer after the first halving
SHOWS = 24 / 255  # difference of two colours that shows, in [-1, 1]
EDGE = 0.1  # of a mask that is cut along: below, nothing is pasted, and above 1 - EDGE all


class Cut(NamedTuple):
    """The content of donors, cut out along its mask."""

    layer: Layer  # with the donors' own colours
    frame: Tensor  # (B, 5): where it is to be expected on them


class ContentTransfer(Model):
    """The networks of content transfer: encoders, decoders, and where they are trained painter and placer.

    Squares are (B, 3, S, S) in [-1, 1], S = `size`.  Codes and the layers to `put` are found at `config.size`, which
    may be less.
    """

    kind = "content-transfer"
    config_class = TransferConfig

    def __init__(self, config: TransferConfig) -> None:
        """config: with the values of its preset (`filled`)."""
        super().__init__(config)
        c = config
        widths = stage_widths(c.size, c.width, c.widest)
        self.common_channels = widths[-1] - c.separate
        self.common_encoder = Encoder([min(width, self.common_channels) for width in widths])
        self.separate_encoder = Encoder([*(min(width, c.narrow) for width in widths[:-1]), c.separate])
        self.plain_decoder = Decoder(widths, 3, upsampling=c.upsampling)
        self.masked_decoder = Decoder(widths, 4, upsampling=c.upsampling)
        self.painter = Painter(c.painter) if c.painter else None
        self.placer = Placer(stage_widths(c.size, PLACER, 4 * PLACER)) if c.painter and c.placer_steps else None
        self.dtype = torch.float32  # the type of the networks' arithmetic

    @property
    def size(self) -> int:
        """Side of the squares, px."""
        return self.config.seen

    @property
    def fit(self) -> str:
        """The way pictures become squares: squash or crop."""
        return self.config.fit

    def segment(self, squares: Tensor) -> Tensor:
        """The mask of the content, (B, 1, S, S) in [0, 1]."""
        if self.painter:
            return self.found(squares).mask
        return self.masked(self.common(squares), self.separate(squares)).mask

    def remove(self, squares: Tensor) -> Layer:
        """The layer that takes the content off when it is pasted onto the squares; its mask is that of `segment`."""
        if self.painter:
            return self.found(squares)
        common = self.common(squares)
        return Layer(self.masked(common, self.separate(squares)).mask, self.plain(common))

    def put(self, squares: Tensor, separate: Tensor) -> Layer:
        """The layer of others' content, to be pasted onto these squares.

        separate: the code for each of the squares, or one for all.
        """
        return self.masked(self.common(squares), separate.expand(len(squares), -1, -1, -1))

    def cut(self, donors: Tensor) -> Cut:
        """The content of donors, to be put onto others as it is.

        Only a model with painter and placer can cut and `place`.
        """
        layer = self.found(donors)
        # Without traces of the donor where the painter has little doubt.
        mask = ((layer.mask - EDGE) / (1 - 2 * EDGE)).clamp(0, 1)
        return Cut(Layer(mask, donors), self.placed(self.bare(donors, layer)))

    def place(self, squares: Tensor, cut: Cut) -> Layer:
        """The layer of donors' own pixels, brought to where they belong on these squares.

        cut: for each of the squares, or one for all.
        """
        count = len(squares)
        target = self.placed(self.bare(squares, self.painted(squares)))
        fields = torch.cat([cut.layer.mask, cut.layer.colours], 1).expand(count, -1, -1, -1)
        moved = warped(fields, between(cut.frame.expand(count, -1), target))
        return Layer(moved[:, :1], moved[:, 1:])

    def common(self, squares: Tensor) -> Tensor:
        """The common code of pictures with or without the content, (B, C, 2, 2)."""
        return self._through(self.common_encoder, self.reduced(squares))

    def separate(self, squares: Tensor) -> Tensor:
        """The separate code, (B, C', 2, 2): the content of pictures that have it.  Zeros are none."""
        return self._through(self.separate_encoder, self.reduced(squares))

    def plain(self, common: Tensor) -> Tensor:
        """The pictures without the content, P(c, 0): (B, 3, s, s), s = `config.size`."""
        nothing = common.new_zeros(len(common), self.config.separate, LATENT, LATENT)
        return torch.tanh(self._through(self.plain_decoder, torch.cat([common, nothing], 1)))

    def masked(self, common: Tensor, separate: Tensor) -> Layer:
        """The layer of the content, m and z of (c, s), to be pasted onto the pictures that the common code is of."""
        return layer_of(self.content(torch.cat([common, separate], 1)))

    def content(self, codes: Tensor) -> Tensor:
        """The output of the masked decoder, (B, 4, s, s), for common and separate codes beside each other.

        See `layer_of`.
        """
        return self._through(self.masked_decoder, codes)

    def painted(self, squares: Tensor) -> Layer:
        """The layer that the painter sees: where the content is, and what is beneath it."""
        made = self.overlay(squares)
        return Layer(torch.sigmoid(made[:, :1]), made[:, 1:])

    def overlay(self, squares: Tensor) -> Tensor:
        """The painter's output, (B, 4, S, S): the logits of the mask, then the colours."""
        return self._through(self.painter, squares)

    def found(self, squares: Tensor) -> Layer:
        """The layer of `painted`, but only where it would change what one sees.

        On avatars this brings IoU from 0.842 to 0.844 for glasses, and from 0.819 to 0.825 for beards.
        """
        layer = self.painted(squares)
        shows = (layer.colours - squares).abs().amax(1, keepdim=True) > SHOWS
        return Layer(layer.mask * shows, layer.colours)

    def bare(self, squares: Tensor, layer: Layer) -> Tensor:
        """The squares without what the painter has seen in them."""
        return composite(squares, layer.colours, layer.mask)

    def placed(self, bare: Tensor) -> Tensor:
        """The frame in which the content is to be expected on bare pictures, (B, 5); see `nets.placer`."""
        return self._through(self.placer, self.reduced(bare))

    def reduced(self, squares: Tensor) -> Tensor:
        """The squares at the size that codes are made of; they may have it already."""
        factor = squares.shape[-1] // self.config.size
        return F.avg_pool2d(squares, factor) if factor > 1 else squares

    def _through(self, network: nn.Module, tensor: Tensor) -> Tensor:
        """The output of a network, in the arithmetic of `dtype`; float32 in, float32 out."""
        with arithmetic(tensor, self.dtype):
            return network(tensor.contiguous(memory_format=torch.channels_last)).to(tensor.dtype)


def layer_of(made: Tensor) -> Layer:
    """The layer in the output of the masked decoder, (B, 4, s, s): the logits of the mask, then of the colours."""
    return Layer(torch.sigmoid(made[:, :1]), torch.tanh(made[:, 1:]))
