"""`structkit transfer INPUT... --model M --from DONOR`: pictures with the content of others."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from structkit.configs import ContentConfig
from structkit_cli.options import Inputs, OutputOptions
from structkit_cli.pages.transfer_plan import plan_transfers
from structkit_cli.run import batch
from structkit_cli.run.models import Models


def _donors(flag: str, help: str) -> Any:
    option = typer.Option(flag, help=help, metavar="DONOR", rich_help_panel="What to make", show_envvar=False)
    return Annotated[list[str] | None, option]  # as it was said: a Path would make ./@x the list @x


From = _donors("--from", "gives the content: a picture, a folder, a 'pattern*.png', @list.txt or - (must be given)")
FromB = _donors("--from-b", "with a model of two folders: gives what is special to the second one, likewise")


def transfer(
    inputs: Inputs,
    *,
    model: Models = None,
    from_: From = None,
    from_b: FromB = None,
    content: ContentConfig,
    running: OutputOptions,
) -> None:
    """Put the content of DONOR on INPUT, such as glasses or a beard: what a model has learned to tell apart (see
    structkit train transfer).

    In: a picture of any size; several, a folder, a pattern or a list are a batch.  Out: INPUT-DONOR.png in the current
    folder, or what --output names; in a batch the tree is mirrored there.  The path is printed on stdout.  Of several
    donors each is used with each picture, as INPUT-DONOR; one that is in a folder below has that in its name, and those
    of one name have what they are in.

    The donor's own pixels are brought to where they belong, or with --by codes painted anew, at the model's size, and
    pasted at the picture's own.  Outside them the picture stays as it is, bit for bit; size, alpha and metadata are
    kept.

    --steps N draws N results, from nothing to the whole content; with --from given twice, from the first donor's
    content to the second's. With --model given several times, and --from as often in the same order, one content is put
    on after another.

    A model of structkit train difference A/ B/ makes the whole picture anew: --from gives what is special to A,
    --from-b what is special to B, and what is left out is taken off.

    Example: structkit transfer avatar.png --model glasses --from donor.png -o with-glasses.png
    """
    plan = plan_transfers(inputs, from_ or [], from_b or [], model, content, running)
    batch.run(plan, running)
