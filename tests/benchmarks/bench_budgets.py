"""How good the masks are that `structkit train transfer --minutes M` learns, for several M.

    python tests/benchmarks/bench_budgets.py CASE --with FOLDER --without FOLDER --pictures FOLDER --truth FOLDER
        [--changed-from FOLDER] [--minutes 3 6 12 25] [--threads 1]

The pictures are none of those that are learnt from; truth: their true masks, or with --changed-from the same pictures
without and with the content.  The minutes are CPU minutes: the training is told the seconds that its process has
computed for those on the clock, so that the plan is that of a machine that nobody else uses.  `iou`: of `structkit
score`.  `doubts`: how many the model has of itself.

Two rows of 12 minutes are not of this script as it stands: "at 128 px" was planned by an earlier rule, which kept that
size with 5 rounds, and "from pictures of 64 px" was trained with --size 32 --painter-size 64 added to the command.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from measure import record

# Before anything else has asked for the clock.
TRAIN = (
    "import time; time.monotonic = time.process_time; import sys; from structkit_cli.__main__ import main; "
    "sys.exit(main(sys.argv[1:]))"
)


def structkit(*arguments: str, threads: int, program: tuple[str, ...] = ("-m", "structkit_cli")) -> list[dict]:
    """The records that a command prints."""
    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    ran = subprocess.run(
        [sys.executable, *program, *arguments, "--json"], env=env, stdout=subprocess.PIPE, text=True, check=True
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", help="what the pictures are")
    for flag in ("--with", "--without", "--pictures", "--truth"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--changed-from", metavar="FOLDER")
    parser.add_argument("--minutes", nargs="+", type=float, default=[3, 6, 12, 25])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--keep", type=Path, help="folder in which models and masks are kept")
    chosen = vars(parser.parse_args())
    threads = chosen["threads"]
    torch.set_num_threads(threads)
    for minutes in chosen["minutes"]:
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as temporary:
            work = chosen["keep"] or Path(temporary)
            name = f"{chosen['case'].split(',')[0].replace(' ', '-')}-{minutes:g}"
            model, masks = str(work / f"{name}.safetensors"), str(work / f"{name}-masks")
            folders = ("--with", chosen["with"], "--without", chosen["without"])
            how = ("--minutes", str(minutes), "--device", "cpu", "--dtype", chosen["dtype"])
            began, before = time.monotonic(), os.times()
            told = structkit("train", "transfer", *folders, *how, "-o", model, threads=threads, program=("-c", TRAIN))[
                -1
            ]
            wall, after = time.monotonic() - began, os.times()
            structkit("segment", chosen["pictures"], "--model", model, "-o", masks, threads=threads)
            changed = ("--changed-from", chosen["changed_from"]) if chosen["changed_from"] else ()
            iou = structkit("score", "iou", masks, chosen["truth"], *changed, threads=threads)[-1]
        plan = next(note for note in told["notes"] if note.startswith("--minutes")).split(": ", 1)[1]
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        doubts = sum(note.startswith("the model is doubtful") for note in told["notes"])
        spent = {"cpu_min": f"{cpu / 60:.2f}", "wall_min": f"{wall / 60:.1f}", "dtype": told["dtype"]}
        found = {"iou": f"{iou['scores']['iou']:.3f}", "doubts": str(doubts)}
        record(__file__, [{"case": chosen["case"], "path": f"{minutes:g} minutes", "plan": plan} | spent | found])


if __name__ == "__main__":
    main()
