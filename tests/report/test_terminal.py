"""Tables as they come out on a terminal of 80 columns."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from hqgen.inspection.statistics import statistics
from hqgen.manifest import Manifest
from hqgen.methods.registry import describe_methods
from hqgen.methods.weights import WeightsEntry
from hqgen.report.terminal import (
    damage_view,
    methods_view,
    show,
    sources_view,
    weights_view,
)
from hqgen.sources import SourceRow, load_catalog
from hqgen.sources.recordings import Rejected
from hqgen.verify import Damage
from tests.made import manifest, sample

ROWS = [sample(f"reds/{number:03d}", 5 + number / 10, 5.1, None) for number in range(9)]


def console(width: int = 80) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=width), file


def rendered(view: RenderableType, width: int = 80) -> str:
    where, file = console(width)
    where.print(view)
    return file.getvalue()


def shown(made: Manifest, width: int = 80) -> str:
    where, file = console(width)
    show(statistics(made), where)
    return file.getvalue()


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_manifest_fits_80_columns_and_says_what_there_is() -> None:
    made = manifest({"demo": ROWS[:1], "reds": ROWS})
    text = shown(made)
    assert max(map(len, text.splitlines())) <= 80
    flat = words(text)
    assert f"plan {made.plan_id}" in flat
    assert "pictures 10 of 10 samples, 2 sources" in flat
    assert "finished 2026-01-01T00:01:27+00:00, after 1 min 27 s" in flat
    assert "tfi 7 78% 5.10 5.10 5.10" in flat
    assert "ambiguous: 4 of 9 picks (44%), the margin is below 0.3" in flat
    assert "failed: tfstp 9: it is dark" in flat
    assert "quarantined" not in flat


def test_quarantine_is_grouped_by_reason_shortened_and_counted() -> None:
    dark = [sample(f"reds/dark{number}", None, None) for number in range(7)]
    files = [(f"train/spike/{'deep/' * 12}recording{number}.dat", "is empty") for number in range(3)]
    text = shown(manifest({"reds": dark}, quarantined=files))
    assert max(map(len, text.splitlines())) <= 80
    assert "dark4" in text
    assert "dark5" not in text
    assert "and 2 more" in text
    assert "recording2.dat" in text
    assert text.count("is empty") == 1
    assert "tfp, tfi: it is dark" in words(text)


def test_one_method_only_has_no_margin_and_says_so() -> None:
    flat = words(shown(manifest({"reds": [sample("a", 5), sample("b", 4)]})))
    assert "without a runner-up: 2" in flat
    assert "margin - - -" in flat
    assert "ambiguous" not in flat


def test_a_source_without_any_picture_is_shown_too() -> None:
    assert "winners 0 - - -" in words(shown(manifest({"reds": [sample("a", None, None)]})))


def test_names_that_look_like_markup_come_out_as_they_are() -> None:
    key = "reds/[bold]x[/bold] [/]"
    assert key in shown(manifest({"reds": [sample(key, None)]}, quarantined=[("[red]b.dat", "[/red] bad")]))
    assert "[/red] bad" in shown(manifest({"reds": ROWS}, quarantined=[("[red]b.dat", "[/red] bad")]))


def test_colours_are_left_out_where_no_color_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    file = io.StringIO()
    where = Console(file=file, width=80, force_terminal=True)
    show(statistics(manifest({"reds": [sample("a", None)]})), where)
    assert "\x1b[33m" not in file.getvalue()


def test_missing_sources_say_how_to_get_them(tmp_path: Path) -> None:
    entry = load_catalog()["reds"]
    reason = f"there is no folder `{tmp_path}`"
    text = rendered(sources_view([SourceRow("reds", entry, tmp_path, None, missing=reason)]))
    assert max(map(len, text.splitlines())) <= 80
    assert "reds - normal - - - missing" in words(text)
    assert "reds: there is no folder" in text
    assert "were published with Spk2ImgNet" in words(text)


def test_a_source_that_is_there_shows_numbers_and_its_unusable_files(tmp_path: Path) -> None:
    rejected = tuple(Rejected(f"f{number}.dat", "is empty") for number in range(7))
    entry = load_catalog()["reds"]
    row = SourceRow("reds", entry, tmp_path, (250, 400), 1200, 3400, 12_300_000, rejected)
    text = rendered(sources_view([row]))
    assert "reds 250x400 normal 1,200 3,400 12.3 MB 7 unusable" in words(text)
    assert "f4.dat: is empty and 2 more" in words(text)


def test_methods_are_listed_with_parameters_and_reasons() -> None:
    rows = describe_methods()
    text = rendered(methods_view(rows))
    assert max(map(len, text.splitlines())) <= 80
    assert "tfp cpu -20 .. +20 window=41 ready" in words(text)
    assert "hqgen weights fetch all gets published weights" in words(text)
    for row in rows:
        assert row.name in text
        assert row.available or f"{row.name}: {row.reason}"[:50] in text


def test_weights_are_listed_or_said_to_be_absent(tmp_path: Path) -> None:
    entry = WeightsEntry("wgse", tmp_path / "w.pt", "0123456789abcdef" * 4, "MIT", "a release", "rate")
    assert "wgse 0123456789ab MIT a release" in words(rendered(weights_view([entry])))
    assert "hqgen weights add" in rendered(weights_view([]))


def test_damage_is_listed_up_to_a_bound() -> None:
    damage = [Damage("reds", number, None, "its file is missing") for number in range(60)]
    text = rendered(damage_view(damage))
    assert "damaged: 60 findings" in text
    assert "and 10 more" in text
    assert "holds what the manifest says" in rendered(damage_view([]))
