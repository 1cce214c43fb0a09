"""Train a small CLIP on labelled pictures: a stand-in for tests, demos and work offline.

The model is in open_clip's form: a small residual network on gray pictures and a two-layer text transformer
on open_clip's tokens. It learns to put a picture next to the caption "image of a [cls]" of its class and away
from those of the others: CLIP's loss, with each caption once, because two pictures of one class are not each
other's negatives. It also learns what a spoiled picture looks like (see `views.py`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hqgen.errors import SourceError
from hqgen.progress import SILENT, Observer
from hqgen.training.checkpoint import Checkpoint, require_free
from hqgen.training.hardware import Hardware
from hqgen.training.loop import Losses, Point, Stop, Task, train, write_curve
from spikeclip.clip.files import build_clip, save_clip
from spikeclip.clip.frozen import class_texts, gray_constants, simple_tokenizer
from spikeclip.clip.pictures import LabelledPictures, drawn_shapes, joined, read_labelled, renumbered
from spikeclip.clip.settings import SmallClipSettings
from spikeclip.clip.views import QUALITY_CAPTIONS, Views, make_views, plain_views

HELD_OUT = 20  # without test pictures, every 20th one draws the learning curve and trains nothing
WARM_UP = 0.05
TEXT_SHARE = 0.1  # of the learning rate: embeddings start small, and captions that leap teach nothing
QUALITY_WEIGHT = 0.3
SMOOTHING = 0.1
LARGEST_SCALE = 100.0  # as CLIP was trained


def train_clip(
    pictures: Path,
    out: Path,
    settings: SmallClipSettings,
    *,
    test: Path | None = None,
    observer: Observer = SILENT,
    stop: Stop = lambda: False,
) -> list[Point]:
    """Train a small CLIP; run again after an interruption, it continues.

    Beside `out` are the learning curve (`.csv`) and, until the end, the checkpoint (`.checkpoint`); all three
    are replaced whole, so a kill at any moment leaves the ones before.

    Args:
        pictures: a folder or a zip archive of `CLASS/NAME.jpg`.
        out: where the model goes: configuration, half-precision weights and what they reach, in one file that
            `spikeclip.clip.frozen.load_clip` reads.
        settings: everything else that decides the weights.
        test: pictures that the accuracy is measured on. Default: every 20th of `pictures`, which then trains
            nothing.
        observer: gets the progress.
        stop: once it says so, the state is saved and the call returns.

    Returns:
        the learning curve, up to where the training was stopped. `plain` is the share of the test pictures,
        as they are, that are next to the caption of their class; `placed` the same of pictures placed in
        dark frames.

    Raises:
        SourceError: no pictures there, damaged ones, or fewer than two classes.
        PlanMismatchError: the checkpoint beside `out` belongs to another training.
        UsageError: `out` is there.
        TrainingError: the loss is not a finite number; the last checkpoint stays.
        WeightsError: the checkpoint is damaged.
    """
    require_free(out)
    trained_on, tested_on = _split(pictures, test, settings)
    digest = hashlib.sha256("\n".join(trained_on.classes).encode())
    digest.update(trained_on.labels.numpy().tobytes() + trained_on.images.numpy().tobytes())
    plan = {"settings": settings.model_dump(mode="json"), "pictures": digest.hexdigest()}
    hardware = Hardware(torch.device("cpu"), bfloat16=settings.bfloat16)
    task = _ClipTask(trained_on, tested_on, out, settings, hardware)
    return train(task, Checkpoint(out.with_suffix(".checkpoint"), plan), observer, stop)[1]


class _ClipTask(Task[tuple[Tensor, Views]]):
    """The two towers; a batch is the classes of some pictures and views of them."""

    name = "clip"
    gradient_norm = 1.0

    def __init__(
        self,
        trained_on: LabelledPictures,
        tested_on: LabelledPictures,
        out: Path,
        settings: SmallClipSettings,
        hardware: Hardware,
    ) -> None:
        self.trained_on, self.tested_on, self.out = trained_on, tested_on, out
        self.settings, self.hardware = settings, hardware
        self.epoch_steps = max(len(trained_on.labels) // settings.batch, 1)
        self.steps = self.epoch_steps * settings.epochs
        self.tokens = simple_tokenizer()([*class_texts(trained_on.classes), *QUALITY_CAPTIONS])  # (C + 4, 77)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.learns: Any = hardware.place(build_clip(settings.open_clip_config(), {}))
        groups = [
            {
                "params": [parameter],
                "share": 1.0 if name.startswith("visual.") else TEXT_SHARE,
                "weight_decay": settings.weight_decay if parameter.ndim > 1 else 0.0,
            }
            for name, parameter in self.learns.named_parameters()
        ]
        self.optimizer = torch.optim.AdamW(groups)

    def draw(self, step: int) -> tuple[Tensor, Views]:
        epoch, place = divmod(step, self.epoch_steps)
        order = _order(len(self.trained_on.labels), self.settings.seed, epoch)
        batch = self.trained_on.part(order[place * self.settings.batch : (place + 1) * self.settings.batch])
        views = make_views(batch.images, self.settings.image_size, _generator(self.settings.seed, 1, step))
        return batch.labels, views

    def before_step(self, step: int) -> None:
        """A linear rise, then a fall as half a cosine."""
        rise = WARM_UP * self.steps
        fallen = (step - rise) / (self.steps - rise)
        part = (step + 1) / (rise + 1) if step < rise else 0.5 + 0.5 * math.cos(math.pi * fallen)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * group["share"] * part

    def losses(self, network: Any, part: tuple[Tensor, Views]) -> Losses:
        """Cross-entropy of the class captions over clear pictures, and of the quality captions over all."""
        labels, views = part
        logits = self._similarity(network, views.images, self.tokens) * network.logit_scale.exp()
        classes, clear = logits.shape[1] - len(QUALITY_CAPTIONS), views.quality == 0
        loss = QUALITY_WEIGHT * functional.cross_entropy(logits[:, classes:], views.quality)
        if clear.any():
            shown = logits[clear, :classes]
            loss = functional.cross_entropy(shown, labels[clear], label_smoothing=SMOOTHING) + loss
        return {"loss": loss}

    def after_step(self, step: int) -> None:  # noqa: ARG002
        self.learns.logit_scale.clamp_(max=math.log(LARGEST_SCALE))

    def validate(self) -> dict[str, float]:
        tests, size, batch = self.tested_on, self.settings.image_size, self.settings.batch
        captions = self.tokens[: len(tests.classes)]
        right = dict.fromkeys(("plain", "placed"), 0)
        for first in range(0, len(tests.labels), batch):
            part = tests.part(torch.arange(first, min(first + batch, len(tests.labels))))
            placed = make_views(part.images, size, _generator(self.settings.seed, 2, first), test=True)
            for kind, images in (("plain", plain_views(part.images, size)), ("placed", placed.images)):
                nearest = self._similarity(self.learns, images, captions).argmax(1)
                right[kind] += int((nearest == part.labels).sum())
        return {kind: count / len(tests.labels) for kind, count in right.items()}

    def _similarity(self, model: Any, images: Tensor, tokens: Tensor) -> Tensor:
        """Cosines of images (B, 1, h, w) and captions (C, 77), float32 (B, C)."""
        # As `FrozenClip` will see them: one gray mean and deviation made of the three colours'.
        colours = model.visual.preprocess_cfg
        mean, deviation = gray_constants(colours["mean"], colours["std"])
        three = ((images - mean) / deviation).expand(-1, 3, -1, -1)
        with self.hardware.autocast():
            seen = model.encode_image(three.contiguous(memory_format=torch.channels_last))
            read = model.encode_text(tokens)
        return functional.normalize(seen.float(), dim=1) @ functional.normalize(read.float(), dim=1).T

    def looked(self, curve: Sequence[Point]) -> None:
        rows = [
            {
                "epoch": point.epoch,
                "loss": f"{point.losses['loss']:.5f}",
                **{kind: f"{share:.4f}" for kind, share in point.validation.items()},
                "seconds": round(point.seconds),
            }
            for point in curve
        ]
        write_curve(self.out.with_suffix(".csv"), rows)

    def finish(self, curve: Sequence[Point]) -> None:
        meta = {
            "classes": list(self.trained_on.classes),
            "pictures": len(self.trained_on.labels),
            "accuracy": curve[-1].validation,
            "settings": self.settings.model_dump(mode="json"),
        }
        save_clip(self.out, self.learns, self.settings.open_clip_config(), meta=meta)


def _split(
    pictures: Path, test: Path | None, settings: SmallClipSettings
) -> tuple[LabelledPictures, LabelledPictures]:
    """The pictures that are trained on and those that are tested on, with the same classes."""
    side = settings.image_size * 2 // 3
    known = read_labelled(pictures, side)
    if len(known.classes) < 2:
        raise SourceError(
            f"`{pictures}` holds one class, `{known.classes[0]}`; training needs two classes",
            hint="add a folder of pictures of another class",
        )
    if test is None:
        held_out = torch.arange(len(known.labels)) % HELD_OUT == 0
        trained_on, tested_on = known.part(~held_out), known.part(held_out)
    else:
        trained_on, tested_on = known, read_labelled(test, side)
        if unknown := sorted(set(tested_on.classes) - set(known.classes)):
            raise SourceError(
                f"`{test}` has the class `{unknown[0]}`, which is not in `{pictures}`",
                hint=f"known: {', '.join(known.classes)}",
            )
    if settings.shapes:
        trained_on = joined(trained_on, drawn_shapes(settings.shapes, side))
    return trained_on, renumbered(tested_on, trained_on.classes)


@lru_cache(maxsize=2)
def _order(pictures: int, seed: int, epoch: int) -> Tensor:
    """Each epoch has an order of its own."""
    return torch.randperm(pictures, generator=_generator(seed, 0, epoch))


def _generator(*key: int) -> torch.Generator:
    """Random numbers that depend on the key only."""
    seed = np.random.SeedSequence([abs(part) for part in key]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed) >> 1)
