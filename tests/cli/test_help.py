"""The help of each verb: what goes in, what comes out, and an example (`test_examples.py` runs it)."""

from __future__ import annotations

import re
import shlex

import pytest

from structkit_cli.app import FILES, VERBS
from structkit_cli.help import text as help_text

from .registered import COMMANDS, PAGES, options


@pytest.mark.parametrize("page", VERBS, ids=lambda page: page.__name__)
def test_the_help_says_what_goes_in_and_what_comes_out(run, page):
    text = " ".join(run(page.__name__, "--help").out.decode().split())
    assert "In: " in text and "Out: " in text and "Example: structkit " in text


def test_the_help_of_the_program_names_every_verb(run):
    text = run("--help").out.decode()
    assert all(page.__name__ in text for page in VERBS)
    assert run("--version").out.decode().startswith("structkit ")
    assert run("-h").out.decode() == text


def flags(command) -> set[str]:
    return {name for option in options(command) for name in (*option.opts, *option.secondary_opts)}


@pytest.fixture
def shown(run, monkeypatch):
    """The help of a command, on a terminal so wide."""

    def shown(name: str, *more: str, columns: int = 80) -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        ran = run(*name.split(), *more, "--help")
        assert (ran.code, ran.err) == (0, "")
        return ran.out.decode()

    return shown


@pytest.mark.parametrize("columns", [50, 80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_is_longer_than_the_terminal_and_no_word_is_broken(shown, name, columns):
    text, command = shown(name, columns=columns), COMMANDS[name]
    assert [line for line in text.splitlines() if len(line) > columns and " " in line.strip()] == []
    words = set(re.split(r"[\s()]+", text))
    for parameter in command.params:
        for word in (parameter.help or "").replace("(", " ").replace(")", " ").split():
            assert word in words or parameter.rich_help_panel, word  # of a panel that is not in use
    assert "\x1b" not in text and "\xa0" not in text and "<" not in text


@pytest.mark.parametrize("engine", ["patch", "gan"])
def test_of_an_engine_the_help_tells_all_options_and_of_the_other_the_names(shown, engine):
    text, words = shown("analogy", "--engine", engine), {"patch": "--strength X", "gan": "--inject N"}
    assert text == (shown("analogy") if engine == "patch" else shown("analogy", "--model", "pair.safetensors"))
    for other, row in words.items():
        assert (row in text) == (other == engine)
        assert (f"structkit analogy --engine {other} --help" in text) == (other != engine)


def test_the_engine_in_use_may_be_said_in_the_environment_or_a_file(shown, monkeypatch, tmp_path):
    expected = "--inject N"
    (tmp_path / "c.toml").write_text("engine = 'gan'")
    assert expected in shown("analogy", "--config", "c.toml")
    monkeypatch.setenv("STRUCTKIT_ANALOGY_ENGINE", "gan")
    assert expected in shown("analogy") and expected not in shown("analogy", "--engine", "patch")
    assert expected not in shown("analogy", "--engine", "nonsense")  # what is wrong is none of the help's business


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_named_in_the_help_and_every_option_that_it_names_exists(shown, name):
    text, own = shown(name), flags(COMMANDS[name]) | {"--help"}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", text))
    torchrun = {"--nproc-per-node", "--nnodes", "--max-restarts", "--rdzv-backend", "--rdzv-endpoint"}
    everywhere = set().union(*map(flags, COMMANDS.values())) | {"--help"} | torchrun
    assert named <= everywhere
    assert {flag for flag in own if flag.startswith("--") and not flag.startswith("--no-")} <= named
    rows = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", text, re.M)
    assert set(rows) <= own


@pytest.mark.parametrize("name", PAGES)
def test_no_default_and_no_choice_is_lost(shown, name):
    others = {"analogy": [("--engine", "gan")], "genvideo": [("--engine", "vaegan")]}
    text = "".join(shown(name, *more) for more in [(), *others.get(name, [])])
    text = " ".join(text.split())
    for parameter in PAGES[name].params:
        meaning = " ".join((parameter.help or "").split())
        assert meaning in text
        if parameter.param_type_name == "option" and isinstance(parameter.default, int | float | str):
            assert parameter.default is False or f"{meaning} [default: {parameter.default}]" in text


def test_a_command_that_is_shown_goes_on_after_a_backslash_and_before_an_option(shown):
    text = shown("transfer")
    example = next(part for part in text.split("\n\n") if part.startswith("Example: "))
    assert shlex.split(example.replace("\\\n", " ")) == shlex.split(COMMANDS["transfer"].help.split("\n\n")[-1])
    assert [line.split()[0] for line in example.splitlines()[1:]] == ["-o"]


def test_the_help_is_the_same_without_colours_and_into_a_pipe(shown, monkeypatch):
    text = shown("sample")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert shown("sample") == text


@pytest.mark.parametrize("name", ["remove", "transfer", "segment"])
def test_verbs_without_random_numbers_have_no_seed_and_no_dtype(name):
    assert not flags(PAGES[name]) & {"--seed", "--dtype"}


@pytest.mark.parametrize("name", ["analogy", "sample"])
def test_how_many_is_one_option_in_all_verbs(name):
    [count] = [parameter for parameter in PAGES[name].params if parameter.name == "count"]
    assert set(count.opts) == {"--count", "-n"}


def test_numbers_in_docstrings_are_the_defaults():
    assert "INPUT-sample-1.png .. -4.png" in PAGES["sample"].help
    assert all("{" not in command.help for command in COMMANDS.values())


def test_help_text_is_what_the_library_would_print():
    command = COMMANDS["sample"]
    ctx = command.make_context("sample", [], resilient_parsing=True)
    assert command.get_help(ctx) == help_text(command, ctx).rstrip("\n")


def test_every_file_of_pages_that_is_no_part_of_another_is_found():
    parts = {name for name in FILES for other in FILES if name.startswith(f"{other}_")}
    whole = {name: file for name, file in FILES.items() if name not in parts}
    assert [n for n, f in whole.items() if not (hasattr(f, n) or hasattr(f, "TRAININGS") or hasattr(f, "SCORES"))] == []


def test_every_verb_that_works_can_be_told_how_to_run():
    assert {name for name, page in PAGES.items() if "--json" not in flags(page)} == set()
    assert {name for name, page in PAGES.items() if "--print-config" not in flags(page)} == {"info"}
