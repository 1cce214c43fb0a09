from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hqgen.errors import RecordingError, UsageError
from hqgen.methods.tfi import TFI
from hqgen.spikes.packed import PackedSpikes, Window
from hqgen.spikes.recording import ArrayRecording
from spikeclip.data import voxels
from spikeclip.data.voxels import centre_crop, tfi_packed, voxelize, voxelize_packed

Frames = NDArray[np.uint8]


def random_frames(seed: int, *shape: int, rate: float = 0.05) -> Frames:
    return (np.random.default_rng(seed).random(shape) < rate).astype(np.uint8)


def batch_of(*streams: Frames) -> torch.Tensor:
    return torch.from_numpy(np.stack([PackedSpikes.pack(stream).data for stream in streams]))


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send what lies on the CPU the way that a GPU's tensors go."""
    monkeypatch.setattr(voxels, "_count_on_cpu", voxels._count_on_device)
    monkeypatch.setattr(voxels, "_invert_on_cpu", voxels._invert_on_device)


@pytest.mark.real
def test_voxel_equals_the_golden(shared: Path) -> None:
    golden = np.load(shared / "golden/lrn.npz")
    np.testing.assert_array_equal(voxelize(golden["spike_uhsr"]), golden["voxel_uhsr"])


def test_voxel_sums_consecutive_groups_of_frames() -> None:
    frames = random_frames(0, 200, 6, 7, rate=0.4)
    expected = frames.reshape(50, 4, 6, 7).sum(axis=1)
    voxel = voxelize(frames)
    assert voxel.dtype == np.float32
    np.testing.assert_array_equal(voxel, expected)


def test_frames_that_fill_no_group_are_left_out_at_both_ends() -> None:
    frames = random_frames(1, 13, 3, 3, rate=0.5)
    np.testing.assert_array_equal(voxelize(frames, bins=5), voxelize(frames[1:11], bins=5))


def test_recording_packed_and_array_give_the_same_voxel() -> None:
    frames = random_frames(2, 23, 5, 9)
    packed = PackedSpikes.pack(frames)
    expected = voxelize(frames, bins=10)
    np.testing.assert_array_equal(voxelize(packed, bins=10), expected)
    np.testing.assert_array_equal(voxelize(ArrayRecording(packed), bins=10), expected)


def test_rows_that_are_stored_bottom_up_come_out_upright() -> None:
    frames = random_frames(3, 8, 4, 8, rate=0.5)
    stored = PackedSpikes(PackedSpikes.pack(frames[:, ::-1]).data, 4, 8, bottom_up=True)
    np.testing.assert_array_equal(voxelize(stored, bins=2), voxelize(frames, bins=2))


@pytest.mark.parametrize("frames", [0, 49, 50 * 256])
def test_too_few_or_too_many_frames_are_refused(frames: int) -> None:
    with pytest.raises(RecordingError, match=f"{frames} frames cannot be counted over 50 bins"):
        voxelize(np.zeros((frames, 1, 1), np.uint8))


def test_the_crop_of_a_250_pixel_frame_is_the_published_one() -> None:
    assert centre_crop(250, 250, 224) == (slice(13, 237), slice(13, 237))
    assert centre_crop(250, 400, None) == (slice(0, 250), slice(0, 400))


@pytest.mark.parametrize("crop", [0, 251])
def test_a_crop_that_does_not_fit_is_refused(crop: int) -> None:
    with pytest.raises(UsageError, match="too small for a crop"):
        centre_crop(250, 400, crop)


SHAPES: dict[str, Any] = {
    "seed": st.integers(0, 2**32 - 1),
    "height": st.integers(1, 13),
    "width": st.integers(1, 19),
    "rate": st.sampled_from([0.0, 0.03, 0.5, 1.0]),
    "crop_share": st.sampled_from([None, 0.3, 0.7, 1.0]),
}


def crop_of(height: int, width: int, share: float | None) -> int | None:
    return None if share is None else max(1, round(share * min(height, width)))


