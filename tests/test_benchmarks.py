"""Benchmarks: what each imports is there, and so is the step that it is measured against."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "benchmarks"
BENCHMARKS = sorted(HERE.glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_is_there(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("structkit"):
            module = importlib.import_module(node.module)
            missing = [n.name for n in node.names if not hasattr(module, n.name)]
            assert all(importlib.util.find_spec(f"{node.module}.{name}") for name in missing)


@pytest.mark.parametrize("name", ["pair", "transfer", "difference", "genvideo"])
def test_the_published_step_is_found(name, monkeypatch):
    spec = importlib.util.spec_from_file_location("measure", HERE / "measure.py")
    measure = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(measure)
    assert "step" in " ".join(dir(measure.plain(name)))
