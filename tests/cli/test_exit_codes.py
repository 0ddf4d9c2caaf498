"""Each exit code that --help lists, and the one line that goes with it."""

from __future__ import annotations

import os

import pytest

from structkit.errors import InputError, OptionError

from .conftest import paint


def test_0_all_done(run, pair):
    ran = run("analogy", *pair, "-o", "out.png")
    assert (ran.code, ran.paths) == (0, ["out.png"])


def test_1_some_inputs_failed_and_the_others_are_done(run, pair, tmp_path):
    paint(tmp_path / "many/1.png", 3)
    (tmp_path / "many/2.png").write_bytes(b"no picture")
    paint(tmp_path / "many/10.png", 4)
    ran = run("analogy", "house.png", "many", "-o", "out")
    assert (ran.code, ran.paths) == (1, ["out/1.png", "out/10.png"])
    assert "structkit: error: many/2.png: not a picture" in ran.err


def test_1_a_missing_file_is_an_input_that_failed(run, pair):
    ran = run("analogy", "house.png", "nowhere.png", "-o", "out.png")
    assert (ran.code, ran.out) == (1, b"")
    assert ran.err == "structkit: error: nowhere.png: no such file; check the path\n"


def test_1_when_all_that_is_left_fails_but_another_was_done_before(run, pair, tmp_path):
    run("sample", "house.png", "cake.png", "-n", "1", "-o", "out/")
    (tmp_path / "cake.png").write_bytes(b"broken since")
    assert run("sample", "house.png", "cake.png", "-n", "1", "-o", "out/").code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["analogy"], "Missing argument 'SOURCE'"),
        (["analogy", "house.png"], "Missing argument 'TARGET'"),
        (["nonsense"], "No such command 'nonsense': the verbs are analogy, sample, "),
        (["analogy", "house.png", "cake.png", "--nonsense"], "No such option: --nonsense"),
        (["analogy", "house.png", "cake.png", "--mode", "odd"], "--mode is 'odd': choose one of analogy, style, "),
        (["analogy", "house.png", "cake.png", "--strength", "7"], "--strength is 7: it must be between 0 and 1"),
        (["analogy", "house.png", "cake.png", "--strength", "nan"], "--strength is nan: it must be a finite number"),
        (["analogy", "house.png", "cake.png", "--count", "0"], "--count is 0: it must be between 1 and 9999"),
        (
            ["analogy", "house.png", "cake.png", "--size", "12"],
            "--size is '12': give width and height in px, such as 640x480",
        ),
        (["analogy", "house.png", "cake.png", "--size", "0x12"], "--size is '0x12'"),
        (
            ["analogy", "house.png", "cake.png", "--size", "20x20", "--max-side", "20"],
            "--size and --max-side both say how large",
        ),
        (["sample", "house.png", "--size", "20x20", "--max-side", "20"], "--size and --max-side both say how large"),
        (["analogy", "", "cake.png"], "an input is the empty text: name a file, or . for the current folder"),
        (
            ["analogy", "house.png", "cake.png", "--device", "gpu"],
            "--device is 'gpu': choose auto, cpu, cuda or cuda:0",
        ),
        (
            ["analogy", "house.png", "cake.png", "--device", "mps"],
            "--device is 'mps': choose auto, cpu, cuda or cuda:0",
        ),
        (
            ["analogy", "house.png", "cake.png", "--dtype", "bfloat16"],
            "--dtype is 'bfloat16': choose one of auto, float32",
        ),
        (["retarget", "house.png", "--size", "8x8"], "--size is 8x8: each side must be 16 to 8192 px"),
        (["sample", "house.png", "--size", "9000x16"], "--size is 9000x16: each side must be 16 to 8192 px"),
        (["analogy", "house.png", "cake.png", "--size", "16x15"], "--size is 16x15: each side must be 16 to 8192 px"),
        (["analogy", "-", "-"], "both standard input (-): it can be read only once"),
        (["sample", "-", "-", "-o", "out/"], "standard input (-) is named twice"),
        (["refine", "-", "--patches-of", "-"], "both standard input (-)"),
        (["refine", "house.png"], "--patches-of is missing"),
        (["refine", "house.png", "--patches-of", "."], "--patches-of . may be many pictures: name one file"),
        (["retarget", "house.png"], "--size is missing"),
        (["sample", "@nowhere.txt"], "@nowhere.txt: No such file or directory: the list of inputs cannot be read"),
        (["sample", ".", "-n", "1"], "there may be several outputs: name a folder for them with --output FOLDER/"),
        (
            ["sample", ".", "-o", "out.png"],
            "--output out.png is a file, and there may be several outputs: name a folder, such as out/",
        ),
        (
            ["sample", ".", "-o", "."],
            ". is a folder of inputs too: write elsewhere with --output, or say --exists overwrite",
        ),
        (["sample", "house.png", "-o", "out.xyz"], "--output out.xyz has a suffix that names no format"),
        (["sample", "house.png", "-o", "out.mp4"], "--output out.mp4 names a video, and a picture goes there: end"),
        (["sample", "no.mp4", "-o", "out.avi"], "no.mp4 is a video, and only pictures can be given here: save its"),
        (["analogy", "house.png", "cake.png", "-o", "o.avi"], "house.png is a picture, and --output o.avi names a"),
        (["analogy", "house.png", "cake.png", "--compare", "s.mp4"], "--compare s.mp4 names a video, and a picture"),
        (
            ["sample", "house.png", "-o", "o.png", "--format", "gif"],
            "--output o.png says png and --format says gif: change one of them",
        ),
        (["sample", "house.png", "--quality", "9"], "--quality means nothing for png"),
        (
            ["sample", ".", "-n", "1", "-o", "-"],
            "--output - writes one result to stdout, and there are 2: name a folder",
        ),
        (["sample", "house.png", "-o", "-"], "--output - writes one result to stdout, and there are 4"),
        (["sample", "house.png", "-n", "1", "-o", "-", "--json"], "--json and --output - would both write to stdout"),
        (["sample", "house.png", "-n", "1", "-o", "-", "--exists", "skip"], "--exists means nothing with --output -"),
        (["analogy", "house.png", "cake.png", "--compare", "-"], "--compare - cannot be"),
        (["analogy", "house.png", "cake.png", "-o", "house.png"], "house.png is an input too: write elsewhere"),
    ],
)
def test_2_usage(run, engine, pair, arguments, message):
    ran = run(*arguments)
    assert (ran.code, ran.out, engine.calls) == (2, b"", [])
    assert ran.err.startswith("structkit: error: ") and ran.err.count("\n") == 1
    assert message in ran.err


