"""A new store from a finished one and what people say of it."""

from __future__ import annotations

from pathlib import Path

from hqgen.builder.finish import Outcome
from hqgen.builder.repick import repick
from hqgen.builder.settings import CurateSettings, RepickSettings
from hqgen.curation import Journal
from hqgen.decision import Decider
from hqgen.manifest import read_manifest
from hqgen.progress import Observer


def apply_verdicts(manifest_path: str | Path, settings: CurateSettings, observer: Observer) -> Outcome:
    """Write the store that the verdicts on a finished store ask for.

    A picked candidate is the picture, whatever rule and limits say. A rejected sample keeps its place and its
    scores, and is quarantined. Everything else is decided as before.

    Args:
        manifest_path: the manifest; the journal is beside it.
        settings: where the new store goes.
        observer: is shown the progress.

    Raises:
        PlanMismatchError: the journal is of another store, or the folder holds one.
        StoreError: the journal is damaged; the store is damaged, or lacks a candidate that was picked; this
            version of hqgen has another rule; or the new store cannot be written.
        UsageError: `out` is the store's own folder.
        InterruptedBuildError: the user asked to stop; what was done is kept.
    """
    manifest = read_manifest(manifest_path)
    plan, verdicts = manifest.plan, Journal(manifest_path, manifest).state()
    rule = Decider.of(plan).rule
    same = RepickSettings(
        out=settings.out,
        rule=rule.name,
        max_score=plan.max_score,
        min_consistency=plan.min_consistency,
        keep_candidates=settings.keep_candidates and plan.keep_candidates,
        existing=settings.existing,
    )
    return repick(manifest_path, same, observer, tuple(verdicts.values()))
