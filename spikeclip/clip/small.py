"""Train a small CLIP on labelled pictures: a stand-in for tests, demos and work offline.

The model is in open_clip's form: a small residual network on gray pictures and a two-layer text transformer
on open_clip's tokens. It learns to put a picture next to the caption "image of a [cls]" of its class and away
from those of the others: CLIP's loss, with each caption once, because two pictures of one class are not each
other's negatives. It also learns what a spoiled picture looks like (see `clip_views`).

Step `i` depends on the settings, the pictures and the state after step `i - 1` only, so an interrupted
training that goes on ends in the weights of one that was not interrupted.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hqgen.errors import SourceError, TrainingError
from hqgen.progress import SILENT, Observer
from hqgen.training.checkpoint import Checkpoint, require_free
from spikeclip.clip.files import build_clip, save_clip
from spikeclip.clip.frozen import class_texts, gray_constants, simple_tokenizer
from spikeclip.clip.pictures import LabelledPictures, _drawn_shapes, _joined, _renumbered, read_labelled
from spikeclip.clip.settings import SmallClipSettings
from spikeclip.clip.views import QUALITY_CAPTIONS, make_views, plain_views

__all__ = ["Point", "train_clip"]

HELD_OUT = 20  # without test pictures, every 20th one draws the learning curve and trains nothing
WARM_UP = 0.05
TEXT_SHARE = 0.1  # of the learning rate: embeddings start small, and captions that leap teach nothing
QUALITY_WEIGHT = 0.3
SMOOTHING = 0.1
LARGEST_SCALE = 100.0  # as CLIP was trained


@dataclass(frozen=True)
class Point:
    """One epoch on the learning curve."""

    epoch: int
    """Epochs done."""
    loss: float
    """Mean training loss of the epoch."""
    plain: float
    """Share of the test pictures, as they are, that lie next to the caption of their class."""
    placed: float
    """The same with the pictures placed in dark frames."""
    seconds: float
    """Time spent in training, of all runs together."""


Stop = Callable[[], bool]
"""Whether to stop, asked after each step."""


@dataclass
class State:
    """What a training is after a step; all that a checkpoint holds."""

    model: Any
    """What `build_clip` made."""
    optimizer: torch.optim.Optimizer
    step: int = 0
    losses: list[float] = field(default_factory=list)
    curve: list[Point] = field(default_factory=list)
    seconds: float = 0.0


def train_clip(
    pictures: Path,
    out: Path,
    settings: SmallClipSettings,
    *,
    test: Path | None = None,
    observer: Observer = SILENT,
    stop: Stop = lambda: False,
) -> list[Point]:
    """Train a small CLIP; run again after an interruption, it goes on.

    Beside `out` lie the learning curve (`.csv`) and, until the end, the checkpoint (`.checkpoint`); all three
    are replaced whole, so a kill at any moment leaves the ones before.

    Args:
        pictures: a folder or a zip archive of `CLASS/NAME.jpg`.
        out: where the model goes: configuration, half-precision weights and what they reach, in one file that
            `spikeclip.clip.frozen.load_clip` reads.
        settings: everything else that decides the weights.
        test: pictures that the accuracy is measured on. Default: every 20th of `pictures`, which then trains
            nothing.
        observer: is told how it goes on.
        stop: once it says so, the state is saved and the call returns.

    Returns:
        the learning curve, up to where the training was stopped.

    Raises:
        SourceError: no pictures there, damaged ones, or fewer than two classes.
        UsageError: `out` is there, or the checkpoint beside it belongs to another training.
        TrainingError: the loss is no number; the last checkpoint stays.
    """
    require_free(out)
    trained_on, tested_on = _split(pictures, test, settings)
    checkpoint = Checkpoint(out, _identity(settings, trained_on))
    state = _restore(checkpoint.restore(), settings)
    tokens = _tokens(trained_on.classes)
    per_epoch = max(len(trained_on.labels) // settings.batch, 1)
    start = time.perf_counter() - state.seconds

    def save() -> None:
        checkpoint.save(_saved(state), [_row(point) for point in state.curve])

    steps = per_epoch * settings.epochs
    with observer.progress("clip", steps, "steps", state.step) as job:
        for rows in _batches(len(trained_on.labels), per_epoch, settings, state.step):
            state.losses.append(_step(state, settings, trained_on.part(rows), tokens, steps))
            state.seconds = time.perf_counter() - start
            job.advance()
            if state.step % per_epoch == 0:
                state.curve.append(_point(state, settings, tested_on, tokens))
                save()
                job.tell(_summary(state.curve[-1]), landmark=True)
            if stop():
                save()
                return state.curve
    _write_model(out, state, settings, trained_on)
    checkpoint.remove()
    return state.curve


def _summary(point: Point) -> str:
    right = f"right {point.plain:.1%} plain, {point.placed:.1%} placed"
    return f"epoch {point.epoch}, loss {point.loss:.3f}, {right}"


def _split(
    pictures: Path, test: Path | None, settings: SmallClipSettings
) -> tuple[LabelledPictures, LabelledPictures]:
    """The pictures that are trained on and those that are tested on, with the same classes."""
    side = settings.image_size * 2 // 3
    known = read_labelled(pictures, side)
    if len(known.classes) < 2:
        raise SourceError(
            f"`{pictures}` holds one class, `{known.classes[0]}`; telling classes apart takes two",
            hint="add a folder of pictures of another class",
        )
    if test is None:
        held_out = torch.arange(len(known.labels)) % HELD_OUT == 0
        trained_on, tested_on = known.part(~held_out), known.part(held_out)
    else:
        trained_on, tested_on = known, read_labelled(test, side)
        if unknown := sorted(set(tested_on.classes) - set(known.classes)):
            raise SourceError(
                f"`{test}` has the class `{unknown[0]}`, which `{pictures}` has not",
                hint=f"known: {', '.join(known.classes)}",
            )
    if settings.shapes:
        trained_on = _joined(trained_on, _drawn_shapes(settings.shapes, side))
    return trained_on, _renumbered(tested_on, trained_on.classes)


def _tokens(classes: tuple[str, ...]) -> Tensor:
    """Tokens of the class captions and, behind them, of the quality captions, (C + 4, 77)."""
    return simple_tokenizer()([*class_texts(classes), *QUALITY_CAPTIONS])


def _batches(pictures: int, per_epoch: int, settings: SmallClipSettings, first: int) -> Iterator[Tensor]:
    """Rows of the batches from step `first` on; each epoch has an order of its own."""
    for epoch in range(first // per_epoch, settings.epochs):
        order = torch.randperm(pictures, generator=_generator(settings.seed, 0, epoch))
        for step in range(max(first - epoch * per_epoch, 0), per_epoch):
            yield order[step * settings.batch : (step + 1) * settings.batch]


def _generator(*key: int) -> torch.Generator:
    """Random numbers that depend on the key only."""
    seed = np.random.SeedSequence([abs(part) for part in key]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed) >> 1)


def _step(
    state: State, settings: SmallClipSettings, batch: LabelledPictures, tokens: Tensor, total_steps: int
) -> float:
    """One update; returns the loss."""
    for group in state.optimizer.param_groups:
        group["lr"] = settings.learning_rate * group["share"] * _share_of_rate(state.step, total_steps)
    views = make_views(batch.images, settings.image_size, _generator(settings.seed, 1, state.step))
    state.model.train()
    similarity = _similarity(state.model, views.images, tokens, bfloat16=settings.bfloat16)
    loss = _loss(similarity * state.model.logit_scale.exp(), batch.labels, views.quality)
    if not torch.isfinite(loss):
        raise TrainingError(
            f"the loss at step {state.step} is {loss.item()}", hint="try a smaller --learning-rate"
        )
    state.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(state.model.parameters(), 1.0)
    state.optimizer.step()
    with torch.no_grad():
        state.model.logit_scale.clamp_(max=math.log(LARGEST_SCALE))
    state.step += 1
    return loss.item()


def _share_of_rate(step: int, steps: int) -> float:
    """A linear rise, then a fall as half a cosine."""
    rise = WARM_UP * steps
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 + 0.5 * math.cos(math.pi * (step - rise) / (steps - rise))


def _similarity(model: Any, images: Tensor, tokens: Tensor, *, bfloat16: bool) -> Tensor:
    """Cosines of images (B, 1, h, w) and captions (C, 77), float32 (B, C)."""
    # As `FrozenClip` will see them: one gray mean and deviation made of the three colours'.
    colours = model.visual.preprocess_cfg
    mean, deviation = gray_constants(colours["mean"], colours["std"])
    three = ((images - mean) / deviation).expand(-1, 3, -1, -1)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        seen = model.encode_image(three.contiguous(memory_format=torch.channels_last))
        read = model.encode_text(tokens)
    return functional.normalize(seen.float(), dim=1) @ functional.normalize(read.float(), dim=1).T


def _loss(logits: Tensor, labels: Tensor, quality: Tensor) -> Tensor:
    """Cross-entropy of the class captions over clear pictures, and of the quality captions over all."""
    classes = logits.shape[1] - len(QUALITY_CAPTIONS)
    clear = quality == 0
    spoiled = functional.cross_entropy(logits[:, classes:], quality)
    if not clear.any():
        return QUALITY_WEIGHT * spoiled
    shown = functional.cross_entropy(logits[clear, :classes], labels[clear], label_smoothing=SMOOTHING)
    return shown + QUALITY_WEIGHT * spoiled


def _point(state: State, settings: SmallClipSettings, tests: LabelledPictures, tokens: Tensor) -> Point:
    """Look at the state after an epoch, and start to collect losses anew."""
    state.model.eval()
    captions = tokens[: len(tests.classes)]
    right = np.zeros(2)
    for first in range(0, len(tests.labels), settings.batch):
        part = tests.part(torch.arange(first, min(first + settings.batch, len(tests.labels))))
        placed = make_views(part.images, settings.image_size, _generator(settings.seed, 2, first), test=True)
        for kind, images in enumerate((plain_views(part.images, settings.image_size), placed.images)):
            with torch.no_grad():
                nearest = _similarity(state.model, images, captions, bfloat16=settings.bfloat16).argmax(1)
            right[kind] += (nearest == part.labels).sum().item()
    plain, placed_share = (right / len(tests.labels)).tolist()
    loss = float(np.mean(state.losses))
    state.losses.clear()
    return Point(len(state.curve) + 1, loss, plain, placed_share, state.seconds)


def _identity(settings: SmallClipSettings, trained_on: LabelledPictures) -> str:
    """A digest of all that decides the weights."""
    digest = hashlib.sha256(settings.model_dump_json().encode())
    digest.update("\n".join(trained_on.classes).encode())
    digest.update(trained_on.labels.numpy().tobytes() + trained_on.images.numpy().tobytes())
    return digest.hexdigest()


def _fresh(settings: SmallClipSettings) -> State:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model: Any = build_clip(settings.open_clip_config(), {})
    model.to(memory_format=torch.channels_last)
    groups = [
        {
            "params": [parameter],
            "share": 1.0 if name.startswith("visual.") else TEXT_SHARE,
            "weight_decay": settings.weight_decay if parameter.ndim > 1 else 0.0,
        }
        for name, parameter in model.named_parameters()
    ]
    return State(model, torch.optim.AdamW(groups))


def _restore(saved: dict[str, Any] | None, settings: SmallClipSettings) -> State:
    """The state that a checkpoint holds, or a fresh one."""
    state = _fresh(settings)
    if saved is None:
        return state
    state.model.load_state_dict(saved["model"])
    state.optimizer.load_state_dict(saved["optimizer"])
    state.step, state.losses, state.seconds = saved["step"], saved["losses"], saved["seconds"]
    state.curve = [Point(**point) for point in saved["curve"]]
    return state


def _saved(state: State) -> dict[str, Any]:
    return {
        "step": state.step,
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "losses": state.losses,
        "curve": [asdict(point) for point in state.curve],
        "seconds": state.seconds,
    }


def _row(point: Point) -> dict[str, object]:
    """A row of the learning curve's table."""
    return {
        "epoch": point.epoch,
        "loss": f"{point.loss:.5f}",
        "plain": f"{point.plain:.4f}",
        "placed": f"{point.placed:.4f}",
        "seconds": round(point.seconds),
    }


def _write_model(out: Path, state: State, settings: SmallClipSettings, known: LabelledPictures) -> None:
    reached = {"plain": state.curve[-1].plain, "placed": state.curve[-1].placed}
    meta = {"classes": list(known.classes), "pictures": len(known.labels), "accuracy": reached}
    meta["settings"] = settings.model_dump(mode="json")
    save_clip(out, state.model, settings.open_clip_config(), meta=meta)
