"""Candidates of a finished store, made again from the recordings: a store holds winners only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import HqgenError, MethodError, SourceError, StoreError
from hqgen.manifest import MethodSpec, Plan, SampleSpec, SourceManifest, SourceSpec
from hqgen.methods.base import Method
from hqgen.methods.registry import get_method
from hqgen.quality.normalise import Normalisation, to_uint8
from hqgen.sources import SourceRecording, load_catalog
from hqgen.sources.catalog import load_folder_settings
from hqgen.sources.recordings import DemoRecording, FileRecording
from hqgen.spikes.recording import Axes, Recording

__all__ = ["Remake"]


class Remake:
    """Makes the candidates of one source.

    Args:
        plan: that the store was built by.
        spec: the source in that plan.
        found: the source in the manifest.
        data_root: where the catalog's folders lie, for a source that is no longer where it was; a folder
            outside the catalog is looked for there by its name.

    Raises:
        SourceError: the source's folder is gone; the message names it.
        StoreError: the plan has another rule of normalisation than this version of hqgen.
    """

    def __init__(self, plan: Plan, spec: SourceSpec, found: SourceManifest, data_root: Path | None) -> None:
        self._spec = spec
        self._rule = _rule(plan)
        self._folder = _folder(found, data_root)
        self._axes = _axes(spec.name, self._folder)
        self._methods = {method.name: method for method in spec.methods}
        self._ready: dict[str, Method] = {}
        self._open: tuple[int, Recording] | None = None

    def candidate(self, method: str, place: SampleSpec) -> NDArray[np.uint8]:
        """The candidate of one method at one place: uint8 (H, W).

        Raises:
            HqgenError: it cannot be made, or not by what the plan fixes; the message says why.
        """
        recipe = self._method(method)
        window = self._recording(place.recording).window(place.centre, *recipe.span)
        try:
            image = recipe.reconstruct(window)
        except HqgenError:
            raise
        except Exception as error:  # a method may come from a third party
            raise MethodError(f"`{method}` failed: {type(error).__name__}: {error}") from error
        return to_uint8(image, self._rule)

    def _method(self, name: str) -> Method:
        if name not in self._ready:
            self._ready[name] = _method(self._methods[name])
        return self._ready[name]

    def _recording(self, index: int) -> Recording:
        """A recording, kept open until another one is asked for."""
        if self._open is None or self._open[0] != index:
            self._open = (index, self._handle(index).open())
        return self._open[1]

    def _handle(self, index: int) -> SourceRecording:
        item = self._spec.recordings[index]
        if self._folder is None:
            return DemoRecording(item.path, item.frames, item.size)
        geometry = (self._spec.height, self._spec.width)
        return FileRecording(
            self._folder, item.path, None, None, item.frames, item.size, geometry, self._axes
        )


def _rule(plan: Plan) -> Normalisation:
    """The plan's normalisation."""
    planned = dict(plan.normalisation)
    name, version = planned.pop("name"), planned.pop("version")
    if (name, version) != (Normalisation.name, Normalisation.version):
        raise StoreError(
            f"the store was normalised by `{name}` version {version}, this hqgen has `{Normalisation.name}` "
            f"version {Normalisation.version}",
            hint="candidates can only be made again by the version of hqgen that made them",
        )
    return Normalisation(**planned)


def _folder(found: SourceManifest, data_root: Path | None) -> Path | None:
    """Where the source's recordings lie: where they were, else below the data root; None for the demo."""
    if found.folder is None:
        return None
    places = [Path(found.folder)]
    if data_root is not None:
        entry = load_catalog().get(found.name)
        places.append(data_root / ((entry and entry.folder) or places[0].name))
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        where = " or ".join(f"`{place}`" for place in dict.fromkeys(places))
        raise SourceError(
            f"the recordings of `{found.name}` are gone: there is no folder {where}",
            hint="say where the datasets lie with `--data-root`",
        )
    return folder


def _axes(name: str, folder: Path | None) -> Axes:
    if folder is None:
        return "THW"
    entry = load_catalog().get(name)
    return entry.axes if entry is not None else load_folder_settings(folder).axes


def _method(spec: MethodSpec) -> Method:
    """The method that a plan names.

    Raises:
        MethodError: it cannot run here, or would give other images than it did then.
    """
    method = get_method(spec.name, **spec.parameters)
    if method.version != spec.version:
        raise MethodError(f"`{spec.name}` has version {method.version} now, the plan has {spec.version}")
    if method.weights_digest() != spec.weights:
        raise MethodError(f"`{spec.name}` has other weights here than in the plan")
    return method
