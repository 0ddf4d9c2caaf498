"""The commands that are registered: what holds for all of them is tested over these."""

from __future__ import annotations

from typing import Any

import typer.main

from structkit_cli.app import app


def _below(group: Any, words: tuple[str, ...] = ()) -> dict[str, Any]:
    found = {" ".join(words): group}
    for name, command in getattr(group, "commands", {}).items():
        found |= _below(command, (*words, name))
    return found


COMMANDS = _below(typer.main.get_command(app))  # and groups, by what is typed for them after the program's name
PAGES = {name: command for name, command in COMMANDS.items() if not hasattr(command, "commands")}


def options(page: Any) -> list[Any]:
    return [parameter for parameter in page.params if parameter.param_type_name == "option"]


def arguments(page: Any) -> list[Any]:
    return [parameter for parameter in page.params if parameter.param_type_name == "argument"]
