"""Datasets: from a catalog entry to samples."""

from __future__ import annotations

from hqgen.sources.catalog import CatalogEntry, SourceSettings, load_catalog
from hqgen.sources.describe import SourceRow, describe_sources
from hqgen.sources.recordings import Rejected, SourceRecording
from hqgen.sources.resolve import resolve_sources
from hqgen.sources.samples import Sample
from hqgen.sources.source import Source

__all__ = [
    "CatalogEntry",
    "Rejected",
    "Sample",
    "Source",
    "SourceRecording",
    "SourceRow",
    "SourceSettings",
    "describe_sources",
    "load_catalog",
    "resolve_sources",
]
