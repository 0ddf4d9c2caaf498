"""The figures of `structkit score` for clips that were made after one real clip, and for features of the caller's.

Each measure has a tally: sample after sample is added, then the summary is asked for, and then `files` holds the
figures of each sample in the order in which they came.
Clips are (1, 3, T, H, W) in [-1, 1].
"""

from __future__ import annotations

import math
from statistics import fmean

import torch
from torch import Tensor

from structkit.media.pictures import Picture
from structkit.metrics import clips
from structkit.metrics.frechet import frechet_distance
from structkit.metrics.novelty import source_field

Figures = dict[str, float]


class SampleTally:
    """The tally of samples beside what is real, sample after sample."""

    def __init__(self, real: Tensor) -> None:
        self.real = real
        self.files: list[Figures] = []

    def add(self, sample: Tensor) -> None:
        """Take in one more sample.  Raises InputError for one that cannot be measured, which then does not count."""
        self.files.append(self.figures(sample))

    def figures(self, sample: Tensor) -> Figures:
        """The figures of one sample, as far as they do not depend on others."""
        raise NotImplementedError

    def summary(self) -> Figures:
        """The figures of all samples, the mean where nothing else is said; there is at least one."""
        return {name: fmean(figures[name] for figures in self.files) for name in self.files[0]}


class MotionTally(SampleTally):
    """The tally of samples' motion: `metrics.clips.motion`."""

    def figures(self, sample: Tensor) -> Figures:
        return {"motion": clips.motion(self.real, sample)}


class DiversityTally(SampleTally):
    """The tally of samples' diversity, of all together, and of how far each is from the real clip.

    See `metrics.clips.SpreadTally`.
    """

    def __init__(self, real: Tensor) -> None:
        super().__init__(real)
        self.spread = clips.SpreadTally(real)

    def figures(self, sample: Tensor) -> Figures:
        return {"from_real": self.spread.add(sample)}

    def summary(self) -> Figures:
        """Raises InputError for fewer than 2 samples."""
        return {"diversity": self.spread.diversity, **super().summary()}


class CoherenceTally(SampleTally):
    """The tally of samples' coherence, completeness and patches in place: `metrics.clips.resemblance`.

    The reduced samples are kept, and completeness is known when the summary was asked for: one generator draws first
    for the coherence of all samples, then for their completeness.
    """

    def __init__(self, real: Tensor, *, seed: int = 0, exact: bool = False) -> None:
        """exact: whether all patches are compared, and none drawn.

        Raises InputError for a real clip that is smaller than a patch.
        """
        super().__init__(clips.narrowed(real))
        clips.check_patch(self.real, clips.PATCH, "the real clip")
        self.generator = None if exact else torch.Generator().manual_seed(seed)
        self.samples: list[Tensor] = []

    def figures(self, sample: Tensor) -> Figures:
        sample = clips.narrowed(sample)
        clips.check_patch(sample, clips.PATCH, "the sample")
        found = clips.resemblance(sample, self.real, generator=self.generator)
        self.samples.append(sample)
        return {"coherence": found.distance, "completeness": math.nan, "in_place": found.in_place}

    def summary(self) -> Figures:
        for figures, sample in zip(self.files, self.samples, strict=True):
            figures["completeness"] = clips.resemblance(self.real, sample, generator=self.generator).distance
        return super().summary()


class NoveltyTally(SampleTally):
    """The tally of samples' novelty: nnfdiv, nnfdist and copied, of `metrics.novelty.SourceField`.

    maps: a picture of each sample's field; none are kept unless `mapping` says so.
    """

    def __init__(self, real: Tensor, *, seed: int = 0, mapping: bool = False) -> None:
        super().__init__(real)
        self.seed, self.mapping = seed, mapping
        self.maps: list[Picture] = []

    def figures(self, sample: Tensor) -> Figures:
        # Each sample has a generator of its own, so that its figures do not depend on the others.
        field = source_field(self.real, sample, generator=torch.Generator().manual_seed(self.seed))
        if self.mapping:
            self.maps.append(Picture(field.picture()))
        return {"nnfdiv": field.diversity, "nnfdist": field.mean_distance, "copied": field.copied}


class FeatureTally(SampleTally):
    """The tally of the distances of samples' features, (N, D), to those of what is real: `metrics.frechet`."""

    def figures(self, sample: Tensor) -> Figures:
        return {"frechet": frechet_distance(self.real, sample)}
