"""The regret of every rule on simulated scenes that no constant was chosen on, and on Spike-REDS.

`HQGEN_STUDY` names the folder that keeps the scenes and candidates (default: a temporary one), and
`HQGEN_STUDY_SCENES` how many scenes there are (default 300). With ssml and ssir registered the whole study
takes about 40 minutes of processor time; new weights of one method cost only its own candidates. The results
are in docs/judging.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from hqgen.inspection.regret import JudgedSample, Lack, RuleRegret, rule_regrets
from hqgen.methods.registry import parse_method
from hqgen.quality.rules import Measures, Rule, get_rule, rule_names
from tests.bench.regret_study import SCENES, Cache, chosen_on

pytestmark = [pytest.mark.bench, pytest.mark.real]

MODEL_BASED = ("tfp", "tfi", "tfstp")
NETWORKS = ("base", "ssml:variant=simple", "ssir")
BY_NAME = ("mtfp", "variational", "retina")
ENSEMBLES = {
    "tfp, tfi, tfstp": MODEL_BASED,
    "the same and tfp:window=81": (*MODEL_BASED, "tfp:window=81"),
    "the same and tfp:window=7": (*MODEL_BASED, "tfp:window=7"),
    "the same and base": (*MODEL_BASED, "base"),
    "the same, base, ssml and ssir": (*MODEL_BASED, *NETWORKS),
    "the same, mtfp, variational and retina": (*MODEL_BASED, *BY_NAME),
    "the same, base, mtfp and variational": (*MODEL_BASED, "base", "mtfp", "variational"),
    "all of these but tfp:window=7": (*MODEL_BASED, "tfp:window=81", *NETWORKS, *BY_NAME),
}
JUDGES = ("niqe", "grain")


@dataclass(frozen=True)
class Always:
    """No judge at all: one method wins wherever it has a picture. What every rule should beat."""

    name: ClassVar[str] = "always base"
    version: ClassVar[int] = 1

    column: int
    needs: tuple[str, ...] = ("niqe",)

    def parameters(self) -> dict[str, Any]:
        return {}

    def pick(self, measures: Measures) -> int | None:
        return self.column if np.isfinite(measures["niqe"][self.column]) else None


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
    rules: list[Rule] = [get_rule(name) for name in rule_names()]
    if "base" in methods:
        rules.append(Always(methods.index("base")))
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
