"""structkit train analogy: what it leaves, what it says, and that nothing stops it for good."""

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
from types import SimpleNamespace

import pytest
import torch

from structkit import checkpoint
from structkit.engines.pair.training import PairTraining
from structkit.media.locks import held

from . import test_json
from .conftest import paint
from .test_resume import contents

SCHEMA = json.loads((files("structkit_cli") / "checkpoints.schema.json").read_text())
TINY = (
    "--size",
    "30",
    "--coarsest",
    "18",
    "--width",
    "4",
    "--widest",
    "4",
    "--steps",
    "3",
    "--dtype",
    "float32",
    "--device",
    "cpu",
)
TRAIN = ("train", "analogy", "house.png", "cake.png", "-o", "pair.safetensors", *TINY)
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
MORTAL = str(Path(__file__).with_name("mortal.py"))


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


@pytest.fixture(autouse=True)
def pictures(run, tmp_path) -> Path:
    """The current folder, with house.png and cake.png."""
    paint(tmp_path / "house.png", 1, side=32), paint(tmp_path / "cake.png", 2, side=32)
    return tmp_path


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.setitem(test_json.TYPES, "number", (int, float))
    return lambda record: test_json.faults(record, SCHEMA)


def test_it_leaves_a_checkpoint_and_its_log_and_prints_the_path(run, pictures):
    ran = run(*TRAIN)
    assert (ran.code, ran.paths) == (0, ["pair.safetensors"])
    assert sorted(p.name for p in pictures.iterdir()) == ["cake.png", "house.png", "pair.log.jsonl", "pair.safetensors"]
    card = checkpoint.read_card("pair.safetensors")
    assert card["run"]["inputs"] == {
        role: hashlib.sha256(Path(name).read_bytes()).hexdigest()
        for role, name in (("source", "house.png"), ("target", "cake.png"))
    }
    assert card["complete"] is True and card["config"]["width"] == 4


def test_it_says_a_line_for_each_stage_and_the_preview_once(run):
    lines = run(*TRAIN).err.splitlines()
    assert lines[0] == "structkit: what it makes now is shown in pair.preview.png"
    stage = (
        r"structkit: level {}, \d+ x \d+ px \({} of 4\): \d steps in \d+:\d\d; adversarial \S+ critic \S+ cycle "
        r"\S+ penalty \S+ recon"
    )
    assert all(re.match(stage.format(k, k + 1), line) for k, line in enumerate(lines[1:5]))
    assert (
        re.match(r"structkit: pair.safetensors: \d+ steps, \d+:\d\d on cpu in float32; adversarial ", lines[5])
        and len(lines) == 6
    )
    quiet = run(*TRAIN, "--seed", "1", "--exists", "overwrite", "--quiet")
    assert (quiet.paths, quiet.err) == (["pair.safetensors"], "")


def test_the_same_command_again_is_done_at_once_and_another_is_refused(run, pictures):
    run(*TRAIN)
    before = contents(pictures)
    again = run(*TRAIN)
    assert (again.code, again.out) == (0, b"")
    assert again.err == "structkit: pair.safetensors is there already, the finished output of this very training\n"
    other = run(*TRAIN, "--batch", "2")
    fact = "pair.safetensors: exists and is of another training (config.batch is 1 there, 2 here)"
    assert (other.code, other.err) == (3, f"structkit: error: {fact}; overwrite it, or name another output\n")
    assert contents(pictures) == before
    assert run(*TRAIN, "--batch", "2", "--exists", "overwrite").code == 0


