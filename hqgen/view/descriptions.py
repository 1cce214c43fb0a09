"""What the page shows of a store and of a sample: plain values for JSON; a NaN is null."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqgen.inspection.index import Histogram, SampleIndex, Selection
from hqgen.inspection.samples import Place, Samples
from hqgen.inspection.statistics import AMBIGUOUS, is_ambiguous
from hqgen.manifest import Manifest


def store_description(samples: Samples, version: str) -> dict[str, Any]:
    """What holds for all samples."""
    manifest, index = samples.manifest, samples.index
    scorer = str(manifest.plan.scorer["name"])
    return {
        "version": version,
        "plan_id": manifest.plan_id,
        "store": manifest.store,
        "finished": manifest.times.finished,
        "samples": len(index),
        "methods": list(index.methods),
        "sources": [
            {"name": spec.name, "height": spec.height, "width": spec.width, "samples": len(spec.samples)}
            for spec in manifest.plan.sources
        ],
        "reasons": [{"text": text, "samples": len(rows)} for text, rows in index.reasons.items()],
        "scorer": scorer,
        "rule": str(manifest.plan.rule["name"]),
        "judges": [str(judge["name"]) for judge in manifest.plan.judges],
        "ambiguous_below": AMBIGUOUS if is_ambiguous(0.0, scorer) else None,
        "ambiguous": int(index.ambiguous.sum()),
        "quarantined": int(index.quarantined.sum()),
        "keep_candidates": manifest.plan.keep_candidates,
    }


def page_of(
    index: SampleIndex, found: Selection, start: int, count: int, find: int | None = None
) -> dict[str, Any]:
    """Some rows of a selection in columns, the place of the row `find`, and the counts of all of it."""
    rows = found.rows[start : start + count]
    places = [] if find is None else np.flatnonzero(found.rows == find).tolist()
    return {
        "total": len(found.rows),
        "start": start,
        "position": places[0] if places else None,
        "row": rows.tolist(),
        "key": [index.keys[row] for row in rows],
        "source": index.source[rows].tolist(),
        "winner": index.winner[rows].tolist(),
        "score": _plain(index.score[rows]),
        "margin": _plain(index.margin[rows]),
        "ambiguous": index.ambiguous[rows].tolist(),
        "counts": {"sources": found.sources, "winners": found.winners},
        "histograms": {"score": _histogram(found.scores), "margin": _histogram(found.margins)},
    }


def sample_description(samples: Samples, row: int) -> dict[str, Any]:
    """Everything that the manifest says of one sample.

    Raises:
        UsageError: there is no such row.
    """
    place = samples.place(row)
    sample = place.sample
    numbers = {name: number for number, name in enumerate(samples.index.methods)}
    return {
        "row": row,
        "key": sample.key,
        "source": place.spec.name,
        "height": place.spec.height,
        "width": place.spec.width,
        "winner": None if sample.method is None else numbers[sample.method],
        "score": sample.score,
        "margin": sample.margin,
        "ambiguous": bool(samples.index.ambiguous[row]),
        "refused": sample.refused,
        "frame": place.planned.centre,
        "frames": place.recording.frames,
        "candidates": [
            {
                "method": numbers[method.name],
                "name": method.name,
                "score": sample.scores[method.name],
                "judges": {name: values.get(method.name) for name, values in sample.judges.items()},
                "reason": sample.reasons.get(method.name),
                "mirrored": sample.mirrored.get(method.name, 0.0),
                "leg": method.leg,
            }
            for method in place.spec.methods
        ],
        "provenance": _provenance(samples.manifest, place),
    }


def _provenance(manifest: Manifest, place: Place) -> dict[str, str]:
    """Where every pixel comes from, in words."""
    plan, shard = manifest.plan, place.row // manifest.plan.shard_size
    facts = {
        "recording": place.recording.path,
        "folder": place.found.folder or "simulated",
        "recording, bytes": f"{place.recording.size:,}",
        "recording, BLAKE3": place.recording.blake3,
        "centre frame": f"{place.planned.centre} of {place.recording.frames}",
        "rule": _specification(plan.rule),
        "scorer": _specification(plan.scorer),
        "normalisation": _parameters(plan.normalisation),
        "plan": manifest.plan_id,
        "store": manifest.store,
        "shard": f"{shard}, row {place.row} of `{place.spec.name}`",
        "shard, BLAKE3": place.found.shards[shard].images_blake3 if shard < len(place.found.shards) else "",
        "built": manifest.times.finished,
        "software": _parameters(manifest.software),
    }
    for method in place.spec.methods:
        weights = f", weights {method.weights}" if method.weights else ""
        parameters = f" ({_parameters(method.parameters)})" if method.parameters else ""
        facts[f"method {method.name}"] = f"version {method.version}{parameters}{weights}"
    if manifest.repicked_from is not None:
        facts["picked again from"] = manifest.repicked_from.manifest
    return facts


def _specification(values: dict[str, Any]) -> str:
    parameters = _parameters(values.get("parameters") or {})
    return f"{values['name']}, version {values['version']}{f' ({parameters})' if parameters else ''}"


def _parameters(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _histogram(found: Histogram) -> dict[str, Any]:
    return {"low": found.low, "high": found.high, "counts": list(found.counts)}


def _plain(values: NDArray[np.float32]) -> list[float | None]:
    return [None if math.isnan(value) else round(value, 4) for value in values.tolist()]
