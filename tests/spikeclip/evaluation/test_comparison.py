from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import hqgen
from hqgen.errors import MethodError, StoreError, UnknownNameError, UsageError, WeightsError
from hqgen.methods.base import Method, Span
from hqgen.methods.registry import method_label
from hqgen.methods.tfi import TFI
from hqgen.methods.tfp import TFP
from hqgen.pictures import grey_levels
from hqgen.quality import niqe
from hqgen.quality.fidelity import at_best_gain, psnr, ssim
from hqgen.quality.niqe import score_images
from hqgen.quality.normalise import to_uint8
from hqgen.spikes.packed import PackedSpikes, Window
from hqgen.tables import markdown
from spikeclip.clip.frozen import FrozenClip, class_texts
from spikeclip.data.lowlight import LowLightSet, open_prepared
from spikeclip.data.lowlight_writer import LabelledStream, write
from spikeclip.data.voxels import voxelize
from spikeclip.evaluation.comparison import default_methods, evaluate
from spikeclip.evaluation.table import ResultTable
from spikeclip.networks import build, save_network
from tests.builder.small import Recorder
from tests.spikeclip.tiny_clip import tiny_clip

HEIGHT, WIDTH, CROP, SAMPLES = 120, 130, 104, 10
CLASSES = ("stripes", "checks")


def scene(number: int) -> NDArray[np.uint8]:
    """A textured stream, uint8 (200, 120, 130), brighter from sample to sample."""
    rng = np.random.default_rng(number)
    spikes: NDArray[np.bool_] = rng.random((200, HEIGHT, WIDTH), np.float32) < rates(number)
    return spikes.astype(np.uint8)


def rates(number: int) -> NDArray[np.float64]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rate: NDArray[np.float64] = 0.03 + 0.02 * np.sin(x / (3 + number % 2)) * np.cos(y / 5) + 0.002 * number
    return rate


def clean(number: int) -> NDArray[np.uint8]:
    """What the stream shows: its firing rates, a rate of 0.1 as white."""
    return grey_levels(rates(number) * 10)


def sample(number: int) -> LabelledStream:
    return LabelledStream(f"{number:04d}", number % 2, PackedSpikes.pack(scene(number)), clean(number))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> LowLightSet:
    """Ten test samples in which NIQE finds its block."""
    out = tmp_path_factory.mktemp("scenes") / "low.zarr"
    write(
        out,
        labels=CLASSES,
        geometry=(HEIGHT, WIDTH),
        frames=200,
        splits={"test": SAMPLES},
        samples=lambda _split: [partial(sample, n) for n in range(SAMPLES)],
        made_from={"made": "in a test"},
        with_truth=True,
    )
    return open_prepared(out)


@pytest.fixture(scope="module")
def clip() -> FrozenClip:
    return tiny_clip()


class Network(nn.Module):
    """Sums its voxel; what a test makes of the sum is its output."""

    name = "sum"
    bins = 50

    def __init__(self, change: Callable[[Tensor], Tensor] = lambda picture: picture) -> None:
        super().__init__()
        self.change = change

    def forward(self, voxel: Tensor) -> Tensor:
        return self.change(voxel.sum(1, keepdim=True) / 200)


class Pixelwise(nn.Module):
    """One factor a bin, so that its cost is known by hand."""

    name = "pixelwise"
    bins = 50

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(self.bins, 1, 1)

    def forward(self, voxel: Tensor) -> Tensor:
        picture: Tensor = self.weigh(voxel)
        return picture


@dataclass(frozen=True)
class Choosy(Method):
    """Refuses streams with a dark middle frame."""

    name: ClassVar[str] = "choosy"
    rank: ClassVar[int] = 2001
    citation: ClassVar[str] = "none"

    @property
    def span(self) -> Span:
        return 0, 0

    def reconstruct(self, window: Window) -> NDArray[np.float32]:
        if window.spikes.frames().mean() < 0.04:
            raise MethodError("too dark")
        frame: NDArray[np.uint8] = window.spikes.frames()[window.centre]
        return frame.astype(np.float32)


def compare(
    scenes: LowLightSet, networks: dict[str, nn.Module], *methods: Method, clip: FrozenClip | None = None
) -> ResultTable:
    """NIQE alone, no costs."""
    return evaluate(
        networks, scenes, clip, methods=methods, metrics=["niqe"], crop=CROP, runs=0, device="cpu"
    )


def crops() -> list[NDArray[np.uint8]]:
    return [scene(number)[:, 8:112, 13:117] for number in range(SAMPLES)]


