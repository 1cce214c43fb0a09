"""What the learned methods share: weights, batches, devices, checks of a window."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hqgen.checkpoints import existing_file, load_weights
from hqgen.devices import exact_arithmetic, resolve_device
from hqgen.errors import MethodError
from hqgen.files import sha256_file, weights_folder
from hqgen.methods.base import Leg, Method, OutputScale, Span
from hqgen.methods.weights import find_weights
from hqgen.spikes.packed import Window


@dataclass(frozen=True)
class NetworkMethod(Method):
    """A method that is a trained network.

    Two fields are not parameters: `weights`, a checkpoint file to use instead of the registered one (its
    digest goes into the plan), and `device`: auto, cpu or cuda.

    Class attributes:
        before, after: frames that it needs before and after the centre frame.
        output: scale of the output with the published weights.
        valid_rate: lowest and highest mean firing rate (spikes per frame) with a usable output.
        weights_licence: licence of the published weights.
        weights_source: where they are published.
        batch_on: windows that the network takes at once on each device; fewer if memory is too small. On a
            CPU a batch is no faster, and one window at a time keeps an image independent of the others.
        variants: the parameter that chooses between variants with weights of their own.
    """

    leg: ClassVar[Leg] = "gpu"
    before: ClassVar[int] = 20
    after: ClassVar[int] = 20
    output: ClassVar[OutputScale] = "rate"
    valid_rate: ClassVar[tuple[float, float]] = (0.0, 1.0)
    weights_licence: ClassVar[str] = "none stated"
    weights_source: ClassVar[str] = ""
    batch_on: ClassVar[dict[str, int]] = {"cpu": 1, "cuda": 8}
    variants: ClassVar[str] = "variant"

    weights: str | None = field(default=None, kw_only=True)
    device: str = field(default="auto", kw_only=True)

    @property
    def span(self) -> Span:
        """`before` and `after`."""
        return self.before, self.after

    @property
    def frames_at_once(self) -> int:
        """A batch."""
        return self.batch_on[resolve_device(self.device)]

    @property
    def weights_name(self) -> str:
        """Name of its weights in the registry: the method, or the variant if it has other weights."""
        return self.name

    @property
    def usable_rates(self) -> tuple[float, float]:
        """`valid_rate`; a method overrides it if the rates depend on its parameters."""
        return self.valid_rate

    @abstractmethod
    def network(self) -> nn.Module:
        """Build the network with fresh parameters; its state_dict has the published keys and shapes."""

    @abstractmethod
    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        """Run the network on a batch of windows.

        Args:
            network: from `network()`, with weights loaded, in eval mode.
            spikes: float32 (B, before + 1 + after, H, W), values 0 and 1, top row first.

        Returns:
            float32 (B, H, W) in the scale `output`; any H and W (this method pads and crops).
        """

    def parameters(self) -> dict[str, Any]:
        """The parameters by name, without `weights` and `device`."""
        return {name: value for name, value in asdict(self).items() if name not in ("weights", "device")}

    def on(self, device: Literal["auto", "cpu", "cuda"]) -> NetworkMethod:
        """The same method running on `device`."""
        return replace(self, device=device)

    def checkpoint(self) -> tuple[Path, str | None]:
        """The weights file and its registered sha256; None for a file given by `weights`.

        Raises:
            MethodError: no weights are registered.
        """
        if self.weights is not None:
            return Path(self.weights), None
        if (entry := find_weights(self.weights_name)) is not None:
            return entry.file, entry.sha256
        source = f" ({self.weights_source})" if self.weights_source else ""
        raise MethodError(
            f"there are no weights `{self.weights_name}` in `{weights_folder()}`",
            hint=f"`hqgen weights fetch` gets published files{source}, and `hqgen weights add` registers one "
            "that you have: docs/weights.md",
        )

    def unavailable(self) -> str | None:
        """Why it cannot run (weights missing or damaged), or None; does not read the tensors."""
        try:
            path, sha256 = self.checkpoint()
            found = self.weights_digest()
        except MethodError as error:
            return error.message
        if sha256 is not None and found != sha256.lower():
            return f"`{path}` is not the registered file: its sha256 is {found}, not {sha256.lower()}"
        return None

    def weights_digest(self) -> str:
        """The sha256 of its weights file, for the plan.

        Raises:
            MethodError: the weights are missing or cannot be read.
        """
        path, _ = self.checkpoint()
        try:
            return sha256_file(existing_file(path))
        except OSError as error:
            raise MethodError(f"the weights `{path}` cannot be read: {error.strerror}") from error

    def loaded(self) -> nn.Module:
        """The network with its weights on its device, in eval mode; each process builds it once.

        Raises:
            MethodError: the weights are missing, changed or do not fit, or there is no such device.
        """
        path, sha256 = self.checkpoint()
        found = self.weights_digest()
        fresh = replace(self, weights=None, device="auto")
        return _loaded(fresh, path, sha256 or found, found, resolve_device(self.device))

    def reconstruct(self, window: Window) -> NDArray[np.float32]:
        """Reconstruct the centre frame of `window`.

        Returns:
            float32 (H, W) in the scale `output`.

        Raises:
            MethodError: a firing rate outside `usable_rates`, or as `loaded`.
        """
        (outcome,) = self.reconstruct_batch([window])
        if isinstance(outcome, MethodError):
            raise outcome
        return outcome

    def reconstruct_batch(self, windows: Sequence[Window]) -> list[NDArray[np.float32] | MethodError]:
        """Reconstruct the centre frame of each window; windows of one size share a run of the network.

        Returns:
            For each window, in order, its image (see `reconstruct`), or the MethodError that says what is
            wrong with the window.

        Raises:
            MethodError: the weights, the device or the memory are the problem, not a window.
        """
        outcomes: dict[int, NDArray[np.float32] | MethodError] = {}
        by_size: dict[tuple[int, int], list[int]] = {}
        for index, window in enumerate(windows):
            if objection := self._objection(window):
                outcomes[index] = objection
            else:
                by_size.setdefault(window.spikes.shape[1:], []).append(index)
        for indices in by_size.values():
            images = self._images([windows[index].around(*self.span) for index in indices])
            outcomes |= zip(indices, images, strict=True)
        return [outcomes[index] for index in range(len(windows))]

    def _objection(self, window: Window) -> MethodError | None:
        """The reason why this window gives no picture, or None."""
        spikes, (low, high) = window.around(*self.span).spikes, self.usable_rates
        rate = int(np.bitwise_count(spikes.data).sum(dtype=np.int64)) / prod(spikes.shape)
        if not low <= rate <= high:
            return MethodError(
                f"the mean firing rate {rate:.3f} is outside {low:g} to {high:g}, "
                f"where `{self.name}` gives usable pictures"
            )
        return None

    def _images(self, windows: Sequence[Window]) -> list[NDArray[np.float32]]:
        """Run the network on windows of one size, on fewer at a time if memory is too small."""
        network, device = self.loaded(), resolve_device(self.device)
        size = self.batch_on[device]
        images: list[NDArray[np.float32]] = []
        while len(images) < len(windows):
            taken = windows[len(images) : len(images) + size]
            done = self._run(network, taken, device)
            if done is None and len(taken) == 1:
                height, width = taken[0].spikes.shape[1:]
                raise MethodError(
                    f"`{self.name}` runs out of memory on `{device}` with one window of {height}x{width}",
                    hint="use --device cpu, or a GPU with more memory",
                )
            images += [] if done is None else list(done)
            size = size if done is not None else len(taken) // 2
        return images

    def _run(self, network: nn.Module, windows: Sequence[Window], device: str) -> NDArray[np.float32] | None:
        """float32 (B, H, W), or None if the memory of the device is too small."""
        frames = torch.from_numpy(np.stack([window.spikes.frames() for window in windows]))
        try:
            with exact_arithmetic():
                spikes = frames.to(device).float()
                if device == "cuda":
                    spikes = spikes.contiguous(memory_format=torch.channels_last)
                return self.infer(network, spikes).float().cpu().numpy()
        except torch.OutOfMemoryError:
            return None


Frames = Literal[61, 41]


@dataclass(frozen=True)
class TwoLengths(NetworkMethod):
    """A method that was published for windows of 61 frames, and for windows of 41.

    Args:
        frames: 61, as the authors published it; or 41, as Spike-Zoo 0.2.3 trained it on Spike-REDS.
    """

    variants: ClassVar[str] = "frames"

    frames: Frames = 61

    @property
    def span(self) -> Span:
        """As many frames before as after."""
        return self.frames // 2, self.frames // 2

    @property
    def weights_name(self) -> str:
        """The name of the method, or `NAME-41`."""
        return self.name if self.frames == 61 else f"{self.name}-{self.frames}"


@lru_cache(maxsize=16)
def _loaded(method: NetworkMethod, path: Path, sha256: str, _found: str, device: str) -> nn.Module:
    """Build the network and load its weights; `_found` is their digest now: a changed file is read again."""
    network = method.network()
    load_weights(network, path, sha256)
    _drop_subnormals(network)
    network = network.eval().requires_grad_(False).to(device)
    return network.to(memory_format=torch.channels_last) if device == "cuda" else network


def _drop_subnormals(network: nn.Module) -> None:
    """Make weights too small for full precision (below 1.2e-38) zero.

    They change no picture, but a processor takes many times as long to multiply with them: weight decay left
    so many in the published SSIR that it ran 8.6 times slower.
    """
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            tensor.data[tensor.data.abs() < torch.finfo(tensor.dtype).tiny] = 0
