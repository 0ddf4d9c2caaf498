"""Laws of the views of pictures, and of those that worker processes make ahead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import resized_crop, to_pil_image

from structkit.data.augmix import AugMix
from structkit.data.crops import central, moved, resized, uniform
from structkit.data.labelled import read_labelled
from structkit.data.pixmix import PixMix
from structkit.data.views import Views, ViewsAhead
from structkit.errors import DeviceError, OptionError

KINDS = {
    "pad": Views(16),
    "none": Views(16, crop="none", flip=False),
    "resized": Views(16, crop="resized"),
    "turned": Views(16, rotation=15),
    "augmix": Views(16, mixing=AugMix()),
    "consistent": Views(16, mixing=AugMix(), views=3),
    "pixmix": Views(16, mixing=PixMix(pictures=4)),
}


def pictures(count: int, height: int = 16, width: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (count, height, width, 3), dtype=np.uint8)


def unit(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / np.float32(255)).movedim(-1, -3)


@pytest.mark.parametrize("views", KINDS.values(), ids=KINDS)
def test_a_view_is_that_of_its_seed_alone_in_batches_too(views):
    some = pictures(5)
    batch = views.batch(some, [7, 8, 9, 10, 2**63 - 1])
    assert batch.shape == (views.views, 5, 3, 16, 16) and batch.dtype == torch.float32
    assert batch.min() >= 0 and batch.max() <= 1
    for i, seed in enumerate((7, 8, 9, 10, 2**63 - 1)):
        assert torch.equal(views(some[i], seed), batch[:, i])


@pytest.mark.parametrize("views", [pytest.param(views, id=name) for name, views in KINDS.items() if name != "none"])
def test_other_seeds_make_other_views(views):
    made = views.batch(np.repeat(pictures(1), 40, 0), range(40))[-1]
    assert len({view.numpy().tobytes() for view in made}) > 20


def test_other_seeds_make_other_mixtures_of_the_same_part():
    made = Views(16, crop="none", flip=False, mixing=AugMix()).batch(np.repeat(pictures(1), 20, 0), range(20))[0]
    assert len({view.numpy().tobytes() for view in made}) == 20


def test_without_chance_the_middle_is_shown():
    wide = pictures(1, 16, 20)[0]
    assert torch.equal(KINDS["none"](wide, 3)[0], unit(wide[:, 2:18]))


def test_the_first_of_several_views_is_clean():
    some, seeds = pictures(6), range(6)
    views = KINDS["consistent"].batch(some, seeds)
    assert torch.equal(views[0], KINDS["pad"].batch(some, seeds)[0])
    assert all(not torch.equal(views[a], views[b]) for a, b in ((0, 1), (1, 2), (0, 2)))


def test_half_of_the_views_are_mirrored():
    some = np.repeat(pictures(1), 400, 0)
    made = Views(16, crop="none").batch(some, range(400))[0]
    same = (made == unit(some)).flatten(1).all(1)
    mirrored = (made == unit(some).flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all() and 160 < same.sum() < 240


def test_a_picture_moves_by_up_to_an_eighth_in_all_ways_alike():
    side = 16
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[8, 8] = 255
    made = Views(side, flip=False).batch(np.repeat(pixels[None], 500, 0), range(500))[0, :, 0]
    _, rows, columns = torch.nonzero(made, as_tuple=True)
    assert len(rows) == 500
    for places in (rows, columns):
        counts = torch.bincount(places, minlength=side)[6:11]
        assert counts.sum() == 500 and counts.min() > 60


def test_what_comes_in_at_the_edges_is_black():
    one = pictures(1)
    [there] = moved(one, 2, np.array([0.0]), np.array([0.99]))
    assert np.array_equal(there[2:, :-2], one[0][:-2, 2:])
    assert not there[:2].any() and not there[:, -2:].any()


def test_a_turned_view_keeps_its_middle_and_turns_no_further_than_asked():
    bar = np.zeros((33, 33, 3), np.uint8)
    bar[16] = 255
    made = Views(33, crop="none", flip=False, rotation=15).batch(np.repeat(bar[None], 60, 0), range(60))[0, :, 0]
    assert (made[:, 16, 16] == 1).all()
    rise = (made[:, :, 28] > 0).float().argmax(1) - 16  # 12 px right of the middle
    assert rise.abs().max() <= 4 and rise.min() < -1 and rise.max() > 1


@pytest.mark.parametrize("shape", [(40, 60), (24, 24), (70, 30)])
def test_a_resized_part_is_torchvisions_of_the_same_box(shape):
    pixels = pictures(1, *shape)[0]
    height, width = shape
    for seed in range(8):
        draws = uniform(np.array([seed]), 40)[0]
        area, ratio, down, right = draws[:4]
        share, form = height * width * (0.08 + 0.92 * area), np.exp(np.log(3 / 4) + np.log(16 / 9) * ratio)
        w, h = round(np.sqrt(share * form)), round(np.sqrt(share / form))
        if w > width or h > height:
            continue
        box = int(down * (height - h + 1)), int(right * (width - w + 1)), h, w
        expected = resized_crop(to_pil_image(pixels), *box, [16, 16], InterpolationMode.BILINEAR)
        assert np.array_equal(resized(pixels, 16, draws), np.asarray(expected))


@pytest.mark.parametrize("shape", [(1, 200), (200, 1), (3, 3)])
def test_a_part_is_cut_out_of_pictures_of_any_shape(shape):
    assert KINDS["resized"](pictures(1, *shape)[0], 0).shape == (1, 3, 16, 16)
    assert KINDS["pad"](pictures(1, *shape)[0], 0).shape == (1, 3, 16, 16)


def test_uniform_numbers_look_drawn():
    numbers = uniform(np.arange(-2000, 2000), 6)
    assert numbers.min() >= 0 and numbers.max() < 1
    assert np.abs(numbers.mean(0) - 0.5).max() < 0.03
    assert np.abs(np.corrcoef(numbers.T) - np.eye(6)).max() < 0.06
    assert np.abs(np.corrcoef(numbers[:-1, 0], numbers[1:, 0])[0, 1]) < 0.06  # of neighbouring seeds
    assert len(np.unique(numbers)) == numbers.size


def test_pictures_that_must_not_be_written_to_stay_as_they_are():
    some = pictures(3)
    before = some.copy()
    some.setflags(write=False)
    for views in KINDS.values():
        views.batch(some, range(3))
    assert np.array_equal(some, before)
    assert np.shares_memory(central(some[0], 16), some)


@pytest.mark.parametrize(
    "options",
    [{"crop": "middle"}, {"views": 2}, {"views": 0}, {"side": 0}, {"rotation": -1}, {"rotation": float("nan")}],
)
def test_what_cannot_be_is_refused(options):
    with pytest.raises(OptionError, match=r"crop|views|side"):
        Views(**{"side": 16} | options)


def labelled(folder: Path, broken: bool = False):
    """A set of 24 pictures in arrays; or in files, of which the first is gone."""
    if not broken:
        np.savez(folder / "set.npz", x=pictures(24), y=np.arange(24) % 2)
        return read_labelled(folder / "set.npz")
    for i, pixels in enumerate(pictures(4)):
        path = folder / f"class{i % 2}" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        to_pil_image(pixels).save(path)
    found = read_labelled(folder, checked=False)
    Path(found.pictures[0]).unlink()
    return found


def test_batches_are_the_same_with_workers_as_without(tmp_path):
    some, views = labelled(tmp_path), KINDS["consistent"]
    batches = [(range(i, i + 4), range(10 * i, 10 * i + 4)) for i in range(9)]
    with ViewsAhead(some, views, workers=2) as ahead, ViewsAhead(some, views) as none:
        for batch in batches:
            ahead.ask(*batch)
            none.ask(*batch)
        assert len(ahead) == len(none) == 9
        for _ in batches:
            assert torch.equal(ahead.take(), none.take())
        assert len(ahead) == 0
        with pytest.raises(IndexError):
            ahead.take()


def test_errors_and_the_death_of_a_worker_reach_who_takes(tmp_path):
    some = labelled(tmp_path, broken=True)
    with ViewsAhead(some, KINDS["pad"], workers=1) as ahead:
        ahead.ask([0, 1], [0, 1])
        ahead.ask([1, 2], [0, 1])
        with pytest.raises(Exception, match=r"0\.png") as worker:
            ahead.take()
        with pytest.raises(type(worker.value), match=r"0\.png"), ViewsAhead(some, KINDS["pad"]) as none:
            none.ask([0], [0])
            none.take()
        assert ahead.take().shape == (1, 2, 3, 16, 16)  # the worker goes on
        os.kill(ahead.processes[0], signal.SIGKILL)
        with pytest.raises(DeviceError, match=r"SIGKILL.*fewer workers"):
            for _ in range(3):
                ahead.ask([1], [0])
                ahead.take()


def test_signals_to_all_processes_are_for_the_first_one(tmp_path):
    with ViewsAhead(labelled(tmp_path), KINDS["pad"], workers=1) as ahead:
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(ahead.processes[0], number)
        ahead.ask([0, 1], [0, 1])
        assert ahead.take().shape == (1, 2, 3, 16, 16)


SCRIPT = """
import sys, time
from structkit.data.labelled import read_labelled
from structkit.data.views import Views, ViewsAhead
from structkit.data.augmix import AugMix
if __name__ == "__main__":
    ahead = ViewsAhead(read_labelled(sys.argv[1]), Views(16, mixing=AugMix(), views=3), workers=1)
    for _ in range(8):
        ahead.ask(range(24), range(24))
    ahead.take()
    print(ahead.processes[0], flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_no_worker_outlives_a_process_that_is_stopped(how, tmp_path):
    labelled(tmp_path)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(tmp_path / "set.npz")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0) as process:
        worker = int(process.stdout.readline())
        os.kill(worker, 0)  # there it is
        if how == signal.SIGINT:
            os.killpg(process.pid, how)  # as a terminal does: to all of them
        else:
            process.kill()
        _, said = process.communicate(timeout=60)
    end = time.monotonic() + 30
    with suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.kill(worker, 0)
            if (
                Path(f"/proc/{worker}/stat").exists()
                and Path(f"/proc/{worker}/stat").read_text().split(")")[1][1] == "Z"
            ):
                break  # ended; nobody has asked how
            time.sleep(0.05)
        else:
            pytest.fail("the worker is still there")
    assert said.count(b"Traceback") == (how == signal.SIGINT)  # only that of the first process
