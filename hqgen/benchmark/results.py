"""The results of a benchmark, as they are in `benchmark.json`.

Only times and memory differ from run to run.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from hqgen.inspection.regret import RuleRegret

VERSION = 1
"""Goes up by one when the same method and sample would get other numbers than before."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Distance(_Model):
    """How near a picture is to the ground truth.

    Attributes:
        psnr: in dB; None for equal pictures.
        ssim: structural similarity.
    """

    psnr: float | None
    ssim: float


class Judged(_Model):
    """What the judges say of one picture.

    Attributes:
        plain: beside the ground truth, as brightness by the method's declared scale; None without ground
            truth, or where the scale or the source's rate is not known.
        fitted: the same after the gain that fits best; None without ground truth.
        raw: scores of the output as it is, 1 being white, by judge; None where it has no score.
        bright: scores of the 8-bit picture that the rule of normalisation makes of it.
        consistency: with the spikes, of that picture.
    """

    plain: Distance | None = None
    fitted: Distance | None = None
    raw: dict[str, float | None]
    bright: dict[str, float | None]
    consistency: float | None


class Seconds(_Model):
    """What one picture took, from packed spikes in memory to the image in memory.

    Attributes:
        processor: of all threads together.
        wall: by the clock.
    """

    processor: float
    wall: float


class Made(_Model):
    """A picture that a method made, or did not.

    Attributes:
        key: of the sample.
        reason: why there is no picture; None if there is one.
        seconds: None without a picture.
        mirrored: part of the method's frames that are mirrored, because its window reaches over an end.
    """

    key: str
    mirrored: float = 0.0
    reason: str | None = None
    seconds: Seconds | None = None


class Memory(_Model):
    """The memory of the process that made all pictures of one method and source, and did nothing else.

    Attributes:
        start: resident bytes with Python, the libraries and the method's code loaded.
        peak: most resident bytes from then on.
        device: most bytes of a GPU; None where none was used.
    """

    start: int
    peak: int
    device: int | None = None


class Pictures(_Model):
    """The pictures that one method made of one source."""

    samples: tuple[Made, ...]
    memory: Memory | None


class SampleFacts(_Model):
    """A sample: where it is, and digests of what decides it."""

    key: str
    recording: str
    split: str | None
    centre: int
    recording_blake3: str
    truth_blake3: str | None


class SourceFacts(_Model):
    """A source: what is measured on it.

    Attributes:
        name: as in a build.
        title: the dataset's own name.
        height: rows.
        width: columns.
        rate_per_brightness: firing rate over brightness of the ground truth.
        samples: those of the benchmark.
        truth: what the judges say of the ground truth itself, by the key of the sample.
    """

    name: str
    title: str
    height: int
    width: int
    rate_per_brightness: float | None
    samples: tuple[SampleFacts, ...]
    truth: dict[str, Judged]


class MethodFacts(_Model):
    """A method as it was run.

    Attributes:
        label: name, and the parameters that are not at their default.
        name: of the method.
        version: of the method.
        parameters: all of them.
        leg: the kind of worker that a build runs it on.
        frames: before and after the key frame.
        scale: of the output: `rate`, `brightness` or `other`.
        trained: numbers of its network that were learned; 0 without a network.
        weights_sha256: digest of the file of weights.
        citation: the paper that defines it.
    """

    label: str
    name: str
    version: int
    parameters: dict[str, Any]
    leg: str
    frames: tuple[int, int]
    scale: str
    trained: int
    weights_sha256: str | None
    citation: str


class Result(_Model):
    """What one method reached on one source.

    Attributes:
        method: its label.
        source: its name.
        memory: see `Memory`; None where the process ended early.
        samples: in the order of the source.
        judged: by the key of the sample; a sample without a picture is not in it.
    """

    method: str
    source: str
    memory: Memory | None
    samples: tuple[Made, ...]
    judged: dict[str, Judged]


class Machine(_Model):
    """The hardware, without names and paths.

    Attributes:
        system: the operating system.
        processor: its model.
        cores: that there are.
        threads: that PyTorch uses.
        memory_bytes: that there are.
        device: where networks ran: `cpu`, `cuda` or `cuda:N`.
        gpu: its model; None where networks ran on the processor.
    """

    system: str
    processor: str
    cores: int
    threads: int
    memory_bytes: int
    device: str
    gpu: str | None


class Benchmark(_Model):
    """A whole benchmark.

    Attributes:
        benchmark: `VERSION`.
        software: versions by package.
        machine: what it ran on.
        rules: name, version and parameters of everything that judges.
        notes: what could not be had, with the reason.
        unavailable: methods that cannot run here, with the reason.
        sources: in the order of their names.
        methods: by rank.
        results: by method, then by source.
        regrets: by source with ground truth, what the picks of each rule lack to the best of these methods.
    """

    benchmark: Literal[1] = 1
    software: dict[str, str]
    machine: Machine
    rules: dict[str, Any]
    notes: tuple[str, ...]
    unavailable: dict[str, str]
    sources: tuple[SourceFacts, ...]
    methods: tuple[MethodFacts, ...]
    results: tuple[Result, ...]
    regrets: dict[str, tuple[RuleRegret, ...]] = {}

    def result(self, method: str, source: str) -> Result:
        """The result of a method, by its label, on a source.

        Raises:
            KeyError: there is none.
        """
        return {(item.method, item.source): item for item in self.results}[method, source]
