"""`structkit remove INPUT... --model M`: the same pictures without the content that a model has learned."""

from __future__ import annotations

from structkit_cli.options import Inputs, OutputOptions
from structkit_cli.run import batch
from structkit_cli.run.models import Models, model_refs, plan_by_model


def remove(inputs: Inputs, *, model: Models = None, running: OutputOptions) -> None:
    """Take a content off, such as glasses or a beard, that a model has learned from two folders (see structkit train
    transfer).

    In: a picture of any size; several, a folder, a pattern or a list are a batch.  Out: INPUT-remove.png in the current
    folder, or what --output names; in a batch the tree is mirrored there.  The path is printed on stdout.

    The content is found at the model's size, and painted over at the picture's own.  Elsewhere the picture stays as it
    is, bit for bit; size, alpha and metadata are kept.  Where the model finds next to none of it, a warning says so.
    With --model given several times, they work one after another.

    A model of structkit train difference makes the whole picture anew, without what is special to either of its
    folders.

    Example: structkit remove avatar.png --model glasses -o plain.png
    """
    batch.run(plan_by_model("remove", inputs, model_refs(model, "remove"), running), running)
