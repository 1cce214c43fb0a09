"""Tables 1 to 3 of the paper: networks and methods on the same low-light test samples.

Every row sees the same middle crop of the same samples. A network gets their voxel, straight into its own
zero padding as in the published evaluation; a method of hqgen gets the spikes around the middle frame.
Quality and accuracy are of the raw output, as in the paper, and of the picture after one brightness rule for
all rows (`spikeclip.evaluation.quality`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import StoreError, UsageError
from hqgen.methods.base import Method
from hqgen.methods.registry import available_methods
from hqgen.methods.tfp import TFP
from hqgen.spikes.packed import PackedSpikes, Window
from hqgen.text import count
from spikeclip.data.voxels import centre_crop, voxelize_packed
from spikeclip.evaluation.cost import Profile, profile
from spikeclip.evaluation.formats import Cell, Row, Table
from spikeclip.evaluation.quality import METRICS, Image, Judge, Score, brightened, judge

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hqgen.progress import Observer
    from spikeclip.clip.frozen import FrozenClip
    from spikeclip.data.lowlight import LowLightSet, LowLightSplit

__all__ = ["default_methods", "evaluate", "method_row"]

Device = Literal["auto", "cpu", "cuda"]

BATCH = 8
"""Samples that are read and reconstructed together."""

COST_SIZE = (250, 400)
"""Rows and columns for which the paper gives multiply-accumulates and latency."""


@dataclass(frozen=True)
class _Samples:
    """Some test samples, as networks and as methods take them.

    Attributes:
        packed: uint8 (B, T, bytes), whole frames.
        height: rows of a whole frame.
        width: columns of a whole frame.
        crop: side of the middle square, or None.
        windows: the same samples, cropped, around their middle frames.
    """

    packed: NDArray[np.uint8]
    height: int
    width: int
    crop: int | None
    windows: list[Window]


Outputs = Sequence[Image | str]
"""For each sample the output, float32 (h, w), or why there is none."""


@dataclass
class _Tally:
    """What is known of a row so far.

    Attributes:
        scores: of all outputs, by column.
        right: how many samples were classified right, by column.
        samples: how many were given to the row.
        failures: why there was no output, with how often.
    """

    scores: dict[str, list[Score]] = field(default_factory=dict)
    right: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def add(self, outputs: Outputs, judged: Sequence[Mapping[str, Score]]) -> None:
        """Take in the scores of the outputs that there are, and the reasons of those that are missing."""
        self.samples += len(outputs)
        self.failures.update(output for output in outputs if isinstance(output, str))
        for scores in judged:
            for key, score in scores.items():
                self.scores.setdefault(key, []).append(score)

    def cells(self, accuracies: Sequence[str]) -> dict[str, Cell]:
        """Means over the samples that have a score; accuracy over all samples."""
        cells = {key: Cell(_mean_of_finite(scores)) for key, scores in self.scores.items()}
        return cells | {key: Cell(100 * self.right[key] / self.samples) for key in accuracies}

    def notes(self, row: str) -> Iterator[str]:
        """How many samples are not in the means, and why."""
        for reason, times in self.failures.items():
            yield f"{row}: no output for {times} of {self.samples} samples: {reason}"
        for key, scores in self.scores.items():
            reasons = Counter(score.reason for score in scores if not isfinite(score.value))
            for common, _count in reasons.most_common(1):
                metric, _, group = key.partition("_")
                yield (
                    f"{row}: {sum(reasons.values())} of {self.samples} samples have no {metric.upper()} "
                    f"({group}) and are left out of the mean: {common}"
                    f"{' and other reasons' if len(reasons) > 1 else ''}"
                )


def _mean_of_finite(scores: Sequence[Score]) -> float:
    finite = [score.value for score in scores if isfinite(score.value)]
    return float(np.mean(finite)) if finite else float("inf")


@dataclass(frozen=True)
class _Classifier:
    """Tells the class of a picture by the nearest text "image of a [cls]".

    Attributes:
        clip: the judge.
        texts: float32 (C, D), features of the classes' texts.
    """

    clip: FrozenClip
    texts: Tensor

    def right(self, pictures: Sequence[NDArray[Any] | str], labels: NDArray[np.int64]) -> int:
        """How many pictures, (h, w) with white as 1, are told right; a missing one is told wrong."""
        import torch

        # The nearest text of a picture that is no number would be the first one.
        known = [
            index
            for index, picture in enumerate(pictures)
            if not isinstance(picture, str) and np.isfinite(picture).all()
        ]
        if not known:
            return 0
        gray = torch.from_numpy(np.stack([np.float32(pictures[index]) for index in known]))[:, None]
        features = self.clip.image_features(gray.to(self.texts.device))
        nearest = (features @ self.texts.T).argmax(1).cpu().numpy()
        return int(np.count_nonzero(nearest == labels[known]))


class _Row(Protocol):
    """A network or method that is compared."""

    @property
    def subject(self) -> nn.Module | Method:
        """What its cost is that of."""

    def outputs(self, samples: _Samples) -> Outputs:
        """Reconstruct each sample."""


@dataclass(frozen=True)
class _NetworkRow:
    subject: Any  # a network of `spikeclip.networks`
    device: str

    def outputs(self, samples: _Samples) -> Outputs:
        """float32 (h, w) of each sample, raw."""
        import torch

        packed = torch.from_numpy(samples.packed).to(self.device)
        voxel = voxelize_packed(packed, samples.height, samples.width, self.subject.bins, samples.crop)
        return list(self.subject(voxel)[:, 0].float().cpu().numpy())


@dataclass(frozen=True)
class _MethodRow:
    subject: Method

    def outputs(self, samples: _Samples) -> Outputs:
        """float32 (h, w) of each sample in the method's units, or its objection."""
        made = self.subject.reconstruct_batch(samples.windows)
        return [output if isinstance(output, np.ndarray) else output.message for output in made]


