"""The verbs of a script: what the commands of `hqgen` do, as functions that return what was made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hqgen.progress import SILENT, Observer

if TYPE_CHECKING:
    from hqgen.builder.finish import Outcome
    from hqgen.inspection.statistics import ManifestStatistics


def build(sources: str | Sequence[str], *, observer: Observer = SILENT, **settings: Any) -> Outcome:
    """Build an HQ store and its manifest, or what is missing of them, as `hqgen build` does.

    Args:
        sources: datasets of the catalog, `demo` and `folder:PATH`; a list, or names separated by commas.
        observer: gets the progress; `hqgen.progress.stderr_observer()` shows it.
        settings: any others of `hqgen.builder.settings.BuildSettings`, such as `out="picked"` (the folder
            that receives `hq.zarr` and `manifest.json`), `methods="tfp,tfi"`, `data_root="/data"`.
            Registered weights are found in the folder that the environment variable `HQGEN_WEIGHTS` names.

    Returns:
        The manifest, where it and the store are, and how many samples this call made. Recordings that cannot
        be used stop no other; `outcome.manifest.quarantined` is true if there are any.

    Raises:
        HqgenError: see `hqgen.builder.run.build`.
        UsageError: a setting that does not exist, or has a wrong value.
    """
    from hqgen.builder.run import build
    from hqgen.builder.settings import BuildSettings
    from hqgen.config import validated

    return build(validated(BuildSettings, {"sources": sources, **settings}, "hqgen.build"), observer)


def repick(manifest: str | Path, out: str | Path, *, observer: Observer = SILENT, **settings: Any) -> Outcome:
    """Pick the winners of a finished store again, into a new store, as `hqgen repick` does.

    Args:
        manifest: the `manifest.json` of a build that kept its candidates, or its folder.
        out: the folder that receives the new `hq.zarr` and `manifest.json`.
        observer: gets the progress.
        settings: any others of `hqgen.builder.settings.RepickSettings`, such as `rule="niqe-guarded"`,
            `max_score=6.5`.

    Returns:
        The manifest, where it and the store are, and how many samples this call picked.

    Raises:
        HqgenError: see `hqgen.builder.repick.repick`.
        UsageError: a setting that does not exist, or has a wrong value.
    """
    from hqgen.builder.repick import repick
    from hqgen.builder.settings import RepickSettings
    from hqgen.config import validated
    from hqgen.manifest import find_manifest

    values = validated(RepickSettings, {"out": out, **settings}, "hqgen.repick")
    return repick(find_manifest(manifest), values, observer)


def merge(
    builds: Sequence[str | Path], out: str | Path, *, observer: Observer = SILENT, **settings: Any
) -> Outcome:
    """Make one store of several finished builds, as `hqgen merge` does.

    Args:
        builds: the `manifest.json` of each, or its folder; at least two.
        out: the folder that receives the new `hq.zarr` and `manifest.json`.
        observer: gets the progress.
        settings: any others of `hqgen.builder.settings.MergeSettings`, such as `existing="overwrite"`.

    Returns:
        The manifest, where it and the store are, and how many samples this call took.

    Raises:
        HqgenError: see `hqgen.builder.merge.merge`.
        UsageError: a setting that does not exist, or has a wrong value.
    """
    from hqgen.builder.merge import merge
    from hqgen.builder.settings import MergeSettings
    from hqgen.config import validated
    from hqgen.manifest import find_manifest

    values = validated(MergeSettings, {"out": out, **settings}, "hqgen.merge")
    return merge([find_manifest(build) for build in builds], values, observer)


def apply_verdicts(
    manifest: str | Path, out: str | Path, *, observer: Observer = SILENT, **settings: Any
) -> Outcome:
    """Make the store that the verdicts on a finished store ask for, as `hqgen curate apply` does.

    Args:
        manifest: the `manifest.json` of a build, or its folder; `hqgen.Journal` writes the verdicts.
        out: the folder that receives the new `hq.zarr` and `manifest.json`.
        observer: gets the progress.
        settings: any others of `hqgen.builder.settings.CurateSettings`, such as `existing="overwrite"`.

    Returns:
        The manifest, where it and the store are, and how many samples this call decided.

    Raises:
        HqgenError: see `hqgen.builder.curate.apply_verdicts`.
        UsageError: a setting that does not exist, or has a wrong value.
    """
    from hqgen.builder.curate import apply_verdicts
    from hqgen.builder.settings import CurateSettings
    from hqgen.config import validated
    from hqgen.manifest import find_manifest

    values = validated(CurateSettings, {"out": out, **settings}, "hqgen.apply_verdicts")
    return apply_verdicts(find_manifest(manifest), values, observer)


def inspect(manifest: str | Path) -> ManifestStatistics:
    """Count and summarise what a build did: wins, scores, margins, what was quarantined.

    Args:
        manifest: the `manifest.json` of a build, or its folder. No other file is read.

    Raises:
        StoreError: it is missing, damaged or not a manifest.
    """
    from hqgen.inspection.statistics import statistics
    from hqgen.manifest import find_manifest, read_manifest

    return statistics(read_manifest(find_manifest(manifest)))
