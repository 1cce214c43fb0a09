"""Which frames of a recording become samples."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hqgen.errors import SourceError
from hqgen.sources.catalog import Centre, KeyIds, SourceSettings, Stride
from hqgen.sources.recordings import SourceRecording
from hqgen.sources.scan import Found, stem

WINDOW = 41
"""Frames around a key frame: most published methods use this many."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One place in one recording.

    Attributes:
        key: stable name, unique among all sources, such as `reds/200_part1_key_id151`.
        recording: that holds it.
        centre: its frame, counted from 0.
    """

    key: str
    recording: SourceRecording
    centre: int


class Place(NamedTuple):
    """A frame that becomes a sample: the end of its key, the frame, and its ground truth if there is one."""

    name: str
    centre: int
    truth: str | None = None


TruthIndex = Mapping[tuple[str | None, str], Mapping[int, str]]
"""Paths of ground-truth pictures by (split, prefix) and by key id."""


def index_truth(settings: SourceSettings, pictures: list[Found]) -> TruthIndex:
    """Ground-truth pictures by the prefix they share with their recording; empty without key ids in names."""
    index: dict[tuple[str | None, str], dict[int, str]] = {}
    if isinstance(rule := settings.key_frames, KeyIds):
        for picture in pictures:
            if match := re.fullmatch(rule.pattern, stem(picture.path)):
                index.setdefault((picture.split, match["prefix"]), {})[int(match["id"])] = picture.path
    return index


def places(settings: SourceSettings, recording: SourceRecording, truth: TruthIndex) -> Iterator[Place]:
    """The key frames of a recording by its source's rule, in order of time.

    Key ids count from 1. A place may be outside the recording, because a name or a ground truth belongs to
    another one; the caller reports it.

    Raises:
        SourceError: the rule needs a key id, but the name of the recording has none.
    """
    name = recording.name.rpartition(".")[0] or recording.name
    match settings.key_frames:
        case KeyIds(pattern=pattern):
            yield from _key_ids(pattern, recording, truth)
        case Stride(stride=stride):
            yield from (
                Place(f"{name}/{centre:06d}", centre) for centre in _strided(recording.frames, stride)
            )
        case Centre():
            yield Place(name, recording.frames // 2)


def _key_ids(pattern: str, recording: SourceRecording, truth: TruthIndex) -> Iterator[Place]:
    name = stem(recording.name)
    match = re.fullmatch(pattern, name)
    if match is None:
        raise SourceError(f"its name has no key id (expected `{pattern}`)")
    pictures = truth.get((recording.split, match["prefix"]), {})
    names = {key_id: stem(path) for key_id, path in pictures.items()} | {int(match["id"]): name}
    for key_id in sorted(names):
        yield Place(names[key_id], key_id - 1, pictures.get(key_id))


def _strided(frames: int, stride: int) -> range:
    """Centres of whole windows, one every `stride` frames; the middle frame of a shorter recording."""
    half = WINDOW // 2
    if frames < WINDOW:
        return range(frames // 2, frames // 2 + 1)
    return range(half, frames - half, stride)
