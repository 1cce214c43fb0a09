"""Recipes only combine parts that are there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hqgen.methods.registry import parse_method
from hqgen.sources.catalog import load_catalog
from tests.command_line import run

PIPELINES = Path(__file__).parents[1] / "pipelines"
BUILDS = [path for path in sorted(PIPELINES.glob("*.toml")) if "build" in tomllib.loads(path.read_text())]


def test_the_papers_recipe_is_there() -> None:
    assert "paper-hq.toml" in {path.name for path in BUILDS}


@pytest.mark.parametrize("recipe", BUILDS, ids=lambda path: path.name)
def test_a_build_recipe_names_sources_and_methods_that_exist(recipe: Path) -> None:
    shown = run("build", "--config", recipe, "--print-config")
    assert shown.returncode == 0, shown.stderr
    table = tomllib.loads(shown.stdout)["build"]
    assert set(table["sources"]) <= set(load_catalog())
    for text in (table["methods"], *table.get("source-methods", {}).values()):
        for item in text.split(","):
            parse_method(item)


@pytest.mark.parametrize("recipe", sorted(PIPELINES.glob("*.toml")), ids=lambda path: path.name)
def test_a_recipe_opens_with_its_command(recipe: Path) -> None:
    head = recipe.read_text().split("\n\n")[0]
    assert any(line.startswith(("#   hqgen ", "#   spikeclip ")) for line in head.splitlines())
