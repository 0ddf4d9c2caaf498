"""Pairs as Python functions: trained, loaded, drawn from."""

from __future__ import annotations

import hashlib
import re
import time

import numpy as np
import pytest
import torch

import structkit
from structkit import checkpoint
from structkit.configs import INJECTED_BELOW
from structkit.engines.pair.model import PairAnalogy
from structkit.engines.pair.training import PairTraining
from structkit.errors import CheckpointError, DeviceError, InputError, OptionError, OutputError, StructkitError
from structkit.media.pictures import Picture, write_picture
from structkit.media.tensors import from_tensor
from structkit.models import KINDS, load, named_object
from structkit.recipes import material, recipe
from structkit.recipes import run as trainings
from structkit.recipes.material import PairInput

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {"size": 32, "coarsest": 18, "width": 4, "widest": 4, "steps": 2, "device": "cpu", "dtype": "float32"}


def picture(height: int, width: int, seed: int, *, alpha: np.ndarray | None = None, name: str = "picture") -> Picture:
    blocks = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return Picture(np.kron(blocks, np.ones((8, 8, 1), np.uint8))[:height, :width], alpha, name)


SOURCE, TARGET = picture(24, 40, 1, name="house"), picture(32, 32, 2, name="cake")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("pair") / "pair.safetensors"
    structkit.train_analogy(SOURCE, TARGET, path, **TINY)
    return path


@pytest.fixture
def pair(path) -> PairAnalogy:
    return structkit.load(path, "cpu")


def draw(model: PairAnalogy, *given: Picture, **options) -> Picture:
    [result] = structkit.analogy(*given, model=model, device="cpu", **options)
    return result


def same(one: Picture, other: Picture) -> bool:
    return np.array_equal(one.pixels, other.pixels)


def test_what_was_just_trained_draws_what_the_file_draws(tmp_path):
    trained = structkit.train_analogy(SOURCE, TARGET, tmp_path / "p.safetensors", **{**TINY, "dtype": "bfloat16"})
    assert same(draw(trained), draw(structkit.load(tmp_path / "p.safetensors")))


def test_the_card_says_what_it_was_trained_on_and_how(path, tmp_path):
    card = checkpoint.read_card(path)
    assert (
        card["run"]["config"] == card["config"] and card["config"]["steps"] == 2 and card["run"]["dtype"] == "float32"
    )
    assert card["run"]["inputs"] == {
        role: PairInput.of(p).sha256 for role, p in (("source", SOURCE), ("target", TARGET))
    }
    write_picture(SOURCE, tmp_path / "house.png")
    assert (
        PairInput.of(tmp_path / "house.png").sha256 == hashlib.sha256((tmp_path / "house.png").read_bytes()).hexdigest()
    )
    mirrored = Picture(SOURCE.pixels.reshape(40, 24, 3))
    holed = Picture(SOURCE.pixels, np.full((24, 40), 9, np.uint8))
    assert len({PairInput.of(p).sha256 for p in (SOURCE, TARGET, mirrored, holed)}) == 4


def test_the_same_call_returns_what_is_there_and_another_is_refused_by_name(path):
    before, events = path.read_bytes(), []
    structkit.train_analogy(SOURCE, TARGET, path, report=events.append, **TINY)
    assert (path.read_bytes(), events) == (before, [])
    with pytest.raises(
        OutputError, match=r"pair.safetensors: exists and is of another training \(inputs.source is [0-9a-f.]+ there,"
    ):
        structkit.train_analogy(TARGET, TARGET, path, **TINY)
    with pytest.raises(OutputError, match=r"another training \(config.steps is 2 there, 3 here\)"):
        structkit.train_analogy(SOURCE, TARGET, path, **{**TINY, "steps": 3})
    assert path.read_bytes() == before


def test_a_result_has_the_shape_of_the_source(pair):
    result = draw(pair)
    assert result.pixels.shape == (*pair.shapes[-1], 3) and result.width / result.height == pytest.approx(
        40 / 24, rel=0.05
    )
    assert draw(pair, swapped=True).pixels.shape == result.pixels.shape
    other = draw(pair, picture(60, 20, 3))
    assert other.width * other.height == pytest.approx(result.width * result.height, rel=0.05)
    assert other.width / other.height == pytest.approx(20 / 60, rel=0.1)


