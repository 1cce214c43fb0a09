"""A network as a folder in the layout of the Hugging Face hub.

::

    DIR/README.md               the model card
    DIR/model.safetensors       the network: all that `spikeclip.load` needs
    DIR/config.json             what kind of network it is, for people and for other programs
    DIR/network.onnx            where it was asked for
    DIR/training/plan.json      what decided the weights, stage by stage
    DIR/training/config.toml    the settings, without paths of the machine
    DIR/training/STAGE.csv, STAGE.svg    the learning curves
    DIR/pictures/grid.png       the same samples as TFI and after each stage
    DIR/table.json              the evaluation of the network
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import tomli_w

from hqgen.errors import UsageError
from hqgen.files import write_atomically, writing
from spikeclip.networks import describe
from spikeclip.networks.locating import PUBLISHED
from spikeclip.publishing.card import LIBRARY, card
from spikeclip.publishing.export import write_network
from spikeclip.publishing.facts import Facts

CARD, CONFIG, ONNX = "README.md", "config.json", "network.onnx"


def publish(facts: Facts, folder: Path, *, name: str, licence: str, onnx: bool = False) -> list[Path]:
    """Write the folder of a network. What it was published as before is replaced.

    Args:
        facts: what is known of the network.
        folder: new, empty, or one that was published before.
        name: of the model, for its card.
        licence: of the weights, an id of the Hugging Face hub such as `mit`, or `other`.
        onnx: whether to write `network.onnx`, too.

    Returns:
        The files, in the order in which they were written; the card is the last one.

    Raises:
        UsageError: the folder holds something else, cannot be written, or ONNX's packages are missing.
    """
    _require_ours(folder)
    with writing(folder / CARD):
        written = []
        for file, content in _copies(facts):
            write_atomically(folder / file, content)
            written.append(folder / file)
        write_network(folder / PUBLISHED, facts.network, facts.meta)
        written.append(folder / PUBLISHED)
        if onnx:
            write_network(folder / ONNX, facts.network, facts.meta)
            written.append(folder / ONNX)
        for old in set(_published(folder)) - set(written):
            old.unlink()
        pictures = [str(path.relative_to(folder)) for path in written]
        write_atomically(folder / CONFIG, json.dumps(_config(facts), indent=1) + "\n")
        write_atomically(folder / CARD, card(facts, name, licence, pictures))
    return [*written, folder / CONFIG, folder / CARD]


def _require_ours(folder: Path) -> None:
    """Refuse a folder that holds what was not published there."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        ours = json.loads((folder / CONFIG).read_text("utf-8"))["library_name"] == LIBRARY
    except (OSError, ValueError, LookupError, TypeError):
        ours = False
    if not ours:
        raise UsageError(
            f"`{folder}` holds other files, and no network that was published there",
            hint="give `--to` a new folder",
        )


def _published(folder: Path) -> Iterator[Path]:
    """Files of an earlier publication, which the new one may not have."""
    for pattern in ("training/*", "pictures/grid.png", "table.json", ONNX):
        yield from folder.glob(pattern)


def _config(facts: Facts) -> dict[str, object]:
    parameters = sum(parameter.numel() for parameter in facts.network.parameters())
    known: dict[str, object] = {
        name: facts.meta[name] for name in ("stage", "plan_id", "crop") if name in facts.meta
    }
    about: dict[str, object] = {"library_name": LIBRARY, "parameters": parameters, "frames_per_bin": 4}
    return {**about, **describe(facts.network), **known}


def _copies(facts: Facts) -> Iterator[tuple[str, bytes]]:
    """The files of the training that are published, and what is in them."""
    if facts.plans:
        yield "training/plan.json", (json.dumps(facts.plans, indent=1) + "\n").encode()
    if facts.settings:
        yield "training/config.toml", tomli_w.dumps({"train": facts.settings}).encode()
    if facts.run is not None:
        for stage in facts.plans:
            for ending in ("csv", "svg"):
                curve = facts.run.path / stage / f"curve.{ending}"
                if curve.is_file():
                    yield f"training/{stage}.{ending}", curve.read_bytes()
        if facts.run.grid.is_file():
            yield "pictures/grid.png", facts.run.grid.read_bytes()
    if facts.result is not None:
        values = {
            name: value if abs(value) < float("inf") else "inf"
            for name, (value, _) in facts.result.values.items()
        }
        document = {"row": facts.result.row, "about": dict(facts.result.about), "values": values}
        yield "table.json", (json.dumps(document, indent=1) + "\n").encode()
