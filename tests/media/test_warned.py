"""Warnings by thread: each hears its own, and nothing stays changed."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from structkit.media.warned import warnings_of_this_thread


def test_each_of_many_threads_hears_its_own_and_nothing_stays_changed():
    before = warnings.showwarning, list(warnings.filters)
    together = threading.Barrier(4)

    def work(number: int) -> list[str]:
        with warnings_of_this_thread() as warned:
            together.wait(9)
            for _ in range(20):
                warnings.warn(f"of {number}", stacklevel=1)
            if number % 2:  # half of them leave while the others are still inside
                together.wait(9)
        if not number % 2:
            together.wait(9)
        return warned

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [[f"of {number}"] * 20 for number in range(4)]
    assert (warnings.showwarning, list(warnings.filters)) == before


def test_a_thread_that_does_not_listen_is_heard_by_whoever_listened_before():
    def outsider() -> None:
        warnings.warn("from outside", stacklevel=1)

    with pytest.warns(UserWarning, match="from outside"), warnings_of_this_thread() as warned:
        other = threading.Thread(target=outsider)
        other.start()
        other.join()
        warnings.warn("from inside", stacklevel=1)
    assert warned == ["from inside"]


def test_inner_listeners_and_errors_leave_the_outer_one_in_place():
    with warnings_of_this_thread() as outer:
        with pytest.raises(KeyError), warnings_of_this_thread() as inner:
            warnings.warn("deep", DeprecationWarning, stacklevel=1)
            raise KeyError
        warnings.warn("shallow", stacklevel=1)
    assert (inner, outer) == (["deep"], ["shallow"])
