"""Options: one is made of each field of a configuration, so that a new field appears here without being written again.

A verb is a function; a parameter annotated with a dataclass becomes one option for each of its fields (name, type,
default, help, range and choices come from the field).  Where a value comes from is decided by the parser: command line,
then the environment (STRUCTKIT_<VERB>_<OPTION>), then the file given to `--config`, then the default.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import re
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.core import TyperCommand

from structkit.configs import LEAST_SIDE, MOST_SIDE, Config, option
from structkit.errors import OptionError
from structkit_cli import config

Inputs = Annotated[
    list[str], typer.Argument(help="pictures, folders, a 'pattern*.png', @list.txt or -", metavar="INPUT")
]

SHORT = {"output": "-o", "count": "-n", "quiet": "-q"}
FORMATS = ("png", "jpeg", "webp", "tiff", "bmp", "gif", "avif")


def named(default: Any, help: str, metavar: str, callback: Any = None) -> Any:
    """A field whose value is a name; `callback` runs before the other options are read."""
    return dataclasses.field(
        default=default, metadata=option(default, help).metadata | {"metavar": metavar, "callback": callback}
    )


@dataclasses.dataclass(frozen=True)
class CommonOptions(Config):
    """What every verb that computes can be told about how to run."""

    seed: int = option(
        0,
        "of the random numbers: with the same one, a command gives the same bytes on the same device",
        low=0,
        high=2**32 - 1,
    )
    device: str = named("auto", "auto, cpu, cuda or cuda:0; one that is named must be there", "DEVICE")
    json: bool = option(False, "print one JSON record for each output, then a summary")
    quiet: bool = option(False, "no progress and no summary; errors are still told")
    config: str | None = named(None, "TOML file that sets any of these options", "FILE.toml", config.read_into)
    print_config: bool = option(False, "print the options as they would be used, as TOML for --config, and stop")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", self.device):
            raise OptionError(f"--device is {self.device!r}: choose auto, cpu, cuda or cuda:0 (or another number)")


@dataclasses.dataclass(frozen=True)
class RunOptions(CommonOptions):
    """What every verb that writes pictures can be told about how to run, and where to write."""

    output: str | None = named(None, "file or folder to write (a folder's name ends in /), or - for stdout", "OUT")
    format: str | None = option(None, "format of the result; else the one that --output names, or png", choices=FORMATS)
    quality: int | None = option(
        None, "for jpeg (else 95), avif (else 90), webp (else lossless) and videos (else 64)", low=1, high=100
    )
    exists: str | None = option(
        None,
        "what to do when an output is there; else error, or skip in a batch",
        choices=("error", "skip", "overwrite"),
    )
    dtype: str = option(
        "auto", "arithmetic of the heavy steps; the search for patches computes in float32", choices=("auto", "float32")
    )
    max_pixels: int | None = option(
        None, "largest picture, or frame of a video, that is read, px; else 89 million, for a frame 35", low=1
    )


class Verb(TyperCommand):
    """A command whose arguments are not asked for when it is only to print its configuration."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        for parameter in self.params:
            if parameter.name != config.spelled(parameter):
                parameter.envvar = config.prefix(ctx) + config.spelled(parameter).upper()
            if getattr(parameter, "multiple", False):
                parameter.value_from_envvar = functools.partial(_several, parameter)
        if "--print-config" in args:
            for parameter in self.params:
                parameter.required = False
        return super().parse_args(ctx, args)


