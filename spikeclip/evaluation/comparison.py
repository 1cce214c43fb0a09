"""Compare networks and methods on the same low-light test samples: Tables 1 to 3 of the paper.

Every row of the table is about the same middle crop of the same samples. A network gets their voxel, straight
into its own zero padding as in the published evaluation. A method of hqgen gets the spikes around the middle
frame. Quality and accuracy are of the raw output, as in the paper, and of the picture after one brightness
rule for all rows (`spikeclip.evaluation.quality`). Every output is compared with the spikes, and with the
truth where the set knows it (`spikeclip.evaluation.reference`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hqgen.config import Device
from hqgen.errors import StoreError, UsageError
from hqgen.methods.base import Method
from hqgen.methods.registry import default_ensemble, method_label, missing_methods
from hqgen.methods.tfp import TFP
from hqgen.progress import SILENT, Observer
from hqgen.spikes.packed import PackedSpikes, Window
from hqgen.tables import Cell, ResultRow
from hqgen.text import count
from spikeclip.data.voxels import centre_crop, voxelize_packed
from spikeclip.evaluation.accuracy import JUDGE, TEACHER, Outputs, readers
from spikeclip.evaluation.cost import Profile, profile
from spikeclip.evaluation.quality import Metrics, Score, usable_metrics
from spikeclip.evaluation.reference import TRUTH, missing_truth, references
from spikeclip.evaluation.table import METRICS, ResultTable

if TYPE_CHECKING:
    from torch import nn

    from spikeclip.data.lowlight import LowLightSet, LowLightSplit
    from spikeclip.evaluation.accuracy import Clip

    Subject = nn.Module | Path | Method
    """What is compared."""

BATCH = 8
"""Samples that are read and reconstructed together."""

COST_SIZE = (250, 400)
"""Rows and columns for which the paper gives multiply-accumulates and latency."""


@dataclass
class _Tally:
    """What is known of one network or method; by column its scores and how often CLIP was right."""

    scores: dict[str, list[Score]] = field(default_factory=dict)
    right: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    failures: Counter[str] = field(default_factory=Counter)  # why there was no output, with how often
    about: dict[str, str] = field(default_factory=dict)  # the CLIPs that classified the outputs, the device

    def cells(self) -> dict[str, Cell]:
        """Means over the samples that have a score; accuracy over all samples."""
        cells = {}
        for key, scores in self.scores.items():
            finite = [score.value for score in scores if isfinite(score.value)]
            if finite or key not in TRUTH:  # where the largest is best, +inf would win
                cells[key] = Cell(float(np.mean(finite)) if finite else float("inf"))
        return cells | {key: Cell(100 * right / self.samples) for key, right in self.right.items()}

    def notes(self, row: str) -> Iterator[str]:
        """How many samples are not in the means, and why."""
        for reason, times in self.failures.items():
            yield f"{row}: no output for {times} of {self.samples} samples: {reason}"
        for key, scores in self.scores.items():
            reasons = Counter(score.reason for score in scores if not isfinite(score.value))
            for common, _count in reasons.most_common(1):
                metric, _, group = key.partition("_")
                yield (
                    f"{row}: {sum(reasons.values())} of {self.samples} samples have no {metric.upper()}"
                    f"{f' ({group})' if group else ''} and are left out of the mean: {common}"
                    f"{' and other reasons' if len(reasons) > 1 else ''}"
                )


@dataclass(frozen=True)
class _Examination:
    """What every network and method of a table goes through, here or on a worker; see `evaluate`."""

    samples: LowLightSplit
    classes: tuple[str, ...]
    crop: int | None
    metrics: Metrics
    clips: Mapping[str, Clip]
    device: Device

    def tally(self, subject: Subject, advance: Callable[[int], None] = lambda _samples: None) -> _Tally:
        """Let a network or method reconstruct every sample, and judge what comes out."""
        from hqgen.devices import exact_arithmetic, resolve_device

        device = resolve_device(self.device)
        runnable, tally = load_subject(subject, device), _Tally()
        with exact_arithmetic():
            reading = readers(self.clips, self.classes, device)
            for start in range(0, len(self.samples), BATCH):
                indices = range(start, min(start + BATCH, len(self.samples)))
                packed, labels = self.samples.read(indices)
                outputs = reconstruct_samples(runnable, self.samples, packed, self.crop, device)
                tally.samples += len(outputs)
                tally.failures.update(output for output in outputs if isinstance(output, str))
                beside = references(self.samples, indices, packed, self.crop)
                pairs = [
                    (item, other)
                    for item, other in zip(outputs, beside, strict=True)
                    if not isinstance(item, str)
                ]
                for scores in self.metrics.score_all(pairs):
                    for key, score in scores.items():
                        tally.scores.setdefault(key, []).append(score)
                for role, reader in reading.items():
                    for group, right in reader.right_twice(outputs, labels).items():
                        tally.right[f"{role}_{group}"] += right
                advance(len(labels))
        names = {"CLIP": TEACHER, "judge": JUDGE}
        tally.about = {name: reading[role].name for name, role in names.items() if role in reading}
        tally.about["device"] = _device_name(device)
        return tally


def load_subject(subject: Subject, device: Any) -> Any:
    """A network in eval mode, or a method, on the device."""
    from spikeclip.networks import load_network

    if isinstance(subject, Method):
        return subject.on(device)
    network = load_network(subject) if isinstance(subject, Path) else subject
    return network.to(device).eval()


def reconstruct_samples(
    runnable: Any, samples: LowLightSplit, packed: NDArray[np.uint8], crop: int | None, device: str
) -> Outputs:
    """What a network or method makes of some samples, packed uint8 (B, T, bytes): raw, in its own units."""
    import torch

    height, width = samples.height, samples.width
    if not isinstance(runnable, Method):
        voxel = voxelize_packed(torch.from_numpy(packed).to(device), height, width, runnable.bins, crop)
        return list(runnable(voxel)[:, 0].float().cpu().numpy())
    rows, columns = centre_crop(height, width, crop)
    streams = (PackedSpikes(stream, height, width).frames() for stream in packed)
    windows = [Window(PackedSpikes.pack(frames[:, rows, columns]), samples.frames // 2) for frames in streams]
    made = runnable.reconstruct_batch(windows)
    return [output if isinstance(output, np.ndarray) else output.message for output in made]


def default_methods(frames: int) -> list[Method]:
    """TFP of all `frames`, the paper's baseline, and the methods that a build takes by default."""
    return [TFP(window=frames), *default_ensemble()]


