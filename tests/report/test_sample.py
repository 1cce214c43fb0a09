"""One sample: what every judge says, as a table and as a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from hqgen.manifest import read_manifest
from tests.command_line import run
from tests.made import manifest, rewrite, sample


@pytest.fixture
def key(built: Path) -> str:
    return read_manifest(built / "manifest.json").sources[0].samples[1].key


def test_a_sample_is_shown_with_every_judge_and_drawn(built: Path, key: str, tmp_path: Path) -> None:
    sheet = tmp_path / "new" / "sheet.png"
    done = run("inspect", built, "--sample", key, "--contact-sheet", sheet, env={"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    record = read_manifest(built / "manifest.json").sources[0].samples[1]
    assert f"{record.method}, winner" in done.stdout
    for text in (key, "niqe", "consistency", f"{record.scores['tfp']:.3f}", "frame", "margin", str(sheet)):
        assert text in done.stdout
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80  # the last line is a path
    with Image.open(sheet) as drawn:
        assert drawn.width > 2 * 104


def test_what_a_person_says_is_shown(built: Path, key: str) -> None:
    run("curate", "reject", built, key, "--note", "blurred", "--author", "ada")
    shown = run("inspect", built, "--sample", key).stdout
    assert "verdict by ada: reject. blurred" in shown
    found = json.loads(run("inspect", built, "--sample", key, "--json").stdout)
    assert (found["record"]["key"], found["verdict"]["note"]) == (key, "blurred")


def test_the_table_needs_no_store_and_shows_reasons_as_text(tmp_path: Path) -> None:
    name = "lab/<b>\x1b[31m"
    rewrite(tmp_path / "manifest.json", manifest({"lab": [sample(name, 4.0, None, reason="\x1b[2J")]}))
    shown = run("inspect", tmp_path, "--sample", name).stdout
    assert "tfi: \\x1b[2J" in shown
    assert "no runner-up" in shown
    assert "\x1b" not in shown


def test_a_key_that_is_not_there_and_flags_for_whole_stores_are_refused(built: Path, key: str) -> None:
    done = run("inspect", built, "--sample", key + "x")
    assert (done.returncode, f"did you mean `{key}`" in done.stderr) == (2, True)
    done = run("inspect", built, "--sample", key, "--verify")
    assert (done.returncode, "`--verify` the whole store" in done.stderr) == (2, True)
