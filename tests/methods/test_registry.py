"""Names, parameters, ensembles, and methods of other packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hqgen.errors import MethodError, UnknownNameError, UsageError
from hqgen.methods import registry
from hqgen.methods.base import Leg, Method, Span
from hqgen.methods.learned.ssml import SSML
from hqgen.methods.parameters import ParameterRow
from hqgen.methods.registration import add_weights
from hqgen.methods.tfi import TFI
from hqgen.methods.tfp import TFP
from hqgen.methods.tfstp import TFSTP
from hqgen.spikes.packed import Window

RANKS = {
    "tfp": 10,
    "mtfp": 15,
    "tfi": 20,
    "tfstp": 30,
    "variational": 32,
    "retina": 35,
    "spk2imgnet": 40,
    "ssml": 50,
    "wgse": 60,
    "spikeformer": 70,
    "rsir": 80,
    "ssir": 90,
    "bsf": 100,
    "stir": 110,
    "base": 120,
    "bsn": 130,
    "scflow": 140,
}
Install = Callable[..., None]


@dataclass(frozen=True)
class Flat(Method):
    """A method as another package would write it, with a parameter of every kind."""

    name: ClassVar[str] = "flat"
    sizes: ClassVar[OnlyForTypeCheckers]  # type: ignore[name-defined]  # noqa: F821
    rank: ClassVar[int] = 1000
    citation: ClassVar[str] = "none"

    level: float = 0.5
    reach: int | None = None
    label: str = "a"
    mirrored: bool = False
    order: Literal[1, 2] = 1

    @property
    def span(self) -> Span:
        return 0, 0

    def reconstruct(self, window: Window) -> NDArray[np.float32]:
        return np.full(window.spikes.shape[1:], self.level, np.float32)


@dataclass(frozen=True)
class Absent(Flat):
    name: ClassVar[str] = "absent"
    rank: ClassVar[int] = 1001

    def unavailable(self) -> str | None:
        return "its weights are absent"


@dataclass(frozen=True)
class Quiet(Flat):
    name: ClassVar[str] = "quiet"
    rank: ClassVar[int] = 1006
    in_default: ClassVar[bool] = False


@dataclass(frozen=True)
class SameRank(Flat):
    name: ClassVar[str] = "same-rank"


@dataclass(frozen=True)
class LowRank(Flat):
    name: ClassVar[str] = "low-rank"
    rank: ClassVar[int] = 15


@dataclass(frozen=True)
class Picky(Flat):
    name: ClassVar[str] = "picky"
    rank: ClassVar[int] = 1002

    def __post_init__(self) -> None:
        raise UsageError("picky: refuses its own default")


@dataclass(frozen=True)
class Crash(Flat):
    name: ClassVar[str] = "crash"
    rank: ClassVar[int] = 1005

    def unavailable(self) -> str | None:
        raise ZeroDivisionError("no weights, no mercy")


@dataclass(frozen=True)
class Untyped(Flat):
    name: ClassVar[str] = "untyped"
    rank: ClassVar[int] = 1004

    size: OnlyForTypeCheckers = 3  # type: ignore[name-defined]  # noqa: F821


@dataclass(frozen=True)
class Unfinished(Method):
    name: ClassVar[str] = "unfinished"
    rank: ClassVar[int] = 1003


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Pretend that a package with these methods is installed: name -> class, or anything else."""

    def install(**methods: Any) -> None:
        module = types.ModuleType("stranger")
        points = []
        for name, value in methods.items():
            setattr(module, name, value)
            points.append(EntryPoint(name.replace("_", "-"), f"stranger:{name}", registry.GROUP))
        monkeypatch.setitem(sys.modules, "stranger", module)
        monkeypatch.setattr(registry, "entry_points", lambda *, group: points)

    return install


@pytest.fixture(autouse=True)
def nothing_else_installed(install: Install) -> None:
    install()


