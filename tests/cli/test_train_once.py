"""One training at a time for one output, from the command line and from Python alike; each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from .conftest import paint

FROM_PYTHON = """
import structkit
from structkit.errors import OutputError
try:
    structkit.train_analogy("house.png", "cake.png", "out/pair.safetensors", size=30, coarsest=18, width=4, widest=4,
                            steps=3, dtype="float32", device="cpu")
except OutputError as error:
    sys.exit(f"structkit: error: {error}")
"""
FROM_COMMAND_LINE = """
from structkit_cli.__main__ import main
sys.exit(main("train analogy house.png cake.png -o out/pair.safetensors --size 30 --coarsest 18 --width 4 --widest 4 "
              "--steps 3 --dtype float32 --device cpu --quiet".split()))
"""
STOPPED = """
import time
from pathlib import Path
from structkit.engines.pair.training import PairTraining
step = PairTraining.step
def stopped(*given):
    Path("begun").touch()
    while not Path("go").exists():
        time.sleep(0.01)
    return step(*given)
PairTraining.step = stopped
"""


@pytest.mark.parametrize(("first", "second"), [(FROM_PYTHON, FROM_COMMAND_LINE), (FROM_COMMAND_LINE, FROM_PYTHON)])
def test_a_training_from_python_and_one_from_the_command_line_exclude_each_other(tmp_path, first, second):
    paint(tmp_path / "house.png", 1, side=32), paint(tmp_path / "cake.png", 2, side=32)
    (tmp_path / "out").mkdir()
    how = {"cwd": tmp_path, "env": {**os.environ, "OMP_NUM_THREADS": "1"}, "text": True, "stderr": subprocess.PIPE}
    training = subprocess.Popen([sys.executable, "-c", f"import sys\n{STOPPED}{first}"], **how)
    while training.poll() is None and not (tmp_path / "begun").exists():
        time.sleep(0.01)
    refused = subprocess.run([sys.executable, "-c", f"import sys\n{second}"], **how)
    (tmp_path / "go").touch()
    assert (training.communicate()[1], training.returncode) == ("", 0)
    fact = "another process is training it now; wait for its end, or name another output"
    assert refused.stderr == f"structkit: error: out/pair.safetensors: {fact}\n" and refused.returncode
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["pair.log.jsonl", "pair.safetensors"]
