"""The Typer application: its verbs, its version, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import ModuleType
from typing import Annotated

import typer
import typer.main
from typer.core import TyperCommand

from structkit._version import __version__
from structkit.errors import StructkitError
from structkit_cli import pages
from structkit_cli.command import Group, Page, Verb
from structkit_cli.options import verb
from structkit_cli.refusals import UsageError, worded
from structkit_cli.run.report import exit_code
from structkit_cli.signals import raise_swallowed
from structkit_cli.streams import ClosedPipe, PlainOutput, tell

CLOSED_PIPE = 141  # the exit code that a shell shows for a filter that SIGPIPE ended

EXIT_CODES = (
    "Exit codes: 0 all done; 1 some inputs failed (the others are done); 2 usage; 3 environment (device, model, disk); "
    "4 nothing to do; 130 interrupted (143 by SIGTERM, 141 by a closed pipe)."
)

HELP = """Manipulate structure in pictures and clips: where things are and what shape they have.

What a verb takes and makes is told by: structkit VERB --help

Verbs, options, their choices and the models that ship are completed by the Tab key once this was done: structkit
--install-completion
"""

# Of the files in the help; others follow.
ORDER = (
    "analogy",
    "sample",
    "retarget",
    "refine",
    "genvideo",
    "speedup",
    "similar",
    "classify",
    "transfer",
    "remove",
    "segment",
    "corrupt",
    "info",
    "train",
    "score",
)


def _files() -> dict[str, ModuleType]:
    """The files of pages/, by their names, in the order of the help."""
    names = [module.name for module in pkgutil.iter_modules(pages.__path__)]
    ordered = sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    return {name: importlib.import_module(f"{pages.__name__}.{name}") for name in ordered}


FILES = _files()
VERBS = [getattr(file, name) for name, file in FILES.items() if hasattr(file, name)]
TRAININGS = [page for file in FILES.values() for page in getattr(file, "TRAININGS", ())]
SCORES = [page for file in FILES.values() for page in getattr(file, "SCORES", ())]


def _command(page: Callable[..., None], name: str, prefix: str) -> TyperCommand:
    """The command of a page.  prefix: of the environment variables of its group."""
    alone = typer.Typer(add_completion=False)
    if "running" in page.__annotations__:
        settings = {"auto_envvar_prefix": f"{prefix}_{name.upper()}"}
        alone.command(name, cls=Verb, epilog=EXIT_CODES, context_settings=settings)(verb(page))
    else:  # one that only tells
        alone.command(name, cls=Page, epilog=EXIT_CODES)(page)
    return typer.main.get_command(alone)  # type: ignore[return-value]


def _group(verbs: Iterable[Callable[..., None]], prefix: str) -> type[Group]:
    """The class of a group of pages, each of which is made when it is asked for."""
    names = {page.__name__.removeprefix("train_"): page for page in verbs}
    return Group.of({name: functools.partial(_command, page, name, prefix) for name, page in names.items()})


GROUPS = ((VERBS, "STRUCTKIT"), (TRAININGS, "STRUCTKIT_TRAIN"), (SCORES, "STRUCTKIT_SCORE"))
ROOT, TRAIN, SCORE = (_group(*group) for group in GROUPS)
app = typer.Typer(
    name="structkit",
    cls=ROOT,
    help=HELP,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
trainings = typer.Typer(
    cls=TRAIN,
    help="Train a model on your own pictures; what was stopped goes on with the same command.\n\n"
    "On several machines that share the folders of the inputs and of the output, say on each: torchrun --nnodes 2 "
    "--max-restarts 3 --rdzv-backend c10d --rdzv-endpoint FIRST-MACHINE:29400 -m structkit_cli train ...",
    epilog=EXIT_CODES,
)
scorings = typer.Typer(
    cls=SCORE,
    help="Measure how good results are, beside the truth, and what a model has learnt.",
    epilog=EXIT_CODES,
)
app.add_typer(trainings, name="train")
app.add_typer(scorings, name="score")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"structkit {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="print the version, and stop", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    _need_a_verb(ctx)


@trainings.callback(invoke_without_command=True)
@scorings.callback(invoke_without_command=True)
def _need_a_verb(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        with suppress(OSError):  # a closed stderr is nobody's loss
            typer.echo(ctx.get_help(), err=True)
        raise typer.Exit(2)


def run(arguments: list[str]) -> int:
    """Run one command; returns its exit code.  Any failure is one line on stderr.

    Raises KeyboardInterrupt or Termination for one that a signal has ended.
    """
    with PlainOutput():
        try:
            return _outcome(arguments)
        except typer.Abort:
            raise KeyboardInterrupt from None
        except Exception as error:
            raise_swallowed()  # whoever catches an interruption may raise anything in its place
            return _failed(error)


def _outcome(arguments: list[str]) -> int:
    """Run one command; returns its exit code.  Raises whatever it does not answer."""
    command = typer.main.get_command(app)
    if "_STRUCTKIT_COMPLETE" in os.environ:  # a shell asks for completions
        return int(command.main(arguments, prog_name="structkit", standalone_mode=False) or 0)
    try:
        with command.make_context("structkit", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    return 0


def _failed(error: Exception) -> int:
    """The exit code of a command that failed so; the line about it is told."""
    if isinstance(error, ClosedPipe):
        return CLOSED_PIPE
    if isinstance(error, UsageError):
        tell(f"error: {worded(error)}")
        return 2
    if isinstance(error, StructkitError):
        tell(f"error: {error}")
        return exit_code(error)
    if os.environ.get("STRUCTKIT_DEBUG"):
        traceback.print_exception(error)
    tell(f"error: unexpected {type(error).__name__}: {error} (STRUCTKIT_DEBUG=1 shows where)")
    return 1