def by_name() -> dict[str, registry.MethodRow]:
    return {row.name: row for row in registry.describe_methods()}


def test_names_come_in_rank_order() -> None:
    assert registry.method_names() == tuple(RANKS)


@pytest.mark.parametrize("name", RANKS)
def test_every_built_in_method_goes_by_its_name_and_rank(name: str) -> None:
    row = by_name()[name]
    assert row.rank == RANKS[name], row.reason
    leg: Leg = "cpu" if row.rank < 40 else "gpu"
    assert row.leg == leg
    assert row.citation


def test_model_based_methods_are_always_available_and_ranked_first() -> None:
    assert registry.default_ensemble()[:3] == [TFP(), TFI(), TFSTP()]


def test_listing_names_and_using_a_model_based_method_imports_no_torch() -> None:
    code = (
        "import sys; from hqgen.methods.registry import method_names, parse_methods; "
        "method_names(); parse_methods('tfp,tfi,tfstp'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_get_method_gives_defaults_and_takes_parameters() -> None:
    assert registry.get_method("tfp") == TFP(41)
    assert registry.get_method("tfi", variant="paper", half_window=30) == TFI("paper", 30)
    assert registry.get_method("tfi", half_window=None) == TFI()


def test_an_unknown_name_is_refused_with_a_guess_and_the_legal_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown method `tfpp`") as caught:
        registry.get_method("tfpp")
    assert "did you mean `tfp`" in caught.value.hint
    assert "wgse" in caught.value.hint


def test_an_unknown_parameter_is_refused_with_the_legal_ones_and_their_types() -> None:
    with pytest.raises(UsageError, match="method `tfi` has no parameter `window`") as caught:
        registry.get_method("tfi", window=3)
    assert "variant (toolbox|spikeclip|paper), half_window (none or int)" in caught.value.hint


@pytest.mark.parametrize(
    ("params", "takes"),
    [
        ({"level": "x"}, "float"),
        ({"level": None}, "float"),
        ({"reach": 1.5}, "none or int"),
        ({"reach": True}, "none or int"),
        ({"label": 3}, "str"),
        ({"mirrored": 1}, "bool"),
        ({"order": 3}, "1|2"),
        ({"order": True}, "1|2"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(install: Install, params: dict[str, Any], takes: str) -> None:
    install(flat=Flat)
    [(name, value)] = params.items()
    with pytest.raises(
        UsageError, match=f"parameter `{name}` of method `flat` cannot be `{value}`"
    ) as caught:
        registry.get_method("flat", **params)
    assert caught.value.hint == f"it takes {takes}"


def test_an_int_is_a_float() -> None:
    assert registry.get_method("tfp", window=3) == TFP(3)
    assert Flat(level=1) == Flat(level=1.0)


def test_parse_methods_reads_names_and_parameters_in_rank_order() -> None:
    text = "tfstp:formula=published, tfi:variant=spikeclip:half_window=30,tfp:window=21"
    assert registry.parse_methods(text) == [TFP(21), TFI("spikeclip", 30), TFSTP("published")]


def test_parse_methods_reads_every_kind_of_parameter(install: Install) -> None:
    install(flat=Flat)
    [method] = registry.parse_methods("flat:level=2:reach=none:label=none:mirrored=true:order=2")
    assert method == Flat(level=2.0, reach=None, label="none", mirrored=True, order=2)
    assert registry.parse_methods("flat:reach=4") == [Flat(reach=4)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unknown method ``"),
        ("tfp,,tfi", "unknown method ``"),
        ("tfp,tfi,tfp:window=3", "`tfp` is listed twice"),
        ("tfp:21", "`21` in `tfp:21` is not `parameter=value`"),
        ("tfp:window=3:window=5", "given twice"),
        ("tfp:window=x", "cannot be `x`"),
        ("tfp:window=", "cannot be ``"),
        ("tfp:window=0", "`window` must be at least 1, not 0"),
        ("tfi:variant=zoo", "cannot be `zoo`"),
        ("tfp:=3", "no parameter ``"),
    ],
)
def test_parse_methods_refuses_what_makes_no_sense(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        registry.parse_methods(text)


def test_an_ensemble_needs_methods() -> None:
    with pytest.raises(UsageError, match="has no methods"):
        registry.ensemble([])


def test_a_foreign_method_is_listed_built_and_described(install: Install) -> None:
    install(flat=Flat)
    assert registry.method_names()[-1] == "flat"
    assert registry.get_method("flat", level=0.25) == Flat(level=0.25)
    assert registry.default_ensemble()[-1] == Flat()
    row = by_name()["flat"]
    assert (row.rank, row.leg, row.span, row.available, row.reason) == (1000, "cpu", (0, 0), True, None)
    assert row.parameters[1] == ParameterRow("reach", "none or int", None)
    assert row.parameters[4] == ParameterRow("order", "1|2", 1, (1, 2))


@pytest.mark.parametrize(
    ("methods", "reason"),
    [
        ({"flat": 3}, "is not a dataclass derived from"),
        ({"flat": Flat()}, "is not a dataclass derived from"),
        ({"other": Flat}, "has the name `flat`, but its entry point says `other`"),
        ({"low_rank": LowRank}, "has the rank 15; ranks below 1000 are hqgen's own"),
        ({"unfinished": Unfinished}, "does not define `citation`, `reconstruct`, `span`"),
        ({"picky": Picky}, "refuses its own default"),
        ({"crash": Crash}, "ZeroDivisionError: no weights, no mercy"),
        (
            {"untyped": Untyped},
            "the type `OnlyForTypeCheckers` of parameter `size` of method `untyped` means",
        ),
    ],
)
def test_a_broken_foreign_method_is_unavailable_with_its_reason(
    install: Install, methods: dict[str, Any], reason: str
) -> None:
    install(**methods)
    last = registry.available_methods()[-1]
    assert last.method is None
    assert reason in (last.reason or "")
    row = registry.describe_methods()[-1]
    assert (row.name, row.rank, row.parameters, row.available) == (last.name, None, (), False)
    assert TFP() in registry.default_ensemble()


def test_a_foreign_module_that_fails_to_import_is_unavailable_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point = EntryPoint("ghost", "no_such_module_anywhere:Ghost", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda *, group: [point])
    reason = by_name()["ghost"].reason or ""
    assert "`no_such_module_anywhere:Ghost`" in reason
    assert "ModuleNotFoundError" in reason
    with pytest.raises(MethodError, match="cannot be imported"):
        registry.get_method("ghost")


def test_a_method_without_weights_is_described_left_out_and_refused_by_name(install: Install) -> None:
    install(absent=Absent)
    row = by_name()["absent"]
    assert (row.rank, row.available, row.reason) == (1001, False, "its weights are absent")
    assert Absent() not in registry.default_ensemble()
    with pytest.raises(MethodError, match="`absent` is not available: its weights are absent"):
        registry.parse_methods("tfp,absent")


def test_a_method_can_stay_out_of_the_default_ensemble(install: Install) -> None:
    install(quiet=Quiet)
    assert Quiet() not in registry.default_ensemble()
    assert registry.parse_methods("quiet") == [Quiet()]
    row = by_name()["quiet"]
    assert (row.available, row.in_default, by_name()["tfp"].in_default) == (True, False, True)


@pytest.fixture
def with_weights(tmp_path: Path) -> Callable[[SSML], None]:
    def register(method: SSML) -> None:
        torch.save(method.network().state_dict(), tmp_path / "a.pth")
        add_weights(tmp_path / "a.pth", method)

    return register


def test_a_variant_with_weights_joins_the_default_ensemble_where_the_default_has_none(
    with_weights: Callable[[SSML], None],
) -> None:
    assert "ssml" in registry.missing_methods()
    simple = SSML(variant="simple")
    with_weights(simple)
    assert [method for method in registry.default_ensemble() if method.name == "ssml"] == [simple]
    assert "ssml" not in registry.missing_methods()
    rows = by_name()
    assert (rows["ssml"].available, rows["ssml"].in_default) == (False, True)
    variant = rows["ssml:variant=simple"]
    assert (variant.available, variant.in_default, variant.parameters) == (True, True, ())


def test_of_two_variants_with_weights_the_default_one_is_in_the_default_ensemble(
    with_weights: Callable[[SSML], None],
) -> None:
    with_weights(SSML(variant="simple"))
    with_weights(SSML())
    assert [method for method in registry.default_ensemble() if method.name == "ssml"] == [SSML()]
    assert (by_name()["ssml"].in_default, by_name()["ssml:variant=simple"].in_default) == (True, False)
    assert by_name()["base:size=small"].in_default is False


def test_a_name_that_hqgen_has_is_an_error(install: Install) -> None:
    install(tfp=Flat)
    with pytest.raises(UsageError, match="method `tfp` of the package `stranger` is also a method of hqgen"):
        registry.method_names()


def test_two_packages_with_one_name_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("flat", f"{module}:Flat", registry.GROUP) for module in ("one", "two")]
    monkeypatch.setattr(registry, "entry_points", lambda *, group: points)
    with pytest.raises(UsageError, match="of the package `two` is also a method of `one`"):
        registry.method_names()


def test_two_methods_of_one_rank_cannot_compete(install: Install) -> None:
    install(flat=Flat, same_rank=SameRank)
    assert registry.parse_methods("flat") == [Flat()]
    with pytest.raises(UsageError, match="both have the rank 1000"):
        registry.parse_methods("flat,same-rank")


def test_the_package_of_the_documentation_is_installed_and_its_method_used(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "own-method.md").read_text()
    [module] = re.findall(r"```python\n(\"\"\"stork.py.*?)```", text, re.DOTALL)
    [project] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    [check] = re.findall(r"```python\n(import hqgen.*?)```", text, re.DOTALL)
    package, place = tmp_path / "stork", tmp_path / "installed"
    package.mkdir()
    (package / "stork.py").write_text(module)
    (package / "pyproject.toml").write_text(project)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    offline = ["--no-deps", "--no-build-isolation", "--target", str(place)]
    subprocess.run([*pip, *offline, str(package)], check=True)
    use = (
        f"{check}\n"
        "from hqgen.methods.registry import default_ensemble, parse_methods\n"
        "assert 'stork' in [method.name for method in default_ensemble()]\n"
        "assert [m.name for m in parse_methods('stork:window=11:neighbours=8,tfp')] == ['tfp', 'stork']\n"
        "ones = hqgen.reconstruct('stork', np.ones((41, 8, 8), np.uint8), neighbours=8)\n"
        "assert (ones == 1).all()\n"
    )
    path = os.pathsep.join([str(place), str(Path(__file__).parents[2])])
    subprocess.run([sys.executable, "-c", use], check=True, env={**os.environ, "PYTHONPATH": path})


@pytest.mark.parametrize("page", ["methods.md", "normalisation.md"])
def test_the_first_example_of_a_page_runs(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    example = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    exec(compile(example, page, "exec"), {})


def test_a_label_says_what_is_not_the_default() -> None:
    labels = {
        "tfp": TFP(),
        "tfp:window=200": TFP(window=200),
        "tfi:variant=spikeclip:half_window=49": TFI(variant="spikeclip"),
    }
    for label, method in labels.items():
        assert registry.method_label(method) == label
        assert registry.parse_method(label).parameters() == method.parameters()


def test_the_citation_of_one_method_is_that_of_its_row() -> None:
    rows = {row.name: row.citation for row in registry.describe_methods()}
    assert registry.citation_of("tfi") == rows["tfi"] != ""
    assert registry.citation_of("of-another-machine") == ""
