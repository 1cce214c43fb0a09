from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hqgen.devices import resolve_device
from hqgen.errors import MethodError
from hqgen.methods.learned.network import NetworkMethod
from hqgen.methods.registration import add_weights
from hqgen.spikes.packed import PackedSpikes, Window
from tests.methods import windows


@dataclass(frozen=True)
class Blend(NetworkMethod):
    """A 5-frame network small enough for every test."""

    name: ClassVar[str] = "blend"
    rank: ClassVar[int] = 999
    citation: ClassVar[str] = "none"
    before: ClassVar[int] = 3
    after: ClassVar[int] = 1
    valid_rate: ClassVar[tuple[float, float]] = (0.1, 0.9)
    power: int = 1

    def network(self) -> nn.Module:
        return nn.Conv2d(5, 1, 3, padding=1)

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        image: Tensor = network(spikes)[:, 0] ** self.power
        return image


def random_window(seed: int, size: tuple[int, int] = (9, 7), frames: int = 5, centre: int = 3) -> Window:
    return windows.random_window(seed, size, frames, centre)


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    torch.manual_seed(0)
    torch.save(Blend().network().state_dict(), tmp_path / "blend.pth")
    return str(tmp_path / "blend.pth")


@pytest.fixture
def blend(checkpoint: str) -> Blend:
    return Blend(weights=checkpoint, device="cpu")


def test_image_is_what_the_network_makes_of_the_frames(blend: Blend) -> None:
    window = random_window(1)
    network = blend.network()
    network.load_state_dict(torch.load(str(blend.weights), weights_only=True))
    with torch.inference_mode():
        expected = network(torch.from_numpy(window.spikes.frames()).float()[None])[0, 0].numpy()
    image = blend.reconstruct(window)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, expected, atol=1e-6)


def test_frames_beyond_its_span_are_not_seen(blend: Blend) -> None:
    long = random_window(2, frames=30, centre=12)
    short = Window(PackedSpikes.pack(long.spikes.frames()[9:14]), 3)
    np.testing.assert_array_equal(blend.reconstruct(long), blend.reconstruct(short))