def evaluate(
    checkpoints: Mapping[str, Path | nn.Module],
    low_light: LowLightSet,
    clip: Clip | None = None,
    *,
    judge: Clip | None = None,
    methods: Sequence[Method] | None = None,
    metrics: Sequence[str] = METRICS,
    split: str = "test",
    crop: int | None = 224,
    samples: int | None = None,
    device: Device = "auto",
    runs: int = 100,
    observer: Observer = SILENT,
    submit: Callable[..., Any] | None = None,
) -> ResultTable:
    """Compare networks and methods on a split of a low-light set.

    A picture without a score (flat, not finite) does not count in the mean but in a note; where no picture
    has one, the mean is +inf. A column that cannot be had (a metric without its parameters, no CLIP) is
    `n/a`, with the reason in a note; PSNR, SSIM and the judge's accuracy have no column then. The table is
    the same in every run, apart from the latency.

    Args:
        checkpoints: files that `spikeclip.load` takes, or networks, by the name of their row. A network is
            put in eval mode on the device.
        low_light: the data.
        clip: classifies the pictures; None leaves accuracy out. A function loads it on a device. It is the
            CLIP that taught the networks.
        judge: another CLIP, which did not; None leaves its accuracy out.
        methods: of hqgen; None for `default_methods`.
        metrics: quality scores, of `hqgen.quality.scorer_names()`.
        split: which part of the data.
        crop: side of the middle square that is reconstructed; None for whole frames.
        samples: how many, spread evenly over the split; None for all.
        device: where networks run. A CLIP that is loaded stays where it is.
        runs: timed for the latency; 0 leaves the columns of cost out.
        observer: gets the progress.
        submit: `submit(function, *arguments, tasks=N)` gives the future of a task on a worker while N such
            tasks run. Each network and method is one task. Then one task measures the costs while nothing
            else runs. None does all in this process.

    Raises:
        UsageError: nothing to compare, two rows of one name, an unknown metric or split, no such crop; or the
            judge is the teacher.
        WeightsError: a checkpoint that is missing or of the wrong form.
        MethodError: there is no such device, or a method cannot run here.
        StoreError: the data have no samples, or are damaged.
    """
    chosen = select_samples(low_light, split, samples)
    subjects = named_subjects(checkpoints, default_methods(low_light.frames) if methods is None else methods)
    height, width = (side.stop - side.start for side in centre_crop(*low_light.geometry, crop))
    usable = usable_metrics(metrics, height, width)
    clips = {role: found for role, found in {TEACHER: clip, JUDGE: judge}.items() if found is not None}
    examination = _Examination(chosen, tuple(low_light.labels), crop, usable, clips, device)
    tallies: dict[str, _Tally] = {}
    with observer.progress("evaluate", len(chosen) * len(subjects), "samples") as job:
        if submit is None:
            tallies = {name: examination.tally(subject, job.advance) for name, subject in subjects.items()}
        else:
            tasks = [submit(examination.tally, subject, tasks=len(subjects)) for subject in subjects.values()]
            for name, task in zip(subjects, tasks, strict=True):
                tallies[name] = task.result()
                job.advance(len(chosen))
    about: dict[str, str | int] = {
        "data": f"{low_light.path.name}, {low_light.digest[:12]}",
        "split": split,
        "samples": len(chosen),
        "pixels": f"{height}x{width}",
        **next(iter(tallies.values())).about,
    }
    costs: dict[str, Profile] = {}
    if runs:
        observer.note(f"measuring what a picture of {COST_SIZE[0]}x{COST_SIZE[1]} costs each row")
        measure = partial(_costs, subjects, device, runs)
        costs, measured_on = measure() if submit is None else submit(measure, tasks=1).result()
        about["device"] = measured_on
    notes = [
        *usable.notes,
        *(_missing_methods() if methods is None else ()),
        *([] if clip else ["ACC is n/a: no CLIP was given"]),
        *([] if judge else ["there is no accuracy by a CLIP other than the teacher: no judge was given"]),
        *_missing_truth(low_light),
        *_gains(checkpoints),
        *(note for name, tally in tallies.items() for note in tally.notes(name)),
        *_cost_notes(costs, runs),
    ]
    cells = {name: tally.cells() for name, tally in tallies.items()}
    for name, cost in costs.items():
        cells[name]["params"] = Cell(cost.parameters / 1e6)
        cells[name]["macs"] = Cell(cost.macs / 1e9)
        cells[name]["latency"] = Cell(cost.latency_ms)
    return ResultTable(tuple(map(ResultRow, cells, cells.values())), tuple(metrics), about, tuple(notes))