def default_methods(frames: int) -> list[Method]:
    """TFP of all `frames`, the paper's baseline, and every method of hqgen that can run here."""
    able = [item.method for item in available_methods() if item.method and item.reason is None]
    return [TFP(window=frames), *able]


def method_row(method: Method) -> str:
    """The name of a method's row: the method's, and the parameters that differ from their defaults."""
    usual = type(method)().parameters()
    changed = [f"{key}={value}" for key, value in method.parameters().items() if usual[key] != value]
    return ":".join([method.name, *changed])


def evaluate(
    checkpoints: Mapping[str, Path | nn.Module],
    low_light: LowLightSet,
    clip: FrozenClip | None = None,
    *,
    methods: Sequence[Method] | None = None,
    metrics: Sequence[str] = METRICS,
    split: str = "test",
    crop: int | None = 224,
    samples: int | None = None,
    device: Device = "auto",
    runs: int = 100,
    observer: Observer | None = None,
) -> Table:
    """Compare networks and methods on a split of a low-light set.

    A picture without a score (flat, not finite) does not count in the mean but in a note; where no picture
    has one, the mean is +inf. A column that cannot be had (a metric without its parameters, no CLIP) is
    `n/a`, with the reason in a note. The table is the same in every run, apart from the latency.

    Args:
        checkpoints: files that `spikeclip.load` takes, or networks, by the name of their row. A network is
            put in eval mode on the device.
        low_light: the data.
        clip: tells the classes; None leaves accuracy out.
        methods: of hqgen; None for `default_methods`.
        metrics: quality scores, of `hqgen.quality.scorer_names()`.
        split: which part of the data.
        crop: side of the middle square that is reconstructed; None for whole frames.
        samples: how many, spread evenly over the split; None for all.
        device: where networks run; CLIP stays where it is.
        runs: timed for the latency; 0 leaves the columns of cost out.
        observer: is told how it goes on.

    Raises:
        UsageError: nothing to compare, two rows of one name, an unknown metric or split, no such crop.
        WeightsError: a checkpoint that is missing or of the wrong form.
        MethodError: there is no such device, or a method cannot run here.
        StoreError: the data have no samples, are damaged, or have labels that are no classes.
    """
    from hqgen.devices import exact_arithmetic, resolve_device

    part, place = low_light.split(split), cast(Device, resolve_device(device))
    chosen = _chosen(part, low_light, samples)
    rows = _rows(checkpoints, default_methods(low_light.frames) if methods is None else methods, place)
    height, width = _cropped(low_light.geometry, crop)
    scorer, classifier = judge(metrics, height, width), _classifier(clip, low_light.labels)
    with exact_arithmetic():
        tallies = _tallies(rows, _batches(part, chosen, crop), scorer, classifier, len(chosen), observer)
    costs = _costs(rows, place, runs, observer)
    notes = [
        *scorer.notes,
        *(_missing_methods() if methods is None else ()),
        *([] if classifier else ["ACC is n/a: no CLIP was given"]),
        *(note for name, tally in tallies.items() for note in tally.notes(name)),
        *_cost_notes(costs, runs),
    ]
    accuracies = ("acc_raw", "acc_bright") if classifier else ()
    return Table(
        rows=tuple(
            Row(name, tally.cells(accuracies) | _cost_cells(costs.get(name)))
            for name, tally in tallies.items()
        ),
        metrics=tuple(metrics),
        about={
            "data": f"{low_light.path.name}, {low_light.digest[:12]}",
            "split": split,
            "samples": len(chosen),
            "pixels": f"{height}x{width}",
            "CLIP": clip.name if clip is not None else "none",
            "device": _device_name(place),
        },
        notes=tuple(notes),
    )


def _chosen(part: LowLightSplit, low_light: LowLightSet, samples: int | None) -> NDArray[np.int64]:
    """Indices of the samples to evaluate, ascending."""
    if samples is not None and samples < 1:
        raise UsageError(f"{samples} samples are none to evaluate", hint="give 1 or more")
    if not len(part):
        raise StoreError(f"the split `{part.name}` of `{low_light.path}` has no samples")
    classes = len(low_light.labels)
    if unknown := np.flatnonzero((part.labels < 0) | (part.labels >= classes)).tolist():
        raise StoreError(
            f"{len(unknown)} of {len(part)} samples of `{low_light.path}` have a label that is none of its "
            f"{classes} classes; the first is `{part.keys[unknown[0]]}`, {part.labels[unknown[0]]}",
            hint="prepare the low-light set again, with its labels",
        )
    taken = min(samples or len(part), len(part))
    return np.linspace(0, len(part) - 1, taken).round().astype(np.int64)


