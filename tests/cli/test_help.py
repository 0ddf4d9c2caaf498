"""The help of each verb: what goes in, what comes out, and an example (`test_examples.py` runs it)."""

from __future__ import annotations

import pytest

from structkit_cli.app import VERBS


@pytest.mark.parametrize("page", VERBS, ids=lambda page: page.__name__)
def test_the_help_says_what_goes_in_and_what_comes_out(run, page):
    text = run(page.__name__, "--help").out.decode()
    assert "In: " in text and "Out: " in text and "Example: structkit " in text


def test_the_help_of_the_program_names_every_verb(run):
    text = run("--help").out.decode()
    assert all(page.__name__ in text for page in VERBS)
    assert run("--version").out.decode().startswith("structkit ")
    assert run("-h").out.decode() == text
