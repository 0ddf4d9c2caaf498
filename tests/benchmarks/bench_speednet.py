"""What SpeedNet learns from minutes of video, with each device against shortcuts on and off, beside the mean motion.

    python tests/benchmarks/bench_speednet.py CASE --videos FOLDER... --held NAME=FOLDER... [--steps 600]
        [--only relative binary ...] [--keep FOLDER] [--seed 0] [--set network=s3dg --set width=0.25]
        [--dtype bfloat16] [--note WORDS]

Each variant is trained on `--videos` alone, and scored on each folder of `--held`, of which it sees nothing: clips at
their own speed, and with every second frame left out.  `accuracy`, `low`, `high`: of telling clips apart, with its 95 %
interval.  `pairwise`: of telling which of two versions of a moment is the faster.  `auc`: the chance that a sped-up
clip has a higher logit than a natural one.  The row `motion` has the same of the mean motion, whose threshold is the
best one on `--videos`; `trusted` says whether the interval is above it and above 55 %.
With --keep the checkpoints stay, and what is there is not trained again.  --note stands behind each variant, for what
--set changes in all of them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from measure import record

from structkit import train_speednet
from structkit.configs import SpeedNetConfig
from structkit.data.moments import Moments
from structkit.data.proxies import ProxyCache
from structkit.data.videos import list_videos, read_videos
from structkit.engines.speednet.model import LEAST_ACCURACY
from structkit.engines.speednet.scoring import MotionScores, score_speeds

VARIANTS: dict[str, dict[str, Any]] = {
    "relative": {},
    "binary": {"objective": "binary"},
    "ranked": {"objective": "ranked"},
    "ranked, of motion": {"objective": "ranked", "sees": "motion"},
    "relative, of motion": {"sees": "motion"},
    "relative, one scale": {"zoom": False},
    "binary, one scale": {"objective": "binary", "zoom": False},
    "relative, bernoulli": {"sampler": "bernoulli"},
    "relative, dither": {"sampler": "dither"},
    "relative, no time augmentation": {"time_augmentation": False},
    "relative, no space augmentation": {"space_augmentation": False},
    "relative, no jitter": {"jitter": 0.0},
    "relative, no noise, no blur": {"noise": 0.0, "blur": 0.0},
    "binary, not in the same batch": {"objective": "binary", "same_batch": False},
    "binary, no device": {
        **{"objective": "binary", "same_batch": False, "zoom": False, "jitter": 0.0},
        **{"noise": 0.0, "blur": 0.0},
        **{"time_augmentation": False, "space_augmentation": False},
    },
}
SIDE, MOST = 160, 400  # px of the proxies; moments of a folder that are looked at


def moments(folders: list[str], cache: Path, config: SpeedNetConfig) -> Moments:
    """The moments of all videos of some folders."""
    found = read_videos(list_videos(folders), ProxyCache(cache, SIDE), least=config.least_pool, most_bytes=4e9)
    return Moments(found.proxies, config.pool, config.least_pool)


def value(text: str) -> tuple[str, Any]:
    """An option of the configuration: network=s3dg."""
    name, _, given = text.partition("=")
    for kind in (int, float):
        try:
            return name, kind(given)
        except ValueError:
            continue
    return name, {"true": True, "false": False}.get(given, given)


def row(case: str, path: str, card: dict[str, float], prefix: str = "") -> dict[str, str]:
    """The scores of a card."""
    low, high = (f"{card[name]:.3f}" if not prefix else "" for name in ("accuracy_low", "accuracy_high"))
    shares = {name: f"{card[prefix + name]:.3f}" for name in ("accuracy", "pairwise", "auc")}
    above = card["accuracy_low"] > max(LEAST_ACCURACY, card["flow_accuracy"])
    found = {"accuracy": shares["accuracy"], "low": low, "high": high, "pairwise": shares["pairwise"]}
    trusted = "" if prefix else ("yes" if above else "no")
    return {"case": case, "path": path} | found | {"auc": shares["auc"], "trusted": trusted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", help="what the videos are")
    parser.add_argument("--videos", nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--held", nargs="+", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--set", dest="settings", action="append", type=value, default=[], metavar="NAME=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--note", default="")
    parser.add_argument("--keep", type=Path, help="folder in which checkpoints and decoded videos are kept")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as temporary:
        work = chosen.keep or Path(temporary)
        cache = work / "videos"
        cache.mkdir(parents=True, exist_ok=True)
        # The videos that are learned from are not held out: those of --held are.
        options = {"steps": chosen.steps, "held": 0.0, "checks": 1, **dict(chosen.settings)}
        plain = SpeedNetConfig(**options).filled()
        seen = moments(chosen.videos, cache, plain)
        held = {name: moments([folder], cache, plain) for name, _, folder in (h.partition("=") for h in chosen.held)}
        motions: dict[str, MotionScores | None] = {}
        for variant in chosen.only:
            output = work / f"{chosen.case}-{variant}-{chosen.steps}-{chosen.seed}.safetensors".replace(" ", "-")
            link = output.with_suffix(".cache")
            if not link.exists():
                link.symlink_to(cache.resolve(), target_is_directory=True)
            began = time.process_time()
            settings = options | VARIANTS[variant]
            if not settings.get("space_augmentation", True):  # then all clips are of one side
                settings = {name: one for name, one in settings.items() if name not in ("smallest", "largest")}
            how = {"seed": chosen.seed, "device": "cpu", "dtype": chosen.dtype}
            net = train_speednet(chosen.videos, output, **how, **settings)
            cpu = f"{(time.process_time() - began) / 60:.1f}"
            for name, some in held.items():
                case, told = f"{chosen.case} -> {name}", name in motions
                found = score_speeds(net, some, seen, most=MOST, beside=not told)
                card = replace(found, motion=motions.setdefault(name, found.motion)).card()
                rows = [] if told else [row(case, "motion", card, "flow_")]
                rows.append(row(case, variant + chosen.note, card))
                shown = {"moments": str(min(MOST, len(some.spread(2 * plain.frames, MOST)))), "steps": str(plain.steps)}
                record(__file__, [one | shown | {"cpu_min": cpu, "seed": str(chosen.seed)} for one in rows])


if __name__ == "__main__":
    main()
