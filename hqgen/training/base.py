"""Train `base`: a loop that can be killed at any time and goes on where it was.

Step `i` depends on the recipe, the pictures and the state after step `i - 1` only: its scenes are drawn from
(seed, i) and its learning rate is a function of i. So a training that was interrupted and resumed ends in the
weights of one that was not.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from hqgen.checkpoints import write_checkpoint
from hqgen.errors import SourceError
from hqgen.methods.learned.base import Base
from hqgen.pictures import load_pictures
from hqgen.progress import SILENT, Observer
from hqgen.simulation.scenes import Batch, SceneMaker
from hqgen.training.checkpoint import Checkpoint, require_free
from hqgen.training.recipe import Recipe

__all__ = ["Point", "Stop", "train_base"]

LONGEST = 480
SMALLEST = 32
HELD_OUT = 20  # every 20th picture draws the learning curve and trains nothing
VALIDATION = (32, 64)
RATE_TO_BRIGHTNESS = 1 / 0.6


@dataclass(frozen=True)
class Point:
    """One point of the learning curve."""

    step: int
    """Steps done."""
    loss: float
    """Mean training loss since the point before: mean absolute error of rate / 0.6."""
    psnr: float
    """Mean PSNR of rate / 0.6 over the validation scenes, with the running mean of the weights, dB."""
    seconds: float
    """Time spent in training, of all runs together."""


Stop = Callable[[], bool]
"""Whether to stop, asked after each step."""


@dataclass
class State:
    """What a training is after a step; all that a checkpoint holds."""

    network: nn.Module
    mean: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    losses: list[float] = field(default_factory=list)
    curve: list[Point] = field(default_factory=list)


def train_base(
    pictures: Path,
    out: Path,
    recipe: Recipe,
    *,
    observer: Observer = SILENT,
    stop: Stop = lambda: False,
) -> list[Point]:
    """Train `base` on streams simulated from pictures; run again after an interruption, it goes on.

    Beside `out` lie the learning curve (`.csv`) and, until the end, the checkpoint (`.checkpoint`); all three
    are replaced whole, so a kill at any moment leaves the ones before.

    Args:
        pictures: a folder or a zip archive of pictures.
        out: where the weights go: a state_dict in half precision.
        recipe: everything else that decides them.
        observer: is told how it goes on.
        stop: once it says so, the state is saved and the call returns.

    Returns:
        the learning curve, up to where the training was stopped.

    Raises:
        SourceError: no pictures there, or damaged ones.
        UsageError: `out` is there, or the checkpoint beside it belongs to another recipe or other pictures.
    """
    require_free(out)
    gray = load_pictures(pictures, longest=LONGEST, smallest=SMALLEST)
    if len(gray) < 2:
        raise SourceError(
            f"`{pictures}` holds one picture; one is kept for the learning curve, so training needs two",
            hint="add pictures: a few hundred different ones make a good training",
        )
    held_out, trained_on = gray[::HELD_OUT], [p for i, p in enumerate(gray) if i % HELD_OUT]
    validation = SceneMaker(held_out, recipe.scenes, recipe.seed + 1).batch(0, *VALIDATION)
    maker = SceneMaker(trained_on, recipe.scenes, recipe.seed)
    checkpoint = Checkpoint(out, _identity(recipe, gray))
    state = _restore(checkpoint.restore(), recipe)
    start = time.perf_counter() - (state.curve[-1].seconds if state.curve else 0)

    def save() -> None:
        checkpoint.save(_saved(state), [_row(point) for point in state.curve])

    with observer.progress("base", recipe.steps, "steps", state.step) as job:
        for batch in _batches(maker, recipe, state.step):
            state.losses.append(_step(state, recipe, batch))
            job.advance()
            if state.step % recipe.validate_every == 0 or state.step == recipe.steps:
                state.curve.append(_point(state, validation, time.perf_counter() - start))
                save()
                point = state.curve[-1]
                job.tell(f"loss {point.loss:.4f}, validation {point.psnr:.2f} dB", landmark=True)
            if stop():
                save()
                break
    if state.step == recipe.steps:
        write_checkpoint(out, {name: value.half() for name, value in state.mean.state_dict().items()})
        checkpoint.remove()
    return state.curve


def _batches(maker: SceneMaker, recipe: Recipe, first: int) -> Iterator[Batch]:
    """Batches from step `first` on, the next one drawn on a second thread while one is in use."""

    def draw(step: int) -> Batch:
        phase = recipe.phase_at(step)
        return maker.batch(step, phase.batch, phase.patch)

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(draw, first) if first < recipe.steps else None
        for step in range(first, recipe.steps):
            assert ahead is not None
            batch = ahead.result()
            if step + 1 < recipe.steps:
                ahead = pool.submit(draw, step + 1)
            yield batch


def _step(state: State, recipe: Recipe, batch: Batch) -> float:
    """One update of the weights and of their running mean; returns the loss."""
    for group in state.optimizer.param_groups:
        group["lr"] = _learning_rate(recipe, state.step)
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
        rate: Tensor = state.network(torch.from_numpy(batch.spikes).float())
    loss = (rate.float() - torch.from_numpy(batch.rate)).abs().mean() * RATE_TO_BRIGHTNESS
    state.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(state.network.parameters(), recipe.gradient_norm)
    state.optimizer.step()
    state.step += 1
    decay = min(recipe.ema, state.step / (state.step + 10))  # a short memory while the weights move fast
    with torch.no_grad():
        for mean, now in zip(state.mean.parameters(), state.network.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)
    return loss.item()


def _learning_rate(recipe: Recipe, step: int) -> float:
    """A linear rise, a plateau, and a linear fall over the last steps.

    Up to the fall nothing depends on the length of the training, so a longer one starts as a shorter one did.
    """
    rise = (step + 1) / max(recipe.warm_up, 1)
    fall = (recipe.steps - step) / max(recipe.cool_down, 1)
    return recipe.learning_rate * min(rise, 1, fall)


def _point(state: State, validation: Batch, seconds: float) -> Point:
    """Look at the state, and start to collect losses anew."""
    loss = float(np.mean(state.losses))
    state.losses.clear()
    return Point(state.step, loss, _psnr(state.mean, validation), seconds)


def _psnr(network: nn.Module, scenes: Batch) -> float:
    with torch.no_grad():
        rate = network(torch.from_numpy(scenes.spikes).float()).numpy()
    error = ((rate - scenes.rate) * RATE_TO_BRIGHTNESS) ** 2
    return float(np.mean(-10 * np.log10(error.mean(axis=(1, 2)))))


def _identity(recipe: Recipe, pictures: list[Image.Image]) -> str:
    """A digest of all that decides the weights."""
    digest = hashlib.sha256(recipe.model_dump_json().encode())
    for picture in pictures:
        digest.update(picture.tobytes())
    return digest.hexdigest()


def _fresh(recipe: Recipe) -> State:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = Base().network()
    return State(network, copy.deepcopy(network), torch.optim.Adam(network.parameters()))


def _restore(saved: dict[str, Any] | None, recipe: Recipe) -> State:
    """The state that a checkpoint holds, or a fresh one."""
    state = _fresh(recipe)
    if saved is None:
        return state
    state.network.load_state_dict(saved["network"])
    state.mean.load_state_dict(saved["mean"])
    state.optimizer.load_state_dict(saved["optimizer"])
    state.step, state.losses = saved["step"], saved["losses"]
    state.curve = [Point(**point) for point in saved["curve"]]
    return state


def _saved(state: State) -> dict[str, Any]:
    return {
        "step": state.step,
        "network": state.network.state_dict(),
        "mean": state.mean.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "losses": state.losses,
        "curve": [asdict(point) for point in state.curve],
    }


def _row(point: Point) -> dict[str, object]:
    """A row of the learning curve's table."""
    return {
        "step": point.step,
        "loss": f"{point.loss:.5f}",
        "psnr_db": f"{point.psnr:.3f}",
        "seconds": round(point.seconds),
    }
