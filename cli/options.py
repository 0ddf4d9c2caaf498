"""Options of commands, made of the fields of configurations: a new field appears here without being written again.

A verb is a function; a parameter annotated with a dataclass becomes one option for each of its fields (name, type,
default, help, range and choices come from the field).  The parser decides on the origin of a value: command line, then
the environment (STRUCTKIT_<VERB>_<OPTION>), then the file given to `--config`, then the default.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from structkit.configs import (
    MAX_FRAME_PIXELS,
    MAX_PIXELS,
    PICTURE_QUALITY,
    VIDEO_QUALITY,
    Config,
    millions,
    option,
)
from structkit.errors import OptionError
from structkit_cli import config
from structkit_cli.completion import complete_choice
from structkit_cli.help import Panel

Inputs = Annotated[
    list[str], typer.Argument(help="pictures, folders, a 'pattern*.png', @list.txt or -", metavar="INPUT")
]

METAVARS = {bool: None, int: "N", float: "X", str: "TEXT"}
SHORT = {"output": "-o", "count": "-n", "quiet": "-q"}
DEVICES = ("auto", "cpu", "cuda")
TOLERANT = "take what can be read of damaged inputs, with a warning; else they are refused"
SHARD = (
    "do the I-th of N shares of a batch, 1 to N; else what torchrun, srun, an array of Slurm or an Indexed Job says; "
    "1/1 is the whole"
)
FORMATS = ("png", "jpeg", "webp", "tiff", "bmp", "gif", "avif")


def named(default: Any, help: str, metavar: str, *, callback: Any = None, complete: Any = None) -> Any:
    """A field whose value is a name.

    callback: runs before the other options are read.
    complete: gives what an incomplete name can become.
    """
    more = {"metavar": metavar, "callback": callback, "complete": complete}
    return dataclasses.field(default=default, metadata=option(default, help).metadata | more)


def seed() -> Any:
    """The field of the seed."""
    told = "of the random numbers: with the same one, a command gives the same bytes on the same device"
    return option(0, told, low=0, high=2**32 - 1)


@dataclasses.dataclass(frozen=True)
class CommonOptions(Config):
    """Options of every verb that computes."""

    device: str = named(
        "auto",
        "auto, cpu, cuda or cuda:0; one that is named must be there",
        "DEVICE",
        complete=complete_choice(DEVICES),
    )
    json: bool = option(False, "print one JSON record for each output, then a summary")
    quiet: bool = option(False, "no progress and no summary; errors are still told")
    config: str | None = named(None, "TOML file that sets any of these options", "FILE.toml", callback=config.read_into)
    print_config: bool = option(False, "print the options as they would be used, as TOML for --config, and stop")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", self.device):
            raise OptionError(f"--device is {self.device!r}: choose auto, cpu, cuda or cuda:0 (or another number)")


@dataclasses.dataclass(frozen=True)
class ProbeOptions(CommonOptions):
    """Options of probes, which begin at random."""

    seed: int = seed()


@dataclasses.dataclass(frozen=True)
class OutputOptions(CommonOptions):
    """Options of every verb that writes pictures.

    The results of these verbs are the same with every seed, and their arithmetic cannot be chosen; further options of
    other verbs say these.
    """

    seed = 0
    dtype = "auto"
    output: str | None = named(None, "file or folder to write (a folder's name ends in /), or - for stdout", "OUT")
    format: str | None = option(None, "format of the result; else the one that --output names, or png", choices=FORMATS)
    quality: int | None = option(
        None,
        f"for jpeg (else {PICTURE_QUALITY['JPEG']}), avif (else {PICTURE_QUALITY['AVIF']}), webp (else lossless) and "
        f"videos (else {VIDEO_QUALITY})",
        low=1,
        high=100,
    )
    exists: str | None = option(
        None,
        "what to do when an output is there; else error, or skip in a batch",
        choices=("error", "skip", "overwrite"),
    )
    keep_suffix: bool = option(False, "keep the input's suffix in the name of its output: of 1.jpg comes 1.jpg.png")
    max_pixels: int | None = option(
        None,
        f"largest picture, or frame of a video, that is read, px; else {millions(MAX_PIXELS)}, for a frame "
        f"{millions(MAX_FRAME_PIXELS)}",
        low=1,
    )
    tolerant: bool = option(False, TOLERANT)
    shard: str | None = named(None, SHARD, "I/N")
    on: str | None = option(None, "compute on a cluster: that of RAY_ADDRESS, else one made here", choices=("ray",))
    workers: int | None = option(None, "processes of --on that compute; else one for each GPU, or each CPU", low=1)
    ship: bool = option(False, "send files to the workers of --on and back, where they share no disk")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("workers", "ship"):
            if getattr(self, name) and self.on is None:
                raise OptionError(f"--{name} is about the workers of a cluster: say --on ray too, or leave it out")
        if self.on and ":" in self.device:
            raise OptionError(f"--device {self.device} is one of this machine: with --on say cuda, cpu or auto")

    @property
    def reading(self) -> dict[str, Any]:
        """The options with which an input is read, by name."""
        return {"max_pixels": self.max_pixels, "tolerant": self.tolerant}


@dataclasses.dataclass(frozen=True)
class RunOptions(OutputOptions):
    """Options of every verb that draws random numbers and writes pictures."""

    seed: int = seed()


def in_panels(*panels: Panel) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator of a page: the options that a panel names stand in that panel."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        function.panels = panels  # type: ignore[attr-defined]
        return function

    return decorate


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """The function with its configurations unfolded into options, ready to be registered as a command.

    In its docstring the name of an option, in braces, stands for its default.
    """
    signature = inspect.signature(function, eval_str=True)
    folded = {p.name: p.annotation for p in signature.parameters.values() if dataclasses.is_dataclass(p.annotation)}
    parameters = [inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    for parameter in signature.parameters.values():
        if parameter.name in folded:
            parameters += _unfold(parameter.annotation, getattr(function, "panels", ()))
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(function)
    def command(ctx: typer.Context, **values: Any) -> None:
        config.refuse_unknown_environment(ctx)
        for name, kind in folded.items():
            values[name] = _fold(ctx, kind, values)
        if values["running"].print_config:
            typer.echo(config.render(ctx), nl=False)
        else:
            function(**values)

    defaults = {field.name: field.default for kind in folded.values() for field in dataclasses.fields(kind)}
    command.__doc__ = inspect.getdoc(function).format_map(defaults)  # type: ignore[union-attr]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    del command.__wrapped__  # so that nobody reads the folded signature
    return command


def _fold(ctx: typer.Context, kind: type[Config], values: dict[str, Any]) -> Config:
    """Take a configuration's values out of those of the command.  Raises an error of usage for one that cannot be."""
    own = {field.name: values.pop(field.name) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    try:
        return kind(**own)
    except OptionError as error:
        first = str(error).split()[0]
        refused = next((p for p in ctx.command.params if p.name in own and first in p.opts), None)
        raise typer.BadParameter(str(error), ctx=ctx, param=refused) from error


def _unfold(kind: type, panels: tuple[Panel, ...]) -> list[inspect.Parameter]:
    """The keyword parameters of a configuration, annotated for Typer, one for each field."""
    hints, fields, panel = get_type_hints(kind), list(dataclasses.fields(kind)), "What to make"
    if "print_config" in kind.__dataclass_fields__:  # how to run: where to write comes first, then what all verbs have
        fields, panel = sorted(fields, key=lambda field: field.name in CommonOptions.__dataclass_fields__), "How to run"
    placed = {name: own for own in panels for name in own.names}
    return [_parameter(field, hints[field.name], placed.get(field.name, panel)) for field in fields]


def _parameter(field: dataclasses.Field, annotation: Any, panel: str) -> inspect.Parameter:
    """The parameter of a field.

    A value is typed here where it can be; one that cannot is refused by its configuration, in words.
    """
    meta, flag = field.metadata, "--" + config.spelled(field).replace("_", "-")
    bare = [t for t in get_args(annotation) if t is not type(None)] or [annotation]
    several = get_args(bare[0])[1:] == (...,)
    if several:  # typer has no pairs that are given several times: a `Verb` makes them
        bare = [get_args(bare[0])[0]]
        annotation = list[str] | None
    settings = {"help": f"{meta['help']}{_limits(meta)}", "rich_help_panel": panel, "show_envvar": False}
    if bare[0] is bool and field.name != "print_config":
        flag = f"{flag}/--no-{flag[2:]}"  # so that the command line can take back what a file says
    if meta.get("callback"):
        settings |= {"callback": meta["callback"], "is_eager": True}
    metavar = meta.get("metavar") or ("WORD" if meta["choices"] else METAVARS[bare[0]])
    if bare[0] in (int, float):
        settings["parser"] = _number(bare[0])
    if several and get_origin(bare[0]) is tuple:
        settings["parser"] = _pair
    if complete := meta.get("complete") or (meta["choices"] and complete_choice(meta["choices"])):
        settings["autocompletion"] = complete
    names = [flag] + ([SHORT[field.name]] if field.name in SHORT else [])
    declared = Annotated[annotation, typer.Option(*names, metavar=metavar, **settings)]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=declared)


def _number(kind: type) -> Callable[[Any], Any]:
    """The parser of a number; a text that is none stays a text."""

    def number(value: Any) -> Any:
        try:
            return kind(value) if isinstance(value, str) else value
        except ValueError:
            return value

    return number


def _pair(value: Any) -> Any:
    """The parser of values that come together, of which a file and the environment make a list."""
    return tuple(value) if isinstance(value, list) else value


def _limits(meta: Mapping[str, Any]) -> str:
    """The choices of a field, or its range."""
    low, high = meta["low"], meta["high"]
    if meta["choices"]:
        return f" ({', '.join(meta['choices'])})"
    if low is None and high is None:
        return ""
    return f" ({low} or more)" if high is None else f" (up to {high})" if low is None else f" ({low} to {high})"
