"""The cause table of a small training on the demo; `cause_study` makes that of any training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hqgen.builder.run import build
from hqgen.builder.settings import BuildSettings
from hqgen.progress import SILENT
from hqgen.tables import markdown
from spikeclip.data.simulated import demo_low_light
from spikeclip.training.run import train
from spikeclip.training.settings import train_settings
from tests.bench.cause_study import Study, cause_table, edge_brightness, study, surviving_detail
from tests.spikeclip.tiny_clip import tiny_clip

pytestmark = pytest.mark.bench


@torch.no_grad()
def test_causes_of_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = BuildSettings(sources=("demo",), methods="tfp,tfi", out=tmp_path / "hq", scheduler="sync")
    build(wanted, SILENT)
    store, low_light = tmp_path / "hq" / "hq.zarr", demo_low_light(tmp_path / "low.zarr")
    stage = {"epochs": 4, "batch": 8, "learning_rate": 1e-3}
    clip = {"model": "small"}
    settings = train_settings({"crop": 64, "clip": clip, "coarse": stage, "prompt": stage, "fine": stage})
    with torch.enable_grad():
        train([store], low_light, settings, tmp_path / "run")
    found = study(tmp_path / "run", low_light, [store], samples=16)
    rows = dict(found.rows())
    assert all(0 <= value <= 1 for name, value in rows.items() if name.startswith("p(HQ)"))
    with capsys.disabled():
        print("\n" + markdown(cause_table(found)))


def test_details_that_the_input_of_clip_loses() -> None:
    """Noise of three times the side keeps nothing above the limit of the small picture."""
    clip = tiny_clip()
    noise = torch.rand((4, 1, 96, 96), generator=torch.Generator().manual_seed(0))
    assert surviving_detail(noise, clip) < 0.05
    same = torch.rand((4, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    assert surviving_detail(same, clip) == pytest.approx(1, abs=1e-3)


def test_dark_edges_are_seen() -> None:
    picture = torch.ones((1, 1, 20, 20))
    assert edge_brightness(picture) == 1
    picture[..., :4, :] = 0
    assert edge_brightness(picture) == pytest.approx(1 - 80 / 256)


def test_the_gain_of_a_study_is_that_of_the_means() -> None:
    clip = tiny_clip()
    texture = torch.rand((2, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    coarse, hq = 0.05 * texture, 0.5 * texture
    prompts = clip.text_features(["a dark image", "a clear image"])
    names = [name for name, _ in Study(clip, prompts, coarse, None, hq).rows()]
    assert any(name.startswith("p(HQ) of coarse pictures x 10 ") for name in names)
