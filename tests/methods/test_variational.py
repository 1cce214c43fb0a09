"""`variational` keeps the bounds of the spikes and finds the least total variation within them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hqgen.errors import MethodError, UsageError
from hqgen.methods import variational_kernels
from hqgen.methods.variational import Variational, chosen_step, spikes_by_step
from hqgen.methods.variational_model import Problem
from hqgen.spikes.packed import PackedSpikes, Window
from hqgen.spikes.recording import ArrayRecording
from tests.methods.test_variational_links import random_links
from tests.methods.variational_proof import light
from tests.methods.windows import REDS, random_window, reds, window


def fired(frames: NDArray[np.float64], seed: int = 0) -> NDArray[np.bool_]:
    """The spikes of light (T, H, W), spikes per frame in [0, 1], from random charges."""
    start = np.random.default_rng(seed).random(frames.shape[1:])
    counts = np.floor(start + np.cumsum(frames, axis=0))
    return np.diff(counts, axis=0, prepend=0).astype(bool)


def moving_edge(speed: float, size: int = 24) -> NDArray[np.float64]:
    """A vertical edge between 0.15 and 0.5 that moves to the right: light (41, size, size)."""
    time, column = np.arange(41)[:, None, None] - 20, np.arange(size)[None, None, :]
    covered = np.clip(size / 2 + speed * time - column + 0.5, 0, 1)
    return np.broadcast_to(0.15 + 0.35 * covered, (41, size, size))


def error(image: NDArray[np.float32], truth: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((image - truth) ** 2)))


@settings(max_examples=10)
@given(rate=st.floats(0.01, 1), seed=st.integers(0, 99))
def test_steady_light_comes_out_far_better_than_by_counting(rate: float, seed: int) -> None:
    frames = fired(np.full((41, 6, 7), rate), seed)
    image = Variational().reconstruct(window(frames, 20))
    assert image.dtype == np.float32
    assert image.shape == (6, 7)
    assert np.abs(image - rate).max() < 0.02


def test_a_moving_edge_stays_sharp() -> None:
    truth = moving_edge(0.4)
    near = window(fired(truth), 20)
    counted = near.spikes.frames().mean(axis=0)
    image = Variational(optics=0, offset=0).reconstruct(near)
    assert error(image, truth[20]) < 0.3 * error(counted, truth[20])


def test_silent_and_saturated_pixels_are_zero_and_one() -> None:
    frames = np.zeros((41, 8, 3), np.uint8)
    assert Variational().reconstruct(window(frames, 20)).tolist() == frames[0].tolist()
    frames[:] = 1
    np.testing.assert_allclose(Variational().reconstruct(window(frames, 20)), 1, atol=1e-3)


@given(seed=st.integers(0, 2**32 - 1), rate=st.floats(0, 1), step=st.integers(1, 4), slack=st.floats(0, 1))
def test_any_bits_give_rates_in_range(seed: int, rate: float, step: int, slack: float) -> None:
    near = random_window(seed, (5, 6), 41, 20, rate)
    image = Variational(step=step, slack=slack).reconstruct(near)
    assert np.isfinite(image).all()
    assert image.min() >= 0
    assert image.max() <= 1


def test_longer_steps_see_dim_light_over_a_longer_time() -> None:
    truth = np.random.default_rng(0).uniform(0.01, 0.05, (12, 12))
    frames = fired(np.broadcast_to(truth, (205, 12, 12)))
    frame_by_frame = Variational(step=1, optics=0).reconstruct(window(frames, 102))
    in_steps = Variational(step=5, optics=0).reconstruct(window(frames, 102))
    assert Variational(step=1).span == (20, 20)
    assert Variational(step=5).span == (102, 102)
    assert error(in_steps, truth) < 0.5 * error(frame_by_frame, truth)


@pytest.mark.parametrize(("every", "step"), [(1, 1), (12, 1), (14, 2), (30, 3), (50, 4), (60, 5), (900, 5)])
def test_the_step_follows_the_light_of_the_window(every: int, step: int) -> None:
    frames = np.zeros((900, 1, 1), bool)
    frames[::every] = True
    near = window(frames, 450)
    assert chosen_step(near) == step


def test_the_image_is_that_of_the_chosen_step() -> None:
    near = random_window(0, (6, 7), 205, 102, 0.03)
    given = Variational(step=chosen_step(near)).reconstruct(near)
    np.testing.assert_array_equal(Variational().reconstruct(near), given)


def test_a_short_recording_is_never_shorter_than_the_step_it_chooses() -> None:
    silent = np.zeros((3, 4, 5), bool)
    assert Variational().reconstruct(window(silent, 1)).tolist() == np.zeros((4, 5)).tolist()


def test_steps_are_centred_and_whole() -> None:
    frames = np.arange(30) % 3 == 0
    spikes, centre = spikes_by_step(window(frames[:, None, None], 13), 3)
    assert spikes.shape == (1, 10, 1), "in threes around frame 13: frames 0 to 29"
    assert centre == 4.0
    assert spikes.dtype == np.uint8
    assert spikes.ravel().tolist() == [1] * 10
    even, centre = spikes_by_step(window(frames[:, None, None], 13), 4)
    assert (even.shape, centre) == ((1, 6, 1), 2.125), "frames 3 to 26: frame 27 begins a step that is cut"


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_few_frames_are_enough(frames: int) -> None:
    image = Variational().reconstruct(random_window(1, (4, 9), frames, frames - 1))
    assert np.isfinite(image).all()


def test_near_an_end_the_step_of_the_centre_frame_moves_inwards() -> None:
    frames = np.arange(12) < 5
    spikes, centre = spikes_by_step(window(frames[:, None, None], 1), 5)
    assert (spikes.ravel().tolist(), centre) == ([5, 0], -0.2), "a frame before the middle of the step"
    spikes, centre = spikes_by_step(window(frames[:, None, None], 11), 5)
    assert (spikes.ravel().tolist(), centre) == ([3, 0], 1.4), "frames 2 to 6 and 7 to 11"


def test_a_recording_shorter_than_a_step_is_refused() -> None:
    with pytest.raises(MethodError, match="`step=5` needs 5 frames, but there are 4"):
        Variational(step=5).reconstruct(random_window(1, (4, 9), 4, 2))


def test_mirrored_frames_are_left_out() -> None:
    recording = ArrayRecording(random_window(2, (6, 7), 41, 20, 0.4).spikes)
    near, real = recording.window(5, 20, 20), Window(recording.spikes(0, 26), 5)
    assert near.mirrored == 15
    assert Variational().mirrored_share(near) == 0
    np.testing.assert_array_equal(Variational().reconstruct(near), Variational().reconstruct(real))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"step": 0}, "`step` must be 1 to 255, not 0"),
        ({"offset": 1.5}, "`offset` must be -1 to 1, not 1.5"),
        ({"slack": -0.1}, "`slack` must be at least 0, not -0.1"),
        ({"slack": float("nan")}, "`slack` must be at least 0, not nan"),
        ({"optics": 2.0}, "`optics` must be 0 to 1, not 2.0"),
        ({"iterations": 0}, "`iterations` must be at least 1, not 0"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(parameters: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Variational(**parameters)  # type: ignore[arg-type]


def test_an_image_does_not_depend_on_the_others_of_its_batch() -> None:
    windows = [random_window(seed, (9, 8), 41, 20, 0.3) for seed in range(3)]
    together = Variational().reconstruct_batch(windows)
    alone = [Variational().reconstruct(each) for each in windows]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_rows_come_out_top_row_first() -> None:
    spikes = PackedSpikes.pack(fired(np.linspace(0.1, 0.8, 8)[None, :, None] * np.ones((41, 8, 8))))
    turned = PackedSpikes.pack(spikes.frames()[:, ::-1])
    stored = PackedSpikes(turned.data, 8, 8, bottom_up=True)
    np.testing.assert_array_equal(
        Variational().reconstruct(Window(stored, 20)), Variational().reconstruct(Window(spikes, 20))
    )


def test_undoing_the_blur_of_the_lens_steepens_edges_and_keeps_flat_light() -> None:
    near = window(fired(moving_edge(0)), 20)
    sharp, soft = (Variational(optics=optics).reconstruct(near) for optics in (0.5, 0))
    assert np.diff(sharp.mean(axis=0)).min() < 1.1 * np.diff(soft.mean(axis=0)).min()
    assert abs(sharp[:, :6].mean() - soft[:, :6].mean()) < 0.005


def test_the_device_is_not_a_parameter_of_the_plan() -> None:
    method = Variational()
    assert "device" not in method.parameters()
    assert method.on("cuda").parameters() == method.parameters()
    assert method.on("auto") == method, "the CPU computes it on every machine"
    assert "variation" in method.citation


def test_a_gpu_that_is_not_there_is_refused() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(MethodError, match="`cuda` is not there"):
        Variational().on("cuda").reconstruct(random_window(1, (4, 9), 41, 20))


def test_torch_runs_the_same_iteration() -> None:
    from hqgen.methods import variational_torch

    spikes, _ = spikes_by_step(random_window(3, (11, 13), 41, 20, 0.4), 1)
    links, problem = random_links(11, 13), Problem(slack=0.1)
    begin = variational_kernels.start(spikes)
    compiled = variational_kernels.iterate(begin, spikes, links, problem, 35)
    plain = variational_torch.iterate(begin, spikes, links, problem, 35, "cpu")
    np.testing.assert_allclose(light(plain.charge, spikes), light(compiled.charge, spikes), atol=2e-5)
    np.testing.assert_allclose(plain.dual, compiled.dual, atol=2e-3)


def test_fine_texture_that_moves_comes_out_better_along_its_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    time, column = np.arange(41)[:, None, None] - 20, np.arange(32)[None, None, :]
    truth = 0.3 + 0.15 * np.sin((column - 0.4 * time) * 2 * np.pi / 6 + np.arange(32)[None, :, None] / 5)
    near = window(fired(truth), 20)
    followed = Variational(optics=0, offset=0).reconstruct(near)
    monkeypatch.setattr("hqgen.methods.variational.SIGHT", 1000)
    at_one_place = Variational(optics=0, offset=0).reconstruct(near)
    assert error(followed, truth[20]) < 0.95 * error(at_one_place, truth[20])


def test_the_picture_is_that_of_the_instant_asked_for() -> None:
    row, column = np.meshgrid(np.arange(32), np.arange(32), indexing="ij")

    def waves(after: float) -> NDArray[np.float64]:
        phase = (column - 0.4 * after) * 2 * np.pi / 12 + row / 5
        return np.asarray(0.3 + 0.15 * np.sin(phase))

    near = window(fired(np.stack([waves(after) for after in range(-20, 21)])), 20)
    for offset in (-0.5, 0.0, 0.8):
        image = Variational(optics=0, offset=offset).reconstruct(near)
        errors = {after: error(image, waves(after)) for after in (-0.5, 0.0, 0.8)}
        assert min(errors, key=errors.__getitem__) == offset


@pytest.mark.real
@pytest.mark.parametrize(("name", "least"), list(zip(REDS, (37.0, 35.1, 32.1), strict=True)))
def test_spike_reds_comes_out_as_documented(data_root: Path, name: str, least: float) -> None:
    recording, truth = reds(data_root, name)
    image = Variational().reconstruct(recording.window(150, *Variational().span))
    psnr = -20 * np.log10(error(np.clip(image / np.float32(0.6), 0, 1), truth))
    assert psnr > least
