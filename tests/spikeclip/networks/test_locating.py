from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hqgen.download import RemoteFile
from hqgen.errors import DownloadError, UsageError, WeightsError
from spikeclip.networks import build, load_network, save_network
from spikeclip.networks.locating import AUTHORS, located
from tests.web import Web


def test_a_folder_stands_for_the_network_in_it(tmp_path: Path) -> None:
    save_network(tmp_path / "network.pth", build("lrn", 4), {})
    assert located(tmp_path) == tmp_path / "network.pth"
    save_network(tmp_path / "model.safetensors", build("lrn", 6), {})
    assert load_network(tmp_path).bins == 6


def test_a_folder_without_a_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"holds no network: neither `model\.safetensors` nor `network\.pth`"
    ):
        located(tmp_path)


@pytest.mark.parametrize("place", ["hf://", "hf://name", "hf://a/b/c", "hf://a/b@", "hf:///a/b"])
def test_what_is_not_the_name_of_a_repository_is_a_usage_error(place: str) -> None:
    with pytest.raises(UsageError, match="is not a repository"):
        located(place)


@pytest.fixture
def published(server: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Web:
    """The authors' network is on the server of the test, and the folder of weights is empty."""
    save_network(tmp_path / "network.pth", build("lrn", 4), {})
    content = (tmp_path / "network.pth").read_bytes()
    digest = hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()
    address = server.put("/models/LRN_CALTECH.pth", content)
    server.asked.clear()
    monkeypatch.setitem(AUTHORS, "lrn-caltech", RemoteFile(address=address, git_sha1=digest))
    monkeypatch.setenv("HQGEN_WEIGHTS", str(tmp_path / "weights"))
    return server


def test_the_authors_network_is_downloaded_once(
    published: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HQGEN_OFFLINE", "0")
    assert located("lrn-caltech") == tmp_path / "weights" / "LRN_CALTECH.pth"
    assert load_network("lrn-caltech").bins == 4
    assert len(published.asked) == 1


def test_a_wrong_file_is_not_taken_for_the_authors_network(
    published: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HQGEN_OFFLINE", "0")
    published.put("/models/LRN_CALTECH.pth", b"another network")
    with pytest.raises(DownloadError):
        located("lrn-caltech")
    assert not (tmp_path / "weights" / "LRN_CALTECH.pth").exists()


def test_offline_the_authors_network_is_an_error(published: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HQGEN_OFFLINE", "1")
    with pytest.raises(DownloadError, match="must be downloaded, which `--offline` forbids"):
        located("lrn-caltech")
    assert not published.asked


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_network(Path("lrn-caltech"), build("lrn", 6), {})
    assert load_network("lrn-caltech").bins == 6
