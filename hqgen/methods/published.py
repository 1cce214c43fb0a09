"""The catalog of published weights: where they are, what is known of them, how to get the others by hand."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hqgen.config import MANIFESTS, read_toml, validated, with_tuples
from hqgen.download import RemoteFile
from hqgen.errors import MethodError, UnknownNameError, UsageError
from hqgen.methods.base import OutputScale
from hqgen.methods.registry import method_label, parse_method

ALL = "all"

Text = Annotated[str, Field(min_length=1)]


class PublishedWeights(RemoteFile):
    """A file of weights that a program can fetch.

    Attributes:
        method: that they are for, as users type it: `ssml:variant=simple`.
        origin: who publishes them: `authors`, or a version of a collection.
        frames: length of the windows that they were trained for.
        brightness: scale of the network's output with them.
        licence: in the words of the publisher.
    """

    method: Text
    origin: Annotated[Text, Field(alias="from")]
    frames: Annotated[int, Field(gt=0)]
    brightness: OutputScale
    licence: Text


class ByHand(BaseModel):
    """Published weights that only a person can get, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    method: Text
    origin: Annotated[Text, Field(alias="from")]
    how: Text


class WeightsCatalog(BaseModel):
    """What is published; the first entry of a method is the one that is taken if nobody names another."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    weights: tuple[PublishedWeights, ...]
    by_hand: tuple[ByHand, ...] = ()

    def origins(self) -> list[str]:
        """Everybody who publishes weights."""
        entries: tuple[PublishedWeights | ByHand, ...] = (*self.weights, *self.by_hand)
        return list(dict.fromkeys(entry.origin for entry in entries))

    def choose(
        self, names: Sequence[str], origin: str | None = None
    ) -> tuple[list[PublishedWeights], list[ByHand]]:
        """The weights that names mean, each for another method or variant; and what must be got by hand.

        Args:
            names: methods as users type them, or `all`. A method's name without parameters means its
                variants where the origin has only those.
            origin: who publishes them; by default the first one that a program can use.

        Raises:
            UsageError: no name, or one that is not in the catalog, or an unknown origin.
            MethodError: weights that are asked for by name can only be got by hand; the message says how.
        """
        if origin is not None and origin not in self.origins():
            raise UnknownNameError("origin", origin, self.origins())
        files = [entry for entry in self.weights if origin in (None, entry.origin)]
        manual = [entry for entry in self.by_hand if origin in (None, entry.origin)]
        if not names:
            raise UsageError(
                "no method is named", hint=f"name some of {', '.join(_methods(files))}, or `{ALL}`"
            )
        if ALL in names:
            found = {entry.method for entry in files}
            return _first(files), [entry for entry in manual if entry.method not in found]
        return _first(entry for name in names for entry in _named(name, files, manual)), []


def load_weights_catalog(path: str | Path | None = None) -> WeightsCatalog:
    """The catalog in a file: `path`, else `HQGEN_WEIGHTS_CATALOG`, else that of this package.

    Raises:
        UsageError: it cannot be read, or has unknown, missing or wrong fields.
    """
    chosen = Path(path or os.environ.get("HQGEN_WEIGHTS_CATALOG") or MANIFESTS / "weights.toml")
    fields = with_tuples(read_toml(chosen, "catalog of weights"))
    return validated(WeightsCatalog, fields, f"`{chosen}`")


def _named(name: str, files: Sequence[PublishedWeights], manual: Sequence[ByHand]) -> list[PublishedWeights]:
    label = method_label(parse_method(name))
    exact = [entry for entry in files if entry.method == label]
    if found := exact or [entry for entry in files if entry.method.partition(":")[0] == label]:
        return found
    for entry in manual:
        if entry.method == label:
            raise MethodError(
                f"the weights of `{label}` cannot be fetched by a program: {entry.how}",
                hint=f"then run `hqgen weights add FILE --method {label}`",
            )
    raise UnknownNameError("method in the catalog of weights", label, _methods((*files, *manual)))


def _first(entries: Iterable[PublishedWeights]) -> list[PublishedWeights]:
    """The first entry of each method."""
    found: dict[str, PublishedWeights] = {}
    for entry in entries:
        found.setdefault(entry.method, entry)
    return list(found.values())


def _methods(entries: Iterable[PublishedWeights | ByHand]) -> list[str]:
    return list(dict.fromkeys(entry.method for entry in entries))
