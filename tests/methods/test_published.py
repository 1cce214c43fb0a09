"""The catalog of published weights, hqgen's and one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hqgen.checkpoints import load_weights
from hqgen.download import git_sha1
from hqgen.errors import MethodError, UnknownNameError, UsageError
from hqgen.files import sha256_file
from hqgen.methods.learned.network import NetworkMethod
from hqgen.methods.learned.ssir import SSIR
from hqgen.methods.published import PublishedWeights, WeightsCatalog, load_weights_catalog
from hqgen.methods.registry import method_label, parse_method

SHIPPED = load_weights_catalog()


@pytest.mark.parametrize("entry", SHIPPED.weights, ids=lambda entry: f"{entry.method}-{entry.origin}")
def test_an_entry_is_of_a_method_that_takes_its_frames(entry: PublishedWeights) -> None:
    method = parse_method(entry.method)
    assert isinstance(method, NetworkMethod)
    assert method_label(method) == entry.method
    bare = replace(method, warm_up=0) if isinstance(method, SSIR) else method
    assert entry.frames == sum(bare.span) + 1
    if entry.origin == "spike-zoo-0.2.3":  # its trainer divides every output by the rate of the light
        assert entry.brightness == "rate"
    elif entry.origin == "authors":
        assert entry.brightness == method.output


def test_a_file_of_a_repository_is_known_by_its_content_there() -> None:
    for entry in SHIPPED.weights:
        in_repository = entry.address.startswith("https://raw.githubusercontent.com/")
        assert in_repository == (entry.git_sha1 is not None), entry.address


def test_no_address_is_there_twice() -> None:
    addresses = [entry.address for entry in SHIPPED.weights]
    assert len(addresses) == len(set(addresses))


def chosen(*names: str, origin: str | None = None) -> list[tuple[str, str]]:
    return [(entry.method, entry.origin) for entry in SHIPPED.choose(names, origin)[0]]


def test_the_first_entry_of_a_method_is_taken_if_nobody_names_an_origin() -> None:
    assert chosen("ssml", "ssir") == [("ssml", "authors"), ("ssir", "authors")]
    assert chosen("ssml:variant=simple") == [("ssml:variant=simple", "spikecv")]
    assert chosen("ssml", origin="spike-zoo-0.1.0") == [("ssml", "spike-zoo-0.1.0")]


def test_a_name_means_the_variant_that_the_origin_has() -> None:
    assert chosen("bsf", origin="spike-zoo-0.2.3") == [("bsf:frames=41", "spike-zoo-0.2.3")]
    assert chosen("bsf", origin="spike-zoo-0.1.0") == [("bsf", "spike-zoo-0.1.0")]


def test_all_is_one_file_per_method_and_variant_and_the_rest_by_hand() -> None:
    files, by_hand = SHIPPED.choose(["all"])
    labels = [entry.method for entry in files]
    assert len(labels) == len(set(labels)) == 10
    assert [entry.method for entry in by_hand] == ["spikeformer", "rsir"]
    files, by_hand = SHIPPED.choose(["all"], "authors")
    assert {entry.origin for entry in files} == {"authors"}
    assert {"wgse", "spk2imgnet"} <= {entry.method for entry in by_hand}


def test_what_cannot_be_chosen_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match="no method is named") as none:
        SHIPPED.choose([])
    assert "or `all`" in none.value.hint
    with pytest.raises(UnknownNameError, match="unknown origin `zoo`"):
        SHIPPED.choose(["all"], "zoo")
    with pytest.raises(UnknownNameError, match="unknown method in the catalog of weights `tfp`"):
        SHIPPED.choose(["tfp"])
    with pytest.raises(MethodError, match=r"`wgse` cannot be fetched by a program: .*pickled"):
        SHIPPED.choose(["wgse"], "authors")


def test_a_catalog_of_ones_own_is_a_file_or_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text("weights = []\n")
    empty = WeightsCatalog(weights=())
    assert load_weights_catalog(tmp_path / "mine.toml") == empty
    monkeypatch.setenv("HQGEN_WEIGHTS_CATALOG", str(tmp_path / "mine.toml"))
    assert load_weights_catalog() == empty


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "`weights` in `.*` is missing"),
        ("weights = [{}]", "is missing"),
        ("x = 1\nweights = []", "there is no such setting"),
        ("weights = 1", "must be a valid tuple"),
    ],
)
def test_a_wrong_catalog_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        load_weights_catalog(tmp_path / "mine.toml")
    with pytest.raises(UsageError, match="cannot read the catalog of weights"):
        load_weights_catalog(tmp_path / "none.toml")


@pytest.mark.real
def test_size_and_digests_are_those_of_the_published_files_that_are_here(shared: Path) -> None:
    files = {sha256_file(path): path for path in (shared / "weights").glob("*.pth*")}
    known = [entry for entry in SHIPPED.weights if entry.sha256 is not None]
    assert {entry.method for entry in known} == {"ssml:variant=simple", "ssir", "scflow"}
    for entry in known:
        file = files[str(entry.sha256)]
        assert (entry.size, entry.git_sha1) == (file.stat().st_size, git_sha1(file))
        method = parse_method(entry.method)
        assert isinstance(method, NetworkMethod)
        load_weights(method.network(), file)
