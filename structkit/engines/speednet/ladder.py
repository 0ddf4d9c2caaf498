"""A ladder of speeds: how probably each moment of a clip looks sped up, at each of several factors.

What: versions of the clip at each factor, by leaving frames out, go through the network, and each frame's logit becomes
the prediction of the moment that it shows (SpeedNet, section 4.1; the factors are recalled as 1.25^i).
Differs from the paper: each version goes through the network once, in chunks with as many frames around as count (the
published windows slide by one frame, and each frame is seen 16 times); where all of a clip has its say, in windows that
overlap by half, of which the middle counts.  Seven factors by default, a third of the work of the published eleven.
Both ends are repeated, so that the network sees no border where a clip merely begins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from structkit.errors import OptionError

FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
PUBLISHED_FACTORS = tuple(1.25**power for power in range(11))
CHUNK = 64  # frames whose logits are taken from one pass


class FrameJudge(Protocol):
    """A network that says of each frame whether it is sped up; see `structkit.engines.speednet.model.SpeedNet`."""

    @property
    def halo(self) -> int | None:
        """The frames on each side that a frame's logit depends on; None: all of the clip."""

    @property
    def temperature(self) -> float:
        """The temperature of its probabilities."""

    def logits(self, frames: Tensor) -> Tensor:
        """Logits (B, T) of clips (B, 3, T, H, W) in [-1, 1]; above zero: sped up."""


class SpeedLadder:
    """A ladder of versions of a clip, judged while its frames come, and held for as long as they are waited for.

    versions: one for each factor.
    Memory: the frames of one pass for each factor, and a number for each frame of each version.
    """

    def __init__(
        self,
        model: FrameJudge,
        factors: Sequence[float] = FACTORS,
        *,
        dtype: torch.dtype = torch.float32,
        side: int | None = None,
        window: int | None = None,
        chunk: int = CHUNK,
    ) -> None:
        """model: on its device, in evaluation mode.

        factors: from 1 up, increasing.
        dtype: of the arithmetic; float32 or bfloat16.
        side: px, that the short side of frames is reduced to; by default the model's.
        window: frames of a window of a model that sees the whole clip at once, and the fewest that a version may have;
        by default those that the model was trained on.
        Raises OptionError for factors that are in no order, or below 1.
        """
        self.factors = np.asarray(factors, np.float64)
        if not len(self.factors) or self.factors[0] < 1 or (np.diff(self.factors) <= 0).any():
            raise OptionError(f"factors of {list(factors)}: they must increase, from 1 or more")
        config = getattr(model, "config", None)
        self.side = side or getattr(config, "side", None)
        window = window or getattr(config, "frames", None) or 16
        halo = model.halo
        if halo is None:
            halo = window // 4
            chunk = window - 2 * halo
        self._model, self._dtype = model, dtype
        self.versions = [ClipVersion(factor, halo, chunk, window) for factor in self.factors.tolist()]
        self._count = 0

    @torch.no_grad()
    def push(self, frames: Sequence[np.ndarray]) -> None:
        """Take in the next frames, (h, w, 3) uint8, 25 for a second."""
        for frame in frames:
            for version in self.versions:
                if version.takes(self._count):
                    version.put(frame)
            self._count += 1
        for version in self.versions:
            while version.is_ready:
                self._judge(version)

    @torch.no_grad()
    def finish(self) -> np.ndarray:
        """The predictions (F, N) float64 in [0, 1] of each frame that was pushed; NaN for versions that are too short.

        The version at the lowest factor is judged however short the clip.
        """
        found = np.full((len(self.factors), self._count), np.nan)
        if not self._count:
            return found
        for row, version in enumerate(self.versions):
            if row and version.count < version.window:
                continue
            version.end()
            while version.is_ready:
                self._judge(version)
            places = np.floor(np.arange(version.count) * version.factor + 1e-9)
            found[row] = np.interp(np.arange(self._count), places, version.values[: version.count])
        return found

    def _judge(self, version: ClipVersion) -> None:
        """Judge the frames of one pass."""
        frames = version.take()
        clip = torch.from_numpy(np.stack(frames)).to(_device(self._model))
        clip = clip.permute(0, 3, 1, 2).float() / 127.5 - 1
        if self.side and min(clip.shape[-2:]) > self.side:
            by = self.side / min(clip.shape[-2:])
            shape = [round(length * by) for length in clip.shape[-2:]]
            clip = F.interpolate(clip, shape, mode="area")
        with torch.autocast(clip.device.type, self._dtype, enabled=self._dtype != torch.float32):
            logits = self._model.logits(clip.transpose(0, 1)[None])
        found = torch.sigmoid(logits[0].float() / self._model.temperature)
        version.values += found[version.halo : version.halo + version.chunk].tolist()


class ClipVersion:
    """A version of a clip at one factor: the frames that the next pass needs, and the values of those before.

    values: one for each frame that was judged, and some more at the end of the clip.
    waiting: the frames that a later pass needs.
    """

    def __init__(self, factor: float, halo: int, chunk: int, window: int) -> None:
        self.factor, self.halo, self.chunk, self.window = factor, halo, chunk, window
        self.count = 0  # of frames
        self.values: list[float] = []
        self.waiting: deque[np.ndarray] = deque()
        self._ended = False

    def takes(self, place: int) -> bool:
        """True if the clip's frame at a place is the next of this version: floor(i * factor)."""
        return place == int(self.count * self.factor + 1e-9)

    def put(self, frame: np.ndarray) -> None:
        """Take in the next frame; the first one also stands for those before it."""
        self.waiting.extend([frame] * (1 if self.count else self.halo + 1))
        self.count += 1

    def end(self) -> None:
        """Let the last frame stand for those behind it."""
        if not self._ended and self.count:
            passes = -(-(self.count - len(self.values)) // self.chunk)
            missing = passes * self.chunk + 2 * self.halo - len(self.waiting)
            self.waiting.extend([self.waiting[-1]] * missing)
        self._ended = True

    @property
    def is_ready(self) -> bool:
        """True if the frames of a pass are there."""
        waits = len(self.values) < self.count or not self._ended
        return waits and len(self.waiting) >= self.chunk + 2 * self.halo

    def take(self) -> list[np.ndarray]:
        """The frames of the next pass; those that the one behind needs too stay."""
        frames = [self.waiting[index] for index in range(self.chunk + 2 * self.halo)]
        for _ in range(self.chunk):
            self.waiting.popleft()
        return frames


def _device(model: FrameJudge) -> torch.device:
    """Where a model is; the processor for one without weights."""
    parameters = getattr(model, "parameters", None)
    first = next(iter(parameters()), None) if parameters else None
    return torch.device("cpu") if first is None else first.device
