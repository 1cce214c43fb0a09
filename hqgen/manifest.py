"""The documents of a build: the plan, the record of a shard, the manifest.

The *plan* is everything that decides the result; its hash, the plan id, names it. A *record* says that one
shard is complete and what came of it. The *manifest* describes the finished store whole. All three are JSON
with published schemas (`manifests/*.schema.json`); the score of a candidate that could not be made or scored
is `null`.
"""

from __future__ import annotations

import json
import math
import sys
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from hqgen.documents import Document, dump, unsealed
from hqgen.errors import StoreError
from hqgen.provenance import short_digest

SCHEMA_VERSION = 3
"""Raised when the meaning of a plan or of a stored byte changes: no old shard must pass for a new one."""

Action = Literal["pick", "reject", "mark", "clear"]
"""What a verdict does: see `Verdict`."""


class MethodSpec(Document):
    """A method as a plan fixes it.

    Attributes:
        name: what users type.
        rank: of two equal scores the lower rank wins.
        version: raised whenever the method gives other images than before.
        leg: `cpu` or `gpu`, the kind of worker it needs.
        parameters: all of them by name.
        weights: sha256 of its weights; null for a method without.
    """

    name: str
    rank: int
    version: int
    leg: Literal["cpu", "gpu"]
    parameters: dict[str, Any]
    weights: str | None = None


class RecordingSpec(Document):
    """A recording as a plan fixes it: path relative to its source's folder, size in bytes, BLAKE3, frames."""

    path: str
    size: int
    blake3: str
    frames: int


class SampleSpec(Document):
    """One place in one recording: stable key, index into the source's recordings, centre frame from 0."""

    key: str
    recording: int
    centre: int


class ByHand(Document):
    """What a person decided of a sample: the method whose candidate wins, null for none, and why."""

    key: str
    method: str | None
    note: str


class NearDuplicateSpec(Document):
    """A key frame that a plan leaves out, because it shows nearly the same picture as one that it keeps.

    Attributes:
        key, recording, centre: as of a sample.
        near_duplicate_of: key of the last sample before it that is kept.
        moved: pixels by which the picture has moved since that one.
    """

    key: str
    recording: int
    centre: int
    near_duplicate_of: str
    moved: float


class SourceSpec(Document):
    """One source as a plan fixes it; its samples are in the order of the store.

    Attributes:
        name: of its group in the store.
        height, width: of its pictures.
        camera: fields of the camera's description that are not the default; null for none.
        methods: by rank.
        recordings: in the order of the source.
        samples: in the order of the store.
        by_hand: samples that a person decided, in the order of the store; null for none.
        left_out: key frames that are not samples, in order; null where no rule leaves any out.
    """

    unwritten = frozenset({"camera", "by_hand", "left_out"})

    name: str
    height: int
    width: int
    camera: dict[str, Any] | None = None
    methods: tuple[MethodSpec, ...]
    recordings: tuple[RecordingSpec, ...]
    samples: tuple[SampleSpec, ...]
    by_hand: tuple[ByHand, ...] | None = None
    left_out: tuple[NearDuplicateSpec, ...] | None = None

    @property
    def decided(self) -> dict[str, ByHand]:
        """What people decided, by key of the sample."""
        return {item.key: item for item in self.by_hand or ()}

    def shards(self, size: int) -> range:
        """Indices of the shards of `size` consecutive samples that hold this source."""
        return range(math.ceil(len(self.samples) / size))


class Plan(Document):
    """Everything that decides the result of a build.

    Attributes:
        schema_version: `SCHEMA_VERSION` of the code that made it.
        shard_size: consecutive samples in a shard.
        scorer: name, version and parameters of the scorer.
        normalisation: name, version and parameters of the rule that turns an image into a candidate.
        ends: name and version of the rule for windows that reach over an end of a recording.
        judges: name, version and parameters of what else each candidate is measured by, in order of names.
        rule: name, version and parameters of the rule that picks the winner.
        max_score: a winner with a larger score is quarantined; null for no limit.
        min_consistency: a winner that is less consistent with the spikes is quarantined: the share of its
            difference to them that counting noise explains, 0 to 1; null for no limit.
        keep_candidates: whether the store holds the picture of every candidate.
        near_duplicates: name, version and parameters of the rule that leaves out key frames; null for none.
        sources: in order of their names.
    """

    unwritten = frozenset({"near_duplicates"})

    schema_version: int = SCHEMA_VERSION
    shard_size: int
    scorer: dict[str, Any]
    normalisation: dict[str, Any]
    ends: dict[str, Any]
    judges: tuple[dict[str, Any], ...]
    rule: dict[str, Any]
    max_score: float | None = None
    min_consistency: float | None = None
    keep_candidates: bool
    near_duplicates: dict[str, Any] | None = None
    sources: tuple[SourceSpec, ...]

    @cached_property
    def id(self) -> str:
        """The plan id: 16 hexadecimal digits of the sha256 of the plan as it is written."""
        return short_digest(dump(self))

    def part(self, source: str) -> Plan:
        """The plan of one source alone: what decides its shards, whatever other sources there are."""
        sources = tuple(spec for spec in self.sources if spec.name == source)
        return self if sources == self.sources else self.model_copy(update={"sources": sources})

    def model_copy(self, **changes: Any) -> Plan:
        """A changed plan has another id."""
        copy = super().model_copy(**changes)
        copy.__dict__.pop("id", None)
        return copy


