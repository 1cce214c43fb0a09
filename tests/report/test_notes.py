"""What is said of a source beside its numbers."""

from __future__ import annotations

from hqgen.inspection.statistics import statistics
from hqgen.manifest import SampleRecord
from hqgen.report.notes import source_notes
from tests.made import manifest, sample


def test_reasons_come_by_frequency_with_the_methods_that_they_hit() -> None:
    samples = [sample("a", None, 4, reason="too short"), *(sample(str(n), 4, None, None) for n in range(3))]
    padded = [samples[0].model_copy(update={"scores": samples[0].scores | {"tfstp": 5.0}}), *samples[1:]]
    (source,) = statistics(manifest({"reds": padded[1:]})).sources
    assert source_notes(source)[-1] == "failed: tfi 3, tfstp 3: it is dark"
    (source,) = statistics(manifest({"reds": padded[1:] + padded[:1]})).sources
    assert source_notes(source)[-2:] == ["failed: tfi 3, tfstp 3: it is dark", "failed: tfp 1: too short"]


def test_more_reasons_than_are_good_to_read_are_counted() -> None:
    samples = [sample(str(n), None, reason=f"reason {letter}") for n, letter in enumerate("abcdefgh")]
    (source,) = statistics(manifest({"reds": samples})).sources
    assert source_notes(source)[-1] == "failed: 3 more reasons"


def test_reasons_that_differ_in_numbers_alone_are_one() -> None:
    samples = [sample(str(n), None, reason=f"frame {n} of {n + 9} is too near") for n in range(8)]
    (source,) = statistics(manifest({"reds": samples})).sources
    failed = [note for note in source_notes(source) if note.startswith("failed: tfp")]
    assert failed == ["failed: tfp 8: frame 0 of 9 is too near (and 7 alike)"]


def test_mirrored_windows_are_counted_with_the_shares_of_the_winners() -> None:
    inside, over = sample("a", 4, 5), sample("b", 4, 5).model_copy(update={"mirrored": {"tfp": 0.25}})
    further = sample("c", 4, 5).model_copy(update={"mirrored": {"tfp": 0.35}})
    lost = sample("d", 5, 4).model_copy(update={"mirrored": {"tfp": 0.5}})

    def notes(*samples: SampleRecord) -> list[str]:
        (source,) = statistics(manifest({"reds": samples})).sources
        return [note for note in source_notes(source) if note.startswith("mirrored windows: ")]

    assert notes(inside) == []
    assert notes(lost) == ["mirrored windows: 1 of 1 sample, no winner among them"]
    (note,) = notes(inside, over, further, lost)
    assert note.endswith("3 of 4 samples; 2 winners, 30% of their frames on average, at most 35%")


def test_of_another_metric_nothing_is_said_of_blocks() -> None:
    (source,) = statistics(manifest({"reds": [sample("a", 4, 5)]}, scorer="piqe")).sources
    assert source_notes(source) == []
