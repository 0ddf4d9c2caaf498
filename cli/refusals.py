"""Usage errors in words: the fact, where the value came from, and the way out.

The library that parses the command line raises its own errors; each of them is worded here, in one place.
"""

from __future__ import annotations

from typing import Any

import typer

from structkit_cli import config

UsageError = typer.BadParameter.__base__  # Typer carries its own click from 0.20 on; this is the class in either


def worded(error: Any) -> str:
    """The line for an error of usage."""
    ctx = error.ctx
    fact = f"{_fact(error, ctx)}{_origin(error, ctx)}"
    return f"{fact}{hint(ctx.command_path if ctx else 'structkit')}"


def hint(command: str) -> str:
    """The end of a line about an error of usage: where the help of the command is."""
    return f" (see: {command} --help)"


def _fact(error: Any, ctx: Any) -> str:
    if hasattr(error, "option_name") and ctx:
        return _of_a_flag(error.option_name, ctx, unknown=hasattr(error, "possibilities"))
    parameter = getattr(error, "param", None)
    if not error.message and parameter is not None:  # an argument that is not there
        return f"Missing argument '{parameter.metavar}'{f': {parameter.help}' if parameter.help else ''}"
    return error.message.rstrip(".")


def _of_a_flag(flag: str, ctx: Any, *, unknown: bool) -> str:
    """The fact about a flag that there is not, that lacks its value, or that has a value of which it knows nothing."""
    known = {
        name: parameter for parameter in ctx.command.params for name in (*parameter.opts, *parameter.secondary_opts)
    }
    if unknown:
        names = [name.removeprefix("--") for name in (*known, "--help") if name.startswith("--")]
        return f"No such option: {flag}{config.nearest(flag.removeprefix('--'), names, '--')}"
    parameter = known.get(flag)
    if parameter is None or parameter.is_flag:
        said = (parameter.opts[0], *parameter.secondary_opts) if parameter else (flag,)
        return f"{flag} takes no value: say {' or '.join(said)}"
    return f"{flag} is without its value: say {flag} {parameter.metavar}: {parameter.help}"


def _origin(error: Any, ctx: Any) -> str:
    parameter = getattr(error, "param", None)
    return config.origin(ctx, parameter) if ctx and parameter is not None else ""
