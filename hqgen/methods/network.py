"""What the learned methods share: frames in, weights, padding, batches, devices."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from hqgen.methods.base import Leg, Method, Span

__all__ = ["NetworkMethod", "OutputScale"]

OutputScale = Literal["rate", "brightness", "other"]
"""What the published weights put out: spikes per frame, ground-truth brightness in [0, 1], or neither."""


@dataclass(frozen=True)
class NetworkMethod(Method):
    """A method that is a trained network.

    Class attributes:
        before, after: frames it takes before and after the centre; always all of them.
        output: scale of the output with the published weights.
        valid_rate: mean firing rates (spikes a frame) for which the output is usable.
        weights_licence: licence of the published weights.
    """

    leg: ClassVar[Leg] = "gpu"
    before: ClassVar[int] = 20
    after: ClassVar[int] = 20
    output: ClassVar[OutputScale] = "rate"
    valid_rate: ClassVar[tuple[float, float]] = (0.0, 1.0)
    weights_licence: ClassVar[str] = "none stated"

    @property
    def span(self) -> Span:
        """All of its frames."""
        return self.before, self.after

    @abstractmethod
    def network(self) -> nn.Module:
        """Build the network with fresh parameters; its state_dict has the published keys and shapes."""

    @abstractmethod
    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        """Run the network on a batch of windows.

        Args:
            network: what `network()` built, with weights loaded, in eval mode.
            spikes: float32 (B, before + 1 + after, H, W), values 0 and 1, top row first.

        Returns:
            float32 (B, H, W) in the scale `output`; any H and W (padding and cropping happen here).
        """