class SampleRecord(Document):
    """What came of one sample.

    Attributes:
        key: the sample's key.
        method: the winner; null where no candidate could be made and scored, or the pick was refused.
        margin: the winner's lead in the score over the best other candidate, negative where the rule
            preferred a candidate with a worse score; null without a winner or another candidate.
        scores: by method, as stored (float32); null for a candidate that could not be made or scored.
        judges: by judge and method, as stored (float32); null for a candidate without such a value.
        refused: why the candidate that the rule picked is quarantined; null where it is not.
        reasons: by method, why there is no score.
        mirrored: by method, the part of the frames it looked at which are mirrored; only parts above 0.
        by_hand: the note of the person who picked the winner or rejected the sample, which may be empty; null
            where the rule decided.
    """

    unwritten = frozenset({"by_hand"})

    key: str
    method: str | None
    margin: float | None
    scores: dict[str, float | None]
    judges: dict[str, dict[str, float | None]] = Field(default_factory=dict)
    refused: str | None = None
    reasons: dict[str, str] = Field(default_factory=dict)
    mirrored: dict[str, float] = Field(default_factory=dict)
    by_hand: str | None = None

    @property
    def score(self) -> float | None:
        """The winner's score."""
        return None if self.method is None else self.scores[self.method]


class ShardRecord(Document):
    """A shard is complete: its images are in the store and have this digest.

    Attributes:
        plan: id of its source's part of the plan.
        source: name of the source.
        shard: index of the shard; it holds samples shard * shard_size onwards.
        images_blake3: digest of its images, uint8 (n, H, W) in C order.
        candidates_blake3: the same of the candidates of each method; empty where they are not kept.
        sizes: bytes of its file, by array; empty in records of a time without them.
        samples: in order.
    """

    plan: str
    source: str
    shard: int
    images_blake3: str
    candidates_blake3: dict[str, str] = Field(default_factory=dict)
    sizes: dict[str, int] = Field(default_factory=dict)
    samples: tuple[SampleRecord, ...]

    @property
    def digests(self) -> ShardDigest:
        """The digests of its pictures, as a manifest has them."""
        return ShardDigest(
            shard=self.shard, images_blake3=self.images_blake3, candidates_blake3=self.candidates_blake3
        )


class ShardDigest(Document):
    """Digests of one shard's pictures, as in its record."""

    shard: int
    images_blake3: str
    candidates_blake3: dict[str, str] = Field(default_factory=dict)


class QuarantinedRecording(Document):
    """A file that looks like a recording of the source and cannot be used, with the reason."""

    path: str
    reason: str


class SourceFiles(Document):
    """What is on the disk for a source: its folder (null for one without files) and what it cannot use."""

    folder: str | None
    quarantined: tuple[QuarantinedRecording, ...]


class SourceManifest(Document):
    """One source of a finished store; row i of its arrays is `samples[i]`.

    Attributes:
        name: the source's name.
        folder: where its recordings were when the store was finished; null for a source without files.
        shards: digests of its shards, in order.
        quarantined_recordings: files that could not be used.
        samples: what came of every sample.
    """

    name: str
    folder: str | None
    shards: tuple[ShardDigest, ...]
    quarantined_recordings: tuple[QuarantinedRecording, ...]
    samples: tuple[SampleRecord, ...]

    @property
    def quarantined_samples(self) -> list[SampleRecord]:
        """Samples without a winner."""
        return [sample for sample in self.samples if sample.method is None]


class Times(Document):
    """When the build that finished the store ran, in UTC, and for how many seconds."""

    started: str
    finished: str
    seconds: float


class Origin(Document):
    """The store that winners were picked again from: its manifest, and the id of its plan."""

    manifest: str
    plan_id: str