def test_2_no_verb_shows_the_help_on_stderr(run):
    ran = run()
    assert (ran.code, ran.out) == (2, b"")
    assert "analogy" in ran.err


def test_2_an_option_that_the_engine_refuses(run, engine, pair):
    def refuse(call):
        raise OptionError("--patch is 8: it must be odd")

    engine.then = refuse
    ran = run("analogy", *pair)
    assert (ran.code, ran.err) == (2, "structkit: error: house.png + cake.png: --patch is 8: it must be odd\n")


def test_3_a_device_that_is_not_there(run, engine, pair, tmp_path):
    ran = run("sample", *pair, "-o", "out/", "--device", "cuda:7")
    assert (ran.code, engine.calls) == (3, [])
    assert "structkit: error: --device cuda:7: there is none here" in ran.err
    assert "cake.png" not in ran.err  # the first says it for all
    assert not (tmp_path / "out").exists()


def test_3_an_output_folder_that_cannot_be(run, engine, pair, tmp_path):
    (tmp_path / "file").touch()
    ran = run("analogy", *pair, "-o", "file/out.png")
    assert (ran.code, engine.calls) == (3, [])
    assert (
        ran.err == "structkit: error: file is not a folder: out.png cannot be written below it; "
        "name another place with --output\n"
    )


