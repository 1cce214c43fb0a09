"""Train a small CLIP on labelled pictures: a teacher, or a judge, that can be had offline.

The model is in open_clip's form: a small residual network on gray pictures and a two-layer text transformer
on open_clip's tokens. It learns two things of each view of a picture (see `views.py`):

- to put it next to the caption "image of a [cls]" of its class, and away from those of the other classes of
  its set: CLIP's loss, with each caption once, because two pictures of one class are not each other's
  negatives. Views that are hard to recognise weigh less.
- which flaws it has, and how strong they are: among the four captions of each flaw, and among "a clear image"
  and the captions of all flaws. Between two grades the right answer is a mixture of both captions, so that
  the similarities change smoothly with the strength.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, zip_longest
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hqgen.errors import SourceError, UsageError
from hqgen.progress import SILENT, Observer
from hqgen.training.checkpoint import Checkpoint, require_free
from hqgen.training.hardware import Hardware, has_bfloat16
from hqgen.training.loop import Losses, Point, Stop, Task, train, write_curve
from hqgen.training.schedules import trapezium
from spikeclip.clip.files import build_clip, save_clip
from spikeclip.clip.flaws import CAPTIONS, GRADES
from spikeclip.clip.frozen import FrozenClip, class_texts, gray_constants, simple_tokenizer
from spikeclip.clip.measures import accuracy, grade_error
from spikeclip.clip.pictures import LabelledPictures, drawn_shapes, read_labelled, renumbered
from spikeclip.clip.settings import SmallClipSettings
from spikeclip.clip.views import Views, make_views

HELD_OUT = 20  # without test pictures, every 20th one draws the learning curve and trains nothing
TESTED = 200  # test pictures of each set that a point of the learning curve rests on; the last rests on all
LONGEST_RISE = 100
FALL = 0.35  # of all steps
TEXT_SHARE = 0.3  # of the learning rate: embeddings start small, and captions that leap teach nothing
LARGEST_SCALE = 100.0  # as CLIP was trained
SHAPES_SHARE = 1 / 16
CLASS_WEIGHT, OVERALL_WEIGHT = 2.0, 0.5
SPREAD_STEPS, SPREAD_RATE = 25, 1e-3


def train_clip(
    pictures: Sequence[Path],
    out: Path,
    settings: SmallClipSettings,
    *,
    test: Sequence[Path] = (),
    observer: Observer = SILENT,
    stop: Stop = lambda: False,
) -> list[Point]:
    """Train a small CLIP; run again after an interruption, it continues.

    Beside `out` are the learning curve (`.csv`) and, until the end, the checkpoint (`.checkpoint`); all three
    are replaced whole, so a kill at any moment leaves the ones before.

    Args:
        pictures: sets of pictures, each a folder or a zip archive of `CLASS/NAME.jpg`. A picture is compared
            with the classes of its own set.
        out: where the model goes: configuration, half-precision weights and what they reach, in one file that
            `spikeclip.clip.frozen.load_clip` reads.
        settings: everything else that decides the weights.
        test: for each set the pictures that the accuracy is measured on. Default: every 20th of the set,
            which then trains nothing.
        observer: gets the progress.
        stop: once it says so, the state is saved and the call returns.

    Returns:
        the learning curve, up to where the training was stopped. For each set by its number, `plain` is the
        share of the test pictures, as they are, that are next to the caption of their class; `placed` the
        same of pictures in dark frames. `grades` is the mean error of the grades of flaws, from 0 to 3.

    Raises:
        SourceError: no pictures there, damaged ones, or fewer than two classes.
        PlanMismatchError: the checkpoint beside `out` belongs to another training.
        UsageError: `out` is there; the number of test sets is another one.
        TrainingError: the loss is not a finite number; the last checkpoint stays.
        WeightsError: the checkpoint is damaged.
    """
    require_free(out)
    sets = _split(pictures, test, settings)
    digest = hashlib.sha256()
    for known in sets:
        digest.update("\n".join(known.trained_on.classes).encode())
        digest.update(known.trained_on.labels.numpy().tobytes() + known.trained_on.images.numpy().tobytes())
    plan = {"settings": settings.model_dump(mode="json"), "pictures": digest.hexdigest()}
    device = torch.device("cpu")
    bfloat16 = has_bfloat16(device) if settings.bfloat16 is None else settings.bfloat16
    task = _ClipTask(sets, out, settings, Hardware(device, bfloat16=bfloat16))
    return train(task, Checkpoint(out.with_suffix(".checkpoint"), plan), observer, stop)[1]


@dataclass(frozen=True)
class _Set:
    """Pictures with classes of their own, and the share of a batch that they have."""

    trained_on: LabelledPictures
    tested_on: LabelledPictures | None
    first_caption: int
    rows: int

    @property
    def captions(self) -> slice:
        return slice(self.first_caption, self.first_caption + len(self.trained_on.classes))


@dataclass(frozen=True)
class _Batch:
    """Views of some pictures of one set, with their classes."""

    of: _Set
    labels: Tensor
    views: Views


class _ClipTask(Task[list[_Batch]]):
    """The two towers; a batch has views of all sets."""

    name = "clip"
    gradient_norm = 1.0

    def __init__(
        self, sets: Sequence[_Set], out: Path, settings: SmallClipSettings, hardware: Hardware
    ) -> None:
        self.sets, self.out, self.settings, self.hardware = sets, out, settings, hardware
        self.steps, self.epoch_steps = settings.steps, settings.look_every
        self.done = 0
        names = [name for known in sets for name in known.trained_on.classes]
        self.tokenizer = simple_tokenizer(settings.context_length)
        self.tokens = self.tokenizer([*class_texts(names), *CAPTIONS])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.learns: Any = hardware.place(build_clip(settings.open_clip_config(), {}))
        groups = [
            {
                "params": [parameter],
                "share": 1.0 if name.startswith(("visual.", "logit_scale")) else TEXT_SHARE,
                "weight_decay": settings.weight_decay if parameter.ndim > 1 else 0.0,
            }
            for name, parameter in self.learns.named_parameters()
        ]
        self.optimizer = torch.optim.AdamW(groups, fused=True)

    def begin(self, step: int) -> None:
        self.done = step
        if step == 0:
            self._spread_captions()

    def _spread_captions(self) -> None:
        """Let the text tower tell the classes of a set apart before any picture is seen.

        Fresh towers give all captions nearly the same feature. Pictures then need hundreds of steps to
        separate the captions before they can learn from them.
        """
        text = [
            parameter
            for name, parameter in self.learns.named_parameters()
            if not name.startswith(("visual.", "logit_scale"))
        ]
        optimizer = torch.optim.AdamW(text, lr=SPREAD_RATE)
        for _ in range(SPREAD_STEPS):
            features = functional.normalize(self.learns.encode_text(self.tokens), dim=1)
            sets = [features[known.captions] for known in self.sets]
            logits = [self.learns.logit_scale.exp().detach() * part @ part.T for part in sets]
            loss = sum(functional.cross_entropy(part, torch.arange(len(part))) for part in logits)
            optimizer.zero_grad()
            cast(Tensor, loss).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    def draw(self, step: int) -> list[_Batch]:
        """Each set goes through its pictures in an order that is new in each pass."""
        size, batches = self.settings.image_size, []
        if step < self.settings.half_size * self.steps:
            size //= 2
        for number, known in enumerate(self.sets):
            count, first = len(known.trained_on.labels), step * known.rows
            key = self.settings.seed, number
            places = range(first, first + known.rows)
            rows = [_order(count, *key, place // count)[place % count] for place in places]
            part = known.trained_on.part(torch.stack(rows))
            views = make_views(part, size, _generator(*key, 1, step))
            batches.append(_Batch(known, part.labels, views))
        return batches

    def before_step(self, step: int) -> None:
        """A linear rise, a plateau, and a linear fall over the last part."""
        fall = round(FALL * self.steps)
        part = trapezium(step, self.steps, min(LONGEST_RISE, self.steps // 10), fall)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * group["share"] * part

    def losses(self, network: Any, part: list[_Batch]) -> Losses:
        """Cross-entropy of the class captions, and of the captions of flaws."""
        logits = self._similarity(network, torch.cat([batch.views.images for batch in part]))
        logits = logits * network.logit_scale.exp()
        grades = torch.cat([batch.views.grades for batch in part])
        rows = logits.split([len(batch.labels) for batch in part])
        classes = torch.cat(
            [
                functional.cross_entropy(shown[:, batch.of.captions], batch.labels, reduction="none")
                for shown, batch in zip(rows, part, strict=True)
            ]
        )
        seen = 0.5 ** (grades.sum(1) - 1).clamp(min=0)  # what is spoiled is hard to recognise
        known = torch.cat([batch.views.known for batch in part])
        flaws, overall = flaw_losses(logits[:, -len(CAPTIONS) :], grades, known)
        parts = {"class": (seen * classes).sum() / seen.sum(), "flaws": flaws, "overall": overall}
        loss = CLASS_WEIGHT * parts["class"] + flaws + OVERALL_WEIGHT * overall
        return {"loss": loss, **parts}

    def after_step(self, step: int) -> None:
        self.done = step
        self.learns.logit_scale.clamp_(max=math.log(LARGEST_SCALE))

    def validate(self) -> dict[str, float]:
        clip = self._frozen()
        found = {"scale": clip.logit_scale}
        for number, known in enumerate(self.sets, 1):
            if known.tested_on is None:
                continue
            tests = known.tested_on
            if self.done < self.steps:
                tests = tests.part(torch.arange(0, len(tests.labels), max(len(tests.labels) // TESTED, 1)))
            for kind in ("plain", "placed", "crops"):
                found[f"{kind} {number}"] = accuracy(clip, tests, kind)
            found[f"grades {number}"] = grade_error(clip, tests)
        return found

    def _frozen(self) -> FrozenClip:
        """The model as others will use it."""
        config = self.settings.open_clip_config()
        return FrozenClip(copy.deepcopy(self.learns), self.tokenizer, name="small", config=config)

    def _similarity(self, model: Any, images: Tensor) -> Tensor:
        """Cosines of images (B, 1, h, w) and all captions, float32 (B, C)."""
        # As `FrozenClip` will see them: one gray mean and deviation made of the three colours'.
        colours = model.visual.preprocess_cfg
        mean, deviation = gray_constants(colours["mean"], colours["std"])
        three = ((images - mean) / deviation).expand(-1, 3, -1, -1)
        with self.hardware.autocast():
            seen = model.encode_image(three.contiguous(memory_format=torch.channels_last))
            read = model.encode_text(self.tokens)
        return functional.normalize(seen.float(), dim=1) @ functional.normalize(read.float(), dim=1).T

    def looked(self, curve: Sequence[Point]) -> None:
        rows = [
            {
                "step": point.step,
                **{name: f"{loss:.5f}" for name, loss in point.losses.items()},
                **{kind: f"{value:.4f}" for kind, value in point.validation.items()},
                "seconds": round(point.seconds),
            }
            for point in curve
        ]
        write_curve(self.out.with_suffix(".csv"), rows)

    def finish(self, curve: Sequence[Point]) -> None:
        meta = {
            "classes": [list(known.trained_on.classes) for known in self.sets],
            "pictures": [len(known.trained_on.labels) for known in self.sets],
            "accuracy": curve[-1].validation,
            "settings": self.settings.model_dump(mode="json"),
        }
        save_clip(self.out, self.learns, self.settings.open_clip_config(), meta=meta)


def flaw_losses(logits: Tensor, grades: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the captions of flaws.

    Args:
        logits: (B, 21), of `CAPTIONS`.
        grades: (B, 5), from 0 to 3.
        known: bool (B, 5), which of them count.

    Returns:
        the mean over all known grades, among the four captions of a flaw; and the mean over the pictures
        whose grades are all known, among "a clear image" and all captions of grade 1 to 3.
    """
    steps = torch.arange(GRADES + 1.0)
    right = (1 - (grades[..., None] - steps).abs()).clamp(min=0)  # (B, 5, 4): mixed from two neighbours
    among = logits[:, 1:].reshape(right.shape)
    flaws = -(right * among.log_softmax(2)).sum(2)[known].mean()
    clear = 0.5 ** grades.sum(1, keepdim=True)
    flawed = right[:, :, 1:].flatten(1)
    flawed = flawed * (1 - clear) / flawed.sum(1, keepdim=True).clamp(min=1e-6)
    shares = torch.cat([logits[:, :1], among[:, :, 1:].flatten(1)], 1).log_softmax(1)
    whole = known.all(1)
    overall = -(torch.cat([clear, flawed], 1) * shares).sum(1)
    return flaws, (overall * whole).sum() / whole.sum().clamp(min=1)


