"""The plan of several finished builds together, and where each of its samples is.

A source that more than one build has is joined from its recordings, in the order in which one build of all of
them would have them. What decides the pictures must be the same in all builds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hqgen.builder.plan import by_name
from hqgen.errors import PlanMismatchError, StoreError
from hqgen.manifest import (
    Manifest,
    NearDuplicateSpec,
    Plan,
    QuarantinedRecording,
    RecordingSpec,
    SampleRecord,
    SampleSpec,
    SourceFiles,
    SourceManifest,
    SourceSpec,
)
from hqgen.provenance import require_same
from hqgen.sources.planned import recording_order
from hqgen.store import StoreWriter, open_described
from hqgen.text import count, first

SHOWN = 5
"""Recordings that cannot be joined and are named; the rest is counted."""


@dataclass(frozen=True, eq=False)
class FinishedBuild:
    """A finished build: its manifest, where that is, and its store."""

    path: Path
    manifest: Manifest
    store: StoreWriter

    @classmethod
    def open(cls, path: Path) -> FinishedBuild:
        """Open the build of a manifest.

        Raises:
            StoreError: there is no manifest, or no complete store of its plan; or people picked its winners.
        """
        manifest, store = open_described(path)
        if manifest.verdicts is not None:
            raise StoreError(
                f"`{path}` describes a curated store, and no build picks as people do",
                hint="merge the builds first, then curate the merged store",
            )
        return cls(path, manifest, StoreWriter(store.path))

    def source(self, name: str) -> SourceManifest:
        """One of its sources."""
        return next(source for source in self.manifest.sources if source.name == name)


class Place(NamedTuple):
    """Where a sample is: the build, and its row in the source there."""

    build: FinishedBuild
    row: int

    def record(self, source: str) -> SampleRecord:
        """What came of the sample."""
        return self.build.source(source).samples[self.row]


@dataclass(frozen=True)
class JoinedPlan:
    """The plan of several builds together.

    Attributes:
        plan: of all.
        places: by source, where its samples are, in the order of the plan.
        files: what is on the disk, by source.
    """

    plan: Plan
    places: dict[str, tuple[Place, ...]]
    files: dict[str, SourceFiles]


class _Part(NamedTuple):
    """A source in one build."""

    build: FinishedBuild
    spec: SourceSpec
    found: SourceManifest


class _Stored(NamedTuple):
    """A recording of a build, with its key frames and the place of each, and those that are left out."""

    recording: RecordingSpec
    samples: tuple[tuple[str, int, Place], ...]  # key, centre, place
    left_out: tuple[NearDuplicateSpec, ...]

    @property
    def content(self) -> tuple[RecordingSpec, list[tuple[str, int]]]:
        """What must be the same in two builds that have it."""
        return self.recording, [(key, centre) for key, centre, _ in self.samples]


def join_builds(builds: Sequence[FinishedBuild]) -> JoinedPlan:
    """Join the plans of finished builds; of a sample that several have, the first one is taken.

    Raises:
        PlanMismatchError: one store cannot hold them: other rules, another camera or other methods of one
            source, or recordings of one path that are not the same.
    """
    _require_same_rules(builds)
    parts: dict[str, list[_Part]] = {}
    for build in builds:
        for spec, found in zip(build.manifest.plan.sources, build.manifest.sources, strict=True):
            parts.setdefault(spec.name, []).append(_Part(build, spec, found))
    _require_different_names(list(parts))
    joined = {name: _joined_source(parts[name]) for name in sorted(parts)}
    plan = builds[0].manifest.plan.model_copy(update={"sources": tuple(spec for spec, _ in joined.values())})
    places = {name: found for name, (_, found) in joined.items()}
    return JoinedPlan(plan, places, {name: _joined_files(parts[name]) for name in joined})


def _require_same_rules(builds: Sequence[FinishedBuild]) -> None:
    """Refuse builds that differ in what decides the pictures; sources of one name count, too."""
    one = builds[0]
    for number, other in enumerate(builds[1:], start=1):
        for before in builds[:number]:
            names = {spec.name for spec in before.manifest.plan.sources}
            shared = names & {spec.name for spec in other.manifest.plan.sources}
            if before is one or shared:
                require_same(
                    f"`{other.path}` cannot be merged with `{before.path}`",
                    _rules(before.manifest.plan, shared),
                    _rules(other.manifest.plan, shared),
                    hint="make them alike: another rule, limit, metric or other judges with `hqgen repick`, "
                    "anything else with `hqgen build --existing update`",
                )


def _rules(plan: Plan, sources: set[str]) -> dict[str, Any]:
    """What decides the pictures, in general and for some sources, besides their recordings."""
    named = by_name(plan)
    rules = {key: value for key, value in named.items() if not key.startswith("source ")}
    for name in sorted(sources):
        spec = dict(named[f"source {name}"])
        del spec["recordings"], spec["samples"]
        rules[f"source {name}"] = spec
    return rules


def _require_different_names(names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.lower(), name)) != name:
            raise PlanMismatchError(
                f"the sources `{other}` and `{name}` differ only in the case of letters",
                hint="rename one of the two folders, and build it again",
            )


def _joined_source(parts: Sequence[_Part]) -> tuple[SourceSpec, tuple[Place, ...]]:
    """The plan of a source of several builds, and the places of its samples."""
    stored: dict[str, _Stored] = {}
    problems: list[str] = []
    for part in parts:
        for item in _stored(part):
            path = item.recording.path
            known = stored.setdefault(path, item)
            if known.content != item.content:
                problems.append(f"`{path}` {_difference(known, item)}")
        problems += [
            f"`{rejected.path}` cannot be used in one build: {rejected.reason}"
            for rejected in part.found.quarantined_recordings
            if all(item.path != rejected.path for item in part.spec.recordings)
            and any(item.path == rejected.path for other in parts for item in other.spec.recordings)
        ]
    problems += _double_keys(stored)
    name = parts[0].spec.name
    if problems:
        raise PlanMismatchError(
            f"`{name}`: {count(len(problems), 'recording')} cannot be joined: "
            f"{'; '.join(first(problems, SHOWN))}",
            hint="build the right recordings in one folder, with `hqgen build`",
        )
    paths = _ordered(parts, list(stored))
    samples, places, left_out = list[SampleSpec](), list[Place](), list[NearDuplicateSpec]()
    for index, path in enumerate(paths):
        for key, centre, place in stored[path].samples:
            samples.append(SampleSpec(key=key, recording=index, centre=centre))
            places.append(place)
        left_out += [item.model_copy(update={"recording": index}) for item in stored[path].left_out]
    recordings = tuple(stored[path].recording for path in paths)
    update: dict[str, Any] = {"recordings": recordings, "samples": tuple(samples)}
    if parts[0].spec.left_out is not None:
        update["left_out"] = tuple(left_out)
    return parts[0].spec.model_copy(update=update), tuple(places)


def _stored(part: _Part) -> Iterator[_Stored]:
    """The recordings of a source in one build."""
    samples: dict[int, list[tuple[str, int, Place]]] = {}
    for row, sample in enumerate(part.spec.samples):
        place = Place(part.build, row)
        samples.setdefault(sample.recording, []).append((sample.key, sample.centre, place))
    left_out: dict[int, list[NearDuplicateSpec]] = {}
    for item in part.spec.left_out or ():
        left_out.setdefault(item.recording, []).append(item)
    for index, recording in enumerate(part.spec.recordings):
        yield _Stored(recording, tuple(samples.get(index, ())), tuple(left_out.get(index, ())))


def _difference(one: _Stored, other: _Stored) -> str:
    """What two recordings of one path differ in."""
    if one.recording.blake3 != other.recording.blake3:
        digests = [item.recording.blake3[:12] for item in (one, other)]
        return f"is not the same file in two builds: {digests[0]} and {digests[1]}"
    if one.recording != other.recording:
        return f"has {one.recording.frames} frames in one build and {other.recording.frames} in another"
    return "has other key frames in two builds"


def _double_keys(stored: dict[str, _Stored]) -> Iterator[str]:
    """Recordings with a key that another one has; a build would leave them out."""
    owner: dict[str, str] = {}
    for path, item in stored.items():
        for key, _, _ in item.samples:
            if (other := owner.setdefault(key, path)) != path:
                yield f"`{path}` has the sample `{key}` as `{other}` has"


def _ordered(parts: Sequence[_Part], paths: list[str]) -> list[str]:
    """Paths of recordings in the order of one build of all."""
    known = [[item.path for item in part.spec.recordings] for part in parts]
    longest = max(known, key=len)
    if len(longest) == len(paths):
        return longest
    name, folders = parts[0].spec.name, [part.found.folder for part in parts]
    return recording_order(name, [folder for folder in folders if folder is not None], paths, known)


def _joined_files(parts: Sequence[_Part]) -> SourceFiles:
    """The folder of a source in the first build, and what cannot be used in any."""
    rejected: list[QuarantinedRecording] = []
    for part in parts:
        rejected += [item for item in part.found.quarantined_recordings if item not in rejected]
    ordered = sorted(rejected, key=lambda item: item.path)
    return SourceFiles(folder=parts[0].found.folder, quarantined=tuple(ordered))
