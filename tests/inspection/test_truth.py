"""Picks beside the ground truth: the numbers, what has none, and what cannot be compared."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from hqgen.builder.settings import BuildSettings
from hqgen.cli import app
from hqgen.errors import SourceError, StoreError
from hqgen.inspection.truth import (
    SkippedPick,
    SourceTruth,
    as_brightness,
    compare_with_truth,
    output_scale,
)
from hqgen.manifest import read_manifest
from hqgen.methods.learned.ssir import SSIR, SSIRNetwork
from hqgen.methods.registration import add_weights
from hqgen.methods.tfp import TFP
from hqgen.quality.fidelity import ssim
from hqgen.quality.niqe import niqe
from hqgen.report.terminal import truth_view
from hqgen.sources.demo import _SCENES
from hqgen.spikes.recording import write_dat
from tests.builder.small import HEIGHT, WIDTH, build_again, stream
from tests.made import manifest, sample, write

RATE = 0.7
SETTINGS = f"""geometry = [{HEIGHT}, {WIDTH}]
rate_per_brightness = {RATE}

[[layout]]
recordings = ["*"]
truth = ["gt/*.png"]

[key_frames]
rule = "key-id"
pattern = '(?P<prefix>.+)_key_id(?P<id>[0-9]+)'
"""
NAMES = ("a_key_id26", "b_key_id26", "c_key_id26")


def brightness(seed: int) -> NDArray[np.float64]:
    """What TFP makes of the 41 frames around the key frame, by the rule."""
    rate: NDArray[np.float64] = stream(seed).frames()[5:46].mean(axis=0)
    return np.clip(rate / RATE, 0, 1)


def truth(seed: int) -> NDArray[np.uint8]:
    """A ground truth near to that."""
    noise = np.random.default_rng(9).normal(0, 0.02, (HEIGHT, WIDTH))
    return np.clip(np.rint(255 * (brightness(seed) + noise)), 0, 255).astype(np.uint8)


def write_lab(root: Path) -> None:
    """A source `lab` of three recordings, of which the first two have ground truth."""
    (root / "lab" / "gt").mkdir(parents=True)
    (root / "lab" / "source.toml").write_text(SETTINGS)
    for seed, name in enumerate(NAMES):
        write_dat(root / "lab" / f"{name}.dat", stream(seed))
    for seed, name in enumerate(NAMES[:2]):
        Image.fromarray(truth(seed)).save(root / "lab" / "gt" / f"{name}.png")


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three samples, of which the first two have ground truth, in `out`; its source is `lab`."""
    root = tmp_path_factory.mktemp("truth")
    write_lab(root)
    sources = (f"folder:{root / 'lab'}",)
    build_again(
        BuildSettings(sources=sources, data_root=root, out=root / "out", methods="tfp", scheduler="sync")
    )
    return root


@pytest.fixture
def moved(built_once: Path, tmp_path: Path) -> Path:
    """A copy of all of it, of which the manifest does not know."""
    shutil.copytree(built_once, tmp_path / "copy")
    path = tmp_path / "copy" / "out" / "manifest.json"
    path.write_text(path.read_text().replace(str(built_once / "lab"), str(tmp_path / "gone" / "lab")))
    return tmp_path / "copy"


def compared(root: Path) -> SourceTruth:
    (source,) = compare_with_truth(root / "out" / "manifest.json", root)
    return source


def test_picks_with_ground_truth_have_the_numbers_of_the_stated_rule(built_once: Path) -> None:
    source = compared(built_once)
    assert (source.name, source.pictures, source.rate_per_brightness) == ("folder-lab", 3, RATE)
    assert source.skipped == ()
    assert [pick.key for pick in source.picks] == ["folder-lab/a_key_id26", "folder-lab/b_key_id26"]
    stored = read_manifest(built_once / "out" / "manifest.json").sources[0].samples
    for seed, pick in enumerate(source.picks):
        expected, image = truth(seed), brightness(seed)
        assert pick.method == "tfp"
        assert pick.psnr == pytest.approx(-10 * np.log10(((image - expected / 255) ** 2).mean()), abs=1e-4)
        assert pick.ssim == pytest.approx(ssim(image, expected / 255), abs=1e-5)
        assert pick.score == stored[seed].score
        assert pick.truth_score == pytest.approx(float(niqe(expected)[0]))


def test_means_are_over_the_picks_of_each_method_and_over_all(built_once: Path) -> None:
    source = compared(built_once)
    assert list(source.methods) == ["tfp"]
    assert source.methods["tfp"] == source.all
    assert source.all.picks == 2
    for name in ("psnr", "ssim", "score", "truth_score"):
        assert getattr(source.all, name) == pytest.approx(np.mean([getattr(p, name) for p in source.picks]))


def test_every_pick_counts_for_the_progress_with_ground_truth_or_without(built_once: Path) -> None:
    done: list[int] = []
    compare_with_truth(built_once / "out" / "manifest.json", advance=done.append)
    assert sum(done) == 3


def test_without_the_rate_of_a_source_only_the_scores_are_compared(moved: Path) -> None:
    settings = moved / "lab" / "source.toml"
    settings.write_text(SETTINGS.replace(f"rate_per_brightness = {RATE}", ""))
    source = compared(moved)
    assert (source.all.picks, source.all.psnr, source.all.ssim) == (2, None, None)
    assert source.all.score is not None
    assert source.all.truth_score is not None
    assert "no PSNR" in rendered([source])


