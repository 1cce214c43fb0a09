"""Configuration files: TOML whose tables are commands and whose keys are their flags.

::

    [build]
    sources = ["reds", "recvidar2019"]
    data-root = "/data"
    shard-size = 64

    [build.source-methods]   # only in files: other methods for some sources
    reds = "wgse"

A file is weaker than the environment (`HQGEN_DATA_ROOT`, ...), and that is weaker than flags.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hqgen.errors import UnknownNameError, UsageError

__all__ = ["read_config", "to_toml"]


def read_config(path: Path, command: str, keys: Collection[str]) -> dict[str, Any]:
    """The table of one command, with `_` for `-` in the keys.

    Args:
        path: the file.
        command: name of the table.
        keys: the legal keys, with `-`.

    Raises:
        UsageError: the file cannot be read, is no TOML, or holds something that does not belong there.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the configuration `{path}` cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the configuration `{path}` is no TOML: {error}") from error
    table = document.get(command, {})
    if not isinstance(table, dict):
        raise UsageError(f"`{command}` in `{path}` is no table", hint=f"write it as `[{command}]`")
    for key in table:
        if key not in keys:
            raise UnknownNameError(f"key of `[{command}]` in `{path}`", key, keys)
    return {key.replace("-", "_"): _flag(value) for key, value in table.items()}


def _flag(value: Any) -> Any:
    """A value as the command line would have it: a list is written with commas."""
    return ",".join(str(item) for item in value) if isinstance(value, list) else value


def to_toml(command: str, values: dict[str, Any]) -> str:
    """A command's settings as a configuration file; those that are None are left out."""
    tables = {key: value for key, value in values.items() if isinstance(value, dict) and value}
    lines = [f"[{command}]"]
    lines += [
        f"{key} = {_toml(value)}" for key, value in values.items() if not isinstance(value, dict | type(None))
    ]
    for name, table in tables.items():
        lines += ["", f"[{command}.{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
