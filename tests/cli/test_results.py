"""Results write themselves: each type to a file that is whole or not there, and to standard output, with its record."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from fractions import Fraction
from pathlib import Path, PurePath

import numpy as np
import pytest
import typer

from structkit._version import __version__
from structkit.errors import InputError, OptionError, OutputError
from structkit.media.moving_pictures import read_clip as moving
from structkit.media.pictures import Picture, read_picture
from structkit.media.video import VideoReader
from structkit_cli.options import RunOptions
from structkit_cli.run import batch
from structkit_cli.run.checks import check_plan
from structkit_cli.run.inputs import InputFile
from structkit_cli.run.manifest import made_from
from structkit_cli.run.parts import NAME
from structkit_cli.run.plan import Destination, Maker, Output, Plan, Task
from structkit_cli.run.results import (
    ClipResult,
    DryResult,
    JsonResult,
    OutputKind,
    PictureResult,
    TableResult,
    TextResult,
    VideoResult,
)
from structkit_cli.run.sinks import FileSink, StdoutSink

from .conftest import paint
from .test_json import SCHEMA, faults

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 12, 16, 3), dtype=np.uint8)
TABLE = [["time, s", "speed"], [0, 1.5], ['a "b"\nc', ""]]


def clip(count: int = 5) -> ClipResult:
    return ClipResult(iter(PIXELS[:count]), Fraction(25, 2), ("made up",))


def read_clip(data: bytes) -> list[float]:
    frames = list(VideoReader(data))
    assert frames[0].pixels.shape == PIXELS[0].shape
    return [float(frame.time) for frame in frames]


def read_table(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


RESULTS = {
    "picture": (lambda: PictureResult(Picture(PIXELS[0])), OutputKind.PICTURE, "png"),
    "comparison": (lambda: PictureResult(Picture(PIXELS[0])), OutputKind.COMPARISON, "png"),
    "clip": (clip, OutputKind.VIDEO, "mp4"),
    "moving picture": (clip, OutputKind.CLIP, "webp"),
    "new clip": (clip, OutputKind.CLIP, "mp4"),
    "page": (lambda: TextResult("<p>ä</p>\n"), OutputKind.PLAYER, "html"),
    "json": (lambda: JsonResult({"speed": [1, 2.5, None], "name": "ä"}), OutputKind.DATA, "json"),
    "csv": (lambda: TableResult(TABLE[0], iter(TABLE[1:])), OutputKind.DATA, "csv"),
    "svg": (lambda: TextResult("<svg/>"), OutputKind.DATA, "svg"),
    "html": (lambda: TextResult("<p>ä</p>\n"), OutputKind.DATA, "html"),
    "text": (lambda: TextResult("a\n"), OutputKind.DATA, "text"),
}
READERS = {
    "picture": (lambda data: (read_picture(data).pixels == PIXELS[0]).all(), True),
    "comparison": (lambda data: (read_picture(data).pixels == PIXELS[0]).all(), True),
    "clip": (read_clip, [0, 0.08, 0.16, 0.24, 0.32]),
    "moving picture": (lambda data: (moving(data).frames == PIXELS).all(), True),
    "new clip": (read_clip, [0, 0.08, 0.16, 0.24, 0.32]),
    "page": (bytes.decode, "<p>ä</p>\n"),
    "json": (json.loads, {"speed": [1, 2.5, None], "name": "ä"}),
    "csv": (read_table, [[str(cell) for cell in row] for row in TABLE]),
    "svg": (bytes, b"<svg/>"),
    "html": (bytes.decode, "<p>ä</p>\n"),
    "text": (bytes, b"a\n"),
}
SUFFIXES = {"comparison": ".png", "clip": ".mp4", "new clip": ".mp4", "moving picture": ".webp", "page": ".html"}
SUFFIXES |= {"text": ".txt"}
CLIPS = ("clip", "moving picture", "new clip")


class OneMaker(Maker):
    """The maker of one result, however often."""

    def __init__(self, result) -> None:
        self.result, self.calls = result, 0

    def make(self, task, missing, device, progress):
        self.calls += 1
        for output in missing:
            yield output, self.result()


@pytest.fixture
def source(engine, tmp_path, monkeypatch) -> InputFile:
    """A picture, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return InputFile(Path(paint(tmp_path / "in.png", 1).name), PurePath("in.png"))


