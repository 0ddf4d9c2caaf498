"""The speed of each place and time of a video, as SpeedNet sees it (Benaim et al., CVPR 2020, section 4.3 and 5).

`class_activation` is where the network sees what makes it say sped up: its last layer at each place, before the maximum
over places.
`tolerance` is how much faster each place could play and still look natural: the whole analysis of a video at several
speeds, for each place by itself.  What was slowed down tolerates much.
Places see far: the network takes each from a part of the frame as large as its receptive field.  So the maps are
coarse, and a place near something that moves is judged with it.
Memory: of the video what one chunk needs, and 2 bytes for each value of the maps: 20 MB for an hour at 8 x 14 places.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.errors import InputError
from structkit.media.sampled import SampledVideo
from structkit.media.tensors import to_range

FACTORS = (1.0, 1.4, 2.0, 2.8, 4.0)  # speeds at which a video is looked at
CHUNK = 100  # samples that are looked at together, at speed 1
GLOBAL_HALO = 16  # frames on each side that a chunk sees, of a network whose frames all depend on each other
MOST_LOGIT = 1000.0
LUMA = (0.299, 0.587, 0.114)


class PlaceModel(Protocol):
    """A network of the speed of each place: `structkit.engines.speednet.model.SpeedNet`."""

    halo: int | None
    temperature: float

    def maps(self, frames: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class PlaceMaps:
    """A value of each place and time of a video.

    values: (N, h, w) float16, one map for each sample.
    motion: (N, h, w) float16, the mean change of brightness from one sample to the next, of 255.
    start: of the first sample, s; rate: of samples, 1/s.
    """

    values: np.ndarray
    motion: np.ndarray
    start: Fraction
    rate: Fraction

    def at(self, time: float, maps: np.ndarray) -> np.ndarray:
        """The map of a time, s, (h, w) float32: between the two samples around it.  maps: of the same samples."""
        place = (time - float(self.start)) * float(self.rate) - 0.5
        place = min(max(place, 0.0), len(maps) - 1.0)
        first = int(place)
        second, share = min(first + 1, len(maps) - 1), place - first
        return (1 - share) * maps[first].astype(np.float32) + share * maps[second].astype(np.float32)


def class_activation(
    video: SampledVideo, model: PlaceModel, device: str, progress: Callable[[int], None] = lambda count: None
) -> PlaceMaps:
    """The logit of each place, above 0 for sped up.  progress: called with the number of samples that are done.

    Raises InputError for damage on the way, and for a video that is too short or too small for the model.
    """
    return _maps(video, model, (1.0,), lambda logits: logits[:, 0], device, progress)


def tolerance(
    video: SampledVideo,
    model: PlaceModel,
    device: str,
    progress: Callable[[int], None] = lambda count: None,
    factors: Sequence[float] = FACTORS,
) -> PlaceMaps:
    """The logarithm (base 2) of the speed-up that each place tolerates, as expected.

    factors: speeds at which it is looked at, rising from 1.
    With p_i = sigmoid(logit / temperature), the probability of sped up at factor X_i, and where no factor before was
    refused:
    E log2 V = sum over i > 0 of (log2 X_i - log2 X_(i-1)) * product over j <= i of (1 - p_j).
    A place is not what the network was calibrated on: such values are to be compared with one another.
    Raises as `class_activation`.
    """
    logs = [math.log2(factor) for factor in factors]
    temperature = model.temperature
    gaps = torch.tensor([after - before for before, after in itertools.pairwise(logs)])

    def expected(logits: Tensor) -> Tensor:
        accepted = torch.sigmoid(-logits / temperature).cumprod(1)[:, 1:]
        return (gaps[None, :, None, None] * accepted).sum(1)

    return _maps(video, model, factors, expected, device, progress)


def smoothed(maps: np.ndarray, count: int) -> np.ndarray:
    """The maps, (N, h, w), each the mean over about `count` samples around it; near an end over fewer."""
    half = count // 2
    sums = np.concatenate([np.zeros_like(maps[:1], dtype=np.float64), maps.cumsum(0, dtype=np.float64)])
    first = np.maximum(np.arange(len(maps)) - half, 0)
    last = np.minimum(np.arange(len(maps)) + half + 1, len(maps))
    return ((sums[last] - sums[first]) / (last - first)[:, None, None]).astype(np.float32)


def _maps(
    video: SampledVideo,
    model: PlaceModel,
    factors: Sequence[float],
    reduce: Callable[[Tensor], Tensor],
    device: str,
    progress: Callable[[int], None],
) -> PlaceMaps:
    """The maps of a video.  reduce: from logits at all factors, (n, F, h, w), to values, (n, h, w)."""
    values, motion, count = [], [], 0
    for logits, moved in _chunks(video, model, factors, device):
        values.append(reduce(logits).clamp(-MOST_LOGIT, MOST_LOGIT).half().numpy())
        motion.append(moved.half().numpy())
        progress(count := count + len(logits))
    return PlaceMaps(np.concatenate(values), np.concatenate(motion), Fraction(video.start), Fraction(video.rate))


@torch.inference_mode()
def _chunks(
    video: SampledVideo, model: PlaceModel, factors: Sequence[float], device: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Of each chunk of samples: the logits of sped up, (n, F, h, w), and the motion, (n, h, w)."""
    halo = GLOBAL_HALO if model.halo is None else model.halo
    reach = math.ceil((halo + 2) * max(factors))
    held: list[np.ndarray] = []  # samples from `first` on
    first, begin, over = 0, 0, False
    samples = iter(video)
    while True:
        while not over and first + len(held) < begin + CHUNK + reach:
            if (sample := next(samples, None)) is None:
                over = True
            else:
                held.append(sample.pixels)
        count = first + len(held)
        end = min(begin + CHUNK, count)
        if begin >= end:
            return
        frames = torch.from_numpy(np.stack(held))
        found = []
        for factor in factors:
            low, high = math.floor(begin / factor), math.ceil((end - 1) / factor) + 1
            numbers = torch.arange(low - halo, high + halo + 1)
            places = (numbers * factor).floor().long().clamp(0, count - 1) - first
            clip = to_range(frames[places.clamp_min(0)].permute(3, 0, 1, 2)[None].float().to(device) / 255)
            try:
                maps = model.maps(clip)[0, halo : len(numbers) - halo]
            except InputError as error:
                raise InputError(f"{video.reader.name}: {error}") from error
            found.append(_between(maps.float().cpu(), (torch.arange(begin, end) / factor) - low))
        yield torch.stack(found, 1), _motion(frames, begin - first, end - first, found[0].shape[1:])
        begin = end
        drop = max(0, begin - reach - first)
        held, first = held[drop:], first + drop


def _between(maps: Tensor, places: Tensor) -> Tensor:
    """The maps, (K, h, w), at places between their numbers, (n,): on a line from one to the next."""
    low = places.floor().long().clamp(0, len(maps) - 1)
    high = (low + 1).clamp_max(len(maps) - 1)
    share = (places - low)[:, None, None]
    return (1 - share) * maps[low] + share * maps[high]


def _motion(frames: Tensor, begin: int, end: int, shape: torch.Size) -> Tensor:
    """The mean change of brightness at each place, of 255, from the sample before, (n, h, w).

    frames: (N, H, W, 3) uint8, those of a chunk from begin to end.
    """
    seen = frames[max(begin - 1, 0) : end].float() @ torch.tensor(LUMA)
    changed = (seen[1:] - seen[:-1]).abs()
    if not begin:  # nothing is known before the first
        changed = torch.cat([changed[:1] if len(changed) else torch.zeros_like(seen[:1]), changed])
    return F.adaptive_avg_pool2d(changed[:, None], tuple(shape))[:, 0]
