"""The wire format: values arrive as they were sent, and no message runs anything."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path, PurePath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from structkit.configs import MaskConfig
from structkit.media.pictures import Picture
from structkit_cli.options import OutputOptions
from structkit_cli.run.ahead import PaintQueue
from structkit_cli.run.cluster.parcels import EndEvent, ErrorRecord
from structkit_cli.run.cluster.wire import LENGTH, pack, unpack
from structkit_cli.run.inputs import InputFile
from structkit_cli.run.models import ModelPainter
from structkit_cli.run.plan import Output, Task
from structkit_cli.run.results import OutputKind

SIMPLE = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
VALUES = st.recursive(
    SIMPLE,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers() | st.binary(), inner)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_collections_of_simple_values_arrive_as_they_were(value):
    arrived = unpack(pack(value))
    assert arrived == value and repr(arrived) == repr(value)  # 1, 1.0 and True are equal


@pytest.mark.parametrize(
    "value",
    [
        Path("a/b c.png"),
        PurePath("a/\udcff.png"),
        Fraction(30000, 1001),
        {1, 2},
        frozenset({"a"}),
        {(1, 2): b"x" * 10**6},
        OutputKind.VIDEO,
        MaskConfig(),
        EndEvent(3, ErrorRecord("InputError", "gone", None, "trace"), Path("x")),
        InputFile(Path("in/a.png"), PurePath("a.png")),
        Task({"picture": InputFile(None, PurePath("-"))}, (Output(Path("o.png"), Path(), "png", 3),)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_runs_and_workers_tell_each_other_arrives_as_it_was(value):
    arrived = unpack(pack(value))
    assert arrived == value and type(arrived) is type(value)


def test_pictures_arrive_with_their_pixels():
    picture = Picture(np.arange(24, dtype=np.uint16).reshape(2, 4, 3))
    arrived = unpack(pack([picture, np.float64(0.5)]))
    assert arrived[0].sha256 == picture.sha256 and arrived[0].pixels.dtype == np.uint16 and arrived[1] == 0.5


def test_a_maker_with_threads_is_made_again_with_its_arguments():
    maker = PaintQueue(ModelPainter("segment", [], {"soft": True}), OutputOptions(tolerant=True), opaque=True)
    arrived = unpack(pack(maker))
    assert arrived.paint.options == {"soft": True} and arrived.running == maker.running and arrived.opaque


def test_files_go_as_words_and_words_become_files():
    message = pack(
        {"model": Path("here.bin"), "other": Path("b")}, lambda value: ["m"] if value == Path("here.bin") else None
    )
    assert b"here.bin" not in message
    assert unpack(message, lambda word: Path("/there", *word)) == {"model": Path("/there/m"), "other": Path("b")}


STRANGERS = {
    "a function": print,
    "a lambda": lambda: 0,
    "an object": object(),
    "an array of objects": np.array([object()]),
    "of a class within a function": type("Local", (), {"__qualname__": "made.Local"})(),
}


@pytest.mark.parametrize("value", STRANGERS.values(), ids=STRANGERS)
def test_what_is_no_value_of_ours_is_not_sent(value):
    with pytest.raises(TypeError, match="cannot be sent to another process"):
        pack(value)


def message(tree) -> bytes:
    text = json.dumps(tree).encode()
    return LENGTH.pack(len(text)) + text


@pytest.mark.parametrize("kind", ["object", "made", "named tuple", "member"])
@pytest.mark.parametrize(
    "name",
    [
        ["os", "system"],
        ["subprocess", "Popen"],
        ["builtins", "eval"],
        ["structkit_other.x", "C"],
        ["structkit_cli.run.plan", "os"],
        ["structkit_cli.run.plan", "Path"],
        ["structkit_cli.run.plan", "shared"],
        ["structkit_cli.run.plan", "Task.bond"],
    ],
    ids="-".join,
)
def test_no_message_reaches_anything_but_classes_of_structkit(kind, name):
    with pytest.raises(ValueError, match="is no class of structkit"):
        unpack(message({kind: [name, []]}))


@pytest.mark.parametrize("data", [b"", b"abc", pack([1, b"2"])[:-1], message({"word": ["x"]}), message({"code": "1"})])
def test_bytes_that_are_no_message_are_refused(data):
    with pytest.raises(ValueError):
        unpack(data)