def test_the_records_are_those_of_the_schema(run, faults):
    ran = run(*TRAIN, "--json", "--minutes", "60")
    records = [json.loads(line) for line in ran.out.splitlines()]
    assert [faults(record) for record in records] == [[]] * 5 and [r["record"] for r in records] == ["stage"] * 4 + [
        "summary"
    ]
    *stages, summary = records
    assert [(r["number"], r["stages"]) for r in stages] == [(k, 4) for k in (1, 2, 3, 4)]
    assert (summary["status"], summary["exit"], summary["device"], summary["dtype"]) == ("written", 0, "cpu", "float32")
    assert summary["sha256"] == hashlib.sha256(Path("pair.safetensors").read_bytes()).hexdigest()
    assert summary["steps"] == sum(r["steps"] for r in stages)
    assert summary["losses"] == pytest.approx(stages[-1]["losses"], rel=1e-5)
    assert summary["notes"] and summary["notes"][0].startswith("--minutes 60: all steps, in about ")
    [again] = [json.loads(line) for line in run(*TRAIN, "--json", "--minutes", "60").out.splitlines()]
    assert (faults(again), again["status"], again["sha256"], again["steps"]) == (
        [],
        "skipped",
        summary["sha256"],
        summary["steps"],
    )
    [failed] = [json.loads(line) for line in run(*TRAIN, "--json").out.splitlines()]
    assert (faults(failed), failed["status"], failed["exit"], failed["sha256"]) == ([], "failed", 3, None)
    assert faults({**summary, "status": "odd"}) and faults({**stages[0], "losses": {"critic": "high"}})


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_the_state_and_the_same_command_ends_in_the_same_bytes(
    run, pictures, monkeypatch, faults, number, code
):
    run(*TRAIN)
    whole = contents(pictures)
    for name in ("pair.safetensors", "pair.log.jsonl"):
        (pictures / name).unlink()
    step = PairTraining.step

    def interrupted(self, draw):
        if (draw.stage, draw.step) == (1, 2):
            signal.raise_signal(number)
        return step(self, draw)

    with monkeypatch.context() as patch:
        patch.setattr(PairTraining, "step", interrupted)
        ran = run(*TRAIN, "--json", "--quiet")
    assert ran.code == code
    way_on = "what is trained so far is kept in pair.resume.safetensors; the same command goes on"
    assert ran.err == f"structkit: interrupted: {way_on}\n"
    last = json.loads(ran.out.splitlines()[-1])
    assert (faults(last), last["status"], last["exit"]) == ([], "interrupted", code)
    assert run("info", "pair.safetensors").paths[0].endswith("its training is not finished: the same command goes on")
    assert run(*TRAIN).code == 0
    assert contents(pictures) == whole


def test_one_that_goes_on_with_other_threads_says_so_and_the_card_does_too(run, monkeypatch):
    step = PairTraining.step

    def interrupted(self, draw):
        if (draw.stage, draw.step) == (1, 2):
            signal.raise_signal(signal.SIGINT)
        return step(self, draw)

    with monkeypatch.context() as patch:
        patch.setattr(PairTraining, "step", interrupted)
        assert run(*TRAIN).code == 130
    kind = torch.backends.cpu.get_cpu_capability()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    ran = run(*TRAIN)
    lost = "and so will not end in the bytes of a training that was not stopped; OMP_NUM_THREADS=1 would keep them"
    note = f"structkit: pair.safetensors: goes on on {kind} with 2 threads, after {kind} with 1 thread, {lost}"
    assert ran.code == 0 and ran.err.splitlines().count(note) == 1
    processors = [{"kind": kind, "threads": 1}, {"kind": kind, "threads": 2}]
    assert checkpoint.read_card("pair.safetensors")["processors"] == processors
    assert f"processors: {json.dumps(processors)}" in run("info", "pair.safetensors").paths


