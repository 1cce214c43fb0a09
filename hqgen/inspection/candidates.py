"""Candidates of a finished store that holds winners only, made again from the recordings."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import HqgenError, MethodError, StoreError
from hqgen.manifest import MethodSpec, Plan, SampleSpec, SourceManifest, SourceSpec
from hqgen.methods.base import Method
from hqgen.methods.mosaic import OnMosaic, luminance
from hqgen.methods.registry import get_method
from hqgen.provenance import require_same
from hqgen.quality.normalise import Normalisation, to_uint8
from hqgen.sources.planned import planned_recording, source_files
from hqgen.spikes.packed import ENDS
from hqgen.spikes.recording import Recording


class Remake:
    """Makes the candidates of one source.

    Args:
        plan: that the store was built by.
        spec: the source in that plan.
        found: the source in the manifest.
        data_root: where the catalog's folders are, for a source that is no longer where it was; a folder
            outside the catalog is looked for there by its name.

    Attributes:
        rule: the plan's normalisation.

    Raises:
        SourceError: the source's folder is gone; the message names it.
        StoreError: the plan has another rule of normalisation, or for the ends of recordings, than this
            version of hqgen.
    """

    def __init__(self, plan: Plan, spec: SourceSpec, found: SourceManifest, data_root: Path | None) -> None:
        self._spec = spec
        self.rule = _rule(plan)
        self._files = source_files(found.name, found.folder, data_root)
        self._methods = {method.name: method for method in spec.methods}
        self._ready: dict[str, Method] = {}
        self._open = lru_cache(maxsize=1)(self._opened)

    def candidate(self, method: str, place: SampleSpec) -> NDArray[np.uint8]:
        """The candidate of one method at one place: uint8 (H, W).

        Raises:
            HqgenError: it cannot be made, or not by what the plan fixes; the message says why.
        """
        return to_uint8(self.image(method, place), self.rule)

    def image(self, method: str, place: SampleSpec) -> NDArray[np.float32]:
        """What one method makes of one place, in its own units: float32 (H, W).

        Raises:
            HqgenError: as `candidate`.
        """
        recipe = self.method(method)
        recording = self.recording(place.recording)
        window = recording.window(place.centre, *recipe.span)
        try:
            if (colour := recording.camera.colour) is not None:
                return luminance(OnMosaic(recipe, colour).colours(window))
            return recipe.reconstruct(window)
        except HqgenError:
            raise
        except Exception as error:  # a method may come from a third party
            raise MethodError(f"`{method}` failed: {type(error).__name__}: {error}") from error

    def method(self, name: str) -> Method:
        """The plan's method of this name.

        Raises:
            HqgenError: it cannot run here, or would give other images than it did then.
        """
        if name not in self._ready:
            self._ready[name] = _method(self._methods[name])
        return self._ready[name]

    def recording(self, index: int) -> Recording:
        """The plan's recording number `index`, read as the plan says; the last one stays open.

        Raises:
            RecordingError: it is missing, or has changed.
        """
        return self._open(index)

    def _opened(self, index: int) -> Recording:
        item = self._spec.recordings[index]
        geometry, camera = (self._spec.height, self._spec.width), self._spec.camera
        return planned_recording(self._files, item.path, item.frames, item.size, geometry, camera).open()


def _rule(plan: Plan) -> Normalisation:
    """The plan's normalisation; its windows must be made as they are now, too."""
    require_same(
        "the store was made with another rule for the ends of recordings than this hqgen has",
        plan.ends,
        ENDS,
        hint="candidates can only be made again by the version of hqgen that made them",
        error=StoreError,
    )
    planned = dict(plan.normalisation)
    rule = {"name": planned.pop("name"), "version": planned.pop("version")}
    require_same(
        "the store was normalised by another rule than this hqgen has",
        rule,
        {"name": Normalisation.name, "version": Normalisation.version},
        hint="candidates can only be made again by the version of hqgen that made them",
        error=StoreError,
    )
    return Normalisation(**planned)


def _method(spec: MethodSpec) -> Method:
    """The method that a plan names, if it gives the same images as it did then."""
    method = get_method(spec.name, **spec.parameters)
    if method.version != spec.version:
        raise MethodError(f"`{spec.name}` has version {method.version} now, the plan has {spec.version}")
    if method.weights_digest() != spec.weights:
        raise MethodError(f"`{spec.name}` has other weights here than in the plan")
    return method
