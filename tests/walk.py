"""The walk of a command from its page down to tensors: the files that its calls pass through, by a trace.

    python tests/walk.py            # counts for remove, analogy, a video analogy and train transfer

A file is on the walk if a function of it is called.  A file that is entered again, by a call further down while it is
still at work, is named: whoever reads the walk would come to it twice.  Progress and reports go up, and do not count.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
WALKS = {
    "remove": "remove {examples}/avatar.png --model glasses -o removed.png",
    "analogy": "analogy {examples}/pebbles.jpg {examples}/balls.jpg --max-side 48 -o analogy.png",
    "analogy of a video": "analogy clip.mkv {examples}/balls.jpg --max-side 48 -o clip.mp4",
    "train transfer": "train transfer --with glasses --without plain --size 32 --steps 4 --batch 4 --painter-size 32 "
    "--rounds 1 --painter-steps 2 --placer-steps 2 --quiet -o model.safetensors",
}
UPWARD = {"progress", "report", "event", "note", "tell", "say", "told", "line", "share", "record", "ended"}

TRACE = """
import os, sys, threading
from pathlib import Path
import structkit, structkit_cli
homes = [os.path.dirname(m.__file__) + os.sep for m in (structkit, structkit_cli)]
files, again, names = set(), set(), {}
upward = set(sys.argv[1].split(","))

def ours(frame):
    path = frame.f_code.co_filename
    if path not in names:
        home = next((h for h in homes if path.startswith(h)), None)
        names[path] = None if home is None else os.path.join(os.path.basename(home[:-1]), path[len(home):])
    return names[path]

def trace(frame, event, argument):
    if event != "call" or frame.f_code.co_name == "<module>" or not (name := ours(frame)):
        return
    stack, up, goes_up = [], frame, False
    while up is not None:
        goes_up = goes_up or up.f_code.co_name in upward
        if here := ours(up):
            if up.f_code.co_name == "<module>":  # what is imported is not on the way
                return
            if not stack or stack[-1] != here:
                stack.append(here)
        up = up.f_back
    files.add(name)
    if goes_up:
        return
    if name in stack[1:]:
        again.add((name, frame.f_code.co_name, " > ".join(reversed(stack))))

sys.setprofile(trace)
threading.setprofile(trace)
from structkit_cli.__main__ import main
code = main(sys.argv[2:])
sys.setprofile(None)
print(code, len(files))
for name in sorted(files):
    print("file", name)
for name, function, stack in sorted(again):
    print("again", name, function, "|", stack)
"""


def walked(words: str) -> list[str]:
    """The lines that the trace of a command prints."""
    command = [sys.executable, "-c", TRACE, ",".join(sorted(UPWARD)), *words.format(examples=EXAMPLES).split()]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.splitlines()


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    from record import prepare

    with tempfile.TemporaryDirectory() as scratch:
        prepare(Path(scratch))
        os.chdir(scratch)
        for name, words in WALKS.items():
            lines = walked(words)
            counts = next(line for line in lines if line.split()[0].isdigit())
            print(f"{name}: exit and files {counts}")
            if "-v" in sys.argv:
                print("\n".join(line for line in lines if line.startswith(("file", "again"))))
            else:
                print("\n".join(sorted({" ".join(line.split()[:3]) for line in lines if line.startswith("again")})))


if __name__ == "__main__":
    main()
