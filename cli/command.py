"""Commands: how each is parsed, refused and helped, whatever it does."""

from __future__ import annotations

import functools
import os
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from structkit_cli import config, help
from structkit_cli.refusals import UsageError


class Page(TyperCommand):
    """A command whose help is plain text, and whose errors know where they belong."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        ctx.meta[help.GIVEN] = tuple(args)
        ctx.allow_extra_args = True  # so that they are refused here
        try:
            rest = super().parse_args(ctx, args)
        except UsageError as error:
            error.ctx = error.ctx or ctx
            raise
        if rest and not ctx.resilient_parsing:
            names = [parameter.metavar for parameter in self.params if parameter.param_type_name == "argument"]
            ctx.fail(f"{rest[0]} is one too many: {ctx.info_name} takes {' and '.join(names) or 'options alone'}")
        return rest

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:
        formatter.write(help.text(self, ctx))


class Verb(Page):
    """A page whose options can be set in the environment too, and which can print its configuration.

    For that its arguments are not needed.
    """

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        for parameter in self.params:
            if parameter.name != config.spelled(parameter):
                parameter.envvar = config.prefix(ctx) + config.spelled(parameter).upper()
            if getattr(parameter, "is_flag", False):
                parameter.value_from_envvar = functools.partial(_flag, parameter)
            if getattr(parameter, "multiple", False):
                parameter.value_from_envvar = functools.partial(_several, parameter)
        if "--print-config" in args:
            for parameter in self.params:
                parameter.required = False
        return super().parse_args(ctx, args)


class Group(TyperGroup):
    """A group of commands, whose help is plain text as theirs."""

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


def _several(parameter: Any, ctx: typer.Context) -> list[str] | None:
    """The values of an option in the environment, separated as those of PATH.

    A text would be split at spaces, which names may have.
    """
    text = parameter.resolve_envvar_value(ctx)
    return text.split(os.pathsep) if text else None
