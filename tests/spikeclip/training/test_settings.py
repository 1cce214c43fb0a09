from __future__ import annotations

import pytest

from hqgen.errors import UsageError
from spikeclip.training.settings import TrainSettings, train_settings


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
    assert "crop" not in caught.value.hint


@pytest.mark.parametrize("stages", ["fine", "coarse,fine", "coarse"])
def test_ablations_of_the_paper_can_be_said(stages: str) -> None:
    assert train_settings({"stages": stages, "fine": {"prompt-weight": 0}}).stages == tuple(stages.split(","))
