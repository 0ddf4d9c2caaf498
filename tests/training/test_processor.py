"""The laws of where a training works: its bytes are those of a processor and of a number of threads, and it says when
these change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from structkit import checkpoint
from structkit.configs import PairConfig
from structkit.engines.pair.training import PairTraining
from structkit.errors import CheckpointError
from structkit.training.loop import train
from structkit.training.processor import Processor, relocation

from .conftest import OUT, STATE, Stop, Watched, left, raiser, run

Position = Callable[[str, int], None]


@pytest.fixture
def work_on(monkeypatch) -> Iterator[Position]:
    """work_on(kind, threads): be a processor of that kind, and use so many of its threads."""

    def be(kind: str, threads: int) -> None:
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: kind)
        torch.set_num_threads(threads)

    yield be
    torch.set_num_threads(1)


def stopped(folder, update: int) -> None:
    with pytest.raises(Stop):
        run(folder, Watched((update,), raiser(Stop)))


def on(kind: str, threads: int) -> dict:
    return {"kind": kind, "threads": threads}


@pytest.mark.parametrize("threads", [1, 2])
def test_the_card_says_where_it_was_trained(work_on, tmp_path, threads):
    work_on("AVX2", threads)
    assert run(tmp_path).card["processors"] == [on("AVX2", threads)]
    torch.set_num_threads(3 - threads)
    assert run(tmp_path).card["processors"] == [on("AVX2", threads)]  # it is finished: nothing goes on


def test_on_cuda_it_is_the_device_and_threads_do_not_matter(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", {"cuda": "NVIDIA A", "cuda:1": "NVIDIA B"}.__getitem__)
    assert [str(Processor.of(device)) for device in ("cuda", "cuda:1")] == ["NVIDIA A", "NVIDIA B"]


@pytest.mark.parametrize("update", [15, 30])
def test_one_that_goes_on_where_it_was_says_nothing(work_on, tmp_path, update):
    work_on("AVX2", 2)
    stopped(tmp_path, update)
    notes = []
    assert run(tmp_path, tell=notes.append).card["processors"] == [on("AVX2", 2)] and notes == []


@pytest.mark.parametrize("update", [15, 30])
@pytest.mark.parametrize(
    ("then", "here", "there", "way_out"),
    [
        (("AVX2", 1), "AVX2 with 1 thread", "AVX2 with 2 threads", "OMP_NUM_THREADS=2"),
        (("AVX512", 2), "AVX512 with 2 threads", "AVX2 with 2 threads", "AVX2 with 2 threads"),
    ],
)
def test_one_that_goes_on_elsewhere_says_so_once_and_how_its_bytes_are_kept(
    work_on, tmp_path, update, then, here, there, way_out
):
    work_on("AVX2", 2)
    stopped(tmp_path, update)
    work_on(*then)
    notes = []
    assert run(tmp_path, tell=notes.append).card["processors"] == [on("AVX2", 2), on(*then)]
    lost = "and so will not end in the bytes of a training that was not stopped"
    assert notes == [f"{tmp_path / OUT}: goes on on {here}, after {there}, {lost}; {way_out} would keep them"]


def test_what_is_lost_already_has_no_way_out(work_on, tmp_path):
    notes = []
    for threads, update in ((2, 5), (1, 15), (2, 30)):
        work_on("AVX2", threads)
        with pytest.raises(Stop):
            run(tmp_path, Watched((update + 10,), raiser(Stop)), tell=notes.append)
    assert [note.partition("; ")[2] for note in notes] == ["OMP_NUM_THREADS=2 would keep them", ""]
    assert run(tmp_path).card["processors"] == [on("AVX2", 2), on("AVX2", 1), on("AVX2", 2)]


def test_bytes_that_were_not_promised_have_no_way_out():
    assert ";" not in relocation([Processor("NVIDIA A")], Processor("AVX2", 2))
    assert relocation([Processor("AVX2", 2)], Processor("NVIDIA A")).endswith("; AVX2 with 2 threads would keep them")


def test_a_training_that_left_no_step_did_not_work_anywhere(work_on, tmp_path):
    work_on("AVX2", 2)
    stopped(tmp_path, 1)
    work_on("AVX2", 1)
    notes = []
    assert run(tmp_path, tell=notes.append).card["processors"] == [on("AVX2", 1)] and notes == []


def test_a_state_that_is_older_than_this_goes_on(tmp_path):
    stopped(tmp_path, 15)
    tensors, card = checkpoint.load(tmp_path / STATE, kind="resume")
    del card["place"]["processors"]
    checkpoint.save(tmp_path / STATE, tensors, card)
    assert run(tmp_path).card["processors"] == [vars(Processor.of("cpu"))]


@pytest.mark.parametrize("wrong", [1, [1], ["AVX2"], [{"kind": "AVX2", "cores": 2}]])
def test_a_state_that_names_no_place_is_refused(tmp_path, wrong):
    stopped(tmp_path, 15)
    tensors, card = checkpoint.load(tmp_path / STATE, kind="resume")
    card["place"]["processors"] = wrong
    checkpoint.save(tmp_path / STATE, tensors, card)
    with pytest.raises(CheckpointError, match="its card names no place; remove it, and the training starts anew"):
        run(tmp_path)


@pytest.mark.parametrize("threads", [1, 2])
def test_convolutions_that_were_stopped_end_in_the_same_bytes_with_as_many_threads(work_on, tmp_path, threads):
    work_on(torch.backends.cpu.get_cpu_capability(), threads)
    config = PairConfig(size=24, coarsest=14, layers=2, width=8, steps=3).filled()
    pictures = [torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(seed)) * 2 - 1 for seed in (1, 2)]

    class Stopped(PairTraining):
        def step(self, draw):
            if (draw.stage, draw.step) == (1, 2):
                raise Stop
            return super().step(draw)

    for folder, trainings in (("calm", [PairTraining]), ("stopped", [Stopped, PairTraining])):
        (tmp_path / folder).mkdir()
        for training in trainings:
            try:
                train(training(*pictures, config), tmp_path / folder / OUT, seed=7, run={}, save_every=0)
            except Stop:
                assert training is Stopped
    assert left(tmp_path / "stopped") == left(tmp_path / "calm")