@pytest.fixture
def go(source, capfdbinary):
    """Run the plan of one output: its exit code, what is on stdout, and its maker."""

    def go(result, kind: OutputKind, format: str | None, output: str | None = "out/", many=True, **options):
        place = Destination(output, many=many, format=format, kind=kind)
        maker = OneMaker(result)
        tasks = [Task({"picture": source}, (place.output(PurePath("x"), seed=3),))]
        capfdbinary.readouterr()
        with pytest.raises(typer.Exit) as end:
            batch.run(Plan("verb", tasks, maker, {}, many=many, foreign=0), RunOptions(output=output, **options))
        return end.value.exit_code, capfdbinary.readouterr().out, maker

    return go


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_in_a_file_has_a_record_with_its_hash_and_is_not_made_again(go, tmp_path, name):
    reader, expected = READERS[name]
    code, out, maker = go(*RESULTS[name], json=True)
    record, summary = map(json.loads, out.splitlines())
    assert (code, record["status"], summary["written"]) == (0, "written", 1)
    assert faults(record, SCHEMA) == faults(summary, SCHEMA) == []
    assert record["role"] == ("comparison" if name in ("comparison", "page") else "result")
    data = Path(record["output"]).read_bytes()
    assert record["sha256"] == hashlib.sha256(data).hexdigest() and reader(data) == expected
    assert record["warnings"] == (["made up"] if name in CLIPS else [])
    assert record.get("frames") == (5 if name in CLIPS else None)
    assert sorted(path.name for path in Path("out").iterdir()) == [
        ".structkit-manifest.jsonl",
        Path(record["output"]).name,
    ]
    code, out, maker = go(*RESULTS[name], json=True)
    again = json.loads(out.splitlines()[0])
    assert (code, maker.calls, again["status"], again["sha256"]) == (0, 0, "skipped", record["sha256"])


@pytest.mark.parametrize("name", ["picture", "comparison", "clip"])
def test_what_an_output_is_made_from_is_said_as_ever_so_that_older_folders_are_current(go, source, name):
    result, kind, format = RESULTS[name]
    assert go(result, kind, format)[0] == 0
    how = {"verb": "verb", "version": __version__, "dtype": "auto", "quality": None}
    own = {"format": format, "seed": 3, "strip": name == "comparison"}
    noted = json.loads(Path("out", NAME).read_text())["made_from"]
    assert noted == made_from({"picture": source.sha256}, how | own)


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_on_stdout_has_the_bytes_of_the_file(go, name):
    result, kind, format = RESULTS[name]
    assert go(result, kind, format)[0] == 0
    file = next(path for path in Path("out").iterdir() if not path.name.startswith("."))
    code, out, _ = go(result, kind, format, output="-", many=False)
    assert (code, out) == (0, file.read_bytes())


@pytest.mark.parametrize(("name", "suffix"), {**{n: f".{n}" for n in RESULTS}, "picture": ".png"}.items())
def test_the_suffix_is_that_of_the_kind_and_of_the_format(name, suffix):
    _, kind, format = RESULTS[name]
    place = Destination(None, many=False, format=format, kind=kind)
    suffix = SUFFIXES.get(name, suffix)
    assert place.output(PurePath("a/b"), word="-1", seed=0).path == Path(f"a/b-1{suffix}")


def broken(error: Exception, count: int = 3):
    """The frames of a clip, which end in an error."""
    yield from PIXELS[:count]
    raise error


@pytest.mark.parametrize("output", ["out/", "-"])
@pytest.mark.parametrize("error", [InputError("a: torn"), ZeroDivisionError("by nothing")])
def test_a_clip_that_fails_on_its_way_leaves_nothing(go, output, error):
    result = lambda: ClipResult(broken(error), Fraction(25))  # noqa: E731
    code, out, _ = go(result, OutputKind.VIDEO, "mp4", output, many=output != "-")
    assert (code, out) == (1, b"")
    assert not Path("out").exists()


