"""The HQ store: one Zarr v3 group a source, holding the winners and all candidates.

::

    hq.zarr/                     attributes: format, plan_id and whether the store is complete
    └── <source>/                attributes: methods, in the order of the columns of `scores`
        ├── images   uint8   (N, H, W)   chunks (1, H, W), shards (S, H, W)
        ├── candidates/<method>          the same: its picture of every sample; black if there is none
        ├── scores   float32 (N, M)      of every candidate; NaN if there is none
        ├── judges/<name>    float32 (N, M)    what other judges say of every candidate; NaN if nothing
        ├── method   int8    (N,)        column of the winner; -1 if there is none
        ├── margin   float32 (N,)        lead over the runner-up; inf without one, NaN without a winner
        ├── valid    bool    (N,)        whether there is a winner; where not, the image is black
        └── keys     string  (N,)        the samples' keys

The axes have names (`dimension_names`): `sample`, `y` and `x` of the pictures, `sample` and `candidate` of
`scores` and `judges`. xarray needs them to open a source.

`images` and `candidates` are created at their final size before any worker writes, and every shard of them is
written whole, by one task. A build that keeps winners only has no `candidates`. The small arrays follow from
the records and are written once, when all shards are there. This package is the only one of hqgen that knows
Zarr.
"""

from __future__ import annotations

from hqgen.store.reading import NAMES_DAMAGED, HQSource, HQStore, open_described, open_store, readable
from hqgen.store.writing import (
    IMAGES,
    JUDGES,
    ROOT,
    StoreWriter,
    candidates_of,
    columns,
    digest_images,
    digests_of,
)

__all__ = [
    "IMAGES",
    "JUDGES",
    "NAMES_DAMAGED",
    "ROOT",
    "HQSource",
    "HQStore",
    "StoreWriter",
    "candidates_of",
    "columns",
    "digest_images",
    "digests_of",
    "open_described",
    "open_store",
    "readable",
]
