"""What README.md shows: every command runs as it stands, in the order in which it stands, and every picture is there.

A comment that tells how many minutes a command takes marks it as slow.  Slow commands run too, with the options of
SHORT after their own; and a few that only repeat what is long, or make many files, with those of SMALLER.  Blocks below
`<!-- ci: NAME -->` are left to .ci/run, which installs what they need.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main

from structkit_cli.__main__ import main
from structkit_cli.app import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = ("README.md", "CONTRIBUTING.md", "tests/benchmarks/README.md")
MOST_LINES, MOST_WORDS = 200, 20

CODES = "--size 16 --width 4 --widest 8 --separate 2 --batch 4 --steps 3"
SHORT = {  # how a slow command begins: what makes it short
    "structkit genvideo examples/balloons.mp4 --engine vaegan": "--minutes 0.02",
    "structkit genvideo": "--max-side 48 --rounds 1",
    "structkit analogy": "--minutes 0.02",
    "structkit train analogy": "--minutes 0.02",
    "structkit train transfer": f"{CODES} --painter 4 --rounds 2 --painter-steps 2 --placer-steps 2 --painter-size 32",
    "structkit train difference": CODES,
    "structkit train action": "--width 0.1 --side 32 --frames 8 --steps 2",
    "structkit train classifier": "--width 4 --epochs 1",
    "structkit train segmenter": "--width 0.1 --size 48x36 --steps 2",
    "structkit score corruptions": "--count 6 --severity 3",
}
SMALLER = {  # how a long command begins that repeats another at its own size, or makes many files: what makes it short
    "structkit analogy examples/tower.jpg examples/canyon.jpg --max-side 192 --drafts": "--max-side 48 --rounds 1",
    "structkit analogy examples/river-map.png": "--max-side 48 --rounds 1",
    "structkit analogy examples/p*.jpg": "--max-side 48 --rounds 1",
    "structkit analogy out/clip.mp4 examples/canyon.jpg": "--max-side 48",
    "structkit genvideo examples/balloons.mp4 --loop": "--max-side 64",
    "structkit genvideo examples/balloons.mp4 --extend": "--max-side 64",
    "python examples/figures.py actions": "--clips 4",
    "python examples/avatar.py out/faces": "--count 30",
    "python examples/avatar.py out/others": "--count 8",
    "python examples/shapes.py": "--count 20",
    "python examples/streets.py": "--count 4",
}
WITHOUT_PICTURE = {
    "train": "a model is a file of weights; the pictures of other verbs show what models do",
    "score": "a score is a line of figures",
    "info": "a card is lines of text",
    "classify": "labels are lines of text",
}


@dataclass(frozen=True)
class Command:
    """A line of a page, or a block of Python."""

    line: int
    language: str
    text: str

    @property
    def words(self) -> list[str]:
        """As a shell splits it; operators are words of their own where spaces are around them."""
        return shlex.split(self.text, comments=True)

    @property
    def slow(self) -> bool:
        return self.language == "sh" and bool(re.search(r"#.*\d minutes|#.*\d CPU minutes", self.text))

    @property
    def shortened(self) -> list[str]:
        """The words, and for a long command the options that make it short."""
        table = SHORT if self.slow else SMALLER
        begins = [start for start in table if " ".join(self.words).startswith(start + " ")]
        if self.slow and not begins:
            raise ValueError(f"line {self.line}: SHORT has nothing for a slow command: {self.text}")
        return [*self.words, *(shlex.split(table[begins[0]]) if begins else ())]

    @property
    def outputs(self) -> list[str]:
        """What it says that it writes to."""
        return [
            name
            for flag, name in zip(self.words, self.words[1:], strict=False)
            if flag in ("-o", "--output", "--compare", ">") and name != "-"
        ]


def commands(page: str) -> Iterator[Command]:
    """The commands in the fenced blocks of a page, from its top; lines of shells one by one."""
    language, block, marked = None, [], False
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("```") and language is None:
            language, block = line.removeprefix("```"), []
        elif line.startswith("```"):
            if language == "python":
                yield Command(number - len(block), language, "\n".join(block))
            elif not marked:
                start = number - len(block)
                yield from (Command(start + i, language, text) for i, text in enumerate(block) if text.strip())
            language, marked = None, False
        elif language is not None:
            block.append(line)
        elif line.startswith("<!-- ci: "):
            marked = True


def run(command: Command, shims: Path) -> None:
    """Run it in the current folder: in this process where that is possible.  AssertionError if it fails."""
    before = f"line {command.line}: {command.text}"
    if command.language == "python":
        script = shims / "block.py"
        script.write_text(command.text)
        runpy.run_path(str(script))
        return
    words = command.shortened
    if words[0] == "structkit" and not {"|", "<", ">", "&&", "||"} & set(words):
        code = main(words[1:])
    else:
        assert not command.slow, f"{before} is slow, and not one program alone"
        plain = words == command.words
        text = f"set -euo pipefail\n{command.text if plain else shlex.join(words)}"
        env = {**os.environ, "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}"}
        code = subprocess.run(["bash", "-c", text], env=env).returncode
    assert code == 0, f"{before} ended with {code}"
    for name in command.outputs:
        path = Path(name)
        assert any(path.iterdir()) if path.is_dir() else path.is_file(), f"{before} did not write {name}"


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Path:
    """The current folder, with the examples of a fresh clone; returns a folder of programs by their usual names."""
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone/examples").symlink_to(ROOT / "examples", target_is_directory=True)
    (tmp_path / "bin").mkdir()
    for name, arguments in {"python": "", "structkit": "-m structkit_cli"}.items():
        shim = tmp_path / "bin" / name
        shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments} "$@"\n')
        shim.chmod(0o755)
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path / "bin"


@pytest.mark.slow
def test_every_command_runs_in_a_fresh_clone(clone, one_thread):
    for command in commands(README):
        run(command, clone)


@pytest.mark.parametrize(
    "text",
    [
        "structkit refine examples/nowhere.jpg --patches-of examples/balls.jpg -o out/a.png",
        "structkit info glasses --nonsense",
        "structkit --version | structkit --nonsense > out.txt",
        "true -o out/a.png",
        "structkit --version > out.txt && false",
        "python examples/nothing.py",
    ],
)
def test_a_command_that_does_not_work_is_found(clone, text):
    [command] = commands(f"# Page\n\n```sh\n{text}    # a comment\n```\n")
    with pytest.raises(AssertionError, match="line 4: "):
        run(command, clone)


def test_a_block_of_python_that_does_not_work_is_found(clone):
    [command] = commands("```python\nimport structkit\n\nstructkit.nothing()\n```\n")
    with pytest.raises(AttributeError):
        run(command, clone)


def test_commands_are_the_lines_of_fenced_blocks_but_for_those_of_the_machine():
    hidden, shown = "<!-- ci: test -->\n```sh\npytest\n```\n", "```sh\none\n\ntwo 'a # b'  # c\n```\n"
    page = f"a\n{hidden}`structkit`\n{shown}```python\nx\ny\n```\n"
    found = list(commands(page))
    assert [(one.line, one.language, one.text) for one in found[:2]] == [
        (8, "sh", "one"),
        (10, "sh", "two 'a # b'  # c"),
    ]
    assert found[1].words == ["two", "a # b"]
    assert (found[2].language, found[2].text) == ("python", "x\ny")


def test_a_slow_command_is_told_by_its_minutes_and_cannot_run_as_it_stands():
    lines = (
        "structkit train analogy a b  # 11 CPU minutes",
        "structkit sample a  # 2 minutes",
        "structkit info a --minutes 3",
    )
    slow, other, quick = commands("\n".join(["```sh", *lines, "```"]))
    assert (slow.slow, other.slow, quick.slow) == (True, True, False)
    assert slow.shortened == [*slow.words, *SHORT["structkit train analogy"].split()]
    assert quick.shortened == quick.words
    with pytest.raises(ValueError, match="line 3: SHORT has nothing"):
        assert other.shortened


def test_what_makes_commands_smaller_is_of_commands_that_are_there():
    ran = [command for command in commands(README) if command.language == "sh"]
    for start in SMALLER:
        assert any(not one.slow and " ".join(one.words).startswith(start + " ") for one in ran), start


def test_it_is_short():
    assert README.count("\n") <= MOST_LINES
    [first] = re.findall(r"\A# .+\n\n((?:.+\n)*?.*?\.)\s", README)
    assert len(first.split()) <= MOST_WORDS


@pytest.mark.parametrize("page", PAGES)
def test_what_it_links_to_is_there(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text())
    here = (ROOT / page).parent
    assert [link for link in links if "://" not in link and not (here / link).exists()] == []


VERBS = sorted(typer.main.get_command(app).commands)


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_a_command_and_a_picture(verb):
    shown = any(command.words[:2] == ["structkit", verb] for command in commands(README) if command.language == "sh")
    assert shown, f"README.md has no command that begins with structkit {verb}: add one"
    pictures = [
        path for verbs, path in re.findall(r"!\[([a-z, ]+):[^]]*\]\(([^)]+)\)", README) if verb in verbs.split(", ")
    ]
    way_out = "add one, or say in WITHOUT_PICTURE why there is none"
    assert bool(pictures) != (verb in WITHOUT_PICTURE), f"README.md has no picture ![{verb}: ...](...): {way_out}"


def test_pictures_are_small():
    sizes = {path.name: path.stat().st_size for path in (ROOT / "examples/gallery").iterdir()}
    assert {name: size for name, size in sizes.items() if size > 120_000} == {}
