"""What is known of a network that is to be published: from its checkpoint, and the folder of its training."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from hqgen.checkpoints import read_meta
from hqgen.errors import HqgenError, UnknownNameError, UsageError, WeightsError
from hqgen.provenance import document_id
from hqgen.text import why
from spikeclip.evaluation.table import ResultTable
from spikeclip.networks import load_network
from spikeclip.networks.locating import located
from spikeclip.training.folder import RunFolder

if TYPE_CHECKING:
    from spikeclip.networks import LRN, UNet

LOW_LIGHT = "low-light.zarr"
"""The name of a low-light set in the folder of a training, or of a recipe."""


@dataclass(frozen=True)
class LowLightFacts:
    """The low-light set of a training.

    Attributes:
        digest: that its plan names.
        classes: the labels; empty where the set itself is gone.
        samples: how many, by split.
        made_from: what it was made from and how.
    """

    digest: str
    classes: tuple[str, ...] = ()
    samples: Mapping[str, int] = field(default_factory=dict)
    made_from: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """The row of the network in the table of an evaluation.

    Attributes:
        row: its name.
        about: what was evaluated on.
        values: by heading, such as `NIQE (raw)`: the value, and how it is shown.
    """

    row: str
    about: Mapping[str, str | int]
    values: Mapping[str, tuple[float, str]]


@dataclass(frozen=True)
class Facts:
    """What is known of a network.

    Attributes:
        network: on the CPU, in eval mode.
        meta: of its checkpoint: stage, plan id, crop.
        run: the folder of its training; None of a bare file.
        settings: of the training, without paths of this machine; {} where they are not known.
        plans: of the stages by name, up to that of the network; {} where they are not known.
        low_light: what it was trained on.
        result: of its evaluation.
    """

    network: LRN | UNet
    meta: dict[str, Any]
    run: RunFolder | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    plans: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    low_light: LowLightFacts | None = None
    result: Result | None = None


def read_facts(
    place: str | Path, *, low_light: Path | None = None, table: Path | None = None, row: str | None = None
) -> Facts:
    """Collect what is known of a network.

    Args:
        place: the folder of a training, or a network as `spikeclip.load` takes it.
        low_light: the low-light set; None: looked for beside the training.
        table: `table.json` of an evaluation; None: looked for beside the training.
        row: of the network in it; None: the row that is called after the folder of the training.

    Raises:
        UsageError: the set is another one than the network was trained on, or the table has no such row.
        WeightsError: the network, or a file of its training, is missing or damaged.
    """
    file = located(place)
    network, meta = load_network(file), read_meta(file)
    run = RunFolder(file.parent) if (file.parent / "plan.json").is_file() else None
    plans = _plans(run, meta) if run else {}
    settings = _settings(run.path / "config.toml") if run else {}
    return Facts(
        network,
        meta,
        run,
        settings,
        plans,
        _low_light(plans, _near(run, LOW_LIGHT) if low_light is None else [low_light], low_light is not None),
        _result(
            _near(run, "table.json") if table is None else [table], _row_name(run, row), table is not None
        ),
    )


def _near(run: RunFolder | None, name: str) -> list[Path]:
    """Files of that name in the folder of a training and, for one of a recipe, the two folders above."""
    if run is None:
        return []
    folder = run.path.resolve()
    return [path for level in (folder, *folder.parents[:2]) if (path := level / name).exists()]


def _plans(run: RunFolder, meta: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The plans of the stages that the network went through."""
    path = run.path / "plan.json"
    try:
        plans: dict[str, Any] = json.loads(path.read_text("utf-8"))
        stages = list(plans)
        stage = next(name for name in stages if document_id(plans[name]) == meta.get("plan_id"))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"`{path}` is damaged: {why(error)}", hint="run the training again") from error
    except StopIteration:
        raise WeightsError(
            f"the network of `{run.path}` is not of a plan in its `plan.json`",
            hint="run the training again to its end, or publish the file of the network from another folder",
        ) from None
    return {name: plans[name] for name in stages[: stages.index(stage) + 1]}


def _settings(path: Path) -> dict[str, Any]:
    """The settings of the training; of a path only the name is kept."""
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))["train"]
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"`{path}` is damaged: {why(error)}", hint="run the training again") from error
    clip = dict(table.get("clip", {}))
    if "weights" in clip:
        clip["weights"] = PurePath(clip["weights"]).name
    named = {"initial": PurePath(table["initial"]).name} if "initial" in table else {}
    return {**table, **named, **({"clip": clip} if clip else {})}


def _low_light(
    plans: Mapping[str, Mapping[str, Any]], places: Sequence[Path], asked_for: bool
) -> LowLightFacts | None:
    from spikeclip.data.lowlight import open_prepared

    digest = next((plan["low_light"] for plan in plans.values()), None)
    for place in places:
        found = open_prepared(place)
        if found.digest == digest:
            samples = {name: len(found.split(name)) for name in found.splits}
            return LowLightFacts(digest, tuple(found.labels), samples, found.made_from)
        if asked_for:
            raise UsageError(
                f"the network was not trained on `{place}`: its digest is {found.digest[:12]}, "
                f"and the plan says {'nothing' if digest is None else digest[:12]}",
                hint="leave out `--spikes`, or name the set that it was trained on",
            )
    return None if digest is None else LowLightFacts(digest)


def _row_name(run: RunFolder | None, row: str | None) -> tuple[str, ...]:
    return (row,) if row else (run.path.resolve().name, "network") if run else ("network",)


def _result(places: Sequence[Path], names: Sequence[str], asked_for: bool) -> Result | None:
    for place in places:
        try:
            table = ResultTable.from_json(place.read_text("utf-8"))
        except OSError as error:
            raise UsageError(f"`{place}` cannot be read: {why(error)}", hint="give a `table.json`") from error
        except HqgenError as error:
            raise UsageError(f"`{place}`: {error.message}", hint=error.hint) from error
        rows = {_plain(row.name): row for row in table.rows}
        found = next((rows[_plain(name)] for name in names if _plain(name) in rows), None)
        if found is not None:
            shown = {
                f"{column.title} ({column.group})": (cell.value, column.text(cell))
                for column in table.columns
                if (cell := found.cells.get(column.key)) is not None
            }
            return Result(found.name, table.about, shown)
        if asked_for:
            known = [row.name for row in table.rows]
            raise UnknownNameError(f"row of `{place}`", names[0], known)
    return None


def _plain(name: str) -> str:
    """A name of a row as the recipe makes a folder's name of it."""
    return "-".join(_words(name))


def _words(name: str) -> Iterator[str]:
    return (word for word in "".join(char if char.isalnum() else " " for char in name.lower()).split())
