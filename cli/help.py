"""The help of a command: plain text, broken between words, its options in panels."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

from structkit_cli.refusals import UsageError

LEAST, MOST = 40, 100  # columns of a line: it is as long as the terminal, between these
NAMES = 28  # columns of the names of options, at most; the help of a longer name begins on the next line
GIVEN = "structkit.arguments"  # the key under which a context keeps the words typed after its command
UNBROKEN = "\xa0"  # a space at which no line ends
LIMITS = re.compile(r"\([^()]{1,20}\)$")  # the limits of an option, at the end of its help
VALUED = re.compile(r"-\S+ [^-]\S*")  # an option of an example, with its value


class Panel(str):
    """The title of options that are told in full where they are in use, and elsewhere only named.

    names: those of the options.
    used: says from the values of all options whether these are in use.
    shown_by: the arguments that show them.
    """

    names: frozenset[str]
    used: Callable[[Mapping[str, Any]], bool]
    shown_by: str

    def __new__(
        cls, title: str, names: Iterable[str], *, used: Callable[[Mapping[str, Any]], bool], shown_by: str
    ) -> Self:
        panel = super().__new__(cls, title)
        panel.names, panel.used, panel.shown_by = frozenset(names), used, shown_by
        return panel


def text(command: Any, ctx: Any) -> str:
    """The help of a command or of a group."""
    width = max(LEAST, min(shutil.get_terminal_size().columns, MOST))
    return "\n\n".join("\n".join(block) for block in _blocks(command, ctx, width)) + "\n"


def _blocks(command: Any, ctx: Any, width: int) -> Iterator[list[str]]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    verbs = [(name, command.get_command(ctx, name)) for name in getattr(command, "commands", ())]
    words = ["VERB ..."] if verbs else [_argument(p, brackets=not p.required) for p in arguments]
    yield _wrapped(f"Usage: {' '.join((ctx.command_path, *words, '[OPTIONS]'))}", width, hanging=4)
    for paragraph in (command.help or "").split("\n\n"):
        yield _paragraph(" ".join(paragraph.split()), width)
    rows = [(_argument(p), p.help or "") for p in arguments]
    yield from _table("Arguments", rows, width)
    yield from _table("Verbs", [(name, " ".join(verb.help.split("\n\n")[0].split())) for name, verb in verbs], width)
    yield from _panels(command, ctx, width)
    if command.epilog:
        yield _wrapped(command.epilog, width)


def _panels(command: Any, ctx: Any, width: int) -> Iterator[list[str]]:
    panels: dict[str, list[Any]] = {}
    for parameter in command.get_params(ctx):
        if parameter.param_type_name == "option":
            own = getattr(parameter, "rich_help_panel", None) or (list(panels)[-1] if panels else "Options")
            panels.setdefault(own, []).append(parameter)
    values = _values(command, ctx) if any(isinstance(panel, Panel) for panel in panels) else {}
    idle = [panel for panel in panels if isinstance(panel, Panel) and not panel.used(values)]
    for panel, parameters in panels.items():
        if panel not in idle:
            yield from _table(panel, [(_names(p), _told(p, ctx)) for p in parameters], width)
    for panel in idle:
        names = ", ".join(parameter.opts[0] for parameter in panels[panel])
        where = f"{ctx.command_path} {panel.shown_by} --help".replace(" ", UNBROKEN)
        yield _wrapped(f"{panel}: {names}; see {where}", width, hanging=2)


def _values(command: Any, ctx: Any) -> Mapping[str, Any]:
    """The options as they are given beside --help; errors in them are passed over."""
    given, how = list(ctx.meta.get(GIVEN, ())), {"default_map": ctx.default_map, "resilient_parsing": True}
    try:
        return command.make_context(ctx.info_name, given, parent=ctx.parent, **how).params
    except UsageError:
        return {}


def _argument(parameter: Any, *, brackets: bool = False) -> str:
    name = parameter.metavar + ("..." if parameter.nargs == -1 else "")
    return f"[{name}]" if brackets else name


def _names(parameter: Any) -> str:
    """The names of an option: `-o, --output OUT`, `--both/--no-both`."""
    names = ", ".join(sorted(parameter.opts, key=len))
    off = "".join(f"/{name}" for name in parameter.secondary_opts)
    return f"{names}{off}" if parameter.is_flag else f"{names} {parameter.metavar}"


def _told(parameter: Any, ctx: Any) -> str:
    if "--help" in parameter.opts:
        return "print this help, and stop"
    default = parameter.get_default(ctx, call=False)
    said = isinstance(default, str | int | float) and default is not False
    meaning = LIMITS.sub(_unbroken, parameter.help)
    return meaning + (f" [default:{UNBROKEN}{default}]" if said else "")


def _table(title: str, rows: list[tuple[str, str]], width: int) -> Iterator[list[str]]:
    """A title and, under it, rows of names and what they mean; nothing where there are none."""
    if not rows:
        return
    column = max((4 + len(name) for name, _ in rows if 4 + len(name) <= NAMES), default=NAMES)
    lines = [f"{title}:"]
    for name, meaning in rows:
        told = _wrapped(meaning, width - column)
        if len(name) + 4 > column:
            lines.append(f"  {name}")
        else:
            told[0] = f"  {name}".ljust(column) + told[0]
            lines.append(told.pop(0))
        lines += [" " * column + line for line in told]
    yield lines


def _paragraph(words: str, width: int) -> list[str]:
    """The lines of a paragraph.

    A command that is shown as an example goes on after a backslash, before an option.
    """
    if not words.startswith("Example: "):
        return _wrapped(words, width)
    first, *rest = _wrapped(VALUED.sub(_unbroken, words), width - 2, hanging=4)
    return [line + (" \\" if i < len(rest) else "") for i, line in enumerate((first, *rest))]


def _unbroken(match: re.Match[str]) -> str:
    return match[0].replace(" ", UNBROKEN)


def _wrapped(words: str, width: int, hanging: int = 0) -> list[str]:
    lines = textwrap.wrap(words, width, subsequent_indent=" " * hanging, break_long_words=False, break_on_hyphens=False)
    return [line.replace(UNBROKEN, " ") for line in lines] or [""]
