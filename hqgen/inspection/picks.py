"""The picks of a finished store that are worth looking at, with all their candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import HqgenError, UnknownNameError
from hqgen.inspection.candidates import Remake
from hqgen.inspection.statistics import is_ambiguous
from hqgen.manifest import Manifest, SampleRecord, SourceSpec
from hqgen.store import HQSource, open_described

EACH = 2
"""Picks of every kind that are shown of a source."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Tile:
    """One method's candidate.

    Attributes:
        method: its name.
        picture: uint8 (H, W), or None if there is none to show.
        score: as the manifest has it; None if there is none.
        winner: whether its picture is the one in the store.
        note: why there is no picture, or what is wrong with it; mostly empty.
    """

    method: str
    picture: Picture | None
    score: float | None
    winner: bool = False
    note: str = ""


@dataclass(frozen=True, eq=False)
class Pick:
    """One sample and all its candidates, by rank of the methods.

    Attributes:
        kinds: what it is an example of: any of `best`, `worst`, `smallest margin`, `overruled`, `no picture`.
        key: of the sample.
        recording: path of its recording, relative to the source's folder.
        frame: its centre frame, counted from 0.
        margin: lead of the winner; None without a runner-up.
        ambiguous: whether that lead says little.
        shape: (H, W) of the source's pictures.
        tiles: the candidates.
    """

    kinds: tuple[str, ...]
    key: str
    recording: str
    frame: int
    margin: float | None
    ambiguous: bool
    shape: tuple[int, int]
    tiles: tuple[Tile, ...]

    @property
    def winner(self) -> Tile | None:
        """The winner's tile."""
        return next((tile for tile in self.tiles if tile.winner), None)


def choose(samples: Sequence[SampleRecord], each: int = EACH) -> list[tuple[int, tuple[str, ...]]]:
    """Rows of the best, the worst, the most ambiguous and the most overruled picks, and of no picture.

    A pick is overruled where the rule preferred a candidate with a worse score.

    Returns:
        Every row once, with all that it is an example of.
    """
    scored = sorted((sample.score, row) for row, sample in enumerate(samples) if sample.score is not None)
    leads = sorted((sample.margin, row) for row, sample in enumerate(samples) if sample.margin is not None)
    close = [row for margin, row in leads if margin >= 0]
    examples = {
        "best": [row for _, row in scored[:each]],
        "worst": [row for _, row in reversed(scored[each:])][:each],
        "smallest margin": close[:each],
        "overruled": [row for margin, row in leads if margin < 0][:each],
        "no picture": [row for row, sample in enumerate(samples) if sample.method is None][:each],
    }
    kinds: dict[int, tuple[str, ...]] = {}
    for kind, rows in examples.items():
        for row in rows:
            kinds[row] = (*kinds.get(row, ()), kind)
    return list(kinds.items())


def find_sample(manifest: Manifest, key: str) -> tuple[int, int]:
    """Number of the source, and row in it, of a sample.

    Raises:
        UnknownNameError: the manifest has no such sample.
    """
    for number, source in enumerate(manifest.sources):
        for row, sample in enumerate(source.samples):
            if sample.key == key:
                return number, row
    keys = (sample.key for source in manifest.sources for sample in source.samples)
    raise UnknownNameError("sample of the store", key, keys)


