"""The natural order of names, and the listing of folders in it."""

import os
import random
import re
from pathlib import Path, PurePosixPath

from hypothesis import example, given
from hypothesis import strategies as st

from structkit.media.files import files_below, names_below, natural


def test_frames_sort_as_people_count():
    expected = ["Frame1.png", "frame2.png", "frame2a.png", "frame10.png", "frame10/1.png", "frame010.png", "other.png"]
    shuffled = list(expected)
    random.Random(0).shuffle(shuffled)
    flat = [n for n in sorted(shuffled, key=natural) if "/" not in n and n != "frame010.png"]
    assert flat == [n for n in expected if "/" not in n and n != "frame010.png"]
    assert natural("9" * 5000) < natural("1" + "0" * 5000)  # longer than int() takes
    assert natural(PurePosixPath("a/2")) == natural("a/2")


@given(st.lists(st.text(alphabet="aB01290.²٣/", max_size=6), max_size=6))
def test_the_natural_order_is_total_and_tells_names_apart(some):
    keys = [natural(n) for n in some]
    assert len(set(keys)) == len(set(some))
    assert sorted(keys) == sorted(reversed(keys))


@example(["aa", "a" + "1" * 99])
@given(st.lists(st.text(alphabet="aB01290.²٣é/-", max_size=8), max_size=6))
def test_the_natural_order_is_that_of_texts_and_numbers_in_turn(some):
    def parts(name):
        for part in PurePosixPath(name).parts:
            pieces = re.split("([0-9]+)", part.casefold())
            yield tuple((len(p.lstrip("0")), p.lstrip("0")) if i % 2 else p for i, p in enumerate(pieces))

    assert sorted(some, key=natural) == sorted(some, key=lambda name: (tuple(parts(name)), name))


def test_files_below_are_those_that_each_folder_has_in_natural_order(tmp_path, monkeypatch):
    """Links are followed, but not in a circle; what is neither file nor folder is none."""
    monkeypatch.chdir(tmp_path)
    for name in ("a10", "a9", "b/2", "b/02", "b/002", "b/10", "b/.hidden", ".no/1", "elsewhere/x/1"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    (tmp_path / "in/elsewhere").rename(tmp_path / "elsewhere")
    links = {"c": "../elsewhere/x", "d": "..", "b/up": "..", "a9.5": "a9", "gone": "nowhere", "self": "self"}
    for name, to in links.items():
        (tmp_path / "in" / name).symlink_to(to)
    os.mkfifo(tmp_path / "in/pipe")
    expected = ["a9", "a9.5", "a10", "b/002", "b/02", "b/2", "b/10", "c/1", "d/elsewhere/x/1"]
    for start in ("in", Path("in/"), tmp_path / "in"):
        assert list(files_below(start)) == [Path(start, name) for name in expected]
    monkeypatch.chdir(tmp_path / "in")
    assert list(names_below(".")) == expected
    assert list(names_below(".", {tmp_path / "elsewhere/x"})) == expected[:7]