@pytest.mark.parametrize(("frames", "centre"), [(4, 2), (4, 3), (2, 0)])
def test_frames_beyond_the_ends_are_mirrored(blend: Blend, frames: int, centre: int) -> None:
    short = random_window(3, frames=frames, centre=centre)
    whole = np.pad(short.spikes.frames(), ((3, 1), (0, 0), (0, 0)), mode="reflect")[centre : centre + 5]
    expected = blend.reconstruct(Window(PackedSpikes.pack(whole), 3))
    np.testing.assert_array_equal(blend.reconstruct(short), expected)


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([(9, 7), (6, 11)]), max_size=7),
    seed=st.integers(0, 1000),
)
def test_batch_of_mixed_sizes_equals_one_by_one(
    sizes: list[tuple[int, int]], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "property.pth"
    if not path.exists():
        torch.save(Blend().network().state_dict(), path)
    blend = Blend(weights=str(path), device="cpu")
    windows = [random_window(seed + i, size) for i, size in enumerate(sizes)]
    images = blend.reconstruct_batch(windows)
    assert len(images) == len(windows)
    for image, window in zip(images, windows, strict=True):
        np.testing.assert_array_equal(image, blend.reconstruct(window))


def test_one_bad_window_harms_no_neighbour(blend: Blend) -> None:
    dark = Window(PackedSpikes.pack(np.zeros((5, 9, 7))), 3)
    bright = Window(PackedSpikes.pack(np.ones((5, 9, 7))), 3)
    good = random_window(4)
    outcomes = blend.reconstruct_batch([dark, good, bright, good])
    assert [isinstance(outcome, MethodError) for outcome in outcomes] == [True, False, True, False]
    np.testing.assert_array_equal(outcomes[1], blend.reconstruct(good))
    assert "firing rate 0.000 is outside 0.1 to 0.9" in str(outcomes[0])
    assert "firing rate 1.000" in str(outcomes[2])


def test_firing_rate_is_that_of_the_frames_it_uses(blend: Blend) -> None:
    frames = np.zeros((40, 9, 7))
    frames[20:25:2] = 1
    blend.reconstruct(Window(PackedSpikes.pack(frames), 23))
    with pytest.raises(MethodError, match=r"firing rate 0\.000"):
        blend.reconstruct(Window(PackedSpikes.pack(frames), 10))


def test_empty_batch_needs_no_weights() -> None:
    assert Blend().reconstruct_batch([]) == []


def test_weights_and_device_are_no_parameters(blend: Blend) -> None:
    assert blend.parameters() == {"power": 1}


def test_network_is_built_once_for_equal_parameters_and_weights(blend: Blend, checkpoint: str) -> None:
    assert blend.loaded() is Blend(weights=checkpoint, device="auto").loaded() or torch.cuda.is_available()
    assert blend.loaded() is Blend(weights=checkpoint, device="cpu").loaded()
    assert blend.loaded() is not Blend(power=2, weights=checkpoint, device="cpu").loaded()


def test_changed_file_is_loaded_anew(blend: Blend) -> None:
    before, digest = blend.reconstruct(random_window(5)), blend.weights_digest()
    other = Blend().network()
    nn.init.zeros_(other.get_parameter("weight"))
    torch.save(other.state_dict(), str(blend.weights))
    assert blend.weights_digest() != digest
    assert not np.array_equal(blend.reconstruct(random_window(5)), before)


def test_weights_below_full_precision_become_zero_and_the_others_stay(tmp_path: Path) -> None:
    network = nn.Conv2d(5, 1, 3)
    with torch.no_grad():
        network.weight[:, 0] = 1e-40
        network.weight[:, 1] = -1.2e-38
    torch.save(network.state_dict(), tmp_path / "decayed.pth")
    loaded = Blend(weights=str(tmp_path / "decayed.pth"), device="cpu").loaded()
    assert isinstance(loaded, nn.Conv2d)
    assert not loaded.weight[:, 0].any()
    torch.testing.assert_close(loaded.weight[:, 1:], network.weight[:, 1:], rtol=0, atol=0)


def test_network_keeps_no_gradients_and_is_in_eval_mode(blend: Blend) -> None:
    network = blend.loaded()
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_without_weights_it_is_unavailable_and_says_where_it_looked(weights_home: Path) -> None:
    method = Blend()
    reason = method.unavailable()
    assert reason is not None
    assert str(weights_home) in reason
    with pytest.raises(MethodError, match="no weights `blend`") as error:
        method.reconstruct(random_window(1))
    assert "hqgen weights add" in error.value.hint
    with pytest.raises(MethodError):
        method.weights_digest()


def test_weights_file_that_is_gone_makes_it_unavailable(tmp_path: Path) -> None:
    method = Blend(weights=str(tmp_path / "gone.pth"))
    assert "gone.pth" in str(method.unavailable())
    with pytest.raises(MethodError, match=r"gone\.pth"):
        method.weights_digest()


def test_registered_weights_are_found_and_their_digest_is_enforced(blend: Blend, checkpoint: str) -> None:
    entry = add_weights(checkpoint, Blend())
    registered = Blend(device="cpu")
    assert registered.unavailable() is None
    assert registered.weights_digest() == blend.weights_digest() == entry.sha256
    np.testing.assert_array_equal(
        registered.reconstruct(random_window(6)), blend.reconstruct(random_window(6))
    )
    with entry.file.open("ab") as file:
        file.write(b"tampered")
    assert f"`{entry.file}` is not the registered file" in str(registered.unavailable())
    with pytest.raises(MethodError, match="sha256"):
        registered.reconstruct(random_window(6))


@dataclass(frozen=True)
class Hungry(Blend):
    """Runs out of memory with more than three windows; remembers the batches that it was given."""

    name: ClassVar[str] = "hungry"
    limit: ClassVar[int] = 3
    seen: ClassVar[list[int]] = []

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        self.seen.append(len(spikes))
        if len(spikes) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().infer(network, spikes)


@pytest.fixture
def pretend_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches as on a GPU, without one."""
    monkeypatch.setattr(Hungry, "seen", [])
    monkeypatch.setattr(Hungry, "batch_on", {"cpu": 8})


@pytest.mark.usefixtures("pretend_cuda")
def test_out_of_memory_halves_the_batch_and_goes_on(checkpoint: str) -> None:
    windows = [random_window(seed) for seed in range(11)]
    images = Hungry(weights=checkpoint, device="cpu").reconstruct_batch(windows)
    assert Hungry.seen == [8, 4, 2, 2, 2, 2, 2, 1]
    one_by_one = Blend(weights=checkpoint, device="cpu")
    for image, window in zip(images, windows, strict=True):
        assert not isinstance(image, MethodError)
        np.testing.assert_allclose(image, one_by_one.reconstruct(window), atol=1e-6)


@pytest.mark.usefixtures("pretend_cuda")
def test_out_of_memory_with_a_single_window_is_an_error(
    checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hungry, "limit", 0)
    with pytest.raises(MethodError, match="out of memory on `cpu` with one window of 9x7"):
        Hungry(weights=checkpoint, device="cpu").reconstruct_batch([random_window(1), random_window(2)])
    assert Hungry.seen == [2, 1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_where_there_is_none_is_an_error(checkpoint: str) -> None:
    assert resolve_device("auto") == "cpu"
    with pytest.raises(MethodError, match="the device `cuda` is not there"):
        Blend(weights=checkpoint, device="cuda").reconstruct(random_window(1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_agrees_with_cpu(checkpoint: str) -> None:
    windows = [random_window(seed, (64, 48)) for seed in range(10)]
    on_gpu = Blend(weights=checkpoint, device="cuda").reconstruct_batch(windows)
    on_cpu = Blend(weights=checkpoint, device="cpu").reconstruct_batch(windows)
    for gpu, cpu in zip(on_gpu, on_cpu, strict=True):
        assert not isinstance(gpu, MethodError)
        assert not isinstance(cpu, MethodError)
        np.testing.assert_allclose(gpu, cpu, atol=1e-5)
