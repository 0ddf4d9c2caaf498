"""Where the value of an option comes from: command line > environment > file > default."""

from __future__ import annotations

import dataclasses
import tomllib

import pytest

from structkit.configs import AnalogyConfig, RefineConfig, RetargetConfig, SampleConfig


@pytest.fixture
def file(tmp_path, run):
    def write(text: str) -> str:
        (tmp_path / "c.toml").write_text(text)
        return "c.toml"

    return write


CONFIGS = {"analogy": AnalogyConfig, "sample": SampleConfig, "retarget": RetargetConfig, "refine": RefineConfig}


@pytest.mark.parametrize("verb", CONFIGS)
def test_each_verb_has_the_fields_of_its_configuration_with_their_defaults_and_no_other_verbs(run, verb):
    printed = run(verb, "--print-config").out.decode()
    values = tomllib.loads(printed)[verb]
    text = run(verb, "--help").out.decode()
    own = {field.name for field in dataclasses.fields(CONFIGS[verb])}
    for field in dataclasses.fields(CONFIGS[verb]):
        assert values.get(field.name) == field.default
        assert "--" + field.name.replace("_", "-") in text
    for other in {field.name for kind in CONFIGS.values() for field in dataclasses.fields(kind)} - own:
        assert f"{other} = " not in printed


def test_precedence(run, engine, pair, file, monkeypatch):
    name = file("strength = 0.1\n")

    def used(*arguments: str) -> float:
        assert run("analogy", *pair, "--exists", "overwrite", *arguments).code == 0
        return engine.calls[-1]["strength"]

    assert used() == 0.5
    assert used("--config", name) == 0.1
    monkeypatch.setenv("STRUCTKIT_ANALOGY_STRENGTH", "0.2")
    assert used("--config", name) == 0.2
    assert used("--strength", "0.3", "--config", name) == 0.3


def test_a_verbs_table_beats_the_top_and_other_verbs_tables_are_left_alone(run, engine, pair, file):
    name = file("seed = 1\nstrength = 0.1\n[analogy]\nstrength = 0.9\nboth = true\n[sample]\ncount = 2\n")
    assert run("analogy", *pair, "--config", name).code == 0
    assert [(call["seed"], call["strength"]) for call in engine.calls] == [(1, 0.9)] * 2
    assert run("analogy", *pair, "--config", name, "--no-both", "-o", "x.png").code == 0
    assert len(engine.calls) == 3


def test_the_printed_configuration_reads_back_to_itself(run, file):
    first = run(
        "analogy", "--print-config", "--strength", "0.3", "--exists", "skip", "--json", "-o", 'odd "name"\t\\é😀\x7f/'
    ).out.decode()
    second = run("analogy", "--print-config", "--config", file(first)).out.decode()
    assert first == second
    assert tomllib.loads(first)["analogy"]["output"] == 'odd "name"\t\\é😀\x7f/'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strenght = 1", "c.toml sets 'strenght', which analogy does not have: did you mean strength?"),
        ("[analogy]\nsamples = 1", "c.toml sets 'samples', which analogy does not have: did you mean count?"),
        ("[nonsense]\na = 1", "c.toml has a table [nonsense] that is no verb: the verbs are analogy"),
        ("strength = 3", "--strength is 3: it must be between 0 and 1 (from c.toml)"),
        ("mode = 'anlogy'", "choose one of analogy, style, texture, paint; did you mean analogy? (from c.toml)"),
        ("strength = 'much'", "--strength is 'much': it must be a number, between 0 and 1 (from c.toml)"),
        ("count = 1.5", "--count is 1.5: it must be a whole number, between 1 and 9999 (from c.toml)"),
        ("count = true", "c.toml sets 'count' to true, of the wrong type"),
        ("both = 'maybe'", "c.toml sets 'both' to \"maybe\", of the wrong type"),
        ("both = 1", "c.toml sets 'both' to 1, of the wrong type"),
        ("size = [1, 2]", "c.toml sets 'size' to [1, 2], of the wrong type"),
        ("config = 'c.toml'", "c.toml sets 'config', which analogy does not have"),
        ("analogy = 1", "c.toml sets 'analogy', which analogy does not have"),
        ("a = ", "c.toml is not TOML"),
    ],
)
def test_what_a_file_cannot_say_is_refused_by_name(run, engine, pair, file, text, message):
    ran = run("analogy", *pair, "--config", file(text))
    assert (ran.code, engine.calls, ran.err.count("\n")) == (2, [], 1)
    assert message in ran.err


def test_a_file_that_is_not_there(run, pair):
    assert "nowhere.toml: No such file or directory" in run("analogy", *pair, "--config", "nowhere.toml").err


def test_the_environment_is_checked_likewise(run, engine, pair, monkeypatch):
    monkeypatch.setenv("STRUCTKIT_ANALOGY_STRENGTH", "3")
    assert "it must be between 0 and 1 (from STRUCTKIT_ANALOGY_STRENGTH)" in run("analogy", *pair).err
    monkeypatch.setenv("STRUCTKIT_ANALOGY_STRENGTH", "much")
    assert "(from STRUCTKIT_ANALOGY_STRENGTH)" in run("analogy", *pair).err
    monkeypatch.delenv("STRUCTKIT_ANALOGY_STRENGTH")
    monkeypatch.setenv("STRUCTKIT_ANALOGY_STRENGHT", "1")
    ran = run("analogy", *pair)
    assert (ran.code, engine.calls) == (2, [])
    assert "STRUCTKIT_ANALOGY_STRENGHT, which analogy does not have: did you mean strength?" in ran.err
    monkeypatch.setenv("STRUCTKIT_ANALOGY_CONFIG", "nowhere.toml")
    assert "nowhere.toml: No such file" in run("analogy", *pair).err


def test_printing_needs_no_inputs_and_does_nothing(run, engine):
    assert run("refine", "--print-config").code == 0
    assert run("analogy", "--print-config", "--strength", "9").code == 2
    assert engine.calls == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_file_is_read_in_every_encoding_that_a_shell_or_an_editor_writes(run, pair, tmp_path, encoding):
    (tmp_path / "c.toml").write_bytes("strength = 0.25\r\n".encode(encoding))
    assert "strength = 0.25" in run("analogy", "--config", "c.toml", "--print-config").out.decode()


@pytest.mark.parametrize(
    ("data", "fact"),
    [
        (b"strength = 0.\0", "c.toml: line 1 has a NUL character"),
        (b"\xffstrength = 0.1", "c.toml: byte 0 is not of a text in UTF-8; save it as UTF-8"),
        (b'output = "a\\u0000b"', "c.toml sets 'output' to a text with a NUL character"),
    ],
)
def test_a_file_that_is_no_text_is_refused_in_one_line(run, pair, tmp_path, data, fact):
    (tmp_path / "c.toml").write_bytes(data)
    ran = run("analogy", *pair, "--config", "c.toml")
    assert ran.code == 2 and ran.err.startswith(f"structkit: error: {fact}") and ran.err.count("\n") == 1


def test_an_argument_with_a_nul_character_is_refused(run, pair):
    for arguments in (["analogy", "a\0.png", "b.png"], ["info", "a\0"], ["sample", *pair, "-o", "a\0/"]):
        ran = run(*arguments)
        assert ran.code == 2 and "has a NUL character" in ran.err and ran.err.count("\n") == 1
