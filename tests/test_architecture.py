"""The house rules that no single test of behaviour would notice: who imports whom, what is never called, what lies
where.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"structkit_cli": "cli", "structkit": "structkit", "structkit_weights": "weights"}
TOP = {
    *PACKAGES.values(),
    *("tests", "examples", ".ci", ".gitignore"),
    *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"),
}
FLOORS = (  # from the roof down; what stands on one line may import each other
    ("structkit.__main__",),
    ("structkit_cli.__main__",),
    ("structkit_cli.app",),
    ("structkit_cli.pages",),
    ("structkit_cli.run",),
    ("structkit_cli.options", "structkit_cli.config", "structkit_cli.help", "structkit_cli"),
    ("structkit",),
    ("structkit.recipes",),
    ("structkit.verbs",),
    ("structkit.engines", "structkit.models"),
    ("structkit.training", "structkit.data", "structkit.metrics"),
    ("structkit.nets", "structkit.kernels", "structkit.checkpoint", "structkit.header"),
    ("structkit.media",),
    ("structkit.device",),
    ("structkit.configs", "structkit_weights"),
    ("structkit.errors", "structkit._version"),
)


def modules() -> dict[str, Path]:
    """Every file of the packages, by the name it is imported under."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def floor(module: str) -> int:
    """How far below the roof a module stands: the floor of the longest part of its name that has one.

    KeyError for one that has none; structkit itself lends its floor to no other.
    """
    heights = {name: height for height, names in enumerate(FLOORS) for name in names}
    parts = module.split(".")
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return heights[
        next((name for name in names if name in heights and (name != "structkit" or name == module)), module)
    ]


