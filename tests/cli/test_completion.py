"""The Tab key: what shells ask the program for, and what it answers, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import structkit_weights
from structkit_cli.completion import complete_checkpoint

from .registered import PAGES, arguments, options
from .test_processes import LIGHT

NAMES = list(structkit_weights.names())
PROGRAM = "import sys; from structkit_cli.__main__ import main; sys.exit(main())"


def complete(shell: str, words: str, folder, code: str = PROGRAM) -> list[str]:
    """What the program answers a shell that asks for the last of these words, which may be empty."""
    split = words.split(" ")
    asked = {
        "_STRUCTKIT_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(split) - 1),
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    ran = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, cwd=folder, capture_output=True, text=True
    )
    assert ran.stderr == ""
    return ran.stdout.split("\n")[:-1]


@pytest.mark.parametrize("verb", ["analogy", "transfer", "remove", "segment", "score independence"])
def test_a_model_is_completed_with_the_names_that_ship(tmp_path, verb):
    assert complete("bash", f"structkit {verb} --model ", tmp_path) == NAMES


def test_each_option_of_a_model_and_the_argument_of_info_are_completed():
    found = set()
    for name, page in PAGES.items():
        for parameter in (*options(page), *arguments(page)):
            if parameter.name in ("model", "checkpoint"):
                ctx = page.make_context("x", [], resilient_parsing=True)
                assert [item.value for item in parameter.shell_complete(ctx, NAMES[0][:2])] == NAMES[:1]
                found.add(name)
    assert found >= {"analogy", "transfer", "remove", "segment", "info", "score independence"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_them(tmp_path, shell):
    answer = "\n".join(complete(shell, f"structkit remove --model {NAMES[0][:2]}", tmp_path))
    assert NAMES[0] in answer and NAMES[1] not in answer


def test_verbs_options_and_choices_are_completed_and_an_unknown_name_is_left_to_the_shell(tmp_path):
    assert complete("bash", "structkit re", tmp_path) == ["retarget", "refine", "remove"]
    assert complete("bash", "structkit analogy --cou", tmp_path) == ["--count"]
    assert complete("bash", "structkit analogy --mode s", tmp_path) == ["style"]
    assert complete("bash", "structkit remove --model nowhere/", tmp_path) in ([], [""])


def test_checkpoints_on_disk_are_completed_and_unfinished_trainings_are_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs").mkdir()
    for name in ("g.safetensors", "g.resume.safetensors", "g.png", "pairs/[1].safetensors"):
        (tmp_path / name).touch()
    shipped = [name for name in NAMES if name.startswith("g")]
    assert complete_checkpoint("g") == [*shipped, "g.safetensors"]
    assert complete_checkpoint("pairs/") == ["pairs/[1].safetensors"] == complete_checkpoint("pairs/[")
    assert complete_checkpoint("g.png") == []


def test_completion_imports_nothing_heavy(tmp_path):
    code = f"""
import sys
from structkit_cli.__main__ import main
try:
    main()
finally:
    {LIGHT}
"""
    assert complete("bash", "structkit remove --model ", tmp_path, code) == NAMES


def test_the_script_for_the_shell_is_offered_by_the_help_and_printed(run):
    text = " ".join(run("--help").out.decode().split())
    assert "completed by the Tab key" in text and "--install-completion" in text and "--show-completion" in text
    asked = {"_STRUCTKIT_COMPLETE": "source_bash"}
    ran = subprocess.run([sys.executable, "-c", PROGRAM], env={**os.environ, **asked}, capture_output=True, text=True)
    assert ran.returncode == 0 and "_STRUCTKIT_COMPLETE=complete_bash" in ran.stdout