def test_scores_are_the_means_over_the_cropped_samples(scenes: LowLightSet) -> None:
    row = compare(scenes, {}, TFP(window=200)).row("tfp:window=200").cells
    images = np.stack([hqgen.reconstruct("tfp", frames, window=200) for frames in crops()])
    pictures = np.stack([to_uint8(image) for image in images])
    assert row["niqe_raw"].value == pytest.approx(niqe(images).mean(), rel=1e-12)
    assert row["niqe_bright"].value == pytest.approx(niqe(pictures).mean(), rel=1e-12)


def test_a_network_sees_the_voxel_of_the_same_crop(scenes: LowLightSet) -> None:
    table = compare(scenes, {"sum": Network()}, TFP(window=200))
    assert table.row("sum").cells == table.row("tfp:window=200").cells
    network = Pixelwise().eval()
    with torch.no_grad():
        voxels = torch.from_numpy(np.stack([voxelize(frames) for frames in crops()]))
        expected = score_images(network(voxels)[:, 0].numpy())[0].mean()
    found = compare(scenes, {"pixelwise": network}).row("pixelwise").cells["niqe_raw"].value
    assert found == pytest.approx(expected, abs=0.05)  # the last bits differ with the batch


def test_accuracy_is_the_share_whose_nearest_class_text_is_right(
    scenes: LowLightSet, clip: FrozenClip
) -> None:
    table = compare(scenes, {}, TFP(window=200), clip=clip)
    pictures = torch.from_numpy(np.stack([frames.mean(0, dtype=np.float32) for frames in crops()]))[:, None]
    with torch.no_grad():
        similarity = clip.image_features(pictures) @ clip.text_features(class_texts(CLASSES)).T
    right = similarity.argmax(1) == torch.arange(SAMPLES) % 2
    assert table.row("tfp:window=200").cells["acc_raw"].value == 100 * right.float().mean()
    assert "acc_bright" in table.row("tfp:window=200").cells


def test_outputs_are_compared_with_the_truth_and_with_the_spikes(scenes: LowLightSet) -> None:
    table = compare(scenes, {"sum": Network(), "nan": Network(lambda picture: picture * torch.nan)})
    row, nan = table.row("sum").cells, table.row("nan").cells
    images = [frames.mean(0, dtype=np.float32) for frames in crops()]
    lights = [clean(number)[8:112, 13:117] / 255 for number in range(SAMPLES)]
    fitted = [at_best_gain(image, light) for image, light in zip(images, lights, strict=True)]
    pairs = list(zip(fitted, lights, strict=True))
    assert row["psnr"].value == pytest.approx(np.mean([psnr(*pair) for pair in pairs]), rel=1e-4)
    assert row["ssim"].value == pytest.approx(np.mean([ssim(*pair) for pair in pairs]), rel=1e-4)
    assert 0.5 < row["consistency"].value < 2
    assert {"psnr", "ssim"}.isdisjoint(nan)
    assert nan["consistency"].value == math.inf
    assert any(note.startswith("nan: 10 of 10 samples have no PSNR and are left out") for note in table.notes)
    titles = {column.title for column in table.columns}
    assert {"PSNR (dB)", "SSIM", "Consistency"} <= titles
    assert "Judge (%)" not in titles


def test_without_truth_there_are_no_columns_of_it_and_a_note_says_why(low_light: LowLightSet) -> None:
    table = evaluate({"sum": Network()}, low_light, methods=[], metrics=["piqe"], crop=32, runs=0)
    assert {"PSNR (dB)", "SSIM"}.isdisjoint(column.title for column in table.columns)
    assert "`low.zarr` knows no truth, so that there is no PSNR and no SSIM: it was made of recordings" in (
        "\n".join(table.notes)
    )


def test_a_judge_reads_the_pictures_too_and_is_not_the_teacher(scenes: LowLightSet, clip: FrozenClip) -> None:
    other = tiny_clip(seed=1)
    both = evaluate(
        {}, scenes, clip, judge=other, methods=[TFP()], metrics=["niqe"], crop=CROP, runs=0, device="cpu"
    )
    alone = compare(scenes, {}, TFP(), clip=other)
    for group in ("raw", "bright"):
        judged = both.row("tfp").cells[f"judge_{group}"]
        assert judged == alone.row("tfp").cells[f"acc_{group}"]
    assert both.about["judge"] == f"tiny, {other.digest[:12]}"
    assert any("no judge was given" in note for note in alone.notes)
    with pytest.raises(UsageError, match="the judge is the CLIP that taught the networks"):
        evaluate({}, scenes, clip, judge=clip, methods=[TFP()], crop=CROP, runs=0)


