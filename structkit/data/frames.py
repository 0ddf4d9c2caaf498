"""A video as training data: small frames, evenly spread, and not too many."""

from __future__ import annotations

import torch
from torch import Tensor

from structkit.data.levels import levels
from structkit.kernels.pyramid import Shape
from structkit.media.pictures import Picture
from structkit.media.tensors import to_tensor
from structkit.media.video import VideoReader


def spread_frames(video: VideoReader, shape: Shape, most: int) -> Tensor:
    """Frames of a video, (T, 3, h, w) in [-1, 1], evenly spread.

    Every frame is taken; of a video with more than `most`, every second, fourth, eighth and so on.  One reading
    suffices, and nobody need know the length.
    shape: of the finest level that is trained.  Larger frames are reduced to it as they come, in the way of `levels`,
    which then makes the coarser levels from these (published: from the full frames); smaller ones stay as they are.
    Memory: 12 bytes for each pixel of a frame that is kept, 0.2 MB for 128 x 128, and at most as much again for the
    level that is trained.
    Raises InputError for damage on the way.
    """
    kept: list[Tensor] = []
    stride = 1
    for number, frame in enumerate(video):
        if number % stride == 0:
            kept.append(_reduced(to_tensor(Picture(frame.pixels)), shape))
        if len(kept) > most:
            kept, stride = kept[::2], 2 * stride
    return torch.cat(kept)


def _reduced(frame: Tensor, shape: Shape) -> Tensor:
    height, width = frame.shape[-2:]
    return levels(frame, [shape])[0] if height * width > shape[0] * shape[1] else frame
