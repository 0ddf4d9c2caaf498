"""`structkit segment INPUT... --model M`: masks of a content."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from structkit.configs import MaskConfig
from structkit.errors import OptionError
from structkit.media.formats import format_of
from structkit_cli.options import Inputs, OutputOptions
from structkit_cli.run import batch
from structkit_cli.run.models import Models, model_refs, plan_by_model
from structkit_cli.run.plan import Task


def segment(inputs: Inputs, *, model: Models = None, mask: MaskConfig, running: OutputOptions) -> None:
    """Say where a content is, such as glasses or a beard, that a model has learned from two folders (see structkit
    train transfer); or what each place of a picture shows, by a model of classes (see structkit train segmenter).

    In: a picture of any size; several, a folder, a pattern or a list are a batch.  Out: its mask, as large as the
    picture, white where the content is and black elsewhere: INPUT-segment.png in the current folder, or what --output
    names; in a batch the tree is mirrored there. The path is printed on stdout.

    The model says of each pixel how much of it is content; white is what has at least --threshold.  --soft writes this
    in grey, and --overlay tints the picture where the mask is white.  Masks are written with one channel where the
    format can.  Where the model finds next to none of the content, a warning says so.

    A model of classes gives each pixel the colour of its class.  A PNG has one channel, the number of the class, and
    the colours in its palette (structkit info tells which is which); what is fully transparent has 255.  --overlay lays
    the colours over the picture, and --json tells the share of each class.

    Example: structkit segment avatar.png --model glasses -o mask.png
    """
    refs = model_refs(model, "segment")
    if len(refs) > 1:
        raise OptionError(f"--model is given {len(refs)} times, and a mask is of one: name one model")
    plan = plan_by_model("segment", inputs, refs, running, options=asdict(mask), opaque=not mask.overlay)
    if refs[0].abilities.regions:
        mask.check_regions()
        if not mask.overlay:
            _check_formats(plan.tasks, running.quality)
    batch.run(plan, running)


def _check_formats(tasks: Iterable[Task], quality: int | None) -> None:
    """Refuse files that change the colours of classes.  Raises OptionError."""
    from structkit.media.pictures import keeps_colours

    for format in {output.format: None for task in tasks for output in task.outputs}:
        if not keeps_colours(format_of(format), quality):
            lossy = f"{format_of(format).label}{'' if quality is None else ' of a quality'}"
            raise OptionError(
                f"--format {lossy} changes colours, and here each says a class: write .png; or --overlay, to look at"
            )
