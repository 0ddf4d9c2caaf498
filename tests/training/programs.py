"""Programs that train: for what one process cannot show, and what one process makes of the same."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import torch

from .toy import Toy

TOY = Path(__file__).with_name("toy.py")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python where `toy` can be imported."""
    environment = {**os.environ, "PYTHONPATH": str(TOY.parent), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=300)


def assert_as_alone(folder, alone):
    """What several processes left is what one leaves with the whole batch, up to rounding."""
    model, lines = alone
    together = Toy.load(folder / "m.safetensors").tensors()
    for name, tensor in model.tensors().items():
        torch.testing.assert_close(together[name], tensor, rtol=1e-3, atol=1e-5)
    for one, other in zip(lines, (folder / "m.log.jsonl").read_text().splitlines(), strict=True):
        for name, value in json.loads(one).items():
            found = json.loads(other)[name]
            assert math.isclose(found, value, rel_tol=1e-3) if isinstance(value, float) else found == value
    assert sorted(path.name for path in folder.iterdir()) == ["m.log.jsonl", "m.safetensors"]
