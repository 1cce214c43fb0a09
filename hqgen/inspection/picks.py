"""The picks of a finished store that are worth looking at, with all their candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import HqgenError, StoreError
from hqgen.inspection.candidates import Remake
from hqgen.inspection.statistics import is_ambiguous
from hqgen.manifest import SampleRecord, SampleSpec, read_manifest
from hqgen.store import open_store

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
        kinds: what it is an example of: `best`, `worst`, `smallest margin`, `no picture`.
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
    """Rows of the best, the worst and the most ambiguous picks, and of samples without a picture.

    Returns:
        Every row once, with all that it is an example of.
    """
    scored = sorted((sample.score, row) for row, sample in enumerate(samples) if sample.score is not None)
    close = sorted((sample.margin, row) for row, sample in enumerate(samples) if sample.margin is not None)
    examples = {
        "best": [row for _, row in scored[:each]],
        "worst": [row for _, row in reversed(scored[each:])][:each],
        "smallest margin": [row for _, row in close[:each]],
        "no picture": [row for row, sample in enumerate(samples) if sample.method is None][:each],
    }
    kinds: dict[int, tuple[str, ...]] = {}
    for kind, rows in examples.items():
        for row in rows:
            kinds[row] = (*kinds.get(row, ()), kind)
    return list(kinds.items())


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
        manifest_path = Path(manifest_path)
        self.manifest = read_manifest(manifest_path)
        self._store = open_store(manifest_path.parent / self.manifest.store)
        self._data_root = data_root
        if self._store.plan_id != self.manifest.plan_id:
            raise StoreError(
                f"the store `{self._store.path}` is of another plan than the manifest `{manifest_path}`",
                hint="`hqgen inspect MANIFEST --verify` says what differs",
            )

    def picks(self, source: int, *, each: int = EACH, or_stored: bool = False) -> Iterator[Pick]:
        """Picks of the manifest's source number `source`, with all candidates, made again.

        With `or_stored`, where they cannot be made again: the winners alone, as they are in the store, and
        the reason in the notes of the others.

        Raises:
            SourceError: its recordings are gone; the message names the folder.
            StoreError: this version of hqgen normalises otherwise than the plan says.
        """
        spec, found = self.manifest.plan.sources[source], self.manifest.sources[source]
        remake: Remake | str
        try:
            remake = Remake(self.manifest.plan, spec, found, self._data_root)
        except HqgenError as error:
            if not or_stored:
                raise
            remake = error.message
        images = self._store[spec.name].images
        for row, kinds in choose(found.samples, each):
            sample, place = found.samples[row], spec.samples[row]
            stored = None if sample.method is None else np.asarray(images[row])
            tiles = tuple(_tile(method.name, sample, place, stored, remake) for method in spec.methods)
            yield Pick(
                kinds=kinds,
                key=sample.key,
                recording=spec.recordings[place.recording].path,
                frame=place.centre,
                margin=sample.margin,
                ambiguous=is_ambiguous(sample.margin, str(self.manifest.plan.scorer["name"])),
                shape=(spec.height, spec.width),
                tiles=tiles,
            )


def _tile(
    method: str, sample: SampleRecord, place: SampleSpec, stored: Picture | None, remake: Remake | str
) -> Tile:
    """A candidate made again, or why that cannot be; of the winner the stored picture.

    A winner that was made again is compared with the stored one.
    """
    score, winner = sample.scores[method], method == sample.method
    if score is None:
        return Tile(method, None, None, note=sample.reasons.get(method, "no score"))
    if isinstance(remake, str):
        return Tile(method, stored if winner else None, score, winner, "" if winner else remake)
    note, picture = "", None
    try:
        picture = remake.candidate(method, place)
    except HqgenError as error:
        note = f"not made again: {error.message}"
    if winner and stored is not None:
        note = note if picture is None else _difference(picture, stored)
        picture = stored
    return Tile(method, picture, score, winner, note)


def _difference(made: Picture, stored: Picture) -> str:
    """How a winner that was made again differs from the stored one; empty where it does not."""
    if made.shape != stored.shape:
        return f"the store has another size, {stored.shape[0]}x{stored.shape[1]}"
    apart = np.abs(made.astype(np.int16) - stored.astype(np.int16))
    if not apart.any():
        return ""
    changed = np.count_nonzero(apart) / apart.size
    return f"made again, {changed:.1%} of the pixels differ from the store, by up to {apart.max()} levels"
