"""What a training is given, checked: before the stage that needs it, and before a low-light set is made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from hqgen.errors import SourceError, UsageError
from hqgen.training.hardware import Hardware
from spikeclip.clip.frozen import FrozenClip, load_clip
from spikeclip.data.hq_crops import HQCrops
from spikeclip.data.lowlight import LowLightSet
from spikeclip.networks import load_network
from spikeclip.training.samples import Samples
from spikeclip.training.settings import StageName, TrainSettings, ViewSettings


def check_inputs(
    hq_stores: Sequence[Path] | None,
    low_light: LowLightSet,
    settings: TrainSettings,
    only: StageName | None = None,
) -> None:
    """Check all that the stages learn from, before minutes or hours go into making a low-light set.

    Args:
        hq_stores: HQ stores, which are compared with their manifests; None: they are not made yet.
        low_light: the set, or the set as it will be (`spikeclip.data.announced`); no sample is read.
        settings: of the training.
        only: see `spikeclip.training.run.train`.

    Raises:
        SourceError: no samples, or no labels to learn from.
        StoreError: an HQ store is missing, unfinished or damaged.
        UsageError: settings that do not fit each other or the data, no HQ store for stage `prompt`, or `only`
            is not one of the stages.
        WeightsError: CLIP or the initial network is missing or damaged.
    """
    needed = needed_stages(settings, only)
    samples = Samples(low_light, settings, Hardware(torch.device("cpu")))
    clip = load_clip(settings.clip.model, settings.clip.weights) if needed != ("coarse",) else None
    initial_network(settings)
    for name in needed:
        opens = name == "prompt" and hq_stores is not None
        check_stage(name, samples, clip, hq_crops(hq_stores or (), settings) if opens else None)


def check_stage(name: StageName, samples: Samples, clip: FrozenClip | None, hq: HQCrops | None) -> None:
    """Find out what is wrong with what a stage was given: now, not after hours of the stages before.

    Args:
        name: of the stage.
        samples: of the training.
        clip: None where no stage needs it.
        hq: the HQ crops of stage `prompt`, whose stores are verified; None: nothing to verify.

    Raises:
        SourceError, StoreError, UsageError: as `check_inputs`.
    """
    settings, low_light = samples.settings, samples.low_light
    samples.batches(name)
    table = settings.of(name)
    if isinstance(table, ViewSettings) and table.crops and clip and clip.image_size > settings.crop:
        raise UsageError(
            f"crops of {clip.image_size}x{clip.image_size} pixels, which the CLIP model `{clip.name}` takes, "
            f"do not fit into pictures of {settings.crop}x{settings.crop}",
            hint=f"leave out `{name}.crops`, or take a `crop` of at least {clip.image_size}",
        )
    if hq is not None:
        hq.verify()
    if name == "fine" and list(settings.fine.weights) == ["class"] and len(samples.classes) < 2:
        raise SourceError(
            f"all training samples of `{low_light.path}` are of the class "
            f"`{low_light.labels[samples.classes[0]]}`: the class loss needs two classes",
            hint="prepare recordings of more classes, or train with the prompt loss",
        )


def needed_stages(settings: TrainSettings, only: StageName | None) -> tuple[StageName, ...]:
    """The stages up to `only`, which needs those before it; None: all.

    Raises:
        UsageError: `only` is not one of the stages.
    """
    if only is None:
        return settings.stages
    if only not in settings.stages:
        raise UsageError(
            f"stage `{only}` is not among the stages of this training: {', '.join(settings.stages)}",
            hint="name it in `stages`",
        )
    return settings.stages[: settings.stages.index(only) + 1]


def hq_crops(hq_stores: Sequence[Path], settings: TrainSettings) -> HQCrops:
    """The HQ crops of stage `prompt`.

    Raises:
        StoreError: a store is missing or unfinished.
        UsageError: there is no store, or its pictures are smaller than the crop.
    """
    if not hq_stores:
        raise UsageError("stage `prompt` needs an HQ store", hint="`hqgen build` makes one: `--hq-store`")
    return HQCrops(hq_stores, settings.crop, settings.seed)


def initial_network(settings: TrainSettings) -> nn.Module | None:
    """The network that the settings name to start from; None where they name none.

    Raises:
        UsageError: it has another form than the settings say.
        WeightsError: it is missing or damaged.
    """
    path = settings.initial
    if path is None:
        return None
    network = load_network(path)
    there = (network.name, network.bins, network.padding)
    if there != (settings.network, settings.bins, settings.padding):
        raise UsageError(
            f"the initial network `{path}` is `{network.name}` of {network.bins} bins with padding "
            f"`{network.padding}`, but `network` is `{settings.network}`, `bins` {settings.bins} and "
            f"`padding` `{settings.padding}`",
            hint="give the one that the settings name, or change them",
        )
    return network
