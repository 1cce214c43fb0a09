from __future__ import annotations

import json
from typing import Any

import pytest

from hqgen.provenance import differences, document_id
from spikeclip.training.plan import Plan, stage_plan
from spikeclip.training.settings import CoarseSettings, FineSettings, TrainSettings


def plan(settings: TrainSettings | None = None, **other: Any) -> Plan:
    given = {"bfloat16": False, "low_light": "d1", "start": None, **other}
    return stage_plan("coarse", settings or TrainSettings(), **given)


@pytest.mark.parametrize(
    ("settings", "other", "line"),
    [
        (TrainSettings(seed=1), {}, "seed: 0 -> 1"),
        (TrainSettings(coarse=CoarseSettings(learning_rate=1e-4)), {}, "learning rate: 4e-05 -> 0.0001"),
        (TrainSettings(coarse=CoarseSettings(loss="mse")), {}, "loss: l1 -> mse"),
        (TrainSettings(), {"low_light": "d2"}, "low light: d1 -> d2"),
        (TrainSettings(), {"bfloat16": True}, "bfloat16: false -> true"),
        (TrainSettings(), {"start": "abc"}, "start: none -> abc"),
        (TrainSettings(), {"hq_stores": ["p"]}, 'hq stores: none -> ["p"]'),
    ],
)
def test_what_changes_the_weights_changes_the_id_and_is_named(
    settings: TrainSettings, other: dict[str, Any], line: str
) -> None:
    changed = plan(settings, **other)
    assert document_id(changed) != document_id(plan())
    assert differences(plan(), changed) == [line]


def test_how_it_is_computed_and_other_stages_leave_the_id_alone() -> None:
    elsewhere = TrainSettings(
        device="cpu", accumulate=4, log_every=3, tensorboard=True, fine=FineSettings(epochs=2)
    )
    assert document_id(plan(elsewhere)) == document_id(plan())


def test_later_setting_is_in_a_plan_only_where_it_is_chosen() -> None:
    assert not {"schedule", "milestones", "drop", "padding"} & plan().keys()
    chosen = TrainSettings(padding="reflect", coarse=CoarseSettings(schedule="cosine", drop=0.1))
    assert differences(plan(), plan(chosen)) == ["padding: none -> reflect", "schedule: none -> cosine"]


def test_id_of_the_first_plans_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of it makes every training that is not done start again: raise `VERSION` where it must be."""
    monkeypatch.setattr("hqgen.__version__", "0")
    assert document_id(plan()) == "62016caa137f9ccb"


def test_plan_survives_json() -> None:
    read = json.loads(json.dumps(plan(hq_stores=["a", "b"])))
    assert document_id(read) == document_id(plan(hq_stores=["a", "b"]))
    assert differences(read, plan(hq_stores=["a", "b"])) == []