def test_a_clip_without_frames_and_one_whose_frames_differ_are_errors(tmp_path):
    sink = FileSink(tmp_path / "a.mp4", "mp4", None)
    with pytest.raises(InputError, match=r"a\.mp4: no frames to write; a video has at least one"):
        clip(0).write(sink)
    with pytest.raises(InputError, match=r"^\S+/a\.mp4: a frame of uint8 \(6, 8, 3\); all frames must be uint8"):
        ClipResult([PIXELS[0], PIXELS[1, ::2, ::2]], Fraction(25)).write(sink)
    assert sink.pending is None and list(tmp_path.iterdir()) == []


def test_a_video_that_cannot_be_written_names_the_output_and_leaves_nothing(tmp_path):
    def film(where):
        where.write_bytes(b"half")
        raise OutputError(f"{where}: the disk is full; free some space")

    with pytest.raises(OutputError, match=rf"^{tmp_path}/a\.mp4: the disk is full; free some space$"):
        VideoResult(film).write(FileSink(tmp_path / "a.mp4", "mp4", None))
    assert list(tmp_path.iterdir()) == []


def test_nothing_takes_a_name_before_it_is_whole(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    sink = FileSink(tmp_path / "a.txt", "text", None)
    TextResult("new").write(sink)
    assert (tmp_path / "a.txt").read_text() == "old" and sink.sha256 == hashlib.sha256(b"new").hexdigest()
    sink.pending.settle()
    sink.pending.take_name()
    assert (tmp_path / "a.txt").read_text() == "new" and len(list(tmp_path.iterdir())) == 1


def test_a_dry_run_writes_nothing_and_says_so(go, tmp_path):
    dry = lambda: DryResult({"warnings": ["12 s would become 7 s"]})  # noqa: E731
    code, out, _ = go(dry, OutputKind.VIDEO, None, json=True)
    record, summary = map(json.loads, out.splitlines())
    assert (code, record["status"], record["sha256"], record["warnings"]) == (
        0,
        "planned",
        None,
        ["12 s would become 7 s"],
    )
    assert (summary["written"], summary["planned"]) == (0, 1)
    assert faults(record, SCHEMA) == faults(summary, SCHEMA) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png"]
    assert go(dry, OutputKind.VIDEO, None)[1] == go(dry, OutputKind.VIDEO, None, "-", many=False)[1] == b""


def test_quality_is_refused_where_it_means_nothing_and_a_comparison_pays_no_heed_to_it(source):
    def check(kind: OutputKind, format: str) -> None:
        output = Output(Path(f"x.{format}"), Path(), format, 0, kind)
        check_plan([Task({"picture": source}, (output,))], RunOptions(quality=50), "error", own=[])

    for kind, format in ((OutputKind.VIDEO, "mkv"), (OutputKind.COMPARISON, "png"), (OutputKind.PICTURE, "jpeg")):
        check(kind, format)
    with pytest.raises(OptionError, match=r"^--quality means nothing for png: leave it out, or say --format jpeg"):
        check(OutputKind.PICTURE, "png")
    with pytest.raises(OptionError, match=r"^--quality means nothing for csv: leave it out$"):
        check(OutputKind.DATA, "csv")


def test_the_suffix_of_a_data_file_names_its_format(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = Destination("a.CSV", many=False, format=None, kind=OutputKind.DATA)
    assert (place.format, place.output(PurePath("x"), seed=0).path) == ("csv", Path("a.CSV"))
    fact = r"^--curve a\.png has a suffix that names no format: use one of \.json \.csv \.svg \.html \.txt$"
    with pytest.raises(OptionError, match=fact):
        Destination("a.png", many=False, format=None, flag="--curve", kind=OutputKind.DATA)
    with pytest.raises(OptionError, match=r"^--output a\.csv is a file, and there may be several outputs"):
        Destination("a.csv", many=True, format="csv", kind=OutputKind.DATA)


def test_a_result_that_is_whole_is_emitted_at_once(capfdbinary):
    sink = StdoutSink("csv", None)
    assert TableResult(["a"], [[1], [2]], ("odd",)).write(sink) == {"warnings": ["odd"]}
    assert capfdbinary.readouterr().out == b"a\n1\n2\n" and sink.sha256 == hashlib.sha256(b"a\n1\n2\n").hexdigest()


def test_json_has_no_nan():
    with pytest.raises(ValueError, match="JSON"):
        JsonResult([float("nan")]).write(StdoutSink("json", None))
