from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants, hf_hub_download, snapshot_download
from safetensors.torch import load_file

from hqgen.errors import DownloadError
from spikeclip.networks import load_network, save_network
from tests.command_line import run as run_program
from tests.hub import COMMIT, Hub, serving_hub
from tests.spikeclip.small import bright_network, labelled_frames

# The library warns of its own way to send large files.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<:DeprecationWarning")

ONLINE = {"HQGEN_OFFLINE": "0"}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub of this machine, a cache of its own, and the way of git-lfs for large files."""
    with serving_hub() as served:
        for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
            monkeypatch.setattr(constants, name, str(tmp_path / "cache"), raising=False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        monkeypatch.setenv("HQGEN_OFFLINE", "0")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield served


@pytest.fixture
def network(tmp_path: Path) -> Path:
    save_network(tmp_path / "lrn.pth", bright_network(), {})
    return tmp_path / "lrn.pth"


def publish(network: Path, folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return run_program(
        "publish", network, "--to", folder, *arguments, program="spikeclip", env={**ONLINE, **env}
    )


def test_a_published_network_comes_back_from_the_hub(hub: Hub, network: Path, tmp_path: Path) -> None:
    shown = publish(network, tmp_path / "out", "--upload", "lab/night", "--private", HF_TOKEN=hub.token)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == f"{hub.address}/lab/night/commit/{COMMIT}\n"
    assert set(hub.repositories["lab/night"]) == {"README.md", "config.json", "model.safetensors"}
    assert hub.private == {"lab/night": True}
    assert "# night" in hub.repositories["lab/night"]["README.md"].decode()
    file = hf_hub_download("lab/night", "model.safetensors", endpoint=hub.address)
    folder = snapshot_download("lab/night", endpoint=hub.address)
    expected = load_network(network).state_dict()
    for state in (
        load_file(file),
        load_network(folder).state_dict(),
        load_network("hf://lab/night").state_dict(),
    ):
        assert all(torch.equal(tensor, expected[name]) for name, tensor in state.items())
    np.savez(tmp_path / "scene.npz", spk=labelled_frames(0, 1))
    made = run_program(
        *("reconstruct", f"hf://lab/night@{COMMIT}", tmp_path / "scene.npz", "--out", tmp_path / "pictures"),
        program="spikeclip",
        env=ONLINE,
    )
    assert made.stdout == f"{tmp_path / 'pictures' / 'scene.png'}\n", made.stderr


def test_a_second_upload_is_a_second_commit(hub: Hub, network: Path, tmp_path: Path) -> None:
    for licence in ("other", "mit"):
        arguments = ("--upload", "lab/night", "--license", licence)
        assert publish(network, tmp_path / "out", *arguments, HF_TOKEN=hub.token).returncode == 0
    assert "license: mit" in hub.repositories["lab/night"]["README.md"].decode()


def test_a_wrong_token_is_refused_and_never_shown(hub: Hub, network: Path, tmp_path: Path) -> None:
    shown = publish(network, tmp_path / "out", "--upload", "lab/night", HF_TOKEN="hf_wrongsecret")
    assert shown.returncode == 1
    assert "error: `lab/night` cannot be written: the hub refuses the token (401)" in shown.stderr
    assert "hint: `HF_TOKEN`" in shown.stderr
    assert "hf_wrongsecret" not in shown.stdout + shown.stderr
    assert all(
        b"hf_wrongsecret" not in path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    assert not hub.repositories


def test_without_a_token_nothing_is_written(hub: Hub, network: Path, tmp_path: Path) -> None:
    shown = publish(network, tmp_path / "out", "--upload", "lab/night", HF_TOKEN="")
    assert shown.returncode == 2
    assert "there is no token for the Hugging Face hub" in shown.stderr
    assert not (tmp_path / "out").exists()
    assert not hub.asked


@pytest.mark.parametrize("name", ["night", "a/b/c", "lab/ni ght", "lab/"])
def test_what_is_not_a_repository_is_a_usage_error(
    name: str, hub: Hub, network: Path, tmp_path: Path
) -> None:
    shown = publish(network, tmp_path / "out", "--upload", name, HF_TOKEN=hub.token)
    assert shown.returncode == 2
    assert "is not a repository" in shown.stderr
    assert not (tmp_path / "out").exists()


def test_offline_refuses_an_upload_without_a_socket(
    hub: Hub, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    shown = publish(network, tmp_path / "out", "--upload", "lab/night", "--offline", HF_TOKEN=hub.token)
    assert shown.returncode == 1
    assert "an upload needs the internet, which `--offline` forbids" in shown.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HQGEN_OFFLINE", "1")
        with pytest.raises(DownloadError, match="not in the cache, and `--offline` forbids"):
            load_network("hf://lab/night")
    assert not hub.asked


def test_without_a_network_the_folder_stays_and_the_error_is_plain(
    hub: Hub, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    shown = publish(
        network, tmp_path / "out", "--upload", "lab/night", HF_TOKEN=hub.token, HF_ENDPOINT=address
    )
    assert shown.returncode == 1
    assert "`lab/night` cannot be written: the hub cannot be reached" in shown.stderr
    assert (tmp_path / "out" / "README.md").is_file()
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(DownloadError, match="the hub cannot be reached"):
        load_network("hf://lab/night")


def test_what_the_hub_does_not_have_is_named(hub: Hub) -> None:
    hub.repositories["lab/empty"] = {}
    with pytest.raises(DownloadError, match="there is no such repository, or it is private"):
        load_network("hf://lab/absent")
    with pytest.raises(DownloadError, match="the repository has no such file"):
        load_network("hf://lab/empty")
    with pytest.raises(DownloadError, match="there is no such revision"):
        load_network("hf://lab/empty@v7")


def test_json_names_the_files(network: Path, tmp_path: Path) -> None:
    shown = publish(network, tmp_path / "out", "--json", "--license", "mit")
    found = json.loads(shown.stdout)
    assert found["commit"] is None
    assert [Path(name).name for name in found["files"]] == ["model.safetensors", "config.json", "README.md"]
