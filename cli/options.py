"""Options: one is made of each field of a configuration, so that a new field appears here without being written again.

A verb is a function; a parameter annotated with a dataclass becomes one option for each of its fields (name, type, default, help, range
and choices come from the field).  Where a value comes from is decided by the parser: command line, then the environment
(STRUCTKIT_<VERB>_<OPTION>), then the file given to `--config`, then the default.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, get_args, get_type_hints

import typer

from structkit.configs import Config
from structkit.errors import OptionError
from structkit_cli import config

MAKE, RUN = "What to make", "How to run"  # panels of the help

Size = Annotated[
    str | None, typer.Option(help="width and height of the result, px", metavar="WxH", rich_help_panel=MAKE, show_envvar=False)
]
    str | None, typer.Option(help="width and height of the result, px", metavar="WxH", rich_help_panel=MAKE, show_envvar=False)
]

SHORT = {"output": "-o", "count": "-n", "quiet": "-q"}
FORMATS = ("png", "jpeg", "webp", "tiff", "bmp", "gif", "avif")


def choice(default: Any, help: str, choices: tuple[str, ...]) -> Any:
    """A field of `Running` that takes one of a few words."""
    return dataclasses.field(default=default, metadata={"help": help, "low": None, "high": None, "choices": choices})


def plain(default: Any, help: str, *, low: Any = None, high: Any = None, metavar: str | None = None, callback: Any = None) -> Any:
    """A field of `Running` that takes any value, or a number in a range; `callback` runs before the other options are read."""
    limits = {"low": low, "high": high, "choices": ()}
    return dataclasses.field(default=default, metadata={"help": help, "metavar": metavar, "callback": callback, **limits})


@dataclasses.dataclass(frozen=True)
class Running(Config):
    """What every verb that writes pictures can be told about how to run, and where to write."""

    output: str | None = plain(
        None, "file or folder to write (a folder's name ends in /), or - for stdout", metavar="OUT"
    )
    format: str | None = choice(None, "file format of the result; without it the name given to --output decides, else png", FORMATS)
    quality: int | None = plain(None, "1 to 100, for jpeg (else 95), avif (else 90) and webp (else lossless)", low=1, high=100)
    exists: str | None = choice(
        None, "when an output is there already; else error, or skip in a batch", ("error", "skip", "overwrite")
    )
    seed: int = plain(0, "of the random numbers: the same command with the same seed gives the same bytes", low=0)
    device: str = plain("auto", "auto, cpu, cuda, cuda:0 or mps; one that is named must be there", metavar="DEVICE")
    dtype: str = choice("auto", "arithmetic of the heavy steps", ("auto", "float32", "bfloat16"))
    max_pixels: int | None = plain(None, "largest input that is read, px; without it 89 million", low=1)
    json: bool = plain(False, "print one JSON record for each output, then a summary")
    quiet: bool = plain(False, "no progress and no summary; errors are still told")
    config: str | None = plain(None, "TOML file that sets any of these options", metavar="FILE.toml", callback=config.read_into)
    print_config: bool = plain(False, "print the options as they would be used, as TOML for --config, and stop")


class Verb(typer.core.TyperCommand):
    """A command whose arguments are not asked for when it is only to print its configuration."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        if "--print-config" in args:
            for parameter in self.params:
                parameter.required = False
        return super().parse_args(ctx, args)


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
        if values.get("print_config"):
            typer.echo(config.render(ctx), nl=False)
            return
        values = {name: value.value if isinstance(value, Enum) else value for name, value in values.items()}
        for name, kind in folded.items():
            values[name] = kind(**{f.name: values.pop(f.name) for f in dataclasses.fields(kind)})
        function(**values)

    paragraphs = inspect.getdoc(function).split("\n\n")  # type: ignore[union-attr]
    command.__doc__ = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)  # the terminal decides where lines end
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    del command.__wrapped__  # so that nobody reads the folded signature
    return command


def _unfold(kind: type) -> list[inspect.Parameter]:
    """One keyword parameter, annotated for Typer, for each field of a configuration."""
    hints, panel = get_type_hints(kind), RUN if kind is Running else MAKE
    return [_parameter(field, hints[field.name], panel) for field in dataclasses.fields(kind)]


def _parameter(field: dataclasses.Field, annotation: Any, panel: str) -> inspect.Parameter:
    meta, flag = field.metadata, "--" + field.name.replace("_", "-")
    bare = [t for t in get_args(annotation) if t is not type(None)] or [annotation]
    settings: dict[str, Any] = {"help": meta["help"], "rich_help_panel": panel, "metavar": meta.get("metavar"), "show_envvar": False}
    if bare[0] is bool:
        flag = f"{flag}/--no-{flag[2:]}" if field.name != "print_config" else flag
    if bare[0] in (int, float):
        settings |= {"min": meta["low"], "max": meta["high"]}
    if meta.get("callback"):
        settings |= {"callback": meta["callback"], "is_eager": True}
    if meta["choices"]:
        words = Enum(field.name, {word: word for word in meta["choices"]}, type=str)  # type: ignore[misc]
        annotation = words | None if field.default is None else words
    names = [flag] + ([SHORT[field.name]] if field.name in SHORT else [])
    declared = Annotated[annotation, typer.Option(*names, **settings)]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=declared)


def parse_size(text: str | None) -> tuple[int, int] | None:
    """`640x480` -> (640, 480), width and height in px."""
    if text is None:
        return None
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isascii() and width.isdigit() and height.isascii() and height.isdigit() and int(width) and int(height)):
        raise OptionError(f"--size is {text!r}: give width and height in px, such as 640x480")
    return int(width), int(height)