class Verdict(Document):
    """What a person says of one sample.

    Attributes:
        number: of the entry in its journal, from 1; 0 for a verdict that the manifest already has.
        time: UTC, in the form of ISO 8601.
        source, key: of the sample.
        action: `pick`: the candidate of `method` is the picture; `reject`: there is no picture; `mark`: look
            at it again, which decides nothing; `clear`: what was said before no longer holds.
        method: of a pick; null for the other actions.
        author, note: who says it, and why; both may be empty.
    """

    unwritten = frozenset({"method"})

    number: int = Field(ge=0)
    time: str
    author: str = Field(default="", max_length=200)
    source: str
    key: str
    action: Action
    method: str | None = None
    note: str = Field(default="", max_length=2000)

    @model_validator(mode="after")
    def _pick_names_a_method(self) -> Verdict:
        if (self.action == "pick") != (self.method is not None):
            raise ValueError("a pick must name its method, and only a pick can")
        return self


class MergedPart(Document):
    """A build that a store was merged from: its manifest, its plan id, and its samples taken, by source."""

    manifest: str
    plan_id: str
    samples: dict[str, int]


class Manifest(Document):
    """The whole store, described.

    Attributes:
        format: always `hqgen-manifest`.
        plan_id: hash of `plan`.
        store: path of the store, relative to the manifest.
        software: versions of what made it.
        plan: everything that decided the result.
        sources: what came of it, in the plan's order.
        times: differs between two builds of one plan.
        repicked_from: of a store that `hqgen repick` or `hqgen curate apply` made: the store before.
        verdicts: of a curated store: what people said of its samples, in the order of the samples.
        merged_from: of a store that `hqgen merge` made: the builds that it was made from.
        store_files: BLAKE3 of every file of the store that does not hold pictures, by path in the store; null
            in manifests of a time without them.
    """

    unwritten = frozenset({"verdicts", "merged_from", "store_files"})

    format: Literal["hqgen-manifest"] = "hqgen-manifest"
    plan_id: str
    store: str
    software: dict[str, str]
    plan: Plan
    sources: tuple[SourceManifest, ...]
    times: Times
    repicked_from: Origin | None = None
    verdicts: tuple[Verdict, ...] | None = None
    merged_from: tuple[MergedPart, ...] | None = None
    store_files: dict[str, str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_seal(cls, values: Any) -> Any:
        # A program that writes a manifest again may put the seal anywhere.
        return {k: v for k, v in values.items() if k != "blake3"} if isinstance(values, dict) else values

    @property
    def quarantined(self) -> int:
        """Recordings and samples that gave no picture."""
        return sum(
            len(source.quarantined_recordings) + len(source.quarantined_samples) for source in self.sources
        )


def find_manifest(path: str | Path) -> Path:
    """The manifest that a user means: the file, or that in the folder of a build."""
    path = Path(path)
    return path / "manifest.json" if path.is_dir() else path


def read_manifest(path: str | Path, *, unchanged: bool = False) -> Manifest:
    """Read and check a manifest.

    Args:
        path: its file.
        unchanged: whether to refuse one that was changed after it was written.

    Raises:
        StoreError: there is no such file, or this version does not understand it.
    """
    path = Path(path)
    try:
        text, fits = unsealed(path.read_bytes())
        manifest = Manifest.model_validate_json(text)
    except OSError as error:
        raise StoreError(
            f"manifest `{path}` cannot be read: {error.strerror or error}",
            hint="`hqgen build` writes `manifest.json` beside `hq.zarr` when a build is complete",
        ) from error
    except ValidationError as error:
        if (version := _schema_version(text)) not in (None, SCHEMA_VERSION):
            raise StoreError(
                f"`{path}` has schema {version}; this version of hqgen reads schema {SCHEMA_VERSION}",
                hint="build the store again: into another folder, or with `--existing overwrite`",
            ) from error
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise StoreError(
            f"`{path}` is not a manifest of this version: {where}: {first['msg']}",
            hint="see `manifests/manifest.schema.json` for the form",
        ) from error
    if unchanged and not fits:
        raise StoreError(
            f"`{path}` was changed after it was written: its digest differs",
            hint="the same `hqgen build` writes it again",
        )
    return manifest


def _schema_version(text: bytes) -> Any:
    """The schema version that a manifest of any version gives; None where it gives none."""
    try:
        return json.loads(text)["plan"]["schema_version"]
    except (ValueError, LookupError, TypeError):
        return None


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON schemas of the documents by file name, as they are published in `manifests`."""
    models: dict[str, type[Document]] = {"manifest": Manifest, "record": ShardRecord, "plan": Plan}
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    seal = {"description": "BLAKE3 of all bytes before this member, the last one.", "type": "string"}
    found = {}
    for name, model in models.items():
        schema = model.model_json_schema()
        schema["properties"]["blake3"] = seal
        found[f"{name}.schema.json"] = dialect | schema
    return found


if __name__ == "__main__":  # python -m hqgen.manifest FOLDER: publish the schemas
    for name, schema in schemas().items():
        Path(sys.argv[1], name).write_text(json.dumps(schema, indent=1) + "\n")
