from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hqgen.builder.jobs import missing_jobs
from hqgen.builder.legs import LegResult, ShardLeg, commit, run_leg, run_methods
from hqgen.builder.output import Output
from hqgen.builder.plan import PlannedMethod, Scoring, Shard, planned_methods
from hqgen.builder.prepare import plan_request, resolve
from hqgen.builder.settings import BuildSettings
from hqgen.errors import MethodError, UnreadableError
from hqgen.methods.base import Method
from hqgen.methods.tfi import TFI
from hqgen.methods.tfp import TFP
from hqgen.quality.normalise import Normalisation
from hqgen.quality.scorers import get_scorer
from hqgen.sources.samples import Sample
from hqgen.spikes.packed import Window
from hqgen.spikes.recording import ArrayRecording, Recording
from tests.builder.small import HEIGHT, WIDTH, Recorder, build_again, stream


@dataclass(frozen=True)
class InMemory:
    """Stands for a source's recording."""

    seed: int

    def open(self) -> Recording:
        if self.seed < 0:
            raise UnreadableError("`gone.dat`: No such file or directory")
        return ArrayRecording(stream(self.seed), name=f"stream {self.seed}")


@dataclass(frozen=True)
class Constant(Method):
    """Gives a gradient, or fails in one of several ways."""

    name: ClassVar[str] = "constant"
    rank: ClassVar[int] = 1000
    citation: ClassVar[str] = "none"
    failure: str = ""
    seen: list[tuple[int, int]] = field(default_factory=list, compare=False)

    @property
    def span(self) -> tuple[int, int]:
        return 3, 4

    def reconstruct(self, window: Window) -> NDArray[np.float32]:
        self.seen.append((window.before, window.after))
        match self.failure:
            case "method":
                raise MethodError("no good")
            case "memory":
                raise MemoryError
            case "type":
                raise TypeError("broken")
        image = np.linspace(0.1, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
        if self.failure == "nan":
            image[3, 3] = np.nan
        return np.zeros_like(image) if self.failure == "flat" else image


@pytest.fixture
def scoring() -> Scoring:
    return Scoring(Normalisation(), get_scorer("niqe"))


def shard_of(methods: tuple[str, ...], *seeds: int, centre: int = 25) -> Shard:
    samples = tuple(Sample(f"s/{seed}", InMemory(seed), centre) for seed in seeds)  # type: ignore[arg-type]
    return Shard("plan", "s", 0, 0, HEIGHT, WIDTH, methods, samples)


def test_a_method_gets_just_the_frames_that_it_asked_for(scoring: Scoring) -> None:
    method = Constant()
    run_methods(shard_of(("constant",), 1), planned_methods([method]), scoring)
    run_methods(shard_of(("constant",), 1, centre=1), planned_methods([method]), scoring)
    assert method.seen == [(3, 4), (3, 4)]


def test_the_record_has_the_share_of_mirrored_frames_of_every_method_that_looks_at_them(
    scoring: Scoring,
) -> None:
    methods = [TFP(11), TFI(), Constant()]
    shard = shard_of(("tfp", "tfi", "constant"), 1, centre=3)
    result = run_methods(shard, planned_methods(methods), scoring)
    assert result.mirrored == {(0, 0): 2 / 11}, "two of tfp's frames; tfi takes only frames that exist"


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("method", "no good"),
        ("type", "`constant` failed: TypeError: broken"),
        ("nan", "1 of 9984 pixels are not finite"),
        ("flat", "dark image"),
    ],
)
def test_every_failure_of_a_candidate_becomes_a_reason(scoring: Scoring, failure: str, reason: str) -> None:
    result = run_methods(shard_of(("constant",), 1, 2), planned_methods([Constant(failure)]), scoring)
    assert np.isinf(result.scores).all()
    assert (result.best == 1).all()
    assert not result.images.any()
    assert all(text.startswith(reason) for text in result.reasons.values())
    assert set(result.reasons) == {(0, 0), (1, 0)}


def test_too_little_memory_is_no_property_of_a_sample(scoring: Scoring) -> None:
    with pytest.raises(MemoryError):
        run_methods(shard_of(("constant",), 1), planned_methods([Constant("memory")]), scoring)


def test_a_recording_that_cannot_be_read_now_fails_the_shard(scoring: Scoring) -> None:
    with pytest.raises(UnreadableError, match=r"gone\.dat"):
        run_methods(shard_of(("constant",), 1, -1), planned_methods([Constant()]), scoring)