def _cropped(geometry: tuple[int, int], crop: int | None) -> tuple[int, int]:
    """Rows and columns of what is reconstructed."""
    try:
        rows, columns = centre_crop(*geometry, crop)
    except ValueError as error:
        raise UsageError(str(error), hint="give a smaller crop, or none for whole frames") from error
    return rows.stop - rows.start, columns.stop - columns.start


def _rows(
    checkpoints: Mapping[str, Path | nn.Module], methods: Sequence[Method], device: Device
) -> dict[str, _Row]:
    from spikeclip.networks import load_network

    rows: dict[str, _Row] = {}
    for name, what in checkpoints.items():
        network = load_network(what) if isinstance(what, str | Path) else what
        rows[name] = _NetworkRow(network.to(device).eval(), device)
    for method in methods:
        name = method_row(method)
        if name in rows:
            raise UsageError(f"two rows are called `{name}`", hint="call the checkpoint otherwise")
        rows[name] = _MethodRow(method.on(device))
    if not rows:
        raise UsageError("nothing to evaluate", hint="give a checkpoint or a method")
    return rows


def _classifier(clip: FrozenClip | None, classes: Sequence[str]) -> _Classifier | None:
    from spikeclip.clip.frozen import class_texts

    return None if clip is None else _Classifier(clip, clip.text_features(class_texts(classes)))


def _batches(
    part: LowLightSplit, indices: NDArray[np.int64], crop: int | None
) -> Iterator[tuple[_Samples, NDArray[np.int64]]]:
    """The samples, some at a time, with their labels."""
    area = centre_crop(part.height, part.width, crop)
    for start in range(0, len(indices), BATCH):
        packed, labels = part.read(indices[start : start + BATCH])
        streams = (PackedSpikes(stream, part.height, part.width).frames() for stream in packed)
        windows = [
            Window(PackedSpikes.pack(frames[:, area[0], area[1]]), part.frames // 2) for frames in streams
        ]
        yield _Samples(packed, part.height, part.width, crop, windows), labels


def _tallies(
    rows: Mapping[str, _Row],
    batches: Iterator[tuple[_Samples, NDArray[np.int64]]],
    scorer: Judge,
    classifier: _Classifier | None,
    total: int,
    observer: Observer | None,
) -> dict[str, _Tally]:
    """Let every row reconstruct every sample, and judge what comes out."""
    tallies = {name: _Tally() for name in rows}
    shown = observer.progress("evaluate", total, "samples") if observer else nullcontext(_nobody)
    with shown as advance:
        for samples, labels in batches:
            for name, row in rows.items():
                outputs = row.outputs(samples)
                made = [output for output in outputs if not isinstance(output, str)]
                tallies[name].add(outputs, scorer.score_all(made))
                if classifier:
                    tallies[name].right["acc_raw"] += classifier.right(outputs, labels)
                    tallies[name].right["acc_bright"] += classifier.right(_bright(outputs), labels)
            advance(len(labels))
    return tallies


def _nobody(_samples: int) -> None: ...


def _bright(outputs: Outputs) -> Outputs:
    """The pictures at the common brightness, white as 1."""
    pictures = [output if isinstance(output, str) else brightened(output) for output in outputs]
    return [
        picture if isinstance(picture, str) else picture.astype(np.float32) / np.float32(255)
        for picture in pictures
    ]


def _costs(rows: Mapping[str, _Row], device: str, runs: int, observer: Observer | None) -> dict[str, Profile]:
    """The cost of each row; networks of one architecture are measured once."""
    if runs == 0:
        return {}
    if observer:
        observer.note(f"measuring what a picture of {COST_SIZE[0]}x{COST_SIZE[1]} costs each row")
    measured: dict[object, Profile] = {}
    costs = {}
    for name, row in rows.items():
        what: Any = row.subject
        same = what if isinstance(what, Method) else (type(what), what.bins)
        if same not in measured:
            measured[same] = profile(what, height=COST_SIZE[0], width=COST_SIZE[1], device=device, runs=runs)
        costs[name] = measured[same]
    return costs


def _cost_cells(cost: Profile | None) -> dict[str, Cell]:
    if cost is None:
        return {}
    return {
        "params": Cell(cost.parameters / 1e6),
        "macs": Cell(cost.macs / 1e9),
        "latency": Cell(cost.latency_ms),
    }


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


def _missing_methods() -> Iterator[str]:
    missing = [item.name for item in available_methods() if item.reason is not None]
    if missing:
        yield f"not available here, so left out: {', '.join(missing)} (see `hqgen methods`)"


def _device_name(device: str) -> str:
    import torch

    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"
