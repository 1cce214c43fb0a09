from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from hqgen.errors import StoreError, UnknownNameError
from hqgen.manifest import MethodSpec, Plan, RecordingSpec, SampleRecord, SampleSpec, ShardRecord, SourceSpec
from hqgen.store import StoreWriter, candidates_of, digest_images, open_store
from tests.builder.small import without_names

H, W = 5, 7


def plan_of(counts: dict[str, int], shard_size: int = 4, methods: tuple[str, ...] = ("a", "b")) -> Plan:
    return Plan(
        shard_size=shard_size,
        scorer={"name": "none"},
        normalisation={"name": "none"},
        ends={"name": "mirror"},
        judges=({"name": "consistency"},),
        rule={"name": "none"},
        keep_candidates=True,
        sources=tuple(
            SourceSpec(
                name=name,
                height=H,
                width=W,
                methods=tuple(
                    MethodSpec(name=method, rank=rank, version=1, leg="cpu", parameters={})
                    for rank, method in enumerate(methods)
                ),
                recordings=(RecordingSpec(path="r.dat", size=1, blake3="0", frames=1),),
                samples=tuple(SampleSpec(key=f"{name}/{n}", recording=0, centre=n) for n in range(count)),
            )
            for name, count in counts.items()
        ),
    )


def images_of(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, H, W), dtype=np.uint8)