def test_a_network_of_nan_has_no_score_and_no_right_answer(scenes: LowLightSet, clip: FrozenClip) -> None:
    table = compare(scenes, {"broken": Network(lambda picture: picture * torch.nan)}, clip=clip)
    cells = table.row("broken").cells
    assert [cells[key].value for key in ("niqe_raw", "niqe_bright")] == [math.inf, math.inf]
    assert [cells[key].value for key in ("acc_raw", "acc_bright")] == [0, 0]
    assert any("broken: 10 of 10 samples have no NIQE (raw)" in note for note in table.notes)
    assert "| inf |" in markdown(table)


def test_flat_outputs_are_left_out_of_the_mean_and_counted(scenes: LowLightSet) -> None:
    def flatten_the_dark(pictures: Tensor) -> Tensor:
        dark = pictures.mean((1, 2, 3), keepdim=True) < 0.035
        return pictures.where(~dark, 0.5)

    dark = [frames.mean() < 0.035 for frames in crops()]
    assert 0 < sum(dark) < SAMPLES
    table = compare(scenes, {"some": Network(flatten_the_dark)})
    kept = np.stack(
        [frames.mean(0, dtype=np.float32) for frames, flat in zip(crops(), dark, strict=True) if not flat]
    )
    assert table.row("some").cells["niqe_raw"].value == pytest.approx(niqe(kept).mean(), rel=1e-3)
    (note, *_) = [note for note in table.notes if note.startswith("some")]
    assert note.startswith(f"some: {sum(dark)} of 10 samples have no NIQE (raw) and are left out of the mean")
    assert note.endswith("flat image: every pixel is 0.5")


def test_a_method_that_refuses_samples_is_told_and_counts_as_wrong(
    scenes: LowLightSet, clip: FrozenClip
) -> None:
    table = compare(scenes, {}, Choosy(), clip=clip)
    middle = [frames[100].mean() >= 0.04 for frames in crops()]
    assert 0 < sum(middle) < SAMPLES
    assert f"choosy: no output for {SAMPLES - sum(middle)} of 10 samples: too dark" in table.notes
    assert table.row("choosy").cells["acc_raw"].value <= 10 * sum(middle)
    assert math.isfinite(table.row("choosy").cells["niqe_raw"].value)


def test_the_same_comparison_gives_the_same_table(scenes: LowLightSet, clip: FrozenClip) -> None:
    network = build("lrn")
    first, second = (compare(scenes, {"lrn": network}, TFI(), clip=clip) for _ in range(2))
    assert first.to_json() == second.to_json()


def load_tiny_clip(_device: str) -> FrozenClip:
    return tiny_clip()


