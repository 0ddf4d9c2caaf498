"""Commands that are killed and run again: a few of the moments that `kills.py` draws."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).with_name("kills.py")


@pytest.mark.slow  # about half a minute
def test_what_was_killed_at_any_moment_ends_in_the_same_files_and_leaves_nothing_else():
    command = [sys.executable, str(KILLS), "--kills", "1", "--pictures", "24"]
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert (ran.returncode, ran.stdout.count("0 failed")) == (0, 6), ran.stdout + ran.stderr