def written(path: Path, plan: Plan) -> tuple[StoreWriter, dict[str, np.ndarray]]:
    """A finished store with random images; sample 1 of every source has no picture."""
    writer = StoreWriter(path)
    writer.create(plan)
    records, images = [], {}
    for source in plan.sources:
        images[source.name] = images_of(len(source.samples))
        for shard in source.shards(plan.shard_size):
            start = shard * plan.shard_size
            part = images[source.name][start : start + plan.shard_size]
            for method in source.methods:
                writer.write_shard(source.name, start, part // 2, candidates_of(method.name))
            writer.write_shard(source.name, start, part)
            samples = tuple(
                SampleRecord(
                    key=spec.key,
                    method=None if row == 1 else "b",
                    margin=None if row in (1, 2) else 0.5,
                    scores={"a": None if row in (1, 2) else 4.5, "b": None if row == 1 else 4.0},
                    judges={"consistency": {"a": None if row in (1, 2) else 1.5, "b": 2.0}},
                )
                for row, spec in enumerate(source.samples[start : start + plan.shard_size], start)
            )
            records.append(
                ShardRecord(
                    plan=plan.part(source.name).id,
                    source=source.name,
                    shard=shard,
                    images_blake3=digest_images(part),
                    samples=samples,
                )
            )
    writer.finish(plan, iter(records))
    return writer, images


def test_a_finished_store_gives_back_what_was_written(tmp_path: Path) -> None:
    plan = plan_of({"one": 10, "two": 3})
    _, images = written(tmp_path / "hq.zarr", plan)
    store = open_store(tmp_path / "hq.zarr")
    assert store.sources == ("one", "two")
    assert len(store) == 13
    assert store.plan_id == plan.id
    one = store["one"]
    assert (len(one), one.methods, one.shard_size) == (10, ("a", "b"), 4)
    np.testing.assert_array_equal(one.images[:], images["one"])
    np.testing.assert_array_equal(one.images[7], images["one"][7])
    assert one.keys == [f"one/{n}" for n in range(10)]
    assert one.valid.tolist() == [True, False] + [True] * 8
    assert one.method.tolist() == [1, -1] + [1] * 8
    assert one.scores.dtype == np.float32
    np.testing.assert_array_equal(one.scores[:3], np.array([[4.5, 4], [np.nan, np.nan], [np.nan, 4]]))
    np.testing.assert_array_equal(one.margin[:4], np.array([0.5, np.nan, np.inf, 0.5]))
    assert set(one.candidates) == {"a", "b"}
    np.testing.assert_array_equal(one.candidates["b"][7], images["one"][7] // 2)
    assert set(one.judges) == {"consistency"}
    assert one.judges["consistency"].dtype == np.float32
    np.testing.assert_array_equal(one.judges["consistency"][:2], np.array([[1.5, 2], [np.nan, 2]]))


def test_a_store_of_winners_only_has_no_candidates(tmp_path: Path) -> None:
    plan = plan_of({"one": 4}).model_copy(update={"keep_candidates": False, "judges": ()})
    writer = StoreWriter(tmp_path / "hq.zarr")
    writer.create(plan)
    assert not (tmp_path / "hq.zarr" / "one" / "candidates").exists()
    sample = SampleRecord(key="k", method=None, margin=None, scores={"a": None, "b": None})
    record = ShardRecord(plan="", source="one", shard=0, images_blake3="", samples=(sample,) * 4)
    writer.finish(plan, iter([record]))
    one = open_store(tmp_path / "hq.zarr")["one"]
    assert (one.candidates, one.judges) == ({}, {})


def test_shards_are_read_in_order_and_whole(tmp_path: Path) -> None:
    _, images = written(tmp_path / "hq.zarr", plan_of({"one": 10}))
    shards = list(open_store(tmp_path / "hq.zarr")["one"].shards())
    assert [start for start, _ in shards] == [0, 4, 8]
    np.testing.assert_array_equal(np.concatenate([part for _, part in shards]), images["one"])


def test_the_layout_is_the_one_that_others_read(tmp_path: Path) -> None:
    written(tmp_path / "hq.zarr", plan_of({"one": 10}))
    group = zarr.open_group(tmp_path / "hq.zarr", mode="r")["one"]
    assert isinstance(group, zarr.Group)
    images = group["images"]
    assert isinstance(images, zarr.Array)
    candidates = group["candidates/a"]
    assert isinstance(candidates, zarr.Array)
    for array in (images, candidates):
        assert (array.chunks, array.shards) == ((1, H, W), (4, H, W))
    assert images.metadata.zarr_format == 3
    assert {name: str(array.dtype) for name, array in group.arrays() if name != "keys"} == {
        "images": "uint8",
        "scores": "float32",
        "method": "int8",
        "margin": "float32",
        "valid": "bool",
    }


def test_the_axes_have_names(tmp_path: Path) -> None:
    written(tmp_path / "hq.zarr", plan_of({"one": 10}))
    group = zarr.open_group(tmp_path / "hq.zarr/one", mode="r")
    arrays = dict(group.members(max_depth=None))
    names = {
        name: item.metadata.to_dict()["dimension_names"]
        for name, item in arrays.items()
        if isinstance(item, zarr.Array)
    }
    pictures, table = ("sample", "y", "x"), ("sample", "candidate")
    assert names == {
        **dict.fromkeys(("images", "candidates/a", "candidates/b"), pictures),
        **dict.fromkeys(("scores", "judges/consistency"), table),
        **dict.fromkeys(("keys", "valid", "method", "margin"), ("sample",)),
    }


def test_a_store_without_names_can_be_read_and_gets_them_from_the_next_build(tmp_path: Path) -> None:
    plan = plan_of({"one": 10})
    writer, images = written(tmp_path / "hq.zarr", plan)
    named = {file: file.read_bytes() for file in writer.path.rglob("zarr.json")}
    without_names(writer.path)
    assert any(file.read_bytes() != content for file, content in named.items())
    one = open_store(writer.path)["one"]
    np.testing.assert_array_equal(one.images[:], images["one"])
    assert one.keys[9] == "one/9"

    writer.create(plan)
    np.testing.assert_array_equal(writer.read_shard("one", 0, 4), images["one"][:4])
    pictures = [file for file in named if file.parent.name in ("images", "a", "b")]
    assert len(pictures) == 3
    assert all(file.read_bytes() == named[file] for file in pictures)


def test_xarray_opens_a_source(tmp_path: Path) -> None:
    import xarray

    _, images = written(tmp_path / "hq.zarr", plan_of({"one": 10}))
    with xarray.open_zarr(tmp_path / "hq.zarr", group="one", consolidated=False) as one:
        assert dict(one.sizes) == {"sample": 10, "y": H, "x": W, "candidate": 2}
        np.testing.assert_array_equal(one["images"].values, images["one"])
        np.testing.assert_array_equal(
            one["images"].isel(sample=7, y=slice(1, 3)).values, images["one"][7, 1:3]
        )
        assert one["keys"].values[9] == "one/9"
        best = one["scores"].min("candidate")
        np.testing.assert_array_equal(best.values[:3], np.array([4, np.nan, 4], np.float32))
    with xarray.open_zarr(tmp_path / "hq.zarr", group="one/candidates", consolidated=False) as candidates:
        np.testing.assert_array_equal(candidates["a"].values, images["one"] // 2)


def test_a_viewer_gets_the_pictures_with_their_axes_through_dask(tmp_path: Path) -> None:
    """What napari's reader of Zarr does: a lazy array by the folder of the array."""
    import dask.array

    _, images = written(tmp_path / "hq.zarr", plan_of({"one": 10}))
    stack = dask.array.from_zarr(tmp_path / "hq.zarr/one/images")
    assert stack.shape == (10, H, W)
    np.testing.assert_array_equal(stack[7].compute(scheduler="sync"), images["one"][7])


def test_black_images_are_stored_like_any_other(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "hq.zarr")
    writer.create(plan_of({"one": 4}))
    writer.write_shard("one", 0, np.zeros((4, H, W), np.uint8))
    assert writer.has_shard("one", 0)
    assert not writer.read_shard("one", 0, 4).any()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 23), st.integers(1, 9), st.randoms(use_true_random=False))
def test_shards_can_be_written_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, count: int, size: int, order: object
) -> None:
    path = tmp_path_factory.mktemp("store") / "hq.zarr"
    plan = plan_of({"one": count}, shard_size=size)
    writer, images = StoreWriter(path), images_of(count)
    writer.create(plan)
    shards = list(plan.sources[0].shards(size))
    order.shuffle(shards)  # type: ignore[attr-defined]
    for shard in shards:
        writer.write_shard("one", shard * size, images[shard * size : (shard + 1) * size])
    assert all(writer.has_shard("one", shard) for shard in shards)
    for shard in shards:
        part = images[shard * size : (shard + 1) * size]
        np.testing.assert_array_equal(writer.read_shard("one", shard * size, len(part)), part)


