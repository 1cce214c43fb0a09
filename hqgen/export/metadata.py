"""What an export says of each picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hqgen
from hqgen.export.selection import Chosen
from hqgen.manifest import Manifest

COLUMNS = {
    "key": "the sample's key in the store",
    "source": "the source it is from",
    "recording": "its recording, relative to the folder of the source",
    "frame": "the centre frame, counted from 0",
    "split": "its split; all samples of a recording are in the same one",
    "method": "the method that made the picture",
    "score": "the picture's score, lower is better",
    "margin": "how much better that is than the best other candidate; null without one",
    "scores": "the scores of all candidates, by method; null for a candidate that could not be made",
    "judges": "what the other judges say of the picture; lower is better",
    "verdict": "what a person said of it, `pick` or `mark`; null for most",
    "height": "rows of pixels",
    "width": "columns of pixels",
    "bits": "depth of a pixel",
}
"""What the columns hold."""


_KINDS = {
    "frame": "int64",
    "height": "int64",
    "width": "int64",
    "bits": "int64",
    "score": "float64",
    "margin": "float64",
}
"""Types of the columns that do not hold text."""


def features(methods: Sequence[str], judges: Sequence[str]) -> dict[str, str | dict[str, str]]:
    """The columns as `datasets` describes them: the type of each by name, or a table of types.

    A table without columns is left out; a parquet file cannot hold it.
    """
    tables = {"scores": methods, "judges": judges}
    described = {
        name: dict.fromkeys(tables[name], "float64") if name in tables else _KINDS.get(name, "string")
        for name in COLUMNS
    }
    return {"image": "image"} | {name: kind for name, kind in described.items() if kind}


def method_names(manifest: Manifest) -> list[str]:
    """The methods of all sources, each once: the keys of `scores`."""
    return list(dict.fromkeys(method.name for source in manifest.plan.sources for method in source.methods))


def judge_names(manifest: Manifest) -> list[str]:
    """The keys of `judges`."""
    return [str(judge["name"]) for judge in manifest.plan.judges]


def metadata(sample: Chosen, bits: int, methods: Sequence[str], judges: Sequence[str]) -> dict[str, Any]:
    """The row of a sample, of plain JSON values.

    Args:
        sample: the sample.
        bits: depth of its PNG file.
        methods: of all sources, so that all rows have the same form.
        judges: of the plan.
    """
    record = sample.record
    return {
        "key": record.key,
        "source": sample.source.name,
        "recording": sample.recording.path,
        "frame": sample.place.centre,
        "split": sample.split,
        "method": sample.method,
        "score": sample.score,
        "margin": record.margin,
        "scores": {name: record.scores.get(name) for name in methods},
        "judges": {name: record.judges[name].get(sample.method) for name in judges},
        "verdict": sample.verdict and sample.verdict.action,
        "height": sample.source.height,
        "width": sample.source.width,
        "bits": bits,
    }


def png_text(sample: Chosen, plan_id: str) -> dict[str, str]:
    """The provenance that a PNG file carries in itself, by keyword."""
    return {
        "Software": f"hqgen {hqgen.__version__}",
        "hqgen:plan_id": plan_id,
        "hqgen:key": sample.record.key,
        "hqgen:recording": sample.recording.path,
        "hqgen:recording_blake3": sample.recording.blake3,
        "hqgen:frame": str(sample.place.centre),
        "hqgen:method": sample.method,
        "hqgen:score": repr(sample.score),
        **({} if sample.verdict is None else {"hqgen:verdict": sample.verdict.action}),
    }
