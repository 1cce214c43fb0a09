"""Flags, environment, files, recipes and `--print-config` are views of one model a command."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import pytest
import tomli_w
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.exceptions import TyperException

import hqgen.config
from hqgen.config import Flag, as_toml, flags, merged, read_table, read_toml, validated
from hqgen.errors import UsageError
from spikeclip.evaluation.settings import Comparison
from spikeclip.recipes.recipe import HQStore, LowLight, Recipe
from spikeclip.training.settings import TrainSettings

COMMANDS = {
    "hqgen build": ("hqgen.builder.settings:BuildCommand", "hq-store", {"sources": "demo"}),
    "hqgen repick": ("hqgen.builder.settings:RepickCommand", "", {"out": "x"}),
    "hqgen merge": ("hqgen.builder.settings:MergeSettings", "", {"out": "x"}),
    "hqgen train-method": ("hqgen.training.recipe:Recipe", "", {}),
    "spikeclip train": ("spikeclip.training.settings:TrainCommand", "train", {}),
    "spikeclip evaluate": ("spikeclip.evaluation.settings:EvaluateCommand", "evaluate", {"spikes": "x"}),
    "spikeclip prepare": ("spikeclip.data.settings:PrepareSettings", "", {"out": "x"}),
    "spikeclip simulate": ("spikeclip.data.settings:SimulateSettings", "low-light", {}),
    "spikeclip run": ("spikeclip.recipes.recipe:RunCommand", "", {}),
    "spikeclip clip train": (
        "spikeclip.clip.settings:SmallClipCommand",
        "",
        {"pictures": "x", "out": "x"},
    ),
}
"""Each command's model, the table of a recipe that has the same settings, and what must be given."""

TABLES: dict[str, type[BaseModel]] = {
    "hq-store": HQStore,
    "train": TrainSettings,
    "evaluate": Comparison,
    "low-light": LowLight,
}

ARGUMENTS = {
    "hqgen repick": ["a"],
    "hqgen merge": ["a", "b"],
    "spikeclip evaluate": ["a.pth"],
    "spikeclip prepare": ["a"],
    "spikeclip simulate": ["a", "--out", "a"],
    "spikeclip run": ["a"],
}


class Setting(NamedTuple):
    """One setting of a command: where it stands in the model, and how it is marked as a flag."""

    command: str
    place: tuple[str, ...]
    item: FieldInfo
    flag: str
    mark: Flag | None

    @property
    def model(self) -> type[BaseModel]:
        return model_of(self.command)

    @property
    def default(self) -> Any:
        return None if self.item.is_required() else self.item.get_default(call_default_factory=True)

    @property
    def needed(self) -> dict[str, Any]:
        given: dict[str, Any] = COMMANDS[self.command][2]
        return {name: value for name, value in given.items() if (name,) != self.place}

    def in_a_table(self, value: Any) -> dict[str, Any]:
        for name in reversed(self.place):
            value = {name.replace("_", "-"): value}
        return dict(value)

    def of(self, settings: Any) -> Any:
        for name in self.place:
            settings = getattr(settings, name)
        return settings


def model_of(command: str) -> type[BaseModel]:
    module, _, name = COMMANDS[command][0].partition(":")
    model: type[BaseModel] = getattr(import_module(module), name)
    return model


def settings_of(command: str, model: type[BaseModel], *outer: str) -> Iterator[Setting]:
    marks = {place: (name, mark) for name, place, _, mark in flags(model_of(command))}
    for name, item in model.model_fields.items():
        place = (*outer, name)
        if isinstance(item.annotation, type) and issubclass(item.annotation, BaseModel):
            yield from settings_of(command, item.annotation, *place)
        else:
            yield Setting(command, place, item, *marks.get(place, ("", None)))


ALL = [setting for command in COMMANDS for setting in settings_of(command, model_of(command))]


