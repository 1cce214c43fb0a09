"""The command `hqgen export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hqgen import console

if TYPE_CHECKING:
    from hqgen.export.run import Exported
    from hqgen.export.settings import ExportCommand

_LOAD = {
    "imagefolder": 'datasets.load_dataset("{out}")',
    "webdataset": 'webdataset.WebDataset("{out}/{split}-000000.tar", shardshuffle=False)',
    "huggingface": 'datasets.load_dataset("{out}")',
}


def export(
    context: typer.Context,
    manifest: Annotated[Path, typer.Argument(help="A build: its folder, or its `manifest.json`.")],
    json: console.AsJson = False,
) -> None:
    """Write the pictures of a store as a data set that other libraries load.

    PNG files in a folder, in the tars of WebDataset, or in the parquet files of the Hugging Face Hub: with
    splits, metadata, a data card and a Croissant description. The same command again writes nothing.
    """
    import os

    from hqgen.export.run import export_store
    from hqgen.manifest import find_manifest
    from hqgen.progress import stderr_observer

    settings: ExportCommand = context.obj
    if settings.weights_dir is not None:
        os.environ["HQGEN_WEIGHTS"] = str(settings.weights_dir.absolute())
    found = export_store(find_manifest(manifest), settings, stderr_observer())
    if json:
        console.print_json(found)
    else:
        _show(found)


def _show(found: Exported) -> None:
    from hqgen.text import count

    total = sum(found.samples.values())
    typer.echo(f"{count(total, 'picture')} {'' if found.made else 'were there: nothing to do'}".rstrip())
    for name, number in found.samples.items():
        typer.echo(f"  {name}: {number:,} of {count(found.recordings[name], 'recording')}")
    typer.echo(f"data set  {found.out}")
    typer.echo(f"card      {found.out / 'README.md'}")
    how = _LOAD[found.to].format(out=found.out, split=next(iter(found.samples)))
    typer.echo(f"load it with: {how}")
