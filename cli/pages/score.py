"""`structkit score ...`: figures of results beside the truth, and of what a model has learnt.

There is one page for each measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from structkit.configs import PROBED, STEADY, TOLERANCE, Config, option
from structkit.errors import OptionError
from structkit_cli import config
from structkit_cli.completion import complete_checkpoint
from structkit_cli.options import ProbeOptions, named
from structkit_cli.run.region_scorer import score_labels
from structkit_cli.run.scorer import score_codes, score_files

Prediction = Annotated[str, typer.Argument(help="folder of predicted masks, or one of them", metavar="PRED")]
Result = Annotated[str, typer.Argument(help="folder of results, or one of them", metavar="RESULT")]
Truth = Annotated[
    str, typer.Argument(help="folder of what they should be, under equal names, or one of them", metavar="TRUTH")
]
FolderA = Annotated[
    str,
    typer.Argument(
        help="folder of pictures of the first domain, those with the content: "
        f"best {STEADY:,} or more, of which {PROBED:,} at most are used",
        metavar="A",
    ),
]
FolderB = Annotated[str, typer.Argument(help="folder of pictures of the other domain, likewise", metavar="B")]


@dataclass(frozen=True)
class ScoreOptions(Config):
    """Options of the way a score is told."""

    json: bool = option(False, "print one JSON record for each file, then a summary")
    config: str | None = named(None, "TOML file that sets any of these options", "FILE.toml", callback=config.read_into)
    print_config: bool = option(False, "print the options as they would be used, as TOML for --config, and stop")


@dataclass(frozen=True)
class TruthOptions(Config):
    """Options that name the true masks."""

    changed_from: str | None = named(
        None,
        "TRUTH has pictures without some content, this folder the same with it: what counts is where they differ",
        "WITH",
    )
    tolerance: int | None = option(
        None, f"of 255: pixels differ if a channel does by more; else {TOLERANCE}", low=0, high=254
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tolerance is not None and self.changed_from is None:
            raise OptionError(
                "--tolerance says where two pictures differ, and there are none: name the others with --changed-from"
            )

    def settings(self) -> dict[str, Any]:
        return {} if self.tolerance is None else {"tolerance": self.tolerance}


@dataclass(frozen=True)
class MaskOptions(TruthOptions):
    """Options that decide which pixels of a prediction are set."""

    threshold: float = option(
        0.5, "share of the full level from which on a predicted pixel is set; 0.5: from 128 of 255", low=0, high=1
    )
    labels: str | None = named(
        None,
        "not masks but label files, of classes: camvid, cityscapes, a .json or .csv of classes, or palette for what "
        "their palettes say",
        "MAP",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        masks = {"--threshold": self.threshold != 0.5, "--changed-from": self.changed_from is not None}
        for flag, is_set in masks.items():
            if self.labels is not None and is_set:
                raise OptionError(f"{flag} is for masks, and --labels says that files have classes: leave one out")


@dataclass(frozen=True)
class PixelOptions(TruthOptions):
    """Options that decide which pixels count."""

    within: str | None = named(
        None, "folder of masks, or one: only where they are set (from 128 of 255) pixels count", "MASKS"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.within is not None and self.changed_from is not None:
            raise OptionError("--within and --changed-from both say which pixels count: give one of them")


@dataclass(frozen=True)
class ModelOptions(Config):
    """Options that name the model which is probed."""

    model: str | None = named(
        None,
        "checkpoint of structkit train transfer or structkit train difference, or a name that ships (must be given)",
        "MODEL",
        complete=complete_checkpoint,
    )


def iou(prediction: Prediction, truth: Truth, *, masks: MaskOptions, running: ScoreOptions) -> None:
    """How well predicted masks cover the true ones: intersection over union.

    In: two folders, whose files are matched by name without suffix (and by folder, below them); or two files.  A
    prediction of another size is resized, and transparency is left out.  Out: one line with the mean over the files and
    its standard deviation (iou, iou_sd); the mean for masks taken as soft (soft_iou), and for masks each cut at its own
    threshold by Otsu's rule (otsu_iou); and the one threshold that would have been best for all, with its mean.  Two
    empty masks agree: 1.

    With --changed-from no true masks are needed: TRUTH has pictures without the content, WITH the same ones with it,
    and the true mask is where they differ.

    With --labels the files have classes, as structkit segment writes them with a model of structkit train segmenter, or
    ids, or colours.  Names may end as those of Cityscapes and CamVid do (_gtFine_labelIds, _L).  Out: a line with the
    IoU of each class, over the pixels of all files, and its share of them; then one with their mean over the classes
    that TRUTH has (iou), how many these are (classes), and the share of the pixels that are right (accuracy).

    A file without partner is counted and said, and the exit code is 1.

    Example: structkit score iou masks/ plain/ --changed-from glasses/
    """
    if masks.labels is not None:
        score_labels(prediction, truth, masks.labels, json=running.json)

    def tallying() -> Any:
        from structkit.verbs.scores import Overlap

        return Overlap(threshold=masks.threshold, **masks.settings())

    roles = {"prediction": prediction, "truth": truth, "changed_from": masks.changed_from}
    score_files("score iou", roles, tallying, json=running.json)


def psnr(result: Result, truth: Truth, *, pixels: PixelOptions, running: ScoreOptions) -> None:
    """How near results are to the true pictures: peak signal to noise ratio, in dB.

    In: two folders, whose files are matched by name without suffix (and by folder, below them); or two files.  A result
    of another size is resized, and transparency is left out: colours count wherever they are.  Out: one line with the
    figure over the pixels of all files (psnr), and over the files its mean and standard deviation.  Equal pictures have
    138.13 dB.

    With --changed-from only what should change counts: TRUTH has pictures without the content, WITH the same ones with
    it, which were changed to RESULT.  Then two more figures are told: noop is what doing nothing would have got, and
    outside the share of the other pixels that RESULT has changed although they should not.

    A file without partner is counted and said, and the exit code is 1.

    Example: structkit score psnr removed/ plain/ --changed-from glasses/
    """
    _fidelity("psnr", result, truth, pixels, running)


def ssim(result: Result, truth: Truth, *, pixels: PixelOptions, running: ScoreOptions) -> None:
    """How near results are to the true pictures: structural similarity (Wang et al. 2004), 1 for equal ones.

    In: two folders, whose files are matched by name without suffix (and by folder, below them); or two files.  A result
    of another size is resized, and transparency is left out: colours count wherever they are.  Out: one line with the
    figure over the pixels of all files (ssim), and over the files its mean and standard deviation.  It is the mean over
    the three channels, and over the pixels around which a window of 11 x 11 px fits.

    With --changed-from only what should change counts, and noop and outside are told, as structkit score psnr does it.

    Example: structkit score ssim results/ truth/ --within masks/
    """
    _fidelity("ssim", result, truth, pixels, running)


def independence(a: FolderA, b: FolderB, *, asked: ModelOptions, running: ProbeOptions) -> None:
    """How well a model keeps apart what two domains have in common and what only one has: what fresh probes tell from
    its codes.

    In: two folders of pictures that the model was not trained on, and the model.  Out: a line for each code.  For the
    common one, how often a linear probe and a network tell the domain (linear_accuracy and mlp_accuracy, ideally 0.5)
    and how many bits of it the better one proves to be there (ideally 0).  For a separate one the same, ideally 1; then
    zero_ratio, its size where there is nothing to encode over that where there is (good below 0.1); and how the code
    depends on the common one: the correlation of distances, and how often as much comes about by chance (below 0.05 it
    does depend).

    Example: structkit score independence glasses/ beards/ --model faces.safetensors
    """
    if asked.model is None:
        raise OptionError("--model is missing: name the checkpoint whose codes are to be probed")
    score_codes(a, b, asked.model, running)


SCORES = (iou, psnr, ssim, independence)


def _fidelity(measure: str, result: str, truth: str, pixels: PixelOptions, running: ScoreOptions) -> None:
    def tallying() -> Any:
        from structkit.verbs.scores import Fidelity

        return Fidelity(measure, **pixels.settings())

    roles = {"result": result, "truth": truth, "changed_from": pixels.changed_from, "within": pixels.within}
    score_files(f"score {measure}", roles, tallying, json=running.json)
