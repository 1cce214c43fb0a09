from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hqgen.builder.earlier import FinishedSample, FinishedSamples, StoredShard
from hqgen.builder.jobs import missing_jobs
from hqgen.builder.legs import LegResult, ShardLeg, commit, gathered, run_leg, run_methods
from hqgen.builder.output import Output
from hqgen.builder.plan import PlannedMethod, Shard, planned_methods
from hqgen.builder.prepare import plan_request, resolve
from hqgen.builder.scoring import Scoring, make_scoring
from hqgen.builder.settings import BuildSettings
from hqgen.decision import Decider
from hqgen.errors import MethodError, UnreadableError
from hqgen.manifest import ShardRecord
from hqgen.methods.base import Method
from hqgen.methods.learned.base import Base
from hqgen.methods.tfi import TFI
from hqgen.methods.tfp import TFP
from hqgen.quality.consistency import consistency
from hqgen.quality.normalise import Normalisation
from hqgen.quality.rules import get_rule, rule_names
from hqgen.quality.scorers import get_scorer
from hqgen.sources.samples import Sample
from hqgen.spikes.exposure import key_exposure
from hqgen.spikes.packed import Window
from hqgen.spikes.recording import ArrayRecording, Recording
from hqgen.store import IMAGES, candidates_of
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
    assert all(np.isinf(values).all() for values in result.measures.values())
    assert not result.candidates[0].any()
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


def test_a_candidate_has_the_value_of_every_judge() -> None:
    judged = make_scoring("niqe", ("consistency", "pyiqa-niqe"))
    shard = shard_of(("tfp", "tfi"), 1, 2)
    result = run_methods(shard, planned_methods([TFP(), TFI()]), judged)
    assert tuple(result.measures) == ("niqe", "consistency", "pyiqa-niqe")
    assert all(np.isfinite(values).all() for values in result.measures.values())
    for sample in range(2):
        window = shard.samples[sample].recording.open().window(25, 20, 20)
        pictures = np.stack([result.candidates[column][sample] for column in (0, 1)])
        expected = consistency(pictures, key_exposure(window)).astype(np.float32)
        np.testing.assert_array_equal(result.measures["consistency"][sample], expected)


def test_a_method_gets_no_more_frames_where_a_judge_looks_at_more() -> None:
    method = Constant()
    run_methods(shard_of(("constant",), 1), planned_methods([method]), make_scoring("niqe", ["consistency"]))
    assert method.seen == [(3, 4)]


values = st.sampled_from([1.0, 2.0, 3.0, float("inf")])
tables = st.lists(st.tuples(*[values] * 4), min_size=1, max_size=3)
MEASURES = ("niqe", "consistency", "grain", "brisque", "piqe")


def result_of(shard: Shard, table: Mapping[str, NDArray[np.float32]], methods: Sequence[int]) -> LegResult:
    result = LegResult(shard, methods, list(table))
    for method in methods:
        for sample in range(len(shard.samples)):
            for measure, found in table.items():
                result.measures[measure][sample, method] = found[sample][method]
            if np.isinf(table["niqe"][sample][method]):
                result.reasons[sample, method] = f"{sample} {method}"
            else:
                result.candidates[method][sample] = 10 * sample + method + 1
    return result


@given(tables, st.permutations(range(4)), st.integers(1, 3))
def test_legs_are_gathered_to_the_same_result_in_any_order(
    rows: list[tuple[float, ...]], order: list[int], cut: int
) -> None:
    table = {"niqe": np.array(rows, np.float32)}
    shard = shard_of(("a", "b", "c", "d"), *range(len(rows)))
    whole = result_of(shard, table, range(4))
    parts = [result_of(shard, table, order[:cut]), result_of(shard, table, order[cut:])]
    merged = gathered(shard, parts)
    for column, pictures in whole.candidates.items():
        np.testing.assert_array_equal(merged.candidates[column], pictures)
    np.testing.assert_array_equal(merged.measures["niqe"], table["niqe"])
    assert merged.reasons == whole.reasons


@pytest.mark.parametrize("size", [1, 2, 3])
def test_any_split_into_pieces_gives_the_same_result(size: int) -> None:
    judged = make_scoring("niqe", ("brisque", "consistency", "grain", "piqe"))
    methods = planned_methods([TFP(), TFI(), Base(device="cpu", size="small")])
    names = tuple(planned.spec.name for planned in methods)
    shard = replace(shard_of(names, 1, 2, 3, 2, 1), start=7)
    whole = run_methods(shard, methods, judged)
    pieces = [shard.piece(slice(first, first + size)) for first in range(0, 5, size)]
    found = gathered(shard, [run_methods(piece, methods, judged) for piece in pieces])
    for column, pictures in whole.candidates.items():
        assert pictures.any()
        np.testing.assert_array_equal(found.candidates[column], pictures)
    for name, measured in whole.measures.items():
        np.testing.assert_array_equal(found.measures[name], measured)
    assert found.reasons == whole.reasons
    assert found.mirrored == whole.mirrored


