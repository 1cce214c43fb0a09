from __future__ import annotations

from pathlib import Path

import pytest

from hqgen.errors import UsageError
from hqgen.training.recipe import Phase, Recipe, load_recipe

SHIPPED = Path(__file__).parents[2] / "pipelines" / "train-base.toml"


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "recipe.toml").write_text(text)
    return tmp_path / "recipe.toml"


def test_shipped_recipe_says_every_value_and_is_the_default() -> None:
    recipe = load_recipe(SHIPPED)
    assert recipe.model_dump() == recipe.model_dump(exclude_unset=True)
    assert recipe == Recipe()


def test_phases_follow_each_other() -> None:
    first, second = Phase(steps=3, batch=2, patch=16), Phase(steps=2, batch=1, patch=32)
    recipe = Recipe(phases=(first, second))
    assert recipe.steps == 5
    assert [recipe.phase_at(step) for step in range(5)] == [first] * 3 + [second] * 2
    with pytest.raises(IndexError):
        recipe.phase_at(5)


PHASE = "[[phases]]\nsteps = 1\nbatch = 1\npatch = 16\n"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("seeds = 1\n" + PHASE, "seeds"),
        ("learning-rate = -1\n" + PHASE, "learning-rate"),
        ("phases = []", "phases"),
        (PHASE.replace("16", "17"), "phases.0.patch"),
        (PHASE + "[scenes.sensor]\nnoisy = 1.5", "scenes.sensor.noisy"),
        (PHASE + "[scenes]\nrates = [0.9, 0.4]", "scenes.rates"),
        (PHASE + "[scenes]\noptics = [-0.1, 0.5]", "scenes.optics.0"),
        (PHASE + "[scenes]\nscale = [0.0, 1.0]", "scenes.scale"),
    ],
)
def test_what_a_recipe_cannot_have_is_named(text: str, where: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"`{where}[^`]*` in the recipe"):
        load_recipe(write(tmp_path, text))


def test_file_that_is_no_toml_or_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not TOML"):
        load_recipe(write(tmp_path, "phases = ["))
    with pytest.raises(UsageError, match="cannot read the recipe"):
        load_recipe(tmp_path / "absent.toml")
