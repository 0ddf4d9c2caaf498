"""`structkit segment INPUT... --model M`: masks of a content."""

from __future__ import annotations

from dataclasses import asdict

from structkit.configs import MaskConfig
from structkit.errors import OptionError
from structkit_cli.options import Inputs, OutputOptions
from structkit_cli.run import batch
from structkit_cli.run.models import Models, model_refs, plan_by_model


def segment(inputs: Inputs, *, model: Models = None, mask: MaskConfig, running: OutputOptions) -> None:
    """Say where a content is, such as glasses or a beard, that a model has learned from two folders (see structkit
    train transfer).

    In: a picture of any size; several, a folder, a pattern or a list are a batch.  Out: its mask, as large as the
    picture, white where the content is and black elsewhere: INPUT-segment.png in the current folder, or what --output
    names; in a batch the tree is mirrored there. The path is printed on stdout.

    The model says of each pixel how much of it is content; white is what has at least --threshold.  --soft writes this
    in grey, and --overlay tints the picture where the mask is white.  Masks are written with one channel where the
    format can.  Where the model finds next to none of the content, a warning says so.

    Example: structkit segment avatar.png --model glasses -o mask.png
    """
    refs = model_refs(model, "segment")
    if len(refs) > 1:
        raise OptionError(f"--model is given {len(refs)} times, and a mask is of one: name one model")
    plan = plan_by_model("segment", inputs, refs, running, options=asdict(mask), opaque=not mask.overlay)
    batch.run(plan, running)