def _split(pictures: Sequence[Path], test: Sequence[Path], settings: SmallClipSettings) -> list[_Set]:
    """The sets of pictures, each in those that are trained on and those that are tested on."""
    if test and len(test) != len(pictures):
        raise UsageError(
            f"{len(pictures)} sets of pictures to train on, but {len(test)} to test on",
            hint="give the test pictures of each set, in the same order",
        )
    parts: list[tuple[LabelledPictures, LabelledPictures | None]] = []
    parts += [_parts(path, held, settings) for path, held in zip_longest(pictures, test)]
    shapes = max(1, round(SHAPES_SHARE * settings.batch)) if settings.shapes else 0
    rows = [(settings.batch - shapes) // len(parts)] * len(parts)
    if shapes:
        parts.append((drawn_shapes(settings.shapes, settings.image_size), None))
        rows.append(settings.batch - sum(rows))
    first = [0, *accumulate(len(trained_on.classes) for trained_on, _ in parts)]
    return [_Set(*part, *place) for part, *place in zip(parts, first[:-1], rows, strict=True)]


def _parts(
    pictures: Path, test: Path | None, settings: SmallClipSettings
) -> tuple[LabelledPictures, LabelledPictures]:
    """A set's pictures to train on, and those to test on, with the same classes."""
    known = read_labelled(pictures, settings.image_size)
    if len(known.classes) < 2:
        raise SourceError(
            f"`{pictures}` holds one class, `{known.classes[0]}`; training needs two classes",
            hint="add a folder of pictures of another class",
        )
    if test is None:
        held_out = torch.arange(len(known.labels)) % HELD_OUT == 0
        return known.part(~held_out), known.part(held_out)
    tested_on = read_labelled(test, settings.image_size)
    if unknown := sorted(set(tested_on.classes) - set(known.classes)):
        raise SourceError(
            f"`{test}` has the class `{unknown[0]}`, which is not in `{pictures}`",
            hint=f"known: {', '.join(known.classes)}",
        )
    return known, renumbered(tested_on, known.classes)


@lru_cache(maxsize=16)
def _order(pictures: int, seed: int, number: int, turn: int) -> Tensor:
    """The order of a set in one of its passes."""
    return torch.randperm(pictures, generator=_generator(seed, number, 0, turn))


def _generator(*key: int) -> torch.Generator:
    """Random numbers that depend on the key only."""
    seed = np.random.SeedSequence([abs(part) for part in key]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed) >> 1)
