"""From a finished store to a data set, whole or not at all.

The data set is written into `.NAME.export` beside its place `NAME`, and moved there at the end. What a killed
export left is removed by the next one, which begins again.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hqgen
from hqgen.errors import PlanMismatchError, StoreError
from hqgen.export.card import write_card
from hqgen.export.croissant import write_description
from hqgen.export.metadata import judge_names, metadata, method_names
from hqgen.export.pictures import png_files
from hqgen.export.selection import Selection, left_out_text, select
from hqgen.export.settings import ExportSettings
from hqgen.export.writers import Writer, writer_of
from hqgen.files import held, sync
from hqgen.manifest import Manifest
from hqgen.progress import Observer
from hqgen.provenance import require_same, short_digest
from hqgen.store import HQStore, open_described
from hqgen.text import count, why

RECORD = "export.json"
"""The file that says what an export is of; it is in every export."""

FORMAT = "hqgen-export"


@dataclass(frozen=True)
class Exported:
    """An export.

    Attributes:
        out: its folder.
        to: the kind of data set.
        samples: pictures in it, by split.
        recordings: that these are of, by split.
        left_out: samples of the store that are not in it, by the reason.
        made: whether this call wrote it; otherwise it was there.
    """

    out: Path
    to: str
    samples: dict[str, int]
    recordings: dict[str, int]
    left_out: dict[str, int]
    made: bool


def export_store(manifest_path: Path, settings: ExportSettings, observer: Observer) -> Exported:
    """Write the pictures of a finished store as a data set that other libraries load.

    Args:
        manifest_path: the manifest.
        settings: what to write, and where.
        observer: gets the progress.

    Raises:
        StoreError: the store is missing, not complete or damaged; the folder is in use or cannot be written;
            with 16 bits, a picture that was made again is another one than in the store.
        PlanMismatchError: the folder holds another export, or the journal of verdicts is of another store.
        UsageError: nothing is left to export, a verdict asks for a picture that the store does not have, or a
            library is missing.
        HqgenError: with 16 bits: a recording is gone, or a method cannot run here.
    """
    kind = writer_of(settings.to)
    manifest, store = open_described(manifest_path)
    selection = select(manifest_path, manifest, settings)
    _notes(selection, observer)
    out = settings.out.absolute()
    document = _document(manifest, selection, settings)
    made = Exported(
        out, settings.to, document["samples"], document["recordings"], selection.left_out, made=True
    )
    with _place(out, document, overwrite=settings.existing == "overwrite") as folder:
        if folder is None:
            return Exported(**{**vars(made), "made": False})
        _fill(folder, kind, manifest, store, selection, settings, observer)
        write_card(folder, kind, manifest, selection, settings)
        write_description(folder, settings, manifest, selection)
        (folder / RECORD).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return made


def _notes(selection: Selection, observer: Observer) -> None:
    if selection.left_out:
        observer.note(f"left out: {left_out_text(selection.left_out)}")
    if selection.rejected:
        observer.note(f"{count(selection.rejected, 'sample')} rejected in `curation.json`, not yet applied")
    used = {sample.split for sample in selection.samples}
    for name in selection.splits:
        if name not in used:
            observer.note(
                f"split `{name}` is empty: no recording fell into it; another `--split-seed` may help"
            )


def _document(manifest: Manifest, selection: Selection, settings: ExportSettings) -> dict[str, Any]:
    """All that decides an export, and what came of it; its `id` is in the file `export.json`."""
    decides = settings.model_dump(mode="json", include=set(ExportSettings.model_fields))
    for name in ("out", "data_root", "existing"):
        del decides[name]
    shards = (shard.images_blake3 for source in manifest.sources for shard in source.shards)
    samples = selection.samples
    rows = (json.dumps(metadata(item, settings.bits, [], [])) + item.name for item in samples)
    counts = Counter(item.split for item in samples)
    places = {(item.source.name, item.recording.path): item.split for item in samples}
    recordings = Counter(places.values())
    names = [name for name in selection.splits if counts[name]]
    found = {
        "format": FORMAT,
        "version": 1,
        "software": f"hqgen {hqgen.__version__}",
        "plan_id": manifest.plan_id,
        "pictures": short_digest(shards),
        "metadata": short_digest(rows),
        "settings": decides,
    }
    return found | {
        "samples": {name: counts[name] for name in names},
        "recordings": {name: recordings[name] for name in names},
        "left_out": selection.left_out,
    }


def _fill(
    folder: Path,
    kind: type[Writer],
    manifest: Manifest,
    store: HQStore,
    selection: Selection,
    settings: ExportSettings,
    observer: Observer,
) -> None:
    methods = method_names(manifest)
    judges = judge_names(manifest)
    samples = selection.samples
    with (
        kind(folder, methods=methods, judges=judges, most_bytes=settings.shard_mb * 10**6) as writer,
        observer.progress("exporting", len(samples), "samples") as job,
    ):
        for sample, png in png_files(manifest, store, samples, settings.bits, settings.data_root):
            writer.add(sample, metadata(sample, settings.bits, methods, judges), png)
            job.advance()


@contextmanager
def _place(out: Path, document: dict[str, Any], *, overwrite: bool) -> Iterator[Path | None]:
    """A folder to fill, which becomes `out` when the block ends; None where the same export is there.

    Raises:
        StoreError: another export is writing there, something else is there, or it cannot be written.
        PlanMismatchError: another export is there.
    """
    work = out.with_name(f".{out.name}.export")
    new, old = work / "new", work / "old"
    with held(work / "lock", out, "export", StoreError):
        try:
            if old.exists() and not out.exists():  # killed between the two moves below
                old.rename(out)
            if _is_there(out, document, overwrite=overwrite):
                yield None
                return
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            yield new
            for path in (*new.rglob("*"), new):
                sync(path)  # a move that is on the disk before the files would look whole after a power cut
            if out.exists():
                out.rename(old)
            new.rename(out)
        except OSError as error:
            raise StoreError(
                f"`{out}` cannot be written: {why(error)}", hint="choose another `--out`"
            ) from error
        finally:
            if out.exists() or not old.exists():
                shutil.rmtree(work, ignore_errors=True)


def _is_there(out: Path, document: dict[str, Any], *, overwrite: bool) -> bool:
    """Whether the same export is there; False where the place is free, or another one may go."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        there = json.loads((out / RECORD).read_bytes())
        ours = there["format"] == FORMAT
    except (OSError, ValueError, LookupError, TypeError):
        ours = False
    if not ours:
        raise StoreError(
            f"`{out}` holds something that is not an export of hqgen", hint="choose another `--out`"
        )
    if there == document:
        return True
    if not overwrite:
        require_same(
            f"`{out}` holds another export",
            there,
            document,
            hint="choose another `--out`, or replace it with `--existing overwrite`",
            error=PlanMismatchError,
        )
    return False
