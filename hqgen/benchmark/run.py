"""A benchmark, from its settings to its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hqgen.benchmark.machine import machine, software
from hqgen.benchmark.measure import Pair, Places, evidence_of, judged_truth
from hqgen.benchmark.regrets import regrets
from hqgen.benchmark.request import Request, method_facts, resolve, source_facts
from hqgen.benchmark.results import Benchmark, Judged, Pictures, Result, SourceFacts
from hqgen.benchmark.settings import BenchmarkSettings
from hqgen.benchmark.sheet import draw_sheet
from hqgen.benchmark.tables import latex_document, markdown_document
from hqgen.builder.readings import misread_recordings
from hqgen.devices import resolve_device
from hqgen.errors import UsageError
from hqgen.files import held, write_atomically
from hqgen.progress import SILENT, Observer

MEASURED = "measured"
"""The folder, beside the results, of what is not measured again."""


def benchmark(
    settings: BenchmarkSettings,
    observer: Observer = SILENT,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> Benchmark | None:
    """Run methods over samples, judge the pictures, and write the results.

    Pictures are made one after the other, each method and source in a process of its own, so that times and
    memory are those of the method. What is in the folder already is not measured again.

    Args:
        settings: what is asked for.
        observer: gets the progress.
        stop: asked before each picture; a method that is not finished then begins again next time.

    Returns:
        The results; None if it was stopped.

    Raises:
        HqgenError: a name, a source, a method or a folder that cannot be used.
    """
    request = resolve(settings)
    device = resolve_device(settings.device)
    work = settings.out / MEASURED
    try:
        with held(work / "lock", settings.out, "benchmark", UsageError):
            _require_well_read(request, work, observer)
            facts = source_facts(request, work / "blake3.json", observer)
            methods = [method_facts(label, method) for label, method in request.methods.items()]
            pairs = [
                Pair(method, about, source, facts[source.name], device, settings.repeats, work)
                for (method, about) in zip(request.methods.values(), methods, strict=True)
                for source in request.sources
            ]
            made = _make(pairs, observer, stop)
            if made is None:
                return None
            truths, judged = _judge(request, facts, pairs, observer)
            results = [
                Result(
                    method=pair.facts.label,
                    source=pair.source.name,
                    memory=pictures.memory,
                    samples=pictures.samples,
                    judged=judgements,
                )
                for pair, pictures, judgements in zip(pairs, made, judged, strict=True)
            ]
            found = Benchmark(
                software=software(),
                machine=machine(device),
                rules=request.panel.rules(),
                notes=request.notes,
                unavailable=request.unavailable,
                sources=tuple(
                    item.model_copy(update={"truth": truths[name]}) for name, item in facts.items()
                ),
                methods=tuple(methods),
                results=tuple(results),
            )
            found = found.model_copy(update={"regrets": regrets(found)})
            write_atomically(settings.out / "benchmark.json", found.model_dump_json(indent=1) + "\n")
            write_atomically(settings.out / "benchmark.md", markdown_document(found))
            write_atomically(settings.out / "benchmark.tex", latex_document(found))
            draw_sheet(found, pairs, settings.crops, settings.out / "benchmark.png")
    except OSError as error:
        raise UsageError(
            f"`{settings.out}` cannot be written: {error.strerror or error}", hint="choose another `--out`"
        ) from error
    return found


def _require_well_read(request: Request, work: Path, observer: Observer) -> None:
    """Refuse recordings that are clearly misread: all methods would be measured on noise."""
    wrong = misread_recordings(request.sources, work / "readings.json", observer)
    for recording, reason in wrong.items():
        raise UsageError(
            f"`{recording.name}` is not read as it was written: {reason}",
            hint="describe the camera in `source.toml` (docs/sources.md), or take the file out of the folder",
        )


def _make(pairs: list[Pair], observer: Observer, stop: Callable[[], bool]) -> list[Pictures] | None:
    """The pictures of every pair; None if it was stopped."""
    known = [pair.pictures() for pair in pairs]
    counts = [len(pair.source.samples) for pair in pairs]
    done = sum(number for number, pictures in zip(counts, known, strict=True) if pictures is not None)
    places, made = Places(), list[Pictures]()
    with observer.progress("reconstructing", sum(counts), "pictures", done) as job:
        for pair, pictures in zip(pairs, known, strict=True):
            job.tell(f"{pair.facts.label} on {pair.source.name}")
            found = pictures or pair.make(places, job, stop)
            if found is None:
                return None
            made.append(found)
    return made


def _judge(
    request: Request, facts: dict[str, SourceFacts], pairs: list[Pair], observer: Observer
) -> tuple[dict[str, dict[str, Judged]], list[dict[str, Judged]]]:
    """What the judges say: of the ground truth by source, of the pictures by pair."""
    truths, judged = dict[str, dict[str, Judged]](), dict[int, dict[str, Judged]]()
    total = sum(len(pair.source.samples) for pair in pairs)
    with observer.progress("judging", total, "pictures") as job:
        for source in request.sources:
            evidence = evidence_of(source)
            work = pairs[0].work
            truths[source.name] = judged_truth(
                source, facts[source.name], request.panel, evidence.__getitem__, work
            )
            for index, pair in enumerate(pairs):
                if pair.source is source:
                    judged[index] = pair.judged(request.panel, evidence.__getitem__)
                    job.advance(len(source.samples))
    return truths, [judged[index] for index in range(len(pairs))]
