from __future__ import annotations

import json
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from hqgen.errors import UnknownNameError, UsageError, WeightsError
from hqgen.tables import Cell, ResultRow
from spikeclip.clip.files import save_clip
from spikeclip.data.lowlight import LowLightSet
from spikeclip.evaluation.table import ResultTable, write_table
from spikeclip.networks import build, load_network, save_network
from spikeclip.publishing.card import card
from spikeclip.publishing.facts import read_facts
from spikeclip.publishing.folder import publish
from spikeclip.training.folder import RunFolder
from spikeclip.training.run import train
from spikeclip.training.settings import train_settings
from tests.spikeclip.tiny_clip import tiny_clip, tiny_config


@pytest.fixture(scope="module")
def trained(low_light: LowLightSet, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A training of stages coarse and fine; its CLIP is a file in a folder of this machine."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("machine")
    save_clip(root / "secret" / "tiny.pth", tiny_clip().model, tiny_config(), meta={})
    stage: dict[str, Any] = {"epochs": 1, "batch": 4}
    settings = train_settings(
        {
            "crop": 16,
            "stages": ["coarse", "fine"],
            "clip": {"model": "small", "weights": str(root / "secret" / "tiny.pth")},
            "coarse": stage,
            "fine": {**stage, "prompt-weight": 0},
        }
    )
    return train([], low_light, settings, root / "coarse-class-loss")


@pytest.fixture
def run(trained: RunFolder, tmp_path: Path) -> Path:
    """A copy of the training, with an evaluation as a recipe leaves it."""
    shutil.copytree(trained.path, tmp_path / "seed-0" / trained.path.name)
    rows = (
        ResultRow("coarse only", {"niqe_raw": Cell(9.0)}),
        ResultRow(
            "coarse, class loss", {"niqe_raw": Cell(5.25), "acc_bright": Cell(61.5), "params": Cell(0.186)}
        ),
    )
    about: dict[str, str | int] = {
        "data": "low.zarr, 0123456789ab",
        "split": "test",
        "samples": 6,
        "CLIP": "small",
    }
    write_table(ResultTable(rows, ("niqe",), about), tmp_path / "seed-0")
    return tmp_path / "seed-0" / trained.path.name


def test_a_published_training_is_whole_and_loads_again(
    run: Path, low_light: LowLightSet, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    files = publish(read_facts(run, low_light=low_light.path), out, name="night", licence="mit")
    assert sorted(str(path.relative_to(out)) for path in files) == [
        *("README.md", "config.json", "model.safetensors", "pictures/grid.png", "table.json"),
        *("training/coarse.csv", "training/coarse.svg", "training/config.toml", "training/fine.csv"),
        *("training/fine.svg", "training/plan.json"),
    ]
    expected = load_network(run / "network.pth").state_dict()
    for loaded in (load_network(out).state_dict(), load_file(out / "model.safetensors")):
        assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.items())
    config = json.loads((out / "config.json").read_text())
    assert (config["name"], config["bins"], config["padding"], config["stage"]) == (
        "lrn",
        50,
        "zeros",
        "fine",
    )
    assert train_settings(tomllib.loads((out / "training/config.toml").read_text())["train"]).crop == 16


def test_the_card_says_what_it_was_trained_with_and_what_it_reached(
    run: Path, low_light: LowLightSet, tmp_path: Path
) -> None:
    publish(read_facts(run, low_light=low_light.path), tmp_path / "out", name="night", licence="mit")
    shown = ModelCard.load(tmp_path / "out" / "README.md")
    assert (shown.data.license, shown.data.library_name, shown.data.pipeline_tag) == (
        "mit",
        "spikeclip",
        "image-to-image",
    )
    assert {"spike-camera", "low-light", "lrn"} <= set(shown.data.tags)
    results = {item.metric_name: (item.metric_type, item.metric_value) for item in shown.data.eval_results}
    assert results == {"NIQE (raw)": ("niqe", 5.25), "ACC (%) (bright)": ("accuracy", 61.5)}
    for said in (
        f"digest `{low_light.digest[:16]}`",
        "Samples: 12 train, 6 test. Classes: 3 (stripes, checks, disc).",
        "recordings of a folder",
        "Its CLIP is `small`, weights `tiny.pth`",
        "Stage `coarse` learned the TFI picture of each stream.",
        "Stage `fine` learned from the class of each stream, through CLIP.",
        "`fine`: 1 epoch, batch 4, rate 4e-05, lambda 0",
        "| NIQE (raw) | 5.250 |",
        "published under `mit`",
        "pictures/grid.png",
    ):
        assert said in shown.text, said
    assert "No licence was chosen" not in shown.text


def test_the_card_names_all_that_a_network_learned_from(run: Path) -> None:
    facts = read_facts(run)
    coarse, fine = dict(facts.plans["coarse"], target="base"), dict(facts.plans["fine"])
    fine |= {"class_weight": 0.0, "prompt_weight": 1.0, "quality_weight": 2.0, "anchor_weight": 3.0}
    text = card(
        replace(facts, plans={"coarse": coarse | {"start": "a" * 64}, "fine": fine}), "night", "mit", []
    )
    assert "It started from another network (`aaaaaaaaaaaaaaaa`)" in text
    assert "learned the picture that the network `base` of hqgen makes" in text
    assert "prompts that CLIP learned from the HQ store, words of quality, through CLIP, the spikes" in text
    assert "the class of each stream" not in text


def test_no_path_of_the_machine_is_published(run: Path, tmp_path: Path) -> None:
    publish(read_facts(run), tmp_path / "out", name="night", licence="other")
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            assert b"/secret" not in path.read_bytes(), path
            assert str(tmp_path).encode() not in path.read_bytes(), path


def test_a_bare_network_is_published_with_what_is_known(tmp_path: Path) -> None:
    save_network(tmp_path / "lrn.pth", build("lrn", 50, "reflect"), {})
    publish(read_facts(tmp_path / "lrn.pth"), tmp_path / "out", name="lrn", licence="other")
    text = ModelCard.load(tmp_path / "out" / "README.md").text
    for said in (
        "How it was trained is not known",
        "The data that it was trained on is not known",
        "reflect",
    ):
        assert said in text
    assert "No licence was chosen" in text
    assert "There is no evaluation" in text
    assert load_network(tmp_path / "out").padding == "reflect"


def test_publishing_again_replaces_what_was_there(run: Path, tmp_path: Path) -> None:
    publish(read_facts(run), tmp_path / "out", name="night", licence="mit")
    save_network(tmp_path / "lrn.pth", build("lrn", 7), {})
    publish(read_facts(tmp_path / "lrn.pth"), tmp_path / "out", name="night", licence="mit")
    found = {
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert found == {"README.md", "config.json", "model.safetensors"}
    assert load_network(tmp_path / "out").bins == 7


def test_a_folder_of_something_else_is_left_alone(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="holds other files"):
        publish(read_facts(run), tmp_path / "mine", name="night", licence="mit")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_another_low_light_set_and_another_row_are_refused(
    run: Path, tmp_path: Path, low_light: LowLightSet
) -> None:
    plan = json.loads((run / "plan.json").read_text())
    with pytest.raises(UnknownNameError, match="`best`") as caught:
        read_facts(run, table=run.parent / "table.json", row="best")
    assert "coarse, class loss" in caught.value.hint
    save_network(tmp_path / "lrn.pth", build("lrn"), {})
    with pytest.raises(UsageError, match="was not trained on"):
        read_facts(tmp_path / "lrn.pth", low_light=low_light.path)
    plan["fine"]["seed"] = 5
    (run / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(WeightsError, match="is not of a plan"):
        read_facts(run)
    (run / "plan.json").write_text("{")
    with pytest.raises(WeightsError, match="is damaged"):
        read_facts(run)