def test_3_an_output_folder_without_rights(run, engine, pair, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    ran = run("analogy", *pair)
    assert (ran.code, engine.calls) == (3, [])
    assert "cannot be written to: change its rights" in ran.err


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that nobody can write to")
def test_3_a_place_that_takes_no_file(run, pair):
    ran = run("analogy", *pair, "-o", "/proc/out.png")
    assert (ran.code, ran.out) == (3, b"") and ran.err.startswith("structkit: error: /proc/out.png: ")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that nobody can write to")
@pytest.mark.parametrize("inputs", [("house.png",), ("house.png", "cake.png")])
@pytest.mark.parametrize("folder", ["/proc/nope/", "x" * 300 + "/", "new/" + "x" * 300 + "/"])
def test_3_a_folder_that_cannot_be_made(run, engine, pair, inputs, folder):
    ran = run("sample", *inputs, "-n", "1", "-o", folder)
    assert (ran.code, ran.out, engine.calls) == (3, b"", [])
    assert (
        ran.err.startswith(f"structkit: error: {folder.rstrip('/')}: cannot be written (") and ran.err.count("\n") == 1
    )
    assert ran.err.endswith("); name another place with --output\n")


def test_3_of_two_folders_the_second_cannot_be_made(run, engine, pair, tmp_path):
    ran = run("analogy", *pair, "-o", "a/", "--compare", "x" * 300 + "/")
    assert (ran.code, ran.out, engine.calls) == (3, b"", [])
    assert ran.err.startswith("structkit: error: xxx")
    assert not (tmp_path / "a").exists()


def test_3_a_full_disk_ends_the_run(run, engine, pair, monkeypatch):
    def full(path, data):
        from structkit.errors import OutputError

        raise OutputError(f"{path}: the disk is full; free some space") from OSError(28, "No space left on device")

    monkeypatch.setattr("structkit_cli.run.sinks.PendingFile", full)
    ran = run("sample", *pair, "-n", "1", "-o", "out/")
    assert (ran.code, len(engine.calls)) == (3, 1)
    assert "the disk is full" in ran.err


def test_4_nothing_to_do(run, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").touch()
    ran = run("sample", "empty", "-o", "out")
    assert (ran.code, ran.out) == (4, b"")
    assert ran.err == "structkit: nothing to do: there is no file that sample reads among the inputs (1 other file)\n"
    assert run("sample", "empty/*.png", "-o", "out").code == 4


def test_130_interrupted(run, engine, tmp_path):
    for i in range(5):
        paint(tmp_path / f"in/{i}.png", i)

    def interrupt(call):
        if len(engine.calls) == 3:
            raise KeyboardInterrupt

    engine.then = interrupt
    ran = run("sample", "in", "-n", "1", "-o", "out", "--quiet")
    assert (ran.code, ran.paths) == (130, ["out/0.png", "out/1.png"])
    assert ran.err.startswith("structkit: interrupted: 2 written") and ran.err.count("\n") == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [".structkit-manifest.jsonl", "0.png", "1.png"]


def test_the_class_of_a_lone_failure_decides_and_several_classes_are_1(run, engine, pair):
    def fail(call):
        raise [InputError("a"), OptionError("b")][len(engine.calls) % 2]

    engine.then = fail
    assert run("sample", *pair, "-n", "1", "-o", "out/").code == 1


def test_a_bug_is_one_line_with_the_way_to_the_traceback(run, engine, pair, monkeypatch):
    def fail(call):
        raise ZeroDivisionError("by nothing")

    engine.then = fail
    ran = run("analogy", *pair)
    where = "(STRUCTKIT_DEBUG=1 shows where)"
    assert (ran.code, ran.err) == (
        1,
        f"structkit: error: house.png + cake.png: unexpected ZeroDivisionError: by nothing {where}\n",
    )
    monkeypatch.setenv("STRUCTKIT_DEBUG", "1")
    assert "Traceback" in run("analogy", *pair).err


@pytest.mark.parametrize("verb", ["", "analogy", "sample", "retarget", "refine"])
def test_help_lists_them(run, verb):
    text = " ".join(run(*verb.split(), "--help").out.decode().split())
    for code in (
        "0 all done",
        "1 some inputs failed",
        "2 usage",
        "3 environment",
        "4 nothing to do",
        "130 interrupted",
    ):
        assert code in text
