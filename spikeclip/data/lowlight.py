"""The low-light set: labelled low-light streams as packed bits in one Zarr store.

::

    low.zarr/               attributes: classes, geometry, digest, where it came from, what was left out
    └── train/, test/       a group a split
        ├── packed  uint8  (N, T, ceil(H * W / 8))   least significant bit first, top row first; a chunk each
        ├── labels  int64  (N,)                      indices into the classes
        ├── keys    string (N,)                      names of the recordings
        └── truth   uint8  (N, H, W)                 the clean pictures of a simulated set; a chunk each

A set is written beside its place and moved there when it is whole: a half-written set is never there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import StoreError, UnknownNameError
from hqgen.files import blake3_bytes
from hqgen.sources import Rejected
from hqgen.spikes.packed import PackedSpikes, frame_bytes
from hqgen.text import why

if TYPE_CHECKING:
    import zarr
    from torch import Tensor

FORMAT = "spikeclip-low-light"

_RESIDENT_SHARE = 0.5
"""The share of the free memory that samples may take: the network and its activations need the other half."""

_HOW_TO_MAKE = "`spikeclip prepare` makes one of recordings, `spikeclip simulate` of pictures"

THREADS = min(8, os.cpu_count() or 1)

Bytes = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LowLightSplit:
    """The samples of one split.

    Attributes:
        name: `train`, `test`, ...
        height: H of a frame.
        width: W of a frame.
        packed: Zarr array, uint8 (M, T, ceil(H * W / 8)), of all samples on the disk.
        rows: int64 (N,), where in `packed` the samples of this split are.
        labels: int64 (N,), indices into the classes of the set.
        keys: names of the samples, N of them.
        truth: Zarr array, uint8 (M, H, W), of all clean pictures on the disk; None where they are not known.
    """

    name: str
    height: int
    width: int
    packed: zarr.Array[Any]
    rows: Labels
    labels: Labels
    keys: tuple[str, ...]
    truth: zarr.Array[Any] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def frames(self) -> int:
        """T."""
        return int(self.packed.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of all samples, packed."""
        return len(self) * self.frames * frame_bytes(self.height, self.width)

    def select(self, indices: Sequence[int] | Labels) -> LowLightSplit:
        """Some of the samples, in the order of the indices, as a split of the same name.

        Raises:
            IndexError: an index that is not 0..N - 1.
        """
        chosen = self._checked(indices)
        keys = tuple(self.keys[index] for index in chosen)
        return replace(self, rows=self.rows[chosen], labels=self.labels[chosen], keys=keys)

    def read(self, indices: Sequence[int] | Labels) -> tuple[Bytes, Labels]:
        """Some samples: packed uint8 (B, T, bytes) and labels int64 (B,), in the order of the indices.

        Raises:
            IndexError: an index that is not 0..N - 1.
            StoreError: a sample on the disk is damaged.
        """
        chosen = self._checked(indices)
        streams = np.empty((len(chosen), *self.packed.shape[1:]), np.uint8)
        with ThreadPoolExecutor(THREADS) as pool:
            for place, stream in enumerate(pool.map(self.packed_sample, chosen.tolist())):
                streams[place] = stream
        return streams, self.labels[chosen]

    def truths(self, indices: Sequence[int] | Labels) -> Bytes | None:
        """The clean pictures of some samples: the light that the camera saw at the middle frame.

        Returns:
            uint8 (B, H, W), grey levels proportional to light; None where they are not known.

        Raises:
            IndexError, StoreError: as `read`.
        """
        chosen = self._checked(indices).tolist()
        pictures = [picture for index in chosen if (picture := self.truth_sample(index)) is not None]
        return None if self.truth is None else np.stack(pictures)

    def stream(self, index: int) -> PackedSpikes:
        """One sample as a spike stream; errors as `read`."""
        return PackedSpikes(self.packed_sample(int(self._checked([index])[0])), self.height, self.width)

    def resident(self, device: str | Any = "cpu") -> Tensor | None:
        """All samples in the device's memory: uint8 (N, T, bytes); decided and loaded once, and kept.

        Returns:
            None where they would take more than half of the memory that is free there.
        """
        import torch

        place = torch.device(device)
        kept: dict[Any, Tensor | None] = self.__dict__.setdefault("_resident", {})
        if place not in kept:
            fits = self.nbytes <= _RESIDENT_SHARE * _free_memory(place)
            kept[place] = self._loaded(place) if fits else None
        return kept[place]

    def _loaded(self, place: Any) -> Tensor:
        import torch

        shape = (len(self), *self.packed.shape[1:])
        whole = torch.empty(shape, dtype=torch.uint8, device=place)
        for start in range(0, len(self), 64):
            rows = range(start, min(start + 64, len(self)))
            whole[start : rows.stop] = torch.from_numpy(self.read(rows)[0]).to(place)
        return whole

    def _checked(self, indices: Sequence[int] | Labels) -> Labels:
        chosen = np.asarray(indices, np.int64)
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(self):
            raise IndexError(f"the split `{self.name}` has the samples 0..{len(self) - 1}, not {chosen}")
        return chosen

    def packed_sample(self, index: int) -> Bytes:
        """One sample as it is stored, uint8 (T, bytes); its index is not checked."""
        return self._stored(self.packed, index)

    def truth_sample(self, index: int) -> Bytes | None:
        """Its clean picture as it is stored, uint8 (H, W); None where it is not known."""
        return None if self.truth is None else self._stored(self.truth, index)

    def _stored(self, array: zarr.Array[Any], index: int) -> Bytes:
        try:
            return np.asarray(array[int(self.rows[index])], np.uint8)
        except Exception as error:  # zarr's codecs raise whatever their libraries do
            raise StoreError(
                f"sample `{self.keys[index]}` of the low-light set is damaged: {error}",
                hint="remove the set and prepare it again",
            ) from error


