"""The picks of a finished store beside the ground truth, where a source has it.

One rule for every method, with nothing fitted to the picture: the winner's raw image is made again and
brought to the brightness of the ground truth, in [0, 1], by what its scale says. A firing rate is divided by
the source's `rate_per_brightness` (0.6 for Spike-REDS), brightness is taken as it is; then it is clipped.
PSNR and SSIM have the data range 1; an image in units of its own has neither. The scores are those of the
store, and of the ground truth's 8-bit picture by the same scorer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import HqgenError, ScoreError, StoreError
from hqgen.inspection.candidates import Remake
from hqgen.manifest import Manifest, SampleRecord, SampleSpec, SourceManifest, SourceSpec, read_manifest
from hqgen.methods.base import Method
from hqgen.pictures import grey_levels
from hqgen.provenance import require_same, specification
from hqgen.quality.fidelity import psnr, ssim
from hqgen.quality.scorers import Scorer, get_scorer
from hqgen.sources import load_catalog
from hqgen.sources.planned import source_files
from hqgen.sources.source import Source, read_demo, read_folder


@dataclass(frozen=True)
class ComparedPick:
    """A pick beside its ground truth.

    Attributes:
        key: of the sample.
        method: the winner.
        psnr: in dB; None where the method's scale or the source's rate is not known, or the images are equal.
        ssim: None where the scale or the rate is not known.
        score: of the pick.
        truth_score: of the ground truth; None where it has none.
    """

    key: str
    method: str
    psnr: float | None
    ssim: float | None
    score: float
    truth_score: float | None


@dataclass(frozen=True)
class Means:
    """Means over `picks` picks, each over those that have the number; None where none has."""

    picks: int
    psnr: float | None
    ssim: float | None
    score: float | None
    truth_score: float | None


@dataclass(frozen=True)
class SkippedPick:
    """A pick with ground truth that could not be compared, with the reason."""

    key: str
    reason: str


@dataclass(frozen=True)
class SourceTruth:
    """One source beside its ground truth; plain values all through.

    Attributes:
        name: the source.
        rate_per_brightness: firing rate over brightness; None where it is not known.
        pictures: samples with a winner.
        methods: means over the picks of each method that has some, by rank.
        all: means over all picks.
        picks: those with ground truth, in the order of the store.
        skipped: those that could not be compared.
    """

    name: str
    rate_per_brightness: float | None
    pictures: int
    methods: dict[str, Means]
    all: Means
    picks: tuple[ComparedPick, ...]
    skipped: tuple[SkippedPick, ...]


def compare_with_truth(
    manifest_path: str | Path,
    data_root: Path | None = None,
    *,
    advance: Callable[[int], None] = lambda _samples: None,
) -> list[SourceTruth]:
    """Compare the picks of a finished store with the ground truth.

    Args:
        manifest_path: the manifest.
        data_root: where the catalog's folders are, for sources that are no longer where they were.
        advance: called with a number of samples whenever so many are done, those without ground truth, too.

    Returns:
        The sources that have ground truth of at least one pick, in the plan's order.

    Raises:
        SourceError: the recordings of a source with ground truth are gone.
        StoreError: there is no manifest, or this version of hqgen cannot make its images again.
        ScoreError: the manifest's scorer cannot run here.
    """
    manifest = read_manifest(Path(manifest_path))
    scorer = _scorer(manifest)
    found = []
    for spec, source in zip(manifest.plan.sources, manifest.sources, strict=True):
        truth = _source(manifest, spec, source, data_root, scorer, advance)
        found += [truth] if truth.picks or truth.skipped else []
    return found


def output_scale(method: Method) -> str:
    """Scale of a method's output: `rate`, `brightness` or `other`.

    That of a network is what its weights were registered with; every other method gives a rate.
    """
    from hqgen.methods.learned.network import NetworkMethod
    from hqgen.methods.weights import find_weights

    if not isinstance(method, NetworkMethod):
        return "rate"
    entry = find_weights(method.weights_name)
    return entry.brightness if entry is not None else method.output


def as_brightness(
    image: NDArray[np.float32], scale: str, rate_per_brightness: float | None
) -> NDArray[np.float64] | None:
    """A method's output as brightness, by what its scale says; nothing is fitted.

    Args:
        image: (H, W), in the method's own units.
        scale: of the output: see `output_scale`.
        rate_per_brightness: of the source; None where it is not known.

    Returns:
        float64 (H, W) in [0, 1]; None where the scale, or the source's rate, is not known.
    """
    if scale == "other" or (scale == "rate" and rate_per_brightness is None):
        return None
    brightness = image.astype(np.float64)
    if scale == "rate" and rate_per_brightness:
        brightness /= rate_per_brightness
    return np.clip(brightness, 0, 1)


def _scorer(manifest: Manifest) -> Scorer:
    """The scorer of the plan, if this version of hqgen has the same one."""
    planned = manifest.plan.scorer
    scorer = get_scorer(str(planned["name"]))
    require_same(
        "the store was scored by another scorer than this hqgen has",
        planned,
        specification(scorer),
        hint="scores can only be compared by the version of hqgen that made them",
        error=StoreError,
    )
    return scorer


def _source(
    manifest: Manifest,
    spec: SourceSpec,
    found: SourceManifest,
    data_root: Path | None,
    scorer: Scorer,
    advance: Callable[[int], None],
) -> SourceTruth:
    picks: list[ComparedPick] = []
    skipped: list[SkippedPick] = []
    source = source_with_truth(found, data_root)
    won = [row for row, sample in enumerate(found.samples) if sample.method is not None]
    if source is not None:
        compare = _Comparison(Remake(manifest.plan, spec, found, data_root), source, scorer)
        for row in won:
            try:
                picks += compare(found.samples[row], spec.samples[row])
            except HqgenError as error:
                skipped.append(SkippedPick(found.samples[row].key, error.message))
            advance(1)
    else:
        advance(len(won))
    return SourceTruth(
        name=spec.name,
        rate_per_brightness=source.entry.rate_per_brightness if source else None,
        pictures=len(won),
        methods={
            method.name: _means(mine)
            for method in spec.methods
            if (mine := [pick for pick in picks if pick.method == method.name])
        },
        all=_means(picks),
        picks=tuple(picks),
        skipped=tuple(skipped),
    )


def source_with_truth(found: SourceManifest, data_root: Path | None) -> Source | None:
    """A source with ground truth; None for one without, wherever its files are.

    Args:
        found: the source in a manifest.
        data_root: where the catalog's folders are, for a source that is no longer where it was.

    Raises:
        SourceError: it has ground truth, and its files are gone.
    """
    entry = load_catalog().get(found.name)
    if found.folder is None:
        return read_demo(entry) if entry is not None else None
    if entry is not None and not entry.has_truth:
        return None
    files = source_files(found.name, found.folder, data_root)
    return read_folder(found.name, files[1], files[0]) if files and files[1].has_truth else None


class _Comparison:
    """Compares picks of one source with their ground truth."""

    def __init__(self, remake: Remake, source: Source, scorer: Scorer) -> None:
        self._remake, self._scorer = remake, scorer
        self._rate = source.entry.rate_per_brightness
        self._truths = {sample.key: source.truth(sample) for sample in source.samples}

    def __call__(self, sample: SampleRecord, place: SampleSpec) -> list[ComparedPick]:
        """The pick beside its ground truth; empty where it has none."""
        found = self._truths.get(sample.key)
        if found is None or sample.method is None or sample.score is None:
            return []
        truth = found.light().astype(np.float64)
        image = self._brightness(sample.method, place)
        if image is not None and image.shape != truth.shape:
            raise ScoreError(f"`{found.name}` is {_size(truth)}, the pick {_size(image)}")
        scores, _ = self._scorer.score(grey_levels(truth)[None])
        return [
            ComparedPick(
                key=sample.key,
                method=sample.method,
                psnr=None if image is None else psnr(image, truth),
                ssim=None if image is None else ssim(image, truth),
                score=sample.score,
                truth_score=float(scores[0]) if np.isfinite(scores[0]) else None,
            )
        ]

    def _brightness(self, method: str, place: SampleSpec) -> NDArray[np.float64] | None:
        """The winner's image as brightness in [0, 1]; None where its scale is not known."""
        scale = output_scale(self._remake.method(method))
        return as_brightness(self._remake.image(method, place), scale, self._rate)


def _size(image: NDArray[np.float64]) -> str:
    return "x".join(str(side) for side in image.shape)


def _means(picks: Sequence[ComparedPick]) -> Means:
    means: dict[str, float | None] = {}
    for name in ("psnr", "ssim", "score", "truth_score"):
        values = [value for pick in picks if (value := getattr(pick, name)) is not None]
        means[name] = float(np.mean(values)) if values else None
    return Means(len(picks), **means)
