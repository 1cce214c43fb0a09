from __future__ import annotations

import pytest

from hqgen.errors import UsageError
from spikeclip.training.settings import STAGES, TrainSettings, train_settings


def test_defaults_are_the_papers() -> None:
    settings = TrainSettings()
    assert (settings.coarse.epochs, settings.prompt.epochs, settings.fine.epochs) == (5, 1, 19)
    assert settings.coarse.learning_rate == settings.fine.learning_rate == 4e-5
    assert (settings.bins, settings.crop, settings.prompt.context) == (50, 224, 16)
    assert settings.fine.prompt_weight == 100


def test_keys_are_taken_with_either_dash() -> None:
    for key in ("learning-rate", "learning_rate"):
        assert train_settings({"fine": {key: 1e-3}}).fine.learning_rate == 1e-3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 3}, "`epochs` in x: there is no such setting"),
        ({"fine": {"lambda": 1}}, "`fine.lambda` in x: there is no such setting"),
        ({"fine": {"epochs": 0}}, r"`fine.epochs` in x must be at least 1"),
        ({"coarse": {"learning-rate": float("nan")}}, "`coarse.learning-rate` in x"),
        ({"stages": ""}, "`stages"),
        ({"stages": "fine,coarse"}, "give each stage once, in the order coarse, prompt, fine"),
        ({"stages": "coarse,coarse"}, "give each stage once"),
        ({"stages": "prompt"}, "stage prompt needs a trained network"),
        ({"stages": "coarse,fine"}, "prompt-weight above 0 needs stage prompt"),
        ({"fine": {"prompt-weight": 0, "class-weight": 0}}, "one of prompt-weight and class-weight"),
        ({"fine": {"schedule": "multistep", "milestones": [0.8, 0.5]}}, "milestones once, in order"),
        ({"fine": {"schedule": "multistep", "milestones": [0.5, 0.5]}}, "milestones once, in order"),
        ({"fine": {"milestones": [1.0]}}, "`fine.milestones.*` in x must be less than 1"),
        ({"prompt": {"brightness": "same"}}, "`prompt.brightness` in x"),
        ({"coarse": {"target": "truth"}}, "`coarse.target` in x"),
        ({"prompt": {"crops": 5}}, "`prompt.crops` in x"),
        ({"fine": {"quality-texts": ["clear"]}}, "`fine.quality-texts` in x"),
        ({"bins": 5, "fine": {"anchor-weight": 1}}, "anchor-bins is at most bins, 5"),
        (
            {"crop": 16, "fine": {"anchor-weight": 1, "anchor-scale": 5}},
            "anchor-scale is at most a quarter of crop, 4",
        ),
        ({"fine": {"ema": 1.0}}, "`fine.ema` in x must be less than 1"),
        ({"fine": {"patience": 0}}, "`fine.patience` in x must be at least 1"),
        ({"padding": "mirror"}, "`padding` in x"),
        ({"network": "unet", "crop": 16, "padding": "reflect"}, "crop is at least 32 for unet"),
        ({"network": "unet", "crop": 200}, "crop is a multiple of 16 for unet"),
        ({"device": "gpu"}, "`device` in x"),
    ],
)
def test_settings_that_make_no_sense_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        train_settings(values, where="x")


def test_hint_for_an_unknown_key_lists_the_known_ones_of_its_table() -> None:
    with pytest.raises(UsageError) as caught:
        train_settings({"fine": {"lambda": 1}})
    assert "prompt-weight" in caught.value.hint
    assert "network" not in caught.value.hint


def test_weights_are_those_above_0_and_one_of_them_is_enough() -> None:
    assert TrainSettings().fine.weights == {"class": 1, "prompt": 100}
    only = train_settings(
        {"stages": "fine", "fine": {"prompt-weight": 0, "class-weight": 0, "anchor-weight": 2}}
    )
    assert only.fine.weights == {"anchor": 2}


def test_pictures_of_base_are_needed_only_where_a_stage_learns_from_them() -> None:
    settings = TrainSettings()
    assert [settings.target(stage) for stage in STAGES] == ["tfi", None, None]
    settings = train_settings({"coarse": {"target": "base"}, "fine": {"anchor": "base"}})
    assert [settings.target(stage) for stage in STAGES] == ["base", None, None]
    settings = train_settings({"fine": {"anchor": "base", "anchor-weight": 1}})
    assert [settings.target(stage) for stage in STAGES] == ["tfi", None, "base"]


@pytest.mark.parametrize("stages", ["fine", "coarse,fine", "coarse"])
def test_ablations_of_the_paper_can_be_said(stages: str) -> None:
    assert train_settings({"stages": stages, "fine": {"prompt-weight": 0}}).stages == tuple(stages.split(","))
