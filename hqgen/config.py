"""Settings: one model a command, of which flags, environment, configuration files and recipes are views.

::

    [build]
    sources = ["reds", "recvidar2019"]
    data-root = "/data"
    shard-size = 64

    [build.source-methods]   # only in files: other methods for some sources
    reds = "wgse"

In files a table is named after its command, and keys are written with `-`. A file is weaker than the
environment (`HQGEN_DATA_ROOT`, ...), and that is weaker than flags.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from hqgen.errors import UnknownNameError, UsageError
from hqgen.text import plainer

Model = TypeVar("Model", bound=BaseModel)

MANIFESTS = next(
    (folder for level in (0, 1) if (folder := Path(__file__).parents[level] / "manifests").is_dir()),
    Path(__file__).parents[1] / "manifests",
)
"""The folder of the catalogs and schemas: inside an installed package, at the top of a checkout."""


class Section(BaseModel):
    """A table of settings: unknown keys are errors, values do not change, docstrings are the help."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    def part(self, model: type[Model]) -> Model:
        """The settings that a model has in common with this one."""
        return model(**{name: getattr(self, name) for name in model.model_fields})


@dataclass(frozen=True)
class Flag:
    """Makes a setting a flag of its command.

    Attributes:
        variable: of the environment; True for `PROGRAM_NAME`, False for none.
        name: the flag's, where it is not the field's.
    """

    variable: str | bool = False
    name: str = ""


FLAG = Flag()
ENV = Flag(variable=True)

Count = Annotated[int, Field(ge=1)]
Device = Literal["auto", "cpu", "cuda"]


def split_names(value: Any) -> Any:
    """A list of names; a text holds them separated by commas, as a flag does."""
    return (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )


def join_names(value: Any) -> Any:
    """A text of names, as a flag holds it; a list of them becomes one, and an empty list None."""
    return ",".join(value) or None if isinstance(value, list | tuple) else value


Names = Annotated[tuple[str, ...], BeforeValidator(split_names)]


class WeightsFolder(Section):
    """Where networks find their weights."""

    weights_dir: Annotated[Path | None, Flag("HQGEN_WEIGHTS")] = None
    """Folder of the registered weights."""


class Cluster(Section):
    """Where work runs."""

    scheduler: Annotated[str, ENV] = "local"
    """`local`, `sync` (in this process), the address of a Dask scheduler, or a scheduler file."""
    workers: Annotated[int | None, Field(ge=1), ENV] = None
    """Local processes. [default: one per core]"""


def flags(model: type[BaseModel], *outer: str) -> Iterator[tuple[str, tuple[str, ...], FieldInfo, Flag]]:
    """The flags of a model: name, place of the setting in the model, the setting, how it is marked.

    Those of the model itself come before those that it shares with others.
    """
    classes = [kind.__annotations__ for kind in model.__mro__ if issubclass(kind, BaseModel)]
    for name in dict.fromkeys(name for names in classes for name in names if name in model.model_fields):
        item = model.model_fields[name]
        inner = _section(item.annotation)
        if inner is not None:
            yield from flags(inner, *outer, name)
        for mark in item.metadata:
            if isinstance(mark, Flag):
                yield mark.name or name, (*outer, name), item, mark


def _section(annotation: Any, place: tuple[int | str, ...] = ()) -> type[BaseModel] | None:
    """The model in an annotation such as `Section | None`; of several, that with a tag of `place`."""
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    models = [kind for kind in kinds if issubclass(kind, BaseModel)]
    return min(models, key=lambda model: not _tags(model) & {*place}, default=None)


def _tags(model: type[BaseModel]) -> set[Any]:
    """The literals among its types."""
    return {tag for item in model.model_fields.values() for tag in get_args(item.annotation)}


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables of settings with some values changed; keys are written with `_` or `-`."""
    result = {key.replace("-", "_"): value for key, value in values.items()}
    for key, value in changes.items():
        name = key.replace("-", "_")
        before = result.get(name)
        tables = isinstance(value, Mapping) and isinstance(before, Mapping)
        result[name] = merged(before, value) if tables else value  # type: ignore[arg-type]
    return result


def read_toml(path: Path, kind: str, hint: str = "") -> dict[str, Any]:
    """Read a TOML file; messages call it a `kind`.

    Raises:
        UsageError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the {kind} `{path}`: {error.strerror}", hint=hint) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the {kind} `{path}` is not TOML: {error}", hint=hint) from error


def with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """The same fields with arrays as tuples, which models in strict mode want."""
    return {name: _with_tuples(value) for name, value in fields.items()}


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return with_tuples(value)
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def read_table(path: Path, command: str) -> dict[str, Any]:
    """The table of one command in a configuration file; empty where the file has none.

    Raises:
        UsageError: the file cannot be read, or the command's part of it is not a table.
    """
    table = read_toml(path, "configuration").get(command, {})
    if not isinstance(table, dict):
        raise UsageError(f"`{command}` in `{path}` is not a table", hint=f"write it as `[{command}]`")
    return table


def as_toml(command: str, settings: BaseModel) -> str:
    """A command's settings as a configuration file; those that are None are left out."""
    return tomli_w.dumps({command: settings.model_dump(mode="json", by_alias=True, exclude_none=True)})


def validated(model: type[Model], values: Mapping[str, Any], where: str, hint: str = "") -> Model:
    """Make settings of what a user wrote at a place that messages call `where`.

    Raises:
        UsageError: the first key or value that the model cannot have, with `hint`.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        place = first["loc"]
        key = f"`{'.'.join(str(part) for part in place)}` in " if place else ""
        wrong = plainer(first["msg"])
        if first["type"] == "missing":
            wrong = "is missing"
        if first["type"] == "extra_forbidden":
            wrong = "there is no such setting"
            hint = UnknownNameError("setting", str(place[-1]), _known(model, place)).hint
        follows = wrong.startswith(("must ", "is "))
        raise UsageError(f"{key}{where}{' ' if follows else ': '}{wrong}", hint=hint) from error


def _known(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys of the table that an unknown key stands in."""
    for part in place[:-1]:
        for name, item in model.model_fields.items():
            if part in (name, item.alias):
                model = _section(item.annotation, place) or model
    return [item.alias or name for name, item in model.model_fields.items()]