def another(setting: Setting) -> Any:
    """A value, as a file has it, that is not the default."""
    kinds = [setting.item.annotation, *get_args(setting.item.annotation)]
    if type(None) in kinds:  # an optional one: what it is if it is given
        kinds += [get_args(kind)[0] for kind in kinds if get_origin(kind) is Annotated]
    default = setting.default
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    special: dict[str, Any] = {"device": "cpu", "stages": ["coarse"], "source_methods": {"reds": "tfi"}}
    special["phases"] = [{"steps": 2, "batch": 2, "patch": 20}]
    special |= {"crops": 2, "preset": "vidar-416", "region": [0, 0, 8, 8], "frame_range": [1, 5]}
    if setting.place[-1] in special:
        return special[setting.place[-1]]
    if choices:
        return next(choice for choice in choices if choice != default)
    if bool in kinds:
        return not default
    if int in kinds:
        return (default or 0) + 16
    if float in kinds:
        return 0.625
    if any("tuple" in str(kind) for kind in kinds):
        return [0.5, 0.75] if default and isinstance(default[0], float) else ["a", "b"]
    return "other"


class CapturedError(Exception):
    """Ends a command line where it has its settings."""

    def __init__(self, settings: BaseModel) -> None:
        self.settings = settings


def called(monkeypatch: pytest.MonkeyPatch, command: str, *arguments: str) -> Any:
    """The settings that a command line ends up with."""

    def capture(*given: Any) -> None:
        raise CapturedError(validated(*given))

    monkeypatch.setattr(hqgen.config, "validated", capture)
    program, *words = command.split()
    app = import_module(f"{program}.cli").app
    with pytest.raises(CapturedError) as caught:
        app([*words, *ARGUMENTS.get(command, []), *arguments], prog_name=program, standalone_mode=False)
    return caught.value.settings


def as_flags(values: dict[str, Any]) -> list[str]:
    return [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))]