def test_samples_are_those_of_the_seeds_that_follow_and_differ(pair):
    several = structkit.analogy(model=pair, count=3, seed=4, device="cpu")
    assert same(several[2], draw(pair, seed=6)) and not same(several[0], several[1])


def test_the_sources_alpha_goes_along(pair):
    hole = np.full((24, 40), 255, np.uint8)
    hole[:, 20:] = 0
    holed = Picture(SOURCE.pixels, hole, "holed")
    result = draw(pair, holed, inject=0)
    assert (
        result.alpha.shape == result.pixels.shape[:2]
        and result.alpha[:, 0].min() == 255
        and result.alpha[:, -1].max() == 0
    )
    assert draw(pair).alpha is None


@pytest.mark.parametrize("source", [SOURCE, picture(24, 40, 9)])
def test_a_source_that_is_given_is_injected_and_without_one_it_begins_with_noise(pair, source):
    assert same(draw(pair, source), draw(pair, source, inject=max(0, pair.finest - INJECTED_BELOW)))
    assert not same(draw(pair, source), draw(pair))


def test_swapped_it_is_the_target_that_is_injected(pair):
    assert same(draw(pair, SOURCE, inject=1, swapped=True), draw(pair, inject=1, swapped=True))


def test_a_partner_is_what_the_analogy_of_its_seed_is_the_analogy_of(pair):
    own, analogies = pair.analogy(1, torch.Generator().manual_seed(5))
    for swapped, domain in ((False, 0), (True, 1)):
        how = {"seed": 5, "swapped": swapped}
        assert np.array_equal(draw(pair, draw="partner", **how).pixels, from_tensor(own.chunk(2, 1)[domain]).pixels)
        assert np.array_equal(draw(pair, **how).pixels, from_tensor(analogies.chunk(2, 1)[1 - domain]).pixels)
    assert not same(draw(pair, SOURCE, draw="partner"), draw(pair, SOURCE))
    with pytest.raises(OptionError, match="--refine patches is for analogies, not for --draw partner"):
        draw(pair, draw="partner", refine="patches")


def test_injection_at_a_finer_level_is_less_free(pair):
    coarse, fine = (
        [p.pixels.astype(float) for p in structkit.analogy(model=pair, inject=k, count=4)] for k in (0, pair.finest)
    )
    assert 0 < np.std(fine, axis=0).mean() < np.std(coarse, axis=0).mean()


def test_hidden_colours_are_never_shown(tmp_path):
    hole = np.full((32, 32), 255, np.uint8)
    hole[:, 16:] = 0
    seen = TARGET.pixels.copy()
    trained = []
    for hidden in (0, 255):
        seen[:, 16:] = hidden
        name, notes = f"{hidden}.safetensors", []
        model = structkit.train_analogy(
            SOURCE, Picture(seen.copy(), hole, "cake"), tmp_path / name, tell=notes.append, **TINY
        )
        trained.append(model.pictures)
        assert notes[0] == "cake: what is transparent is trained on as its mean colour"
    assert torch.equal(*trained)


def test_refinements(pair):
    plain, chain, patches = (draw(pair, refine=how) for how in ("none", "chain", "patches"))
    assert (
        not same(plain, chain)
        and not same(plain, patches)
        and plain.pixels.shape == chain.pixels.shape == patches.pixels.shape
    )
    red = Picture(np.full((40, 40, 3), (255, 0, 0), np.uint8), None, "red")
    assert (draw(pair, SOURCE, red, refine="patches", size=(48, 32)).pixels == (255, 0, 0)).all()
    assert draw(pair, refine="patches", size=(48, 32)).pixels.shape == (32, 48, 3)
    assert (draw(pair, red, TARGET, refine="patches", swapped=True).pixels == (255, 0, 0)).all()  # of whose look it is


