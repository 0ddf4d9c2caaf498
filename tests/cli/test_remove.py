"""structkit remove, and what the verbs of content have in common: batches that are painted ahead, models, records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

import structkit
from structkit import checkpoint
from structkit.errors import StructkitError
from structkit_cli.run import ahead

from ..content_models import FakeTransfer, install
from .content import band, pixels, save_models
from .test_resume import contents
from .test_train_analogy import engine  # noqa: F401

REMOVE = ("remove", "--model", "m.safetensors", "--device", "cpu")


@pytest.fixture(autouse=True)
def folder(run, tmp_path, monkeypatch):
    """The current folder, with models and face.png."""
    install(monkeypatch)
    save_models(tmp_path)
    band(tmp_path / "face.png")
    return tmp_path


@pytest.fixture
def many(folder):
    for i in range(12):
        band(folder / f"in/{'deep/' if i % 3 else ''}{i}.png", side=20 + i)
    return folder


def test_one_picture(run, folder):
    ran = run(*REMOVE, "face.png")
    assert (ran.code, ran.paths) == (0, ["face-remove.png"])
    made = structkit.remove(folder / "face.png", folder / "m.safetensors", device="cpu")
    assert np.array_equal(pixels(folder / "face-remove.png"), made.pixels)
    assert "out" not in ran.err


def test_a_folder_is_mirrored_and_each_picture_is_as_if_it_were_alone(run, many):
    ran = run(*REMOVE, "in", "-o", "out")
    assert ran.code == 0 and len(ran.paths) == 12 and ran.paths[0] == "out/0.png"
    for i in range(12):
        name = f"{'deep/' if i % 3 else ''}{i}.png"
        assert run(*REMOVE, f"in/{name}", "-o", "alone.png", "--exists", "overwrite").code == 0
        assert (many / "out" / name).read_bytes() == (many / "alone.png").read_bytes()


def test_several_models_work_one_after_another(run, folder):
    run(*REMOVE, "face.png", "-o", "one.png")
    run("remove", "one.png", "--model", "other.safetensors", "--device", "cpu", "-o", "both.png")
    ran = run(*REMOVE, "--model", "other.safetensors", "face.png", "-o", "at-once.png", "--json")
    record = json.loads(ran.out.splitlines()[0])
    assert record["with"] == {"model": "m.safetensors", "model_2": "other.safetensors"}
    assert np.array_equal(pixels(folder / "both.png"), pixels(folder / "at-once.png"))


def records(ran):
    return [record for record in map(json.loads, ran.out.splitlines()) if record["record"] == "output"]


NOTHING = "the model finds next to none of its content here (0.00% of the picture)"


@pytest.mark.parametrize("verb", ["remove", "segment"])
def test_records_say_what_share_was_found_and_warn_where_it_is_next_to_nothing(run, folder, verb):
    band(folder / "in/bare.png", colour=(0, 0, 0))
    band(folder / "in/red.png")
    ran = run(verb, "--model", "m.safetensors", "--device", "cpu", "in", "-o", "out", "--json")
    bare, red = records(ran)
    assert (bare["found"], bare["warnings"]) == (0, [NOTHING]) and ran.code == 0
    assert red["found"] == pytest.approx(1 / 3, abs=0.1) and red["warnings"] == []
    assert ran.err.count(f"structkit: warning: out/bare.png: {NOTHING}\n") == 1
    again = run(verb, "--model", "m.safetensors", "--device", "cpu", "in", "-o", "out", "--json")
    assert [(r["found"], r["warnings"]) for r in records(again)] == [(r["found"], r["warnings"]) for r in (bare, red)]


def test_of_several_models_the_one_that_finds_nothing_is_named_and_what_they_find_is_added(run, folder):
    models = ("--model", "m.safetensors", "--model", "other.safetensors", "--device", "cpu")
    [record] = records(run("remove", "face.png", *models, "-o", "o.png", "--json"))
    assert record["warnings"] == [f"other: {NOTHING}"]
    [alone] = records(run(*REMOVE, "face.png", "-o", "p.png", "--json"))
    assert record["found"] == alone["found"] > 0
    [record] = records(run("remove", "face.png", *models, "--model", "d.safetensors", "-o", "q.png", "--json"))
    assert record["found"] == alone["found"]
    [record] = records(
        run("remove", "face.png", "--model", "d.safetensors", "--device", "cpu", "-o", "r.png", "--json")
    )
    assert "found" not in record and record["warnings"] == []


LARGE = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-m", "structkit_cli", *sys.argv[1:]], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "form"), [("remove", "RGB"), ("segment", "RGBA"), ("transfer", "RGBA")])
def test_a_large_picture_takes_at_most_16_bytes_a_pixel_more_than_a_small_one(tmp_path, request, verb, form):
    """Some 8 CPU seconds: two commands, from their start to their file."""
    avatar = request.config.rootpath / "examples/avatar.png"
    donor = ("--from", str(avatar)) if verb == "transfer" else ()
    peaks = []
    for side in (1000, 3200):
        with Image.open(avatar) as image:
            image.convert("RGBA").convert(form).resize((side, side)).save(tmp_path / f"{side}.png")
        arguments = (f"{side}.png", "--model", "glasses", *donor, "--device", "cpu", "-o", f"{verb}-{side}.png", "-q")
        ran = subprocess.run(
            [sys.executable, "-c", LARGE, verb, *arguments], cwd=tmp_path, capture_output=True, check=True
        )
        peaks.append(int(ran.stdout.split()[-1]))
    assert peaks[1] - peaks[0] <= 16 * (3200**2 - 1000**2)


def test_a_difference_removes_too(run, folder):
    assert run("remove", "face.png", "--model", "d.safetensors", "--device", "cpu", "-o", "o.png").code == 0
    assert len(np.unique(pixels(folder / "o.png").reshape(-1, 3), axis=0)) == 1


def test_pictures_are_painted_many_at_once(run, many, monkeypatch):
    monkeypatch.setattr(ahead, "TOGETHER_ON_CPU", 5)
    batches = []
    remove = FakeTransfer.remove
    monkeypatch.setattr(
        FakeTransfer, "remove", lambda self, squares: batches.append(len(squares)) or remove(self, squares)
    )
    assert run(*REMOVE, "in", "-o", "out").code == 0
    assert sorted(batches) == [2, 5, 5]
    monkeypatch.setattr(ahead, "MOST_PIXELS", 1)
    assert run(*REMOVE, "in", "-o", "out", "--exists", "overwrite").code == 0
    assert batches[3:] == [2] * 12  # one at a time, each twice


def test_what_is_done_is_skipped_and_only_the_rest_is_painted(run, many, monkeypatch):
    run(*REMOVE, "in", "-o", "out")
    before = contents(many / "out")
    for name in ("1.png", "7.png"):
        (many / "out/deep" / name).unlink()
    batches = []
    remove = FakeTransfer.remove
    monkeypatch.setattr(
        FakeTransfer, "remove", lambda self, squares: batches.append(len(squares)) or remove(self, squares)
    )
    ran = run(*REMOVE, "in", "-o", "out")
    assert (ran.code, ran.paths, batches) == (0, ["out/deep/1.png", "out/deep/7.png"], [2])
    assert contents(many / "out") == before
    ran = run("remove", "--model", "other.safetensors", "--device", "cpu", "in", "-o", "out")
    assert (ran.code, ran.paths) == (1, []) and contents(many / "out") == before
    assert "out/0.png exists and was made with the model m.safetensors: name another place with --output" in ran.err
    (many / "m.safetensors").write_bytes((many / "other.safetensors").read_bytes())
    assert len(run(*REMOVE, "in", "-o", "out").paths) == 12  # a model that was trained again makes them anew
    assert contents(many / "out") != before


def test_one_bad_picture_never_stops_the_others(run, many):
    (many / "in/deep/4.png").write_bytes(b"no picture")
    ran = run(*REMOVE, "in", "-o", "out", "--json")
    records = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 1 and [r["status"] for r in records[:-1]].count("written") == 11
    [failed] = [r for r in records[:-1] if r["status"] == "failed"]
    assert failed["input"] == failed["error"].split(":")[0] == "in/deep/4.png"


def test_a_model_that_does_not_load_ends_the_run_at_once(run, many):
    checkpoint.save(many / "m.safetensors", {"other": torch.zeros(1)}, checkpoint.read_card(many / "m.safetensors"))
    ran = run(*REMOVE, "in", "-o", "out")
    assert (ran.code, ran.out, ran.err.count("error: ")) == (3, b"", 1)
    assert ran.err.startswith("structkit: error: m.safetensors: ")


def test_one_picture_that_the_model_fails_on_never_stops_the_others(run, many, monkeypatch):
    remove = FakeTransfer.remove

    def particular(self, squares):
        if (squares[:, 0] > 0).float().mean((1, 2)).max() > 0.9:
            raise StructkitError("all is red")
        return remove(self, squares)

    monkeypatch.setattr(FakeTransfer, "remove", particular)
    band(many / "in/deep/red.png")
    structkit.write_picture(
        structkit.read_picture(many / "in/0.png").__class__(np.full((16, 16, 3), (255, 0, 0), np.uint8)),
        many / "in/red.png",
    )
    ran = run(*REMOVE, "in", "-o", "out")
    assert (ran.code, len(ran.paths)) == (1, 13)
    assert "structkit: error: in/red.png: all is red" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("remove", "face.png"),
            2,
            "--model is missing: name a checkpoint, or a model that ships with structkit, such as glasses",
        ),
        (
            ("remove", "face.png", "--model", "spectacles"),
            3,
            "spectacles: no such file, and no model of that name ships with structkit",
        ),
        (("remove", "face.png", "--model", "nowhere.safetensors"), 3, "nowhere.safetensors: no such file"),
        (("remove", "face.png", "--model", "face.png"), 3, "face.png: not a safetensors file"),
        (
            (*REMOVE, "face.png", "--seed", "7"),
            2,
            "No such option: --seed",
        ),
        ((*REMOVE, ".", "-o", "out", "--model", "spectacles"), 3, "spectacles: no such file"),
    ],
)
def test_models_and_options_that_cannot_be_are_refused_before_any_work(run, folder, arguments, code, message):
    ran = run(*arguments)
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, b"", 1)
    assert message in ran.err and not (folder / "out").exists()


def test_a_transparent_picture_keeps_its_alpha_and_a_format_without_is_refused_before_painting(run, folder):
    alpha = np.full((24, 24), 99, np.uint8)
    given = structkit.read_picture(folder / "face.png")
    structkit.write_picture(type(given)(given.pixels, alpha), folder / "clear.png")
    ran = run(*REMOVE, "clear.png", "-o", "o.jpg")
    assert (ran.code, ran.paths) == (1, []) and "JPEG cannot hold the transparency of clear.png" in ran.err
    run(*REMOVE, "clear.png", "-o", "o.png")
    assert np.array_equal(structkit.read_picture(folder / "o.png").alpha, alpha)


def test_models_can_be_named_in_a_file_and_in_the_environment(run, folder, monkeypatch):
    (folder / "c.toml").write_text('[remove]\nmodel = ["m.safetensors", "other.safetensors"]\ndevice = "cpu"\n')
    run(*REMOVE, "face.png", "--model", "other.safetensors", "-o", "by-hand.png")
    assert run("remove", "face.png", "--config", "c.toml", "-o", "by-file.png").code == 0
    printed = run("remove", "--config", "c.toml", "--print-config").out.decode()
    assert 'model = ["m.safetensors", "other.safetensors"]' in printed
    (folder / "again.toml").write_text(printed)
    assert run("remove", "--config", "again.toml", "--print-config").out.decode() == printed
    monkeypatch.setenv("STRUCTKIT_REMOVE_MODEL", os.pathsep.join(["m.safetensors", "other.safetensors"]))
    assert run("remove", "face.png", "--device", "cpu", "-o", "by-environment.png").code == 0
    assert len({(folder / f"by-{name}.png").read_bytes() for name in ("hand", "file", "environment")}) == 1
    (folder / "c.toml").write_text("model = [true]\n")
    assert "c.toml sets 'model' to [true], of the wrong type" in run("remove", "face.png", "--config", "c.toml").err


KILLED = """
import sys, time
import pytest
import torch
sys.path.insert(0, {root!r})
from tests import content_models
from structkit_cli.__main__ import main
content_models.install(pytest.MonkeyPatch())
remove, seconds = content_models.FakeTransfer.remove, iter([0])  # the first pictures at once, then none for long
content_models.FakeTransfer.remove = lambda self, squares: time.sleep(next(seconds, 5)) or remove(self, squares)
from structkit_cli.run import ahead
ahead.TOGETHER_ON_CPU = 3
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_run_that_is_stopped_goes_on_with_the_same_command(run, many, number, request):
    run(*REMOVE, "in", "-o", "whole")
    script = KILLED.format(root=str(request.config.rootpath))
    began = subprocess.Popen(
        [sys.executable, "-c", script, *REMOVE, "in", "-o", "out", "-q"], cwd=many, stdout=subprocess.PIPE
    )
    began.stdout.readline()
    time.sleep(0.05)
    began.send_signal(number)
    began.communicate()
    assert began.returncode == (130 if number == signal.SIGINT else -9)
    ran = run(*REMOVE, "in", "-o", "out")
    assert ran.code == 0 and len(ran.paths) < 12
    assert contents(many / "out") == contents(many / "whole")