@pytest.mark.parametrize("setting", ALL, ids=lambda item: f"{item.command} {'.'.join(item.place)}")
def test_a_setting_is_the_same_however_it_is_said(
    setting: Setting,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command, model, needed = setting.command, setting.model, setting.needed
    value = another(setting)
    table = merged(needed, setting.in_a_table(value))
    expected = validated(model, table, "x")
    assert setting.of(expected) != setting.default

    (tmp_path / "file.toml").write_text(as_toml("printed", expected))
    assert validated(model, read_table(tmp_path / "file.toml", "printed"), "x") == expected

    shown_by = command.split()[-1] if command in {"hqgen build", "spikeclip train"} else ""
    if shown_by:
        (tmp_path / "file.toml").write_text(tomli_w.dumps({shown_by: table}))
        file = ["--config", str(tmp_path / "file.toml")]
        program, word = command.split()
        import_module(f"{program}.cli").app(
            [word, *file, "--print-config"], prog_name=program, standalone_mode=False
        )
        (tmp_path / "file.toml").write_text(capsys.readouterr().out)
        assert called(monkeypatch, command, *file) == expected

    recipe = COMMANDS[command][1]
    if recipe and setting.place[0] in TABLES[recipe].model_fields:
        document: dict[str, Any] = {"out": "x", "low-light": {"pictures": "x"}}
        shared = {name: value for name, value in table.items() if name not in needed or recipe == "hq-store"}
        document[recipe] = document.get(recipe, {}) | shared
        found = getattr(Recipe.model_validate(document), recipe.replace("-", "_"))
        assert setting.of(found) == setting.of(expected)

    if setting.mark is None:
        return
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    flag = f"--{setting.flag.replace('_', '-')}"
    switch = [flag if value else f"--no-{flag[2:]}"]
    said = switch if isinstance(value, bool) else [flag, text]
    assert called(monkeypatch, command, *as_flags(needed), *said) == expected
    if setting.mark.variable:
        program = command.split()[0].upper()
        usual = f"{program}_{setting.flag.upper()}"
        monkeypatch.setenv(usual if setting.mark.variable is True else setting.mark.variable, text)
        assert called(monkeypatch, command, *as_flags(needed)) == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_says_what_its_model_says(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program, *words = command.split()
    app = import_module(f"{program}.cli").app
    app([*words, "--help"], prog_name=program, standalone_mode=False)
    shown = "".join(capsys.readouterr().out.split())
    for setting in ALL:
        if setting.command == command and setting.mark is not None:
            flag = setting.flag.replace("_", "-")
            assert f"--{flag}/--no-{flag}" in shown or f"--{flag}<" in shown
            assert setting.item.description
            assert "".join(setting.item.description.split()) in shown


BOUNDED = [
    (setting, rule.ge)
    for setting in ALL
    if setting.mark
    for rule in setting.item.metadata
    if hasattr(rule, "ge")
]


@pytest.mark.parametrize(
    ("setting", "least"), BOUNDED, ids=[f"{item.command} {item.flag}" for item, _ in BOUNDED]
)
def test_a_value_that_a_setting_cannot_have_is_refused_by_the_flag_and_the_file(
    setting: Setting, least: int
) -> None:
    with pytest.raises(UsageError, match=setting.place[-1].replace("_", "-")):
        validated(setting.model, setting.needed | setting.in_a_table(least - 1), "x")
    program, *words = setting.command.split()
    app = import_module(f"{program}.cli").app
    given = [*ARGUMENTS.get(setting.command, []), f"--{setting.flag.replace('_', '-')}", str(least - 1)]
    with pytest.raises(TyperException, match=f"(range x>=|equal to ){least}"):
        app([*words, *given], prog_name=program, standalone_mode=False)


def test_flags_beat_the_environment_which_beats_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file.toml").write_text("[train]\ncrop = 32\nclip = 'small'\nclip-weights = 'a.pth'\n")
    file = ("--config", str(tmp_path / "file.toml"))
    assert called(monkeypatch, "spikeclip train", *file).crop == 32
    monkeypatch.setenv("SPIKECLIP_CROP", "48")
    assert called(monkeypatch, "spikeclip train", *file).crop == 48
    settings = called(monkeypatch, "spikeclip train", *file, "--crop", "64", "--clip", "ViT-B-16")
    assert (settings.crop, settings.clip.model, settings.clip.weights) == (64, "ViT-B-16", "a.pth")


def test_tables_are_merged_value_by_value_whichever_way_keys_are_written() -> None:
    values = {"crop": 64, "fine": {"learning-rate": 1.0, "batch": 8}}
    changed = merged(values, {"seed": 3, "fine": {"learning_rate": 2.0}})
    assert changed == {"crop": 64, "seed": 3, "fine": {"learning_rate": 2.0, "batch": 8}}
    assert values["fine"] == {"learning-rate": 1.0, "batch": 8}


def test_a_file_without_the_table_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "file.toml").write_text("[other]\nx = 1\n")
    assert read_table(tmp_path / "file.toml", "build") == {}


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"shardsize": 3}, "`shardsize` in x: there is no such setting", "did you mean `shard-size`?"),
        ({"sources": ""}, "`sources` in x", "help"),
        ({}, "`sources` in x is missing", "help"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(values: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        validated(model_of("hqgen build"), values, "x", "help")
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"build = 3", "is not a table"), (b"[build", "is not TOML"), (b"\xff", "is not TOML")],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    path = tmp_path / "hqgen.toml"
    path.write_bytes(text)
    with pytest.raises(UsageError, match=message):
        read_table(path, "build")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the recipe.*No such file"):
        read_toml(tmp_path / "none.toml", "recipe")


@pytest.mark.parametrize("spikes", ["recordings", "demo"])
@pytest.mark.parametrize("command", ["spikeclip train", "spikeclip evaluate"])
def test_the_demo_has_defaults_of_its_own_and_keeps_what_is_named(command: str, spikes: str) -> None:
    model: Any = model_of(command)
    usual = model.model_validate({"spikes": spikes})
    expected = ("small", 64) if spikes == "demo" else ("ViT-B-32", 224)
    assert (usual.clip.model, usual.crop) == expected
    assert model.model_validate({"spikes": spikes, "clip": {"weights": "a"}}).clip.model == "ViT-B-32"
    if command == "spikeclip train":
        named = model.model_validate({"spikes": spikes, "coarse": {"learning-rate": 0.5}})
        assert (named.coarse.learning_rate, named.coarse.epochs) == (0.5, 24 if spikes == "demo" else 5)
