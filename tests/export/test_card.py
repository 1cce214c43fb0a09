"""The data card: what it says is from the manifest, and no text of a key or a licence breaks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hqgen.curation import Journal
from hqgen.export.card import cell
from hqgen.export.run import Exported
from hqgen.manifest import read_manifest
from tests.made import manifest, sample, write

Export = Callable[..., Exported]


def card(folder: Path) -> str:
    return (folder / "README.md").read_text("utf-8")


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    lines = text.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    table = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    return [[part.strip() for part in row] for row in table[2:]]


def test_the_card_says_what_the_manifest_says(export: Export, ugly: Path, tmp_path: Path) -> None:
    found = export("imagefolder", split="train=0.6,test=0.4", max_score=4.5)
    text, made = card(tmp_path / "set"), read_manifest(ugly)
    for name, number in found.samples.items():
        assert f"| {name} | {number} | {found.recordings[name]} |" in text
    assert "Left out of the store's samples: 8 with a larger score, 2 without a picture." in text
    assert "Limits: score at most 4.5." in text
    assert made.plan_id in text
    sources = {row[0]: row for row in rows(text, "Sources and licences")}
    assert (sources["one"][2], sources["two"][2]) == ("1", "4")
    assert sources["one"][5] == "not stated"
    methods = {row[0]: row for row in rows(text, "Methods")}
    assert (methods["tfp"][1], methods["tfi"][1]) == ("2", "3")
    assert "Zhu et al." in methods["tfp"][6]
    assert rows(text, "Scores")[2][2:] == ["3.00", "3.07", "3.10", "3.10", "3.10"]
    assert "one has 1; two has 1." in " ".join(text.split())
    assert "1 of 5 pictures" in text


@pytest.mark.parametrize(
    ("metric", "limit"), [("niqe", "statistics of sharp photographs"), ("brisque", "sees no ground truth")]
)
def test_the_limits_are_those_of_the_score(export: Export, tmp_path: Path, metric: str, limit: str) -> None:
    path = write(manifest({"one": [sample("one/a", 4.0, 5.0)]}, scorer=metric), tmp_path / "store")
    export("imagefolder", path=path)
    assert limit in card(tmp_path / "set")


def test_people_are_mentioned(export: Export, ugly: Path, tmp_path: Path) -> None:
    import shutil

    store = Path(shutil.copytree(ugly.parent, tmp_path / "store"))
    Journal(store).add("mark", ["one/a/1", "two/1"])
    Journal(store).add("reject", ["two/2"])
    export("imagefolder", path=store / "manifest.json")
    text = card(tmp_path / "set")
    assert "People looked at some of the pictures: 2 mark." in text
    assert "1 rejected" in text


def test_a_text_stays_in_its_cell() -> None:
    assert cell("a|b\n<b>`*x*`_[y]_") == r"a\|b &lt;b&gt;\`\*x\*\`\_\[y\]\_"


def test_the_description_names_the_licence_of_each_source(export: Export, tmp_path: Path) -> None:
    path = write(manifest({"demo": [sample("demo/a", 4.0)]}), tmp_path / "store")
    export("imagefolder", path=path)
    described = json.loads((tmp_path / "set/croissant.json").read_bytes())
    (licence,) = described["license"]
    assert licence.startswith("demo: ")
    assert "scikit-image" in licence
