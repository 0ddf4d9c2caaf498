"""The help of each verb: what goes in, what comes out, and an example that works."""

from __future__ import annotations

import shlex

import pytest

import structkit.verbs.content  # noqa: F401  (before a stand-in takes the place of the device)
from structkit_cli.app import VERBS

from ..content_models import FakeConfig, FakeTransfer, install
from .conftest import paint


@pytest.mark.parametrize("page", VERBS, ids=lambda page: page.__name__)
def test_the_example_runs_and_writes_what_it_names(run, page, tmp_path, monkeypatch):
    install(monkeypatch)
    FakeTransfer(FakeConfig()).save(tmp_path / "glasses")
    _, _, example = page.__doc__.rpartition("Example: structkit ")
    arguments = shlex.split(example)
    output = arguments[arguments.index("-o") + 1]
    for name in arguments:
        if name.endswith(".png") and name != output:
            paint(tmp_path / name, 1)
    ran = run(*arguments)
    assert ran.code == 0
    assert ran.paths[0].startswith(output.removesuffix(".png"))


@pytest.mark.parametrize("page", VERBS, ids=lambda page: page.__name__)
def test_the_help_says_what_goes_in_and_what_comes_out(run, page):
    text = run(page.__name__, "--help").out.decode()
    assert "In: " in text and "Out: " in text and "Example: structkit " in text


def test_the_help_of_the_program_names_every_verb(run):
    text = run("--help").out.decode()
    assert all(page.__name__ in text for page in VERBS)
    assert run("--version").out.decode().startswith("structkit ")
    assert run("-h").out.decode() == text
