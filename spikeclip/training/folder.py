"""The folder of a training.

::

    OUT/config.toml              the settings of the last run
    OUT/plan.json                what decides the result, stage by stage
    OUT/log.txt                  what happened, all runs one after the other
    OUT/report.html              all of it to look at: curves, pictures, settings, time
    OUT/network.pth              the final network of the last complete stage, as `spikeclip.load` takes it
    OUT/prompts.pth              the learned prompts
    OUT/pictures/                the same samples after each epoch; at the end all stages in `grid.png`
    OUT/pictures/small/          the same for the report: a row of the samples per file, and their classes
    OUT/tensorboard/, OUT/wandb/ where they were asked for; the id of the W&B run is in OUT/STAGE/wandb.id
    OUT/STAGE/record.json        says that the stage is complete, and by which plan
    OUT/STAGE/final.pth          what it learned, after its last step; with `patience`, after its best epoch
    OUT/STAGE/best.pth           the same after the epoch with the smallest validation loss
    OUT/STAGE/last.checkpoint    all that the stage needs to continue; gone once it is complete
    OUT/STAGE/schedule.json      how many steps the stage has at most, and where it computes
    OUT/STAGE/curve.csv, curve.svg    the CSV also within an epoch
    OUT/lock                     held by the training that is running

Every file appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from hqgen.errors import TrainingError, WeightsError
from hqgen.files import held, sha256_file, write_atomically
from hqgen.text import why
from hqgen.training.checkpoint import Checkpoint
from spikeclip.training.plan import Plan
from spikeclip.training.settings import StageName


class StageRecord(BaseModel):
    """Says that a stage is complete.

    Attributes:
        stage: its name.
        plan_id: id of the plan.
        plan: everything that decided the result.
        final: sha256 of `final.pth`.
        steps: steps done.
        losses: means of the last point of the learning curve, by name.
        best_epoch: the epoch after which `best.pth` was kept.
        validation: the validation loss of that epoch.
        seconds: spent in all runs together.
        device: where the last run computed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: StageName
    plan_id: str
    plan: Plan
    final: str
    steps: int
    losses: dict[str, float]
    best_epoch: int
    validation: float
    seconds: float
    device: str


class StageSchedule(BaseModel):
    """What a stage is going to do; written as it begins.

    Attributes:
        steps: of the whole stage; fewer with `patience`.
        epoch_steps: steps of an epoch.
        device: where it computes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int
    epoch_steps: int
    device: str


class ShownSamples(BaseModel):
    """The samples that the pictures of a training show, in their order.

    Attributes:
        classes: the name of each one's class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...]


class StageFolder:
    """The files of one stage, `OUT/STAGE/`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.final, self.best = path / "final.pth", path / "best.pth"
        self.record_path, self.schedule_path = path / "record.json", path / "schedule.json"
        self.curve, self.drawing = path / "curve.csv", path / "curve.svg"

    def checkpoint(self, plan: Plan) -> Checkpoint:
        """Where an unfinished stage continues from."""
        return Checkpoint(self.path / "last.checkpoint", plan, folder=self.path)

    def record(self, plan: Plan) -> StageRecord | None:
        """The completion record; None where the stage is not complete.

        Raises:
            PlanMismatchError: the stage was completed by another plan; the message says what differs.
            WeightsError: the record, or the file that it speaks of, is damaged.
        """
        checkpoint = self.checkpoint(plan)
        try:
            record = StageRecord.model_validate_json(self.record_path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise WeightsError(
                f"the record `{self.record_path}` is damaged: {why(error)}", hint=checkpoint.hint
            ) from error
        checkpoint.require_plan(record.plan, self.record_path)
        if not self.final.is_file() or sha256_file(self.final) != record.final:
            raise WeightsError(
                f"`{self.final}` is not the file that its stage ended with", hint=checkpoint.hint
            )
        return record

    def complete(self, record: StageRecord) -> None:
        """Declare the stage complete; `final.pth` must be there."""
        write_atomically(self.record_path, record.model_dump_json(indent=1) + "\n")


class RunFolder:
    """The files of a training, `OUT/`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.network, self.prompts = path / "network.pth", path / "prompts.pth"
        self.log, self.pictures = path / "log.txt", path / "pictures"
        self.report, self.lock = path / "report.html", path / "lock"
        self.grid = self.pictures / "grid.png"
        self.shown = self.pictures / "small" / "samples.json"

    def picture(self, stage: StageName, epoch: int) -> Path:
        """What the network makes of the samples after an epoch, with labels, below rows to compare with."""
        return self.pictures / f"{stage}-{epoch:02d}.png"

    def small(self, name: str, epoch: int | None = None) -> Path:
        """A row of the samples for the report: after an epoch of a stage, or without one as `tfi`."""
        return self.pictures / "small" / (f"{name}.webp" if epoch is None else f"{name}-{epoch:02d}.webp")

    def stage(self, name: StageName) -> StageFolder:
        """The folder of a stage."""
        return StageFolder(self.path / name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; it is let go when the block or the process ends, however it ends.

        Raises:
            TrainingError: another training holds it, or nothing can be written there.
        """
        with held(self.lock, self.path, "training", TrainingError):
            for partial in self.path.rglob(".*.partial"):  # what a killed training left
                partial.unlink(missing_ok=True)
            yield
