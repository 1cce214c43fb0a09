"""The commands `hqgen curate`, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import run
from tests.made import manifest, rewrite, sample

STEERING = "lab/\x1b[31mred"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rows = [sample("lab/a", 4.0, 5.0), sample("lab/b", 6.0, 5.0), sample(STEERING, None, 7.0)]
    return rewrite(tmp_path / "manifest.json", manifest({"lab": rows}))


def test_verdicts_are_said_listed_and_undone(path: Path) -> None:
    assert run("curate", "list", path.parent).stdout == "there are no verdicts\n"
    said = run("curate", "mark", path.parent, "lab/a", "--author", "ada")
    assert (said.returncode, said.stdout) == (0, "1: lab/a: mark\n")
    said = run(
        "curate", "pick", path, "lab/a", "--method", "tfi", "--note", "sharper", env={"HQGEN_AUTHOR": "bob"}
    )
    assert said.stdout == "2: lab/a: pick tfi, instead of mark\n"
    run("curate", "reject", path, "lab/b", STEERING)
    listed = json.loads(run("curate", "list", path, "--json").stdout)
    assert [(v["number"], v["key"], v["action"]) for v in listed] == [
        (2, "lab/a", "pick"),
        (3, "lab/b", "reject"),
        (4, STEERING, "reject"),
    ]
    assert (listed[0]["author"], listed[0]["note"]) == ("bob", "sharper")
    assert run("curate", "undo", path).stdout == "5: entry 4 no longer holds\n"
    assert run("curate", "undo", path, "2").stdout == "6: entry 2 no longer holds\n"
    run("curate", "clear", path, "lab/b")
    shown = run("curate", "list", path, env={"COLUMNS": "80"}).stdout
    assert "lab/a" in shown
    assert "lab/b" not in shown
    history = run("curate", "list", path, "--history", env={"COLUMNS": "80"}).stdout
    assert "undo 4" in history
    assert "sharper" in history


def test_no_name_steers_the_terminal(path: Path) -> None:
    shown = run("curate", "reject", path, STEERING, "--note", "\x1b]0;title\x07").stdout
    shown += run("curate", "list", path).stdout
    shown += run("curate", "pick", path, STEERING, "--method", "tfp").stderr
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\\x1b[31mred" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["mark", "lab/c"], 2, "unknown sample of the store `lab/c`"),
        (["pick", "lab/a"], 2, "Missing option '--method'"),
        (["pick", "lab/a", "--method", "tfq"], 2, "unknown method of the store `tfq`"),
        (["undo"], 2, "nothing in"),
        (["undo", "3"], 2, "has no entry 3"),
    ],
)
def test_mistakes_are_named(path: Path, arguments: list[str], code: int, message: str) -> None:
    done = run("curate", arguments[0], path, *arguments[1:])
    assert done.returncode == code
    assert message in done.stderr
    assert not path.with_name("curation.json").exists() or arguments[0] == "undo"


def test_a_store_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run("curate", "list", tmp_path)
    assert (done.returncode, "cannot be read" in done.stderr) == (1, True)