def test_a_ground_truth_that_cannot_be_used_is_skipped_with_the_reason(moved: Path) -> None:
    pictures = [moved / "lab" / "gt" / f"{name}.png" for name in NAMES]
    Image.fromarray(truth(0)[:, :100]).save(pictures[0])
    pictures[1].write_bytes(b"no picture")
    Image.fromarray(truth(2)).save(pictures[2])
    source = compared(moved)
    assert [pick.key for pick in source.picks] == ["folder-lab/c_key_id26"]
    small, broken = source.skipped
    assert small == SkippedPick("folder-lab/a_key_id26", f"`gt/{NAMES[0]}.png` is 96x100, the pick 96x104")
    assert "cannot be read as a picture" in broken.reason


def test_a_flat_ground_truth_has_no_score_and_the_pick_still_its_psnr(moved: Path) -> None:
    Image.fromarray(np.full((HEIGHT, WIDTH), 90, np.uint8)).save(moved / "lab" / "gt" / f"{NAMES[0]}.png")
    first, second = compared(moved).picks
    assert first.truth_score is None
    assert first.psnr is not None
    assert compared(moved).all.truth_score == second.truth_score


def test_recordings_that_are_gone_are_an_error_that_names_the_folder(moved: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="the recordings of `folder-lab` are gone"):
        compare_with_truth(moved / "out" / "manifest.json", tmp_path / "nowhere")


def test_a_source_without_ground_truth_is_left_out_even_where_its_files_are_gone(tmp_path: Path) -> None:
    made = manifest({"recvidar2019": [sample("recvidar2019/x", 4.0)]})
    assert compare_with_truth(write(made, tmp_path)) == []
    assert "no source of this store has ground truth" in rendered([])


def test_scores_of_another_version_of_the_scorer_are_not_compared(tmp_path: Path) -> None:
    made = manifest({"recvidar2019": [sample("recvidar2019/x", 4.0)]})
    older = made.plan.model_copy(update={"scorer": made.plan.scorer | {"version": 0}})
    with pytest.raises(StoreError, match="was scored by"):
        compare_with_truth(write(made.model_copy(update={"plan": older}), tmp_path))


def test_scale_is_that_of_the_registered_weights_then_the_networks_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HQGEN_WEIGHTS", str(tmp_path / "home"))
    assert output_scale(TFP()) == "rate"
    assert output_scale(SSIR()) == "other"
    torch.save(SSIRNetwork().state_dict(), tmp_path / "ssir.pth")
    add_weights(tmp_path / "ssir.pth", SSIR(), brightness="brightness")
    assert output_scale(SSIR()) == "brightness"


def test_output_becomes_brightness_by_its_scale_alone() -> None:
    image = np.array([[0.3, 0.9, -1.0]], np.float32)
    assert as_brightness(image, "other", 0.6) is None
    assert as_brightness(image, "rate", None) is None
    rate = as_brightness(image, "rate", 0.6)
    brightness = as_brightness(image, "brightness", None)
    assert rate is not None
    assert brightness is not None
    assert rate == pytest.approx(np.array([[0.5, 1, 0]]))
    assert brightness == pytest.approx(np.array([[0.3, 0.9, 0]]))


def test_picks_of_demo_are_compared_with_the_light_before_the_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hqgen.sources.demo._SCENES", {"chart": _SCENES["chart"]})
    build_again(BuildSettings(sources=("demo",), out=tmp_path, methods="tfp", scheduler="sync"))
    (source,) = compare_with_truth(tmp_path / "manifest.json")
    assert [pick.key for pick in source.picks] == ["demo/chart"]
    assert source.all.psnr is not None
    assert 20 < source.all.psnr < 40


def rendered(sources: list[SourceTruth]) -> str:
    file = io.StringIO()
    Console(file=file, width=80).print(truth_view(sources, "niqe"))
    return file.getvalue()


def test_the_table_fits_80_columns_and_counts_what_was_skipped(built_once: Path) -> None:
    skipped = tuple(SkippedPick(f"folder-lab/{number}", "is damaged") for number in range(7))
    text = rendered([replace(compared(built_once), skipped=skipped)])
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    assert "folder-lab 2 of 3 pictures beside the ground truth" in flat
    assert f"rate / {RATE}, clipped" in flat
    assert "folder-lab/4: is damaged" in flat
    assert "folder-lab/5" not in flat
    assert "and 2 more" in flat


def test_the_command_shows_the_table_and_gives_the_numbers_as_json(built_once: Path) -> None:
    path = str(built_once / "out" / "manifest.json")
    shown = CliRunner().invoke(app, ["inspect", path, "--truth"])
    assert "beside the ground truth" in shown.stdout
    document = json.loads(CliRunner().invoke(app, ["inspect", path, "--truth", "--json"]).stdout)
    assert document["truth"] == json.loads(json.dumps([asdict(compared(built_once))]))
    assert "truth" not in json.loads(CliRunner().invoke(app, ["inspect", path, "--json"]).stdout)


@pytest.mark.real
def test_tfp_has_its_known_psnr_on_spike_reds_and_the_ground_truth_its_niqe(
    data_root: Path, tmp_path: Path
) -> None:
    build_again(
        BuildSettings(sources=("reds",), data_root=data_root, out=tmp_path, methods="tfp", scheduler="sync")
    )
    (source,) = compare_with_truth(tmp_path / "manifest.json", data_root)
    assert len(source.picks) == 13
    tests = source.picks[:3]
    assert [pick.psnr for pick in tests] == pytest.approx([31.6, 28.9, 23.5], abs=0.06)
    assert [pick.truth_score for pick in tests] == pytest.approx([4.78, 4.32, 2.61], abs=0.01)
