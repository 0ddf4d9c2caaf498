"""`structkit speedup`: dry runs, curves and pages beside the results, batches, refusals."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from structkit.media.speed_curve import CURVE_FORMATS, read_curve
from structkit_cli.run.results import CURVES_WRITTEN

from ..paced_clips import length, paced_clip
from .conftest import paint
from .test_json import SCHEMA, faults


@pytest.fixture
def engine(real_engine):
    """No stand-in."""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return paced_clip(tmp_path_factory.mktemp("clips") / "hike.mp4")


@pytest.fixture
def clip(run, made, tmp_path) -> str:
    """A clip of two seconds in the current folder."""
    shutil.copy(made, tmp_path / "hike.mp4")
    return "hike.mp4"


def records(ran) -> list[dict]:
    found = [json.loads(line) for line in ran.paths]
    assert [fault for record in found for fault in faults(record, SCHEMA)] == []
    return found


def test_a_dry_run_tells_the_curve_of_the_real_one_and_makes_no_video(run, clip, tmp_path):
    asked = ("speedup", clip, "--rate", "2.5", "--max-speed", "6", "--json", "-o", "short.mp4")
    dry, summary = records(run(*asked, "--dry-run"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hike.mp4"]
    assert (dry["status"], dry["output"], dry["sha256"], summary["planned"]) == ("planned", "short.mp4", None, 1)
    real, curve, _ = records(run(*asked, "--curve", "c.json"))
    assert (real["status"], curve["role"], curve["output"]) == ("written", "curve", "c.json")
    written = json.loads((tmp_path / "c.json").read_text())
    assert dry["curve"] == {"times": written["times"], "speeds": written["speeds"]}
    assert dry["pace"] == real["pace"] and real["pace"]["duration"] == pytest.approx(0.8)
    assert abs(length(tmp_path / "short.mp4") - 0.8) <= 1 / 25


def test_a_dry_run_in_words_says_how_long_and_how_fast_on_stdout(run, clip):
    ran = run("speedup", clip, "--dry-run")
    assert ran.code == 0 and ran.err == ""
    first, *pieces = ran.paths
    assert first.startswith("hike.mp4: 0:02.0 in 0:01.0, 2.00 times as fast, from 1.")
    assert first.endswith("; by motion") and pieces[0].startswith("  0:00.0 to 0:0")


def test_a_dry_run_writes_what_else_is_named_and_minds_no_output_that_exists(run, clip, tmp_path):
    (tmp_path / "short.mp4").write_bytes(b"mine")
    ran = run("speedup", clip, "--dry-run", "-o", "short.mp4", "--curve", "c.csv")
    assert ran.code == 0 and ran.paths[-1] == "c.csv"
    assert (tmp_path / "short.mp4").read_bytes() == b"mine"
    assert read_curve(tmp_path / "c.csv").duration == pytest.approx(1.0, abs=1e-3)


def test_the_result_has_a_name_of_its_own_and_is_not_overwritten(run, clip, tmp_path):
    assert run("speedup", clip).paths == ["hike-speedup.mp4"]
    ran = run("speedup", clip)
    assert ran.code == 2 and "hike-speedup.mp4 exists: choose another name, or say --exists overwrite" in ran.err
    assert run("speedup", clip, "--format", "mkv", "-q").paths == ["hike-speedup.mkv"]


def test_a_curve_is_written_once_and_then_read_with_another_rate(run, clip, tmp_path):
    assert run("speedup", clip, "--curve", "c.json", "-o", "a.mp4").code == 0
    before = (tmp_path / "c.json").read_bytes()
    again = records(run("speedup", clip, "--from-curve", "c.json", "--rate", "4", "-o", "b.mp4", "--json"))
    anew = records(run("speedup", clip, "--rate", "4", "-o", "c.mp4", "--json"))
    assert again[0]["with"] == {"curve": "c.json"}
    assert again[0]["pace"]["segments"] == anew[0]["pace"]["segments"]
    assert (tmp_path / "b.mp4").read_bytes() == (tmp_path / "c.mp4").read_bytes()
    assert (tmp_path / "c.json").read_bytes() == before


def test_what_is_read_is_not_overwritten_unless_that_is_said(run, clip, tmp_path):
    run("speedup", clip, "--dry-run", "--curve", "c.json")
    before = (tmp_path / "c.json").read_bytes()
    for more in ((), ("--exists", "skip")):
        ran = run("speedup", clip, "--from-curve", "c.json", "--rate", "3", "--curve", "c.json", "--dry-run", *more)
        assert ran.code == 2 and "c.json is an input too: write elsewhere with --curve" in ran.err
    assert (tmp_path / "c.json").read_bytes() == before
    asked = ("--from-curve", "c.json", "--rate", "3", "--curve", "c.json", "--dry-run", "--exists", "overwrite")
    assert run("speedup", clip, *asked).code == 0
    assert read_curve(tmp_path / "c.json").rate == pytest.approx(3)


@pytest.mark.parametrize("format", CURVE_FORMATS)
def test_a_curve_is_written_in_the_format_of_its_name(run, clip, tmp_path, format):
    ran = run("speedup", clip, "--dry-run", "--curve", f"curve.{format}")
    assert ran.code == 0, ran.err
    begins = {"json": b"{", "csv": b"t", "svg": b"<svg", "png": b"\x89PNG", "otio": b"{", "fcpxml": b"<?xml"}
    assert (tmp_path / f"curve.{format}").read_bytes().startswith(begins[format])


def test_all_formats_of_curves_are_known_to_the_command_line():
    assert tuple(f".{format}" for format in CURVE_FORMATS) == CURVES_WRITTEN


def test_a_page_is_written_beside_the_video(run, clip, tmp_path):
    _, page, _ = records(run("speedup", clip, "--report", "page.html", "-o", "a.mp4", "--json"))
    assert (page["role"], page["status"]) == ("report", "written")
    assert "hike.mp4: structkit speedup" in (tmp_path / "page.html").read_text()


def test_a_folder_is_mirrored_with_its_curves_and_goes_on_where_it_was(run, made, tmp_path):
    for name in ("one.mp4", "below/two.mp4"):
        (tmp_path / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made, tmp_path / "clips" / name)
    paint(tmp_path / "clips" / "a.png", 1)
    asked = ("speedup", "clips/", "-o", "out/", "--curve", "curves/", "--rate", "3", "--json")
    first = records(run(*asked))
    assert {record["output"] for record in first[:-1]} == {
        *("out/one.mp4", "out/below/two.mp4", "curves/one.json", "curves/below/two.json")
    }
    assert first[-1]["foreign"] == 1 and first[-1]["exit"] == 0
    again = records(run(*asked))
    assert {record["status"] for record in again[:-1]} == {"skipped"}
    assert [record.get("pace") for record in again] == [record.get("pace") for record in first]
    kept = records(run(*asked[:-3], "--rate", "2", "--json"))
    assert {record["status"] for record in kept[:-1]} == {"failed"} and "other options" in kept[0]["error"]
    read = records(run("speedup", "clips/", "-o", "again/", "--from-curve", "curves/", "--json"))
    assert [record["with"] for record in read[:-1]] == [
        {"curve": "curves/below/two.json"},
        {"curve": "curves/one.json"},
    ]


def test_what_was_made_with_other_options_is_not_taken_for_what_is_asked(run, made, tmp_path):
    (tmp_path / "clips").mkdir()
    shutil.copy(made, tmp_path / "clips" / "one.mp4")
    asked = ("speedup", "clips/", "-o", "out/", "--max-side", "32", "--rate", "3")
    assert run(*asked).code == 0
    for other in ("--audio drop", "--max-side 16", "--keep 0-0.1", "--resample blend", "--smooth 10", "--quality 30"):
        ran = run(*asked, *other.split())
        assert ran.code == 1 and "was made with other options" in ran.err, other
    assert run(*asked[:-2], "--duration", "33%").code == 1 and run(*asked).paths == []


def test_a_dry_run_of_a_batch_minds_no_output_that_exists_and_begins_no_folder(run, made, tmp_path):
    (tmp_path / "clips").mkdir()
    shutil.copy(made, tmp_path / "clips" / "one.mp4")
    assert run("speedup", "clips/", "-o", "new/", "--dry-run").code == 0 and not (tmp_path / "new").exists()
    assert run("speedup", "clips/", "--dry-run").paths[0].startswith("clips/one.mp4: 0:02.0 in 0:01.0, 2.00 times")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one.mp4").write_bytes(b"mine")
    dry, _ = records(run("speedup", "clips/", "-o", "out/", "--dry-run", "--json"))
    assert dry["status"] == "planned" and (tmp_path / "out" / "one.mp4").read_bytes() == b"mine"


def test_one_bad_video_does_not_stop_the_others(run, made, tmp_path):
    (tmp_path / "clips").mkdir()
    shutil.copy(made, tmp_path / "clips" / "good.mp4")
    (tmp_path / "clips" / "bad.mp4").write_bytes(made.read_bytes()[:3000])
    ran = run("speedup", "clips/", "-o", "out/")
    assert ran.code == 1 and ran.paths == ["out/good.mp4"] and "clips/bad.mp4" in ran.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("--rate 2 --duration 1", 2, "--rate and --duration both say how long the result is: give one of them"),
        ("--rate 20", 2, "hike.mp4: a clip of 2.0 s cannot be made 20 times as fast: here it can be made 1 to 8 times"),
        ("--duration 1m", 2, "--duration is 1:00.0, and the clip lasts 0:02.0: ask for less"),
        ("--duration soon", 2, "--duration is 'soon': give a time, such as 90, 90s, 1:30, 1m30s, 3m or 50%"),
        ("--keep 5", 2, "--keep is '5': give a span of the clip, such as 0:10-0:25, 0:10- or -0:25"),
        ("--keep 0:30-", 2, "--keep begins at 0:30.0, and the clip lasts 0:02.0: name a span of the clip"),
        ("--method speednet", 2, "--method speednet needs a model"),
        ("--method motion --model m.safetensors", 2, "--model is of --method speednet, and motion needs none"),
        ("--vmode max", 2, "--vmode is of --method speednet, and only what that measured has factors: leave it out"),
        ("--model glasses", 3, "and not speedup"),
        ("--curve curve.txt", 2, "use one of .json .csv .svg .png .otio .fcpxml"),
        ("--curve -", 2, "--curve - cannot be: only the result goes to stdout; name a file"),
        ("--report page.txt", 2, "--report page.txt is to be a page: end the name in .html"),
        ("--from-curve none.json", 2, "--from-curve none.json: there is no such file; write one with --curve"),
        ("--from-curve hike.mp4 --method motion", 2, "--method measures a clip, and --from-curve has measured it"),
        ("--from-curve hike.mp4", 1, "hike.mp4"),
        ("--format mkv", 2, "--output short.mp4 says mp4 and --format says mkv: change one of them"),
        ("--rate 0.5", 2, "--rate is 0.5: it must be between 1 and 100"),
    ],
)
def test_what_cannot_be_is_told_in_a_line_and_nothing_is_written(run, clip, tmp_path, words, code, message):
    if "speednet" in words and shipped():
        pytest.skip("a model ships")
    ran = run("speedup", clip, "-o", "short.mp4", *words.split())
    assert ran.code == code and message in ran.err, ran.err
    assert ran.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hike.mp4"]


def shipped() -> bool:
    import structkit_weights

    return structkit_weights.find("speednet-fast") is not None


@pytest.mark.parametrize(("name", "message"), [("photo.png", "a PNG picture, not a video"), ("no.mp4", "no such file")])
def test_what_is_no_video_is_told(run, tmp_path, name, message):
    paint(tmp_path / "photo.png", 1)
    ran = run("speedup", name, "-o", "short.mp4")
    assert ran.code == 1 and message in ran.err


def test_an_output_that_is_no_video_is_refused(run, clip):
    ran = run("speedup", clip, "-o", "short.gif")
    assert ran.code == 2 and "--output short.gif is to be a video: end the name in one of .mp4" in ran.err


def test_curves_of_several_videos_are_in_a_folder(run, clip, tmp_path):
    (tmp_path / "c.csv").write_text("0,2\n2,2\n")
    ran = run("speedup", clip, clip, "-o", "out/", "--from-curve", "c.csv")
    assert ran.code == 2 and "is one curve, and there may be several videos: name a folder of them" in ran.err
    (tmp_path / "curves").mkdir()
    ran = run("speedup", clip, "-o", "a.mp4", "--from-curve", "curves/")
    assert ran.code == 2 and "--from-curve curves/ has no hike.json or .csv: write it with --curve" in ran.err


@pytest.mark.slow
def test_a_video_goes_through_a_pipe(made, tmp_path):
    command = [sys.executable, "-m", "structkit_cli", "speedup", "-", "-o", "-", "--device", "cpu", "-q"]
    with made.open("rb") as stream:
        ran = subprocess.run(command, stdin=stream, capture_output=True, timeout=300, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    (tmp_path / "piped.mp4").write_bytes(ran.stdout)
    assert abs(length(tmp_path / "piped.mp4") - 1.0) <= 1 / 25


def test_options_come_from_the_environment_and_from_a_file(run, clip, tmp_path, monkeypatch):
    monkeypatch.setenv("STRUCTKIT_SPEEDUP_RATE", "3")
    assert "3.00 times as fast" in run("speedup", clip, "--dry-run").paths[0]
    (tmp_path / "o.toml").write_text('keep = ["0-0.3s", "1.5s-"]\nduration = "75%"\n')
    monkeypatch.delenv("STRUCTKIT_SPEEDUP_RATE")
    [dry, _] = records(run("speedup", clip, "--dry-run", "--config", "o.toml", "--json"))
    assert dry["pace"]["rate"] == pytest.approx(4 / 3)
    assert max(dry["curve"]["speeds"][:7]) == pytest.approx(1)
