"""`variational`: the brightness video of least total variation that could have fired these spikes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hqgen.devices import resolve_device
from hqgen.errors import MethodError
from hqgen.methods import variational_kernels
from hqgen.methods.base import Method, Span
from hqgen.methods.variational_kernels import Spikes, State
from hqgen.methods.variational_links import along_motion, at_rest
from hqgen.methods.variational_model import Floats, Problem
from hqgen.spikes.packed import Window

STEPS = 20
"""Time steps before and after the one that holds the centre frame."""
SIGHT = 12
"""Iterations after which the motion is seen well enough."""


@dataclass(frozen=True)
class Variational(Method):
    """All 41 steps of light at once, within the bounds that the spikes set, as smooth as the bounds allow.

    The charge of a pixel is between its number of spikes and one more, at every frame. Many
    brightness videos keep these bounds. The method finds the one with the least total variation in time and
    space, and takes its picture at the centre frame. Changes in time are taken along the motion, which a
    first solution shows. There is no training and no weight between data and smoothness.

    At the end of a recording only its own frames are used. A mirrored stream would break the bounds: played
    backwards the charge V becomes 1 - V, so at the end frame it would jump.

    Args:
        step: frames to a time step, 1 to 255. Dim recordings want more: about a spike in five steps.
        slack: by how much the charge may leave its bounds, in spikes: about the noise of the threshold.
        optics: standard deviation of the blur of lens and pixel, in pixels, which is undone; 0 for none.
        iterations: of the solver, at least 1.
        device: where the solver runs: `cpu` compiled, `cuda` in PyTorch. Not a parameter of the plan.

    Source: this project, docs/variational.md. Solver: Chambolle and Pock, JMIV 2011.
    """

    name: ClassVar[str] = "variational"
    rank: ClassVar[int] = 32
    in_default: ClassVar[bool] = False
    mirrors: ClassVar[bool] = False
    citation: ClassVar[str] = "hqgen, docs/variational.md: least total variation within the spikes' bounds"

    step: int = 1
    slack: float = 0.0
    optics: float = 0.5
    iterations: int = 35
    device: str = field(default="cpu", kw_only=True)

    def __post_init__(self) -> None:
        self.require("step", 1, 255)
        self.require("slack", 0)
        self.require("optics", 0, 1)
        self.require("iterations", 1)

    @property
    def span(self) -> Span:
        """20 steps on both sides of the one in the middle."""
        return STEPS * self.step + self.step // 2, STEPS * self.step + (self.step - 1) // 2

    def parameters(self) -> dict[str, Any]:
        """The parameters by name, without `device`."""
        return {name: value for name, value in asdict(self).items() if name != "device"}

    def on(self, device: Literal["auto", "cpu", "cuda"]) -> Variational:
        """The same method on `device`; `auto` is the CPU, whose workers run it."""
        return replace(self, device="cpu" if device == "auto" else device)

    def reconstruct(self, window: Window) -> NDArray[np.float32]:
        """float32 (H, W), spikes per frame in [0, 1]."""
        spikes, centre = spikes_by_step(window.around(*self.span).real, self.step)
        light = self._solve(spikes, centre)[:, centre] / np.float32(self.step)
        return np.clip(_sharpened(light, self.optics), 0, 1)

    def _solve(self, spikes: Spikes, centre: int) -> Floats:
        """The light (H, T, W), spikes per step: at first as at rest, then along the motion that is seen."""
        problem = Problem(slack=self.slack)
        links = at_rest(spikes.shape[0], spikes.shape[2], problem.time)
        first = min(self.iterations, SIGHT)
        state = self._iterate(variational_kernels.start(spikes), spikes, links, problem, first)
        if self.iterations > first:
            links = along_motion(_light(state, spikes), centre, problem.time)
            state.dual[:, 0] = 0  # it belongs to other changes now
            state = self._iterate(state, spikes, links, problem, self.iterations - first)
        return _light(state, spikes)

    def _iterate(
        self, state: State, spikes: Spikes, links: Floats, problem: Problem, iterations: int
    ) -> State:
        if (device := resolve_device(self.device)) == "cpu":
            return variational_kernels.iterate(state, spikes, links, problem, iterations)
        from hqgen.methods import variational_torch

        return variational_torch.iterate(state, spikes, links, problem, iterations, device)


def _light(state: State, spikes: Spikes) -> Floats:
    light: Floats = np.diff(state.charge, axis=1) + spikes
    return light


def spikes_by_step(window: Window, step: int) -> tuple[Spikes, int]:
    """Spikes of every pixel in time steps of `step` frames, as many as are whole.

    The centre frame is in the middle of its step, unless an end of the window is too near.

    Returns:
        uint8 (H, T, W), values 0..step, and the index of the step with the centre frame.

    Raises:
        MethodError: the window is shorter than a step.
    """
    if len(window) < step:
        raise MethodError(
            f"`variational` with `step={step}` needs {step} frames, but there are {len(window)}",
            hint="choose a smaller `step`",
        )
    before = max(min(step // 2, window.before), step - 1 - window.after)
    after = step - 1 - before
    first, last = (window.before - before) // step, (window.after - after) // step
    near = window.around(before + first * step, after + last * step).spikes
    frames = near.frames().reshape(first + 1 + last, step, near.height, near.width)
    spikes = frames.sum(axis=1, dtype=np.uint8) if step > 1 else frames[:, 0]
    return np.ascontiguousarray(spikes.transpose(1, 0, 2)), first


def _sharpened(image: Floats, deviation: float) -> Floats:
    """Undo a small Gaussian blur by one step of Van Cittert: twice the image less the blurred image."""
    if deviation == 0:
        return image
    side = np.float32(np.exp(-0.5 / deviation**2))
    blurred: NDArray[np.floating] = image
    for axis in (0, 1):
        padded = np.pad(blurred, [(int(axis == 0),) * 2, (int(axis == 1),) * 2], mode="edge")
        low, high = (np.take(padded, range(start, start + image.shape[axis]), axis) for start in (0, 2))
        blurred = (blurred + side * (low + high)) / (1 + 2 * side)
    return np.asarray(2 * image - blurred, np.float32)
