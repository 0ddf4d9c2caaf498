"""`structkit remove INPUT... --model M`: the same pictures without the content that a model has learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from structkit_cli.options import Inputs, OutputOptions
from structkit_cli.run.models import Models, models, run_each

if TYPE_CHECKING:
    from structkit.media.pictures import Picture
    from structkit.training.model import Model


def remove(inputs: Inputs, *, model: Models = None, running: OutputOptions) -> None:
    """Take a content off, such as glasses or a beard, that a model has learned from two folders (see structkit train
    transfer).

    In: a picture of any size; several, a folder, a pattern or a list are a batch.  Out: INPUT-remove.png in the current
    folder, or what --output names; in a batch the tree is mirrored there.  The path is printed on stdout.

    The content is found at the model's size, and painted over at the picture's own.  Elsewhere the picture stays as it
    is, bit for bit; size, alpha and metadata are kept.  With --model given several times, they work one after another.

    A model of structkit train difference makes the whole picture anew, without what is special to either of its
    folders.

    Example: structkit remove avatar.png --model glasses -o plain.png
    """

    def paint(pictures: Sequence[Picture], networks: Sequence[Model]) -> Sequence[Picture]:
        from structkit.verbs import content as contents

        for one in networks:
            pictures = contents.remove(pictures, one)
        return pictures

    run_each("remove", inputs, models(model, "remove"), paint, running)