def _several(parameter: Any, ctx: typer.Context) -> list[str] | None:
    """The values of an option in the environment, separated as those of PATH: texts would be split at spaces, which
    names may have.
    """
    text = parameter.resolve_envvar_value(ctx)
    return text.split(os.pathsep) if text else None


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """The function with its configurations unfolded into options, ready to be registered as a command."""
    signature = inspect.signature(function, eval_str=True)
    folded = {p.name: p.annotation for p in signature.parameters.values() if dataclasses.is_dataclass(p.annotation)}
    parameters = [inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    for parameter in signature.parameters.values():
        if parameter.name in folded:
            parameters += _unfold(parameter.annotation)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(function)
    def command(ctx: typer.Context, **values: Any) -> None:
        config.refuse_unknown_environment(ctx)
        values = {name: value.value if isinstance(value, Enum) else value for name, value in values.items()}
        for name, kind in folded.items():
            values[name] = _fold(ctx, kind, values)
        if values["running"].print_config:
            typer.echo(config.render(ctx), nl=False)
        else:
            function(**values)

    paragraphs = inspect.getdoc(function).split("\n\n")  # type: ignore[union-attr]
    command.__doc__ = "\n\n".join(
        " ".join(paragraph.split()) for paragraph in paragraphs
    )  # the terminal decides where lines end
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    del command.__wrapped__  # so that nobody reads the folded signature
    return command


def _fold(ctx: typer.Context, kind: type[Config], values: dict[str, Any]) -> Config:
    """Take a configuration's values out of those of the command; a value out of range is refused with the place it came
    from.
    """
    own = {field.name: values.pop(field.name) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    try:
        return kind(**own)
    except OptionError as error:
        named = str(error).split()[0].removeprefix("--").replace("-", "_")
        raise OptionError(f"{error}{config.origin(ctx, named) if named in own else ''}") from error


def _unfold(kind: type) -> list[inspect.Parameter]:
    """One keyword parameter, annotated for Typer, for each field of a configuration."""
    hints, fields, panel = get_type_hints(kind), list(dataclasses.fields(kind)), "What to make"
    if "print_config" in kind.__dataclass_fields__:  # how to run: where to write comes first, then what all verbs have
        fields, panel = sorted(fields, key=lambda field: field.name in CommonOptions.__dataclass_fields__), "How to run"
    return [_parameter(field, hints[field.name], panel) for field in fields]


def _parameter(field: dataclasses.Field, annotation: Any, panel: str) -> inspect.Parameter:
    meta, flag = field.metadata, "--" + config.spelled(field).replace("_", "-")
    bare = [t for t in get_args(annotation) if t is not type(None)] or [annotation]
    settings = {"help": meta["help"] + _span(meta["low"], meta["high"]), "rich_help_panel": panel, "show_envvar": False}
    if bare[0] is bool and field.name != "print_config":
        flag = f"{flag}/--no-{flag[2:]}"  # so that the command line can take back what a file says
    if meta.get("callback"):
        settings |= {"callback": meta["callback"], "is_eager": True}
    if meta["choices"]:
        words = Enum(field.name, {word: word for word in meta["choices"]}, type=str)  # type: ignore[misc]
        annotation = words | None if field.default is None else words
    names = [flag] + ([SHORT[field.name]] if field.name in SHORT else [])
    declared = Annotated[annotation, typer.Option(*names, metavar=meta.get("metavar"), **settings)]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=declared)


def _span(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    return f" ({low} or more)" if high is None else f" (up to {high})" if low is None else f" ({low} to {high})"


def result_size(text: str | None, max_side: int | None = None) -> tuple[int, int] | None:
    """`640x480` -> (640, 480), width and height in px; refused where `max_side` is said too.

    Each side is LEAST_SIDE to MOST_SIDE.
    """
    if text is None:
        return None
    if max_side is not None:
        raise OptionError("--size and --max-side both say how large the result is: give one of them")
    width, cross, height = text.lower().partition("x")
    if not (
        cross
        and width.isascii()
        and width.isdigit()
        and height.isascii()
        and height.isdigit()
        and int(width)
        and int(height)
    ):
        raise OptionError(f"--size is {text!r}: give width and height in px, such as 640x480")
    size = int(width), int(height)
    if not LEAST_SIDE <= min(size) <= max(size) <= MOST_SIDE:
        raise OptionError(f"--size is {size[0]}x{size[1]}: each side must be {LEAST_SIDE} to {MOST_SIDE} px")
    return size
