from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from hqgen.config import MANIFESTS
from hqgen.documents import dump
from hqgen.errors import StoreError
from hqgen.manifest import (
    Manifest,
    Plan,
    SampleRecord,
    ShardDigest,
    ShardRecord,
    SourceManifest,
    Times,
    find_manifest,
    read_manifest,
    schemas,
)
from tests.test_store import plan_of


def manifest_of(plan: Plan) -> Manifest:
    return Manifest(
        plan_id=plan.id,
        store="hq.zarr",
        software={"hqgen": "0"},
        plan=plan,
        sources=tuple(
            SourceManifest(
                name=source.name,
                folder=None,
                shards=(ShardDigest(shard=0, images_blake3="0" * 64),),
                quarantined_recordings=(),
                samples=(
                    SampleRecord(key="a", method="a", margin=0.1, scores={"a": 1.0, "b": 1.1}),
                    SampleRecord(
                        key="b", method=None, margin=None, scores={"a": None}, reasons={"a": "flat “image”"}
                    ),
                ),
            )
            for source in plan.sources
        ),
        times=Times(started="2026-01-01T00:00:00", finished="2026-01-01T00:00:01", seconds=1.0),
    )


def test_a_manifest_survives_being_written_and_read(tmp_path: Path) -> None:
    manifest = manifest_of(plan_of({"one": 2}))
    path = tmp_path / "manifest.json"
    path.write_text("".join(dump(manifest)))
    assert read_manifest(path) == manifest
    assert manifest.quarantined == 1
    assert manifest.sources[0].samples[0].score == 1.0
    assert manifest.sources[0].samples[1].score is None


def test_written_documents_have_one_entry_a_line_and_no_long_indentation() -> None:
    text = "".join(dump(manifest_of(plan_of({"one": 2}))))
    assert any(line.strip().startswith('{"key": "b"') for line in text.splitlines())


def test_the_plan_id_depends_on_everything_that_decides_the_result() -> None:
    plan = plan_of({"one": 2})
    (source,) = plan.sources
    changed = [
        plan.model_copy(update={"shard_size": 5}),
        plan.model_copy(update={"scorer": {"name": "other"}}),
        plan.model_copy(update={"normalisation": {"name": "other"}}),
        plan.model_copy(update={"schema_version": 99}),
        plan.model_copy(update={"judges": ()}),
        plan.model_copy(update={"rule": {"name": "other"}}),
        plan.model_copy(update={"max_score": 6.0}),
        plan.model_copy(update={"min_consistency": 0.5}),
        plan.model_copy(update={"keep_candidates": False}),
        plan_of({"one": 3}),
        plan_of({"one": 2}, methods=("a",)),
        plan.model_copy(
            update={
                "sources": (
                    source.model_copy(
                        update={"recordings": (source.recordings[0].model_copy(update={"blake3": "1"}),)}
                    ),
                )
            }
        ),
    ]
    assert len({plan.id, *(other.id for other in changed)}) == 1 + len(changed)
    assert Plan.model_validate_json("".join(dump(plan))).id == plan.id


def test_a_part_of_a_plan_is_the_plan_of_its_source_alone() -> None:
    assert plan_of({"one": 2, "two": 3}).part("two").id == plan_of({"two": 3}).id


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "Invalid JSON"), ("{", "Invalid JSON"), ("[]", "object"), ('{"format": "other"}', "format")],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=message):
        read_manifest(path)


def test_a_manifest_of_an_older_schema_says_to_build_again(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text('{"format": "hqgen-manifest", "plan": {"schema_version": 2, "sources": []}}')
    with pytest.raises(StoreError, match="has schema 2; this version of hqgen reads schema 3") as caught:
        read_manifest(find_manifest(tmp_path))
    assert "build the store again" in caught.value.hint


def test_a_missing_manifest_says_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file") as caught:
        read_manifest(tmp_path / "manifest.json")
    assert "hqgen build" in caught.value.hint


def test_unknown_fields_are_refused(tmp_path: Path) -> None:
    document = json.loads("".join(dump(manifest_of(plan_of({"one": 2})))))
    document["surprise"] = 1
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(StoreError, match="surprise"):
        read_manifest(tmp_path / "manifest.json")


def test_the_published_schemas_are_those_of_the_models() -> None:
    """Renew them with `python -m hqgen.manifest manifests` after a change of a document."""
    for name, schema in schemas().items():
        assert json.loads((MANIFESTS / name).read_text()) == schema


def test_documents_fit_the_published_schemas() -> None:
    plan = plan_of({"one": 2})
    record = ShardRecord(plan=plan.id, source="one", shard=0, images_blake3="0", samples=())
    for name, document in {"manifest": manifest_of(plan), "record": record, "plan": plan}.items():
        schema = json.loads((MANIFESTS / f"{name}.schema.json").read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(json.loads("".join(dump(document))), schema)
