"""A benchmark as a whole: its numbers, its files, what it does not do twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hqgen.benchmark.results import Benchmark
from hqgen.benchmark.run import benchmark
from hqgen.errors import HqgenError, MethodError, UsageError
from hqgen.inspection.truth import as_brightness
from hqgen.methods.tfp import TFP
from hqgen.progress import SILENT
from hqgen.quality.fidelity import psnr
from hqgen.sources.truth import FileTruth
from hqgen.spikes.packed import Window
from tests.benchmark.conftest import settings_for, worker_in_this_process, write_lab
from tests.builder.small import Recorder, stream
from tests.spikes.test_formats import write_counter

FILES = ("benchmark.json", "benchmark.md", "benchmark.tex", "benchmark.png")


@pytest.fixture
def copied(measured_once: tuple[Path, Benchmark], tmp_path: Path, here: None) -> Path:
    """A copy of the benchmark, to continue."""
    shutil.copytree(measured_once[0], tmp_path / "copy")
    return tmp_path / "copy"


def without_times(found: Benchmark) -> dict[str, Any]:
    document = found.model_dump(mode="json")
    for result in document["results"]:
        del result["memory"]
        for sample in result["samples"]:
            del sample["seconds"]
    return document


def test_every_method_is_measured_on_every_sample_in_rank_order(found: Benchmark) -> None:
    assert [method.label for method in found.methods] == ["tfp", "tfp:window=11", "tfi"]
    (source,) = found.sources
    keys = [f"folder-lab/s{seed}_key_id26" for seed in range(3)]
    assert [sample.key for sample in source.samples] == keys
    for method in found.methods:
        result = found.result(method.label, "folder-lab")
        assert [item.key for item in result.samples] == keys
        assert all(item.reason is None and item.seconds is not None for item in result.samples)
        assert list(result.judged) == keys
        assert result.memory is not None
    assert list(source.truth) == keys[:2]


def test_numbers_are_those_of_the_method_beside_the_ground_truth(
    measured_once: tuple[Path, Benchmark],
) -> None:
    root, found = measured_once
    judged = found.result("tfp:window=11", "folder-lab").judged["folder-lab/s1_key_id26"]
    image = TFP(window=11).reconstruct(Window(stream(1), 25))
    truth = FileTruth(root / "lab" / "gt", "s1_key_id26.png").light().astype(np.float64)
    brightness = as_brightness(image, "rate", 0.7)
    assert brightness is not None
    assert judged.plain is not None
    assert judged.plain.psnr == pytest.approx(psnr(brightness, truth), abs=1e-6)
    assert found.result("tfp", "folder-lab").judged["folder-lab/s2_key_id26"].plain is None


def test_all_files_are_written_and_json_gives_the_results_again(
    measured_once: tuple[Path, Benchmark],
) -> None:
    root, found = measured_once
    assert all((root / "out" / name).is_file() for name in FILES)
    text = (root / "out" / "benchmark.json").read_text()
    assert Benchmark.model_validate_json(text) == found
    assert str(root) not in text


def test_the_same_command_again_measures_nothing_and_writes_the_same(
    copied: Path, found: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: (copied / "out" / name).read_bytes() for name in FILES}
    monkeypatch.setattr("hqgen.benchmark.measure.worker", None)
    assert benchmark(settings_for(copied)) == found
    assert {name: (copied / "out" / name).read_bytes() for name in FILES} == before


def test_another_run_gives_the_same_apart_from_times_and_memory(
    tmp_path: Path, found: Benchmark, here: None
) -> None:
    write_lab(tmp_path / "lab")
    again = benchmark(settings_for(tmp_path))
    assert again is not None
    assert without_times(again) == without_times(found)


def test_one_more_method_measures_only_that_one(copied: Path, found: Benchmark) -> None:
    recorder = Recorder()
    more = benchmark(settings_for(copied, methods="tfp,tfi,tfp:window=11,tfp:window=5"), recorder)
    assert more is not None
    assert recorder.told["reconstructing"][1][0] == 2 * 3 + 3 or recorder.done["reconstructing"] == 12
    for label in ("tfp", "tfi", "tfp:window=11"):
        assert more.result(label, "folder-lab") == found.result(label, "folder-lab")


def test_another_judge_makes_no_picture_again(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hqgen.benchmark.measure.worker", None)
    found = benchmark(settings_for(copied, judges="pyiqa-niqe"))
    assert found is not None
    assert list(found.rules["scorers"]) == ["pyiqa-niqe"]


def test_a_stopped_benchmark_writes_no_results_and_continues(tmp_path: Path, here: None) -> None:
    write_lab(tmp_path / "lab")
    answers = iter([False] * 4 + [True])
    assert benchmark(settings_for(tmp_path), stop=lambda: next(answers)) is None
    assert not (tmp_path / "out" / "benchmark.json").exists()
    recorder = Recorder()
    assert benchmark(settings_for(tmp_path), recorder) is not None
    assert recorder.totals["reconstructing"] == 9
    assert recorder.told["reconstructing"][1] == (3, "tfp:window=11 on folder-lab")


def test_a_recording_that_changed_is_measured_again(copied: Path) -> None:
    from hqgen.spikes.recording import write_dat

    write_dat(copied / "lab" / "s2_key_id26.dat", stream(7))
    again = benchmark(settings_for(copied, methods="tfp"))
    assert again is not None
    pictures = [
        np.load(path.parent / "00002.npy")
        for path in (copied / "out/measured/folder-lab").glob("tfp-[0-9a-f]*/made.json")
    ]
    assert len(pictures) == 2
    assert not np.array_equal(*pictures)


def test_a_method_whose_process_ends_gets_a_reason_and_is_tried_again(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def dying(method: Any, repeats: int) -> Iterator[Any]:
        def die(window: Window) -> Any:
            raise MethodError("the process ended")

        yield SimpleNamespace(reconstruct=die)

    monkeypatch.setattr("hqgen.benchmark.measure.worker", dying)
    found = benchmark(settings_for(copied, methods="tfp:window=7"))
    assert found is not None
    result = found.result("tfp:window=7", "folder-lab")
    assert {item.reason for item in result.samples} == {"the process ended"}
    assert result.memory is None
    assert not result.judged
    monkeypatch.setattr("hqgen.benchmark.measure.worker", worker_in_this_process)
    again = benchmark(settings_for(copied, methods="tfp:window=7"))
    assert again is not None
    assert len(again.result("tfp:window=7", "folder-lab").judged) == 3


def test_samples_are_spread_evenly(copied: Path) -> None:
    found = benchmark(settings_for(copied, methods="tfp", samples=2), SILENT)
    assert found is not None
    assert [sample.key[-11:-9] for sample in found.sources[0].samples] == ["s0", "s2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": "tfq"}, "tfq"),
        ({"sources": ("nosuch",)}, "nosuch"),
        ({"judges": "nique"}, "nique"),
    ],
)
def test_names_that_make_no_sense_end_it_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write_lab(tmp_path / "lab")
    with pytest.raises(HqgenError, match=message):
        benchmark(settings_for(tmp_path, **changes))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_an_error_with_a_hint(tmp_path: Path) -> None:
    write_lab(tmp_path / "lab")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(HqgenError, match="cannot be written") as error:
        benchmark(settings_for(tmp_path))
    assert error.value.hint


def test_methods_that_cannot_run_here_are_listed_with_the_reason(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hqgen.methods.registry import Availability

    monkeypatch.setenv("HQGEN_WEIGHTS", str(copied / "weights"))
    every = [
        Availability("tfp", TFP(), None),
        Availability("x", None, f"there are no weights `x` in `{copied / 'weights'}`"),
    ]
    monkeypatch.setattr("hqgen.benchmark.request.every_method", lambda: every)
    found = benchmark(settings_for(copied, methods="all"))
    assert found is not None
    assert [method.label for method in found.methods] == ["tfp"]
    assert found.unavailable == {"x": "there are no weights `x`"}
    assert "- x: there are no weights `x`" in (copied / "out/benchmark.md").read_text()


def test_the_command_writes_json_only_to_stdout(copied: Path, found: Benchmark) -> None:
    from tests.command_line import run

    lab = f"folder:{copied / 'lab'}"
    flags = ["--sources", lab, "--methods", "tfp,tfi,tfp:window=11", "--judges", "niqe"]
    done = run("benchmark", *flags, "--out", copied / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == found.model_dump(mode="json")
    shown = run("benchmark", *flags, "--out", copied / "out")
    assert "ground truth" in shown.stdout


def test_a_misread_recording_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    write_counter(tmp_path / "lab" / "counter.dat")
    with pytest.raises(UsageError, match=r"counter\.dat.*: .*--camera vidar-416"):
        benchmark(settings_for(tmp_path))
    assert not (tmp_path / "out" / "benchmark.json").exists()
