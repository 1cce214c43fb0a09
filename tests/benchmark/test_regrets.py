"""The regret of rules, from the numbers of a benchmark."""

from __future__ import annotations

import pytest

from hqgen.benchmark.regrets import regrets
from hqgen.benchmark.results import Benchmark


def test_a_rule_regrets_what_its_picks_lack_to_the_best_method(found: Benchmark) -> None:
    judged = [found.result(method.label, "folder-lab").judged for method in found.methods]
    lacks = []
    for key in ("folder-lab/s0_key_id26", "folder-lab/s1_key_id26"):
        scores = [item[key].bright["niqe"] or 0.0 for item in judged]
        distances = [fitted.psnr or 0.0 for item in judged if (fitted := item[key].fitted) is not None]
        lacks.append(max(distances) - distances[scores.index(min(scores))])
    first = regrets(found)["folder-lab"][0]
    assert (first.rule, first.samples) == ("niqe", 2)
    assert first.psnr is not None
    assert first.psnr.mean == pytest.approx(sum(lacks) / 2)
    assert found.regrets == regrets(found)


def test_a_source_without_ground_truth_has_no_regret(found: Benchmark) -> None:
    (source,) = found.sources
    samples = tuple(item.model_copy(update={"truth_blake3": None}) for item in source.samples)
    blind = found.model_copy(update={"sources": (source.model_copy(update={"samples": samples}),)})
    assert regrets(blind) == {}


def test_a_method_that_failed_is_not_a_candidate(found: Benchmark) -> None:
    first, *others = found.results
    lost = found.model_copy(update={"results": (first.model_copy(update={"judged": {}}), *others)})
    assert [item.samples for item in regrets(lost)["folder-lab"][:2]] == [2, 2]
