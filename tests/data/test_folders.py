"""Domains: which pictures are taken, in what order, what is said of the others, and what is held out."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from structkit.data import folders
from structkit.data.folders import Folder, read_folder, shared, split
from structkit.data.squares import to_square
from structkit.errors import DeviceError, InputError, OptionError
from structkit.media.pictures import Picture, read_picture, write_picture
from structkit.media.tensors import from_tensor, to_tensor


def picture(
    seed: int, height: int = 8, width: int = 8, name: str = "picture", alpha: np.ndarray | None = None
) -> Picture:
    return Picture(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8), alpha, name)


def write(folder: Path, *names: str, start: int = 0, **shape: int) -> Path:
    """A picture of its own at each name."""
    for seed, name in enumerate(names, start=start):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(picture(seed, **shape), folder / name)
    return folder


def fake(*digests: str, label: str = "a") -> Folder:
    """Pictures that are as bright as their places."""
    pictures = torch.arange(len(digests), dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 3, 1, 1)
    return Folder(pictures, tuple(f"{i}.png" for i in range(len(digests))), digests, label)


def hashes(count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [f"{draw.getrandbits(256):064x}" for _ in range(count)]


def test_every_picture_below_a_folder_is_taken_in_natural_order(tmp_path):
    write(tmp_path, "10.png", "2.png", "deep/er/1.webp", "deep/B.TIF", "a.bmp", ".hidden.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    found = read_folder(tmp_path, 8, "squash")
    assert found.names == ("2.png", "10.png", "a.bmp", "deep/B.TIF", "deep/er/1.webp")
    assert found.pictures.dtype == torch.uint8 and found.pictures.shape == (5, 3, 8, 8) and len(found) == 5
    assert found.notes == (f"{tmp_path}: 1 other file passed over",)
    (tmp_path / "b.heic").touch()
    unread = f"1 of them a picture of a format that is not read ({tmp_path}/b.heic)"
    assert read_folder(tmp_path, 8, "squash").notes == (f"{tmp_path}: 2 other files passed over, {unread}",)


def test_a_picture_of_the_squares_size_keeps_every_level(tmp_path):
    write(tmp_path, "0.png", "1.png")
    for fit in ("squash", "crop"):
        for number, square in enumerate(read_folder(tmp_path, 8, fit).pictures):
            assert (square.permute(1, 2, 0).numpy() == picture(number).pixels).all()


@pytest.mark.parametrize("fit", ["squash", "crop"])
@pytest.mark.parametrize("bits", [8, 16])
def test_others_are_their_squares_to_within_a_level(tmp_path, fit, bits):
    y, x = np.mgrid[:41, :60] / 60
    wave = np.stack([y, x, 0.5 + 0.4 * np.sin(9 * x + 5 * y)], -1)
    write_picture(Picture((wave * (2**bits - 1)).astype(f"uint{bits}")), tmp_path / "wave.png")
    square = from_tensor(to_square(to_tensor(read_picture(tmp_path / "wave.png")), 16, fit)).pixels.astype(int)
    assert np.abs(read_folder(tmp_path, 16, fit).pictures[0].permute(1, 2, 0).numpy() - square).max() <= 1


def test_noise_is_its_square_but_for_ringing(tmp_path):
    write(tmp_path, "0.png", height=61, width=90)
    square = from_tensor(to_square(to_tensor(picture(0, 61, 90)), 16, "squash")).pixels.astype(int)
    error = read_folder(tmp_path, 16, "squash").pictures[0].permute(1, 2, 0).numpy() - square
    assert np.abs(error).mean() < 0.3 and np.abs(error.mean()) < 0.1


def test_hidden_colours_never_show(tmp_path):
    alpha = np.zeros((8, 8), np.uint8)
    alpha[:, :4] = 255
    one = picture(1, alpha=alpha)
    other = Picture(np.where(alpha[..., None] > 0, one.pixels, 77).astype(np.uint8), alpha)
    for name, each in (("1.png", one), ("2.png", other)):
        write_picture(each, tmp_path / name)
    found = read_folder(tmp_path, 8, "squash")
    assert torch.equal(*found.pictures)
    seen = found.pictures[0, :, :, :4].double().mean((1, 2))
    assert ((found.pictures[0, :, :, 4:].double() - seen[:, None, None]).abs() <= 0.51).all()
    assert found.notes == (
        f"{tmp_path}: what is transparent is taken as its mean colour (2 pictures; the first: 1.png)",
    )


def test_one_bad_picture_among_many_is_left_out_and_said(tmp_path):
    write(tmp_path, *(f"{i}.png" for i in range(6)))
    (tmp_path / "3.png").write_bytes(b"no picture at all")
    (tmp_path / "5.png").write_bytes((tmp_path / "5.png").read_bytes()[:60])
    found = read_folder(tmp_path, 8, "squash")
    assert found.names == ("0.png", "1.png", "2.png", "4.png") and len(found.pictures) == len(found.digests) == 4
    [note] = found.notes
    start = (
        f"{tmp_path}: left out, unreadable: 2 of 6 pictures; the first: {tmp_path / '3.png'}: not a picture of a "
        "known format"
    )
    assert note.startswith(start)
    (tmp_path / "3.png").unlink()
    (tmp_path / "5.png").unlink()
    assert torch.equal(read_folder(tmp_path, 8, "squash").pictures, found.pictures)


def test_too_many_pixels_and_nothing_but_transparency_are_bad_pictures_too(tmp_path):
    write(tmp_path, "0.png", "1.png")
    write_picture(picture(1, 30, 40), tmp_path / "large.png")
    write_picture(picture(2, alpha=np.zeros((8, 8), np.uint8)), tmp_path / "nothing.png")
    found = read_folder(tmp_path, 8, "squash", max_pixels=1000)
    assert (
        found.names == ("0.png", "1.png")
        and "left out, unreadable: 2 of 4 pictures" in found.notes[0]
        and "megapixels" in found.notes[0]
    )
    assert read_folder(tmp_path, 8, "squash").names == ("0.png", "1.png", "large.png")


def test_what_is_smaller_than_the_square_is_enlarged_and_said(tmp_path):
    write(tmp_path, "0.png", "1.png")
    write_picture(picture(2, 40, 12), tmp_path / "narrow.png")
    write_picture(picture(3, 16, 16), tmp_path / "right.png")
    found = read_folder(tmp_path, 16, "crop")
    assert found.notes == (
        f"{tmp_path}: smaller than 16 px: enlarged, and no sharper for it (3 pictures; the first: 0.png)",
    )


def test_the_most_frequent_remarks_are_said_and_the_others_counted():
    remarks = {f"remark {i}": ["x.png"] * i for i in range(1, 9)}
    lines = folders._notes("d", remarks)
    assert lines[0] == "d: remark 8 (8 pictures; the first: x.png)" and len(lines) == 6
    assert lines[-1] == "d: 3 more remarks on single pictures"


def test_a_list_and_a_sequence_are_read_as_a_folder_is(tmp_path, monkeypatch):
    write(tmp_path / "a", "1.png", "2.png", "10.png")
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text("a/10.png\r\n\na/2.png\na/1.png\na/1.png\n")
    whole = read_folder("a", 8, "squash")
    for given in (
        "@list.txt",
        ["a/10.png", Path("a/1.png"), "a/2.png"],
        ["a"],
        [read_picture(f"a/{n}.png") for n in (2, 1, 10)],
    ):
        found = read_folder(given, 8, "squash")
        assert found.names == ("a/1.png", "a/2.png", "a/10.png") and torch.equal(found.pictures, whole.pictures)
    assert (
        read_folder("@list.txt", 8, "squash").digests == whole.digests
        and read_folder(["a"], 8, "squash").label == "the pictures"
    )


def test_pictures_that_have_the_same_name_have_one_order():
    pictures = [picture(seed) for seed in range(9)]
    there, back = read_folder(pictures, 8, "squash"), read_folder(pictures[::-1], 8, "squash")
    assert torch.equal(there.pictures, back.pictures) and there.digests == back.digests and len(there) == 9


def test_its_digest_is_that_of_names_and_contents_in_any_order(tmp_path):
    def digest(name: str, *files: str, **how: int) -> str:
        return read_folder(write(tmp_path / name, *files, **how), 8, "squash").sha256

    first = digest("one", "a.png", "b.png")
    assert digest("two", "a.png", "b.png") == first
    others = {
        digest("three", "b.png", "a.png"),
        digest("four", "a.png", "c.png"),
        digest("five", "a.png"),
        digest("six", "a.png", "b.png", start=1),
    }
    assert len(others) == 4 and first not in others
    found = read_folder(tmp_path / "one", 8, "squash")
    assert found.named([1, 0], found.pictures).sha256 == first and found.named([0], found.pictures[:1]).sha256 != first


def test_the_same_folder_gives_the_same_bytes_however_many_threads_read_it(tmp_path, monkeypatch):
    write(tmp_path, *(f"{i}.png" for i in range(40)))
    whole = read_folder(tmp_path, 8, "squash")
    monkeypatch.setattr(folders, "THREADS", 1)
    monkeypatch.setattr(folders, "AHEAD", 1)
    alone = read_folder(tmp_path, 8, "squash")
    assert torch.equal(whole.pictures, alone.pictures) and whole.sha256 == alone.sha256


def test_no_more_than_a_few_pictures_are_read_before_they_are_needed(tmp_path, monkeypatch):
    write(tmp_path, *(f"{i}.png" for i in range(60)))
    begun, ahead = [], folders._ahead
    read = folders._read
    monkeypatch.setattr(folders, "_read", lambda *given, **how: (begun.append(given), read(*given, **how))[1])

    def watched(*given):
        for taken, each in enumerate(ahead(*given)):
            assert len(begun) <= taken + folders.AHEAD + 1
            yield each

    monkeypatch.setattr(folders, "_ahead", watched)
    assert len(read_folder(tmp_path, 8, "squash")) == len(begun) == 60


def test_long_readings_say_how_far_they_are(tmp_path, monkeypatch):
    write(tmp_path, *(f"{i}.png" for i in range(3)))
    lines: list[str] = []
    read_folder(tmp_path, 8, "squash", tell=lines.append)
    assert lines == []
    monkeypatch.setattr(folders, "TOLD", -1.0)
    read_folder(tmp_path, 8, "squash", tell=lines.append)
    assert lines == [f"{tmp_path}: {i} of 3 pictures read" for i in (1, 2, 3)]


def test_where_there_is_nothing_to_learn_from_the_error_says_why(tmp_path):
    def refused(path) -> str:
        with pytest.raises(InputError) as caught:
            read_folder(path, 8, "squash")
        assert "\n" not in str(caught.value)
        return str(caught.value).replace(f"{tmp_path}{os.sep}", "")

    (tmp_path / "empty").mkdir()
    write(tmp_path, "one.png")
    (tmp_path / "words").mkdir()
    for name in ("a.txt", "b.mp4"):
        (tmp_path / "words" / name).write_text("words")
    (tmp_path / "bad").mkdir()
    for name in ("1.png", "2.jpg"):
        (tmp_path / "bad" / name).write_text("words")
    end = "pictures read: PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF; name a folder that holds some"
    assert refused(tmp_path / "empty") == f"empty: no pictures; {end}"
    assert refused([]) == f"the pictures: no pictures; {end}"
    assert refused(tmp_path / "words") == f"words: no pictures among 2 files; {end}"
    assert refused(tmp_path / "nowhere") == "nowhere: no such folder; name a folder, or a list of pictures as @list.txt"
    assert refused(tmp_path / "one.png").startswith(
        "one.png: a file, where a folder of pictures is needed; name a folder, or a list"
    )
    assert refused(tmp_path / "bad").startswith(
        "bad: none of 2 pictures can be read; the first: bad/1.png: not a picture"
    )
    assert refused("@nowhere.txt") == "nowhere.txt: no such file; check the path"


def test_an_unknown_fit_and_too_little_memory_are_errors_of_their_own(tmp_path, monkeypatch):
    write(tmp_path, "1.png")
    with pytest.raises(OptionError, match="choose one of squash, crop"):
        read_folder(tmp_path, 8, "stretch")
    monkeypatch.setattr(torch, "empty", lambda *shape, **how: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(DeviceError, match=r"cpu ran out of memory: .*: use a smaller --size, or fewer pictures"):
        read_folder(tmp_path, 8, "squash")


def test_files_in_both_domains_are_named():
    one, other = fake("01", "02", "03", "04", "05"), fake("09", "05", "04", "03", "02", label="b")
    assert shared(one, other) == (
        "a and b share 4 pictures (1.png, 2.png, 3.png, ...), which blur the difference; leave them out of one",
    )
    assert shared(fake("01", "02"), fake("02", "03", label="b"))[0].startswith("a and b share 1 picture (1.png), which")
    assert shared(one, fake("08", "09")) == ()


def test_a_domain_that_is_part_of_the_other_is_an_error_either_way():
    small, large = fake("01", "02"), fake("03", "02", "01", label="b")
    for pair in ((small, large), (large, small)):
        with pytest.raises(
            InputError,
            match=r"^a: all its pictures \(2\) are in b too; name two folders that differ in what is to be learnt$",
        ):
            shared(*pair)


@pytest.mark.parametrize("count", [20, 21, 60, 400, 3000])
def test_the_two_parts_are_the_whole_and_one_in_twenty_is_held_out(count):
    whole = fake(*hashes(count))
    before = whole.pictures.clone()
    kept, held = split(whole)
    assert sorted(kept.digests + held.digests) == sorted(whole.digests)
    assert set(kept.names) | set(held.names) == set(whole.names) and not set(kept.digests) & set(held.digests)
    assert (
        max(1, count / 20 - 4 * (count / 20) ** 0.5) <= len(held) <= min(256, count / 20 + 4 * (count / 20) ** 0.5 + 1)
    )
    for part in (kept, held):
        places = [whole.names.index(name) for name in part.names]
        assert places == sorted(places) and torch.equal(part.pictures, before[places])
        assert part.digests == tuple(whole.digests[i] for i in places)
        assert part.pictures.untyped_storage().data_ptr() == whole.pictures.untyped_storage().data_ptr()  # a view


@pytest.mark.parametrize("count", [1, 5, 19])
def test_of_few_pictures_none_is_held_out(count):
    kept, held = split(fake(*hashes(count)))
    assert (len(kept), len(held)) == (count, 0) and held.pictures.shape == (0, 3, 1, 1)


def test_neither_order_nor_other_files_move_a_picture_to_the_other_part():
    digests = hashes(500)
    held = set(split(fake(*digests))[1].digests)
    assert set(split(fake(*digests[::-1]))[1].digests) == held
    assert set(split(fake(*digests, *hashes(500, seed=1)))[1].digests) >= held
    assert set(split(fake(*digests[:300]))[1].digests) == held & set(digests[:300])


def test_no_more_than_256_are_held_out():
    assert len(split(fake(*hashes(900)), share=0.5)[1]) == 256


def test_equal_files_are_on_one_side_and_count_once():
    digests = hashes(40)
    kept, held = split(fake(*digests, *digests))
    assert not set(kept.digests) & set(held.digests) and len(held) == 2 * len(set(held.digests)) > 0
    assert len(split(fake(*["ab" * 32] * 50))[1]) == 0


@pytest.mark.parametrize("share", [0, -0.1, 0.51, float("nan")])
def test_a_share_that_leaves_nothing_is_an_error(share):
    with pytest.raises(OptionError, match=r"the share that is held out is .*: it must be above 0 and at most 0\.5"):
        split(fake(*hashes(30)), share)
