"""Files of datasets, from a server on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from hqgen.download import git_sha1
from hqgen.errors import DownloadError, SourceError, UnknownNameError
from hqgen.sources import catalog
from hqgen.sources.catalog import Offer, load_catalog
from hqgen.sources.fetching import fetch_source
from tests.command_line import run
from tests.web import Web

OFFERS = [(name, offer) for name, entry in load_catalog().items() for offer in entry.fetch]
CONTENT = b"spikes" * 1000


@pytest.fixture
def web(server: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server with two files, and a catalog of the dataset `mine` that offers them."""
    server.files, server.asked = {}, []
    base = server.put("/repo/", b"")
    server.put("/repo/a.dat", CONTENT)
    server.put("/repo/deep/b.dat", CONTENT[::-1])
    (tmp_path / "a").write_bytes(CONTENT)
    (tmp_path / "b").write_bytes(CONTENT[::-1])
    size = len(CONTENT)
    files = [
        {"path": "x/a.dat", "at": "a.dat", "size": size, "git_sha1": git_sha1(tmp_path / "a")},
        {"path": "deep/b.dat", "size": size, "git_sha1": git_sha1(tmp_path / "b")},
    ]
    offer = {"what": "two of nine", "licence": "CC0", "base": base, "files": files}
    facts = {"title": "Mine", "citation": "me", "licence": "CC0", "obtain": "Ask me.", "folder": "mine"}
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "mine.toml").write_text(tomli_w.dumps(facts | {"fetch": [offer]}))
    (tmp_path / "manifests" / "other.toml").write_text(tomli_w.dumps(facts))
    monkeypatch.setattr(catalog, "MANIFESTS", tmp_path / "manifests")
    monkeypatch.setenv("HQGEN_OFFLINE", "0")
    load_catalog.cache_clear()
    yield server
    load_catalog.cache_clear()


def test_files_go_to_their_places_and_only_missing_ones_are_downloaded(web: Web, tmp_path: Path) -> None:
    found = fetch_source("mine", tmp_path)
    assert [(str(file.path.relative_to(tmp_path)), file.downloaded) for file in found] == [
        ("mine/x/a.dat", True),
        ("mine/deep/b.dat", True),
    ]
    assert (tmp_path / "mine" / "x" / "a.dat").read_bytes() == CONTENT
    (tmp_path / "mine" / "deep" / "b.dat").unlink()
    web.asked.clear()
    assert [file.downloaded for file in fetch_source("mine", tmp_path)] == [False, True]
    assert [path for path, _ in web.asked] == ["/repo/deep/b.dat"]


def test_another_file_in_the_place_of_one_is_left_alone(web: Web, tmp_path: Path) -> None:
    (tmp_path / "mine" / "x").mkdir(parents=True)
    (tmp_path / "mine" / "x" / "a.dat").write_text("mine")
    with pytest.raises(SourceError, match=r"a\.dat` is another file than the published one"):
        fetch_source("mine", tmp_path)
    assert (tmp_path / "mine" / "x" / "a.dat").read_text() == "mine"


def test_a_changed_file_is_refused(web: Web, tmp_path: Path) -> None:
    web.files["/repo/a.dat"] = CONTENT[:-1] + b"x"
    with pytest.raises(DownloadError, match="its git_sha1 is"):
        fetch_source("mine", tmp_path)


def test_what_cannot_be_fetched_is_one_error_with_how_to_get_it(web: Web, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="source `other`: no program can fetch its files") as caught:
        fetch_source("other", tmp_path)
    assert caught.value.hint == "Ask me."
    with pytest.raises(UnknownNameError, match="unknown dataset `thing`"):
        fetch_source("thing", tmp_path)


def test_the_command_fetches_shows_the_licence_first_and_is_named_by_the_list(
    web: Web, tmp_path: Path
) -> None:
    root = ("--data-root", tmp_path)
    assert "`hqgen sources fetch mine` gets two of nine." in run("sources", *root).stdout
    refused = run("sources", "fetch", "mine", "--offline", *root)
    assert refused.returncode == 1
    assert "must be downloaded, which `--offline` forbids" in refused.stderr
    done = run("sources", "fetch", "mine", *root, env={"HQGEN_OFFLINE": "0"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(tmp_path / "mine" / name) for name in ("x/a.dat", "deep/b.dat")]
    assert done.stderr.startswith("mine: two of nine; licence: CC0\n")
    assert "mine: the rest is got by hand. Ask me." in done.stderr
    again = json.loads(run("sources", "fetch", "mine", "--json", *root).stdout)
    assert [row["downloaded"] for row in again] == [False, False]
    for listed in (("sources", "--json"), ("sources", "list", "--json")):
        assert {row["name"] for row in json.loads(run(*listed, *root).stdout)} == {"mine", "other"}


@pytest.mark.parametrize(("name", "offer"), OFFERS, ids=lambda value: value if isinstance(value, str) else "")
def test_an_offer_of_the_catalog_has_addresses_at_a_fixed_commit(name: str, offer: Offer) -> None:
    commit = offer.base.split("/")[5]
    assert len(commit) == 40
    assert len({file.path for file in offer.files}) == len(offer.files)
    for file in offer.files:
        assert offer.remote(file).has_digest


@pytest.mark.real
def test_the_digests_of_the_catalog_are_those_of_the_recordings(data_root: Path) -> None:
    known = {git_sha1(path) for path in data_root.rglob("*") if path.suffix in {".dat", ".npz", ".png"}}
    offered = {file.git_sha1 for _, offer in OFFERS for file in offer.files}
    assert offered <= known