@dataclass
class Shelf:
    """Stands for an output directory: keeps what a commit writes."""

    arrays: dict[str, NDArray[np.uint8]] = field(default_factory=dict)

    @property
    def store(self) -> Shelf:
        return self

    def write_shard(self, _source: str, _start: int, images: NDArray[np.uint8], array: str = IMAGES) -> None:
        self.arrays[array] = images

    def withdraw_record(self, source: str, shard: int) -> None:
        pass

    def write_record(self, record: ShardRecord) -> ShardRecord:
        return record


def committed(shard: Shard, decider: Decider, *results: LegResult) -> tuple[ShardRecord, Shelf]:
    shelf = Shelf()
    return commit(shelf, shard, decider, *results), shelf  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", rule_names())
@given(data=st.data(), order=st.permutations(range(4)), cut=st.integers(1, 3), keep=st.booleans())
def test_any_split_into_legs_gives_the_same_pictures_and_record(
    rule: str, data: st.DataObject, order: list[int], cut: int, keep: bool
) -> None:
    count = data.draw(st.integers(1, 3))
    table = {
        name: np.array(data.draw(st.lists(st.tuples(*[values] * 4), min_size=count, max_size=count)))
        for name in MEASURES
    }
    shard = replace(shard_of(("a", "b", "c", "d"), *range(count)), keep_candidates=keep)
    decider = Decider("niqe", get_rule(rule), max_score=2.5)
    whole, expected = committed(shard, decider, result_of(shard, table, range(4)))
    split, found = committed(
        shard, decider, result_of(shard, table, order[:cut]), result_of(shard, table, order[cut:])
    )
    assert split == whole
    assert found.arrays.keys() == expected.arrays.keys()
    assert all(np.array_equal(found.arrays[name], expected.arrays[name]) for name in found.arrays)
    for sample, image in zip(whole.samples, expected.arrays[IMAGES], strict=True):
        column = None if sample.method is None else shard.methods.index(sample.method)
        row = whole.samples.index(sample)
        assert (image == (0 if column is None else 10 * row + column + 1)).all()


def test_a_commit_writes_all_pictures_before_it_writes_the_record(
    settings: BuildSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hqgen.store import StoreWriter

    order: list[str] = []
    write_shard, write_record = StoreWriter.write_shard, Output.write_record

    def shard(*arguments: Any) -> None:
        order.append("pictures")
        write_shard(*arguments)

    def record(*arguments: Any) -> ShardRecord:
        order.append("record")
        return write_record(*arguments)

    monkeypatch.setattr(StoreWriter, "write_shard", shard)
    monkeypatch.setattr(Output, "write_record", record)
    build_again(settings)
    assert order == [*["pictures"] * 3, "record"] * 4


def test_what_is_appended_keeps_the_shares_of_the_stored_methods() -> None:
    shard = shard_of(("a", "b"), 0, 1)
    stored, new = (LegResult(shard, [column], ["niqe"]) for column in (0, 1))
    stored.mirrored, new.mirrored = {(1, 0): 0.25}, {(1, 1): 0.5}
    assert gathered(shard, [new, stored]).mirrored == {(1, 0): 0.25, (1, 1): 0.5}


@pytest.mark.parametrize("damage", ["none", "another image", "missing"])
@pytest.mark.parametrize("keep", [True, False])
def test_what_the_store_holds_is_a_leg_unless_it_is_damaged(
    settings: BuildSettings, damage: str, keep: bool
) -> None:
    build_again(settings, keep_candidates=keep)
    output = Output(settings.out)
    record = output.record("folder-recordings", 1)
    request = resolve(settings.model_copy(update={"keep_candidates": keep}), Recorder())
    planned = plan_request(request, output.work / "blake3.json", Recorder())
    output.record_path("folder-recordings", 1).unlink()
    (job,) = missing_jobs(planned.sources[0], FinishedSamples(output, []))
    (leg,) = job.legs
    expected = run_leg(job.shard, leg, planned.scoring)
    output.write_record(record)
    array = candidates_of("tfi") if keep else IMAGES
    if damage == "another image":
        pictures = output.store.read_shard("folder-recordings", 2, 2, array)
        output.store.write_shard("folder-recordings", 2, pictures[::-1], array)
    elif damage == "missing":
        output.store.shard_file("folder-recordings", 1, array).unlink()
    place = StoredShard(output, "folder-recordings", 1, 2)
    there = tuple(FinishedSample(place, row, frozenset({"tfp", "tfi"})) for row in (0, 1))
    result = run_leg(job.shard, ShardLeg("stored", leg.methods, finished=there), planned.scoring)
    for name, found in expected.measures.items():
        np.testing.assert_array_equal(result.measures[name], found)
    if keep or damage != "none":
        np.testing.assert_array_equal(result.candidates[1], expected.candidates[1])
    assert commit(output, job.shard, planned.decider, result) == record
