"""Content put on, taken off and found: what stays as it is, sizes, depths, alpha, donors, steps, errors."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import structkit
from structkit.configs import DifferenceConfig, TransferConfig
from structkit.engines.difference.model import DomainDifference
from structkit.engines.transfer.layer import Layer
from structkit.engines.transfer.model import ContentTransfer
from structkit.errors import CheckpointError, DeviceError, InputError, OptionError, StructkitError
from structkit.media.exif import Metadata
from structkit.media.pictures import write_picture
from structkit.verbs import squares
from structkit.verbs.squares import LEAST_SEEN

from ..content_models import FakeDifference, FakePainter, FakeTransfer, install
from .pictures import GREY, RED, flat, model, noise, with_glasses

NOTHING = "the model finds next to none of its content here (0.00% of the picture)"
UNTRAINED = TransferConfig(
    size=32, width=8, widest=16, separate=4, narrow=8, painter=4, rounds=1, painter_size=32
).filled()


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([8, 16]), st.sampled_from(["squash", "crop"]))
@settings(max_examples=60, deadline=None)
def test_outside_the_mask_nothing_changes_bit_for_bit(height, width, bits, fit):
    picture, network = noise(height, width, bits=bits), model(fit=fit)
    before = picture.pixels.copy()
    removed = structkit.remove(picture, network, device="cpu")
    assert removed.pixels.dtype == picture.pixels.dtype and np.array_equal(removed.pixels, before)
    put = structkit.transfer(picture, with_glasses(), network, device="cpu")
    top, left, shown_height, shown_width = contents_window(height, width, fit)
    reach = max(2, round(2 * max(shown_height, shown_width) / 16))  # of the interpolation, beyond the layer's own edge
    inside = np.zeros((height, width), bool)
    rows = slice(max(0, top + shown_height // 4 - reach), top + shown_height - shown_height // 4 + reach)
    inside[rows, max(0, left + shown_width // 4 - reach) : left + shown_width - shown_width // 4 + reach] = True
    assert np.array_equal(put.pixels[~inside], before[~inside])
    assert np.array_equal(picture.pixels, before)


def contents_window(height, width, fit):
    from structkit.data.squares import window

    return window((height, width), fit)


def test_content_is_put_on_at_the_pictures_own_size_and_depth():
    for height, width, bits in ((64, 48, 8), (64, 48, 16), (16, 16, 8)):
        picture = noise(height, width, bits=bits)
        made = structkit.transfer(picture, flat(RED), model(), device="cpu")
        assert made.pixels.shape == picture.pixels.shape and made.bits == bits
        assert (made.pixels[height // 2, width // 2] == np.array(RED) * (257 if bits == 16 else 1)).all()
        assert np.array_equal(made.pixels[0], picture.pixels[0])


def test_content_is_taken_off_with_its_edges_and_no_more():
    picture = with_glasses(96, 96)
    made = structkit.remove(picture, model(size=48), device="cpu")
    assert (
        abs(made.pixels[33:63].astype(int) - 128) < 3
    ).all()  # all of it is painted over, but for what interpolation leaves at its edge
    assert (abs(made.pixels[[32, 63]].astype(int) - 128) < 16).all()
    changed = (made.pixels != picture.pixels).any((1, 2))
    assert (
        changed[28:68].all() and not changed[:24].any() and not changed[72:].any()
    )  # some two pixels of the model on each side


def test_faint_content_is_taken_off_altogether_and_fainter_is_left(monkeypatch):
    for share, expected in ((0.11, 128), (0.09, 0)):
        network = model()
        layer = Layer(torch.full((1, 1, 16, 16), share), torch.zeros(1, 3, 16, 16))
        network.remove = lambda squares, layer=layer: layer
        assert (structkit.remove(flat(0), network, device="cpu").pixels == expected).all()


def test_alpha_metadata_and_what_is_transparent_are_kept():
    alpha = np.full((32, 32), 255, np.uint8)
    alpha[:, :16] = 0
    picture = replace(with_glasses(alpha=alpha), metadata=Metadata(dpi=(300.0, 300.0)))
    for made in (
        structkit.remove(picture, model(), device="cpu"),
        structkit.transfer(picture, with_glasses(), model(), device="cpu"),
    ):
        assert np.array_equal(made.alpha, alpha) and made.metadata == picture.metadata
        assert np.array_equal(made.pixels[:, :16], picture.pixels[:, :16])
    assert (structkit.remove(picture, model(), device="cpu").pixels[16, 20] == GREY).all()
    mask = structkit.segment(picture, model(), device="cpu")
    assert mask.alpha is None and not mask.pixels[:, :16].any() and mask.pixels[16, 16:].all()


def test_hidden_colours_are_not_seen():
    alpha = np.full((16, 16), 255, np.uint8)
    alpha[:8] = 0
    hidden = flat((0, 200, 0))
    hidden.pixels[:8] = RED
    network, seen = model(), []
    network.segment = lambda squares: seen.append(squares.clone()) or squares[:, :1] * 0
    structkit.segment(replace(hidden, alpha=alpha), network, device="cpu")
    assert torch.allclose(seen[0], seen[0][..., -1:, -1:].expand_as(seen[0]), atol=1e-6)
    nothing = structkit.remove(replace(hidden, alpha=np.zeros((16, 16), np.uint8)), model(), device="cpu")
    assert np.array_equal(nothing.pixels, hidden.pixels)


@pytest.mark.parametrize("kind", [FakeTransfer, FakePainter, FakeDifference])
def test_a_donor_that_shows_nothing_is_refused(kind):
    donor = replace(flat(RED, name="clear.png"), alpha=np.zeros((16, 16), np.uint8))
    with pytest.raises(
        InputError, match=r"clear\.png: every pixel is transparent, there is nothing to see: use another picture"
    ):
        structkit.transfer(flat(0), donor, model(kind), device="cpu")


def test_masks_are_binary_or_soft_or_laid_over_the_picture():
    network, ramp = model(), torch.linspace(0, 1, 16).expand(2, 1, 16, 16)
    network.segment = lambda squares: ramp[: len(squares)]
    picture = flat(GREY)
    mask = structkit.segment(picture, network, device="cpu").pixels
    assert (
        set(np.unique(mask)) == {0, 255}
        and (mask[..., :1] == mask).all()
        and (mask[0, :, 0] > 0).tolist() == [False] * 8 + [True] * 8
    )
    soft = structkit.segment(picture, network, device="cpu", soft=True).pixels
    assert soft[0, :, 0].tolist() == [17 * i for i in range(16)]
    strict = structkit.segment(picture, network, device="cpu", threshold=1).pixels
    assert (strict[0, :, 0] > 0).tolist() == [False] * 15 + [True]
    overlay = structkit.segment(picture, network, device="cpu", overlay=True).pixels
    assert (overlay[:, :8] == 128).all() and (overlay[:, 8:, 0] > 180).all() and (overlay[:, 8:, 1] < 80).all()
    assert structkit.segment(noise(50, 40), network, device="cpu").pixels.shape == (50, 40, 3)


def test_strength_and_steps_go_from_nothing_to_all_and_from_one_donor_to_another():
    picture, donor, other = flat((0, 0, 0)), flat((255, 0, 0), name="red"), flat((230, 0, 0), name="dark")
    half = structkit.transfer(picture, donor, model(), strength=0.5, device="cpu").pixels[8, 8, 0]
    steps = [made.pixels for made in structkit.transfer(picture, donor, model(), steps=3, device="cpu")]
    assert len(steps) == 3 and not steps[0].any() and steps[1][8, 8, 0] == half and steps[2][8, 8, 0] == 255
    ends = structkit.transfer(picture, (donor, other), model(), steps=2, device="cpu")
    alone = [structkit.transfer(picture, one, model(), device="cpu") for one in (donor, other)]
    assert [made.pixels.tolist() for made in ends] == [made.pixels.tolist() for made in alone]


def test_a_donor_without_content_is_named():
    made = structkit.transfer(flat(0), flat((0, 255, 0), name="bare.png"), model(), device="cpu")
    assert made.notes == ("bare.png: the model finds next to none of its content there (0.00% of the picture)",)
    assert structkit.transfer(flat(0), flat(RED), model(), device="cpu").notes == ()


def test_what_the_model_does_not_see_well_is_said_once():
    small = replace(noise(8, 14), notes=("animated: first of 3 frames",))
    made = structkit.remove(structkit.remove(small, model(fit="crop"), device="cpu"), model(fit="crop"), device="cpu")
    enlarged = "14 x 8 px: enlarged to the 16 px that the model sees"
    assert made.notes == (
        "animated: first of 3 frames",
        enlarged,
        "the model sees only the square in the middle",
        NOTHING,
    )
    assert structkit.segment(small, model(), device="cpu").notes == ("animated: first of 3 frames", enlarged, NOTHING)
    made = structkit.transfer(noise(20, 20), replace(small, name="donor"), model(), device="cpu")
    assert made.notes[:2] == ("donor: animated: first of 3 frames", f"donor: {enlarged}")
    line = structkit.remove(noise(1, 300), model(), device="cpu")
    assert line.notes == ("300 x 1 px: its shorter side is enlarged to the 16 px that the model sees", NOTHING)


def test_what_a_model_doubts_of_itself_is_said_of_each_result_and_older_cards_say_nothing():
    doubtful = model()
    doubtful.card = {"doubts": ["its masks are too large"]}
    for use in (
        structkit.remove,
        structkit.segment,
        lambda *given, device: structkit.transfer(given[0], with_glasses(), given[1], device=device),
    ):
        assert use(with_glasses(20, 20), doubtful, device="cpu").notes == (
            "the model is doubtful: its masks are too large",
        )
        assert use(with_glasses(20, 20), model(), device="cpu").notes == ()


def test_a_difference_makes_the_whole_picture_of_three_codes():
    network = model(FakeDifference)
    face, a, b = flat((9, 200, 9), 24, 20), flat((250, 0, 0)), flat((0, 0, 240))
    for donors, expected in (
        ({"donor": a}, (250, 200, 128)),
        ({"donor": None, "donor_b": b}, (128, 200, 240)),
        ({"donor": a, "donor_b": b}, (250, 200, 240)),
    ):
        made = structkit.transfer(face, model=network, device="cpu", **donors)
        assert made.pixels.shape == (24, 20, 3) and np.abs(made.pixels.astype(int) - expected).max() <= 1
    assert np.abs(structkit.remove(face, network, device="cpu").pixels.astype(int) - (128, 200, 128)).max() <= 1
    middle = structkit.transfer(face, (a, flat((0, 0, 0))), network, donor_b=b, steps=3, device="cpu")[1]
    assert (
        np.abs(middle.pixels.astype(int) - (125, 200, 240)).max() <= 1
    )  # b is whole beside what goes from one to the other
    rising = structkit.transfer(face, a, network, donor_b=b, steps=2, device="cpu")
    for step, expected in zip(rising, ((128, 200, 128), (250, 200, 240)), strict=True):
        assert np.abs(step.pixels.astype(int) - expected).max() <= 1


def test_a_donor_without_what_is_special_to_its_folder_is_named_where_the_card_tells_what_is_usual():
    network, face, bare = (
        model(FakeDifference),
        flat((9, 200, 9)),
        flat((130, 0, 130), name="bare.png"),
    )  # 130 is 0.02 of [-1, 1]
    assert structkit.transfer(face, bare, network, donor_b=bare, device="cpu").notes == ()
    network.card = {"scores": {"size_a": 0.3, "size_b": 0.1}}
    said = "bare.png: the model finds next to nothing there that is special to A (6.5% of the usual)"
    assert structkit.transfer(face, bare, network, donor_b=bare, device="cpu").notes == (said,)
    network.card = {"scores": {"size_a": 0.1, "size_b": 0.3}}
    assert structkit.transfer(face, bare, network, donor_b=bare, device="cpu").notes == (said.replace("to A", "to B"),)


def test_a_difference_that_crops_makes_the_middle_anew():
    face = noise(16, 32)
    made = structkit.remove(face, model(FakeDifference, fit="crop"), device="cpu")
    changed = (made.pixels != face.pixels).any((0, 2))
    assert not changed[:8].any() and changed[8:24].all() and not changed[24:].any()
    assert made.notes == ("the model sees only the square in the middle",)


def test_lists_pass_in_batches_and_a_batch_changes_no_byte():
    network, pictures = model(), [with_glasses(20 + i % 5, 30) for i in range(70)]
    together = structkit.remove(pictures, network, device="cpu")
    assert network.batches == [8] * 8 + [6]
    alone = [structkit.remove(picture, network, device="cpu") for picture in pictures]
    assert [made.pixels.tobytes() for made in together] == [made.pixels.tobytes() for made in alone]
    assert [len(steps) for steps in structkit.transfer(pictures[:3], pictures[0], network, steps=2, device="cpu")] == [
        2,
        2,
        2,
    ]
    assert structkit.segment([], network, device="cpu") == []


def test_too_little_memory_halves_the_batch_and_then_is_an_error(monkeypatch):
    network, seen = model(), []

    def hungry(squares, most=2):
        seen.append(len(squares))
        if len(squares) > most:
            raise torch.OutOfMemoryError("no memory")
        return torch.zeros(len(squares), 1, 16, 16)

    network.segment = hungry
    assert len(structkit.segment([flat(0)] * 9, network, device="cpu")) == 9
    assert seen[:4] == [8, 4, 2, 2]
    network.segment = lambda squares: hungry(squares, 0)
    with pytest.raises(DeviceError, match="cpu ran out of memory: use smaller pictures, or another --device"):
        structkit.segment(flat(0), network, device="cpu")


def test_too_little_memory_for_the_squares_themselves_halves_the_batch_too(monkeypatch):
    asked, to_square = [], squares.square_of

    def hungry(picture, network):
        asked.append(picture)
        if len(asked) <= 3:  # of eight at once, of four, and of two
            raise torch.OutOfMemoryError("no memory")
        return to_square(picture, network)

    monkeypatch.setattr(squares, "square_of", hungry)
    pictures = [flat(i, name=str(i)) for i in range(9)]
    assert [made.name for made in structkit.remove(pictures, model(), device="cpu")] == [p.name for p in pictures]
    monkeypatch.setattr(squares, "square_of", lambda *_: hungry(asked.clear(), None))
    with pytest.raises(DeviceError, match="cpu ran out of memory: use smaller pictures, or another --device"):
        structkit.remove(flat(0), model(), device="cpu")


def test_the_bytes_of_a_picture_are_a_picture():
    stream = BytesIO()
    Image.fromarray(flat(9).pixels).save(stream, "png")
    assert np.array_equal(structkit.remove(stream.getvalue(), model(), device="cpu").pixels, flat(9).pixels)


def test_models_are_found_and_refused_by_their_kind(tmp_path, monkeypatch):
    install(monkeypatch)
    model().save(tmp_path / "m.safetensors")
    model(FakeDifference).save(tmp_path / "d.safetensors")
    write_picture(with_glasses(), tmp_path / "p.png")
    by_path = structkit.remove(tmp_path / "p.png", tmp_path / "m.safetensors", device="cpu")
    assert np.array_equal(by_path.pixels, structkit.remove(with_glasses(), model(), device="cpu").pixels)
    for network in (tmp_path / "d.safetensors", model(FakeDifference)):
        with pytest.raises(CheckpointError, match="and not segment; make one with structkit train transfer"):
            structkit.segment(tmp_path / "p.png", network, device="cpu")
    with pytest.raises(CheckpointError, match="spectacles: no such file, and no model of that name ships"):
        structkit.remove(tmp_path / "p.png", "spectacles", device="cpu")
    with pytest.raises(InputError, match=r"nowhere\.png: no such file"):
        structkit.remove("nowhere.png", model(), device="cpu")


@pytest.mark.parametrize("options", [{"soft": True, "overlay": True}, {"soft": True, "threshold": 0.4}])
def test_masks_that_cannot_be(options):
    with pytest.raises(OptionError, match="--soft writes the mask as it was found: leave out --soft or --"):
        structkit.segment(flat(0), model(), device="cpu", **options)


def test_results_that_are_not_finite_are_an_error_and_no_picture():
    network = model()
    network.scale.data[:] = float("nan")
    network.remove = lambda squares: Layer(torch.ones(len(squares), 1, 16, 16), squares * network.scale)
    with pytest.raises(StructkitError, match="flat: the model gives values that are not finite for it; train it again"):
        structkit.remove(flat(0), network, device="cpu")
    assert LEAST_SEEN * 255 == 0.5


@pytest.mark.parametrize("bits", [8, 16])
def test_nothing_of_a_content_leaves_the_picture_as_it_is_bit_for_bit(bits):
    network, picture, donor = ContentTransfer(UNTRAINED).eval(), noise(40, 50, bits=bits), with_glasses(40, 50)
    none = structkit.transfer(picture, donor, network, device="cpu", strength=0)
    first, last = structkit.transfer(picture, donor, network, device="cpu", steps=2)
    assert np.array_equal(none.pixels, picture.pixels) and np.array_equal(first.pixels, picture.pixels)
    assert not np.array_equal(last.pixels, picture.pixels)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("by", ["donor", "codes"])
def test_what_an_engine_puts_on_ends_with_its_mask_bit_for_bit(monkeypatch, bits, by):
    """Its layer, which here has half a square, is pasted and nothing else is touched."""
    network, picture = ContentTransfer(UNTRAINED).eval(), noise(40, 50, bits=bits)
    verb = "place" if by == "donor" else "put"
    find = getattr(network, verb)

    def left(*given):
        layer = find(*given)
        return Layer(torch.where(torch.arange(32) < 16, 0.5 + layer.mask / 2, 0.0), layer.colours)

    monkeypatch.setattr(network, verb, left)
    made = structkit.transfer(picture, with_glasses(40, 50), network, device="cpu", by=by)
    assert made.pixels.dtype == picture.pixels.dtype and np.array_equal(made.pixels[:, 28:], picture.pixels[:, 28:])
    assert (made.pixels[:, :22] != picture.pixels[:, :22]).any(2).mean() > 0.9


def test_untrained_engines_serve_the_verbs():
    network, picture = ContentTransfer(UNTRAINED).eval(), noise(40, 50)
    for made in (
        structkit.remove(picture, network, device="cpu"),
        structkit.transfer(picture, picture, network, device="cpu"),
    ):
        assert made.pixels.shape == picture.pixels.shape
    assert structkit.segment(picture, network, device="cpu").pixels.shape == picture.pixels.shape
    together = structkit.remove([picture] * 3, network, device="cpu")
    assert len({made.pixels.tobytes() for made in [*together, structkit.remove(picture, network, device="cpu")]}) == 1
    difference = DomainDifference(DifferenceConfig(size=32, width=8, widest=32, separate=4).filled())
    ends = structkit.transfer(
        picture, (picture, noise(40, 50, seed=1)), difference, donor_b=picture, steps=2, device="cpu"
    )
    assert [made.pixels.shape for made in (*ends, structkit.remove(picture, difference, device="cpu"))] == [
        picture.pixels.shape
    ] * 3
