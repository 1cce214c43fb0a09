"""One method on one source: its pictures, made by a process of its own, and what the judges say of them.

All of it is kept in a folder whose name holds the id of what decides it, so that an interrupted benchmark
continues, and one with more methods measures only those.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from hqgen.benchmark.judging import Panel
from hqgen.benchmark.results import VERSION, Judged, Made, MethodFacts, Pictures, SourceFacts
from hqgen.benchmark.worker import Outcome, worker
from hqgen.errors import HqgenError, MethodError
from hqgen.files import write_atomically
from hqgen.methods.base import Method, Span
from hqgen.progress import Job
from hqgen.provenance import document_id
from hqgen.sources.recordings import SourceRecording
from hqgen.sources.samples import Sample
from hqgen.sources.source import Source
from hqgen.spikes.exposure import SPAN, key_exposure
from hqgen.spikes.packed import ENDS, Window
from hqgen.spikes.recording import Recording

JUDGED = TypeAdapter(dict[str, Judged])


class Places:
    """The windows of samples; the recording that was used last stays open."""

    def __init__(self) -> None:
        self._opened = lru_cache(maxsize=1)(_opened)

    def window(self, sample: Sample, span: Span) -> Window:
        """The frames around the key frame of a sample.

        Raises:
            RecordingError: the file is missing or has changed.
        """
        return self._opened(sample.recording).window(sample.centre, *span)


def _opened(recording: SourceRecording) -> Recording:
    return recording.open()


@dataclass(frozen=True)
class Pair:
    """A method and a source.

    Attributes:
        method: on its device.
        facts: about the method.
        source: with the samples of the benchmark.
        source_facts: about it.
        device: where networks run.
        repeats: how often each picture is timed.
        work: folder of what was measured already, for all pairs.
    """

    method: Method
    facts: MethodFacts
    source: Source
    source_facts: SourceFacts
    device: str
    repeats: int
    work: Path

    @property
    def made_of(self) -> dict[str, Any]:
        """All that decides the pictures and their times."""
        facts = self.facts.model_dump(include={"name", "version", "parameters", "weights_sha256"})
        samples = [[item.key, item.recording_blake3, item.centre] for item in self.source_facts.samples]
        device = self.device if self.method.leg == "gpu" else "cpu"
        return {
            "benchmark": VERSION,
            "method": facts,
            "device": device,
            "repeats": self.repeats,
            "source": self.source.name,
            "samples": samples,
            "ends": ENDS,
        }

    @property
    def folder(self) -> Path:
        """What was measured of this pair."""
        name = re.sub(r"[^A-Za-z0-9._=-]", "-", self.facts.label)
        return self.work / self.source.name / f"{name}-{document_id(self.made_of)}"

    def picture(self, index: int) -> NDArray[np.float32] | None:
        """What the method made of the sample with this index, in its own units; None if nothing."""
        path = self._file(index)
        return np.load(path) if path.exists() else None

    def pictures(self) -> Pictures | None:
        """What was made already; None if not all."""
        try:
            return Pictures.model_validate_json((self.folder / "made.json").read_bytes())
        except (OSError, ValueError):
            return None

    def make(self, places: Places, job: Job, stop: Callable[[], bool]) -> Pictures | None:
        """Make all pictures, one after the other in a process of its own; None if it was stopped."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        samples = list[Made]()
        with worker(self.method, self.repeats) as process:
            try:
                for index in range(len(self.source.samples)):
                    if stop():
                        return None
                    samples.append(self._made(index, process.reconstruct, places))
                    job.advance()
                pictures = Pictures(samples=tuple(samples), memory=process.memory())
            except MethodError as error:  # the process has ended: the next run tries it again
                left = self.source.samples[len(samples) :]
                lost = [Made(key=sample.key, reason=error.message) for sample in left]
                job.advance(len(left))
                return Pictures(samples=(*samples, *lost), memory=None)
        write_atomically(self.folder / "made.json", pictures.model_dump_json(indent=1) + "\n")
        return pictures

    def _made(self, index: int, reconstruct: Callable[[Window], Outcome], places: Places) -> Made:
        sample = self.source.samples[index]
        try:
            window = places.window(sample, self.method.span)
        except HqgenError as error:
            return Made(key=sample.key, reason=error.message)
        outcome = reconstruct(window)
        if outcome.image is not None:
            np.save(self._file(index), outcome.image)
        mirrored = window.mirrored / len(window)
        return Made(key=sample.key, mirrored=mirrored, reason=outcome.reason, seconds=outcome.seconds)

    def _file(self, index: int) -> Path:
        return self.folder / f"{index:05}.npy"

    def judged(self, panel: Panel, evidence: Callable[[int], Evidence]) -> dict[str, Judged]:
        """What the judges say of the pictures, by the key of the sample; from the disk where it is known."""
        truths = [item.truth_blake3 for item in self.source_facts.samples]
        rate, scale = self.source_facts.rate_per_brightness, self.facts.scale
        decided_by = {"rules": panel.rules(), "truths": truths, "rate": rate, "scale": scale}

        def judge(index: int) -> Judged | None:
            image, (truth, exposure) = self.picture(index), evidence(index)
            if image is None:
                return None
            return panel.judge(image, scale=scale, rate_per_brightness=rate, truth=truth, exposure=exposure)

        return remembered(self.folder, decided_by, self.source.samples, judge)


Evidence = tuple[NDArray[np.float32] | None, NDArray[np.float32]]
"""The ground truth of a sample, if there is one, and the spikes counted around its key frame."""


def evidence_of(source: Source) -> list[Evidence]:
    """What the pictures of each sample of a source are compared with.

    Raises:
        HqgenError: a recording or a ground truth cannot be read.
    """
    places = Places()

    def found(sample: Sample) -> Evidence:
        truth = source.truth(sample)
        light = truth.light() if truth is not None else None
        return light, key_exposure(places.window(sample, SPAN))

    return [found(sample) for sample in source.samples]


def judged_truth(
    source: Source, facts: SourceFacts, panel: Panel, evidence: Callable[[int], Evidence], work: Path
) -> dict[str, Judged]:
    """What the judges say of the ground truth itself, by the key of the sample."""
    decided_by = {
        "rules": panel.rules(),
        "truths": [[item.key, item.truth_blake3, item.recording_blake3] for item in facts.samples],
    }

    def judge(index: int) -> Judged | None:
        truth, exposure = evidence(index)
        if truth is None:
            return None
        return panel.judge(truth, scale="brightness", rate_per_brightness=None, truth=None, exposure=exposure)

    return remembered(work / source.name, decided_by, source.samples, judge)


def remembered(
    folder: Path,
    decided_by: dict[str, Any],
    samples: Sequence[Sample],
    judge: Callable[[int], Judged | None],
) -> dict[str, Judged]:
    """Judge each sample, by its index; judgements of equal rules are read from the folder."""
    path = folder / f"judged-{document_id(decided_by)}.json"
    try:
        return JUDGED.validate_json(path.read_bytes())
    except (OSError, ValueError):
        pass
    # Judges let the interpreter lock go, and each picture is judged on its own.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(judge, range(len(samples))))
    judged = {sample.key: item for sample, item in zip(samples, found, strict=True) if item is not None}
    plain = {key: item.model_dump(mode="json") for key, item in judged.items()}
    write_atomically(path, json.dumps(plain, indent=1) + "\n")
    return judged
