"""The regret of every rule on simulated scenes that no constant was chosen on, and on Spike-REDS.

`HQGEN_STUDY` names the folder that keeps the scenes and candidates (default: a temporary one), and
`HQGEN_STUDY_SCENES` how many scenes there are (default 300). With ssml and ssir registered the whole study
takes about 15 minutes of processor time; new weights of one method cost only its own candidates. The results
are in docs/judging.md.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hqgen.inspection.regret import JudgedSample, Lack, RuleRegret, rule_regrets
from hqgen.methods.registry import parse_method
from hqgen.quality.rules import get_rule, rule_names
from tests.bench.regret_study import SCENES, Cache, chosen_on

pytestmark = [pytest.mark.bench, pytest.mark.real]

MODEL_BASED = ("tfp", "tfi", "tfstp")
ENSEMBLES = {
    "tfp, tfi, tfstp": MODEL_BASED,
    "the same and base": (*MODEL_BASED, "base"),
    "the same, ssml and ssir": (*MODEL_BASED, "base", "ssml:variant=simple", "ssir"),
    "tfp, tfi, tfstp, tfp:window=81": (*MODEL_BASED, "tfp:window=81"),
    "all of these": (*MODEL_BASED, "tfp:window=81", "base", "ssml:variant=simple", "ssir"),
    "tfp, tfi, tfstp, tfp:window=7": (*MODEL_BASED, "tfp:window=7"),
}
JUDGES = ("niqe", "grain")


@pytest.fixture(scope="module")
def study(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    folder = os.environ.get("HQGEN_STUDY")
    return Cache(Path(folder) if folder else tmp_path_factory.mktemp("study"), data_root)


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_regret_of_every_rule(study: Cache, ensemble: str) -> None:
    methods = ENSEMBLES[ensemble]
    if reasons := [reason for text in methods if (reason := parse_method(text).unavailable())]:
        pytest.skip("; ".join(reasons))
    scenes = int(os.environ.get("HQGEN_STUDY_SCENES", SCENES))
    groups: dict[str, list[JudgedSample]] = {"simulated": [], "Spike-REDS": []}
    for key in study.keys(scenes):
        if not chosen_on(key):
            group = "simulated" if key.startswith("scene-") else "Spike-REDS"
            groups[group].append(study.judged(key, methods, JUDGES))
    rules = [get_rule(name) for name in rule_names()]
    print(f"\n{ensemble}\n  {'samples':24}{'rule':14}{'PSNR lacks':>26}{'SSIM lacks':>30}")
    for group, samples in groups.items():
        for found in rule_regrets(samples, rules):
            print(f"  {group + f' ({found.samples})':24}{found.rule:14}{_cells(found)}")


def _cells(found: RuleRegret) -> str:
    if found.psnr is None or found.ssim is None:
        return f"  {found.missing}"
    return f"{_cell(found.psnr, 2)}{_cell(found.ssim, 3)}  {found.psnr.worst_key}"


def _cell(lack: Lack, digits: int) -> str:
    mean, low, high, worst = (f"{n:.{digits}f}" for n in (lack.mean, lack.low, lack.high, lack.worst))
    return f"{mean} ({low} to {high}), worst {worst}".rjust(30)