def test_creating_again_keeps_what_is_there(tmp_path: Path) -> None:
    plan = plan_of({"one": 4})
    writer, images = written(tmp_path / "hq.zarr", plan)
    larger = plan_of({"one": 4, "two": 2})
    writer.create(larger)
    np.testing.assert_array_equal(writer.read_shard("one", 0, 4), images["one"])
    assert not writer.has_shard("two", 0)


def test_a_store_that_is_being_built_cannot_be_opened(tmp_path: Path) -> None:
    plan = plan_of({"one": 4})
    writer, _ = written(tmp_path / "hq.zarr", plan)
    writer.create(plan)
    with pytest.raises(StoreError, match="not complete") as caught:
        open_store(tmp_path / "hq.zarr")
    assert "run the same `hqgen build` again" in caught.value.hint


@pytest.mark.parametrize("what", ["nothing", "a file", "an empty folder", "another zarr"])
def test_what_is_no_hq_store_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "hq.zarr"
    if what == "a file":
        path.touch()
    elif what == "an empty folder":
        path.mkdir()
    elif what == "another zarr":
        zarr.open_group(path, mode="w").create_array("x", shape=(1,), dtype="u1")
    with pytest.raises(StoreError, match=r"hq\.zarr"):
        open_store(path)


def test_an_unknown_source_names_the_known_ones(tmp_path: Path) -> None:
    written(tmp_path / "hq.zarr", plan_of({"one": 4}))
    with pytest.raises(UnknownNameError) as caught:
        open_store(tmp_path / "hq.zarr")["two"]
    assert caught.value.hint.endswith("known: one")


@pytest.mark.parametrize("damage", ["missing", "truncated", "index overwritten"])
def test_a_damaged_shard_is_an_error_that_names_it(tmp_path: Path, damage: str) -> None:
    writer, _ = written(tmp_path / "hq.zarr", plan_of({"one": 10}))
    file = tmp_path / "hq.zarr/one/images/c/1/0/0"
    if damage == "missing":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        content = bytearray(file.read_bytes())
        content[-40] ^= 0xFF
        file.write_bytes(content)
    with pytest.raises(StoreError, match="one"):
        writer.read_shard("one", 4, 4)


def test_what_is_not_an_hq_store_is_told_from_one(tmp_path: Path) -> None:
    writer, _ = written(tmp_path / "hq.zarr", plan_of({"one": 4}))
    writer.check_ours()
    shutil.rmtree(writer.path)
    writer.check_ours()
    writer.path.mkdir()
    with pytest.raises(StoreError):
        writer.check_ours()


def test_digests_depend_on_every_pixel_but_not_on_memory_layout() -> None:
    images = images_of(3)
    assert digest_images(images) == digest_images(np.asfortranarray(images))
    changed = images.copy()
    changed[2, 4, 6] ^= 1
    assert digest_images(images) != digest_images(changed)


def test_a_store_is_a_container_of_the_names_of_its_sources(tmp_path: Path) -> None:
    written(tmp_path / "hq.zarr", plan_of({"a": 5, "b": 3}))
    store = open_store(tmp_path / "hq.zarr")
    assert list(store) == ["a", "b"]
    assert "a" in store
    assert "c" not in store
    assert 0 not in store
    assert len(store) == 8
    assert {name: len(store[name]) for name in store} == {"a": 5, "b": 3}
