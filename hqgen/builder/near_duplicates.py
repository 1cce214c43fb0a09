"""Key frames of a slow recording are nearly the same picture: one of a run is kept.

This is decided while the plan is made, from the spikes alone. So no method runs on a sample that is left out,
the plan names each of them, and it does not depend on workers and shards.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from hqgen.errors import HqgenError, UsageError
from hqgen.progress import Observer
from hqgen.sources.samples import WINDOW, Sample
from hqgen.sources.source import Source
from hqgen.spikes.displacement import displacement, smallest_side
from hqgen.spikes.recording import Recording


@dataclass(frozen=True)
class MotionRule:
    """A key frame is kept where the picture has moved by `least` pixels since the last one that was kept."""

    least: float
    name: ClassVar[str] = "motion"
    version: ClassVar[int] = 1

    def parameters(self) -> dict[str, Any]:
        """Everything that decides its results."""
        return {"least": self.least}

    @property
    def reach(self) -> int:
        """Pixels that are searched, enough to tell whether it moved so far."""
        return math.ceil(self.least) + 1

    def check_size(self, source: Source) -> None:
        """Refuse pictures in which so large a motion cannot be found.

        Raises:
            UsageError: a side of the source's pictures is too short.
        """
        height, width = source.geometry
        if min(height, width) < (side := smallest_side(self.reach)):
            raise UsageError(
                f"a motion of {self.least:g} pixels needs pictures of at least {side} pixels a side, and "
                f"those of `{source.name}` are {height}x{width}",
                hint="give a smaller `--min-motion`",
            )


class NearDuplicate(NamedTuple):
    """A sample that is left out: which kept one it is like, and by how many pixels it has moved since."""

    sample: Sample
    like: Sample
    moved: float


def find_near_duplicates(
    sources: Sequence[Source], rule: MotionRule, observer: Observer
) -> dict[str, tuple[NearDuplicate, ...]]:
    """Compare the key frames of each recording with the last one that is kept.

    A recording that cannot be read keeps all its key frames: the build says what is wrong with it.

    Returns:
        By name of the source, what to leave out, in the order of its samples.
    """
    total = sum(len(source.samples) for source in sources)
    with (
        observer.progress("comparing key frames", total, "samples") as job,
        ThreadPoolExecutor(os.cpu_count()) as pool,  # the kernels let the interpreter lock go
    ):
        found = {}
        for source in sources:
            runs = _by_recording(source.samples)
            lists = []
            for run, left_out in zip(runs, pool.map(lambda run: _examined(run, rule), runs), strict=True):
                lists.append(left_out)
                job.advance(len(run))
            found[source.name] = tuple(item for left_out in lists for item in left_out)
    return found


def _by_recording(samples: Sequence[Sample]) -> list[list[Sample]]:
    """The samples of each recording, in order of time."""
    runs: dict[object, list[Sample]] = {}
    for sample in samples:
        runs.setdefault(sample.recording, []).append(sample)
    return list(runs.values())


def _examined(run: Sequence[Sample], rule: MotionRule) -> list[NearDuplicate]:
    """What to leave out of the samples of one recording."""
    if len(run) < 2:
        return []
    try:
        recording = run[0].recording.open()
        centres = [sample.centre for sample in run]
        left_out = runs_of_one_picture(
            len(run),
            lambda kept, other: _moved(recording, centres[kept], centres[other], rule.reach),
            rule.least,
        )
        return [NearDuplicate(run[index], run[kept], moved) for index, kept, moved in left_out]
    except HqgenError:
        return []


def runs_of_one_picture(
    count: int, moved: Callable[[int, int], float], least: float
) -> Iterator[tuple[int, int, float]]:
    """Walk through pictures in order of time, and leave out those like the last one that was kept.

    Args:
        count: of the pictures; the first is kept.
        moved: motion from one picture to a later one, by their numbers.
        least: motion that makes another picture.

    Yields:
        Number of a picture that is left out, that of the kept one that it is like, and the motion between.
    """
    kept = 0
    for index in range(1, count):
        motion = moved(kept, index)
        if motion < least:
            yield index, kept, motion
        else:
            kept = index


def _moved(recording: Recording, kept: int, centre: int, reach: int) -> float:
    """Pixels by which the picture moved between two key frames; their windows do not share frames."""
    half = max(0, min(WINDOW // 2, (centre - kept - 1) // 2))
    before, after = (recording.window(frame, half, half).spikes for frame in (kept, centre))
    return round(displacement(before, after, reach), 2)
