"""structkit train speednet: what it leaves, what it says of the videos, from which weights it begins."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models.video import s3d

from structkit import load, train_speednet
from structkit.configs import SpeedNetConfig
from structkit.engines.speednet.model import SpeedNet
from structkit.errors import CheckpointError, InputError, OptionError
from structkit.header import read_card
from structkit.recipes.speednet import weights

from ..speed_models import tiny_action
from ..speed_videos import drifting, write_video

TINY = (
    *("--width", "0.25", "--frames", "8", "--smallest", "32", "--largest", "40", "--side", "32", "--batch", "2"),
    *("--steps", "4", "--checks", "2", "--dtype", "float32", "--device", "cpu"),
)
TRAIN = ("train", "speednet", "v", "-o", "m.safetensors", *TINY)
MORTAL = str(Path(__file__).with_name("mortal.py"))


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


@pytest.fixture(autouse=True)
def videos(run, tmp_path) -> Path:
    """The current folder, with six videos and one that is too short."""
    for number in range(6):
        write_video(tmp_path / f"v/{number}.mp4", drifting(40, 1, seed=number))
    write_video(tmp_path / "v/short.mp4", drifting(9, 1))
    (tmp_path / "v/notes.txt").write_text("no video")
    return tmp_path


def test_it_says_which_videos_serve_and_leaves_a_model_with_its_scores(run, videos):
    ran = run(*TRAIN)
    assert (ran.code, ran.paths) == (0, ["m.safetensors"])
    assert re.search(r"1 video left out:\nstructkit:   v/short.mp4 +too short: 0.36 s without a cut, and", ran.err)
    assert "6 videos, 0.16 minutes; 3 of them are held out, for the scores; 1 other file passed over" in ran.err
    assert re.search(r"after part 1 of 2: accuracy \d+% \(\d+% to \d+%\), of two versions \d+%, area under", ran.err)
    assert re.search(r"in the end: .*; by the motion alone \d+%, \d+% and \d\.\d+, which it does not surely", ran.err)
    card = read_card("m.safetensors")
    assert card["complete"] and card["run"]["inputs"].keys() == {"videos"}
    assert {"accuracy", "accuracy_low", "pairwise_low", "flow_accuracy", "reference_speed"} <= card["scores"].keys()
    model = load("m.safetensors", "cpu", verb="speedup")
    assert model.logits(torch.zeros(1, 3, 8, 32, 48)).shape == (1, 8)
    assert sorted(path.suffix for path in (videos / "m.cache").iterdir()) == [".json"] * 7 + [".rgb"] * 7 + [".txt"]
    again = run(*TRAIN)
    assert again.code == 0 and "is there already" in again.err
    assert "6 videos, 0.16 minutes, 7 files from the cache; 3 of them" in again.err


def test_files_folders_and_patterns_are_taken_as_everywhere(run):
    ran = run("train", "speednet", "v/0.mp4", "v/[1-3].mp4", *TRAIN[3:])
    assert ran.code == 0 and "4 videos, 0.11 minutes; too few different ones to hold any out for scores" in ran.err
    assert "no video was held out, which takes 5 different ones or more" in ran.err
    assert "accuracy" not in read_card("m.safetensors")["scores"]
    nothing = run("train", "speednet", "v/none-*.mp4", *TRAIN[3:])
    assert nothing.code == 1 and "v/none-*.mp4: a pattern that matches nothing; name a folder of videos" in nothing.err


def test_with_minutes_it_says_the_plan(run):
    ran = run(*TRAIN, "--minutes", "0.1", "--steps", "100000", "--held", "0")
    assert ran.code == 0 and "none is held out, so there are no scores" in ran.err
    assert re.search(r"--minutes 0.1: [\d,]+ of 100,000 steps", ran.err)


def test_a_training_that_ends_early_says_so_and_counts_the_steps_that_it_did(run):
    ran = run(*TRAIN[:-6], "--steps", "8", "--checks", "8", "--patience", "1", "--rate", "1e-7", *TRAIN[-4:])
    assert ran.code == 0 and "1 check without better scores: the training ends here" in ran.err
    [steps] = re.findall(r"m\.safetensors: (\d) steps, .* in float32; binary", ran.err)
    assert 2 <= int(steps) < 8 and "; \n" not in ran.err
    assert "accuracy" in read_card("m.safetensors")["scores"]


def test_it_begins_with_the_weights_of_another_model(run):
    assert run(*TRAIN).code == 0
    begun = run(*TRAIN[:4], "n.safetensors", *TINY, "--init", "m.safetensors", "--rate", "1e-7", "--average", "0")
    assert begun.code == 0, begun.err
    assert read_card("n.safetensors")["run"]["inputs"].keys() == {"videos", "init"}
    one, other = (load(f"{name}.safetensors", "cpu").network.head.weight for name in "mn")
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    wide = run(*TRAIN[:4], "w.safetensors", *TINY, "--init", "m.safetensors", "--width", "0.5")
    assert wide.code == 3 and "m.safetensors: weights of another network; use the --network" in wide.err
    tiny_action().save("a.safetensors", complete=True)
    of_actions = run(*TRAIN[:4], "w.safetensors", *TINY, "--init", "a.safetensors")
    assert of_actions.code == 3 and "clips, by name, and SpeedNet begins from one of its own" in of_actions.err
    assert "held out" not in wide.err + of_actions.err  # they are refused before the videos are read
    onto_itself = run(*TRAIN[:4], "m.safetensors", *TINY, "--init", "m.safetensors", "--exists", "overwrite")
    assert onto_itself.code == 3 and "m.safetensors" in onto_itself.err and load("m.safetensors", "cpu")
    missing = run(*TRAIN[:4], "w.safetensors", *TINY, "--init", "nowhere.safetensors")
    assert missing.code == 3 and "nowhere.safetensors: " in missing.err


def test_it_begins_with_weights_of_torchvision(videos):
    state = s3d(num_classes=4).state_dict()
    save_file(state, "s3d.safetensors")
    net = SpeedNet(SpeedNetConfig(network="s3dg", sees="colour", init="s3d.safetensors"))
    weights(net.config)(net)
    assert torch.equal(net.network.trunk[0][0][0].weight, state["features.0.0.0.weight"])
    with pytest.raises(CheckpointError, match=r"s3d\.safetensors: no checkpoint of SpeedNet; .* need --network s3dg"):
        train_speednet("v", "u.safetensors", init="s3d.safetensors", steps=1, device="cpu")
    with pytest.raises(CheckpointError, match="weights of torchvision's S3D see colour; use --sees colour"):
        weights(SpeedNetConfig(network="s3dg", init="s3d.safetensors", sees="motion"))
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        train_speednet("nowhere", "u.safetensors", steps=1, device="cpu")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"time_augmentation": False, "sampler": "dither"}, "--sampler changes nothing with --no-time-augmentation"),
        ({"space_augmentation": False, "largest": 40}, "--largest changes nothing with --no-space-augmentation"),
        ({"space_augmentation": False, "smallest": 40}, "--smallest changes nothing with --no-space-augmentation"),
    ],
)
def test_what_would_change_nothing_is_refused_before_videos_are_read(asked, said):
    with pytest.raises(OptionError, match=said):
        train_speednet("nowhere", "u.safetensors", steps=1, device="cpu", **asked)


@pytest.mark.slow
def test_killed_at_any_moment_and_started_again_it_ends_in_the_same_bytes(videos):
    command = ("train", "speednet", "v", *TINY, "--quiet", "--steps", "40")
    ran = subprocess.run(
        [sys.executable, MORTAL, "calm.safetensors", "m.safetensors", *command], capture_output=True, text=True
    )
    assert ran.stdout.split() == ["calm.safetensors", "0", *[str(-signal.SIGPROF)] * 3, "m.safetensors", "0"], (
        ran.stderr
    )
    for suffix in ("safetensors", "log.jsonl"):
        assert Path(f"calm.{suffix}").read_bytes() == Path(f"m.{suffix}").read_bytes()
