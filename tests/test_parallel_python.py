"""The Python interface in other processes: what can be sent there and back, and the two examples."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import structkit
from structkit.media.pictures import Picture, read_picture

ROOT = Path(__file__).parents[1]
AVATAR = ROOT / "examples/avatar.png"


def test_functions_pictures_and_models_go_to_another_process_and_results_come_back(one_thread):
    picture, model = read_picture(AVATAR), structkit.load("glasses", "cpu")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for verb in (structkit.segment, structkit.remove):
            made, sent = verb(picture, model, device="cpu"), pool.submit(verb, picture, model, device="cpu").result()
            facts = ("sha256", "metadata", "notes", "found")
            assert [getattr(sent, name) for name in facts] == [getattr(made, name) for name in facts]


@pytest.fixture
def folder(tmp_path):
    """Three pictures, and the masks that one process makes of them."""
    face, model = read_picture(AVATAR).pixels, structkit.load("glasses", "cpu")
    for name in ("in", "alone"):
        (tmp_path / name).mkdir()
    for i in range(3):
        picture = Picture(np.roll(face, 9 * i, axis=1))
        structkit.write_picture(picture, tmp_path / f"in/{i}.png")
        structkit.write_picture(structkit.segment(picture, model, device="cpu"), tmp_path / f"alone/{i}.png.png")
    return tmp_path


def masks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def start(example: str, folder: Path, *more: str) -> None:
    command = [sys.executable, ROOT / "examples" / example, folder / "in", folder / "out", "--model", "glasses", *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    environment.pop("RAY_ADDRESS", None)
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=300)
    assert masks(folder / "out") == masks(folder / "alone")


def test_a_pool_of_processes_makes_what_one_makes(folder, one_thread):
    start("pool.py", folder, "--processes", "2")


@pytest.mark.ray
def test_ray_data_makes_what_one_process_makes(folder, one_thread):
    pytest.importorskip("ray.data")
    start("ray_data.py", folder, "--workers", "1")
