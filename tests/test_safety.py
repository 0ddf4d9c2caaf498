"""Rules of what a file may call: nothing that runs data as code, and no private name of a library."""

from __future__ import annotations

import ast

import pytest

from .test_architecture import MODULES, ROOT, imported

LIBRARIES = {
    *("torch", "torchvision", "triton", "numpy", "PIL", "av", "safetensors"),
    *("typer", "click", "rich", "filelock"),
}
UNDOCUMENTED = "torch.distributed.nn"  # a name that is private without looking so
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MADE_TO_BE_REFUSED = {  # tests that write a pickle, to see it refused, and how
    "tests/data/test_features.py": "says allow_pickle",
    "tests/data/test_labelled.py": "imports pickle",
}


def unsafe(text: str) -> list[str]:
    """Where a file could run what it was given as data: unpickling, eval and exec."""
    tree, found = ast.parse(text), []
    aliases = {
        name.asname: name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
        if name.asname
    }
    for line, name in imported("", tree):
        if name.split(".")[0] in UNPICKLERS:
            found.append(f"line {line}: imports {name}")
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.ImportFrom)
            and (node.module or "").split(".")[0] == "torch"
            and any(n.name == "load" for n in node.names)
        ):
            found.append(f"line {node.lineno}: imports torch's load")
        if isinstance(node, ast.Call):
            first, *rest = ast.unparse(node.func).split(".")
            called = [*aliases.get(first, first).split("."), *rest]
            if called[-1] in ("eval", "exec") and (called[0] == "builtins" or len(called) == 1):
                found.append(f"line {node.lineno}: calls {called[-1]}")
            if called[0] == "torch" and called[-1] == "load":
                found.append(f"line {node.lineno}: calls {'.'.join(called)}")
            if any(keyword.arg == "allow_pickle" for keyword in node.keywords):
                found.append(f"line {node.lineno}: says allow_pickle")
    return found


def private_names(text: str) -> list[str]:
    """The private names of libraries that a file uses: a part of them begins with an underscore.

    `getattr` with a default is none: it says what is done where there is no such name.
    """
    tree = ast.parse(text)
    full = {}  # of each name that an import binds
    used = {(line, name) for line, name in imported("", tree) if name}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            full |= {n.asname or n.name.split(".")[0]: n.name if n.asname else n.name.split(".")[0] for n in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            full |= {n.asname or n.name: f"{node.module}.{n.name}" for n in node.names}
            used |= {(node.lineno, f"{node.module}.{n.name}") for n in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, *rest = _parts(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr" and len(node.args) == 2:
            first, *rest = ast.unparse(node.args[0]).split(".")
            rest.append(str(getattr(node.args[1], "value", "")))
        else:
            continue
        used.add((node.lineno, ".".join([full.get(first, ""), *rest])))
    return [f"line {line}: {name}" for line, name in sorted({(line, _private(name)) for line, name in used}) if name]


def _parts(node: ast.expr) -> list[str]:
    """The names along a chain of attributes, calls and subscripts; what calls are handed is none of them."""
    names = []
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        names += [node.attr] if isinstance(node, ast.Attribute) else []
        node = node.func if isinstance(node, ast.Call) else node.value
    return [node.id if isinstance(node, ast.Name) else "", *reversed(names)]


def _private(name: str) -> str:
    """A library's name up to its first private part; empty where there is none."""
    parts = name.split(".")
    for end, part in enumerate(parts, 1):
        is_hidden = part.startswith("_") and not part.startswith("__")
        if parts[0] in LIBRARIES and (is_hidden or ".".join(parts[:end]) == UNDOCUMENTED):
            return ".".join(parts[:end])
    return ""


@pytest.mark.parametrize("path", [*MODULES.values(), *EXAMPLES, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_unpickles_or_evaluates(path):
    known = MADE_TO_BE_REFUSED.get(str(path.relative_to(ROOT)), "nothing")
    assert [found for found in unsafe(path.read_text()) if known not in found] == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "from _pickle import Unpickler",
        "eval('1')",
        "exec(text)",
        "import builtins\nbuiltins.eval(text)",
        "import torch\ntorch.load(path)",
        "import torch\ntorch.load(path, weights_only=True)",
        "import torch as t\nt.jit.load(path)",
        "from torch import load",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
    ],
)
def test_what_unpickles_or_evaluates_is_found(text):
    assert len(unsafe(text)) == 1


def test_what_only_looks_alike_is_not_found():
    assert (
        unsafe("import json, re\nmodel.eval()\njson.load(f)\nre.compile('a')\nstructkit.load(path)\n'torch.load(x)'")
        == []
    )


@pytest.mark.parametrize("module", MODULES)
def test_no_private_name_of_a_library_is_used(module):
    known = [UNDOCUMENTED] if module == "structkit.training.meeting" else []  # which says why
    assert [name for name in private_names(MODULES[module].read_text()) if not any(k in name for k in known)] == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import torch._dynamo", "torch._dynamo"),
        ("import torch.distributed.nn", "torch.distributed.nn"),
        ("from torch.distributed import nn", "torch.distributed.nn"),
        ("from torch import _C", "torch._C"),
        ("from PIL._util import is_path as p", "PIL._util"),
        ("def f():\n    from typer._click import x", "typer._click"),
        ("import torch\ntorch._C._get_tracing_state()", "torch._C"),
        ("import torch.nn as layers\nlayers.modules._functions", "torch.nn.modules._functions"),
        ("import torch\ntorch.round(x)._backward", "torch.round._backward"),
        ("import numpy as np\nnp._core.multiarray.array", "numpy._core"),
        ("from torch import distributed as dist\ndist._tensor", "torch.distributed._tensor"),
        ("import torch.distributed as dist\ndist.nn.all_gather(x)", "torch.distributed.nn"),
        ("import torch\ngetattr(torch.cpu, '_is_avx512_bf16_supported')()", "torch.cpu._is_avx512_bf16_supported"),
    ],
)
def test_a_private_name_of_a_library_is_found(text, name):
    assert private_names(text) == [f"line {text.count(chr(10)) + 1}: {name}"]


def test_a_name_that_is_no_librarys_or_not_private_is_not_found():
    own = "from structkit._version import __version__\nself._x\nother._y._z\nfrom ._parts import a"
    public = "import torch, torch.nn\ntorch.__version__\ntorch.nn.Module\nself.torch._x\nfrom torch import nn"
    assert private_names(own) == private_names(public) == []
    assert private_names("import torch\ntorch.round(self._x.y).clamp(other._z)") == []
    assert private_names("import torch\ngetattr(torch.cpu, '_x', None)\ngetattr(torch, name)") == []
