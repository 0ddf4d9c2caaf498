"""--on ray without Ray: what a run makes of what its workers say, and what is refused."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path, PurePath

import pytest
import torch

from structkit.errors import OutputError
from structkit_cli.run.cluster import maker
from structkit_cli.run.cluster.bench import WorkBench
from structkit_cli.run.cluster.dispatch import Refusal, check_worker
from structkit_cli.run.cluster.freight import Freight
from structkit_cli.run.cluster.parcels import ErrorRecord, load, unload
from structkit_cli.run.cluster.wire import pack, unpack
from structkit_cli.run.inputs import InputFile, InputFolder
from structkit_cli.run.report import Report

from .. import content_models
from . import one_bench
from .conftest import paint
from .content import band, save_models
from .fake_engine import FakeEngine
from .test_resume import contents

ON = ("--on", "ray")


@pytest.fixture
def engine(monkeypatch):
    """The stand-in for what draws, on a real device."""
    fake = FakeEngine()
    fake.install(monkeypatch.setattr, lambda *_: None)
    return fake


@pytest.fixture
def bench(monkeypatch):
    return one_bench.install(monkeypatch)


@pytest.fixture
def models(tmp_path, monkeypatch):
    content_models.install(monkeypatch)
    save_models(tmp_path)
    odd = content_models.FakeTransfer(content_models.FakeConfig())
    odd.scale = torch.nn.Parameter(torch.ones(2))
    odd.save(tmp_path / "odd.safetensors")  # whose header is whole


@pytest.fixture
def folder(tmp_path):
    """Pictures in a tree, one of them damaged."""
    for i in range(5):
        band(tmp_path / f"in/{i}.png", (255, 40 * i, 0))
    for i in range(8):
        paint(tmp_path / f"in/deep/{i}.png", i, side=24)
    (tmp_path / "in/2.png").write_bytes((tmp_path / "in/1.png").read_bytes()[:60])
    (tmp_path / "in/only/bad").mkdir(parents=True)
    (tmp_path / "in/only/bad/1.png").write_bytes(b"no picture")
    return tmp_path / "in"


def outcome(ran, out: Path) -> tuple:
    """All that a run has done and told, but for times."""
    records = [json.loads(line) for line in ran.out.splitlines()]
    for record in records:
        record.pop("ms")
    told = [line for line in ran.err.splitlines() if not line.endswith(" s")]
    manifest = [line.replace(b'"out"', b"") for line in contents(out).pop(".structkit-manifest.jsonl", b"").split()]
    files = {name: data for name, data in contents(out).items() if not name.endswith(".jsonl")}
    return ran.code, records, told, files, manifest, sorted(path for path in out.rglob("*") if path.is_dir())


COMMANDS = {
    "sample": ("sample", "in", "-n", "2"),
    "analogy": ("analogy", "in", "in/deep/1.png", "--compare", "out/strips"),
    "guides": ("analogy", "in", "in/deep/1.png", "--guide", "in", "in/deep/2.png"),
    "remove": ("remove", "in", "--model", "m.safetensors", "--model", "other.safetensors"),
    "transfer": ("transfer", "in", "--from", "in/deep", "--from", "in/1.png", "--model", "m.safetensors"),
    "odd model": ("segment", "in", "--model", "odd.safetensors"),
    "damaged donor": ("transfer", "in", "--from", "in/2.png", "--model", "m.safetensors"),
    "absent device": ("sample", "in", "-n", "1", "--device", "cuda"),
    "one that fails": ("sample", "in/2.png", "-n", "1"),
}


@pytest.mark.parametrize("ship", [(), ("--ship",)], ids=["shared disk", "shipped"])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_run_on_a_cluster_does_and_tells_what_one_process_does(run, bench, models, folder, tmp_path, command, ship):
    if command[-1] == "cuda" and torch.cuda.is_available():
        pytest.skip("the device is there")
    out = tmp_path / "out"
    alone = outcome(run(*command, "-o", "out/", "--json"), out)
    out.rename(tmp_path / "before") if out.exists() else None
    together = outcome(run(*command, "-o", "out/", "--json", *ON, *ship), out)
    if command[-1] == "cuda":  # the one word more that there is to say
        alone, together = copy.deepcopy((alone, together))
        assert together[2][0].endswith(" (on the node node7)")
        together[1][0]["error"] = together[1][0]["error"].removesuffix(" (on the node node7)")
        together[2][0] = together[2][0].removesuffix(" (on the node node7)")
    assert together == alone
    assert bench.parcels or alone[0] > 1  # the comparison is one


def test_a_rerun_of_what_is_done_reaches_no_cluster(run, bench, folder, monkeypatch):
    assert run("sample", "in/deep", "-n", "1", "-o", "out/", *ON).code == 0
    monkeypatch.setattr(maker, "ClusterProcess", None)
    assert run("sample", "in/deep", "-n", "1", "-o", "out/", *ON).code == 0


def test_only_so_many_tasks_are_under_way(run, bench, tmp_path):
    for i in range(60):
        paint(tmp_path / f"in/{i}.png", i)
    seen = []
    bench.dies = staticmethod(lambda parcel: seen.append(len(list((tmp_path / "out").glob(".structkit-*.png")))))
    assert run("sample", "in", "-n", "1", "-o", "out", *ON).code == 0
    assert len(bench.parcels) == 60 and bench.most <= maker.PARCELS and max(seen) <= maker.PARCELS + 2


def test_what_dies_with_its_worker_is_tried_again_alone(run, bench, models, folder, tmp_path):
    command = ("segment", "in/deep", "--model", "m.safetensors", "-o")
    assert run(*command, "out").code == 0
    died = []
    bench.dies = staticmethod(lambda parcel: len(died) < 2 and not died.append(parcel))
    assert run(*command, "again", *ON).code == 0
    assert contents(tmp_path / "again").keys() == contents(tmp_path / "out").keys()
    assert len(bench.parcels) == 8 - 1 + 1  # the first of the two dead parcels was one task of the eight


def test_a_task_that_its_workers_die_of_fails_and_the_rest_goes_on(run, bench, models, folder, tmp_path):
    bench.dies = staticmethod(lambda parcel: b"3.png" in parcel)
    ran = run("segment", "in/deep", "--model", "m.safetensors", "-o", "out", *ON)
    assert ran.code == 1 and len(ran.paths) == 7
    fact = "in/deep/3.png: its worker died 3 times, at last on the node node7"
    assert f"structkit: error: {fact}: leave it out, or give the workers more memory\n" in ran.err
    assert [name for name in contents(tmp_path / "out") if name.startswith(".")] == [".structkit-manifest.jsonl"]


def test_an_output_folder_that_a_worker_cannot_see_ends_the_run(run, bench, folder, tmp_path, monkeypatch):
    seen = Path.exists
    hidden = lambda path: not path.name.startswith(".structkit-") and seen(path)  # noqa: E731
    work = WorkBench.work

    def elsewhere(self, parcel):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "exists", hidden)
            return work(self, parcel)

    monkeypatch.setattr(WorkBench, "work", elsewhere)
    ran = run("sample", "in/deep", "-n", "1", "-o", "out", *ON)
    words = f"{tmp_path / 'out'} is not to be seen on the node node7: use a disk that all nodes share, or say --ship"
    assert (ran.code, ran.err.splitlines()[0]) == (3, f"structkit: error: {words}")
    assert not (tmp_path / "out").exists()
    assert run("sample", "in/deep", "-n", "1", "-o", "out", *ON, "--ship").code == 0


def test_an_input_that_only_the_worker_cannot_see_ends_the_run(run, bench, folder, monkeypatch):
    work = WorkBench.work

    def elsewhere(self, parcel):
        (folder / "deep").rename(folder / "away")
        try:
            return work(self, parcel)
        finally:
            (folder / "away").rename(folder / "deep")

    monkeypatch.setattr(WorkBench, "work", elsewhere)
    ran = run("sample", "in/deep", "-n", "1", "-o", "out", *ON)
    fact = "in/deep/0.png is not to be seen on the node node7"
    assert ran.code == 3 and f"structkit: error: {fact}: use a disk that all nodes share, or say --ship\n" in ran.err


def test_an_output_whose_place_is_gone_fails_alone_and_the_others_are_their_own(run, bench, models, folder, tmp_path):
    command = ("segment", "in/deep", "--model", "m.safetensors", "-o")
    assert run(*command, "alone").code == 0
    out = tmp_path / "out"
    gone = []

    def dies(parcel):
        gone.extend([] if gone else sorted(out.glob(".structkit-*.png"))[:1])
        gone[0].unlink(missing_ok=True)

    bench.dies = staticmethod(dies)
    ran = run(*command, "out", *ON)
    assert ran.code == 1 and len(ran.paths) == 7 and ran.err.count(": its unfinished file is gone; start the same") == 1
    alone = contents(tmp_path / "alone")
    assert all(data == alone[name] for name, data in contents(out).items() if not name.startswith("."))


def test_a_cluster_that_goes_leaves_what_is_done(run, bench, folder, tmp_path):
    def dies(parcel):
        if len(bench.parcels) == 2:
            raise maker.MakerError("the cluster is gone")

    bench.dies = staticmethod(dies)
    ran = run("sample", "in/deep", "-n", "1", "-o", "out", *ON)
    assert (ran.code, ran.paths) == (3, ["out/0.png", "out/1.png"])
    assert "structkit: error: the cluster is gone\n" in ran.err
    assert set(contents(tmp_path / "out")) == {".structkit-manifest.jsonl", "0.png", "1.png"}
    bench.dies = staticmethod(lambda parcel: False)
    assert len(run("sample", "in/deep", "-n", "1", "-o", "out", *ON).paths) == 6


def test_a_full_disk_of_a_worker_ends_the_run(run, bench, folder, monkeypatch):
    def full(self):
        raise OutputError("0.png: the disk is full; free some space") from OSError(28, "No space left on device")

    monkeypatch.setattr("structkit.media.files.SharedFile.settle", full)
    ran = run("sample", "in/deep", "-n", "1", "-o", "out", *ON)
    assert ran.code == 3 and ran.err.count("structkit: error: 0.png: the disk is full; free some space\n") == 1


def test_standard_input_and_output_go_to_the_worker_and_back(run, bench, pair, monkeypatch):
    assert run("sample", pair[0], "-n", "1", "-o", "a.png").code == 0
    for more in ((), ("--ship",)):
        with open(pair[0], "rb") as stdin:
            monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": stdin, "isatty": lambda self: False})())
            ran = run("sample", "-", "-n", "1", "-o", "-", *ON, *more)
        assert (ran.code, ran.out) == (0, Path("a.png").read_bytes())


def test_lines_of_a_worker_are_told_by_the_run(run, bench, engine, pair):
    engine.then = lambda call: print("structkit: a doubt\na warning", file=sys.stderr)
    assert run("sample", pair[0], "-n", "1", "-o", "a.png", *ON).err.startswith("structkit: a doubt\na warning\n")


def test_progress_of_a_task_is_told_by_the_run(run, bench, pair, monkeypatch):
    told = []
    monkeypatch.setattr(Report, "progress", lambda self, fraction, note="": told.append((fraction, note)))
    assert run("sample", pair[0], "-n", "2", "-o", "out/").code == 0
    alone = [told.pop() for _ in range(len(told))]
    assert run("sample", pair[0], "-n", "2", "-o", "again/", *ON).code == 0
    assert sorted(told) == sorted(alone) and (0.25, "level 1") in told


def test_the_frames_of_a_folder_are_sent(tmp_path):
    for i in range(3):
        paint(tmp_path / f"frames/{i}.png", i)
    frames = InputFolder(tmp_path / "frames", PurePath("frames"))
    packed = load(frames, Freight([], []))
    (tmp_path / "frames").rename(tmp_path / "away")
    sent = unload(packed)
    assert [given.name for given in sent.files] == [str(tmp_path / f"frames/{i}.png") for i in range(3)]
    assert [given.source for given in sent.files] == [(tmp_path / f"away/{i}.png").read_bytes() for i in range(3)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--workers", "2"), "--workers is about the workers of a cluster: say --on ray too, or leave it out"),
        (("--ship",), "--ship is about the workers of a cluster: say --on ray too, or leave it out"),
        ((*ON, "--workers", "0"), "--workers is 0: it must be at least 1"),
        ((*ON, "--device", "cuda:1"), "--device cuda:1 is one of this machine: with --on say cuda, cpu or auto"),
        (("--on", "slurm"), "--on is 'slurm': choose one of ray"),
    ],
)
def test_options_that_mean_nothing_are_refused(run, pair, options, words):
    ran = run("sample", *pair, "-o", "out/", *options)
    assert (ran.code, ran.err.count("\n")) == (2, 1) and words in ran.err


def test_what_needs_a_common_disk_is_not_shipped(run, bench, folder, tmp_path):
    ran = run("analogy", "in/1.png", "in/3.png", "--engine", "gan", "-o", "out/", *ON, "--ship")
    words = "--ship leaves no disk for out/1-3.safetensors, which is trained first"
    assert ran.code == 2 and words in ran.err, ran.err


def test_ray_that_is_not_installed_is_named(run, pair, monkeypatch):
    monkeypatch.setattr(maker, "find_spec", lambda name: None)
    ran = run("sample", *pair, "-o", "out/", *ON)
    words = "structkit: error: --on ray needs Ray, which is not installed: pip install 'structkit[ray]'\n"
    assert (ran.code, ran.err) == (3, words)


FACTS = {"node": "node7", "python": "3.11.2", "pid": 1}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"version": None}, "the node node7 has no structkit: install structkit "),
        ({"version": "0.0.9"}, "the node node7 has structkit 0.0.9, and here is "),
        ({"failure": "ValueError: odd"}, r"the node node7 \(Python 3.11.2\) cannot read what this one \(Python "),
        ({"refusal": "no such device"}, r"no such device \(on the node node7\)"),
    ],
)
def test_a_worker_of_another_kind_is_refused(facts, words):
    from structkit._version import __version__

    with pytest.raises(Refusal, match=words):
        check_worker(FACTS | {"version": __version__} | facts)
    check_worker(FACTS | {"version": __version__, "device": "cpu"})


def test_an_error_arrives_as_it_was():
    try:
        raise OutputError("x.png: full") from OSError(28, "No space left on device")
    except OutputError as error:
        arrived = unpack(pack(ErrorRecord.of(error))).error()
    assert (type(arrived), str(arrived), arrived.__cause__.errno) == (OutputError, "x.png: full", 28)
    odd = ErrorRecord.of(KeyError("x")).error()
    assert (type(odd).__name__, str(odd)) == ("KeyError", "'x'")


def test_a_model_that_ships_is_the_worker_s_own(monkeypatch):
    import structkit_weights

    packed = load(InputFile(structkit_weights.FOLDER / "glasses.safetensors", PurePath("glasses.safetensors")))
    monkeypatch.setattr(structkit_weights, "FOLDER", Path("/elsewhere"))
    assert unload(packed).path == Path("/elsewhere/glasses.safetensors")
