"""Pieces of jobs: every sample in every leg once, and counted once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hqgen.builder.jobs import Pieces, SampleCount, ShardJob
from hqgen.builder.legs import BATCH, ShardLeg
from hqgen.builder.plan import Shard
from hqgen.sources.recordings import DemoRecording
from hqgen.sources.samples import Sample


def job_of(count: int, *kinds: str, start: int = 0) -> ShardJob:
    recording = DemoRecording("chart", 61, 1)
    samples = tuple(Sample(f"s/{number}", recording, 30) for number in range(count))
    legs = tuple(ShardLeg(kind, ()) for kind in kinds)  # type: ignore[arg-type]
    return ShardJob(Shard("plan", "s", 1, start, 96, 104, (), samples), legs)


@given(
    st.integers(1, 70),
    st.lists(st.sampled_from(["cpu", "gpu", "stored"]), min_size=1, max_size=3, unique=True),
    st.integers(1, 64),
    st.booleans(),
)
def test_each_leg_has_every_sample_once_and_every_sample_is_counted_once(
    count: int, kinds: list[str], threads: int, gpu: bool
) -> None:
    job, counted = job_of(count, *kinds, start=100), list[int]()
    split = Pieces.for_work([job], threads, gpu=gpu).of(job)
    for kind in kinds:
        keys = [sample.key for leg, piece in split if leg.kind == kind for sample in piece.samples]
        assert keys == [sample.key for sample in job.shard.samples]
    tally = SampleCount(split, counted.append)
    for _, piece in split[:-1]:
        tally.piece_done(piece)
    assert sum(counted) < count, "the last piece is not done"
    tally.shard_done()
    tally.piece_done(split[-1][1])
    assert sum(counted) == count


def test_a_small_job_has_work_for_every_thread() -> None:
    job = job_of(12, "cpu", "gpu")
    for threads in (2, 12):
        split = Pieces.for_work([job], threads, gpu=False).of(job)
        assert len(split) == 24
        assert all(len(piece.samples) == 1 for _, piece in split)


def test_a_gpu_gets_whole_batches_and_what_is_stored_is_read_whole() -> None:
    job = job_of(12, "gpu", "stored")
    split = Pieces.for_work([job], 12, gpu=True).of(job)
    assert [(leg.kind, len(piece.samples)) for leg, piece in split] == [
        ("gpu", BATCH),
        ("stored", 12),
        ("gpu", 4),
    ]
