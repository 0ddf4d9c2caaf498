"""`structkit score diversity`, `motion`, `coherence`, `novelty`, `frechet`: samples beside the one real clip.

The samples were made after that clip.  No measure needs a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from structkit.configs import Config, option
from structkit_cli.options import TOLERANT, named, seed
from structkit_cli.pages.score import ScoreOptions
from structkit_cli.run.samples import clips_named, features_named, score_samples

REAL = "the real clip: a video, or an animated GIF, WebP, PNG or AVIF"
RealClip = Annotated[str, typer.Argument(help=REAL, metavar="REAL")]
SampleClips = Annotated[
    list[str], typer.Argument(help="clips made after it: files, folders, a 'pattern*.mp4', @list.txt", metavar="SAMPLE")
]
RealFeatures = Annotated[
    str, typer.Argument(help="features of what is real: .npy or .safetensors with one array (N, D)", metavar="REAL")
]
SampleFeatures = Annotated[
    list[str], typer.Argument(help="features of samples, likewise: files, folders, a 'pattern*.npy'", metavar="SAMPLE")
]


@dataclass(frozen=True)
class ClipScoreOptions(ScoreOptions):
    """Options of the way clips are read, and their score is told."""

    tolerant: bool = option(False, TOLERANT)


@dataclass(frozen=True)
class DrawnScoreOptions(ClipScoreOptions):
    """Options of scores that draw random numbers."""

    seed: int = seed()


@dataclass(frozen=True)
class PatchOptions(Config):
    """Options that say which patches are compared."""

    exact: bool = option(False, "compare all patches, and draw none; takes minutes for each sample")


@dataclass(frozen=True)
class FieldOptions(Config):
    """Options of the places from which patches come."""

    save_nnf: str | None = named(None, "write a picture of each sample's field into this folder", "FOLDER")


def diversity(real: RealClip, samples: SampleClips, *, running: ClipScoreOptions) -> None:
    """How much the samples differ from one another: 0 if all are the same.

    In: the real clip, and two or more samples of its size and frame count.  Out: one line with the diversity, which is
    the standard deviation over the samples of each voxel's grey level, averaged over voxels, over the standard
    deviation of the real clip's voxels (SinGAN's index, for clips); and from_real, the mean over the samples of the
    root mean squared difference from the real clip, over the same: 0 for a copy.

    A sample that cannot be read, or has another size, is counted and said, and the exit code is 1.

    Example: structkit score diversity balloons.mp4 balloons-1.mp4 balloons-2.mp4
    """
    _score("diversity", "DiversityTally", real, samples, running)


def motion(real: RealClip, samples: SampleClips, *, running: ClipScoreOptions) -> None:
    """How lively samples are beside the real clip: 1 is as lively, 0 stands still.

    In: the real clip, and samples of any size and frame count.  Out: one line with the mean over the samples of their
    motion: the mean absolute difference of consecutive frames over that of the real clip; inf where that stands still.

    Example: structkit score motion balloons.mp4 balloons-1.mp4 balloons-2.mp4
    """
    _score("motion", "MotionTally", real, samples, running)


def coherence(real: RealClip, samples: SampleClips, *, patches: PatchOptions, running: DrawnScoreOptions) -> None:
    """How well samples are made of the real clip's patches, and whether they leave nothing of it out.

    In: the real clip, and samples of any size and frame count, of at least 3 frames.  Out: one line with means over the
    samples.  coherence: the mean squared difference (of values from -1 to 1) of the samples' patches of 3 frames x 7 x
    7 px to the nearest one of the real clip, the lower the better made of it.  completeness: that of the real clip's
    patches to the nearest one of the sample, the lower the less is missing.  in_place: the share of a sample's patches
    whose nearest lies at the same place and time within 2, near 1 for a copy.

    Frames are reduced to 128 px of width.  400 patches are drawn, and 25,000 in which each is looked for:
    figures of one seed and one set of samples can be compared, and those of other programs that draw as many.  With
    --exact all patches are compared: figures are lower then, down to a third for clips made of copied patches.

    Example: structkit score coherence balloons.mp4 balloons-1.mp4 balloons-2.mp4
    """
    settings = {"seed": running.seed, "exact": patches.exact}
    _score("coherence", "CoherenceTally", real, samples, running, settings)


def novelty(real: RealClip, samples: SampleClips, *, field: FieldOptions, running: DrawnScoreOptions) -> None:
    """How new samples are: from which places of the real clip their patches come, and in how large pieces.

    In: the real clip, and samples of any size and frame count, of at least 3 frames.  Out: one line with means over the
    samples.  nnfdiv: for each patch of 3 x 3 x 3 the way to the nearest one of the real clip, compressed by zlib, over
    its size uncompressed (SinFusion's measure): near 0 for a copy, the higher the newer.  nnfdist: the mean squared
    difference of these patches (of values from -1 to 1).  copied: the share of patches that come from there together
    with all their neighbours, 1 for a copy.

    Frames are reduced to 256 px of width, and nearest patches are found nearly: figures can be compared with others of
    this program alone.

    --save-nnf writes FOLDER/SAMPLE.png with the frames of the field side by side: the hue says in which direction the
    nearest patch lies, white is the same place and time, and areas of one colour are copied.

    Example: structkit score novelty balloons.mp4 balloons-1.mp4 --save-nnf fields
    """
    settings = {"seed": running.seed, "mapping": field.save_nnf is not None}
    _score("novelty", "NoveltyTally", real, samples, running, settings, field.save_nnf)


def frechet(real: RealFeatures, samples: SampleFeatures, *, running: ScoreOptions) -> None:
    """The Fréchet distance of features that you bring: how far samples lie from what is real, as a network sees it.

    In: a file of features of what is real, and one or more of samples: .npy, or .safetensors with one tensor, of shape
    (N, D), a row for each of N feature vectors.  Out: one line with the mean over the samples of the distance of the
    two normal distributions with their means and covariances: 0 for equal sets.  With the features of the pictures of
    two folders that is FID, and with those of the positions of one clip, from a network for videos, SVFID.

    Figures can be compared where the features come from the same layer, and N is the same and larger than D.

    Example: structkit score frechet real.npy samples.npy
    """

    def tallying(features: Any) -> Any:
        from structkit.verbs.clip_scores import FeatureTally

        return FeatureTally(features)

    score_samples("score frechet", features_named(real, samples), tallying, json=running.json)


SCORES = (diversity, motion, coherence, novelty, frechet)


def _score(
    measure: str,
    tally: str,
    real: str,
    samples: list[str],
    running: ClipScoreOptions,
    settings: dict[str, Any] | None = None,
    maps: str | None = None,
) -> None:
    def tallying(clip: Any) -> Any:
        from structkit.verbs import clip_scores

        return getattr(clip_scores, tally)(clip, **settings or {})

    named_clips = clips_named(real, samples, tolerant=running.tolerant)
    score_samples(f"score {measure}", named_clips, tallying, json=running.json, maps=maps)
