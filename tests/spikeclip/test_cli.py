"""The command line as a user sees it."""

from __future__ import annotations

import csv
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spikeclip.clip.files import save_clip
from spikeclip.data.lowlight import LowLightSet
from spikeclip.evaluation.settings import EvaluateCommand
from spikeclip.networks import save_network
from tests.command_line import run as run_program
from tests.spikeclip.small import bright_network, labelled_frames
from tests.spikeclip.tiny_clip import tiny_clip, tiny_config

CONFIG = """
[train]
crop = 32
stages = ["coarse", "fine"]
[train.coarse]
epochs = 1
batch = 4
[train.fine]
epochs = 1
batch = 4
prompt-weight = 0
"""


def run(*arguments: str | Path, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return run_program(*arguments, program="spikeclip", cwd=cwd, env={"OMP_NUM_THREADS": "1", **env})


@pytest.fixture(scope="session")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "tiny.pth"
    save_clip(path, tiny_clip().model, tiny_config(), meta={})
    return path


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "network.pth"
    save_network(path, bright_network(), {})
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "train.toml"
    path.write_text(CONFIG)
    return path


def test_help_needs_neither_torch_nor_dask_nor_zarr() -> None:
    code = "import sys, spikeclip.cli; print({'torch', 'dask', 'zarr', 'numpy', 'numba'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "set()\n"
    started = time.perf_counter()
    assert run("--help").returncode == 0
    assert time.perf_counter() - started < 10  # 0.3 s on an idle machine; this one may be busy


def test_commands_without_a_model_have_help() -> None:
    for command in ("reconstruct", "profile", "export", "publish"):
        assert run(command, "--help").stdout.startswith("Usage:"), command


def test_a_missing_hq_store_is_said_before_a_low_light_set_is_made(tmp_path: Path) -> None:
    shown = run("train", "--spikes", "demo", "--out", tmp_path / "run")
    assert shown.returncode == 2
    assert "stage `prompt` needs an HQ store" in shown.stderr
    assert not (tmp_path / "run" / "low-light.zarr").exists()


def test_a_training_on_a_prepared_set_loads_its_clip_once(
    low_light: LowLightSet, config: Path, clip_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spikeclip.clip.frozen import FrozenClip, load_clip

    loaded = []

    def counted(*arguments: Any) -> FrozenClip:
        loaded.append(arguments)
        return load_clip(*arguments)

    monkeypatch.setattr("spikeclip.training.run.load_clip", counted)
    flags = ("train", "--config", config, "--spikes", low_light.path, "--out", tmp_path / "run")
    assert run(*flags, "--clip-weights", clip_file).returncode == 0
    assert len(loaded) == 1


def test_absent_weights_of_the_published_clip_are_an_error_and_no_fallback(
    low_light: LowLightSet, config: Path, tmp_path: Path
) -> None:
    flags = ("train", "--config", config, "--spikes", low_light.path, "--out", tmp_path / "run")
    shown = run(*flags, HF_HUB_CACHE=str(tmp_path), HOME=str(tmp_path))
    assert shown.returncode == 1
    assert "ViT-B-32" in shown.stderr
    assert "--clip-weights" in shown.stderr
    assert not (tmp_path / "run" / "network.pth").exists()


def test_offline_a_clip_that_is_not_here_is_an_error_without_a_socket(
    low_light: LowLightSet, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    flags = ("--config", config, "--spikes", low_light.path, "--out", tmp_path / "run", "--offline")
    shown = run("train", *flags, HQGEN_OFFLINE="0", HOME=str(tmp_path))
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "and `--offline` forbids to download them" in shown.stderr


def test_unknown_settings_and_flags_are_usage_errors(config: Path, tmp_path: Path) -> None:
    config.write_text("[train]\ncorp = 32\n")
    shown = run("train", "--config", config, "--spikes", "x")
    assert shown.returncode == 2
    assert "did you mean `crop`" in shown.stderr
    assert run("train", "--spikes", "x", "--corp", "3").returncode == 2
    assert run("train").returncode == 2
    assert run("profile", "lrn", "--runs", "0").returncode == 2
    assert run("profile", "lrn", "--height", "0").returncode == 2


def test_training_evaluation_and_reconstruction_follow_each_other(
    low_light: LowLightSet, clip_file: Path, config: Path, tmp_path: Path
) -> None:
    spikes = ("--spikes", low_light.path, "--clip", "small", "--clip-weights", clip_file)
    trained = run("train", "--config", config, *spikes, "--out", tmp_path / "run", "--json")
    assert trained.returncode == 0, trained.stderr
    network = json.loads(trained.stdout)["network"]
    again = run("train", "--config", config, *spikes, "--out", tmp_path / "run")
    assert "stage `fine` is complete" in again.stderr
    table = run(
        *("evaluate", f"mine={network}", *spikes, "--methods", "tfi", "--metrics", "piqe", "--crop", "32"),
        *("--runs", "0", "--json", "--out", tmp_path / "table"),
    )
    assert table.returncode == 0, table.stderr
    assert [row["name"] for row in json.loads(table.stdout)["rows"]] == ["mine", "tfi"]
    assert (tmp_path / "table" / "table.tex").is_file()
    np.savez(tmp_path / "scene.npz", spk=labelled_frames(0, 1))
    made = run("reconstruct", network, tmp_path / "scene.npz", "--out", tmp_path / "pictures")
    assert made.stdout == f"{tmp_path / 'pictures' / 'scene.png'}\n"
    assert "scene.npz`: 200 frames of " in made.stderr


def test_recordings_become_a_low_light_set_and_bad_ones_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "source.toml").write_text('labels = ["stripes", "checks", "disc"]\n')
    for number in range(3):
        np.savez(folder / f"{number}.npz", spk=labelled_frames(number, number), label=number)
    (folder / "bad.npz").write_bytes(b"no archive")
    shown = run("prepare", folder, "--out", tmp_path / "low.zarr", "--json")
    assert shown.returncode == 3, shown.stderr
    assert json.loads(shown.stdout)["samples"] == {"train": 3}
    assert "bad.npz" in shown.stderr


def test_pictures_become_a_low_light_set(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            (tmp_path / "pictures" / split / label).mkdir(parents=True)
            Image.new("L", (16, 16), 90).save(tmp_path / "pictures" / split / label / "0.png")
    shown = run(
        *("simulate", tmp_path / "pictures", "--out", tmp_path / "low.zarr", "--train", "1", "--test", "1"),
        *("--height", "16", "--width", "16", "--frames", "40"),
    )
    assert shown.returncode == 0, shown.stderr
    assert "2 train, 2 test; 2 classes, 40 frames of 16x16" in shown.stdout


def test_a_run_without_any_usable_recording_gives_exit_code_1(network: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    shown = run("reconstruct", network, tmp_path / "bad.npz", "--out", tmp_path / "pictures", "--json")
    assert shown.returncode == 1
    assert json.loads(shown.stdout)[0]["reason"] in shown.stderr


def test_an_export_names_its_file_and_is_reconstructed_from(network: Path, tmp_path: Path) -> None:
    shown = run("export", network, "--out", tmp_path / "new" / "a.safetensors")
    assert (shown.returncode, shown.stdout) == (0, f"{tmp_path / 'new' / 'a.safetensors'}\n")
    np.savez(tmp_path / "scene.npz", spk=labelled_frames(0, 1))
    made = run("reconstruct", tmp_path / "new" / "a.safetensors", tmp_path / "scene.npz", "--out", tmp_path)
    assert made.stdout == f"{tmp_path / 'scene.png'}\n"
    assert run("export", network, "--out", tmp_path / "a.tflite").returncode == 2
    (tmp_path / "a.safetensors").write_bytes((tmp_path / "new" / "a.safetensors").read_bytes()[:5000])
    cut = run("reconstruct", tmp_path / "a.safetensors", tmp_path / "scene.npz", "--out", tmp_path)
    assert (cut.returncode, cut.stdout) == (1, "")
    assert "a.safetensors` is truncated or damaged" in cut.stderr


def test_a_profile_names_what_a_picture_costs() -> None:
    shown = run("profile", "lrn", "tfp", "--height", "32", "--width", "40", "--runs", "2", "--json")
    network, method = json.loads(shown.stdout)
    assert (network["name"], network["parameters"], network["runs"]) == ("lrn", 185889, 2)
    assert (method["name"], method["parameters"]) == ("tfp", 0)
    assert "0.186" in run("profile", "lrn", "--height", "32", "--width", "40", "--runs", "1").stdout


def test_a_small_clip_is_trained_from_the_command_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for index in range(12):
            Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(tmp_path / label / f"{index:02}.png")
    out = tmp_path / "small.pth"
    flags = (
        "clip",
        "train",
        "--pictures",
        tmp_path,
        "--steps",
        "2",
        "--batch",
        "8",
        "--image-size",
        "32",
        "--shapes",
        "1",
    )
    shown = run(*flags, "--out", out)
    assert shown.returncode == 0, shown.stderr
    assert "epoch 1" in shown.stderr
    assert out.is_file()
    assert run(*flags, "--out", out).returncode == 2
    curves = ("--clip-weights", out, "--size", "32", "--out", tmp_path / "responses.csv")
    shown = run("clip", "responses", "--pictures", tmp_path, *curves)
    assert shown.returncode == 0, shown.stderr
    rows = list(csv.DictReader((tmp_path / "responses.csv").read_text().splitlines()))
    assert {row["change"] for row in rows} >= {"gain", "noise", "blur", "contrast", "borders"}
    assert all(0 <= float(row["clear"]) <= 1 for row in rows)
    assert (tmp_path / "responses.svg").read_text().startswith("<svg")


def test_a_recipe_with_a_mistake_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('out = "a"\n[low-light]\n')
    shown = run("run", tmp_path / "recipe.toml")
    assert shown.returncode == 2
    assert "one of spikes and pictures" in shown.stderr


def test_the_table_of_the_demo_has_scores_that_mean_something_there() -> None:
    assert EvaluateCommand(spikes="demo").metrics == ("grain",)
    assert EvaluateCommand(spikes="demo", metrics=("piqe",)).metrics == ("piqe",)
    assert EvaluateCommand(spikes="low.zarr").metrics == ("niqe", "brisque", "piqe")
