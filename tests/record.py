"""The record of a version: the SHA-256 of all that each verb writes and prints, from examples/ and small inputs.

    python tests/record.py RECORD.json                  # makes it, in minutes
    python tests/record.py RECORD.json --beside OLD.json    # and names what differs

For changes that are to change nothing: the record before and after is the same, on one machine with as many threads.
Times are left out, and so are locks.  Commands run in a scratch folder, so no path of the machine is in it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from record_inputs import EXAMPLES, prepare

PAIR = "--steps 6 --size 40 --coarsest 20 --quiet"
CLIP = "--size 24 --coarsest 16 --window 5 --strides 2,1 --width 4 --latent 2 --steps 4 --quiet"
SPEED = "--frames 8 --smallest 32 --largest 40 --width 0.25 --batch 2 --steps 6 --checks 2 --quiet"
FOLDERS = "--size 32 --steps 8 --batch 4 --quiet"
ACTION = "--width 0.1 --side 32 --frames 8 --batch 4 --steps 6 --quiet"
NAMES = "--width 4 --side 16 --batch 6 --quiet"
SCENES = "--source scenes/images scenes/labels --labels scenes/map.json --size 32x24 --width 0.05 --batch 2 --quiet"
PAINTER = "--painter-size 32 --rounds 2 --painter-steps 4 --placer-steps 4"

# One command a line; those that begin with ~ are stopped by SIGTERM on their way, as soon as their log has lines.
COMMANDS = f"""
analogy pebbles.jpg balls.jpg --max-side 96 -o analogy.png
analogy pebbles.jpg balls.jpg --max-side 80 --strength 0.9 --seed 3 -o strong.jpg --quality 90
analogy pebbles.jpg balls.jpg --max-side 80 --mode style -o style.png
analogy letter.png mosaic.jpg --max-side 80 --mode texture --completeness 0.5 -o texture.webp
analogy paint.png mountains.jpg --size 90x60 --mode paint -o painting.png
analogy lake.jpg canyon.jpg --max-side 64 --match colour --patch 5 --rounds 3 --coarsest 20 -o colour.png
analogy clear.png balls.jpg --max-side 64 -o clear-of-balls.png
analogy deep.png clear.png --max-side 64 -o deep-of-clear.png
analogy pebbles.jpg balls.jpg --max-side 64 COUNT=2 --both --compare strip.png -o drawn/
analogy some balls.jpg --max-side 48 -o batch/ --json
analogy some balls.jpg --max-side 48 -o batch/ --json
analogy some others --max-side 48 -o pairs/ --compare strips/
analogy clip.mkv balls.jpg --max-side 64 -o clip.mp4 --json
analogy clip.mkv balls.jpg --size 64x48 --mode style --quality 80 -o clip.webm
sample pebbles.jpg -n 2 --max-side 72 -o sample/
sample clear.png -n 1 --size 48x40 --variety 0.8 -o sampled.png --json
retarget lake.jpg --size 96x48 -o wide.png
refine rough.png --patches-of pebbles.jpg --max-side 80 -o refined.png --json
genvideo clip.mkv COUNT=2 --max-side 48 -o new/ --json --compare new.png
genvideo clip.mkv --loop --max-side 48 --frames 8 -o loop.gif --compare loop.html
genvideo clip.mkv --extend 3 --extend-back 2 --max-side 48 -o longer.webp --quality 80
genvideo clip.mkv --slow 2 --max-side 48 -o slow.png
genvideo clip.mkv --size 96x32 --max-side 48 COUNT=1 --format webm --json
speedup clip.mkv --rate 2 --curve curve.json --report curve.html -o short.mp4 --json
speedup clip.mkv --from-curve curve.json --rate 1.5 --audio varispeed --resample blend -o shorter.mkv
speedup clip.mkv --rate 1.2 --keep 0-0.1s --protect-speech --resample vfr --curve curve.svg -o kept.mp4
speedup clip.mkv --dry-run --json
speedup clip.mkv --dry-run --curve curve.csv --silence-speed 4
corrupt lake.jpg --kind all,extra --severity 3 -o damaged/ --json
corrupt some clear.png --kind fog,glass_blur --severity 1,5 -o corrupted/
remove avatar.png --model glasses -o plain.png
remove avatar.png deep.png --model glasses --model beard -o removed/ --json
segment avatar.png --model glasses -o mask.png
segment avatar.png clear.png --model glasses --soft -o soft/
segment avatar.png --model glasses --overlay --threshold 0.3 -o overlay.png
transfer face.png --model glasses --from avatar.png -o put.png --json
transfer face.png --model glasses --from avatar.png --by codes --strength 0.7 -o codes.png
transfer face.png --model glasses --from avatar.png --from face.png --steps 3 -o steps/
transfer face.png deep.png --model glasses --from avatar.png --from face.png -o each/ --json
transfer face.png --model glasses --from avatar.png --model beard --from avatar.png -o both.png
train analogy pebbles.jpg balls.jpg {PAIR} -o pair.safetensors
~train analogy pebbles.jpg balls.jpg {PAIR} --steps 300 -o stopped.safetensors
train analogy pebbles.jpg balls.jpg {PAIR} --steps 300 -o stopped.safetensors
train analogy pebbles.jpg balls.jpg {PAIR} --steps 300 -o whole.safetensors
train analogy letter.png mosaic.jpg {PAIR} --mode text --json -o text.safetensors
train analogy clip.mkv balls.jpg {PAIR} --frames 3 -o moving.safetensors
analogy --model pair.safetensors COUNT=2 -o drawn-pair/ --json
analogy --model pair.safetensors --draw partner -o partner.png
analogy --model pair.safetensors --both --compare compared.png -o both-ways/
analogy lake.jpg --model pair.safetensors --inject 1 -o injected.png
analogy lake.jpg balls.jpg --model pair.safetensors --refine patches --size 64x48 -o painted.png
analogy lake.jpg --model pair.safetensors --refine chain -o chain.png
analogy clip.mkv --model moving.safetensors -o moved.mp4
analogy clip.mkv --model moving.safetensors --refine patches --size 48x32 -o moved-patches.mkv
train genvideo clip.mkv {CLIP} -o moves.safetensors
~train genvideo clip.mkv {CLIP} --steps 300 -o moves-stopped.safetensors
train genvideo clip.mkv {CLIP} --steps 300 -o moves-stopped.safetensors
genvideo --model moves.safetensors COUNT=2 -o drawn-clips/ --json
genvideo clip.mkv --model moves.safetensors --refine patches --size 48x32 -o painted.gif
genvideo clip.mkv --model moves.safetensors --inject 1 -o injected-clip.png
train speednet moving {SPEED} -o speed.safetensors
~train speednet moving {SPEED} --steps 400 -o speed-stopped.safetensors
train speednet moving {SPEED} --steps 400 -o speed-stopped.safetensors
train action ways {ACTION} -o action.safetensors
~train action ways {ACTION} --steps 300 -o action-stopped.safetensors
train action ways {ACTION} --steps 300 -o action-stopped.safetensors
train action ways --init action.safetensors --baseline --steps 4 --batch 4 --json -o tuned.safetensors
classify ways --model action.safetensors
classify ways/down --model tuned.safetensors --top 1 --json
classify ways -o labels.csv --model action.safetensors
similar ways/across/0.mp4 ways --model action.safetensors
similar ways/across/0.mp4 --at 0:00.2 --model action.safetensors --json
similar ways/across/0.mp4 ways --model action.safetensors -n 3 -o sheet.png
similar ways/across/0.mp4 ways/down --model action.safetensors -o similar.json --json
train classifier kinds {NAMES} --epochs 4 -o classifier.safetensors
~train classifier kinds {NAMES} --epochs 60 -o classifier-stopped.safetensors
train classifier kinds {NAMES} --epochs 60 -o classifier-stopped.safetensors
train classifier kinds {NAMES} --epochs 1 --padain 0.5 --augmix --json -o augmix.safetensors
classify kinds --model classifier.safetensors
classify some clear.png --model augmix.safetensors --top 1 --json
corrupt kinds --kind fog,contrast --severity 1,5 -o foggy/
score corruptions kinds --model classifier.safetensors --kind fog,contrast --severity 1,5 --chart errors.svg
score corruptions kinds --model classifier.safetensors --corrupted foggy --json
score texture kinds --model classifier.safetensors --json
train segmenter {SCENES} --steps 6 -o segmenter.safetensors
~train segmenter {SCENES} --target scenes/night --adapt fada --steps 60 -o segmenter-stopped.safetensors
train segmenter {SCENES} --target scenes/night --adapt fada --steps 60 -o segmenter-stopped.safetensors
train segmenter {SCENES} --target scenes/night --adapt bn --padain 0.5 --steps 4 --json -o adapted.safetensors
segment scenes/night --model segmenter.safetensors -o regions/ --json
segment scenes/night/0.png --model adapted.safetensors --overlay -o regions.png
score iou regions scenes/labels --labels scenes/map.json --json
train transfer --with glasses --without plain {FOLDERS} {PAINTER} -o content.safetensors
~train transfer --with glasses --without plain {FOLDERS} {PAINTER} --steps 400 -o content-stopped.safetensors
train transfer --with glasses --without plain {FOLDERS} {PAINTER} --steps 400 -o content-stopped.safetensors
train transfer --with glasses --without plain {FOLDERS} --painter 0 --rounds 0 --json -o codes.safetensors
train difference glasses plain {FOLDERS} -o difference.safetensors
remove face.png --model content.safetensors -o content-removed.png
transfer face.png --model content.safetensors --from avatar.png -o content-put.png
segment face.png --model codes.safetensors --soft -o codes-mask.png
transfer face.png --model codes.safetensors --from avatar.png -o codes-put.png
transfer face.png --model difference.safetensors --from avatar.png --from-b face.png -o difference.png --json
transfer face.png --model difference.safetensors --from avatar.png --steps 2 -o difference-steps/
remove face.png --model difference.safetensors -o difference-removed.png
score iou mask.png mask.png
score iou masks truth --json
score psnr plain.png avatar.png --json
score ssim plain.png avatar.png
score psnr some some
score independence glasses plain --model content.safetensors --json
score independence glasses plain --model difference.safetensors
info pair.safetensors
info content.safetensors --json
info difference.safetensors
info glasses
analogy --print-config
sample x --print-config
retarget x --print-config
refine x --print-config
genvideo x --print-config
speedup x --print-config
train genvideo x --print-config
train speednet x --print-config
similar x --print-config
classify x --print-config
train action x --print-config
train classifier x --print-config
train segmenter --print-config
corrupt x --print-config
score corruptions x --print-config
score texture x --print-config
transfer x --print-config
remove x --print-config
segment x --print-config
train analogy x y --print-config
train transfer --print-config
train difference x y --print-config
score iou x y --print-config
score independence x y --print-config
analogy pebbles.jpg
analogy missing.png balls.jpg -o never.png
analogy damaged.png balls.jpg -o never.png
analogy pebbles.jpg balls.jpg -o analogy.png
analogy pebbles.jpg balls.jpg --strength 2 -o never.png
analogy pebbles.jpg balls.jpg --inject 1 -o never.png
analogy pebbles.jpg balls.jpg --device cuda:7 -o never.png
analogy empty balls.jpg -o never/
analogy --model glasses -o never.png
genvideo
genvideo clear.png -o never.mp4
genvideo clip.mkv --slow 2 --loop -o never.mp4
speedup clip.mkv --rate 20 -o never.mp4
speedup clip.mkv --from-curve damaged.png -o never.mp4
speedup clear.png -o never.mp4
genvideo clip.mkv --refine patches -o never.mp4
genvideo --model glasses -o never.mp4
similar ways/across/0.mp4 --model action.safetensors
similar ways/across/0.mp4 ways --model glasses
classify clear.png --model action.safetensors
classify ways --model action.safetensors -o never.txt
train action glasses -o never.safetensors
train action ways/down -o never.safetensors
classify clear.png --model glasses
corrupt clear.png --kind rain -o never.png
train classifier plain -o never.safetensors
train segmenter --source scenes/images plain -o never.safetensors
score corruptions kinds --model segmenter.safetensors
segment clear.png --model segmenter.safetensors --soft -o never.png
remove avatar.png -o never.png
remove avatar.png --model nothing -o never.png
segment avatar.png --model difference.safetensors -o never.png
transfer face.png --model glasses -o never.png
transfer face.png --model difference.safetensors --from avatar.png --by codes -o never.png
train transfer --with glasses --without glasses -o never.safetensors
train difference glasses missing -o never.safetensors
train analogy pebbles.jpg balls.jpg --steps 7 -o pair.safetensors
info damaged.png
score iou empty empty
""".strip().splitlines()


def plain(text: str, folder: Path) -> str:
    """What was printed, without times and places."""
    text = text.replace(str(folder), "FOLDER").replace(str(EXAMPLES.parent), "STRUCTKIT")
    text = re.sub(r'"ms": \d+', '"ms": 0', text)
    text = re.sub(r"\b\d+(:\d\d)+\b", "0:00", text)
    return re.sub(r"\b\d+\.\d+ s\b", "0.0 s", text)


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file below the folder, but for locks."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def ran(line: str, folder: Path, count: str) -> dict[str, object]:
    """The exit code of a command, and what it printed."""
    stopped, line = line.startswith("~"), line.lstrip("~").replace("COUNT=", f"{count} ")
    command = [sys.executable, "-m", "structkit_cli", *line.split()]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=folder, text=True, **streams) as process:
        if stopped:
            log = folder / line.split()[-1].replace(".safetensors", ".log.jsonl")
            while process.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") > 2):
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    if stopped:
        return {"exit": process.returncode}
    return {"exit": process.returncode, "out": plain(out, folder), "err": plain(err, folder)}


def recorded(count: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Each command with what came of it; a stopped one leaves files that depend on when that was."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        prepare(folder)
        before = digests(folder)
        yield "inputs", before
        for line in COMMANDS:
            facts = ran(line, folder, count)
            after = digests(folder)
            changed = {name: digest for name, digest in after.items() if before.get(name) != digest}
            gone = sorted(before.keys() - after.keys())
            before = after
            yield (
                line,
                facts
                if line.startswith("~")
                else facts | {"files": changed, "gone": [] if "stopped" in line else gone},
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path)
    parser.add_argument("--beside", type=Path, help="an older record: what differs is printed")
    parser.add_argument("--count", default="--count", help="how the number of results is asked for")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    record: dict[str, list[object]] = {}
    for line, facts in recorded(asked.count):
        record.setdefault(line, []).append(facts)
        print(line, facts.get("exit", ""), flush=True)
    asked.record.write_text(json.dumps(record, indent=1))
    if asked.beside:
        old = json.loads(asked.beside.read_text())
        differs = [line for line in {**old, **record} if old.get(line) != json.loads(json.dumps(record.get(line)))]
        for line in differs:
            print(f"differs: {line}\n  old {json.dumps(old.get(line))}\n  new {json.dumps(record.get(line))}")
        sys.exit(bool(differs))


if __name__ == "__main__":
    main()
