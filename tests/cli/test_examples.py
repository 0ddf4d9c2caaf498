"""The `Example:` line of every page: as it stands, on small pictures, with options behind it that make it quick."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from structkit.configs import DifferenceConfig, PairConfig
from structkit.engines.difference.model import DomainDifference
from structkit.engines.pair.model import PairAnalogy
from structkit.media.moving_pictures import write_clip
from structkit_cli.app import GROUPS

from ..label_models import tiny_classifier
from ..labelled_toys import class_tree
from ..speed_models import class_folders, film, tiny_action, tiny_speednet
from ..speed_videos import drifting, write_video
from .conftest import paint, small_clip

PAGES = {
    f"{words[10:]} {page.__name__.removeprefix('train_')}".lower().strip(): page
    for pages, words in GROUPS
    for page in pages
}
MATCHING = "--patch 5 --rounds 1"
CODES = "--size 16 --width 4 --widest 8 --separate 2 --batch 4 --steps 2 --dtype float32 --device cpu"
QUICK = {
    **dict.fromkeys(("analogy", "sample", "refine"), f"{MATCHING} --max-side 32"),
    "retarget": MATCHING,
    "genvideo": f"{MATCHING} --max-side 32 --device cpu",
    "train analogy": "--size 30 --coarsest 18 --width 4 --widest 4 --steps 2 --dtype float32 --device cpu",
    "train transfer": f"{CODES} --painter 4 --rounds 1 --painter-steps 2 --placer-steps 2 --painter-size 32",
    "train difference": CODES,
    "train genvideo": "--size 20 --coarsest 16 --width 4 --latent 4 --steps 2 --dtype float32 --device cpu",
    "train speednet": "--width 0.1 --frames 8 --smallest 32 --largest 32 --side 32 --batch 1 --steps 2 --checks 1 "
    "--dtype float32 --device cpu",
    "score independence": "--device cpu",
    "train action": "--width 0.1 --side 32 --frames 8 --steps 2 --dtype float32 --device cpu",
    "train classifier": "--width 4 --side 16 --epochs 1 --dtype float32 --device cpu",
    "similar": "--device cpu",
    "classify": "--device cpu",
    "score corruptions": "--count 3 --kind fog --device cpu",
    "score texture": "--device cpu",
}
FIRST = {
    "independence": "common",
    "novelty": "nnfdiv",
    "corruptions": "corruption",
    "texture": "clean",
}  # words of what is told, where that is not the measure
SCORES = [name.removeprefix("score ") for name in PAGES if name.startswith("score ")]
MEASURES = {f"score {name}": f"{FIRST.get(name, name)} " for name in SCORES}
MEASURES |= {"similar": "rank ", "classify": "input "}


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


def example(page: Callable) -> list[str]:
    """The words of a page's Example line behind `structkit`."""
    _, found, line = page.__doc__.rpartition("Example: structkit ")
    assert found, f"{page.__name__} has no Example line"
    return shlex.split(line)


def prepare(words: list[str], folder: Path) -> None:
    """Make what an example reads: pictures and clips of 32 px, folders of 24, features, checkpoints."""
    output = words[words.index("-o") + 1] if "-o" in words else None
    for i, name in enumerate(words):
        if name == "classes/":
            class_folders(folder / name, each=1)
        elif name == "fruit/":
            class_tree(folder / name, each=2)
        elif name == "clips/":
            film(folder / name / "one.mp4", "down")
        elif words[0] in ("similar", "classify") and name.endswith(".mp4"):
            film(folder / name)
        elif name == "holidays/":
            for seed in range(2):
                write_video(folder / name / f"{seed}.mp4", drifting(30, 1, seed=seed))
        elif name.endswith("/"):
            for seed in range(24):
                paint(folder / name / f"{seed}.png", 100 * i + seed, side=32)
        elif name.endswith(".png") and name != output:
            paint(folder / name, i, side=32)
        elif name.endswith(".mp4") and name != output:
            write_clip(small_clip(13, 18, 32), folder / name)
        elif name.endswith(".npy"):
            np.save(folder / name, np.random.default_rng(i).normal(size=(24, 4)))
        elif name == "faces.safetensors" != output:
            config = DifferenceConfig(size=16, width=4, widest=16, separate=2).filled()
            DomainDifference(config).save(folder / name, complete=True)
        elif name == "speed.safetensors" != output:
            tiny_speednet().save(folder / name, complete=True)
        elif name == "action.safetensors" != output:
            tiny_action().save(folder / name, complete=True)
        elif name == "classifier.safetensors" != output:
            tiny_classifier().save(folder / name, complete=True)
        elif name == "pair.safetensors" != output:
            PairAnalogy(PairConfig(size=30).filled(), [(20, 20), (30, 30)], 1).save(folder / name, complete=True)


def run_example(run: Callable, page: Callable, folder: Path, quick: str) -> list[str]:
    """Run it; returns the lines on stdout.  AssertionError if it fails, or does not write what it names."""
    words = example(page)
    prepare(words, folder)
    ran = run(*words, *shlex.split(quick))
    assert ran.code == 0, ran.err
    if "-o" in words:
        output = Path(words[words.index("-o") + 1])
        assert Path(ran.paths[0]).is_file() and ran.paths[0].startswith(str(output.with_suffix("")))
    return ran.paths


@pytest.mark.parametrize("name", PAGES)
def test_the_example_of_a_page_runs_and_writes_what_it_names(run, name, tmp_path):
    assert " ".join(example(PAGES[name])).startswith(f"{name} ")
    lines = run_example(run, PAGES[name], tmp_path, QUICK.get(name, ""))
    assert lines and lines[0].startswith(MEASURES.get(name, ""))


@pytest.mark.parametrize(
    "line",
    [
        "score psnr removed/ nowhere.jpg",
        "score psnr removed/ plain/ --changed glasses/",
        "sample balloons.jpg -o again.png",
        "info nothing.safetensors",
        "train difference glasses/ glasses.jpg -o faces.safetensors",
        "score iou masks/ plain/ -o scores.txt",
    ],
)
def test_an_example_that_does_not_work_is_found(run, tmp_path, line):
    def page() -> None: ...

    page.__doc__ = f"Words.\n\nExample: structkit {line}\n"
    with pytest.raises(AssertionError):
        run_example(run, page, tmp_path, "")


def test_a_page_without_an_example_is_found():
    def page() -> None:
        """Words."""

    with pytest.raises(AssertionError, match="page has no Example line"):
        example(page)
