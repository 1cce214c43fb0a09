"""Every kind of export, loaded by the library that it is for: as many samples, the same pixels and values."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hqgen.export.run import Exported
from hqgen.manifest import SampleRecord, read_manifest
from hqgen.store import open_store

SPLIT = "train=0.5,val=0.3,test=0.2"

unclosed = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
"""For libraries that never close the files that they read."""


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


@pytest.fixture(scope="session")
def expected(ugly: Path) -> dict[str, tuple[SampleRecord, NDArray[np.uint8]]]:
    """By key: what the manifest says, and the picture in the store."""
    store = open_store(ugly.parent / "hq.zarr")
    return {
        sample.key: (sample, store[source.name].images[row])
        for source in read_manifest(ugly).sources
        for row, sample in enumerate(source.samples)
        if sample.method is not None
    }


def compare(found: list[tuple[str, Any, dict[str, Any]]], exported: Exported, expected: Any) -> None:
    """The split, the picture and the row of each sample are those of the store."""
    assert len(found) == len(expected) == 13
    for split, picture, row in found:
        sample, pixels = expected.pop(row["key"])
        assert (row["method"], row["score"], row["margin"]) == (sample.method, sample.score, sample.margin)
        assert row["scores"] == sample.scores
        assert row["split"] == split
        np.testing.assert_array_equal(np.asarray(picture), pixels)
    for name, number in exported.samples.items():
        assert number == sum(split == name for split, _, _ in found)


def loaded(data: Any) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    for split, rows in data.items():
        for row in rows:
            yield split, row["image"], row


def test_datasets_loads_the_parquet_files(
    export: Callable[..., Exported], expected: Any, tmp_path: Path
) -> None:
    datasets = pytest.importorskip("datasets")
    exported = export("huggingface", split=SPLIT)
    data = datasets.load_dataset(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"))
    assert isinstance(data["train"].features["image"], datasets.Image)
    compare(list(loaded(data)), exported, dict(expected))


@pytest.mark.parametrize("named", [True, False])
def test_datasets_loads_the_image_folder(
    export: Callable[..., Exported], expected: Any, tmp_path: Path, named: bool
) -> None:
    datasets = pytest.importorskip("datasets")
    exported = export("imagefolder", split=SPLIT)
    how = (
        {"path": "imagefolder", "data_dir": str(tmp_path / "set")}
        if named
        else {"path": str(tmp_path / "set")}
    )
    data = datasets.load_dataset(**how, cache_dir=str(tmp_path / "cache"))
    if named:  # `datasets` then does not read the card, and makes `validation` of the folder `val`
        data["val"] = data.pop("validation")
    compare(list(loaded(data)), exported, dict(expected))


def test_torchvision_takes_the_sources_of_an_image_folder_for_classes(
    export: Callable[..., Exported], expected: Any, tmp_path: Path
) -> None:
    from torchvision.datasets import ImageFolder

    export("imagefolder")
    data = ImageFolder(tmp_path / "set/train")
    assert (data.classes, len(data)) == (["one", "two"], len(expected))


@unclosed
def test_webdataset_loads_the_tars(export: Callable[..., Exported], expected: Any, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    exported = export("webdataset", split=SPLIT)
    found = [
        (file.name.split("-")[0], (sample["png"]), sample["json"])
        for file in sorted((tmp_path / "set").glob("*.tar"))
        for sample in webdataset.WebDataset(str(file), shardshuffle=False).decode("l8")
    ]
    compare(found, exported, dict(expected))


@unclosed
def test_sixteen_bits_stay_in_tars_for_pillow_and_in_parquet_files_for_datasets(
    export: Callable[..., Exported], built: Path, tmp_path: Path
) -> None:
    datasets, webdataset = pytest.importorskip("datasets"), pytest.importorskip("webdataset")
    folder, manifest = tmp_path / "set", built / "manifest.json"
    export("webdataset", path=manifest, bits=16)
    tars = webdataset.WebDataset(str(folder / "train-000000.tar"), shardshuffle=False)
    pictures = [np.asarray(Image.open(io.BytesIO(sample["png"]))) for sample in tars]
    export("huggingface", path=manifest, bits=16, existing="overwrite")
    data = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(data) == len(pictures) == 4
    for row, picture in zip(data, pictures, strict=True):
        assert picture.dtype == np.uint16
        assert len(np.unique(picture)) > 10
        np.testing.assert_array_equal(np.asarray(row["image"]), picture)


def test_datasets_loads_the_tars(export: Callable[..., Exported], expected: Any, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    exported = export("webdataset", split=SPLIT)
    data = datasets.load_dataset(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"))
    found = [(split, row["png"], row["json"]) for split, rows in data.items() for row in rows]
    compare(found, exported, dict(expected))


@pytest.mark.parametrize(
    ("kind", "pattern"), [("webdataset", "train-*.tar"), ("huggingface", "data/train-*.parquet")]
)
def test_files_stay_below_the_largest_size(
    export: Callable[..., Exported], tmp_path: Path, kind: str, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hqgen.export import huggingface, writers

    monkeypatch.setattr(huggingface, "ROWS", 2)
    made = writers.writer_of(kind)  # type: ignore[arg-type]
    begin = made.__init__
    monkeypatch.setattr(
        made, "__init__", lambda self, *a, **named: begin(self, *a, **named | {"most_bytes": 50_000})
    )
    export(kind)
    files = sorted((tmp_path / "set").glob(pattern))
    assert len(files) > 2
    assert all(file.stat().st_size <= 65_000 for file in files)


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # by mlcroissant
@pytest.mark.filterwarnings("ignore:Python 3.14 will")  # it unpacks tars without a filter
@pytest.mark.filterwarnings("ignore:The inplace keyword")  # it uses it, and pandas says that this will end
@unclosed
@pytest.mark.parametrize("kind", ["imagefolder", "webdataset", "huggingface"])
def test_mlcroissant_finds_the_description_valid_and_reads_all_records(
    export: Callable[..., Exported], expected: Any, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    unpacking = importlib.import_module("mlcroissant._src.operation_graph.operations.extract")
    monkeypatch.setattr(unpacking, "EXTRACT_PATH", unpacking.epath.Path(tmp_path / "unpacked"))
    export(kind, split=SPLIT)
    data = mlcroissant.Dataset(jsonld=str(tmp_path / "set/croissant.json"))
    assert data.metadata.ctx.is_v1_1()
    assert (data.metadata.issues.errors, data.metadata.issues.warnings) == (set(), set())
    rows = {row["pictures/key"].decode(): row for row in data.records("pictures")}
    assert set(rows) == set(expected)
    for key, (sample, _) in expected.items():
        assert rows[key]["pictures/score"] == pytest.approx(sample.score, rel=1e-12)  # of pandas
    images = data.records("pictures" if kind == "huggingface" else "images")
    sums = sorted(
        int(np.asarray(row[next(c for c in row if c.endswith("/image"))].convert("L")).sum())
        for row in images
    )
    assert sums == sorted(int(pixels.sum()) for _, pixels in expected.values())
