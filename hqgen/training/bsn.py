"""Train `bsn` on recordings, or adapt `base` to them, without ground truth.

The target is what a pixel's own spikes say of its rate. It is unbiased, and its noise is independent of the
pixels around it, which are all that the blind network sees. So the network with the smallest mean squared
error gives the rate without that noise.

For `base` the blind network learns only what `base` does wrong: the difference between target and picture,
as far as the pixels around predict it. This part of the difference cannot be noise of the pixel, so `base` is
then moved by it. How `base` uses a pixel's own spikes, which no such target can teach, stays as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from hqgen.files import sha256_file
from hqgen.methods.learned.base import Base
from hqgen.methods.learned.bsn import FRAMES
from hqgen.progress import SILENT, Observer
from hqgen.spikes.camera import PLAIN, Camera
from hqgen.training.adapt import Adapted
from hqgen.training.blind import Blind, BlindRecipe
from hqgen.training.checkpoint import Checkpoint, require_free
from hqgen.training.crops import Crops, find_recordings
from hqgen.training.loop import Point, Stop, train

Start = Literal["base"]

HELD_OUT = 10
"""One recording in ten, and at least one of several, draws the learning curve and trains nothing."""


def train_bsn(
    recordings: Path,
    out: Path,
    recipe: BlindRecipe,
    *,
    start: Start | None = None,
    camera: Camera = PLAIN,
    observer: Observer = SILENT,
    stop: Stop = lambda: False,
) -> list[Point]:
    """Train on recordings without ground truth; run again after an interruption, it continues.

    Beside `out` are the learning curve (`.csv`) and, until the end, the checkpoint (`.checkpoint`).

    Args:
        recordings: a recording, or a folder of some, all of one camera.
        out: where the weights go: a state_dict in half precision, of `bsn`, or of `base` with `start`.
        recipe: everything else that decides them.
        start: `base` adapts the weights of `base` that are in use.
        camera: how the recordings are laid out.
        observer: gets the progress, and a line for each recording that is left out.
        stop: once it says so, the state is saved and the call returns.

    Returns:
        The learning curve. `loss` and `error` are mean squares in units of the mean rate squared: between
        what pixels fired and what is predicted of them, in training and in held-out crops. With `start`,
        `error` is divided by that of the first `base`: below 1, there is something to learn. `picture` is
        the same with the move of `base`, and `trust` the share of the blind network's word that counts. A
        last `picture` of 1 or more means that adapting did not help; below 1, `base` is nearer to what the
        pixels measured, which includes the blur of the lens. The observer gets a note of it.

    Raises:
        SourceError: there is no recording of enough frames and pixels, with spikes.
        RecordingError: a recording cannot be read.
        MethodError: with `start`, the weights of `base` are missing or damaged.
        PlanMismatchError: the checkpoint beside `out` belongs to another recipe or other recordings.
        UsageError: `out` is there.
        WeightsError: the checkpoint is damaged.
    """
    require_free(out)
    found = find_recordings(recordings, camera=camera, frames=FRAMES, patch=recipe.patch, observer=observer)
    plan: dict[str, Any] = {"recipe": recipe.model_dump(mode="json"), "recordings": found.digests}
    if described := camera.described():
        plan["camera"] = described
    held = found.recordings[::HELD_OUT]
    taught = [recording for number, recording in enumerate(found.recordings) if number % HELD_OUT] or held
    series = Crops(taught, FRAMES, recipe.seed), Crops(held, FRAMES, recipe.seed + 1)
    task: Blind
    if start is None:
        task = Blind(*series, out, recipe, found.rate)
    else:
        file, sha256 = Base().checkpoint()
        plan["start"] = sha256_file(file)
        task = Adapted(*series, out, recipe, found.rate, file, sha256)
    complete, curve = train(task, Checkpoint(out.with_suffix(".checkpoint"), plan), observer, stop)
    if complete and start is not None:
        picture = curve[-1].validation["picture"]
        said = (
            "is nearer to what pixels measured, blur of the lens included; compare it with the shipped one"
            if picture < 1
            else "did not become better; keep the shipped one"
        )
        observer.note(f"`picture` is {picture:.3f}: `base` {said}")
    return curve
