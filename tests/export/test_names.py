"""Names of files: safe, and never the same for two keys."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hqgen.export.names import file_names
from tests.export.conftest import UGLY


def test_a_plain_key_is_its_own_name() -> None:
    assert file_names(["200_part1_key_id151", "scene-1"]) == ["200_part1_key_id151", "scene-1"]


def test_ugly_keys_can_be_read_and_written(tmp_path: Path) -> None:
    names = file_names(UGLY)
    assert names[2] == "a=2E1"
    assert names[4].startswith("=3Cimg=20src=3Dx")
    for name in names:
        (tmp_path / f"{name}.png").touch()
    assert len(list(tmp_path.iterdir())) == len(UGLY)


@given(st.lists(st.text(min_size=1) | st.sampled_from(UGLY), unique=True, max_size=20))
def test_two_keys_never_share_a_name(keys: list[str]) -> None:
    names = file_names(keys)
    assert len({name.lower() for name in names}) == len(keys)
    assert all(re.fullmatch(r"[A-Za-z0-9_=][A-Za-z0-9_=-]{0,79}", name) for name in names)
