"""Usage errors: one line in words of our own, wherever the value came from, with the way out."""

from __future__ import annotations

import pytest

from .registered import COMMANDS, PAGES
from .registered import arguments as arguments_of
from .registered import options as options_of

LIBRARY = ("Value error", "Invalid value", "is not a valid", "Traceback", "pydantic", "\t")


def arguments(name: str) -> list[str]:
    return [*name.split(), *("x" for _ in arguments_of(PAGES[name]))]


def options(kind) -> list:
    """(command, option) for each that fits."""
    return [
        pytest.param(name, parameter, id=f"{name} {parameter.opts[0]}")
        for name, command in PAGES.items()
        for parameter in options_of(command)
        if kind(parameter)
    ]


def number(parameter) -> bool:
    return parameter.metavar in ("N", "X")


def word(parameter) -> bool:
    return parameter.metavar == "WORD"


def refused(ran, name: str) -> str:
    """The fact of a usage error of a command."""
    end = f" (see: structkit {name} --help)\n"
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, b"", 1)
    assert ran.err.startswith("structkit: error: ") and ran.err.endswith(end)
    assert not any(text in ran.err for text in LIBRARY)
    return ran.err.removeprefix("structkit: error: ").removesuffix(end)


@pytest.fixture(params=["command line", "environment", "file"])
def say(request, run, monkeypatch, tmp_path):
    """Run a command with an option set to a text in one of three ways; gives what came of it, and the place's name."""

    def say(name: str, parameter, text: str):
        key = parameter.name.rstrip("_")
        if request.param == "command line":
            return run(*arguments(name), parameter.opts[0], text), ""
        if request.param == "environment":
            variable = f"STRUCTKIT_{'_'.join(name.split())}_{key}".upper()
            monkeypatch.setenv(variable, text)
            return run(*arguments(name)), f" (from {variable})"
        (tmp_path / "c.toml").write_text(f"{key} = '{text}'")
        return run(*arguments(name), "--config", "c.toml"), " (from c.toml)"

    return say


@pytest.mark.parametrize(("name", "parameter"), options(number))
def test_what_is_no_number_is_refused_with_the_range(say, name, parameter):
    ran, where = say(name, parameter, "abc")
    fact = refused(ran, name)
    kind = {"N": "a whole number", "X": "a number"}[parameter.metavar]
    assert fact.startswith(f"{parameter.opts[0]} is 'abc': it must be {kind}, ") and fact.endswith(where)


@pytest.mark.parametrize(("name", "parameter"), options(word))
def test_what_is_no_choice_is_refused_with_the_choices_and_the_nearest(say, name, parameter):
    choices = parameter.help.rpartition("(")[2].rstrip(")").split(", ")
    ran, where = say(name, parameter, choices[-1] + "x")
    meant = f"; did you mean {choices[-1]}?{where}"
    fact = refused(ran, name)
    assert fact == f"{parameter.opts[0]} is '{choices[-1]}x': choose one of {', '.join(choices)}{meant}"


@pytest.mark.parametrize(("name", "parameter"), options(lambda p: p.is_flag and p.secondary_opts))
def test_what_is_neither_true_nor_false_is_refused(run, monkeypatch, tmp_path, name, parameter):
    flag = parameter.opts[0]
    fact = refused(run(*arguments(name), f"{flag}=maybe"), name)
    assert fact == f"{flag} takes no value: say {flag} or {parameter.secondary_opts[0]}"
    (tmp_path / "c.toml").write_text(f"{parameter.name} = 'maybe'")
    fact = refused(run(*arguments(name), "--config", "c.toml"), name)
    assert fact == f"c.toml sets '{parameter.name}' to \"maybe\", of the wrong type"
    variable = f"STRUCTKIT_{'_'.join(name.split())}_{parameter.name}".upper()
    monkeypatch.setenv(variable, "maybe")
    assert refused(run(*arguments(name)), name) == f"{flag} is 'maybe': it must be true or false (from {variable})"


@pytest.mark.parametrize(
    ("text", "expected"), [("1", "true"), ("TRUE", "true"), ("on", "true"), ("no", "false"), ("0", "false")]
)
def test_the_words_for_true_and_false(run, monkeypatch, tmp_path, text, expected):
    (tmp_path / "c.toml").write_text(f"both = '{text}'")
    assert f"both = {expected}".encode() in run("analogy", "--config", "c.toml", "--print-config").out
    monkeypatch.setenv("STRUCTKIT_ANALOGY_BOTH", text)
    assert f"both = {expected}".encode() in run("analogy", "--print-config").out


@pytest.mark.parametrize("name", PAGES)
def test_an_option_that_there_is_not_is_answered_with_the_nearest(run, name):
    for parameter in options_of(PAGES[name]):
        if len(parameter.name) > 4:
            flag = parameter.opts[0]
            fact = refused(run(*arguments(name), f"{flag}z"), name)
            assert fact == f"No such option: {flag}z: did you mean {flag}?"
    assert refused(run(*arguments(name), "--qqqqq"), name) == "No such option: --qqqqq"


@pytest.mark.parametrize("name", PAGES)
def test_a_value_that_is_missing_is_asked_for(run, name):
    for parameter in options_of(PAGES[name]):
        if not parameter.is_flag:
            for flag in parameter.opts:
                fact = refused(run(*arguments(name), flag), name)
                assert fact == f"{flag} is without its value: say {flag} {parameter.metavar}: {parameter.help}"


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if any(p.required for p in arguments_of(page))])
def test_an_argument_that_is_missing_is_told_with_its_meaning(run, name):
    first = PAGES[name].params[0]
    assert refused(run(*name.split()), name) == f"Missing argument '{first.metavar}': {first.help}"


def test_an_argument_too_many(run):
    assert refused(run("analogy", "a", "b", "c"), "analogy") == "c is one too many: analogy takes SOURCE and TARGET"
    assert refused(run("train", "transfer", "c"), "train transfer") == "c is one too many: transfer takes options alone"


def test_a_verb_that_there_is_not_is_answered_with_the_nearest(run):
    ran = run("analgy", "a", "b")
    assert ran.code == 2 and "No such command 'analgy': the verbs are analogy, " in ran.err
    assert ran.err.endswith("; did you mean analogy? (see: structkit --help)\n")
    verbs = f"the verbs are {', '.join(COMMANDS['train'].commands)}"
    assert refused(run("train", "diference"), "train").endswith(f"{verbs}; did you mean difference?")
    assert refused(run("train", "xyz"), "train") == f"No such command 'xyz': {verbs}"


def test_the_former_name_of_an_option_leads_to_the_present_one(run, monkeypatch, tmp_path):
    given = arguments("analogy")
    assert refused(run(*given, "--samples", "2"), "analogy") == "No such option: --samples: did you mean --count?"
    (tmp_path / "c.toml").write_text("samples = 2")
    told = "'samples', which analogy does not have: did you mean count?"
    assert refused(run(*given, "--config", "c.toml"), "analogy") == f"c.toml sets {told}"
    monkeypatch.setenv("STRUCTKIT_ANALOGY_SAMPLES", "2")
    assert "which analogy does not have: did you mean count?" in refused(run(*given), "analogy")
