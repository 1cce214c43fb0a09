"""Published weights from a server on this machine: fetched, registered, pinned, refused."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
import tomli_w
import torch
from torch import nn

from hqgen.download import PAUSES, PIECE
from hqgen.errors import DownloadError, MethodError
from hqgen.methods.fetching import PARTS, PINS, Fetched, fetch_weights
from hqgen.methods.learned.base import Base
from hqgen.methods.published import PublishedWeights
from hqgen.methods.weights import list_weights
from hqgen.progress import Observer
from tests.command_line import run
from tests.web import Fault, Web

METHOD = "base:size=small"


class Notes(Observer):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def web(server: Web, monkeypatch: pytest.MonkeyPatch) -> Web:
    monkeypatch.setenv("HQGEN_OFFLINE", "0")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("hqgen.download.PAUSES", (0.0,) * len(PAUSES))
    server.files, server.faults, server.asked = {}, {}, []
    return server


@pytest.fixture(scope="module")
def content() -> bytes:
    """A checkpoint of the small `base`."""
    torch.manual_seed(0)
    return saved(Base(size="small").network().state_dict())


def saved(what: object) -> bytes:
    data = BytesIO()
    torch.save(what, data)
    return data.getvalue()


@pytest.fixture
def publish(web: Web) -> Callable[..., PublishedWeights]:
    def publish(
        content: bytes, *faults: Fault, path: str = "/v1/small.pth", **known: object
    ) -> PublishedWeights:
        address = web.put(path, content, *faults)
        facts = {"method": METHOD, "from": "us", "frames": 41, "brightness": "rate", "licence": "CC0"}
        return PublishedWeights.model_validate(facts | {"address": address} | known)

    return publish


def fetch(published: PublishedWeights, keep: bool = True) -> tuple[Fetched, list[str]]:
    notes = Notes()
    (found,) = fetch_weights([published], observer=notes, keep=keep)
    return found, notes.lines


def entry() -> dict[str, object]:
    """The registered weights of the user; what ships has another source."""
    (found,) = (item for item in list_weights() if item.name == "base-small")
    return {"sha256": found.sha256, "source": found.source, "licence": found.licence, "file": found.file}


def test_a_file_is_registered_with_what_the_catalog_says_and_the_licence_is_shown_first(
    publish: Callable[..., PublishedWeights], content: bytes, weights_home: Path
) -> None:
    published = publish(content, sha256=hashlib.sha256(content).hexdigest())
    found, notes = fetch(published)
    assert (found.problem, found.downloaded, found.sha256) == (None, True, published.sha256)
    assert entry() == {
        "sha256": published.sha256,
        "source": published.address,
        "licence": "CC0",
        "file": found.file,
    }
    assert notes == [
        f"published weights go to `{weights_home}`; their licences:",
        "  CC0: base:size=small (us)",
    ]
    assert [path.name for path in (weights_home / PARTS).iterdir()] == ["lock"]


def test_what_is_there_already_opens_no_socket(
    publish: Callable[..., PublishedWeights], content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = publish(content)
    fetch(published)

    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("HQGEN_OFFLINE", "1")
    for keep in (True, False):
        found, notes = fetch(published, keep=keep)
        assert (found.problem, found.downloaded, notes) == (None, False, [])
    with pytest.raises(DownloadError, match=r"1 file of weights must be downloaded, which `--offline`"):
        fetch(publish(content, path="/other.pth"), keep=False)


def test_weights_of_somebody_else_are_kept_unless_an_origin_is_named(
    publish: Callable[..., PublishedWeights], content: bytes
) -> None:
    first, second = publish(content), publish(content, path="/v2/small.pth")
    fetch(first)
    kept = fetch(second)[0]
    assert (kept.downloaded, kept.origin, kept.address) == (False, "", first.address)
    assert fetch(second, keep=False)[0].downloaded is True
    assert entry()["source"] == second.address


def test_damaged_weights_are_fetched_again(publish: Callable[..., PublishedWeights], content: bytes) -> None:
    published = publish(content)
    file = fetch(published)[0].file
    assert file is not None
    file.write_bytes(b"")
    assert fetch(published)[0].downloaded is True
    assert file.read_bytes() == content


def test_a_digest_that_nobody_published_is_kept_and_held_against_the_next_download(
    publish: Callable[..., PublishedWeights], content: bytes, weights_home: Path
) -> None:
    published = publish(content)
    digest = hashlib.sha256(content).hexdigest()
    found, notes = fetch(published)
    assert notes[-1] == f"base:size=small: no digest is published, so the one of today is kept: {digest}"
    assert json.loads((weights_home / PINS).read_text()) == {published.address: digest}
    assert found.file is not None
    found.file.unlink()
    other = saved(Base(size="small").network().state_dict())
    changed, _ = fetch(publish(other))
    assert "has changed since its first download" in (changed.problem or "")
    assert digest in (changed.problem or "")
    assert f"remove its line from `{weights_home / PINS}`" in (changed.problem or "")
    again, notes = fetch(publish(content))
    assert again.problem is None
    assert "no digest" not in notes[-1]


@pytest.mark.parametrize("text", ["{", "3", "[1]"])
def test_damaged_pins_are_named(
    publish: Callable[..., PublishedWeights], content: bytes, weights_home: Path, text: str
) -> None:
    weights_home.mkdir()
    (weights_home / PINS).write_text(text)
    assert "cannot read `" in (fetch(publish(content))[0].problem or "")


def test_an_interrupted_download_goes_on_in_the_next_call(
    publish: Callable[..., PublishedWeights], content: bytes, web: Web
) -> None:
    faults = [Fault(cut=4 * PIECE), *[Fault(status=503)] * len(PAUSES)]
    found, _ = fetch(publish(content, *faults))
    assert "the server answers 503" in (found.problem or "")
    web.asked.clear()
    assert fetch(publish(content))[0].problem is None
    assert [part for _, part in web.asked] == [f"bytes={4 * PIECE}-"]


def pickled() -> bytes:
    return saved(nn.Conv2d(1, 1, 1))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (pickled, "holds a pickled `torch.nn"),
        (lambda: saved(nn.Conv2d(1, 1, 1).state_dict()), "does not fit the network"),
        (lambda: b"<html><p>Sign in</p>", "answers with a web page"),
        (lambda: b"not weights", "is not a PyTorch checkpoint"),
    ],
)
def test_what_is_no_safe_checkpoint_of_the_method_is_neither_registered_nor_pinned(
    publish: Callable[..., PublishedWeights], weights_home: Path, make: Callable[[], bytes], said: str
) -> None:
    found, _ = fetch(publish(make()))
    assert said in (found.problem or "")
    assert found.file is None
    assert not (weights_home / PINS).exists()
    assert "MIT" in str(entry()["licence"])  # the shipped ones


def test_one_failure_stops_no_other(
    publish: Callable[..., PublishedWeights], content: bytes, web: Web
) -> None:
    gone = publish(content, path="/gone.pth", method="base")
    del web.files["/gone.pth"]
    failed, found = fetch_weights([gone, publish(content)])
    assert "answers 404" in (failed.problem or "")
    assert found.problem is None


def test_a_catalog_with_weights_for_a_method_without_a_network_is_an_error(
    publish: Callable[..., PublishedWeights], content: bytes
) -> None:
    with pytest.raises(MethodError, match="`tfp` of the catalog takes no weights"):
        fetch(publish(content, method="tfp"))


def catalog(folder: Path, *published: PublishedWeights) -> Path:
    """A catalog file, with weights that nobody can fetch."""
    rows = [entry.model_dump(by_alias=True, exclude_none=True) for entry in published]
    by_hand = [{"method": "rsir", "from": "authors", "how": "ask the authors"}]
    (folder / "mine.toml").write_text(tomli_w.dumps({"weights": rows, "by_hand": by_hand}))
    return folder / "mine.toml"


def test_the_command_fetches_from_a_catalog_of_ones_own(
    publish: Callable[..., PublishedWeights], content: bytes, tmp_path: Path, weights_home: Path
) -> None:
    mine = catalog(
        tmp_path, publish(content), publish(b"-", Fault(status=404), path="/no.pth", method="ssir")
    )
    where = {"HQGEN_WEIGHTS": str(weights_home), "HQGEN_WEIGHTS_CATALOG": str(mine), "HQGEN_OFFLINE": "0"}
    done = run("weights", "fetch", "all", "--json", env=where)
    small, ssir = json.loads(done.stdout)
    assert (done.returncode, small["problem"], small["downloaded"]) == (1, None, True)
    assert Path(small["file"]).is_file()
    assert "answers 404" in ssir["problem"]
    assert done.stderr.index("  CC0: base:size=small (us), ssir (us)") < done.stderr.index(
        "downloading small.pth"
    )
    assert "rsir can only be got by hand: ask the authors" in done.stderr
    assert "ssir: cannot download" in done.stderr
    again = run("weights", "fetch", METHOD, "--offline", env=where)
    assert (again.returncode, again.stderr) == (0, "")
    assert "ready before" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "no method is named"),
        (["tfp"], 2, "unknown method in the catalog of weights `tfp`"),
        (["all", "--from", "them"], 2, "unknown origin `them`"),
        (["rsir"], 1, "ask the authors"),
        ([METHOD, "--offline"], 1, "1 file of weights must be downloaded, which `--offline` forbids"),
    ],
)
def test_what_the_command_cannot_do_is_one_error(
    publish: Callable[..., PublishedWeights],
    content: bytes,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    mine = catalog(tmp_path, publish(content))
    done = run("weights", "fetch", *arguments, "--catalog", mine, "--weights-dir", tmp_path / "w")
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "hint:" in done.stderr
