"""From what the user asked for to methods, samples and their digests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hqgen.benchmark.judging import Panel, panel
from hqgen.benchmark.results import MethodFacts, SampleFacts, SourceFacts
from hqgen.benchmark.settings import BenchmarkSettings
from hqgen.builder.digests import digest_recordings
from hqgen.errors import SourceError, UsageError
from hqgen.files import weights_folder
from hqgen.inspection.truth import output_scale
from hqgen.methods.base import Method
from hqgen.methods.registry import every_method, method_label, parse_methods
from hqgen.progress import Observer
from hqgen.sources.resolve import resolve_sources
from hqgen.sources.source import Source


@dataclass(frozen=True)
class Request:
    """What is measured.

    Attributes:
        methods: by label, in rank order, each on its device.
        sources: with the chosen samples, in the order of their names.
        panel: the judges.
        unavailable: methods that cannot run here, with the reason.
        notes: judges that cannot, with the reason.
    """

    methods: dict[str, Method]
    sources: tuple[Source, ...]
    panel: Panel
    unavailable: dict[str, str]
    notes: tuple[str, ...]


def resolve(settings: BenchmarkSettings) -> Request:
    """Find methods, sources and judges; reads no recording and writes nothing.

    Raises:
        UsageError: a name or parameter that makes no sense.
        SourceError: a source without usable recordings.
        MethodError: a method that was asked for by name cannot run here.
    """
    methods, unavailable = _methods(settings)
    found = sorted(resolve_sources(settings.sources, settings.data_root), key=lambda source: source.name)
    for source in found:
        if source.entry.described_camera.colour is not None:
            raise UsageError(
                f"source `{source.name}`: recordings of a colour filter cannot be compared yet",
                hint="`hqgen build` and `hqgen reconstruct` take them",
            )
    sources = tuple(_spread(source, settings.samples) for source in found)
    judges, notes = panel(settings.judges, {source.geometry for source in sources})
    return Request(methods, sources, judges, unavailable, tuple(notes))


def _methods(settings: BenchmarkSettings) -> tuple[dict[str, Method], dict[str, str]]:
    chosen, unavailable = list[Method](), dict[str, str]()
    for item in settings.methods.split(","):
        if item.strip() != "all":
            chosen += parse_methods(item)
            continue
        for every in every_method():
            if every.method is None or every.reason is not None:
                unavailable[every.name] = _without_folder(every.reason or "")
            else:
                chosen.append(every.method)
    if not chosen:
        raise UsageError("no method can run here", hint="`hqgen methods` says why")
    ranked = sorted(chosen, key=lambda method: method.rank)
    return {method_label(method): method.on(settings.device) for method in ranked}, unavailable


def _without_folder(reason: str) -> str:
    """A reason for a page that others read: they do not need the user's folder of weights."""
    return reason.replace(f" in `{weights_folder()}`", "")


def _spread(source: Source, samples: int | None) -> Source:
    taken = min(samples or len(source.samples), len(source.samples))
    places = np.linspace(0, len(source.samples) - 1, taken).round().astype(int).tolist()
    return replace(source, samples=tuple(source.samples[place] for place in places))


def source_facts(request: Request, cache: Path, observer: Observer) -> dict[str, SourceFacts]:
    """Digest recordings and ground truth of the chosen samples; by the name of the source.

    Args:
        request: what is measured.
        cache: the file of digests that are known already.
        observer: gets the progress.

    Raises:
        HqgenError: a recording or a ground truth cannot be read.
    """
    recordings = list(dict.fromkeys(item.recording for source in request.sources for item in source.samples))
    total = sum(recording.size for recording in recordings)
    with observer.progress("reading recordings", total, "bytes") as job:
        digests, failed = digest_recordings(recordings, cache, advance=job.advance)
    for recording, reason in failed.items():
        raise SourceError(f"`{recording.name}` cannot be read: {reason}", hint="leave it out, or repair it")

    def facts(source: Source) -> SourceFacts:
        truths = [source.truth(sample) for sample in source.samples]
        samples = [
            SampleFacts(
                key=sample.key,
                recording=sample.recording.name,
                split=sample.recording.split,
                centre=sample.centre,
                recording_blake3=digests[sample.recording],
                truth_blake3=truth.digest() if truth is not None else None,
            )
            for sample, truth in zip(source.samples, truths, strict=True)
        ]
        height, width = source.geometry
        return SourceFacts(
            name=source.name,
            title=source.entry.title,
            height=height,
            width=width,
            rate_per_brightness=source.entry.rate_per_brightness,
            samples=tuple(samples),
            truth={},
        )

    return {source.name: facts(source) for source in request.sources}


def method_facts(label: str, method: Method) -> MethodFacts:
    """A method as it is run."""
    from hqgen.methods.learned.network import NetworkMethod

    trained = 0
    if isinstance(method, NetworkMethod):
        trained = sum(parameter.numel() for parameter in method.network().parameters())
    return MethodFacts(
        label=label,
        name=method.name,
        version=method.version,
        parameters=method.parameters(),
        leg=method.leg,
        frames=method.span,
        scale=output_scale(method),
        trained=trained,
        weights_sha256=method.weights_digest(),
        citation=method.citation,
    )
