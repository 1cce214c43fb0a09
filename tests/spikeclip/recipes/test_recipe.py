from __future__ import annotations

from pathlib import Path

import pytest

from hqgen.errors import UsageError
from hqgen.methods.registry import parse_method
from hqgen.sources.catalog import load_catalog
from spikeclip.recipes.recipe import Recipe, read_recipe
from spikeclip.training.settings import TrainCommand, TrainSettings

PIPELINES = Path(__file__).parents[3] / "pipelines"
RECIPES = ["demo", "u-caltech", "u-caltech-simulated", "u-cifar", "u-cifar-simulated"]

SMALL = """
out = "made"
[low-light]
spikes = "demo"
[train]
crop = 64
fine = { learning-rate = 1e-4, prompt-weight = 10 }
"""


def recipe(tmp_path: Path, text: str) -> Recipe:
    (tmp_path / "recipe.toml").write_text(text)
    return read_recipe(tmp_path / "recipe.toml")


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipes_of_the_repository_combine_parts_that_are_there(name: str) -> None:
    found = read_recipe(PIPELINES / f"{name}.toml")
    store = found.hq_store
    assert store is not None
    assert set(store.sources) <= set(load_catalog())
    for method in (
        *(store.methods or "").split(","),
        *(found.evaluate.methods or ()),
        *store.source_methods.values(),
    ):
        parse_method(method)


@pytest.mark.parametrize(
    ("name", "rate", "entry"), [("u-caltech", 4e-5, "u-caltech"), ("u-cifar", 1e-4, "u-cifar")]
)
def test_the_papers_recipes_have_its_values(name: str, rate: float, entry: str) -> None:
    found = read_recipe(PIPELINES / f"{name}.toml")
    ((_, _, settings),) = found.trainings()
    assert found.low_light.entry == entry
    assert (settings.clip.model, settings.clip.weights) == ("ViT-B-32", "openai")
    assert (settings.coarse.epochs, settings.prompt.epochs, settings.fine.epochs) == (5, 1, 19)
    assert settings.coarse.learning_rate == settings.fine.learning_rate == rate
    assert settings.fine.prompt_weight == 100
    assert (settings.network, settings.bins, settings.crop, settings.prompt.context) == ("lrn", 50, 224, 16)


def test_the_simulated_recipe_has_the_four_rows_of_the_ablation() -> None:
    found = read_recipe(PIPELINES / "u-cifar-simulated.toml")
    assert found.ablation is not None
    assert found.ablation.seeds == (0, 1, 2)
    rows = [(settings.stages, settings.fine.prompt_weight) for _, _, settings in found.trainings()]
    assert [stages for stages, _ in rows] == [
        ("coarse",),
        ("fine",),
        ("fine",),
        ("prompt", "fine"),
    ]
    assert [weight for _, weight in rows[1:]] == [0, 0, 100]
    after = [row.after for row in found.ablation.rows]
    assert after == [None, None, "coarse only", "coarse only"]


def test_the_simulated_u_caltech_gives_the_three_tables_over_one_set_of_trainings() -> None:
    found = read_recipe(PIPELINES / "u-caltech-simulated.toml")
    assert found.ablation is not None
    assert len(found.ablation.seeds) == 3
    assert [table.name for table in found.tables] == ["table-1", "table-2", "table-3"]
    trained = {name: settings for name, _, settings in found.trainings()}
    assert trained["coarse x one gain"].fine.learns == "gain"
    assert [trained[row].network for row in found.tables[2].rows] == ["lrn", "unet"]
    assert found.recordings is not None
    low_light = found.low_light
    assert (low_light.light, low_light.screen, low_light.labels) == ("uhsr", "glass", None)
    assert found.recordings.skip >= (low_light.train or 0)  # HQ pictures show other scenes than the streams


def test_without_an_ablation_there_is_one_training(tmp_path: Path) -> None:
    ((name, row, settings),) = recipe(tmp_path, SMALL).trainings()
    assert (name, row, settings.crop, settings.fine.prompt_weight) == ("network", None, 64, 10)


def test_a_row_changes_single_values_of_the_training(tmp_path: Path) -> None:
    rows = '[[ablation.rows]]\nname = "a"\nstages = ["fine"]\nfine = { prompt-weight = 0 }\n'
    ((_, _, settings),) = recipe(tmp_path, SMALL + rows).trainings()
    assert settings.stages == ("fine",)
    assert (settings.fine.learning_rate, settings.fine.prompt_weight) == (1e-4, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("out = ", "is not TOML"),
        (SMALL + "[evalaute]\nruns = 1", "`evalaute` in the recipe"),
        ("[low-light]\nspikes = 'demo'", "`out` in the recipe"),
        ('out = "a"\n[low-light]\nspikes = "demo"\npictures = "b"', "one of spikes and pictures"),
        ('out = "a"\n[low-light]', "one of spikes and pictures"),
        (SMALL + "[hq-store]\nstores = ['hq.zarr']\nsources = ['demo']", "leave out its sources"),
        (SMALL + "[hq-store]\nmethods = ['tfp']", "names no sources"),
        (SMALL + "[train.coarse]\nepoch = 3", "there is no such setting"),
        (SMALL + "[ablation]\nrows = []", "ablation.rows"),
        (SMALL + "[[ablation.rows]]\nname = 'a'\nafter = 'b'", "comes after `b`"),
        (SMALL + "[[ablation.rows]]\nname = 'a'\n[[ablation.rows]]\nname = 'a'", "two rows are called `a`"),
        (SMALL + "[[ablation.rows]]\nname = 'a'\nstage = 'fine'", "`stage` in row `a`"),
        (SMALL + "[[tables]]\nname = 'a'\nrows = ['fine']", "row in the table `a` of the recipe `fine`"),
        (SMALL + "[evaluate.networks]\nnetwork = 'x.pth'", "two rows of the recipe are called `network`"),
        (SMALL + "[[tables]]\nname = 'A b'\nrows = ['network']", "tables.0.name"),
        (
            SMALL + "clip = { weights = 'a.pth' }\n[evaluate.judge]\nweights = 'a.pth'",
            "the judge is the teacher",
        ),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        recipe(tmp_path, text)
    assert message in caught.value.message


def test_a_recipe_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the recipe"):
        read_recipe(tmp_path / "gone.toml")


def test_the_demos_recipe_trains_as_the_command_line_does() -> None:
    ((_, _, settings),) = read_recipe(PIPELINES / "demo.toml").trainings()
    assert settings == TrainCommand.model_validate({"spikes": "demo"}).part(TrainSettings)
