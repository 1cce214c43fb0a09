from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from torch import nn

import hqgen
from hqgen.errors import UsageError, WeightsError
from hqgen.quality.normalise import to_uint8
from hqgen.spikes.camera import Camera
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import ArrayRecording, write_dat
from spikeclip.networks import LRN, UNet, build, save_network
from spikeclip.reconstruction import reconstruct, reconstruct_windows
from tests.builder.small import Recorder
from tests.methods.golden import formula_state, load_golden

HEIGHT, WIDTH = 32, 44


def frames(count: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """A disc that moves to the right while the recording goes on, at low light."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:height, :width]
    spikes = np.empty((count, height, width), np.uint8)
    for t in range(count):
        disc = np.hypot(y - height / 2, x - 8 - t / 40) < 6
        spikes[t] = rng.random((height, width)) < 0.02 + 0.06 * disc
    return spikes


@pytest.fixture(scope="module")
def network() -> LRN:
    """An LRN whose middle bin passes through: what it shows can be told from its input."""
    lrn = build("lrn")
    assert isinstance(lrn, LRN)
    with torch.no_grad():
        for layer in lrn.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                layer.weight.zero_()
                layer.bias.zero_()
                layer.weight[0, : layer.in_channels if layer.in_channels == 50 else 1, 1, 1] = 1
    return lrn.eval()


def save(path: Path, spikes: NDArray[np.uint8]) -> Path:
    np.savez_compressed(path, spk=spikes)
    return path


def picture(path: Path | None) -> NDArray[np.uint8]:
    assert path is not None
    with Image.open(path) as image:
        assert image.mode == "L"
        return np.asarray(image)


def test_every_format_of_one_stream_becomes_the_same_picture(network: LRN, tmp_path: Path) -> None:
    spikes = frames(200)
    save(tmp_path / "a.npz", spikes)
    np.save(tmp_path / "b.npy", spikes)
    write_dat(tmp_path / "c.dat", PackedSpikes.pack(spikes))
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["spikes"] = spikes
    paths = [tmp_path / name for name in ("a.npz", "b.npy", "c.dat", "d.h5")]
    done = reconstruct(
        network, paths, tmp_path / "out", camera=Camera(height=HEIGHT, width=WIDTH), device="cpu"
    )
    assert [item.picture and item.picture.name for item in done] == ["a.png", "b.png", "c.png", "d.png"]
    expected = to_uint8(spikes.sum(0).astype(np.float32))
    for item in done:
        assert np.array_equal(picture(item.picture), expected)
        assert (item.video, item.raw, item.frames, item.reason) == (None, None, 0, None)


def test_a_picture_is_of_the_middle_window(network: LRN, tmp_path: Path) -> None:
    spikes = frames(301)
    (done,) = reconstruct(network, [save(tmp_path / "r.npz", spikes)], tmp_path, raw=True, device="cpu")
    assert done.raw is not None
    assert np.array_equal(np.load(done.raw), spikes[50:250].sum(0, dtype=np.float32)[None])
    assert not (tmp_path / "r.gif").exists()


def test_a_long_recording_becomes_a_video_that_holds_its_pictures_exactly(
    network: LRN, tmp_path: Path
) -> None:
    spikes = frames(700)
    (done,) = reconstruct(
        network, [save(tmp_path / "r.npz", spikes)], tmp_path, stride=100, raw=True, device="cpu"
    )
    starts = [0, 100, 200, 300, 400, 500]
    expected = np.stack([spikes[start : start + 200].sum(0, dtype=np.float32) for start in starts])
    assert done.raw is not None
    assert done.video is not None
    assert np.array_equal(np.load(done.raw), expected)
    assert np.array_equal(picture(done.picture), to_uint8(spikes[250:450].sum(0, dtype=np.float32)))
    with Image.open(done.video) as video:
        shown = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(video)]
    assert np.array_equal(shown, to_uint8(expected.reshape(-1, WIDTH)).reshape(expected.shape))
    assert done.frames == len(shown) == 6


def test_a_video_does_not_flicker(network: LRN, tmp_path: Path) -> None:
    spikes = frames(400)
    spikes[200:] = spikes[:200]
    spikes[200:, ::2] = 0
    (done,) = reconstruct(network, [save(tmp_path / "r.npz", spikes)], tmp_path, device="cpu")
    assert done.video is not None
    with Image.open(done.video) as video:
        first, second = (np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(video))
    assert np.array_equal(first[1::2], second[1::2])


def test_no_video_where_none_is_wanted(network: LRN, tmp_path: Path) -> None:
    (done,) = reconstruct(
        network, [save(tmp_path / "r.npz", frames(600))], tmp_path, video=False, device="cpu"
    )
    assert (done.video, done.frames) == (None, 0)


def check_size(network: LRN | UNet, height: int, width: int) -> None:
    stream = ArrayRecording(PackedSpikes.pack(np.ones((20, height, width), np.uint8)))
    (images,) = reconstruct_windows(network, stream, [0])
    assert images.shape == (1, height, width)
    assert np.isfinite(images).all()


@settings(max_examples=25)
@given(height=st.integers(1, 45), width=st.integers(1, 45))
def test_pictures_of_any_size_keep_their_size(height: int, width: int) -> None:
    check_size(build("lrn", bins=5).eval(), height, width)


def test_unet_takes_sides_that_are_no_multiples_of_16() -> None:
    network = build("unet", bins=5).eval()
    for height, width in ((6, 41), (33, 16)):
        check_size(network, height, width)


def test_windows_do_not_depend_on_their_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = ArrayRecording(PackedSpikes.pack(frames(600)))
    network = build("lrn").eval()
    together = np.concatenate(list(reconstruct_windows(network, stream, [0, 100, 400])))
    monkeypatch.setattr("spikeclip.reconstruction.BATCH_PIXELS", 1)
    apart = np.concatenate(list(reconstruct_windows(network, stream, [0, 100, 400])))
    assert np.allclose(together, apart, atol=1e-6)


def test_a_bad_recording_has_a_reason_and_harms_no_other(network: LRN, tmp_path: Path) -> None:
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.txt").write_text("spikes")
    truncated = save(tmp_path / "whole.npz", frames(200)).read_bytes()[:900]
    (tmp_path / "cut.npz").write_bytes(truncated)
    np.save(tmp_path / "counts.npy", frames(200) * 3)
    save(tmp_path / "short.npz", frames(199))
    save(tmp_path / "dark.npz", np.zeros((200, HEIGHT, WIDTH), np.uint8))
    names = (
        "empty.npz",
        "text.txt",
        "cut.npz",
        "counts.npy",
        "short.npz",
        "dark.npz",
        "absent.npz",
        "whole.npz",
    )
    done = reconstruct(network, [tmp_path / name for name in names], tmp_path / "out", device="cpu")
    reasons = dict(zip(names, (item.reason or "" for item in done), strict=True))
    assert reasons["whole.npz"] == ""
    assert "has 199 frames, the network takes 200" in reasons["short.npz"]
    assert "dark image" in reasons["dark.npz"]
    assert "0 and 1" in reasons["counts.npy"]
    assert all(reasons[name] for name in names[:-1])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["whole.png"]


def test_a_dat_file_of_another_camera_needs_its_geometry(network: LRN, tmp_path: Path) -> None:
    write_dat(tmp_path / "r.dat", PackedSpikes.pack(frames(200)))
    (without,) = reconstruct(network, [tmp_path / "r.dat"], tmp_path, device="cpu")
    (wrong,) = reconstruct(
        network, [tmp_path / "r.dat"], tmp_path, camera=Camera(height=33, width=80), device="cpu"
    )
    assert "250x400" in (without.reason or "")
    assert "truncated" in (wrong.reason or "") or "more" in (wrong.reason or "")


def test_a_network_of_nan_writes_no_picture(tmp_path: Path) -> None:
    broken = build("lrn")
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    recording = save(tmp_path / "r.npz", frames(400))
    (done,) = reconstruct(broken, [recording], tmp_path / "out", device="cpu")
    assert done.picture is None
    assert "not finite" in (done.reason or "")
    assert not (tmp_path / "out").exists()
    (done,) = reconstruct(broken, [recording], tmp_path / "out", raw=True, device="cpu")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["r.npy"]
    assert done.raw is not None
    assert np.isnan(np.load(done.raw)).all()


def test_saturated_spikes_become_a_flat_image_with_a_reason(network: LRN, tmp_path: Path) -> None:
    full = np.ones((200, HEIGHT, WIDTH), np.uint8)
    (done,) = reconstruct(network, [save(tmp_path / "r.npz", full)], tmp_path, device="cpu")
    assert "flat image" in (done.reason or "")


def test_progress_counts_pictures_of_usable_recordings(network: LRN, tmp_path: Path) -> None:
    seen = Recorder()
    paths = [save(tmp_path / "long.npz", frames(800)), save(tmp_path / "short.npz", frames(50))]
    reconstruct(network, paths, tmp_path, device="cpu", observer=seen)
    assert seen.totals == seen.done == {"reconstruct": 5}
    assert seen.notes == [f"`{paths[0]}`: 800 frames of 32x44"]


def test_what_makes_no_sense_is_refused(network: LRN, tmp_path: Path) -> None:
    one = save(tmp_path / "r.npz", frames(200))
    with pytest.raises(UsageError, match="no recording"):
        reconstruct(network, [], tmp_path)
    with pytest.raises(UsageError, match="stride of 0"):
        reconstruct(network, [one], tmp_path, stride=0)
    with pytest.raises(UsageError, match=r"2 recordings would all become `r.png`"):
        reconstruct(network, [one, tmp_path / "other" / "r.npy"], tmp_path)
    with pytest.raises(WeightsError, match="no checkpoint"):
        reconstruct(tmp_path / "absent.pth", [one], tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        reconstruct(network, [one], one / "below a file", device="cpu")


def test_a_checkpoint_of_ours_does_what_its_network_does(tmp_path: Path) -> None:
    lrn = build("lrn")
    save_network(tmp_path / "network.pth", lrn, {})
    recording = save(tmp_path / "r.npz", frames(200))
    (a,) = reconstruct(lrn, [recording], tmp_path / "a", raw=True, device="cpu")
    (b,) = reconstruct(tmp_path / "network.pth", [recording], tmp_path / "b", raw=True, device="cpu")
    assert a.raw is not None
    assert b.raw is not None
    assert np.array_equal(np.load(a.raw), np.load(b.raw))


@pytest.mark.real
def test_a_checkpoint_of_published_form_gives_the_golden_values_of_real_recordings(
    shared: Path, tmp_path: Path
) -> None:
    golden = load_golden(shared, "lrn")
    torch.save(formula_state(LRN(), golden.meta["fill"]), tmp_path / "LRN_CALTECH.pth")
    helicopter = shared / "data/u-caltech/helicopter_04144.npz"
    (done,) = reconstruct(tmp_path / "LRN_CALTECH.pth", [helicopter], tmp_path, raw=True, device="cpu")
    assert done.raw is not None
    # Five 3x3 layers reach five pixels: inside that margin the golden crop of the picture sees the same.
    inner = np.load(done.raw)[0][95:149, 105:159]
    assert np.abs(inner - golden.arrays["out_uhsr"][5:59, 5:59]).max() < golden.tolerance
    assert picture(done.picture).shape == (250, 250)


@pytest.mark.real
def test_the_padding_is_the_toolboxes(shared: Path, tmp_path: Path) -> None:
    golden = load_golden(shared, "lrn")
    torch.save({"state_dict": formula_state(LRN(), golden.meta["fill"])}, tmp_path / "net.pth")
    recording = save(tmp_path / "crop.npz", golden.arrays["spike_data"])
    (done,) = reconstruct(tmp_path / "net.pth", [recording], tmp_path, raw=True, device="cpu")
    assert done.raw is not None
    assert np.abs(np.load(done.raw)[0] - golden.arrays["out_data_reflect20"]).max() < golden.tolerance


@pytest.mark.real
def test_a_vidar_recording_stands_upright(shared: Path, network: LRN, tmp_path: Path) -> None:
    car = shared / "data/recvidar2019/classA/car-100kmh.dat"
    (done,) = reconstruct(network, [car], tmp_path, device="cpu")
    rate = hqgen.reconstruct("tfp", hqgen.open_recording(car, height=250, width=400), window=200)
    assert np.abs(picture(done.picture).astype(int) - to_uint8(rate)).max() <= 1