def _free_memory(device: Any) -> int:
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(os.sysconf("SC_AVPHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))


@dataclass(frozen=True, eq=False)
class LowLightSet:
    """A low-light set, open for reading.

    Attributes:
        path: where it is.
        labels: names of the classes; a label is an index in this list.
        geometry: (H, W).
        frames: T.
        digest: BLAKE3 over classes, geometry and all samples.
        truth: the same over the clean pictures instead of the streams; None where they are not known.
        splits: names of the splits.
        made_from: what it was made from and how.
        rejected: files that were left out, with the reasons.
    """

    path: Path
    labels: tuple[str, ...]
    geometry: tuple[int, int]
    frames: int
    digest: str
    truth: str | None
    splits: tuple[str, ...]
    made_from: Mapping[str, Any]
    rejected: tuple[Rejected, ...]
    _open: Mapping[str, LowLightSplit]

    def split(self, name: str) -> LowLightSplit:
        """One split.

        Raises:
            UnknownNameError: there is no such split.
        """
        if name not in self._open:
            raise UnknownNameError(f"split of the low-light set `{self.path}`", name, self.splits)
        return self._open[name]

    def verify(self) -> None:
        """Read every sample and compare the digest.

        Raises:
            StoreError: a sample is damaged, or the content is not what was written.
        """
        streams, truth = (Digest(self.labels, self.geometry, self.frames) for _ in range(2))
        for name in self.splits:
            split = self._open[name]
            for row, key in enumerate(split.keys):
                streams.add(name, key, int(split.labels[row]), split.packed_sample(row))
                if (picture := split.truth_sample(row)) is not None:
                    truth.add(name, key, int(split.labels[row]), picture)
        if streams.hex() != self.digest or self.truth not in (None, truth.hex()):
            raise StoreError(
                f"the low-light set `{self.path}` no longer holds what was written",
                hint="remove it and prepare it again",
            )


def partial_path(out: Path) -> Path:
    """Where a set is while it is written."""
    return out.with_name(f".{out.name}.partial")


class Digest:
    """BLAKE3 over the content of a set: classes, geometry, and each sample in its order."""

    def __init__(self, labels: Sequence[str], geometry: tuple[int, int], frames: int) -> None:
        self._parts: list[Any] = [list(labels), list(geometry), frames]

    def add(self, split: str, key: str, label: int, content: Bytes) -> None:
        """Take in one sample."""
        self._parts.append([split, key, label, blake3_bytes(np.ascontiguousarray(content).data)])

    def hex(self) -> str:
        """The digest of what was taken in so far, 64 hexadecimal digits."""
        return blake3_bytes(json.dumps(self._parts).encode())


def open_prepared(path: str | os.PathLike[str]) -> LowLightSet:
    """Open a low-light set for reading. Samples are not read here; see `LowLightSet.verify`.

    Raises:
        StoreError: there is none, it was never finished, or it is damaged.
    """
    import zarr

    path = Path(path)
    if partial_path(path).is_dir() and not path.is_dir():
        raise StoreError(
            f"the low-light set `{path}` is not finished", hint="run the command that makes it again"
        )
    if not path.is_dir():
        raise StoreError(f"there is no low-light set at `{path}`", hint=_HOW_TO_MAKE)
    try:
        root = zarr.open_group(path, mode="r", zarr_format=3)
        attributes = root.attrs.asdict()
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"`{path}` is not a low-light set: {why(error)}", hint=_HOW_TO_MAKE) from error
    if attributes.get("format") != FORMAT:
        raise StoreError(f"`{path}` is a Zarr group, but not a low-light set", hint=_HOW_TO_MAKE)
    try:
        return _opened(path, root, attributes)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"the low-light set `{path}` is damaged: {error}", hint="remove it and prepare it again"
        ) from error


def _opened(path: Path, root: zarr.Group, attributes: dict[str, Any]) -> LowLightSet:
    height, width = attributes["geometry"]
    splits = {name: _open_split(name, root[name], height, width, attributes) for name in attributes["splits"]}
    return LowLightSet(
        path=path,
        labels=tuple(attributes["labels"]),
        geometry=(height, width),
        frames=attributes["frames"],
        digest=attributes["digest"],
        truth=attributes.get("truth"),  # sets of version 0.1 have none
        splits=tuple(splits),
        made_from=attributes["made_from"],
        rejected=tuple(Rejected(*item) for item in attributes["rejected"]),
        _open=splits,
    )


def _open_split(name: str, group: Any, height: int, width: int, attributes: dict[str, Any]) -> LowLightSplit:
    packed, labels, keys = group["packed"], group["labels"][:], group["keys"][:]
    expected = (len(labels), attributes["frames"], frame_bytes(height, width))
    if packed.shape != expected or len(keys) != len(labels):
        raise ValueError(f"`{name}` holds streams {packed.shape}, expected {expected}")
    truth = None if attributes.get("truth") is None else group["truth"]
    if truth is not None and truth.shape != (len(labels), height, width):
        raise ValueError(f"`{name}` holds clean pictures {truth.shape}")
    # A chunk that is not there would be read as a stream without spikes, or as a black picture.
    for array in (packed, truth):
        if array is not None and array.nchunks_initialized != len(labels):
            raise ValueError(f"`{name}` lacks {len(labels) - array.nchunks_initialized} of its samples")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(attributes["labels"]):
        raise ValueError(f"`{name}` has labels {labels.min()}..{labels.max()}, but there are fewer classes")
    rows = np.arange(len(labels))
    names = tuple(str(key) for key in keys)
    return LowLightSplit(name, height, width, packed, rows, labels, names, truth)
