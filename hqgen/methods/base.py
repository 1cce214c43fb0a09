"""What a reconstruction method is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import MethodError, UsageError
from hqgen.spikes.packed import PackedSpikes, Window

Leg = Literal["cpu", "gpu"]
"""The kind of worker that a method needs: `cpu` for model-based methods, `gpu` for networks."""

Span = tuple[int, int]
"""How many frames are needed before and after the centre frame."""


@dataclass(frozen=True)
class Method(ABC):
    """A way from spikes to an image.

    A subclass is a frozen dataclass. Its fields are the parameters, each with a default. Two instances with
    equal fields give equal images. `reconstruct` is pure and deterministic and reads no files.

    Class attributes:
        name: what users type; lower case.
        rank: place in the ensemble; between equal scores the lower rank wins.
        version: goes up by one when the same window would give another image than before.
        mirrors: whether it looks at the mirrored frames of a window that reaches over an end of the
            recording; a method with another rule for the ends, which takes `Window.real`, says no.
        in_default: whether it is in the default ensemble where it can run; otherwise only by name.
        leg: the kind of worker it needs.
        citation: the paper that defines it.
    """

    name: ClassVar[str]
    rank: ClassVar[int]
    version: ClassVar[int] = 1
    mirrors: ClassVar[bool] = True
    in_default: ClassVar[bool] = True
    leg: ClassVar[Leg] = "cpu"
    citation: ClassVar[str]

    @property
    def frames_at_once(self) -> int:
        """Frames that `reconstruct_frames` should get at a time, at most; more than 1 if that is faster."""
        return 1

    @property
    @abstractmethod
    def span(self) -> Span:
        """Frames that it uses before and after the centre frame."""

    @abstractmethod
    def reconstruct(self, window: Window) -> NDArray[np.float32]:
        """Reconstruct the centre frame of `window`.

        Returns:
            float32 (H, W), in the method's own units.

        Raises:
            MethodError: nothing usable can be made of this window; the message says why.
        """

    def reconstruct_batch(self, windows: Sequence[Window]) -> list[NDArray[np.float32] | MethodError]:
        """Reconstruct several windows; each gives its image, or the error that says why there is no image."""
        return [self._attempt(window) for window in windows]

    def reconstruct_frames(
        self, stream: PackedSpikes, frames: range
    ) -> list[NDArray[np.float32] | MethodError]:
        """Reconstruct several frames of a stream, as of a video; equal to `reconstruct` of each window.

        A method overrides it where the windows of neighbours share work.

        Args:
            stream: consecutive frames of a recording: all that the windows need.
            frames: indices in `stream`, in ascending order; at least one.

        Returns:
            As `reconstruct_batch`.
        """
        return self.reconstruct_batch([Window(stream, frame, self.span) for frame in frames])

    def _attempt(self, window: Window) -> NDArray[np.float32] | MethodError:
        try:
            return self.reconstruct(window)
        except MethodError as error:
            return error

    def mirrored_share(self, window: Window) -> float:
        """The part of the frames that it looks at which are mirrored, 0 to 1."""
        seen = window.around(*self.span)
        return seen.mirrored / len(seen) if self.mirrors else 0.0

    def unavailable(self) -> str | None:
        """Why it cannot run on this machine, for example missing weights; None if it can."""
        return None

    def on(self, device: Literal["auto", "cpu", "cuda"]) -> Method:
        """The same method on `device`; a method without a network always runs on the CPU."""
        del device
        return self

    def weights_digest(self) -> str | None:
        """The sha256 of its weights; None for a method without weights."""
        return None

    def require(self, parameter: str, lowest: int, highest: float = inf) -> None:
        """Check a number among the parameters: `__post_init__` calls it.

        Raises:
            UsageError: it is not `lowest` to `highest`.
        """
        value = getattr(self, parameter)
        if not lowest <= value <= highest:
            legal = f"at least {lowest}" if highest == inf else f"{lowest} to {highest}"
            raise UsageError(
                f"{self.name}: `{parameter}` must be {legal}, not {value}", hint=f"leave out `{parameter}`"
            )

    def parameters(self) -> dict[str, Any]:
        """The parameters by name, as plain JSON values: they go into the plan."""
        return asdict(self)


OutputScale = Literal["rate", "brightness", "other"]
"""Unit of the output with the published weights: spikes per frame, brightness in [0, 1], or another one."""
