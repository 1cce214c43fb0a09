"""Build high-quality image sets from spike-camera recordings.

The names below are the public interface; each is imported when it is first used, so that `import hqgen` costs
next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hqgen.api import apply_verdicts, build, inspect, merge, repick
    from hqgen.curation import Journal
    from hqgen.errors import HqgenError
    from hqgen.manifest import read_manifest
    from hqgen.methods.api import reconstruct
    from hqgen.quality.niqe import niqe
    from hqgen.spikes.recording import Recording, open_recording
    from hqgen.store import HQStore, open_store

__version__ = "0.1.0"

__all__ = [
    "HQStore",
    "HqgenError",
    "Journal",
    "Recording",
    "__version__",
    "apply_verdicts",
    "build",
    "inspect",
    "merge",
    "niqe",
    "open_recording",
    "open_store",
    "read_manifest",
    "reconstruct",
    "repick",
]

_HOMES = {
    "HQStore": "hqgen.store",
    "HqgenError": "hqgen.errors",
    "Journal": "hqgen.curation",
    "Recording": "hqgen.spikes.recording",
    "apply_verdicts": "hqgen.api",
    "build": "hqgen.api",
    "inspect": "hqgen.api",
    "merge": "hqgen.api",
    "niqe": "hqgen.quality.niqe",
    "open_recording": "hqgen.spikes.recording",
    "open_store": "hqgen.store",
    "read_manifest": "hqgen.manifest",
    "reconstruct": "hqgen.methods.api",
    "repick": "hqgen.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module `hqgen` has no attribute `{name}`")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