def test_interrupted_before_it_began(run, monkeypatch):
    def interrupt(self, *_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(PairTraining, "__init__", interrupt)
    ran = run(*TRAIN)
    assert (ran.code, ran.err) == (130, "structkit: interrupted: nothing was trained yet\n")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_interrupted_while_the_finished_model_is_written(run, monkeypatch, moment):
    save = PairTraining.model_class.save

    def interrupted(self, path, **card):
        if moment == "after":
            save(self, path, **card)
        signal.raise_signal(signal.SIGINT)
        if moment == "before":
            signal.raise_signal(signal.SIGINT)  # the second one does not wait

    with monkeypatch.context() as patch:
        patch.setattr(PairTraining.model_class, "save", interrupted)
        ran = run(*TRAIN, "--quiet")
    kept = "what is trained so far is kept in pair.resume.safetensors; the same command goes on"
    told = {"before": kept, "after": "pair.safetensors is finished"}[moment]
    assert (ran.code, ran.err) == (130, f"structkit: interrupted: {told}\n")
    again = run(*TRAIN, "--quiet")
    assert (again.code, again.paths) == (
        0,
        {"before": ["pair.safetensors"], "after": []}[moment],
    )  # written, or there already


@pytest.mark.parametrize("option", [(), ("--exists", "overwrite")])
def test_an_input_with_the_name_of_the_preview_is_kept(run, pictures, option):
    (pictures / "house.png").rename(pictures / "pair.preview.png")
    before = contents(pictures)
    ran = run("train", "analogy", "pair.preview.png", *TRAIN[3:], *option)
    fact = "an input, and the preview of the training would be written over it; name another output"
    assert (ran.code, ran.err) == (3, f"structkit: error: pair.preview.png: {fact}\n")
    assert contents(pictures) == before


def test_a_log_of_the_users_own_is_kept(run, pictures):
    (pictures / "pair.log.jsonl").write_text("mine")
    ran = run(*TRAIN)
    assert ran.code == 3 and "pair.log.jsonl: exists, and is of no training that goes on; move it away" in ran.err
    assert (pictures / "pair.log.jsonl").read_text() == "mine"


def test_the_same_command_twice_at_once_is_refused(run):
    with held(Path(".structkit-pair.lock")):
        ran = run(*TRAIN)
    message = "pair.safetensors: another process is training it now; wait for its end, or name another output"
    assert (ran.code, ran.err) == (3, f"structkit: error: {message}\n")


def test_too_little_memory_is_one_line(run, monkeypatch):
    def too_large(self, draw):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(PairTraining, "step", too_large)
    ran = run(*TRAIN, "--quiet")
    assert (ran.code, ran.err.count("\n")) == (3, 1) and "cpu ran out of memory at stage level 0" in ran.err


def test_a_rank_alone_is_no_process_of_many(run, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert run(*TRAIN).paths == ["pair.safetensors"]


def test_a_later_process_says_what_only_it_may_have_met(run, monkeypatch):
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    ran = run("train", "analogy", "no.png", *TRAIN[3:])
    assert (ran.code, ran.err) == (1, "structkit: error: no.png: no such file; check the path\n")


def test_losses_that_are_no_numbers_end_it_in_one_line(run, monkeypatch, pictures):
    step = PairTraining.step
    monkeypatch.setattr(
        PairTraining, "step", lambda self, draw: {name: x / (draw.stage < 1) for name, x in step(self, draw).items()}
    )
    ran = run(*TRAIN, "--quiet")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "the training went astray at stage level 1, 22 x 22 px, step" in ran.err and "try another seed" in ran.err
    assert (pictures / "pair.resume.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train"], 2, "Usage: structkit train"),
        (["train", "analogies"], 2, "No such command 'analogies'"),
        (["train", "analogy"], 2, "Missing argument 'SOURCE'"),
        (
            ["train", "analogy", "house.png", "cake.png"],
            2,
            "--output is missing: name the checkpoint to write, such as model.safetensors",
        ),
        ([*TRAIN, "-o", "pair.png"], 2, "--output is pair.png: a checkpoint is a file whose name ends in .safetensors"),
        ([*TRAIN, "-o", "-"], 2, "--output is -: a checkpoint is a file whose name ends in .safetensors"),
        ([*TRAIN, "--steps", "0"], 2, "--steps is 0: it must be between 1 and 10000000"),
        ([*TRAIN, "--mode", "paint"], 2, "--mode is 'paint': choose one of analogy, style, "),
        ([*TRAIN, "--exists", "skip"], 2, "--exists is 'skip': choose one of error, overwrite"),
        ([*TRAIN, "--minutes", "0"], 2, "--minutes is 0: it must be at least 0.01"),
        (["train", "analogy", "-", "-", "-o", "p.safetensors"], 2, "both standard input (-): it can be read only once"),
        (
            ["train", "analogy", ".", "cake.png", "-o", "p.safetensors"],
            2,
            "SOURCE . may be many pictures: name one file",
        ),
        (["train", "analogy", "no.png", "cake.png", "-o", "p.safetensors"], 1, "no.png: no such file; check the path"),
        (
            [*TRAIN, "--layers", "9"],
            1,
            "level is 18 x 18 px, and its critic needs more than 19 px a side: use --coarsest 20 or more",
        ),
        ([*TRAIN, "-o", "nowhere/p.safetensors"], 3, "no such folder nowhere; create it first"),
        ([*TRAIN, "--device", "cuda:99"], 3, "--device cuda:99: there is no such device here: choose cpu"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(run, pictures, monkeypatch, arguments, code, message):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    ran = run(*arguments)
    assert (ran.code, ran.out) == (code, b"") and message in ran.err
    assert ran.err.count("\n") == 1 or arguments == ["train"]
    assert sorted(p.name for p in pictures.iterdir()) == ["cake.png", "house.png"]


def test_options_come_from_the_file_and_the_environment_by_the_names_of_both_words(run, monkeypatch, pictures):
    (pictures / "c.toml").write_text(
        "seed = 3\n[train]\nsteps = 7\n[train.analogy]\nwidth = 5\n[analogy]\nstrength = 0.1\n"
    )
    printed = run(*TRAIN[:6], "--config", "c.toml", "--print-config").out.decode()
    assert printed.startswith("[train.analogy]\n") and all(
        line in printed for line in ("\nseed = 3 ", "\nsteps = 7 ", "\nwidth = 5 ")
    )
    (pictures / "d.toml").write_text(printed)
    assert run(*TRAIN[:6], "--config", "d.toml", "--print-config").out.decode() == printed
    monkeypatch.setenv("STRUCTKIT_TRAIN_ANALOGY_WIDTH", "9")
    monkeypatch.setenv("STRUCTKIT_ANALOGY_STRENGTH", "0.2")  # of another verb
    assert "\nwidth = 9 " in run(*TRAIN[:6], "--config", "c.toml", "--print-config").out.decode()
    (pictures / "e.toml").write_text("[train.anology]\nsteps = 1\n")
    assert (
        "e.toml has a table [anology] that is no verb: the verbs are analogy" in run(*TRAIN, "--config", "e.toml").err
    )
    monkeypatch.setenv("STRUCTKIT_TRAIN_ANALOGY_STEP", "9")
    assert "STRUCTKIT_TRAIN_ANALOGY_STEP, which train analogy does not have: did you mean steps?" in run(*TRAIN).err


def test_the_help_shows_every_option_of_the_configuration(run):
    text = run("train", "analogy", "--help").out.decode()
    assert all(
        "--" + name.replace("_", "-") in text for name in PairTraining.model_class.config_class.__dataclass_fields__
    )
    assert (
        "In: " in text
        and "Out: " in text
        and "Example: structkit train analogy" in text
        and "4 nothing to do" in " ".join(text.split())
    )
    assert "train" in run("--help").out.decode()


def test_killed_at_any_moment_and_started_again_it_ends_in_the_same_bytes(pictures):
    command = ("train", "analogy", "house.png", "cake.png", *TINY, "--quiet", "--steps", "11", "--size", "26")
    ran = subprocess.run(
        [sys.executable, MORTAL, "calm.safetensors", "pair.safetensors", *command], capture_output=True, text=True
    )
    assert ran.stdout.split() == ["calm.safetensors", "0", *[str(-signal.SIGPROF)] * 3, "pair.safetensors", "0"], (
        ran.stderr
    )
    after = {
        name: data for name, data in contents(pictures).items() if not name.startswith(".structkit-")
    }  # what dead runs were writing
    outputs = [f"{stem}.{suffix}" for stem in ("calm", "pair") for suffix in ("log.jsonl", "safetensors")]
    assert sorted(after) == sorted(["cake.png", "house.png", *outputs])
    assert [after[name] for name in outputs[:2]] == [after[name] for name in outputs[2:]]


def test_on_a_terminal_there_is_a_bar(run, monkeypatch):
    monkeypatch.setattr("structkit_cli.run.trainer.sys", SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: True)))
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "160"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = run(*TRAIN).err
    assert "━" in shown and "steps/s" in shown and "level 0, 18 x 18 px (1 of 4)" in shown
    assert re.search(r"structkit: level 3, 30 x 30 px \(4 of 4\): \d steps in \d+:\d\d", shown)
    monkeypatch.setenv("TERM", "dumb")
    assert "━" not in run(*TRAIN, "--seed", "1", "--exists", "overwrite").err


@pytest.mark.slow
def test_two_processes_train_one_pair_and_only_the_first_speaks(run, pictures):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "structkit_cli",
        *TRAIN,
    ]
    ran = subprocess.run(command, env=ONE_THREAD, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "pair.safetensors\n"), ran.stderr
    assert ran.stderr.count("structkit: level 3, ") == 1
    assert checkpoint.read_card("pair.safetensors")["run"]["processes"] == 2
    ran = subprocess.run([*command, "--batch", "2"], env=ONE_THREAD, capture_output=True, text=True)
    assert (
        ran.returncode != 0
        and ran.stderr.count("structkit: error: pair.safetensors: exists and is of another training") == 1
    )