def imported(module: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of each module that a file imports, wherever in the file that is; of ours, what it imports
    from them too.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            here = module if module in MODULES and MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
            base = ".".join(here.split(".")[: len(here.split(".")) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            names = {f"{source}.{name.name}" for name in node.names}
            inside = names & MODULES.keys()
            yield from ((node.lineno, name) for name in inside)
            if names - inside:
                yield node.lineno, source


def upward_imports(module: str, text: str) -> list[str]:
    """What a file imports from the floors above its own."""
    ours = ((line, name) for line, name in imported(module, ast.parse(text)) if name.split(".")[0] in PACKAGES)
    return [f"{module}, line {line}: imports {name}" for line, name in ours if floor(name) < floor(module)]


def private_imports(module: str, text: str) -> list[str]:
    """The private names that a file takes from another file of ours, by import or through an imported module."""
    tree, found, aliases = ast.parse(text), [], {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level or source.split(".")[0] in PACKAGES:
                found += [(node.lineno, n.name) for n in node.names if is_private(n.name)]
                aliases |= {n.asname or n.name: n.name for n in node.names}
        elif isinstance(node, ast.Import):
            ours = [n for n in node.names if n.name.split(".")[0] in PACKAGES]
            aliases |= {(n.asname or n.name).split(".")[0]: n.name for n in ours}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            base = ast.unparse(node.value).split(".")[0]
            if base in aliases and base != "self":
                found.append((node.lineno, f"{ast.unparse(node.value)}.{node.attr}"))
    return [f"{module}, line {line}: takes {name}" for line, name in sorted(found)]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_version"


def classes(text: str) -> list[str]:
    """The names of the classes of a file that are not inside others."""
    return [node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]


def defined_twice(files: dict[str, str]) -> dict[str, list[str]]:
    """The class names that more than one file defines, each with its files."""
    owners: dict[str, list[str]] = {}
    for module, text in files.items():
        for name in classes(text):
            owners.setdefault(name, []).append(module)
    return {name: modules for name, modules in owners.items() if len(modules) > 1}


def too_long(files: dict[str, bytes]) -> dict[str, int]:
    """The files that are not read at one sitting, each with its lines."""
    return {name: count for name, text in files.items() if (count := text.count(b"\n")) >= 400}


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downward(module):
    assert upward_imports(module, MODULES[module].read_text()) == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("structkit.media.files", "import structkit.engines.patch.analogy"),
        ("structkit.media.files", "from structkit.engines import patch"),
        ("structkit.kernels.vote", "def f():\n    from structkit.metrics.structure import edge_agreement"),
        ("structkit.kernels.vote", "from ..metrics import structure"),
        ("structkit.engines.patch.analogy", "from structkit import pictures"),
        ("structkit.engines.patch.analogy", "from structkit import analogy"),
        ("structkit.engines.patch.analogy", "import structkit"),
        ("structkit.engines", "from ..verbs import patchwork"),
        ("structkit.configs", "import os, structkit.device as d"),
        ("structkit.errors", "from .configs import Config"),
        ("structkit.verbs.patchwork", "from structkit_cli.run.batch import run"),
    ],
)
def test_an_upward_import_is_found(module, text):
    assert len(upward_imports(module, text)) == 1


def test_a_downward_import_and_one_on_the_same_floor_are_none():
    assert (
        upward_imports(
            "structkit.engines.patch.analogy",
            "from structkit.engines.patch.alignment import moments\nimport structkit.errors",
        )
        == []
    )
    assert upward_imports("structkit", "from .verbs import patchwork\nfrom structkit._version import __version__") == []
    assert (
        upward_imports("structkit_cli.run.batch", "import structkit, torch\nfrom structkit.device import resolve") == []
    )


def test_a_module_without_a_floor_is_an_error():
    with pytest.raises(KeyError, match="helpers"):
        upward_imports("structkit.engines.patch.analogy", "import structkit.helpers")


@pytest.mark.parametrize("module", MODULES)
def test_no_file_takes_private_names_from_another(module):
    assert private_imports(module, MODULES[module].read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "from structkit.verbs.canvas import _size",
        "from structkit_cli.run.plan import Plan, _check",
        "from .canvas import _size as size",
        "from structkit.verbs import canvas\ncanvas._size(1)",
        "import structkit.device as d\nd._memory()",
    ],
)
def test_a_private_name_of_another_file_is_found(text):
    assert len(private_imports("structkit.verbs.pair", text)) == 1


def test_private_names_of_ones_own_are_none_of_others():
    text = (
        "from structkit._version import __version__\nself._held = 1\n_helper(x)._cache\nclass A:\n    _b = __version__"
    )
    assert private_imports("structkit.verbs.pair", text) == []


def test_no_class_name_means_two_things():
    assert defined_twice({module: path.read_text() for module, path in MODULES.items()}) == {}


def test_a_class_of_two_files_is_found():
    files = {"a": "class Plan:\n    class Inner: ...", "b": "class Plan: ...", "c": "class Inner: ..."}
    assert defined_twice(files) == {"Plan": ["a", "b"]}


@pytest.mark.parametrize(
    ("name", "module"), [("structkit", "torch"), ("structkit_cli.app", "torch"), ("structkit_cli.app", "numpy")]
)
def test_what_is_imported_at_once_is_light(name, module, tmp_path):
    def imports(code: str) -> bool:
        check = f"import sys, {name}\n{code}\nsys.exit({module!r} in sys.modules)"
        return bool(
            subprocess.run([sys.executable, "-c", check], env={**os.environ, "PYTHONPATH": str(tmp_path)}).returncode
        )

    assert not imports("")
    (tmp_path / f"{module}.py").touch()  # the check can fail; the real module takes seconds to import
    assert imports(f"import {module}")


def packages(root: Path) -> set[str]:
    """The name of every folder with Python files that is to be installed."""
    return {
        ".".join((package, *path.parent.relative_to(root / folder).parts))
        for package, folder in PACKAGES.items()
        for path in (root / folder).rglob("*.py")
    }


def test_every_folder_with_python_files_is_installed():
    """They are named by hand, since what is found by itself would be called `cli`, as its folder is."""
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(named) == sorted(packages(ROOT))
    assert [name for name in named if name not in MODULES] == []  # each has an __init__.py


def test_a_new_folder_is_found(tmp_path):
    for path in ("structkit/a.py", "structkit/new/deep/b.py", "cli/pages/c.py", "cli/pages/__pycache__/c.pyc"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert packages(tmp_path) == {"structkit", "structkit.new.deep", "structkit_cli.pages"}


def tracked() -> list[str]:
    """The files of the repository; a copy without git has what it has."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what belongs to the repository is not known")
    return subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\0"
    )[:-1]


def test_the_top_level_holds_what_the_design_names_and_nothing_else():
    assert {name.split("/")[0] for name in tracked()} - TOP == set()


def test_every_file_is_read_at_one_sitting():
    assert too_long({name: (ROOT / name).read_bytes() for name in tracked() if name.endswith(".py")}) == {}


def test_a_long_file_is_found():
    assert too_long({"long.py": b"\n" * 400, "short.py": b"\n" * 399}) == {"long.py": 400}
