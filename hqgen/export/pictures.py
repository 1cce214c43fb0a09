"""The PNG files of samples, in the order of the store, a shard at a time."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hqgen.errors import StoreError
from hqgen.export.metadata import png_text
from hqgen.export.selection import Chosen
from hqgen.inspection.candidates import Remake
from hqgen.manifest import Manifest
from hqgen.quality.normalise import to_uint8, to_uint16
from hqgen.store import HQSource, HQStore, readable

Reader = Callable[[Sequence[Chosen]], list[NDArray[Any]]]
"""Gives the pictures of samples of one shard."""


def png_files(
    manifest: Manifest, store: HQStore, samples: Sequence[Chosen], bits: int, data_root: Path
) -> Iterator[tuple[Chosen, bytes]]:
    """Each sample and its PNG file; no more than the pictures of one shard are in memory.

    Args:
        manifest: of the store.
        store: that holds the samples.
        samples: in the order of the store.
        bits: 8 for the pictures of the store; 16 for the winners made again from the recordings.
        data_root: where the catalog's folders are, for a source that is no longer where it was.

    Raises:
        StoreError: a picture that was made again is another one than in the store.
        HqgenError: with 16 bits: a recording is gone, or a method cannot run here.
    """
    size = manifest.plan.shard_size
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # packing lets the interpreter lock go
        for name, of_source in groupby(samples, key=lambda sample: sample.source.name):
            read = _reader(manifest, store[name], bits, data_root)
            for _, group in groupby(of_source, key=lambda sample: sample.row // size):
                shard = list(group)
                pack = partial(_png, plan_id=manifest.plan_id)
                yield from zip(shard, pool.map(pack, shard, read(shard)), strict=True)


def _reader(manifest: Manifest, source: HQSource, bits: int, data_root: Path) -> Reader:
    if bits == 8:
        return partial(stored, source)
    plans, sources = manifest.plan.sources, manifest.sources
    spec, found = next(pair for pair in zip(plans, sources, strict=True) if pair[0].name == source.name)
    remake = Remake(manifest.plan, spec, found, data_root)
    return partial(_deeper, source, remake)


def stored(source: HQSource, samples: Sequence[Chosen]) -> list[NDArray[np.uint8]]:
    """Pictures of the store, of samples of one shard: uint8 (H, W) each.

    Raises:
        StoreError: the shard is damaged.
    """
    rows = slice(samples[0].row, samples[-1].row + 1)
    with readable(f"the pictures of `{source.name}` from `{samples[0].record.key}` on"):
        shards = {name: array[rows] for name, array in _arrays(source, samples).items()}
    return [shards[_array_of(sample)][sample.row - rows.start] for sample in samples]


def _array_of(sample: Chosen) -> str | None:
    """The method whose candidate the picture is, or None for the winner of the store."""
    return sample.method if sample.overruled else None


def _arrays(source: HQSource, samples: Sequence[Chosen]) -> dict[str | None, Any]:
    """The arrays that hold the pictures of samples."""
    names = {_array_of(sample) for sample in samples}
    return {name: source.images if name is None else source.candidates[name] for name in names}


def _deeper(source: HQSource, remake: Remake, samples: Sequence[Chosen]) -> list[NDArray[np.uint16]]:
    """The same with 16 bits: uint16 (H, W) each."""
    return [
        _remade(remake, sample, picture)
        for sample, picture in zip(samples, stored(source, samples), strict=True)
    ]


def _remade(remake: Remake, sample: Chosen, picture: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """The winner with 16 bits, if its 8 bits are those of the store.

    A network on another device may round a pixel to the next level; anything more is another picture.
    """
    image = remake.image(sample.method, sample.place)
    made = to_uint8(image, remake.rule)
    apart = 256 if made.shape != picture.shape else int(np.abs(made.astype(int) - picture).max())
    if apart > 1:
        raise StoreError(
            f"`{sample.record.key}`: made again by `{sample.method}`, the picture is not that of the store",
            hint="the recording or the software has changed since the build; export with `--bits 8`",
        )
    return to_uint16(image, remake.rule)


def _png(sample: Chosen, picture: NDArray[Any], plan_id: str) -> bytes:
    info = PngInfo()
    for keyword, text in png_text(sample, plan_id).items():
        info.add_itxt(keyword, text)
    data = io.BytesIO()
    Image.fromarray(picture).save(data, format="PNG", pnginfo=info, compress_level=6)
    return data.getvalue()
