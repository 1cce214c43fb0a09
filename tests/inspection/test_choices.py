"""Candidates beside the ground truth, and the regret of rules on a real small build."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from hqgen.cli import app
from hqgen.errors import SourceError
from hqgen.inspection.choices import SourceChoices, compare_candidates
from hqgen.quality.fidelity import fair_image, psnr
from hqgen.report.choices import ROWS, choices_view
from hqgen.store import open_store
from tests.builder.small import build_again, settings_for
from tests.inspection.test_truth import NAMES, truth, write_lab


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three samples, of which the first two have ground truth, in `out`."""
    root = tmp_path_factory.mktemp("choices")
    write_lab(root)
    build_again(settings_for(root / "lab", out=root / "out"))
    return root


def compared(root: Path) -> SourceChoices:
    (source,) = compare_candidates(root / "out" / "manifest.json", root)
    return source


def test_every_candidate_has_the_psnr_of_its_stored_picture_at_the_best_gain(built: Path) -> None:
    source = compared(built)
    stored = open_store(built / "out" / "hq.zarr")["folder-lab"]
    assert [sample.key for sample in source.samples] == ["folder-lab/a_key_id26", "folder-lab/b_key_id26"]
    for row, sample in enumerate(source.samples):
        light = truth(row) / 255
        for method, value in sample.psnr.items():
            picture = fair_image(np.asarray(stored.candidates[method][row]), light)
            assert value == pytest.approx(psnr(picture, light))
    assert source.psnr["tfp"] == pytest.approx(np.mean([item.psnr["tfp"] for item in source.samples]))


def test_the_regret_of_a_rule_is_what_its_picks_lack_to_the_best_candidate(built: Path) -> None:
    source = compared(built)
    smallest, guarded, consensus = source.regrets
    assert (smallest.rule, smallest.samples, guarded.samples) == ("niqe", 2, 2)
    assert consensus.samples == 2 or "`grain`" in str(consensus.missing)
    lacks = [
        max(value for value in sample.psnr.values() if value is not None)
        - (sample.psnr[str(sample.winner)] or 0)
        for sample in source.samples
    ]
    assert smallest.psnr is not None
    assert smallest.psnr.mean == pytest.approx(np.mean(lacks))


def test_every_sample_counts_for_the_progress(built: Path) -> None:
    done: list[int] = []
    compare_candidates(built / "out" / "manifest.json", built, advance=done.append)
    assert sum(done) == 3


def test_a_ground_truth_of_another_size_is_skipped_with_the_reason(built: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(built, root)
    manifest = root / "out" / "manifest.json"
    manifest.write_text(manifest.read_text().replace(str(built), str(root)))
    Image.fromarray(truth(0)[:, :100]).save(root / "lab" / "gt" / f"{NAMES[0]}.png")
    source = compared(root)
    assert [sample.key for sample in source.samples] == ["folder-lab/b_key_id26"]
    assert "the truth has the shape (96, 100)" in source.skipped["folder-lab/a_key_id26"]
    shutil.rmtree(root / "lab")
    with pytest.raises(SourceError, match="are gone"):
        compare_candidates(manifest)


def test_a_store_of_winners_only_has_nothing_to_compare(built: Path, tmp_path: Path) -> None:
    build_again(settings_for(built / "lab", out=tmp_path / "small", keep_candidates=False))
    assert compare_candidates(tmp_path / "small" / "manifest.json") == []


def rendered(source: SourceChoices) -> str:
    file = io.StringIO()
    Console(file=file, width=80).print(choices_view([source]))
    return file.getvalue()


def test_the_tables_fit_80_columns_and_count_what_they_leave_out(built: Path) -> None:
    source = compared(built)
    many = replace(source, samples=source.samples * ROWS, skipped={"x": "is damaged"})
    text = rendered(many)
    assert max(map(len, text.splitlines())) <= 80
    for part in (f"and {ROWS} more", "mean SSIM", "niqe-guarded", "lacks dB", "x: is damaged"):
        assert part in text


def test_eight_methods_break_no_word_at_80_columns(built: Path) -> None:
    source = compared(built)
    names = ["tfp", "mtfp", "tfi", "tfstp", "variational", "spikeformer", "spk2imgnet", "base"]
    many = replace(
        source,
        psnr=dict.fromkeys(names, 30.0),
        ssim=dict.fromkeys(names, 0.9),
        samples=tuple(replace(sample, psnr=dict.fromkeys(names, 30.0)) for sample in source.samples),
    )
    text = rendered(many)
    assert max(map(len, text.splitlines())) <= 80
    for name in names:
        assert name in text.split()
    for sample in source.samples:
        assert text.split().count(sample.key) == 2, "one in each of two tables"


def test_the_command_shows_the_tables_and_gives_the_numbers_as_json(built: Path) -> None:
    command = ["inspect", str(built / "out" / "manifest.json"), "--truth"]
    assert "niqe-guarded" in CliRunner().invoke(app, command).stdout
    document = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert document["candidates"] == json.loads(json.dumps([asdict(compared(built))]))
