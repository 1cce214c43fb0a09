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
from hqgen.methods.variational_picture import picture_at, sharpened
from hqgen.spikes.packed import Window

STEPS = 20
"""Time steps before and after the one that holds the centre frame."""
LONGEST = 5
"""The most frames that are taken as one step where the window chooses."""
SPIKES = 0.08
"""Spikes that a step should hold in the mean."""
SIGHT = 12
"""Iterations after which the motion is seen well enough."""


@dataclass(frozen=True)
class Variational(Method):
    """All 41 steps of light at once, within the bounds that the spikes set, as smooth as the bounds allow.

    The charge of a pixel is between its number of spikes and one more, at every frame. Many brightness videos
    keep these bounds. The method finds the one with the least total variation in time and space. Changes in
    time are taken along the motion, which a first solution shows. The picture is a mean over a few steps,
    moved along the motion to one instant. There is no training and no weight between data and smoothness.

    At the end of a recording only its own frames are used. A mirrored stream would break the bounds: played
    backwards the charge V becomes 1 - V, so at the end frame it would jump.

    Args:
        step: frames to a time step, 1 to 255; None chooses 1 to 5 by the light, see `chosen_step`.
        slack: by how much the charge may leave its bounds, in spikes: about the noise of the threshold.
        offset: frames from the centre frame to the instant of the picture, -1 to 1. The default is that
            of the ground truth of Spike-REDS, as in `base`.
        optics: standard deviation of the blur of lens and pixel, in pixels, which is undone; 0 for none.
        iterations: of the solver, at least 1.
        device: where the solver runs: `cpu` compiled, `cuda` in PyTorch. Not a parameter of the plan.

    Source: this project, docs/variational.md. Solver: Chambolle and Pock, JMIV 2011.
    """

    name: ClassVar[str] = "variational"
    rank: ClassVar[int] = 32
    version: ClassVar[int] = 2
    in_default: ClassVar[bool] = False
    mirrors: ClassVar[bool] = False
    citation: ClassVar[str] = "hqgen, docs/variational.md: least total variation within the spikes' bounds"

    step: int | None = None
    slack: float = 0.0
    offset: float = 0.33
    optics: float = 0.5
    iterations: int = 35
    device: str = field(default="cpu", kw_only=True)

    def __post_init__(self) -> None:
        if self.step is not None:
            self.require("step", 1, 255)
        self.require("slack", 0)
        self.require("offset", -1, 1)
        self.require("optics", 0, 1)
        self.require("iterations", 1)

    @property
    def span(self) -> Span:
        """20 steps on both sides of the one in the middle; those of five frames if the window chooses."""
        return _span(self.step or LONGEST)

    def parameters(self) -> dict[str, Any]:
        """The parameters by name, without `device`."""
        return {name: value for name, value in asdict(self).items() if name != "device"}

    def on(self, device: Literal["auto", "cpu", "cuda"]) -> Variational:
        """The same method on `device`; `auto` is the CPU, whose workers run it."""
        return replace(self, device="cpu" if device == "auto" else device)

    def reconstruct(self, window: Window) -> NDArray[np.float32]:
        """float32 (H, W), spikes per frame in [0, 1]."""
        step = self.step or chosen_step(window.around(*self.span).real)
        spikes, time = spikes_by_step(window.around(*_span(step)).real, step)
        light = picture_at(self._solve(spikes, time), time + self.offset / step) / np.float32(step)
        return np.clip(sharpened(light, self.optics), 0, 1)

    def _solve(self, spikes: Spikes, time: float) -> Floats:
        """The light (H, T, W), spikes per step: at first as at rest, then along the motion that is seen."""
        problem = Problem(slack=self.slack)
        links = at_rest(spikes.shape[0], spikes.shape[2], problem.time)
        first = min(self.iterations, SIGHT)
        state = self._iterate(variational_kernels.start(spikes), spikes, links, problem, first)
        if self.iterations > first:
            links = along_motion(_light(state, spikes), time, problem.time)
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


def _span(step: int) -> Span:
    return STEPS * step + step // 2, STEPS * step + (step - 1) // 2


def chosen_step(window: Window) -> int:
    """Frames to a step, 1 to 5, so that a step holds 0.08 spikes in the mean of the window."""
    rate = float(window.spikes.frames().mean())
    steps = (step for step in range(1, LONGEST) if step * rate >= SPIKES)
    return min(next(steps, LONGEST), len(window))


def _light(state: State, spikes: Spikes) -> Floats:
    light: Floats = np.diff(state.charge, axis=1) + spikes
    return light


def spikes_by_step(window: Window, step: int) -> tuple[Spikes, float]:
    """Spikes of every pixel in time steps of `step` frames, as many as are whole.

    The centre frame is in the middle of its step, unless an end of the window is too near.

    Returns:
        uint8 (H, T, W), values 0..step, and the time of the centre frame in steps; that of step 0 is 0.

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
    return np.ascontiguousarray(spikes.transpose(1, 0, 2)), first + (before - (step - 1) / 2) / step
