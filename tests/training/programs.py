"""Programs that train: for what one process cannot show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TOY = Path(__file__).with_name("toy.py")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python where `toy` can be imported."""
    environment = {**os.environ, "PYTHONPATH": str(TOY.parent), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=300)
