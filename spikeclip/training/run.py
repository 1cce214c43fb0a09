"""Train the network in its stages; what is done already is not done again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from torch import Tensor, nn

import hqgen
from hqgen.checkpoints import read_checkpoint, write_checkpoint
from hqgen.errors import HqgenError, SourceError, UsageError
from hqgen.files import sha256_file, write_atomically
from hqgen.pictures import png
from hqgen.progress import SILENT, Both, LineObserver, Observer
from hqgen.provenance import document_id
from hqgen.training import loop
from hqgen.training.hardware import Hardware, hardware
from hqgen.training.loop import Stop
from spikeclip.clip.frozen import FrozenClip, class_texts, load_clip
from spikeclip.clip.prompts import LearnedPrompts
from spikeclip.data.hq_crops import HQCrops
from spikeclip.data.lowlight import LowLightSet
from spikeclip.networks import build, load_network, save_network
from spikeclip.training.folder import RunFolder
from spikeclip.training.grid import grid
from spikeclip.training.losses import Supervision, coarse_losses, fine_losses, prompt_losses
from spikeclip.training.plan import Plan, stage_plan
from spikeclip.training.samples import Samples
from spikeclip.training.settings import StageName, TrainSettings
from spikeclip.training.stage import Stage

__all__ = ["check_supervisors", "train"]

Images = NDArray[np.float32]


def train(
    hq_stores: Sequence[Path],
    low_light: LowLightSet,
    settings: TrainSettings,
    out: Path,
    *,
    only: StageName | None = None,
    observer: Observer = SILENT,
    stop: Stop = lambda: False,
) -> RunFolder:
    """Train the stages that are not complete, each from its last checkpoint; run again, it continues.

    Under `torchrun` every process calls this with the same arguments; they share each batch.

    Args:
        hq_stores: HQ stores; only stage `prompt` needs them.
        low_light: the low-light set; its split `train` is trained on.
        settings: everything else that decides the result.
        out: the folder of the training, see `spikeclip.training.folder`.
        only: run this stage alone; those before it must be complete.
        observer: gets the progress.
        stop: once it says so, the step is finished, the state saved, and the call returns.

    Returns:
        the folder; all that was asked for is complete in it, unless `stop` said so before.

    Raises:
        PlanMismatchError: a stage in `out` was trained with other settings or data; says what differs.
        SourceError: no samples, or no labels to learn from.
        StoreError: an HQ store is missing, unfinished or damaged.
        TrainingError: a loss that is not a finite number, or another training in the same folder.
        UsageError: settings that do not fit each other or this machine.
        WeightsError: CLIP, the initial network, a checkpoint or a record is missing or damaged.
    """
    if only is not None and only not in settings.stages:
        raise UsageError(
            f"stage `{only}` is not among the stages of this training: {', '.join(settings.stages)}",
            hint="name it in `stages`",
        )
    folder = RunFolder(out)
    with ExitStack() as stack:
        place = stack.enter_context(
            hardware(settings.device, bfloat16=settings.bfloat16, compiles=settings.compile)
        )
        if place.leads:
            stack.enter_context(folder.locked())
        observer = stack.enter_context(_logged(folder, observer)) if place.leads else SILENT
        place.wait()
        _Training(hq_stores, low_light, settings, folder, place, observer).run(only, stop)
    return folder


def check_supervisors(
    hq_stores: Sequence[Path], settings: TrainSettings, only: StageName | None = None
) -> None:
    """Open what the stages learn from besides the low-light set, before minutes go into making that set.

    Raises:
        StoreError: an HQ store is missing, unfinished or damaged.
        UsageError: stage `prompt` has no HQ store.
        WeightsError: CLIP is missing or damaged.
    """
    wanted = (
        settings.stages[: settings.stages.index(only) + 1] if only in settings.stages else settings.stages
    )
    if "prompt" in wanted:
        _hq_crops(hq_stores, settings)
    if wanted != ("coarse",):
        load_clip(settings.clip.model, settings.clip.weights, "cpu")


def _hq_crops(hq_stores: Sequence[Path], settings: TrainSettings) -> HQCrops:
    if not hq_stores:
        raise UsageError("stage `prompt` needs an HQ store", hint="`hqgen build` makes one: `--hq-store`")
    return HQCrops(hq_stores, settings.crop, settings.seed)


@contextmanager
def _logged(folder: RunFolder, observer: Observer) -> Iterator[Observer]:
    """Write what the observer gets, and an error that ends the training, to the log too."""
    with folder.log.open("a", encoding="utf-8") as file:
        log = LineObserver(Console(file=file, width=1000, no_color=True))
        log.note(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, hqgen {hqgen.__version__}")
        try:
            yield Both(observer, log)
        except HqgenError as error:
            log.note(f"error: {error.message}")
            raise


@dataclass
class _Training:
    hq_paths: Sequence[Path]
    low_light: LowLightSet
    settings: TrainSettings
    folder: RunFolder
    hardware: Hardware
    observer: Observer

    def run(self, only: StageName | None, stop: Stop) -> None:
        wanted = self.settings.stages if only is None else (only,)
        plans = {name: self.plan(name) for name in self.settings.stages[: self._index(wanted[-1]) + 1]}
        complete = {name: self.folder.stage(name).record(plan) is not None for name, plan in plans.items()}
        for name in self.settings.stages[: self._index(wanted[0])]:
            if not complete[name]:
                raise UsageError(
                    f"stage `{wanted[0]}` needs stage `{name}`, not complete in `{self.folder.path}`",
                    hint="run that one first, or all of them",
                )
        for name in wanted:
            if not complete[name]:
                self._check(name, plans[name])
        self._write_settings(plans)
        for name in wanted:
            if complete[name]:
                self.observer.note(f"stage `{name}` is complete")
            elif not self._run_stage(name, plans[name], stop):
                return
        if self.hardware.leads and wanted[-1] == self.settings.stages[-1]:
            write_atomically(self.folder.grid, png(self._grid(self._rows())))

    def _check(self, name: StageName, plan: Plan) -> None:
        """Find out what is wrong with what a stage was given: now, not after hours of the stages before."""
        self.folder.stage(name).checkpoint(plan).restore()
        self.samples.batches(name)
        if name == "prompt" and self.hardware.leads:
            self.hq.verify()
        if name == "fine" and self.settings.fine.prompt_weight == 0 and len(self.samples.classes) < 2:
            raise SourceError(
                f"all training samples of `{self.low_light.path}` are of the class "
                f"`{self.low_light.labels[self.samples.classes[0]]}`: the class loss needs two classes",
                hint="prepare recordings of more classes, or train with the prompt loss",
            )

    def _index(self, name: StageName) -> int:
        return self.settings.stages.index(name)

    def _run_stage(self, name: StageName, plan: Plan, stop: Stop) -> bool:
        stage = {"coarse": self.coarse, "prompt": self.prompt, "fine": self.fine}[name](plan)
        checkpoint = self.folder.stage(name).checkpoint(plan)
        return loop.train(stage, checkpoint, self.hardware, self.observer, stop)[0]

    # The stages.

    def coarse(self, plan: Plan) -> Stage:
        network, settings = self.start("coarse"), self.settings.coarse
        return Stage(
            "coarse",
            plan,
            network,
            partial(coarse_losses, settings=settings, hardware=self.hardware),
            self.samples.batches("coarse", target=True),
            partial(self.samples.held_out, "coarse", target=True),
            partial(self._save_network, network, plan),
            show=lambda: self._grid({"coarse": self._images(network)}),
            **self._shared,
        )

    def prompt(self, plan: Plan) -> Stage:
        prompts = self.hardware.place(LearnedPrompts(self.clip, self.settings.prompt.context))
        held_out = HQCrops(self.hq_paths, self.settings.crop, self.settings.seed + 1)
        losses = partial(
            prompt_losses,
            coarse=self.hardware.compiled(self.start("prompt").eval().requires_grad_(False)),
            clip=self.clip,
            image_features=self.hardware.compiled(self.clip.image_features),
            hardware=self.hardware,
        )
        return Stage(
            "prompt",
            plan,
            prompts,
            losses,
            self.samples.batches("prompt", hq=self.hq),
            partial(self.samples.held_out, "prompt", hq=held_out),
            partial(self._save_prompts, prompts, plan),
            **self._shared,
        )

    def fine(self, plan: Plan) -> Stage:
        network, settings = self.start("fine"), self.settings.fine
        start = {"coarse" if "coarse" in self.settings.stages else "start": self._images(network)}
        clip = Supervision(
            image_features=self.hardware.compiled(self.clip.image_features),
            texts=self.clip.text_features(class_texts(self.low_light.labels)),
            prompts=self._prompt_features() if settings.prompt_weight > 0 else None,
            scale=self.clip.logit_scale,
        )
        return Stage(
            "fine",
            plan,
            network,
            partial(fine_losses, clip=clip, settings=settings, hardware=self.hardware),
            self.samples.batches("fine"),
            partial(self.samples.held_out, "fine"),
            partial(self._save_network, network, plan),
            show=lambda: self._grid(start | {"fine": self._images(network)}),
            **self._shared,
        )

    @cached_property
    def _shared(self) -> dict[str, Any]:
        """What all stages share."""
        board = self._board() if self.settings.tensorboard and self.hardware.leads else None
        return {
            "folder": self.folder,
            "settings": self.settings,
            "hardware": self.hardware,
            "board": board,
        }

    def _grid(self, rows: Mapping[str, Images]) -> Image.Image:
        return grid({"tfi": self.samples.shown_tfi, **rows}, self.samples.shown_names)

    # What they are made of.

    @cached_property
    def samples(self) -> Samples:
        return Samples(self.low_light, self.settings, self.hardware)

    @cached_property
    def hq(self) -> HQCrops:
        return _hq_crops(self.hq_paths, self.settings)

    @cached_property
    def clip(self) -> FrozenClip:
        return load_clip(self.settings.clip.model, self.settings.clip.weights, self.hardware.device)

    def start(self, name: StageName) -> nn.Module:
        """The network that a stage starts from."""
        if name != "coarse" and "coarse" in self.settings.stages:
            return self.hardware.place(load_network(self.folder.stage("coarse").final).train())
        if self.settings.initial is not None:
            return self.hardware.place(self._initial(self.settings.initial).train())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            return self.hardware.place(build(self.settings.network, self.settings.bins))

    def _initial(self, path: Path) -> nn.Module:
        network = load_network(path)
        if (network.name, network.bins) != (self.settings.network, self.settings.bins):
            raise UsageError(
                f"the initial network `{path}` is `{network.name}` of {network.bins} bins, but `network` is "
                f"`{self.settings.network}` and `bins` {self.settings.bins}",
                hint="give the one that the settings name, or change them",
            )
        return network

    def _prompt_features(self) -> Tensor:
        prompts = LearnedPrompts(self.clip, self.settings.prompt.context)
        prompts.load_state_dict(read_checkpoint(self.folder.stage("prompt").final))
        with torch.no_grad():
            features: Tensor = self.hardware.place(prompts)(self.clip)
        return features

    def _save_network(self, network: nn.Module, plan: Plan, path: Path) -> None:
        meta = {"stage": plan["stage"], "plan_id": document_id(plan), "crop": self.settings.crop}
        save_network(path, network, name=self.settings.network, bins=self.settings.bins, meta=meta)

    def _save_prompts(self, prompts: nn.Module, plan: Plan, path: Path) -> None:
        state = {name: tensor.detach().cpu() for name, tensor in prompts.state_dict().items()}
        meta = {"plan_id": document_id(plan), "clip": self.clip.name}
        write_checkpoint(path, {"format": "spikeclip-prompts", "meta": meta, "state_dict": state})

    def _images(self, network: nn.Module) -> Images:
        """What a network makes of the samples that are shown, float32 (N, h, w)."""
        network.eval()
        with torch.no_grad(), self.hardware.autocast():
            images: Tensor = network(self.samples.shown_voxel)
        network.train()
        return images[:, 0].float().cpu().numpy()

    def _rows(self) -> dict[str, Images]:
        """The final picture grid: what each stage that trained the network made of it."""
        return {
            name: self._images(self.hardware.place(load_network(self.folder.stage(name).final)))
            for name in self.settings.stages
            if name != "prompt"
        }

    # Plans and settings.

    def plan(self, name: StageName) -> Plan:
        """The plan of a stage.

        Raises:
            Everything that may be wrong with what the stage needs.
        """
        prompts = name == "fine" and self.settings.fine.prompt_weight > 0
        return stage_plan(
            name,
            self.settings,
            bfloat16=self.hardware.bfloat16,
            low_light=self.low_light.digest,
            start=self._start_id(name),
            hq=self.hq.plan_ids if name == "prompt" else (),
            clip=None if name == "coarse" else self.clip.digest,
            prompts=document_id(self.plan("prompt")) if prompts else None,
        )

    def _start_id(self, name: StageName) -> str | None:
        if name != "coarse" and "coarse" in self.settings.stages:
            return document_id(self.plan("coarse"))
        if self.settings.initial is not None:
            self._initial(self.settings.initial)
            return sha256_file(self.settings.initial)
        return None

    def _board(self) -> Callable[[str, int], Any]:
        """What opens a TensorBoard for a stage; what an interrupted run wrote of later steps is dropped."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                "TensorBoard was asked for, but is not installed",
                hint="`pip install hqgen[tensorboard]`, or leave `tensorboard` out of the settings",
            ) from error
        return lambda name, step: SummaryWriter(self.folder.path / "tensorboard" / name, purge_step=step + 1)

    def _write_settings(self, plans: dict[StageName, Plan]) -> None:
        if self.hardware.leads:
            write_atomically(self.folder.path / "config.toml", self.settings.toml())
            write_atomically(self.folder.path / "plan.json", json.dumps(plans, indent=1) + "\n")
