"""The data card of an export: `README.md`, which the Hugging Face Hub shows and `datasets` reads.

Everything in it is from the manifest, the catalog and the registries of methods and weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

import hqgen
from hqgen.export.metadata import COLUMNS, features, judge_names, method_names
from hqgen.export.selection import Chosen, Selection
from hqgen.export.settings import ExportSettings
from hqgen.export.writers import Writer
from hqgen.inspection.statistics import AMBIGUOUS, NIQE_BLOCK, is_ambiguous, niqe_blocks
from hqgen.manifest import Manifest, MethodSpec, SourceManifest, SourceSpec
from hqgen.methods.published import load_weights_catalog
from hqgen.methods.registry import citation_of
from hqgen.methods.weights import list_weights
from hqgen.sources.catalog import SourceSettings, load_catalog, load_folder_settings

FILE = "README.md"

NOT_STATED = "not stated"


def write_card(
    folder: Path, kind: type[Writer], manifest: Manifest, selection: Selection, settings: ExportSettings
) -> None:
    """Write the card of an export into its folder."""
    environment = Environment(
        loader=PackageLoader("hqgen.export"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the card is Markdown: `cell` makes every text safe
    )
    environment.filters["cell"] = cell
    text = environment.get_template("card.md").render(facts(kind, manifest, selection, settings))
    (folder / FILE).write_text(text, encoding="utf-8")


def cell(text: object) -> str:
    """A text that stays text in a cell of a Markdown table."""
    plain = escape(" ".join(str(text).split()), quote=False)
    return "".join(f"\\{letter}" if letter in "|`*_[]\\" else letter for letter in plain)


def facts(
    kind: type[Writer], manifest: Manifest, selection: Selection, settings: ExportSettings
) -> dict[str, Any]:
    """All that the card says, by name in its template."""
    samples, plan = selection.samples, manifest.plan
    scorer, judges = str(plan.scorer["name"]), judge_names(manifest)
    used = [name for name in selection.splits if any(item.split == name for item in samples)]
    groups = [[item for item in samples if item.source.name == spec.name] for spec in plan.sources]
    return {
        "version": hqgen.__version__,
        "plan_id": manifest.plan_id,
        "software": manifest.software,
        "settings": settings,
        "files": [(name, kind.pattern.format(split=name)) for name in used],
        "splits": [(name, _counts(item for item in samples if item.split == name)) for name in used],
        "total": len(samples),
        "size_category": _size_category(len(samples)),
        "features": features(method_names(manifest), judges),
        "left_out": selection.left_out,
        "scorer": scorer,
        "rule": plan.rule["name"],
        "niqe": scorer in ("niqe", "pyiqa-niqe"),
        "block": NIQE_BLOCK,
        "ambiguous_below": AMBIGUOUS,
        "ambiguous": sum(is_ambiguous(item.record.margin, scorer) for item in samples),
        "sources": [
            _source(spec, found, group)
            for spec, found, group in zip(plan.sources, manifest.sources, groups, strict=True)
            if group
        ],
        "methods": _methods(manifest, samples),
        "columns": COLUMNS,
        "verdicts": Counter(item.verdict.action for item in samples if item.verdict is not None),
        "judges": judges,
    }


def _size_category(total: int) -> str:
    """How the Hub names the size of a data set."""
    limits = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
    return next((name for limit, name in limits if total < limit), "n>1M")


def _counts(samples: Iterable[Chosen]) -> tuple[int, int]:
    """Samples, and their recordings."""
    found = [(item.source.name, item.place.recording) for item in samples]
    return len(found), len(set(found))


def _source(spec: SourceSpec, found: SourceManifest, samples: Sequence[Chosen]) -> dict[str, Any]:
    described = describe_source(found)
    margins = [item.record.margin for item in samples if item.record.margin is not None]
    return {
        "name": spec.name,
        "title": described.title or "a folder of recordings",
        "licence": described.licence or NOT_STATED,
        "citation": described.citation or NOT_STATED,
        "counts": _counts(samples),
        "size": (spec.height, spec.width),
        "blocks": niqe_blocks(spec.height, spec.width),
        "scores": _distribution([item.score for item in samples]),
        "margins": _distribution(margins),
    }


def describe_source(found: SourceManifest) -> SourceSettings:
    """What the catalog, or the `source.toml` of a folder that is still there, says of a source."""
    if (entry := load_catalog().get(found.name)) is not None:
        return entry
    folder = None if found.folder is None else Path(found.folder)
    return load_folder_settings(folder) if folder is not None and folder.is_dir() else SourceSettings()


def _distribution(values: Sequence[float]) -> list[str]:
    """Smallest value, quartiles and largest value, as text; dashes without a value."""
    if not values:
        return ["-"] * 5
    return [f"{value:.2f}" for value in np.percentile(values, [0, 25, 50, 75, 100])]


def _methods(manifest: Manifest, samples: Sequence[Chosen]) -> list[dict[str, Any]]:
    wins = Counter(item.method for item in samples)
    licences = {entry.sha256: entry.licence for entry in list_weights()}
    for published in load_weights_catalog().weights:
        if published.sha256 is not None:
            licences.setdefault(published.sha256, published.licence)
    specs: dict[str, MethodSpec] = {m.name: m for source in manifest.plan.sources for m in source.methods}
    return [
        {
            "name": name,
            "wins": wins[name],
            "version": spec.version,
            "parameters": ", ".join(f"{key}={value}" for key, value in spec.parameters.items()) or "none",
            "citation": citation_of(name) or NOT_STATED,
            "weights": "none" if spec.weights is None else f"sha256 {spec.weights[:16]}",
            "licence": "" if spec.weights is None else licences.get(spec.weights, NOT_STATED),
        }
        for name, spec in specs.items()
    ]
