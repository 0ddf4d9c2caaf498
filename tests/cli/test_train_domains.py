"""structkit train transfer and train difference: from two folders to a model that the other verbs use, whatever comes
between.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import torch

import structkit
from structkit import checkpoint
from structkit.configs import DifferenceConfig, TransferConfig
from structkit.engines.transfer.training import TransferTraining

from . import test_json
from .conftest import paint
from .test_resume import contents
from .test_train_analogy import MORTAL

SCHEMA = json.loads((files("structkit_cli") / "checkpoints.schema.json").read_text())
CODES = (
    "--size",
    "16",
    "--width",
    "4",
    "--widest",
    "8",
    "--separate",
    "2",
    "--batch",
    "4",
    "--steps",
    "3",
    "--device",
    "cpu",
)
TINY = (
    *CODES,
    "--dtype",
    "float32",
    "--painter",
    "4",
    "--rounds",
    "2",
    "--painter-steps",
    "2",
    "--placer-steps",
    "2",
    "--painter-size",
    "32",
)
TRAIN = ("train", "transfer", "--with", "glasses", "--without", "plain", "-o", "m.safetensors", *TINY)
DIFFERENCE = ("train", "difference", "glasses", "plain", "-o", "d.safetensors", *CODES)
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
LEFT = ["m.log.jsonl", "m.safetensors"]  # of a training that is finished


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


@pytest.fixture(autouse=True)
def folder(run, tmp_path) -> Path:
    """The current folder, with 20 pictures in each of glasses and plain."""
    for i in range(20):
        paint(tmp_path / f"glasses/{i}.png", i, side=32), paint(tmp_path / f"plain/{i}.png", 100 + i, side=32)
    return tmp_path


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.setitem(test_json.TYPES, "number", (int, float))
    return lambda record: test_json.faults(record, SCHEMA)


def made(folder: Path) -> list[str]:
    """The files in a folder that are not hidden."""
    return sorted(p.name for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))


def test_from_two_folders_to_content_that_is_put_on_taken_off_and_found(run, folder):
    ran = run(*TRAIN)
    assert (ran.code, ran.paths, made(folder)) == (0, ["m.safetensors"], LEFT)
    paint(folder / "photo.png", 7, side=48)
    model = ("--model", "m.safetensors", "--device", "cpu")
    for verb, *more in (("transfer", "--from", "glasses/1.png"), ("remove",), ("segment",)):
        used = run(verb, "photo.png", *more, *model, "-o", f"{verb}.png")
        assert (used.code, used.paths) == (0, [f"{verb}.png"]), used.err
    told = run("info", "m.safetensors").paths
    assert all(any(verb in line for line in told) for verb in ("transfer", "remove", "segment"))


def test_patterns_lists_and_folders_are_one_training(run, folder):
    assert run(*TRAIN).paths == ["m.safetensors"]
    (folder / "glasses.txt").write_text("glasses/*.png\n")
    patterns = run(*TRAIN, "--with", "glasses/*.png", "--without", "plain/**/*.png", "--json")
    assert patterns.code == 0 and b'"status": "written"' not in patterns.out, patterns.err
    listed = run(*TRAIN, "--with", "@glasses.txt", "-o", "listed.safetensors")
    assert (listed.code, listed.paths) == (0, ["listed.safetensors"]), listed.err
    one, other = (structkit.load(folder / name, "cpu").state_dict() for name in ("m.safetensors", "listed.safetensors"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_difference_from_two_folders_to_recombined_pictures(run, folder):
    assert run(*DIFFERENCE).paths == ["d.safetensors"]
    model = ("--model", "d.safetensors", "--device", "cpu")
    assert run(
        "transfer", "plain/1.png", "--from", "glasses/1.png", "--from-b", "plain/2.png", *model, "-o", "x.png"
    ).paths == ["x.png"]
    assert set(checkpoint.read_card("d.safetensors")["run"]["inputs"]) == {"a", "b"}


def test_what_it_says(run):
    lines = run(*TRAIN).err.splitlines()
    assert re.fullmatch(
        r"structkit: glasses: 20 pictures, plain: 20 pictures; \d of them (is|are) held out, for the scores", lines[0]
    )
    assert "structkit: what it makes now is shown in m.preview.png" in lines
    told = [line.split(":")[1].strip() for line in lines if " of 5): " in line]
    assert told == [
        "codes (1 of 5)", "painter, round 1 (2 of 5)", "placer (3 of 5)", "painter, round 2 (4 of 5)",
        "placer, again (5 of 5)",
    ]  # fmt: skip
    assert re.match(r"structkit: m.safetensors: 11 steps, \d+:\d\d on cpu in float32; place ", lines[-1])
    quiet = run(*TRAIN, "--seed", "1", "--exists", "overwrite", "--quiet")
    assert (quiet.paths, quiet.err) == (["m.safetensors"], "")


def test_the_card_and_the_records_are_those_of_the_schema(run, faults):
    records = [json.loads(line) for line in run(*TRAIN, "--json", "--minutes", "60").out.splitlines()]
    assert [faults(record) for record in records] == [[]] * 6
    *stages, summary = records
    assert [(r["stage"], r["number"], r["stages"], r["steps"]) for r in stages] == [
        ("codes", 1, 5, 3), ("painter, round 1", 2, 5, 2), ("placer", 3, 5, 2), ("painter, round 2", 4, 5, 2),
        ("placer, again", 5, 5, 2),
    ]  # fmt: skip
    assert (summary["verb"], summary["status"], summary["exit"], summary["steps"]) == (
        "train transfer",
        "written",
        0,
        11,
    )
    assert summary["sha256"] == hashlib.sha256(Path("m.safetensors").read_bytes()).hexdigest()
    assert summary["notes"][0].startswith("glasses: 20 pictures") and summary["notes"][1].startswith(
        "--minutes 60: all steps, in about"
    )
    card = checkpoint.read_card("m.safetensors")
    assert set(card["run"]["inputs"]) == {"with", "without"} and card["scores"].keys() >= {"mask_with", "mask_without"}
    [failed] = [json.loads(line) for line in run(*TRAIN, "--json").out.splitlines()]
    assert (faults(failed), failed["status"], failed["exit"]) == ([], "failed", 3)


def test_the_same_command_again_is_done_at_once_and_another_is_refused(run, folder):
    run(*TRAIN)
    before = contents(folder)
    again = run(*TRAIN, "--quiet")
    assert (again.code, again.out, again.err) == (0, b"", "")
    paint(folder / "plain/more.png", 9, side=32)
    other = run(*TRAIN, "--quiet")
    assert other.code == 3
    assert re.search(
        r"m.safetensors: exists and is of another training \(inputs.without is \S+ there, \S+ here\)", other.err
    )
    (folder / "plain/more.png").unlink()
    assert contents(folder) == before


@pytest.mark.parametrize("moment", [(0, 2), (1, 1), (2, 2), (3, 1)])
def test_a_signal_keeps_the_state_and_the_same_command_ends_in_the_same_bytes(run, folder, monkeypatch, moment):
    run(*TRAIN)
    whole = contents(folder)
    for name in LEFT:
        (folder / name).unlink()
    step = TransferTraining.step

    def interrupted(self, draw):
        if (draw.stage, draw.step) == moment:
            signal.raise_signal(signal.SIGINT)
        return step(self, draw)

    with monkeypatch.context() as patch:
        patch.setattr(TransferTraining, "step", interrupted)
        ran = run(*TRAIN, "--quiet")
    way_on = "what is trained so far is kept in m.resume.safetensors; the same command goes on"
    assert (ran.code, ran.err) == (130, f"structkit: interrupted: {way_on}\n")
    assert checkpoint.read_card("m.safetensors")["complete"] is False
    used = run("segment", "plain/1.png", "--model", "m.safetensors", "--device", "cpu", "-o", "mask.png")
    assert used.code == 0  # what there is can be used
    (folder / "mask.png").unlink()
    assert run(*TRAIN).code == 0 and contents(folder) == whole


def test_killed_at_any_moment_and_started_again_it_ends_in_the_same_bytes(folder):
    command = (*TRAIN[:6], *TINY, "--quiet", "--steps", "15", "--painter-steps", "12", "--placer-steps", "12")
    ran = subprocess.run(
        [sys.executable, MORTAL, "calm.safetensors", "m.safetensors", *command], capture_output=True, text=True
    )
    assert ran.stdout.split() == ["calm.safetensors", "0", *[str(-signal.SIGPROF)] * 3, "m.safetensors", "0"], (
        ran.stderr
    )
    outputs = ["calm.log.jsonl", "calm.safetensors", *LEFT]
    assert made(folder) == outputs
    assert [(folder / name).read_bytes() for name in outputs[:2]] == [(folder / name).read_bytes() for name in LEFT]


def test_lists_serve_as_folders(run, folder):
    (folder / "with.txt").write_text("".join(f"glasses/{i}.png\n" for i in range(12)))
    (folder / "without.txt").write_text("plain\n")
    ran = run("train", "transfer", "--with", "@with.txt", "--without", "@without.txt", *TRAIN[6:])
    assert ran.paths == ["m.safetensors"]
    assert "structkit: @with.txt: 12 pictures, @without.txt: 20 pictures; " in ran.err


def test_bad_pictures_are_said_and_the_others_are_learnt_from(run, folder):
    (folder / "glasses/3.png").write_bytes((folder / "glasses/3.png").read_bytes()[:60])
    paint(folder / "glasses/5.png", 105, side=32)  # plain/5.png
    ran = run(*TRAIN, "--painter-size", "64")
    told = ran.err.splitlines()
    assert ran.code == 0
    assert told[0].startswith("structkit: glasses: left out, unreadable: 1 of 20 pictures; the first: glasses/3.png: ")
    assert (
        "structkit: glasses: smaller than 64 px: enlarged, and no sharper for it (19 pictures; the first: 0.png)"
        in told
    )
    assert (
        "structkit: glasses and plain share 1 picture (5.png), which blur the difference; leave them out of one" in told
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "transfer"], 2, "--with is missing: name the folder of pictures with the content"),
        (
            ["train", "transfer", "--with", "glasses"],
            2,
            "--without is missing: name the folder of pictures without the content",
        ),
        (["train", "difference", "glasses"], 2, "Missing argument 'B'"),
        (TRAIN[:6], 2, "--output is missing: name the checkpoint to write, such as model.safetensors"),
        (
            [*TRAIN, "--with", "plain"],
            2,
            "plain: the folder of both kinds of pictures; name two that differ in what is to be learnt",
        ),
        (
            [*TRAIN, "-o", "plain/m.safetensors"],
            2,
            "in plain, a folder that is learnt from, and so would be the preview: name a place",
        ),
        (
            [*DIFFERENCE, "-o", "glasses/d.safetensors"],
            2,
            "--output is glasses/d.safetensors: in glasses, a folder that is learnt from",
        ),
        ([*TRAIN, "--with", "empty"], 1, "empty: no pictures; pictures read: "),
        (
            [*TRAIN, "--with", "nowhere"],
            1,
            "nowhere: no such folder; name a folder, or a list of pictures as @list.txt",
        ),
        ([*TRAIN, "--without", "glasses/1.png"], 1, "glasses/1.png: a file, where a folder of pictures is needed"),
        ([*TRAIN, "--with", "@no.txt"], 1, "no.txt: no such file"),
        (
            [*TRAIN, "--with", "copies"],
            1,
            "copies: all its pictures (3) are in plain too; name two folders that differ",
        ),
        ([*TRAIN, "--max-pixels", "9"], 1, "glasses: none of 20 pictures can be read; the first: glasses/0.png"),
        (
            [*TRAIN, "--with", "nowhere", "--size", "20"],
            2,
            "--size is 20: it must be a power of two, such as 64 or 128",
        ),
        ([*DIFFERENCE, "--size", "20"], 2, "--size is 20: it must be a power of two"),
        ([*TRAIN, "--painter-size", "40"], 2, "--painter-size is 40: it must be a multiple of 32"),
        ([*TRAIN, "--steps", "0"], 2, "--steps is 0: it must be between 1 and 10000000"),
        ([*TRAIN, "-o", "no/m.safetensors"], 3, "no such folder no; create it first"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(run, folder, arguments, code, message):
    (folder / "empty").mkdir()
    for i in range(3):
        paint(folder / f"copies/{i}.png", 100 + i, side=32)
    ran = run(*arguments, *(("--quiet",) if len(arguments) > 6 else ()))
    assert (ran.code, ran.out) == (code, b"") and message in ran.err, ran.err
    assert ran.err.count("\n") == 1 and made(folder) == []


@pytest.mark.parametrize(("verb", "config"), [("transfer", TransferConfig), ("difference", DifferenceConfig)])
def test_the_help_shows_every_option_and_what_to_do_with_the_model(run, verb, config):
    text = " ".join(run("train", verb, "--help").out.decode().split())
    assert all("--" + name.replace("_", "-") in text for name in config.__dataclass_fields__)
    for words in (
        "In: two folders",
        "Out: a checkpoint",
        "Use it with: structkit transfer",
        f"Example: structkit train {verb}",
        "torchrun",
    ):
        assert words in text


def test_options_come_from_a_file(run, folder):
    (folder / "c.toml").write_text('[train.transfer]\nwith = "glasses"\nwithout = "plain"\nsteps = 7\n')
    printed = run("train", "transfer", "--config", "c.toml", "--print-config").out.decode()
    assert all(line in printed for line in ('with = "glasses"', 'without = "plain"', "steps = 7 "))


@pytest.mark.slow
@pytest.mark.parametrize("minutes", ["0.05", "0.15"])
def test_a_training_in_minutes_goes_through_all_its_stages(run, minutes):
    options = ("--minutes", minutes, "--steps", "3000", "--painter-steps", "1000", "--placer-steps", "500")
    *stages, summary = [json.loads(line) for line in run(*TRAIN, *options, "--json").out.splitlines()]
    assert (summary["status"], summary["exit"]) == ("written", 0)
    assert [stage["number"] for stage in stages] == [*range(1, stages[0]["stages"] + 1)]
    assert {stage["stage"].split(",")[0] for stage in stages} == {"codes", "painter", "placer"}
    assert any(note.startswith(f"--minutes {minutes}: steps: codes") for note in summary["notes"])


@pytest.mark.slow
@pytest.mark.parametrize(("command", "name"), [(TRAIN, "m.safetensors"), (DIFFERENCE, "d.safetensors")])
def test_two_processes_share_a_training_and_only_the_first_speaks(run, command, name):
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "structkit_cli",
        *command,
    ]
    ran = subprocess.run(torchrun, env=ONE_THREAD, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, f"{name}\n"), ran.stderr
    assert ran.stderr.count("structkit: glasses: 20 pictures") == 1
    assert checkpoint.read_card(name)["run"]["processes"] == 2
