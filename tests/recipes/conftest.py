"""Folders to learn from."""

from pathlib import Path

import pytest

import structkit

from .faces import TINY, fill


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """Never written to."""
    root = tmp_path_factory.mktemp("domains")
    return fill(root / "with", True), fill(root / "without", False, start=100)


@pytest.fixture(scope="module")
def path(folders, tmp_path_factory) -> Path:
    """A model of content transfer, trained on the folders."""
    path = tmp_path_factory.mktemp("models") / "band.safetensors"
    structkit.train_transfer(*folders, path, **TINY)
    return path
