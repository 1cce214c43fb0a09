from __future__ import annotations

import csv
import json
import shutil
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import spikeclip.recipes.trainings
from hqgen.errors import HqgenError, SourceError, UsageError
from hqgen.store import open_store
from hqgen.tables import markdown
from spikeclip.clip.files import save_clip
from spikeclip.data.lowlight import LowLightSet
from spikeclip.evaluation.table import ResultTable
from spikeclip.networks import build, load_network, save_network
from spikeclip.recipes.recipe import Recipe
from spikeclip.recipes.run import run_recipe
from tests.builder.small import Recorder
from tests.spikeclip.tiny_clip import tiny_clip, tiny_config

STAGE = {"epochs": 1, "batch": 4, "learning_rate": 1e-3}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of two classes of three noisy pictures."""
    path = tmp_path_factory.mktemp("pictures") / "pictures.zip"
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("cat/0.png", "cat/1.png", "cat/2.png", "dog/0.png", "dog/1.png", "dog/2.png"):
            file = path.parent / "picture.png"
            coarse = Image.fromarray(rng.integers(0, 255, (24, 24), np.uint8))
            coarse.resize((120, 120), Image.Resampling.BICUBIC).save(file)
            archive.write(file, name)
    return path


@pytest.fixture(scope="module")
def document(
    low_light: LowLightSet, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """A recipe of seconds: six recordings, 12 low-light samples, one epoch a stage."""
    clip = tmp_path_factory.mktemp("clip") / "tiny.pth"
    save_clip(clip, tiny_clip().model, tiny_config(), meta={})
    return {
        "out": "unused",
        "recordings": {"pictures": str(pictures), "per-class": 2, "height": 96, "width": 104, "frames": 41},
        "hq-store": {"methods": ["tfp", "tfi"]},
        "low-light": {"spikes": str(low_light.path)},
        "train": {
            "crop": 32,
            "clip": {"model": "small", "weights": str(clip)},
            "coarse": STAGE,
            "prompt": STAGE,
            "fine": STAGE,
        },
        "evaluate": {"methods": ["tfi"], "metrics": ["piqe"], "runs": 0},
    }


def recipe(document: dict[str, Any], **changes: Any) -> Recipe:
    return Recipe.model_validate(document | changes)


ABLATION = {
    "seeds": [0, 1],
    "rows": [
        {"name": "coarse", "stages": ["coarse"]},
        {"name": "+ class", "after": "coarse", "stages": ["fine"], "fine": {"prompt-weight": 0}},
    ],
}


ENDINGS = ("json", "md", "tex", "csv")


def files(folder: Path) -> dict[str, int]:
    """When each file was written, except logs and what every run writes again."""
    again = {"log.txt", "lock", "config.toml", "plan.json", "grid.png", "report.html"}
    again |= {f"{table}.{ending}" for table in ("table", "table-1", "table-2") for ending in ENDINGS}
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name not in again and "logs" not in path.parts
    }


def test_a_recipe_goes_from_pictures_to_a_table_and_a_second_run_makes_nothing_again(
    document: dict[str, Any], tmp_path: Path
) -> None:
    table = run_recipe(recipe(document), tmp_path, "sync", observer=Recorder())
    assert [row.name for row in table.rows] == ["network", "tfi"]
    assert table == ResultTable.from_json((tmp_path / "table.json").read_text())
    assert (tmp_path / "table.md").read_text() == markdown(table)
    assert len(open_store(tmp_path / "hq" / "hq.zarr")) == 4
    assert load_network(tmp_path / "network" / "network.pth").bins == 50
    before = files(tmp_path)
    assert run_recipe(recipe(document), tmp_path, "sync", observer=Recorder()) == table
    assert files(tmp_path) == before


def test_what_the_trainings_lack_is_found_before_anything_is_made(
    document: dict[str, Any], pictures: Path, tmp_path: Path
) -> None:
    gone = {"model": "small", "weights": str(tmp_path / "gone.pth")}
    drawn = {"pictures": str(tmp_path / "drawn"), "height": 24, "width": 24, "frames": 200}
    for split in ("train", "test"):
        (tmp_path / "drawn").mkdir(exist_ok=True)
        shutil.copy(pictures, tmp_path / "drawn" / f"{split}.zip")
    wrong = {
        r"gone.pth": {"train": document["train"] | {"clip": gone}},
        "there is no folder": {"low-light": {"spikes": str(tmp_path / "none")}},
        "24x24 pixels, too small for a crop of 32x32": {"low-light": drawn},
        "too few for a batch of 50": {"train": document["train"] | {"fine": {"batch": 50}}},
    }
    for message, changes in wrong.items():
        with pytest.raises(HqgenError, match=message):
            run_recipe(recipe(document, **changes), tmp_path / "out", "sync")
    assert not (tmp_path / "out").exists()


def test_an_ablation_gives_means_over_the_seeds_of_rows_that_share_the_first_stage(
    document: dict[str, Any], tmp_path: Path
) -> None:
    """And one comparison gives several tables and a picture; what no seed changes is evaluated once."""
    save_network(tmp_path / "published.pth", build("lrn"), {})
    networks = {"published": str(tmp_path / "published.pth")}
    changes: dict[str, Any] = {"recordings": None, "hq-store": None, "ablation": ABLATION}
    changes["evaluate"] = document["evaluate"] | {"networks": networks}
    changes["tables"] = [
        {"name": "table-1", "rows": ["tfi", "published", "+ class"]},
        {"name": "table-2", "rows": ["coarse", "+ class"], "columns": ["piqe_raw", "consistency"]},
    ]
    small = recipe(document, **changes)
    table = run_recipe(small, tmp_path, "sync", observer=Recorder())
    assert [row.name for row in table.rows] == ["coarse", "+ class", "published", "tfi"]
    parts = {part: json.loads((tmp_path / part / "table.json").read_text()) for part in ("seed-1", "others")}
    assert [row["name"] for row in parts["seed-1"]["rows"]] == ["coarse", "+ class"]
    assert [row["name"] for row in parts["others"]["rows"]] == ["published", "tfi"]
    assert table.about["trainings"] == 2
    first, second = (list(csv.reader((tmp_path / f"table-{n}.csv").read_text().splitlines())) for n in (1, 2))
    assert [line[0] for line in first] == ["method", "tfi", "published", "+ class"]
    assert second[0] == ["method", "piqe_raw", "piqe_raw_spread", "consistency", "consistency_spread"]
    assert float(second[1][1]) == table.row("coarse").cells["piqe_raw"].value
    assert (tmp_path / "table-2.md").read_text().startswith("| method | PIQE ↓ | Consistency ↓ |")
    with Image.open(tmp_path / "pictures.png") as picture:
        assert picture.height == 26 + 4 * 166
    before = files(tmp_path)
    run_recipe(small, tmp_path, "sync", observer=Recorder())
    assert files(tmp_path) == before
    singles = [
        ResultTable.from_json((tmp_path / f"seed-{seed}" / "table.json").read_text()) for seed in (0, 1)
    ]
    values = [single.row("coarse").cells["acc_raw"].value for single in singles]
    assert table.row("coarse").cells["acc_raw"].value == pytest.approx(np.mean(values))
    for seed in (0, 1):
        config = tomllib.loads((tmp_path / f"seed-{seed}" / "class" / "config.toml").read_text())["train"]
        assert config["seed"] == seed
        assert config["initial"] == str(tmp_path / f"seed-{seed}" / "coarse" / "network.pth")


def test_other_settings_of_the_evaluation_make_only_the_table_again(
    document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"recordings": None, "hq-store": None}
    changes["train"] = document["train"] | {"stages": ["coarse"]}
    run_recipe(recipe(document, **changes), tmp_path, "sync", observer=Recorder())
    trained = (tmp_path / "network" / "coarse" / "record.json").stat().st_mtime_ns
    changes["evaluate"] = document["evaluate"] | {"methods": []}
    table = run_recipe(recipe(document, **changes), tmp_path, "sync", observer=Recorder())
    assert [row.name for row in table.rows] == ["network"]
    assert (tmp_path / "network" / "coarse" / "record.json").stat().st_mtime_ns == trained


def test_a_recipe_takes_stores_that_are_there_and_looks_at_them_first(
    document: dict[str, Any], hq_store: Path, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"recordings": None, "hq-store": {"stores": [str(hq_store)]}}
    run_recipe(recipe(document, **changes), tmp_path / "a", "sync", observer=Recorder())
    assert (tmp_path / "a" / "network" / "fine" / "record.json").is_file()
    assert not (tmp_path / "a" / "hq").exists()

    changes["hq-store"] = {"stores": [str(tmp_path / "absent.zarr")]}
    with pytest.raises(HqgenError, match=r"absent\.zarr"):
        run_recipe(recipe(document, **changes), tmp_path / "b", "sync", observer=Recorder())
    assert not (tmp_path / "b").exists()


def test_tables_and_pictures_are_of_the_square_that_the_evaluation_names(
    document: dict[str, Any], tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"recordings": None, "hq-store": None}
    changes["train"] = document["train"] | {"stages": ["coarse"]}
    changes["evaluate"] = document["evaluate"] | {"crop": 40}
    made = recipe(document, **changes)
    assert (made.train.crop, made.shown_crop) == (32, 40)
    run_recipe(made, tmp_path, "sync", observer=Recorder())
    assert json.loads((tmp_path / "record.json").read_text())["crop"] == 40
    assert "40x40" in (tmp_path / "table.md").read_text()


def test_a_step_that_was_killed_is_done_again(
    document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = recipe(document, **{"hq-store": None, "train": document["train"] | {"stages": ["coarse"]}})

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hqgen.simulation.camera.write_dat", killed)
        with pytest.raises(KeyboardInterrupt):
            run_recipe(small, tmp_path, "sync", observer=Recorder())
    assert not (tmp_path / "recordings" / "record.json").exists()
    run_recipe(small, tmp_path, "sync", observer=Recorder())
    assert len(list((tmp_path / "recordings").glob("*.dat"))) == 4
    assert json.loads((tmp_path / "recordings" / "record.json").read_text())["per_class"] == 2


@pytest.mark.slow
def test_a_cluster_makes_what_one_process_makes_and_shows_the_progress(
    document: dict[str, Any], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spikeclip.recipes.trainings, "POLL", 0.05)
    monkeypatch.setattr(spikeclip.recipes.trainings, "SAY_EVERY", 0.0)
    for split in ("train", "test"):
        shutil.copy(pictures, tmp_path / f"{split}.zip")
    low_light = {"pictures": str(tmp_path), "train": 3, "test": 2, "height": 40, "width": 40}
    both = recipe(document, ablation=ABLATION, **{"low-light": low_light})
    recorder = Recorder()
    alone = run_recipe(both, tmp_path / "alone", "sync")
    shared = run_recipe(both, tmp_path / "shared", "local", 1, recorder)
    # The last evaluation is that of the method, which no seed changes: four samples, once.
    assert recorder.done.items() >= {"building": 4, "simulate": 10, "train": 4, "evaluate": 4}.items()
    assert any(note.startswith("seed-1/class: fine: ") for note in recorder.notes)
    for row in ("coarse", "class"):
        one, other = (
            load_network(tmp_path / place / "seed-0" / row / "network.pth") for place in ("alone", "shared")
        )
        torch.testing.assert_close(one.state_dict(), other.state_dict())
    assert alone.about["data"] == shared.about["data"]
    for one_row, other_row in zip(alone.rows, shared.rows, strict=True):
        assert one_row.name == other_row.name
        for key, cell in one_row.cells.items():
            assert other_row.cells[key].value == pytest.approx(cell.value, rel=1e-4)


@pytest.mark.slow
def test_an_error_on_a_worker_arrives_with_its_hint(document: dict[str, Any], tmp_path: Path) -> None:
    small = recipe(
        document, **{"hq-store": None, "recordings": None, "train": document["train"] | {"crop": 100}}
    )
    with pytest.raises(UsageError) as caught:
        run_recipe(small, tmp_path, "local", 1, observer=Recorder())
    assert caught.value.hint


def test_pictures_that_are_not_there_are_an_error(document: dict[str, Any], tmp_path: Path) -> None:
    gone = document["recordings"] | {"pictures": str(tmp_path / "gone.zip")}
    with pytest.raises(SourceError, match="neither a folder nor a zip"):
        run_recipe(recipe(document, recordings=gone), tmp_path, "sync", observer=Recorder())


def test_names_of_rows_become_names_of_folders() -> None:
    assert spikeclip.recipes.trainings._slug("Coarse + class, λ=10") == "coarse-class-10"