def test_other_weights_than_planned_fail_the_shard(scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    (live,) = planned_methods([Constant()])
    planned = PlannedMethod(live.spec.model_copy(update={"weights": "planned"}), live.method, 0)
    with pytest.raises(MethodError, match="digest None, the plan says planned"):
        run_methods(shard_of(("constant",), 1), [planned], scoring)


scores = st.sampled_from([1.0, 2.0, 3.0, float("inf")])


def result_of(shard: Shard, table: NDArray[np.float32], methods: list[int]) -> LegResult:
    result = LegResult(shard)
    for sample, row in enumerate(table):
        for method in methods:
            image = np.full((HEIGHT, WIDTH), 10 * sample + method, np.uint8)
            result.offer(sample, method, row[method], image)
            if np.isinf(row[method]):
                result.reasons[sample, method] = f"{sample} {method}"
    return result


@given(
    st.lists(st.tuples(*[scores] * 4), min_size=1, max_size=4), st.permutations(range(4)), st.integers(1, 3)
)
def test_legs_merge_to_the_same_result_in_any_order(
    rows: list[tuple[float, ...]], order: list[int], cut: int
) -> None:
    table = np.array(rows, np.float32)
    shard = shard_of(("a", "b", "c", "d"), *range(len(rows)))
    whole = result_of(shard, table, [0, 1, 2, 3])
    merged = result_of(shard, table, order[:cut]).merge(result_of(shard, table, order[cut:]))
    for sample, row in enumerate(table):
        expected = int(row.argmin()) if np.isfinite(row).any() else 4
        assert merged.best[sample] == whole.best[sample] == expected
    np.testing.assert_array_equal(merged.images, whole.images)
    np.testing.assert_array_equal(merged.scores, table)
    assert merged.reasons == whole.reasons


def test_equal_scores_go_to_the_method_of_lower_rank() -> None:
    shard = shard_of(("a", "b"), 0)
    for order in ([0, 1], [1, 0]):
        assert result_of(shard, np.array([[2.0, 2.0]], np.float32), order).best[0] == 0


def test_a_commit_writes_images_before_it_writes_the_record(
    settings: BuildSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hqgen.store import StoreWriter

    order: list[str] = []
    write_shard, write_record = StoreWriter.write_shard, Output.write_record

    def shard(*arguments: Any) -> None:
        order.append("images")
        write_shard(*arguments)

    def record(*arguments: Any) -> None:
        order.append("record")
        write_record(*arguments)

    monkeypatch.setattr(StoreWriter, "write_shard", shard)
    monkeypatch.setattr(Output, "write_record", record)
    build_again(settings)
    assert order == ["images", "record"] * 4


def test_what_is_appended_keeps_the_shares_of_the_stored_methods() -> None:
    shard = shard_of(("a", "b"), 0, 1)
    stored, new = LegResult(shard), LegResult(shard)
    stored.mirrored, new.mirrored = {(1, 0): 0.25}, {(1, 1): 0.5}
    assert new.merge(stored).mirrored == {(1, 0): 0.25, (1, 1): 0.5}


@pytest.mark.parametrize("damage", ["none", "another image", "missing"])
def test_what_the_store_holds_is_a_leg_unless_it_is_damaged(
    settings: BuildSettings, scoring: Scoring, damage: str
) -> None:
    build_again(settings)
    output = Output(settings.out)
    record = output.record("folder-recordings", 1)
    planned = plan_request(resolve(settings, Recorder()), output.work / "blake3.json", Recorder())
    output.record_path("folder-recordings", 1).unlink()
    (job,) = missing_jobs(planned.sources[0], output)
    (leg,) = job.legs
    expected = run_leg(job.shard, leg, scoring, output)
    shard_file = settings.out / "hq.zarr/folder-recordings/images/c/1/0/0"
    if damage == "another image":
        output.store.write_shard("folder-recordings", 2, expected.images[::-1])
    elif damage == "missing":
        shard_file.unlink()
    result = run_leg(job.shard, ShardLeg("stored", leg.methods, record), scoring, output)
    np.testing.assert_array_equal(result.images, expected.images)
    np.testing.assert_array_equal(result.scores, expected.scores)
    np.testing.assert_array_equal(result.best, expected.best)
    assert commit(output, job.shard, result) == record