def test_tasks_on_workers_give_the_table_of_one_process(
    scenes: LowLightSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikeclip.evaluation.comparison.COST_SIZE", (25, 40))
    save_network(tmp_path / "n.pth", build("lrn"), {})
    together: list[int] = []

    def submit(function: Callable[..., object], *arguments: object, tasks: int) -> Future[object]:
        together.append(tasks)
        future: Future[object] = Future()
        future.set_result(pickle.loads(pickle.dumps(partial(function, *arguments)))())
        return future

    def table(submit: Callable[..., object] | None) -> ResultTable:
        return evaluate(
            {"lrn": tmp_path / "n.pth"},
            scenes,
            load_tiny_clip,
            methods=[TFI()],
            metrics=["niqe"],
            crop=CROP,
            samples=3,
            runs=1,
            device="cpu",
            submit=submit,
        )

    alone, shared = table(None), table(submit)
    assert together == [2, 2, 1]
    for one, other in zip(alone.rows, shared.rows, strict=True):
        assert {**one.cells, "latency": None} == {**other.cells, "latency": None}
    assert alone.about == shared.about


def test_costs_stand_beside_the_scores_and_one_architecture_is_measured_once(scenes: LowLightSet) -> None:
    networks = {"coarse": Pixelwise(), "fine": Pixelwise()}
    seen = Recorder()
    table = evaluate(
        networks, scenes, methods=[TFP()], metrics=["niqe"], crop=CROP, runs=1, device="cpu", observer=seen
    )
    coarse, fine = (table.row(name).cells for name in networks)
    assert coarse["params"].value == pytest.approx(51e-6)
    assert coarse["macs"].value == pytest.approx(50 * 250 * 400 / 1e9)
    assert coarse["latency"] == fine["latency"]
    assert table.row("tfp").cells["params"].value == table.row("tfp").cells["macs"].value == 0
    assert seen.done == seen.totals == {"evaluate": 3 * SAMPLES}
    assert len(seen.notes) == 1
    assert "MACs and latency are of 250x400 pixels; latency is the mean of 1 run" in table.notes


def test_what_cannot_be_had_is_said(scenes: LowLightSet) -> None:
    table = compare(scenes, {"sum": Network()})
    assert "ACC is n/a: no CLIP was given" in table.notes
    assert "Params, MACs and latency are n/a: they were not asked for" in table.notes
    assert any("single block" in note for note in table.notes)
    assert table.about["samples"] == SAMPLES
    assert table.about["pixels"] == "104x104"


def test_pictures_under_a_block_have_no_niqe_but_the_rest(low_light: LowLightSet, clip: FrozenClip) -> None:
    table = evaluate(
        {"sum": Network()}, low_light, clip, methods=[], metrics=["niqe"], crop=32, runs=0, device="cpu"
    )
    assert set(table.row("sum").cells) == {"acc_raw", "acc_bright", "consistency"}
    assert any(note.startswith("NIQE is n/a: a picture of 32x32 pixels") for note in table.notes)


def test_samples_are_spread_over_the_split(scenes: LowLightSet) -> None:
    table = evaluate({}, scenes, methods=[TFP(window=200)], metrics=["niqe"], crop=CROP, samples=3, runs=0)
    picked = [frames for n, frames in enumerate(crops()) if n in (0, 4, 9)]
    images = np.stack([hqgen.reconstruct("tfp", frames, window=200) for frames in picked])
    assert table.row("tfp:window=200").cells["niqe_raw"].value == pytest.approx(niqe(images).mean())
    assert table.about["samples"] == 3


def test_checkpoints_may_be_files(scenes: LowLightSet, tmp_path: Path) -> None:
    network = build("lrn")
    save_network(tmp_path / "n.pth", network, {"gain": 9.5})
    table = evaluate(
        {"file": tmp_path / "n.pth", "memory": network},
        scenes,
        methods=[],
        metrics=["niqe"],
        crop=CROP,
        samples=3,
        runs=0,
    )
    assert table.row("file").cells == table.row("memory").cells
    assert "file: nothing was learned in stage fine except one gain, 9.5" in table.notes
    with pytest.raises(WeightsError, match="no checkpoint"):
        evaluate({"x": tmp_path / "absent.pth"}, scenes, methods=[], runs=0)


def test_the_paper_baseline_and_all_available_methods_are_the_default() -> None:
    names = [method_label(method) for method in default_methods(200)]
    assert names[:4] == ["tfp:window=200", "tfp", "tfi", "tfstp"]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 121}, "121x121"),
        ({"methods": []}, "nothing to evaluate"),
        ({"methods": [TFP(), TFP()]}, "two rows are called `tfp`"),
    ],
)
def test_comparisons_that_make_no_sense_are_refused(
    scenes: LowLightSet, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate({}, scenes, **{"crop": CROP, "methods": [TFP()], "runs": 0, **options})  # type: ignore[arg-type]


def test_unknown_split_and_metric_are_refused(scenes: LowLightSet) -> None:
    with pytest.raises(UnknownNameError, match="trial"):
        evaluate({}, scenes, methods=[TFP()], crop=CROP, split="trial")
    with pytest.raises(UnknownNameError, match="nique"):
        evaluate({}, scenes, methods=[TFP()], crop=CROP, metrics=["nique"])


def test_a_split_without_samples_is_refused(scenes: LowLightSet) -> None:
    part = scenes.split("test")
    empty = replace(scenes, _open={"test": replace(part, labels=np.empty(0, np.int64), keys=())})
    with pytest.raises(StoreError, match="no samples"):
        compare(empty, {}, TFP())


@pytest.mark.real
def test_the_helicopter_has_the_known_scores_in_the_table(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyiqa")
    recording = hqgen.open_recording(shared / "data/u-caltech/helicopter_04144.npz")
    write(
        tmp_path / "low.zarr",
        labels=[f"class{n}" for n in range(101)],
        geometry=(250, 250),
        frames=200,
        splits={"test": 1},
        samples=lambda _split: [lambda: LabelledStream("04144", 47, recording.spikes())],
        made_from={},
    )
    table = evaluate(
        {}, open_prepared(tmp_path / "low.zarr"), methods=[TFP(window=200)], metrics=["niqe", "piqe"], runs=0
    )
    cells = table.row("tfp:window=200").cells
    assert cells["niqe_raw"].value == pytest.approx(13.66, abs=0.005)
    assert cells["piqe_raw"].value == pytest.approx(61.61, abs=0.005)
    assert not [note for note in table.notes if "NIQE" in note]
