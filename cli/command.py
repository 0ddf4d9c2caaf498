"""Commands: how each is parsed, refused and helped, whatever it does."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from structkit.errors import OptionError, OutputError
from structkit_cli import config, help
from structkit_cli.refusals import UsageError


class Page(TyperCommand):
    """A command whose help is plain text, and whose errors know where they belong."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        ctx.meta[help.GIVEN] = tuple(args)
        ctx.allow_extra_args = True  # so that they are refused here
        try:
            if bad := next((text for text in args if "\0" in text), None):
                ctx.fail(f"{bad} has a NUL character, which no value of a command line has")
            rest = super().parse_args(ctx, args)
        except UsageError as error:
            error.ctx = error.ctx or ctx
            raise
        if rest and not ctx.resilient_parsing:
            for parameter in self.params:
                values = ctx.params.get(parameter.name or "") if parameter.nargs > 1 else None
                if getattr(parameter, "multiple", False):
                    values = [value for several in values or () for value in several]
                if swallowed := [value for value in values or () if str(value).startswith("-")]:
                    ctx.fail(f"{parameter.opts[0]} takes {parameter.metavar}, and {swallowed[0]} came in their place")
            names = [parameter.metavar for parameter in self.params if parameter.param_type_name == "argument"]
            ctx.fail(f"{rest[0]} is one too many: {ctx.info_name} takes {' and '.join(names) or 'options alone'}")
        return rest

    def invoke(self, ctx: typer.Context) -> Any:
        """Run the command, where there is a place to work.

        Options that do not go together are an error of usage, whoever finds them.
        """
        try:
            os.getcwd()  # else MKL aborts the process when it is loaded
        except OSError as error:
            raise OutputError("the working directory is gone (deleted or moved): change to another one") from error
        try:
            return super().invoke(ctx)
        except OptionError as error:
            raise UsageError(str(error), ctx=ctx) from error

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:
        formatter.write(help.text(self, ctx))


class Verb(Page):
    """A page whose options can be set in the environment too, and which can print its configuration.

    For that its arguments are not needed.  An option that may be given several times takes as many values at a time as
    there are words for them.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for parameter in self.params:
            if getattr(parameter, "multiple", False):
                parameter.nargs = len(parameter.metavar.split())

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        for parameter in self.params:
            if parameter.name != config.spelled(parameter):
                parameter.envvar = config.prefix(ctx) + config.spelled(parameter).upper()
            if getattr(parameter, "is_flag", False):
                parameter.value_from_envvar = functools.partial(_flag, parameter)
            if getattr(parameter, "multiple", False) or parameter.nargs > 1:
                parameter.value_from_envvar = functools.partial(_several, parameter)
        if "--print-config" in args:
            for parameter in self.params:
                parameter.required = False
        return super().parse_args(ctx, args)


class Commands(dict[str, Any]):
    """The commands of a group, by their names; one that is a function is made when it is first asked for."""

    def __getitem__(self, name: str) -> TyperCommand | TyperGroup:
        command = super().__getitem__(name)
        if not isinstance(command, TyperCommand | TyperGroup):
            command = self[name] = command()
        return command

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 (this is get)

    def items(self) -> list[tuple[str, Any]]:  # type: ignore[override]
        return [(name, self[name]) for name in self]

    def values(self) -> list[Any]:  # type: ignore[override]
        return [self[name] for name in self]


class Group(TyperGroup):
    """A group of commands, whose help is plain text as theirs.

    pages: for each of its pages a function that makes the command.
    """

    pages: ClassVar[Mapping[str, Callable[[], TyperCommand]]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Commands({**self.pages, **self.commands})

    @classmethod
    def of(cls, pages: Mapping[str, Callable[[], TyperCommand]]) -> type[Group]:
        """The class of a group with these pages."""
        return type(cls.__name__, (cls,), {"pages": pages})

    def list_commands(self, ctx: typer.Context) -> list[str]:
        return list(self.commands)

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:
        if args[0] not in self.commands and not ctx.resilient_parsing:
            verbs = ", ".join(self.commands)
            meant = config.nearest(args[0], self.commands).replace(":", ";")
            ctx.fail(f"No such command '{args[0]}': the verbs are {verbs}{meant}")
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:
        formatter.write(help.text(self, ctx))


def _flag(parameter: Any, ctx: typer.Context) -> bool | None:
    """The value of a flag in the environment."""
    text = parameter.resolve_envvar_value(ctx)
    if not text:
        return None
    value = config.truth(text)
    if value is None:
        where = config.prefix(ctx) + config.spelled(parameter).upper()
        raise typer.BadParameter(f"{parameter.opts[0]} is {text!r}: it must be true or false (from {where})")
    return value


def _several(parameter: Any, ctx: typer.Context) -> list[Any] | None:
    """The values of an option in the environment, separated as those of PATH.

    A text would be split at spaces, which names may have.
    """
    text = parameter.resolve_envvar_value(ctx)
    values = text.split(os.pathsep) if text else None
    if values and getattr(parameter, "multiple", False) and parameter.nargs > 1:
        if len(values) % parameter.nargs:
            where = config.prefix(ctx) + config.spelled(parameter).upper()
            fact = f"{parameter.opts[0]} has {len(values)} values: it takes {parameter.metavar}, and again"
            raise typer.BadParameter(f"{fact} (from {where})")
        return [values[i : i + parameter.nargs] for i in range(0, len(values), parameter.nargs)]
    return values
