"""Cards whose values are of the wrong type, at each key and at each depth: facts in words, and no wording of Python."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from structkit import checkpoint, models
from structkit.configs import ActionConfig, ClassifierConfig, GenvideoConfig, PairConfig, TransferConfig
from structkit.engines.genvideo.model import PatchVaeGan
from structkit.engines.padain.classifier import Classifier
from structkit.engines.pair.model import PairAnalogy
from structkit.engines.speednet.action import ActionNet
from structkit.engines.transfer.model import ContentTransfer
from structkit.errors import CheckpointError
from structkit.header import read_card
from structkit.training import RESUME
from structkit.training.outputs import Position, TrainingFiles
from structkit_cli.pages.info import card_lines

WRONG = [None, True, -1, 1.5, "a\nb", [], [{}], {"a": [1]}]
# Words of Python and its libraries, which say nothing to somebody who has a damaged file.
RAW = re.compile(
    r"unhashable|NoneType|not (iterable|subscriptable|callable)|attribute|__init__|keyword|positional|unpack|operand|"
    r"'(int|str|list|dict|float|bool)'|invalid literal|must be (str|real|a mapping)|out of range|unexpected|codec|"
    r"Expecting|Extra data|recursion|indices|dimension|<class|KeyError|argument"
)


def nodes(tree: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path of every value of a card, but the whole."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield (*path, key)
        yield from nodes(value, (*path, key))


def changed(tree: Any, path: tuple, value: Any) -> Any:
    """A copy of a card with another value at a path."""
    new = inner = copy.deepcopy(tree)
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return new


def rewritten(path, card: dict[str, Any]) -> None:
    """Give the file another card; its tensors stay."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"]["structkit"] = json.dumps(card)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def small() -> dict[str, Any]:
    """Models as small as can be."""
    size = {"size": 16, "width": 4, "widest": 8}
    return {
        "pair": PairAnalogy(PairConfig(size=30, width=4, widest=4).filled(), [(20, 20), (30, 30)], 1),
        "clip": PatchVaeGan(
            GenvideoConfig(width=4, latent=2, layers=3, encoder_layers=2).filled(), [(2, 4, 6), (3, 5, 8)], 3, "25", 1
        ),
        "action": ActionNet(ActionConfig(width=0.1), ["walk", "run"]),
        "classifier": Classifier(
            ClassifierConfig(network="resnet20", width=4, padain=0.5), ["cat", "dog"], [0.5] * 3, [0.25] * 3
        ),
        "transfer": ContentTransfer(TransferConfig(**size, separate=2, painter=0, rounds=0).filled()),
    }


@pytest.mark.parametrize("kind", ["pair", "clip", "action", "classifier", "transfer"])
def test_any_wrong_value_in_a_card_is_a_fact_in_words(tmp_path, kind):
    path = tmp_path / "m.safetensors"
    run = {"config": {"size": 40}, "inputs": {"source": "00ff"}, "minutes": 1}
    small()[kind].save(path, run=run, complete=True, doubts=["odd"], scores={"iou": 0.5, "of": [1, 2]})
    card, told = read_card(path), 0
    shaping = [p for p in nodes(card) if p[0] in ("facts", "doubts", "format", "kind", "structkit", "run", "complete")]
    options = [("config", name) for name in ("size", "preset", "width")] + [("config",)]
    for place in [*shaping, *options]:
        for value in WRONG:
            rewritten(path, changed(card, place, value))
            try:
                "\n".join(card_lines(str(path), read_card(path)))
                models.load(path, "cpu", verb=None)
            except CheckpointError as error:
                told += 1
                assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
                assert not RAW.search(str(error)[len(str(path)) :]), (place, value, str(error))
    assert told > 50


def test_any_wrong_value_in_the_card_of_a_state_is_a_fact_in_words(tmp_path):
    files = TrainingFiles(tmp_path / "m.safetensors")
    files.save({}, Position(stage=1, step=2, seconds=0.5, log=3), {"seed": 1})
    card, told = read_card(files.state), 0
    for place in nodes({"place": card["place"]}):
        for value in WRONG:
            rewritten(files.state, changed(card, place, value))
            try:
                files.load()
            except CheckpointError as error:
                told += 1
                assert not RAW.search(str(error)[len(str(files.state)) :]), (place, value, str(error))
    assert told > 15 and card["kind"] == RESUME


def test_the_search_for_raw_words_finds_them():
    for text in ("unhashable type: 'list'", "'NoneType' object is not iterable", "Expecting value: line 1"):
        assert RAW.search(text)


def test_a_header_of_json_of_another_form_is_a_fact_in_words(tmp_path):
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, {}, {"kind": "toy"})
    for name in ("x", "__metadata__"):
        for value in [*WRONG, {"dtype": [], "shape": [], "data_offsets": [0, 0]}, {"dtype": "F32", "shape": {}},
                      {"dtype": "F32", "shape": ["a"], "data_offsets": [0, 4]}, {"structkit": 7}]:  # fmt: skip
            text = json.dumps({name: value}).encode()
            path.write_bytes(len(text).to_bytes(8, "little") + text)
            with pytest.raises(CheckpointError) as caught:
                read_card(path)
            assert not RAW.search(str(caught.value)[len(str(path)) :]), (name, value, str(caught.value))
