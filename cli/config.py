"""Configuration files and environment variables: read, refused by name when unknown, and printed back.

A file holds options at its top, a table for each verb (`[analogy]`, `[train.analogy]`), or both; a verb's table beats
what stands above it.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from structkit.errors import InputError
from structkit.media.texts import read_text

NOT_IN_A_FILE = ("config", "print_config", "help")
FORMER = {"samples": "count"}  # names that options have had
TRUTHS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), False),
}


def read_into(ctx: typer.Context, value: str | None) -> str | None:
    """Read the file into the defaults of the command that is being parsed, before the other options are read."""
    if value is None or ctx.resilient_parsing:
        return value
    try:
        with open(value, "rb") as stream:
            tables = tomllib.loads(read_text(stream, value))
    except OSError as error:
        raise typer.BadParameter(f"{value}: {error.strerror or error}") from error
    except InputError as error:
        raise typer.BadParameter(str(error)) from error
    except tomllib.TOMLDecodeError as error:
        raise typer.BadParameter(f"{value} is not TOML: {error}") from error
    ctx.default_map = _checked(ctx, value, _options(ctx, value, tables))
    return value


def words(ctx: typer.Context) -> list[str]:
    """The words typed for a command after the program's name: `analogy`, or `train` and `analogy`."""
    return [] if ctx.parent is None else [*words(ctx.parent), str(ctx.info_name)]


def prefix(ctx: typer.Context) -> str:
    """The prefix of the environment variables that set a command's options."""
    return "_".join(["structkit", *words(ctx), ""]).upper()


def spelled(parameter: Any) -> str:
    """The name of an option, as it is said.

    The name of a parameter ends in _ where it would be a word of Python: from_, with_.
    """
    return str(parameter.name).rstrip("_")


def _options(ctx: typer.Context, path: str, tables: dict[str, Any]) -> dict[str, Any]:
    """The options of a file that are meant for a command: at the top, in the table of its group, and in its own."""
    group, found = ctx.find_root().command, {}
    for word in words(ctx):
        verbs = group.list_commands(ctx)  # type: ignore[union-attr]
        unknown = [name for name, table in tables.items() if isinstance(table, dict) and name not in verbs]
        if unknown:
            raise typer.BadParameter(
                f"{path} has a table [{unknown[0]}] that is no verb: the verbs are {', '.join(verbs)}"
            )
        found |= {name: v for name, v in tables.items() if not isinstance(v, dict)}
        own = tables.get(word)
        tables, group = own if isinstance(own, dict) else {}, group.get_command(ctx, word)  # type: ignore[union-attr]
    return found | tables


def _checked(ctx: typer.Context, path: str, options: dict[str, Any]) -> dict[str, Any]:
    parameters = {
        spelled(p): p for p in ctx.command.params if p.param_type_name == "option" and p.name not in NOT_IN_A_FILE
    }
    checked = {}
    for key, value in options.items():
        name = key.replace("-", "_")
        if name not in parameters:
            raise typer.BadParameter(
                f"{path} sets {key!r}, which {' '.join(words(ctx))} does not have{nearest(name, parameters)}"
            )
        parameter = parameters[name]
        values = value if isinstance(value, list) and (parameter.multiple or parameter.nargs > 1) else [value]
        nested = parameter.multiple and parameter.nargs > 1
        if nested and not all(isinstance(one, list) for one in values):
            values = [values]
        for several in (values if nested else [values]) if parameter.nargs > 1 else ():
            if len(several) != parameter.nargs:
                raise typer.BadParameter(
                    f"{path} sets {key!r} to {json.dumps(value, default=str)}: it has {parameter.nargs}"
                )
        alone = [one for several in values for one in several] if nested else values
        if any(isinstance(one, str) and "\0" in one for one in alone):
            raise typer.BadParameter(f"{path} sets {key!r} to a text with a NUL character")
        if not all(_fits(one, parameter) for one in alone):
            raise typer.BadParameter(f"{path} sets {key!r} to {json.dumps(value, default=str)}, of the wrong type")
        if parameter.is_flag and isinstance(value, str):
            value = truth(value)
        checked[parameter.name] = values if parameter.multiple or parameter.nargs > 1 else value
    return checked


def _fits(value: Any, parameter: Any) -> bool:
    """True if a value of a file can be one of an option: a text is read as on the command line."""
    if isinstance(value, str):
        return not parameter.is_flag or truth(value) is not None
    return isinstance(value, int | float) and isinstance(value, bool) == parameter.is_flag


def refuse_unknown_environment(ctx: typer.Context) -> None:
    """Refuse a misspelt STRUCTKIT_<VERB>_<OPTION>: every setting changes something or is refused."""
    names = [spelled(p) for p in ctx.command.params if p.param_type_name == "option"]
    for variable in sorted(os.environ):
        name = variable.removeprefix(prefix(ctx)).lower()
        if variable.startswith(prefix(ctx)) and name not in names:
            raise typer.BadParameter(
                f"the environment sets {variable}, which {' '.join(words(ctx))} does not have{nearest(name, names)}"
            )


def nearest(name: str, names: Iterable[str], before: str = "") -> str:
    """The end of a refusal: what may have been meant, or nothing.

    before: the characters in front of the name.
    """
    known = list(names)
    near = [FORMER[name]] if FORMER.get(name) in known else difflib.get_close_matches(name, known, n=1)
    return f": did you mean {before}{near[0]}?" if near else ""


def truth(text: str) -> bool | None:
    """The truth value of a text for a flag; None for any other text."""
    return TRUTHS.get(text.strip().lower())


def origin(ctx: Any, parameter: Any) -> str:
    """The origin of a refused value, for the message: empty for the command line."""
    source = getattr(ctx.get_parameter_source(parameter.name), "name", "")
    if source == "ENVIRONMENT":
        return f" (from {prefix(ctx)}{spelled(parameter).upper()})"
    return f" (from {ctx.params.get('config')})" if source == "DEFAULT_MAP" else ""


def render(ctx: typer.Context) -> str:
    """The options of this run as TOML; those without a value are comments.

    `--config` reads it back to the same options.
    """
    lines = [f"[{'.'.join(words(ctx))}]"]
    for parameter in ctx.command.params:
        if parameter.param_type_name != "option" or parameter.name in NOT_IN_A_FILE:
            continue
        value, name = ctx.params[parameter.name], spelled(parameter)
        setting = f"# {name} =" if value is None or value == () else f"{name} = {_toml(value)}"
        lines.append(f"{setting}  # {parameter.help}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # a JSON string is a TOML string, but for DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
