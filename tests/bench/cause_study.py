"""Why a training ends as it does: what its CLIP and its prompts answer to, one line per cause.

    python -m tests.bench.cause_study RUN --spikes low.zarr --hq-store hq.zarr

RUN is the folder of a training whose stage prompt is complete. Pictures are those of the split `test`. CLIP
sees whole pictures here, even where the training showed crops to it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hqgen.checkpoints import read_checkpoint
from hqgen.config import read_table
from hqgen.tables import Cell, Column, ResultRow, Table, markdown
from spikeclip.clip.frozen import FrozenClip, load_clip
from spikeclip.clip.prompts import LearnedPrompts
from spikeclip.data.batches import BatchMaker
from spikeclip.data.hq_crops import HQCrops
from spikeclip.data.lowlight import LowLightSet, open_prepared
from spikeclip.networks import load_network
from spikeclip.training.folder import RunFolder
from spikeclip.training.settings import TrainSettings, train_settings

NOISES = (0.05, 0.1, 0.2)
FINE_DETAIL = 1 / 6
"""Cycles per pixel: what is above is lost where 192 pixels become 64."""
EDGE = 4


@dataclass(frozen=True)
class Study:
    """A training with what its rows are measured on.

    Attributes:
        clip: of the training.
        prompts: (2, D), features of T_lq and T_hq.
        coarse: (N, 1, h, w), pictures of the coarse network.
        fine: the same of the fine network; None where that stage is missing.
        hq: (N, 1, h, w), HQ crops.
    """

    clip: FrozenClip
    prompts: Tensor
    coarse: Tensor
    fine: Tensor | None
    hq: Tensor

    def p_hq(self, pictures: Tensor) -> float:
        """Mean probability of the HQ prompt."""
        logits = self.clip.logit_scale * self.clip.image_features(pictures) @ self.prompts.T
        return float(logits.softmax(1)[:, -1].mean())

    def rows(self) -> Iterator[tuple[str, float]]:
        """The cause table, a line each."""
        gain = self.hq.mean() / self.coarse.mean()
        noise = torch.randn(self.hq.shape, generator=torch.Generator().manual_seed(0))
        yield "side of the pictures that CLIP sees, pixels", self.clip.image_size
        yield "logit scale of CLIP (100 as OpenAI published it)", self.clip.logit_scale
        yield "mean of coarse pictures", float(self.coarse.mean())
        yield "mean of HQ crops", float(self.hq.mean())
        yield "p(HQ) of coarse pictures", self.p_hq(self.coarse)
        yield f"p(HQ) of coarse pictures x {gain:.3g} (the mean of HQ crops)", self.p_hq(self.coarse * gain)
        yield "p(HQ) of HQ crops", self.p_hq(self.hq)
        yield "p(HQ) of HQ crops x 0.1", self.p_hq(self.hq * 0.1)
        yield "p(HQ) of HQ crops with the mean of coarse pictures", self.p_hq(self.hq / gain)
        for deviation in NOISES:
            yield f"p(HQ) of HQ crops + noise {deviation}", self.p_hq(self.hq + deviation * noise)
        for deviation in NOISES:
            noisy = self.coarse * gain + deviation * noise[: len(self.coarse)]
            yield f"p(HQ) of coarse x {gain:.3g} + noise {deviation}", self.p_hq(noisy)
        for name, pictures in (("coarse pictures", self.coarse), ("HQ crops", self.hq)):
            share = surviving_detail(pictures, self.clip)
            yield f"share of fine gradients of {name} that CLIP's input keeps", share
        for name, made in (("coarse", self.coarse), ("fine", self.fine)):
            if made is not None:
                yield f"brightness of the outer {EDGE} pixels over the rest, {name}", edge_brightness(made)


def surviving_detail(pictures: Tensor, clip: FrozenClip) -> float:
    """Share of the gradient energy above a sixth of a cycle per pixel that CLIP's input keeps.

    The small picture is enlarged again, so that frequencies can be compared.
    """
    side, mode = clip.image_size, clip.preprocess["interpolation"]
    resize: Callable[..., Tensor] = torch.nn.functional.interpolate
    small = resize(pictures, (side, side), mode=mode, antialias=True)
    again = resize(small, pictures.shape[-2:], mode="bicubic", antialias=True)
    return fine_energy(again) / fine_energy(pictures)


def fine_energy(pictures: Tensor) -> float:
    """Energy of the gradients (n, 1, h, w) above a sixth of a cycle per pixel."""
    down, across = (torch.fft.fftfreq(side) for side in pictures.shape[-2:])
    square = down[:, None] ** 2 + across[None] ** 2
    spectrum = torch.fft.fft2(pictures.double()).abs() ** 2
    return float((spectrum * square * (square > FINE_DETAIL**2)).sum())


def edge_brightness(pictures: Tensor) -> float:
    """Mean of the outer pixels over the mean of the others."""
    inner = torch.zeros(pictures.shape[-2:], dtype=torch.bool)
    inner[EDGE:-EDGE, EDGE:-EDGE] = True
    return float(pictures[..., ~inner].mean() / pictures[..., inner].mean())


def study(run: Path, low_light: LowLightSet, hq_stores: list[Path], samples: int = 64) -> Study:
    """Make the pictures of a training.

    Args:
        run: its folder, or that of another row of an ablation that started from its coarse network.
        low_light: samples of the split `test` are taken.
        hq_stores: where HQ crops come from.
        samples: how many, at most.
    """
    settings = train_settings(read_table(run / "config.toml", "train"), where=f"`{run}`")
    folder, clip = RunFolder(run), load_clip(settings.clip.model, settings.clip.weights)
    split = low_light.split("test")
    few = split.select(np.linspace(0, len(split) - 1, min(samples, len(split))).astype(np.int64))
    voxels = [batch.voxel for batch in BatchMaker(few, 8, settings.bins, settings.crop).in_order()]
    prompts = LearnedPrompts(clip, settings.prompt.context)
    prompts.load_state_dict(read_checkpoint(folder.stage("prompt").final))
    fine = folder.stage("fine").final
    crops = HQCrops(hq_stores, settings.crop, settings.seed + 1).batch(0, len(few))
    return Study(
        clip,
        prompts(clip),
        pictures(coarse_file(folder, settings), voxels),
        pictures(fine, voxels) if fine.is_file() else None,
        torch.from_numpy(crops)[:, None].float() / 255,
    )


def coarse_file(folder: RunFolder, settings: TrainSettings) -> Path:
    coarse = folder.stage("coarse").final
    return coarse if coarse.is_file() or settings.initial is None else settings.initial


def pictures(network: Path, voxels: list[Tensor]) -> Tensor:
    made = load_network(network)
    return torch.cat([made(voxel) for voxel in voxels])


def cause_table(study: Study) -> Table:
    column = Column("value", "value", "", 4, None)
    rows = tuple(ResultRow(cause, {"value": Cell(float(value))}) for cause, value in study.rows())
    return Table((column,), rows, rows_are="measure")


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--spikes", type=Path, required=True)
    parser.add_argument("--hq-store", type=Path, action="append", required=True)
    parser.add_argument("--samples", type=int, default=64)
    given = parser.parse_args()
    print(markdown(cause_table(study(given.run, open_prepared(given.spikes), given.hq_store, given.samples))))


if __name__ == "__main__":
    main()