def test_options_that_cannot_be(pair):
    with pytest.raises(OptionError, match="--inject is 9: this pair has the levels 0 to"):
        draw(pair, inject=9)
    with pytest.raises(OptionError, match="--size needs --refine patches: without, this pair makes 41 x 25 px"):
        draw(pair, size=(64, 64), refine="chain")
    with pytest.raises(OptionError, match="--refine is 'most': choose one of none, patches, chain"):
        draw(pair, refine="most")
    with pytest.raises(
        OptionError, match="unexpected keyword argument 'strength': the options are inject, refine, draw"
    ):
        draw(pair, strength=1)
    with pytest.raises(OptionError, match="--count is 0"):
        draw(pair, count=0)
    with pytest.raises(OptionError, match="without a model an analogy needs a source and a target"):
        structkit.analogy(SOURCE)
    with pytest.raises(
        OptionError, match="swapped turns a trained pair round: without a model, exchange source and target"
    ):
        structkit.analogy(SOURCE, TARGET, swapped=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 0}, "--minutes is 0: it must be above 0, or left out"),
        ({"minutes": float("nan")}, "--minutes is nan"),
        ({"seed": -1}, "--seed is -1"),
        ({"dtype": "float16"}, "--dtype is 'float16': choose auto, float32 or bfloat16"),
        ({"preset": "slow"}, "--preset is 'slow': choose one of paper, fast"),
        ({"strength": 1}, "unexpected keyword argument 'strength': the options are preset, mode"),
    ],
)
def test_a_training_that_cannot_be_leaves_nothing(tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        structkit.train_analogy(SOURCE, TARGET, tmp_path / "p.safetensors", **{**TINY, **options})
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_cannot_be_a_pair(tmp_path):
    with pytest.raises(
        InputError, match=r"level is 36 x 9 px, and its critic needs more than 11 px a side: use --coarsest 24"
    ):
        structkit.train_analogy(picture(16, 64, 1), TARGET, tmp_path / "p.safetensors", **TINY)
    nothing = Picture(TARGET.pixels, np.zeros((32, 32), np.uint8), "empty")
    with pytest.raises(InputError, match="empty: every pixel is transparent"):
        structkit.train_analogy(SOURCE, nothing, tmp_path / "p.safetensors", **TINY)


def test_losses_that_are_no_numbers_name_the_level_the_step_and_what_is_kept(tmp_path, monkeypatch):
    step = PairTraining.step

    def astray(self, draw):
        return {
            name: loss * (torch.nan if draw.stage == 1 and draw.step > 15 else 1)
            for name, loss in step(self, draw).items()
        }

    monkeypatch.setattr(PairTraining, "step", astray)
    message = (
        r"p.safetensors: the training went astray at stage level 1, \d+ x \d+ px, step 20: the loss adversarial "
        r"is not finite; stage"
    )
    with pytest.raises(StructkitError, match=message):
        structkit.train_analogy(SOURCE, TARGET, tmp_path / "p.safetensors", **{**TINY, "steps": 30, "taper": 1.0})


def test_a_smaller_picture_than_what_is_made_of_it_is_told(tmp_path):
    notes: list[str] = []
    structkit.train_analogy(
        SOURCE, picture(16, 16, 3, name="stamp"), tmp_path / "p.safetensors", tell=notes.append, **TINY
    )
    assert notes == ["stamp: enlarged 1.6 times, the result cannot be sharper"]


def test_a_training_in_time_says_its_plan_and_keeps_what_was_asked_for(tmp_path):
    notes: list[str] = []
    structkit.train_analogy(SOURCE, TARGET, tmp_path / "p.safetensors", minutes=60, tell=notes.append, **TINY)
    assert len(notes) == 1 and notes[0].startswith("--minutes 60: all steps, in about ")
    run = checkpoint.read_card(tmp_path / "p.safetensors")["run"]
    assert (run["minutes"], run["config"]["size"]) == (60, 32)


def test_in_a_time_that_is_too_short_a_pair_is_trained_and_it_is_said_before_and_after_and_of_each_result(tmp_path):
    notes: list[str] = []
    options = {**TINY, "steps": 90_000, "taper": 1.0}
    model = structkit.train_analogy(
        SOURCE, TARGET, tmp_path / "p.safetensors", minutes=1e-4, tell=notes.append, **options
    )
    plan = (
        r"--minutes 0.0001: (\d+ )+steps at the levels up to \d+ px(; 32 px need at least \S+ minutes)?; "
        r"too short to learn them well: that takes \S+ minutes or more here$"
    )
    assert re.match(plan, notes[0])
    short = "the model is doubtful: it was trained for less time than the fewest steps that make sense take"
    assert notes[-1] == short and short in draw(model).notes


def test_an_unfinished_pair_says_so(path, tmp_path):
    model = structkit.load(path)
    model.generators, model.amplitudes = model.generators[:2], model.amplitudes[:2]
    model.save(tmp_path / "cut.safetensors", complete=False)
    result = draw(structkit.load(tmp_path / "cut.safetensors"))
    assert result.pixels.shape == (*model.shapes[1], 3)
    assert result.notes == (f"the training of the pair is not finished: 2 of {len(model.shapes)} levels",)
    PairAnalogy(model.config, model.shapes, 0).save(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="the pair has no trained level; train it again"):
        draw(structkit.load(tmp_path / "none.safetensors"))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_picture_that_stands_where_the_preview_would_is_kept(tmp_path, overwrite):
    source = tmp_path / "p.preview.png"
    write_picture(SOURCE, source)
    before = source.read_bytes()
    with pytest.raises(
        OutputError,
        match=r"p\.preview\.png: an input, and the preview of the training would be written over it; name another",
    ):
        structkit.train_analogy(source, TARGET, tmp_path / "p.safetensors", overwrite=overwrite, **TINY)
    assert source.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_too_little_memory_for_the_pictures(tmp_path, monkeypatch):
    def too_large(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(material, "filled", too_large)
    with pytest.raises(
        DeviceError, match=r"^cpu ran out of memory: use a smaller --size, fewer --frames or another --device$"
    ):
        structkit.train_analogy(SOURCE, TARGET, tmp_path / "p.safetensors", **TINY)
    assert list(tmp_path.iterdir()) == []


def test_the_minutes_begin_before_the_frames_are_read(tmp_path, monkeypatch):
    filled, planned, read, started = material.filled, trainings.PlannedTraining, [], []
    monkeypatch.setattr(material, "filled", lambda shown: (read.append(time.monotonic()), filled(shown))[1])
    monkeypatch.setattr(
        trainings,
        "PlannedTraining",
        lambda *made, began, **how: (started.append(began), planned(*made, began=began, **how))[1],
    )
    structkit.train_analogy(SOURCE, TARGET, tmp_path / "p.safetensors", minutes=60, **TINY)
    assert len(started) == 1 and started[0] < min(read)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (
            {"kind": "resume"},
            "the state of an unfinished training, not a model; the command of that training goes on with it",
        ),
        (
            {"kind": "clip"},
            r"a checkpoint of kind 'clip', written by structkit .*; this .* knows pair-analogy.*; update structkit",
        ),
    ],
)
def test_checkpoints_that_are_no_model_of_this_version(tmp_path, card, message):
    checkpoint.save(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, card)
    with pytest.raises(CheckpointError, match=f"x.safetensors: {message}"):
        structkit.load(tmp_path / "x.safetensors")


def test_a_checkpoint_that_serves_other_verbs_says_which(path):
    message = (
        "two pictures, which serves analogy and not transfer; make one with structkit train transfer, structkit "
        "train difference$"
    )
    with pytest.raises(CheckpointError, match=message):
        load(path, verb="transfer")


def test_every_kind_leads_to_a_model_of_that_kind():
    for name, kind in KINDS.items():
        assert named_object(kind.model).kind == name and recipe(kind.training).training.model_class.kind == name


def test_a_picture_over_the_limit_that_is_said_is_not_read(tmp_path):
    write_picture(SOURCE, tmp_path / "house.png")
    with pytest.raises(InputError, match="over the limit of"):
        structkit.train_analogy(tmp_path / "house.png", TARGET, tmp_path / "p.safetensors", max_pixels=9, **TINY)
