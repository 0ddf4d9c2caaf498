"""Checkpoints: what is saved is what is loaded, and every way in which a file can be wrong has a message of its own."""

from __future__ import annotations

import fnmatch
import json
import os
import stat
import tracemalloc

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from structkit import checkpoint
from structkit._version import __version__
from structkit.checkpoint import load, read_card, save
from structkit.errors import CheckpointError, OutputError

CARD = {"kind": "toy", "config": {"width": 2}}
TENSORS = {"net.weight": torch.arange(6.0).reshape(2, 3), "net.bias": torch.tensor([1, -1])}
LAYOUT = {"net.weight": (torch.float32, (2, 3)), "net.bias": (torch.int64, (2,))}


@pytest.fixture
def path(tmp_path):
    """A good checkpoint."""
    save(tmp_path / "m.safetensors", TENSORS, CARD)
    return tmp_path / "m.safetensors"


def file_of(header, data=b"", length=None):
    """The bytes of a safetensors file with this header, right or wrong."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def with_facts(**facts):
    return {"__metadata__": {"structkit": json.dumps({**CARD, "format": 1, "structkit": __version__, **facts})}}


def with_card(**tensors):
    return {**with_facts(), **tensors}


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize("dtype", checkpoint.DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3), (1, 2, 3, 4, 5)], ids=str)
def test_what_is_saved_is_what_is_loaded(tmp_path, dtype, shape):
    tensor = (torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2).to(dtype)
    save(tmp_path / "a", {"x": tensor}, CARD)
    tensors, card = load(tmp_path / "a", kind="toy", expected=lambda card: {"x": (dtype, shape)})
    assert tensors["x"].dtype == dtype and tensors["x"].equal(tensor)
    assert card == {**CARD, "format": 1, "structkit": __version__} == read_card(tmp_path / "a")


def test_any_layout_in_memory_is_saved(tmp_path):
    base = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    tensors = {
        "whole": base,
        "tied": base,
        "part": base[1:, :, ::2],
        "last": base.to(memory_format=torch.channels_last),
        "t": base.mT,
    }
    tensors["weight"] = torch.nn.Parameter(base.clone())
    save(tmp_path / "a", tensors, CARD)
    loaded, _ = load(tmp_path / "a", kind="toy")
    assert loaded.keys() == tensors.keys()
    assert all(loaded[name].equal(tensor) and not loaded[name].requires_grad for name, tensor in tensors.items())
    loaded["whole"].zero_()
    assert loaded["tied"].equal(base)


def test_the_same_content_gives_the_same_bytes(tmp_path):
    save(tmp_path / "a", TENSORS, {"kind": "toy", "scores": {"b": 1, "a": 0.5}})
    save(tmp_path / "b", dict(reversed(TENSORS.items())), {"scores": {"a": 0.5, "b": 1}, "kind": "toy"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_others_can_read_what_we_write_and_the_mode_follows_the_umask(path):
    from safetensors.torch import load_file

    assert all(tensor.equal(TENSORS[name]) for name, tensor in load_file(path).items())
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_failed_write_keeps_the_old_file(path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OutputError, match="cannot be written"):
        save(path, {}, CARD)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_weights_that_are_not_finite_are_not_saved(tmp_path, bad, dtype):
    with pytest.raises(CheckpointError) as caught:
        save(tmp_path / "a", {"x": torch.tensor([1, bad], dtype=dtype)}, CARD)
    assert str(caught.value) == f"{tmp_path}/a: 1 of 2 values of x are not finite; nothing was written"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("tensors", "card", "fact"),
    [
        ({"x": torch.zeros(1, dtype=torch.complex64)}, CARD, "x is torch.complex64, which a checkpoint cannot hold"),
        ({}, {"kind": "toy", "score": float("nan")}, "its card is not JSON"),
        ({}, {"kind": "toy", "score": torch.ones(1)}, "its card is not JSON"),
    ],
)
def test_what_a_checkpoint_cannot_hold(tmp_path, tensors, card, fact):
    with pytest.raises(CheckpointError, match=fact):
        save(tmp_path / "a", tensors, card)
    assert not list(tmp_path.iterdir())


NO_CHECKPOINT = "name a checkpoint that structkit wrote"
AGAIN = "copy it again from where it came"
WRONG_FILES = {
    "empty": (b"", f"an empty file (0 bytes); {AGAIN}"),
    "short": (b"\x02\0\0\0\0\0\0\0{", f"not a safetensors file; {NO_CHECKPOINT}"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(40), f"not a safetensors file; {NO_CHECKPOINT}"),
    "a pickle": (b"PK\x03\x04" + bytes(100), f"not a safetensors file; {NO_CHECKPOINT}"),
    "header of no length": (bytes(8) + b"{}", f"not a safetensors file; {NO_CHECKPOINT}"),
    "header length bomb": (
        file_of({}, length=2**62),
        f"its header claims {2**62} bytes, over the limit of 16777216; *",
    ),
    "cut in the header": (
        file_of(with_card())[:-9],
        "truncated: * bytes, of which the header alone claims *; copy it again",
    ),
    "cut in a tensor": (
        file_of(with_card(x=entry()), bytes(3)),
        f"truncated: * bytes, where its header claims *; {AGAIN}",
    ),
    "something appended": (
        file_of(with_card(x=entry()), bytes(5)),
        f"too long: * bytes, where its header claims *; {AGAIN}",
    ),
    "no JSON": (file_of(b"{no}"), f"its header is damaged (*); {AGAIN}"),
    "no UTF-8": (file_of(b'{"\xff":1}'), f"its header is damaged (*); {AGAIN}"),
    "nested without end": (file_of(b'{"x":' + b"[" * 100_000), f"its header is damaged (*); {AGAIN}"),
    "a number without end": (file_of(b'{"x":' + b"9" * 10_000 + b"}"), f"its header is damaged (*); {AGAIN}"),
    "a name twice": (file_of(b'{"x":{},"x":{}}'), f"its header is damaged (a name stands twice); {AGAIN}"),
    "no offsets": (
        file_of(with_card(x={"dtype": "F32", "shape": []})),
        f"its header is damaged (*data_offsets*); {AGAIN}",
    ),
    "three offsets": (file_of(with_card(x=entry(offsets=(0, 4, 8))), bytes(8)), f"its header is damaged (*); {AGAIN}"),
    "a list for a tensor": (file_of(with_card(x=[1])), f"its header is damaged (*); {AGAIN}"),
    "unknown dtype": (
        file_of(with_card(x=entry("F4")), bytes(4)),
        f"its header is damaged (x has the dtype F4; known are *); {AGAIN}",
    ),
    "negative side": (
        file_of(with_card(x=entry(shape=(-1,))), bytes(4)),
        "its header is damaged (x has the impossible shape [[]-1]*",
    ),
    "a side that is true": (
        file_of(with_card(x=entry(shape=(True,))), bytes(4)),
        "its header is damaged (x has the impossible shape *",
    ),
    "a side too many": (
        file_of(with_card(x=entry(shape=(1,) * 99)), bytes(4)),
        "its header is damaged (x has the impossible shape *",
    ),
    "strides overflow": (
        file_of(with_card(x=entry(shape=(0, 2**62, 2**62), offsets=(0, 0)))),
        "its header is damaged (x has the impossible shape *",
    ),
    "shape and bytes": (
        file_of(with_card(x=entry(shape=(2,))), bytes(4)),
        f"its header is damaged (x takes 8 bytes, not 4); {AGAIN}",
    ),
    "overlap": (
        file_of(with_card(x=entry(), y=entry()), bytes(4)),
        f"its header is damaged (y overlaps another tensor); {AGAIN}",
    ),
    "gap": (
        file_of(with_card(x=entry(offsets=(4, 8))), bytes(8)),
        f"its header is damaged (x leaves a gap of 4 bytes before it); {AGAIN}",
    ),
    "no card": (
        file_of({"x": entry()}, bytes(4)),
        f"safetensors of another program, without structkit's card; {NO_CHECKPOINT}",
    ),
    "another's metadata": (
        file_of({"__metadata__": {"format": "pt"}}),
        f"safetensors of another program, without structkit's card; {NO_CHECKPOINT}",
    ),
    "metadata of another form": (file_of({"__metadata__": 7}), f"its header is damaged (*); {AGAIN}"),
    "a card that is no JSON": (file_of({"__metadata__": {"structkit": "{"}}), f"its header is damaged (*); {AGAIN}"),
    "a card with NaN": (
        file_of({"__metadata__": {"structkit": "[NaN]"}}),
        f"its header is damaged (NaN is no JSON); {AGAIN}",
    ),
    "a card that is a list": (
        file_of({"__metadata__": {"structkit": "[]"}}),
        f"its header is damaged (the card is no JSON object); {AGAIN}",
    ),
    "a card without a kind": (
        file_of({"__metadata__": {"structkit": '{"format":1}'}}),
        f"its card names no kind, format or version; {NO_CHECKPOINT}",
    ),
    "a card without a version": (
        file_of({"__metadata__": {"structkit": '{"kind":"toy","format":1}'}}),
        f"its card names no kind, format or version; {NO_CHECKPOINT}",
    ),
    "a version that is a number": (
        file_of(with_facts(structkit=1)),
        f"its card names no kind, format or version; {NO_CHECKPOINT}",
    ),
    "a run that is a list": (
        file_of(with_facts(run=[1])),
        f"its header is damaged (the card's run is no JSON object); {AGAIN}",
    ),
    "a run that is null": (
        file_of(with_facts(run=None)),
        f"its header is damaged (the card's run is no JSON object); {AGAIN}",
    ),
    "inputs that are a list": (
        file_of(with_facts(run={"inputs": [1]})),
        f"its header is damaged (the card's run.inputs is no JSON object); {AGAIN}",
    ),
    "a number beyond floats": (
        file_of({"__metadata__": {"structkit": '{"kind":"toy","format":1,"structkit":"1","score":1e999}'}}),
        f"its header is damaged (1e999 is too large for a number); {AGAIN}",
    ),
    "newer format": (
        file_of({"__metadata__": {"structkit": '{"kind":"toy","format":2,"structkit":"9.0"}'}}),
        f"written by structkit 9.0 in format 2; this is structkit {__version__}, which reads up to format 1; update "
        "structkit",
    ),
}


@pytest.mark.parametrize("way", WRONG_FILES)
def test_every_wrong_file_has_its_message(tmp_path, way):
    data, message = WRONG_FILES[way]
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    for read in (read_card, lambda path: load(path, kind="toy")):
        with pytest.raises(CheckpointError) as caught:
            read(path)
        text = str(caught.value)
        assert fnmatch.fnmatchcase(text, f"{path}: {message}"), text
        assert "\n" not in text


def test_a_missing_file_and_a_folder(tmp_path):
    for path, fact in (
        (tmp_path / "none", "no such file; check the path"),
        (tmp_path, "a folder, not a file; name the files in it"),
    ):
        with pytest.raises(CheckpointError) as caught:
            load(path, kind="toy")
        assert str(caught.value) == f"{path}: {fact}"


def test_the_kind_must_fit(path):
    with pytest.raises(CheckpointError) as caught:
        load(path, kind="other")
    assert str(caught.value) == f"{path}: a checkpoint of kind 'toy', where 'other' is needed; name one of that kind"


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"more": (torch.float32, (1,))}, "lacks tensors (1: more)"),
        ({f"more{i}": (torch.float32, (1,)) for i in range(5)}, "lacks tensors (5: more0, more1, more2, ...)"),
        ({"net.bias": None}, "has unknown tensors (1: net.bias)"),
        ({"net.weight": (torch.float32, (3, 2))}, "net.weight has the shape (2, 3); its card asks for (3, 2)"),
        ({"net.bias": (torch.float32, (2,))}, "net.bias is torch.int64; its card asks for torch.float32"),
    ],
)
def test_tensors_are_compared_with_what_the_card_asks_for(path, change, fact):
    layout = {name: what for name, what in {**LAYOUT, **change}.items() if what}
    load(path, kind="toy", expected=lambda card: LAYOUT)
    with pytest.raises(CheckpointError) as caught:
        load(path, kind="toy", expected=lambda card: layout)
    assert str(caught.value) == f"{path}: {fact}; it is damaged or made by another version; train it again"


def test_nothing_is_allocated_before_all_is_checked(tmp_path, monkeypatch):
    save(tmp_path / "a", {"x": torch.zeros(10_000_000, dtype=torch.uint8)}, CARD)

    def refuse(*_, **__):
        raise AssertionError("allocated")

    monkeypatch.setattr(torch, "empty", refuse)
    tracemalloc.start()
    read_card(tmp_path / "a")
    with pytest.raises(CheckpointError, match="kind"):
        load(tmp_path / "a", kind="other")
    with pytest.raises(CheckpointError, match="lacks"):
        load(tmp_path / "a", kind="toy", expected=lambda card: LAYOUT)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    with pytest.raises(AssertionError, match="allocated"):
        load(tmp_path / "a", kind="toy")


def test_values_that_are_not_finite_are_refused(tmp_path):
    nan = b"\0\0\xc0\x7f"
    (tmp_path / "a").write_bytes(file_of(with_card(x=entry()), nan))
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path / "a", kind="toy")
    assert str(caught.value).startswith(f"{tmp_path}/a: 1 of 1 values of x are not finite; the file is damaged")


@given(st.data())
def test_no_damage_ends_in_another_error(tmp_path_factory, data):
    """Flip, cut or insert bytes anywhere: the content comes back with the same layout, or it is a CheckpointError."""
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    save(path, TENSORS, CARD)
    whole = bytearray(path.read_bytes())
    where = data.draw(st.integers(0, len(whole)))
    whole[where : where + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    path.write_bytes(whole)
    try:
        tensors, _ = load(path, kind="toy", expected=lambda card: LAYOUT)
        assert {name: (t.dtype, tuple(t.shape)) for name, t in tensors.items()} == LAYOUT
    except CheckpointError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
