"""Recipes only combine parts that are there."""

from __future__ import annotations

import csv
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import cycle
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import tomli_w
import torch
from safetensors.torch import save_file

import hqgen
from hqgen.config import MANIFESTS
from hqgen.download import PIECE
from hqgen.methods.registry import method_label, parse_method
from hqgen.sources import catalog
from hqgen.sources.catalog import load_catalog
from hqgen.spikes.recording import write_dat
from tests.builder.small import HEIGHT, WIDTH, stream
from tests.command_line import run
from tests.methods.golden import CONTAINERS, load_golden
from tests.methods.learned.networks import NETWORKS
from tests.spikeclip.tiny_clip import place_in_cache, tiny_clip, tiny_config
from tests.web import Fault, Web

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


@dataclass(frozen=True)
class Published:
    """What the server of a test publishes.

    Attributes:
        web: the server.
        env: lets commands find the catalog of its weights, and a folder for them.
    """

    web: Web
    env: dict[str, str]


@pytest.fixture
def published(server: Web, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """Every network's weights, filled by the formula where its golden is, in one published container each."""
    rows = []
    for (name, case), container in zip(NETWORKS.items(), cycle(CONTAINERS.values()), strict=False):
        golden = load_golden(shared, case.golden) if case.golden and case.picture else None
        network = case.fresh() if golden is None else case.filled(golden)
        data = BytesIO()
        torch.save(container(network.state_dict()), data)
        row = {
            "method": method_label(case.method),
            "from": "authors",
            "address": server.put(f"/{name}.pth", data.getvalue()),
            "frames": case.frames,
            "brightness": case.method.output,
            "licence": "none stated",
        }
        rows.append(row)
    (tmp_path / "catalog.toml").write_text(tomli_w.dumps({"weights": rows}))
    monkeypatch.setattr("hqgen.download.PAUSES", (0.0, 0.0))
    places = {"HQGEN_WEIGHTS": "weights", "HQGEN_WEIGHTS_CATALOG": "catalog.toml"}
    return Published(server, {name: str(tmp_path / place) for name, place in places.items()})


NORMAL_LIGHT = {
    "spike-reds/train/spike/000_part1_key_id21.dat": 41,
    "recvidar2019/classA/ballon.dat": 50,
    "motvidar2020/spike59/spikes.dat": 50,
    "momvidar2021/Apple_1.dat": 50,
}
"""A recording of each dataset of the paper, by its published name, and its frames."""


def write_normal_light(data: Path, geometry: tuple[int, int]) -> None:
    for seed, (name, frames) in enumerate(NORMAL_LIGHT.items()):
        path = data / name
        path.parent.mkdir(parents=True)
        write_dat(path, stream(seed, frames, geometry))


def write_u_caltech(data: Path, numbers: Mapping[int, int]) -> None:
    """Low-light streams with the published names, arrays and sizes, by number and with their label."""
    for number, label in numbers.items():
        path = data / "u-caltech" / f"{number}.npz"
        path.parent.mkdir(exist_ok=True, parents=True)
        rows, columns = np.mgrid[:250, :250]
        rate = 0.03 + 0.02 * np.sin(rows / (5 + label)) * np.cos(columns / 7)
        spikes = np.random.default_rng(number).random((200, 250, 250)) < rate
        np.savez_compressed(path, spk=spikes.astype(np.uint8), label=label)


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One small recording of each dataset of the paper, in the layout in which it is published."""
    write_normal_light(tmp_path / "data", (HEIGHT, WIDTH))
    (tmp_path / "manifests").mkdir()
    for path in MANIFESTS.glob("*.toml"):
        text = path.read_text().replace("geometry = [250, 400]", f"geometry = [{HEIGHT}, {WIDTH}]")
        (tmp_path / "manifests" / path.name).write_text(text)
    monkeypatch.setattr(catalog, "MANIFESTS", tmp_path / "manifests")
    load_catalog.cache_clear()
    yield tmp_path / "data"
    load_catalog.cache_clear()


@pytest.mark.real
@pytest.mark.slow
def test_the_papers_ensemble_runs_from_fetched_weights(
    published: Published, datasets: Path, tmp_path: Path
) -> None:
    web, offline = published.web, published.env
    env = offline | {"HQGEN_OFFLINE": "0"}
    web.faults["/wgse.pth"] = [Fault(cut=64 * PIECE), Fault(status=503), Fault(status=503)]
    first = run("weights", "fetch", "all", "--json", env=env)
    assert first.returncode == 1
    assert [row["method"] for row in json.loads(first.stdout) if row["problem"]] == ["wgse"]
    web.asked.clear()
    second = run("weights", "fetch", "all", env=env)
    assert second.returncode == 0, second.stderr
    assert web.asked == [("/wgse.pth", f"bytes={64 * PIECE}-")]

    rows = json.loads(run("methods", "--json", env=offline).stdout)
    # `bsn` has no published weights: it is trained on one's own recordings. The server has no flow network.
    assert [row["name"] for row in rows if not row["available"]] == ["bsn", "scflow"]
    assert {"ssml:variant=simple", "bsf:frames=41", "stir:frames=41"} <= {row["name"] for row in rows}

    flags: list[str | Path] = ["--data-root", datasets, "--out", tmp_path / "hq", "--scheduler", "sync"]
    built = run("build", "--config", PIPELINES / "paper-hq.toml", *flags, env=offline)
    assert built.returncode == 0, built.stderr
    store = hqgen.open_store(tmp_path / "hq" / "hq.zarr")
    paper = ("tfp", "tfi", "spk2imgnet", "ssml", "wgse")
    expected = dict.fromkeys(("momvidar2021", "motvidar2020", "recvidar2019"), paper) | {"reds": ("wgse",)}
    assert {name: store[name].methods for name in store.sources} == expected
    for name in store.sources:
        assert np.isfinite(store[name].scores).all(), name
        assert store[name].valid.all()


@pytest.fixture
def openai(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ViT-B-32` is a tiny CLIP, and its weights are in the cache where those of the tag `openai` belong."""
    from open_clip import factory

    monkeypatch.setitem(factory._MODEL_CONFIGS, "ViT-B-32", tiny_config())
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    weights = tiny_clip().model.state_dict()
    place = place_in_cache(
        tmp_path / "hub", "timm/vit_base_patch32_clip_224.openai", "open_clip_model.safetensors"
    )
    save_file({name: tensor.clone() for name, tensor in weights.items()}, place)


@pytest.mark.real
@pytest.mark.rehearsal
def test_the_papers_training_goes_from_published_files_to_its_table(
    published: Published, openai: None, tmp_path: Path
) -> None:
    """The recipe with one epoch a stage and no timings, on few files of the published names, sizes, forms."""
    write_normal_light(tmp_path / "data", (250, 400))
    numbers = (*range(16), 4998, 4999, 5000, 5999)  # from 5000 on they are test samples
    write_u_caltech(tmp_path / "data", {number: number % 2 for number in numbers})
    text = re.sub("epochs = .*", "epochs = 1", (PIPELINES / "u-caltech.toml").read_text())
    (tmp_path / "u-caltech.toml").write_text(f"{text}\n[evaluate]\nruns = 0\n")

    online = published.env | {"HQGEN_OFFLINE": "0"}
    fetched = run("weights", "fetch", "spk2imgnet", "ssml", "wgse", env=online)
    assert fetched.returncode == 0, fetched.stderr
    arguments = ("run", "u-caltech.toml", "--scheduler", "sync")
    done = run(*arguments, program="spikeclip", env=published.env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "u-caltech"
    assert {row["method"] for row in csv.DictReader((out / "table.csv").open())} >= {"network", "ssml", "tfi"}
    assert (out / "pictures.png").is_file()
    again = run(*arguments, program="spikeclip", env=published.env, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, done.stdout)