@given(frames=st.integers(3, 40), bins=st.integers(1, 3), **SHAPES)
@pytest.mark.parametrize("count", [voxels._count_on_cpu, voxels._count_on_device])
def test_packed_batches_equal_voxelize(
    count: Callable[..., torch.Tensor],
    frames: int,
    bins: int,
    seed: int,
    height: int,
    width: int,
    rate: float,
    crop_share: float | None,
) -> None:
    streams = random_frames(seed, 2, frames, height, width, rate=rate)
    area = centre_crop(height, width, crop_of(height, width, crop_share))
    packed = batch_of(*streams)[:, voxels.binned_frames(frames, bins)]
    expected = [voxelize(stream, bins)[:, *area] for stream in streams]
    np.testing.assert_array_equal(count(packed, height, width, bins, area).numpy(), expected)


@given(frames=st.integers(8, 60), **SHAPES)
@pytest.mark.parametrize("invert", [voxels._invert_on_cpu, voxels._invert_on_device])
def test_packed_tfi_equals_the_method(
    invert: Callable[..., torch.Tensor],
    frames: int,
    seed: int,
    height: int,
    width: int,
    rate: float,
    crop_share: float | None,
) -> None:
    streams = random_frames(seed, 2, frames, height, width, rate=rate)
    area = centre_crop(height, width, crop_of(height, width, crop_share))
    middle, reach = frames // 2, frames // 4 - 1
    method = TFI(variant="spikeclip", half_window=reach)
    expected = [method.reconstruct(Window(PackedSpikes.pack(stream), middle))[area] for stream in streams]
    near = batch_of(*streams)[:, middle + 1 - reach : middle + 1 + reach]
    np.testing.assert_array_equal(invert(near, height, width, area).numpy(), expected)


@pytest.mark.parametrize("way", ["cpu", "gpu"])
def test_long_intervals_and_full_bins_do_not_overflow(way: str, request: pytest.FixtureRequest) -> None:
    if way == "gpu":
        request.getfixturevalue("as_on_a_gpu")
    dark = batch_of(np.zeros((1400, 2, 3), np.uint8))
    assert set(tfi_packed(dark, 2, 3).numpy().flat) == {np.float32(1 / 698)}
    bright = batch_of(np.ones((1020, 2, 3), np.uint8))
    assert set(voxelize_packed(bright, 2, 3, bins=4).numpy().flat) == {255}


@pytest.mark.parametrize("way", ["cpu", "gpu"])
def test_shapes_and_types_of_a_batch(way: str, request: pytest.FixtureRequest) -> None:
    if way == "gpu":
        request.getfixturevalue("as_on_a_gpu")
    packed = batch_of(*random_frames(4, 3, 200, 25, 25))
    voxel, target = voxelize_packed(packed, 25, 25, crop=16), tfi_packed(packed, 25, 25, crop=16)
    assert voxel.shape == (3, 50, 16, 16)
    assert target.shape == (3, 1, 16, 16)
    assert voxel.dtype == target.dtype == torch.float32
    assert 1 / 98 <= target.min() <= target.max() <= 1


@pytest.mark.real
def test_tfi_target_equals_the_golden(shared: Path) -> None:
    golden = np.load(shared / "golden/tfi.npz")
    for name in ("uhsr", "data"):
        target = tfi_packed(batch_of(golden[f"spike_{name}"]), 64, 64)
        np.testing.assert_allclose(target[0, 0].numpy(), golden[f"middletfi_{name}"], atol=1e-6)
    edges = tfi_packed(batch_of(golden["edge"]), 1, 17)
    np.testing.assert_allclose(edges[0, 0, 0].numpy(), golden["middletfi_edge"], atol=1e-6)


def test_packed_bytes_of_another_geometry_are_refused() -> None:
    packed = batch_of(random_frames(5, 50, 8, 8))
    with pytest.raises(ValueError, match=r"9x8 pixels are \(B, T, 9\)"):
        voxelize_packed(packed, 9, 8)
    with pytest.raises(ValueError, match="packed streams"):
        tfi_packed(packed[0], 8, 8)


def test_a_stream_too_short_for_tfi_is_refused() -> None:
    with pytest.raises(RecordingError, match="7 frames is too short"):
        tfi_packed(batch_of(random_frames(6, 7, 4, 4)), 4, 4)