class Gallery:
    """The picks of a finished store.

    Args:
        manifest_path: the manifest; the store is where it says.
        data_root: where the catalog's folders are, for sources that are no longer where they were.

    Attributes:
        manifest: the manifest.

    Raises:
        StoreError: there is no manifest or no complete store, or the store is of another plan.
    """

    def __init__(self, manifest_path: str | Path, data_root: Path | None = None) -> None:
        self.manifest, self._store = open_described(Path(manifest_path))
        self._data_root = data_root

    def picks(self, source: int, *, each: int = EACH, or_stored: bool = False) -> Iterator[Pick]:
        """Picks of the manifest's source number `source`, with all candidates.

        They are those of the store. Where it holds winners only, they are made again. With `or_stored`, where
        that cannot be: the winners alone, and the reason in the notes of the others.

        Raises:
            SourceError: its recordings are gone; the message names the folder.
            StoreError: this version of hqgen normalises otherwise than the plan says.
        """
        candidates = self._candidates(source, or_stored=or_stored)
        for row, kinds in choose(self.manifest.sources[source].samples, each):
            yield self._pick(source, row, kinds, candidates)

    def sample(self, key: str) -> Pick:
        """One sample with all candidates.

        Raises:
            UnknownNameError: the manifest has no such sample.
            SourceError, StoreError: as `picks`.
        """
        source, row = find_sample(self.manifest, key)
        return self._pick(source, row, (), self._candidates(source, or_stored=False))

    def winner(self, source: int, row: int) -> Picture:
        """The picture in a row of a source: uint8 (H, W); black where there is no winner."""
        return np.asarray(self._store[self.manifest.plan.sources[source].name].images[row])

    def _candidates(self, source: int, *, or_stored: bool) -> _Candidates | str:
        """Where the candidates of a source come from; the reason where they come from nowhere."""
        spec, found = self.manifest.plan.sources[source], self.manifest.sources[source]
        stored = self._store[spec.name]
        if stored.candidates:
            return _Kept(stored)
        try:
            return _Remade(Remake(self.manifest.plan, spec, found, self._data_root), spec)
        except HqgenError as error:
            if not or_stored:
                raise
            return error.message

    def _pick(self, source: int, row: int, kinds: tuple[str, ...], candidates: _Candidates | str) -> Pick:
        spec = self.manifest.plan.sources[source]
        sample, place = self.manifest.sources[source].samples[row], spec.samples[row]
        winner = None if sample.method is None else self.winner(source, row)
        return Pick(
            kinds=kinds,
            key=sample.key,
            recording=spec.recordings[place.recording].path,
            frame=place.centre,
            margin=sample.margin,
            ambiguous=is_ambiguous(sample.margin, str(self.manifest.plan.scorer["name"])),
            shape=(spec.height, spec.width),
            tiles=tuple(_tile(method.name, sample, row, winner, candidates) for method in spec.methods),
        )


class _Candidates(Protocol):
    """Where the pictures of candidates come from."""

    def picture(self, method: str, row: int) -> Picture:
        """The candidate of a method for a sample."""

    def difference(self, method: str, row: int, stored: Picture) -> str:
        """How a winner's candidate differs from the stored winner; empty where it does not."""


@dataclass(frozen=True, eq=False)
class _Kept:
    """Candidates that the store holds; whether they are damaged is a question for `verify`."""

    stored: HQSource

    def picture(self, method: str, row: int) -> Picture:
        return np.asarray(self.stored.candidates[method][row])

    def difference(self, _method: str, _row: int, _stored: Picture) -> str:
        return ""


@dataclass(frozen=True, eq=False)
class _Remade:
    """Candidates that are made again from the recordings."""

    remake: Remake
    spec: SourceSpec

    def picture(self, method: str, row: int) -> Picture:
        try:
            return self.remake.candidate(method, self.spec.samples[row])
        except HqgenError as error:
            raise HqgenError(f"not made again: {error.message}", hint=error.hint) from error

    def difference(self, method: str, row: int, stored: Picture) -> str:
        return _difference(self.picture(method, row), stored)


def _tile(
    method: str, sample: SampleRecord, row: int, stored: Picture | None, candidates: _Candidates | str
) -> Tile:
    """A candidate, or why there is none to show; of the winner the stored picture."""
    score, winner = sample.scores[method], method == sample.method
    if score is None:
        return Tile(method, None, None, note=sample.reasons.get(method, "no score"))
    if isinstance(candidates, str):
        return Tile(method, stored if winner else None, score, winner, "" if winner else candidates)
    try:
        if winner and stored is not None:
            return Tile(method, stored, score, winner, candidates.difference(method, row, stored))
        return Tile(method, candidates.picture(method, row), score, winner)
    except HqgenError as error:
        return Tile(method, stored if winner else None, score, winner, error.message)


def _difference(made: Picture, stored: Picture) -> str:
    """How a winner that was made again differs from the stored one; empty where it does not."""
    if made.shape != stored.shape:
        return f"the store has another size, {stored.shape[0]}x{stored.shape[1]}"
    apart = np.abs(made.astype(np.int16) - stored.astype(np.int16))
    if not apart.any():
        return ""
    changed = np.count_nonzero(apart) / apart.size
    return f"made again, {changed:.1%} of the pixels differ from the store, by up to {apart.max()} levels"
