"""Everything that there is to see of one sample of a finished store: pictures, truth, spikes, provenance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import HqgenError, StoreError, UsageError
from hqgen.inspection.candidates import Remake
from hqgen.inspection.index import SampleIndex
from hqgen.inspection.truth import source_with_truth
from hqgen.manifest import MethodSpec, RecordingSpec, SampleRecord, SampleSpec, SourceManifest, SourceSpec
from hqgen.quality.fidelity import at_best_gain, psnr, ssim
from hqgen.quality.normalise import to_uint8
from hqgen.sources.truth import Truth
from hqgen.spikes.recording import Recording
from hqgen.store import NAMES_DAMAGED, HQSource, digest_images, open_described, readable

Picture = NDArray[np.uint8]

SHARDS_KEPT = 24
"""Shards that were read last and stay in memory: each method of a sample has its candidate in another one."""

SPIKES = "spikes"
"""What `Samples.frame` calls the bits of one frame, which no method made."""


@dataclass(frozen=True)
class Place:
    """Where a row of the index is.

    Attributes:
        number: of its source in the manifest.
        row: of the sample in the arrays of its source.
        spec, found: its source in the plan and in the manifest.
        sample: what came of it.
        planned: its place in a recording.
        recording: that recording.
    """

    number: int
    row: int
    spec: SourceSpec
    found: SourceManifest
    sample: SampleRecord
    planned: SampleSpec
    recording: RecordingSpec


@dataclass(frozen=True)
class Rates:
    """Share of the pixels with a spike, in every frame of a sample's window that the recording has.

    Attributes:
        start: the first of these frames.
        values: in [0, 1].
    """

    start: int
    values: tuple[float, ...]


@dataclass(frozen=True)
class BesideTruth:
    """The candidates of a sample beside its ground truth.

    Attributes:
        name: of the ground truth.
        psnr: by method, in dB at the gain that fits best; None without a candidate, or where they are equal.
        ssim: by method, at that gain; None without a candidate.
    """

    name: str
    psnr: dict[str, float | None]
    ssim: dict[str, float | None]


class Samples:
    """The samples of a finished store. Threads may share one.

    Args:
        manifest_path: the manifest; the store is where it says.
        data_root: where the catalog's folders are, for sources that are no longer where they were.

    Attributes:
        manifest: the manifest.
        index: of all samples.

    Raises:
        StoreError: there is no manifest or no complete store, or the store is of another plan.
    """

    def __init__(self, manifest_path: str | Path, data_root: Path | None = None) -> None:
        self.manifest, self._store = open_described(Path(manifest_path))
        self.index = SampleIndex.of(self.manifest)
        self._data_root = data_root
        self._starts = [0, *accumulate(len(source.samples) for source in self.manifest.sources)]
        self._lock = RLock()  # methods and recordings are not made for several threads
        self._stored = lru_cache(maxsize=None)(self._open_source)
        self._shard = lru_cache(maxsize=SHARDS_KEPT)(self._read_shard)
        self._remake = lru_cache(maxsize=None)(self._open_remake)
        self._truths = lru_cache(maxsize=None)(self._open_truths)
        self._light = lru_cache(maxsize=2)(self._read_light)

    def place(self, row: int) -> Place:
        """Where a row of the index is.

        Raises:
            UsageError: there is no such row.
        """
        if not 0 <= row < len(self.index):
            raise UsageError(f"there is no sample {row}", hint=f"there are {len(self.index)}, from 0")
        number = int(self.index.source[row])
        spec, found = self.manifest.plan.sources[number], self.manifest.sources[number]
        row -= self._starts[number]
        planned = spec.samples[row]
        return Place(
            number, row, spec, found, found.samples[row], planned, spec.recordings[planned.recording]
        )

    def method(self, number: int) -> str:
        """The name of a method by its number in the index.

        Raises:
            UsageError: there is no method of this number.
        """
        names = self.index.methods
        if not 0 <= number < len(names):
            raise UsageError(f"there is no method {number}", hint=f"there are {len(names)}, from 0")
        return names[number]

    def thumbnail(self, row: int, factor: int) -> Picture:
        """The stored winner, smaller by a whole factor; it is not compared with its digest.

        Raises:
            StoreError: there is no winner, or it cannot be read.
        """
        place = self.place(row)
        if place.sample.method is None:
            raise StoreError(f"`{place.sample.key}` has no picture: it is quarantined")
        images = self._stored(place.number).images
        with readable(f"the picture of `{place.sample.key}`"):
            picture = np.asarray(images[place.row])
        return smaller(picture, factor)

    def candidate(self, row: int, method: str) -> Picture:
        """The candidate of a method: of the store, else made again. The winner is always that of the store.

        Raises:
            StoreError: it is damaged.
            HqgenError: there is none; or the store holds winners only, and it cannot be made again.
        """
        place = self.place(row)
        spec_of(place, method)
        if place.sample.scores[method] is None:
            reason = place.sample.reasons.get(method, "it has no score")
            raise HqgenError(f"`{method}` has no candidate of `{place.sample.key}`: {reason}")
        if method == place.sample.method:
            return self._kept(place, None)
        if self._stored(place.number).candidates:
            return self._kept(place, method)
        with self._lock:
            return self._remake(place.number).candidate(method, place.planned)

    def truth(self, row: int) -> Picture | None:
        """The ground truth, made a picture by the rule that makes candidates; None where there is none.

        Raises:
            HqgenError: its file is gone or damaged.
        """
        place = self.place(row)
        with self._lock:
            light = self._light(place.number, place.sample.key)
        return None if light is None else to_uint8(light)

    def beside_truth(self, row: int) -> BesideTruth | None:
        """The candidates beside the ground truth; None where there is none.

        Raises:
            HqgenError: a file is gone or damaged.
        """
        place = self.place(row)
        with self._lock:
            found = self._truths(place.number).get(place.sample.key)
            image = self._light(place.number, place.sample.key)
        if found is None or image is None:
            return None
        light = image.astype(np.float64)
        psnrs: dict[str, float | None] = {}
        ssims: dict[str, float | None] = {}
        for method, score in place.sample.scores.items():
            psnrs[method] = ssims[method] = None
            if score is not None:
                fitted = at_best_gain(self.candidate(row, method), light)
                psnrs[method], ssims[method] = psnr(fitted, light), ssim(fitted, light)
        return BesideTruth(found.name, psnrs, ssims)

    def frame(self, row: int, frame: int, how: str) -> Picture:
        """A frame of the sample's recording: its bits (`SPIKES`), or what a method of the plan makes there.

        Raises:
            UsageError: there is no such frame or method.
            HqgenError: the recording is gone, or the method cannot run.
        """
        place = self.place(row)
        if not 0 <= frame < place.recording.frames:
            last = place.recording.frames - 1
            raise UsageError(f"`{place.recording.path}` has no frame {frame}", hint=f"the last one is {last}")
        with self._lock:
            if how == SPIKES:
                bits: Picture = self._recording(place).frames(frame, frame + 1)[0] * np.uint8(255)
                return bits
            spec_of(place, how)
            there = place.planned.model_copy(update={"centre": frame})
            return self._remake(place.number).candidate(how, there)

    def rates(self, row: int) -> Rates:
        """The spike rate, frame by frame, in the widest window of the methods that can run here.

        Raises:
            HqgenError: the recording is gone, or no method can run here.
        """
        place = self.place(row)
        with self._lock:
            before, after = self._reach(place)
            recording = self._recording(place)
            start = max(0, place.planned.centre - before)
            spikes = recording.spikes(start, min(len(recording), place.planned.centre + after + 1))
        # Padding bits are zero, so they do not count.
        counts = np.bitwise_count(spikes.data).sum(axis=1, dtype=np.int64)
        return Rates(start, tuple((counts / (spikes.height * spikes.width)).round(6).tolist()))

    def _recording(self, place: Place) -> Recording:
        return self._remake(place.number).recording(place.planned.recording)

    def _reach(self, place: Place) -> tuple[int, int]:
        """Frames before and after the centre that some method looks at."""
        reaches, problem = [], None
        for method in place.spec.methods:
            try:
                reaches.append(self._remake(place.number).method(method.name).span)
            except HqgenError as error:
                problem = error
        if problem is not None and not reaches:
            raise problem
        return max(before for before, _ in reaches), max(after for _, after in reaches)

    def _kept(self, place: Place, method: str | None) -> Picture:
        """A stored picture out of its shard, which is compared with its digest; without method the winner."""
        shard, offset = divmod(place.row, self.manifest.plan.shard_size)
        picture: Picture = self._shard(place.number, method, shard)[offset]
        return picture

    def _read_shard(self, number: int, method: str | None, shard: int) -> Picture:
        found, stored = self.manifest.sources[number], self._stored(number)
        array = stored.images if method is None else stored.candidates[method]
        size = self.manifest.plan.shard_size
        place = self.place(self._starts[number] + shard * size)
        with readable(f"the pictures of `{found.name}` from `{place.sample.key}` on"):
            pictures = np.asarray(array[place.row : place.row + size])
        expected = found.shards[shard]
        digest = expected.images_blake3 if method is None else expected.candidates_blake3[method]
        if digest_images(pictures) != digest:
            what = "the winners" if method is None else f"the candidates of `{method}`"
            raise StoreError(
                f"{what} in shard {shard} of `{found.name}` are damaged: their digest is not the manifest's",
                hint=NAMES_DAMAGED,
            )
        return pictures

    def _open_source(self, number: int) -> HQSource:
        return self._store[self.manifest.sources[number].name]

    def _open_remake(self, number: int) -> Remake:
        plan = self.manifest.plan
        return Remake(plan, plan.sources[number], self.manifest.sources[number], self._data_root)

    def _open_truths(self, number: int) -> dict[str, Truth]:
        source = source_with_truth(self.manifest.sources[number], self._data_root)
        if source is None:
            return {}
        truths = {sample.key: source.truth(sample) for sample in source.samples}
        return {key: truth for key, truth in truths.items() if truth is not None}

    def _read_light(self, number: int, key: str) -> NDArray[np.float32] | None:
        found = self._truths(number).get(key)
        return None if found is None else found.light()


def spec_of(place: Place, method: str) -> MethodSpec:
    """A method of the sample's source as the plan fixes it.

    Raises:
        UsageError: its source has no such method.
    """
    for spec in place.spec.methods:
        if spec.name == method:
            return spec
    raise UsageError(f"`{place.spec.name}` has no method `{method}`")


def smaller(picture: Picture, factor: int) -> Picture:
    """A picture made smaller by a whole factor: each pixel is the mean of factor x factor ones."""
    factor = max(1, min(factor, *picture.shape))
    if factor == 1:
        return picture
    rows, columns = (side // factor for side in picture.shape)
    blocks = picture[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    means: Picture = np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)
    return means