def select_samples(low_light: LowLightSet, split: str, samples: int | None) -> LowLightSplit:
    """The samples to evaluate, in the order of the split."""
    part = low_light.split(split)
    if not len(part):
        raise StoreError(f"the split `{part.name}` of `{low_light.path}` has no samples")
    taken = min(samples or len(part), len(part))
    return part.select(np.linspace(0, len(part) - 1, taken).round().astype(np.int64))


def named_subjects(
    checkpoints: Mapping[str, Path | nn.Module], methods: Sequence[Method]
) -> dict[str, Subject]:
    """What is compared, by the name of its row."""
    from spikeclip.networks import load_network

    subjects: dict[str, Subject] = dict(checkpoints)
    for checkpoint in checkpoints.values():
        if isinstance(checkpoint, Path):
            load_network(checkpoint)  # a missing file is an error now, not after the rows before it
    for method in methods:
        name = method_label(method)
        if name in subjects:
            raise UsageError(f"two rows are called `{name}`", hint="give the checkpoint another name")
        subjects[name] = method
    if not subjects:
        raise UsageError("there is nothing to evaluate", hint="give a checkpoint or a method")
    return subjects


def _costs(subjects: Mapping[str, Subject], device: Device, runs: int) -> tuple[dict[str, Profile], str]:
    """The cost of each row; networks of one architecture are measured once."""
    from hqgen.devices import resolve_device

    place = resolve_device(device)
    measured: dict[object, Profile] = {}
    costs = {}
    for name, subject in subjects.items():
        runnable = load_subject(subject, place)
        same = runnable if isinstance(runnable, Method) else (type(runnable), runnable.bins)
        if same not in measured:
            height, width = COST_SIZE
            measured[same] = profile(runnable, height=height, width=width, device=place, runs=runs)
        costs[name] = measured[same]
    return costs, _device_name(place)


def _cost_notes(costs: Mapping[str, Profile], runs: int) -> Iterator[str]:
    if not costs:
        yield "Params, MACs and latency are n/a: they were not asked for"
        return
    fewer = [f"{name} {cost.runs}" for name, cost in costs.items() if cost.runs < runs]
    but = f", of fewer where they take long: {', '.join(fewer)}" if fewer else ""
    size = f"{COST_SIZE[0]}x{COST_SIZE[1]} pixels"
    yield f"MACs and latency are of {size}; latency is the mean of {count(runs, 'run')}{but}"
    on_cpu = [name for name, cost in costs.items() if cost.device == "cpu"]
    if 0 < len(on_cpu) < len(costs):
        yield f"timed on the CPU, where they always run: {', '.join(on_cpu)}"


def _gains(checkpoints: Mapping[str, Path | nn.Module]) -> Iterator[str]:
    from spikeclip.networks import learned_gain

    for name, checkpoint in checkpoints.items():
        if isinstance(checkpoint, Path) and (gain := learned_gain(checkpoint)) is not None:
            yield f"{name}: nothing was learned in stage fine except one gain, {gain:.3g}"


def _missing_truth(low_light: LowLightSet) -> Iterator[str]:
    if reason := missing_truth(low_light):
        yield f"`{low_light.path.name}` knows no truth, so that there is no PSNR and no SSIM: {reason}"


def _missing_methods() -> Iterator[str]:
    if missing := missing_methods():
        yield f"not available here, so left out: {', '.join(missing)} (see `hqgen methods`)"


def _device_name(device: str) -> str:
    import torch

    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"
