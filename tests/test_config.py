from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.config import read_config, to_toml
from hqgen.errors import UnknownNameError, UsageError

KEYS = ("sources", "shard-size", "source-methods")


def read(tmp_path: Path, text: str) -> dict[str, object]:
    path = tmp_path / "hqgen.toml"
    path.write_text(text)
    return read_config(path, "build", KEYS)


def test_a_table_gives_a_commands_flags(tmp_path: Path) -> None:
    text = '[build]\nsources = ["reds", "demo"]\nshard-size = 5\n'
    text += '[build.source-methods]\nreds = "tfi"\n[other]\nx = 1'
    assert read(tmp_path, text) == {
        "sources": "reds,demo",
        "shard_size": 5,
        "source_methods": {"reds": "tfi"},
    }


def test_a_file_without_the_table_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "") == {}


def test_an_unknown_key_names_the_legal_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="`shardsize`") as caught:
        read(tmp_path, "[build]\nshardsize = 3")
    assert "did you mean `shard-size`?" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"), [(b"build = 3", "is no table"), (b"[build", "is no TOML"), (b"\xff", "is no TOML")]
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    path = tmp_path / "hqgen.toml"
    path.write_bytes(text)
    with pytest.raises(UsageError, match=message):
        read_config(path, "build", KEYS)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_config(tmp_path / "none.toml", "build", KEYS)


scalars = (
    st.booleans() | st.integers(-(2**40), 2**40) | st.text(st.characters(exclude_categories=["Cs", "Cc"]))
)


@given(
    st.dictionaries(st.sampled_from(["sources", "out", "workers"]), scalars | st.none()),
    st.dictionaries(st.sampled_from(["reds", "demo"]), st.text("abc,=:")),
)
def test_settings_written_as_toml_read_back(values: dict[str, object], methods: dict[str, str]) -> None:
    document = tomllib.loads(to_toml("build", values | {"source-methods": methods}))["build"]
    expected = {key: value for key, value in values.items() if value is not None}
    assert document == expected | ({"source-methods": methods} if methods else {})
