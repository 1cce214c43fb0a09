"""Train the network in its stages; what is done already is not done again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

import hqgen
from hqgen.checkpoints import read_checkpoint, write_checkpoint
from hqgen.config import as_toml
from hqgen.errors import HqgenError, UsageError
from hqgen.files import sha256_file, write_atomically
from hqgen.pictures import png
from hqgen.progress import SILENT, Both, LineObserver, Observer
from hqgen.provenance import document_id
from hqgen.training import loop
from hqgen.training.hardware import Hardware, hardware
from hqgen.training.loop import Stop
from spikeclip.clip.frozen import FrozenClip, load_clip
from spikeclip.clip.prompts import LearnedPrompts
from spikeclip.data.hq_crops import HQCrops
from spikeclip.data.lowlight import LowLightSet
from spikeclip.networks import Scaled, build, load_network, save_network
from spikeclip.training.folder import RunFolder
from spikeclip.training.inputs import check_stage, hq_crops, initial_network, needed_stages
from spikeclip.training.losses import coarse_losses, prompt_losses
from spikeclip.training.plan import Plan, stage_plan
from spikeclip.training.report import write_report
from spikeclip.training.samples import Samples
from spikeclip.training.settings import StageName, TrainSettings
from spikeclip.training.stage import Stage
from spikeclip.training.terms import fine_losses, fine_terms


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
    needed = needed_stages(settings, only)
    folder = RunFolder(out)
    with ExitStack() as stack:
        place = stack.enter_context(
            hardware(settings.device, bfloat16=settings.bfloat16, compiles=settings.compile)
        )
        if place.leads:
            stack.enter_context(folder.locked())
            stack.enter_context(_reported(folder))
        observer = stack.enter_context(_logged(folder, observer)) if place.leads else SILENT
        place.wait()
        training = _Training(hq_stores, low_light, settings, folder, place, observer)
        training.run(needed, needed if only is None else (only,), stop)
    return folder


@contextmanager
def _reported(folder: RunFolder) -> Iterator[None]:
    """Say in the report how the training ended, in whatever way."""
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the disk may be full: what ended the training is what the user must hear
            write_report(folder.path, running=False)
        raise
    write_report(folder.path, running=False)


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

    def run(self, needed: Sequence[StageName], wanted: Sequence[StageName], stop: Stop) -> None:
        """Train the wanted stages; those before them that are needed must be complete."""
        plans = self.plans(needed)
        missing = [name for name, plan in plans.items() if self.folder.stage(name).record(plan) is None]
        for name in missing:
            if name not in wanted:
                raise UsageError(
                    f"stage `{wanted[0]}` needs stage `{name}`, not complete in `{self.folder.path}`",
                    hint="run that one first, or all of them",
                )
            self._check(name, plans[name])
        if self.hardware.leads:
            write_atomically(self.folder.path / "config.toml", as_toml("train", self.settings))
            write_atomically(self.folder.path / "plan.json", json.dumps(plans, indent=1) + "\n")
            write_report(self.folder.path, running=True)
        make = {"coarse": self.coarse, "prompt": self.prompt, "fine": self.fine}
        for name in wanted:
            if name not in missing:
                self.observer.note(f"stage `{name}` is complete")
                continue
            if not self.samples.make_targets(name, self.observer, stop):
                return
            checkpoint = self.folder.stage(name).checkpoint(plans[name])
            if not loop.train(make[name](plans[name]), checkpoint, self.observer, stop)[0]:
                return
        if self.hardware.leads and wanted[-1] == self.settings.stages[-1]:
            trained = [name for name in self.settings.stages if name != "prompt"]
            grid = self.samples.grid({name: self.samples.images(self._learned(name)) for name in trained})
            write_atomically(self.folder.grid, png(grid))

    def plans(self, names: Sequence[StageName]) -> dict[StageName, Plan]:
        """The plans of the first stages; opens what they need, and so raises whatever is wrong with it."""
        plans: dict[StageName, Plan] = {}
        for name in names:
            supervisors: dict[str, object] = {}
            if name == "prompt":
                supervisors["hq_stores"] = [store.plan_id for store in self.hq.stores]
            if name != "coarse":
                supervisors["clip"] = self.clip.digest
            if name == "fine" and self.settings.fine.prompt_weight > 0:
                supervisors["prompts"] = document_id(plans["prompt"])
            if self.settings.target(name) == "base":
                supervisors["base"] = self.samples.base.specification
            start: str | None = None
            if "coarse" in plans:
                start = document_id(plans["coarse"])
            elif self.settings.initial is not None:
                initial_network(self.settings)  # which refuses a network of another form
                start = sha256_file(self.settings.initial)
            plans[name] = stage_plan(
                name,
                self.settings,
                bfloat16=self.hardware.bfloat16,
                low_light=self.low_light.digest,
                start=start,
                **supervisors,
            )
        return plans

    def _check(self, name: StageName, plan: Plan) -> None:
        self.folder.stage(name).checkpoint(plan).restore()
        hq = self.hq if name == "prompt" and self.hardware.leads else None
        check_stage(name, self.samples, None if name == "coarse" else self.clip, hq)

    # The stages.

    def coarse(self, plan: Plan) -> Stage:
        losses = partial(coarse_losses, settings=self.settings.coarse, hardware=self.hardware)
        save, target = self._save_network, self.settings.target("coarse")
        return Stage(plan, self.start("coarse"), losses, save, self.samples, self.folder, {}, target)

    def prompt(self, plan: Plan) -> Stage:
        prompts = self.hardware.place(LearnedPrompts(self.clip, self.settings.prompt.context))
        losses = partial(
            prompt_losses,
            coarse=self.hardware.compiled(self.start("prompt").eval().requires_grad_(False)),
            clip=self.clip,
            image_features=self.hardware.compiled(self.clip.image_features),
            settings=self.settings.prompt,
            hardware=self.hardware,
        )
        hq = self.hq, HQCrops(self.hq_paths, self.settings.crop, self.settings.seed + 1)
        return Stage(plan, prompts, losses, self._save_prompts, self.samples, self.folder, hq=hq)

    def fine(self, plan: Plan) -> Stage:
        network = self.start("fine")
        rows = {"coarse" if "coarse" in self.settings.stages else "start": self.samples.images(network)}
        gain = self.samples.white_gain(network) if self.settings.fine.start_gain == "white" else 1.0
        if self.settings.fine.learns == "gain":
            network = self.hardware.place(Scaled(network, gain))
        elif gain != 1:
            network = self.hardware.place(Scaled(network, gain).folded())
        losses = partial(
            fine_losses,
            image_features=self.hardware.compiled(self.clip.image_features),
            terms=fine_terms(self.settings.fine, self.clip, self.low_light.labels, self._prompt_features),
            hardware=self.hardware,
            crops=self.settings.fine.crops,
            side=self.clip.image_size,
        )
        save, target = self._save_network, self.settings.target("fine")
        return Stage(plan, network, losses, save, self.samples, self.folder, rows, target)

    # What they are made of.

    @cached_property
    def samples(self) -> Samples:
        return Samples(self.low_light, self.settings, self.hardware)

    @cached_property
    def hq(self) -> HQCrops:
        return hq_crops(self.hq_paths, self.settings)

    @cached_property
    def clip(self) -> FrozenClip:
        return load_clip(self.settings.clip.model, self.settings.clip.weights, self.hardware.device)

    def start(self, name: StageName) -> nn.Module:
        """The network that a stage starts from."""
        if name != "coarse" and "coarse" in self.settings.stages:
            return self._learned("coarse").train()
        network = initial_network(self.settings)
        if network is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.settings.seed)
                network = build(self.settings.network, self.settings.bins, self.settings.padding)
        return self.hardware.place(network.train())

    def _learned(self, name: StageName) -> nn.Module:
        """The network that a complete stage ended with."""
        return self.hardware.place(load_network(self.folder.stage(name).final))

    def _prompt_features(self) -> Tensor:
        prompts = LearnedPrompts(self.clip, self.settings.prompt.context)
        prompts.load_state_dict(read_checkpoint(self.folder.stage("prompt").final))
        with torch.no_grad():
            features: Tensor = self.hardware.place(prompts)(self.clip)
        return features

    def _save_network(self, network: nn.Module, plan: Plan, path: Path) -> None:
        meta = {"stage": plan["stage"], "plan_id": document_id(plan), "crop": self.settings.crop}
        if isinstance(network, Scaled):
            network, meta = network.folded(), meta | {"gain": network.gain}
        save_network(path, network, meta)

    def _save_prompts(self, prompts: nn.Module, plan: Plan, path: Path) -> None:
        state = {name: tensor.detach().cpu() for name, tensor in prompts.state_dict().items()}
        meta = {"plan_id": document_id(plan), "clip": self.clip.name}
        write_checkpoint(path, {"format": "spikeclip-prompts", "meta": meta, "state_dict": state})
