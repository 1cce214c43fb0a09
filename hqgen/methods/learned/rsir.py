"""RSIR: short exposures, fused one after the other; the fixed pattern of the sensor is removed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hqgen.errors import MethodError
from hqgen.files import sha256_file
from hqgen.methods.base import Span
from hqgen.methods.learned.layers import (
    chain,
    channels_first,
    channels_last,
    conv3x3,
    crop_evenly,
    pad_evenly,
)
from hqgen.methods.learned.network import NetworkMethod
from hqgen.text import why

FRAMES, STEPS = 16, 10
"""Frames per exposure, and number of exposures."""

GAMMA = 2.2
LIGHT = 335.0
"""Illuminance of the bright calibration recording, in lux."""

WINDOW, EMBEDDING, HEADS = 8, 96, 3
"""Side of an attention window in pixels, its channels, and its heads."""

MULTIPLE = 2 * WINDOW
"""The sides of an image are padded to a multiple of this, so that wavelet bands divide into windows."""


def pixel_network(inputs: int, last: nn.Module) -> nn.Sequential:
    """Four 1x1 convolutions, the same function of every pixel: (B, inputs, H, W) to (B, 1, H, W)."""
    return chain(
        conv1=nn.Conv2d(inputs, 16, 1),
        leaky1=nn.LeakyReLU(0.1),
        conv2=nn.Conv2d(16, 16, 1),
        leaky2=nn.LeakyReLU(0.1),
        conv3=nn.Conv2d(16, 16, 1),
        leaky3=nn.LeakyReLU(0.1),
        conv4=nn.Conv2d(16, 1, 1),
        last=last,
    )


def mask_network(inputs: int) -> nn.Sequential:
    """Three 3x3 convolutions to a weight in (0, 1): (B, inputs, H, W) to (B, 1, H, W)."""
    return chain(
        net1=conv3x3(inputs, 16),
        relu1=nn.ReLU(),
        net2=conv3x3(16, 16),
        relu2=nn.ReLU(),
        net3=conv3x3(16, 1),
        weight=nn.Sigmoid(),
    )


def _haar(*taps: tuple[float, float], shape: tuple[int, ...]) -> nn.ParameterDict:
    """Fixed filters, which the published checkpoint holds as parameters under the name `weight`."""
    values = (torch.tensor(taps) / 2**0.5).reshape(shape)
    return nn.ParameterDict({"weight": nn.Parameter(values, requires_grad=False)})


class Haar(nn.Module):
    """One level of the Haar wavelet transform."""

    def __init__(self) -> None:
        super().__init__()
        self.net1 = _haar((1, 1), (1, -1), shape=(2, 1, 1, 2))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) to the bands (B, 4, H / 2, W / 2): LL, LH, HL, HH, width before height."""
        across = self.net1["weight"]
        bands = functional.conv2d(image, across, stride=(1, 2))
        down = across.mT.repeat(2, 1, 1, 1)
        return functional.conv2d(bands, down, stride=(2, 1), groups=2)


class InverseHaar(nn.Module):
    """The inverse of `Haar`."""

    def __init__(self) -> None:
        super().__init__()
        self.net1 = _haar((1, 1), shape=(1, 1, 2, 1))
        self.net2 = _haar((1, -1), shape=(1, 1, 2, 1))

    def forward(self, bands: Tensor) -> Tensor:
        """(B, 4, H / 2, W / 2) to (B, 1, H, W)."""
        down = torch.cat([self.net1["weight"], self.net2["weight"]])
        halves = functional.conv_transpose2d(bands, down.repeat(2, 1, 1, 1), stride=(2, 1), groups=2)
        return functional.conv_transpose2d(halves, down.mT, stride=(1, 2))


class ResidualBlock(nn.Module):
    """Two convolutions beside a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            conv3x3(inputs, outputs), nn.LeakyReLU(0.2), conv3x3(outputs, outputs), nn.LeakyReLU(0.2)
        )
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        return self.block(x) + self.conv(x)


def relative_positions() -> Tensor:
    """The row of the bias table for each pair of pixels in a window: int64 (64, 64)."""
    row, column = (axis.flatten() for axis in torch.meshgrid(*[torch.arange(WINDOW)] * 2, indexing="ij"))
    rows, columns = (x[:, None] - x + WINDOW - 1 for x in (row, column))
    return rows * (2 * WINDOW - 1) + columns


class WindowAttention(nn.Module):
    """Self-attention among the pixels of a window, with a bias by relative position."""

    relative_position_index: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, HEADS))
        self.register_buffer("relative_position_index", relative_positions())
        self.qkv = nn.Linear(EMBEDDING, 3 * EMBEDDING)
        self.proj = nn.Linear(EMBEDDING, EMBEDDING)

    def forward(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        """(B, windows, 64, 96) to the same shape; `hidden` (windows, 64, 64) is added to the logits."""
        query, key, value = self.qkv(x).unflatten(-1, (3, HEADS, -1)).permute(3, 0, 1, 4, 2, 5)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        logits = query @ key.mT * (EMBEDDING // HEADS) ** -0.5 + bias
        if hidden is not None:
            logits = logits + hidden[:, None]
        return self.proj((logits.softmax(-1) @ value).transpose(2, 3).flatten(3))


class SwinBlock(nn.Module):
    """A transformer block with attention in 8x8 windows, which may be shifted by half a window.

    Source: Liu et al., Swin Transformer, ICCV 2021.
    """

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(EMBEDDING)
        self.attn = WindowAttention()
        self.norm2 = nn.LayerNorm(EMBEDDING)
        self.mlp = chain(
            fc1=nn.Linear(EMBEDDING, 4 * EMBEDDING), gelu=nn.GELU(), fc2=nn.Linear(4 * EMBEDDING, EMBEDDING)
        )
        self.shift = shift

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, 96), H and W multiples of 8, to the same shape."""
        height, width = x.shape[1:3]
        shifted = self.norm1(x).roll((-self.shift, -self.shift), (1, 2))
        hidden = hidden_across_edges(height, width, self.shift, x.device) if self.shift else None
        attended = from_windows(self.attn(to_windows(shifted), hidden), height, width)
        x = x + attended.roll((self.shift, self.shift), (1, 2))
        return x + self.mlp(self.norm2(x))


def to_windows(x: Tensor) -> Tensor:
    """(B, H, W, C) to (B, windows, 64, C)."""
    grid = torch.unflatten(torch.unflatten(x, 2, (-1, WINDOW)), 1, (-1, WINDOW))
    return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def from_windows(x: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `to_windows`."""
    grid = torch.unflatten(torch.unflatten(x, 2, (WINDOW, WINDOW)), 1, (height // WINDOW, width // WINDOW))
    return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def hidden_across_edges(height: int, width: int, shift: int, device: torch.device) -> Tensor:
    """(windows, 64, 64): -100 between pixels that are in one window only because of the cyclic shift."""
    rows, columns = (_region(side, shift, device) for side in (height, width))
    regions = to_windows((3 * rows[:, None] + columns)[None, ..., None])[0, ..., 0]
    return -100.0 * (regions[:, :, None] != regions[:, None, :])


def _region(side: int, shift: int, device: torch.device) -> Tensor:
    """Number the parts of a shifted axis: whole windows, then old and wrapped part of the last window."""
    position = torch.arange(side, device=device)
    return (position >= side - WINDOW).long() + (position >= side - shift)


def swin_transformer() -> nn.Sequential:
    """Two Swin blocks, the second with shifted windows: (B, 16, H, W), sides multiples of 8, to the same."""
    return chain(
        patch_embed=chain(
            proj=nn.Conv2d(16, EMBEDDING, 1), channels_last=channels_last(), norm=nn.LayerNorm(EMBEDDING)
        ),
        layers=nn.Sequential(chain(blocks=nn.Sequential(SwinBlock(shift=0), SwinBlock(shift=WINDOW // 2)))),
        n_l=nn.LayerNorm(EMBEDDING),
        channels_first=channels_first(),
        conv=nn.Conv2d(EMBEDDING, 16, 1, bias=False),
    )


def denoiser() -> nn.Sequential:
    """Wavelet bands (B, 4, H, W) to cleaner ones of the same shape."""
    residual = nn.Sequential(ResidualBlock(4, 16), *(ResidualBlock(16, 16) for _ in range(3)))
    return chain(nrb=chain(body=residual), st=swin_transformer(), out=conv3x3(16, 4))


class Step(NamedTuple):
    """The result for one exposure; gamma-encoded images (B, 1, H, W).

    Attributes:
        exposure: the exposure without the fixed pattern.
        fused: the exposure, merged with the fused image of the step before.
        denoised: the fused image without its noise.
        refined: the result, a mixture of the last two.
    """

    exposure: Tensor
    fused: Tensor
    denoised: Tensor
    refined: Tensor


class RSIRNetwork(nn.Module):
    """One exposure and the result of the exposures before it to an image.

    Source: Zhu et al., ACM MM 2023.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fpn_denoise = pixel_network(2, nn.LeakyReLU(0.1))
        self.fpn_refine = pixel_network(1, nn.Sigmoid())
        self.ft = Haar()
        self.fti = InverseHaar()
        self.vd = nn.ModuleDict({"fusion": mask_network(2), "denoise": denoiser()})
        self.refine = mask_network(8)

    def forward(self, exposure: Tensor, dark: Tensor, response: Tensor, previous: Tensor | None) -> Step:
        """Take one step.

        Args:
            exposure: (B, 1, H, W) firing rates of one exposure, gamma-encoded.
            dark: (H, W), dark current as a share of the rate in bright light; 0 for an ideal sensor.
            response: (H, W), relative response to light; 1 for an ideal sensor.
            previous: (B, 1, H, W), `Step.fused` of the exposure before; None for the first.

        Returns:
            The images of this step, of the same size.
        """
        clean = self.fpn_denoise(torch.cat([exposure, dark.expand_as(exposure)], dim=1)) / response
        clean = self.fpn_refine(clean)
        height, width = clean.shape[-2:]
        before = clean if previous is None else previous
        current, earlier = (self.ft(pad_evenly(image, MULTIPLE, "reflect")) for image in (clean, before))
        mask = self.vd["fusion"](torch.cat([earlier[:, :1], current[:, :1]], dim=1))
        fused = earlier * (1 - mask) + current * mask
        denoised = self.vd["denoise"](fused)
        omega = self.refine(torch.cat([fused, denoised], dim=1))
        refined = denoised * (1 - omega) + fused * omega
        images = (crop_evenly(self.fti(bands), height, width) for bands in (fused, denoised, refined))
        return Step(clean, *images)


def read_calibration(path: str | Path) -> tuple[Tensor, Tensor]:
    """Read the calibration maps of a sensor.

    The maps are those of SpikeNeRF (Zhu et al., CVPR 2024). They come from recordings in the dark and under
    335 lux. D_light is the mean interval minus one frame under 335 lux. For a pixel with the light L the
    same number D follows from 1 / D = Nl * L + Nd / (D_light * (335 + Nd)).

    Args:
        path: an `.npz` file with the arrays `Nd`, `Nl` and `D_light`, each (H, W), top row first.

    Returns:
        The last term of the sum (the dark current) and Nl (the response): float32 (H, W) each.

    Raises:
        MethodError: the file or an array is missing, or the values make no sense.
    """
    try:
        with Path(path).open("rb") as file, np.load(file) as maps:
            dark, response, light = (maps[name].astype(np.float64) for name in ("Nd", "Nl", "D_light"))
        with np.errstate(divide="ignore", invalid="ignore"):
            part = dark / (light * (LIGHT + dark))
    except (OSError, ValueError, TypeError, EOFError, BadZipFile, KeyError) as error:
        raise MethodError(
            f"`{path}` does not hold the calibration maps: {why(error)}",
            hint="give an .npz with Nd, Nl and D_light",
        ) from error
    if part.ndim != 2 or part.shape != response.shape or not np.isfinite(part).all() or (response <= 0).any():
        raise MethodError(
            f"the calibration maps in `{path}` are unusable; shapes: {part.shape} and {response.shape}",
            hint="Nd, Nl and D_light must be (H, W) and finite, Nl and D_light above 0",
        )
    return torch.from_numpy(part).float(), torch.from_numpy(response).float()


@lru_cache(maxsize=4)
def _calibration(path: str, _digest: str) -> tuple[Tensor, Tensor]:
    return read_calibration(path)


@dataclass(frozen=True)
class RSIR(NetworkMethod):
    """RSIR: 160 frames as ten exposures of 16, fused one after the other.

    The network expects a camera whose fixed pattern has been measured (`calibration`). Without a
    calibration all pixels count as equal: no dark current, response 1. Then only fusion and denoising reduce
    the fixed pattern.

    The network runs forward in time, and its result belongs to the last exposure. By default the 160 frames
    are around the centre frame. This suits still scenes and fits recordings of 200 frames, but the picture
    of a moving scene is 72 frames late. `ahead=9` puts the last exposure on the centre frame, and needs 150
    frames before it.

    The published weights give gamma-encoded brightness (a power of 1 / 2.2), for a simulator whose firing
    rate is the brightness. The output here is linear again: a firing rate, with negative values set to 0.

    Args:
        calibration: an `.npz` file for `read_calibration`, with maps of the size of the windows.
        ahead: how many of the frames are later than the centre frame, 0 to 159.
    """

    name: ClassVar[str] = "rsir"
    rank: ClassVar[int] = 80
    valid_rate: ClassVar[tuple[float, float]] = (0.015, 0.75)
    weights_source: ClassVar[str] = "https://github.com/BIT-Vision/RSIR"
    citation: ClassVar[str] = (
        "Zhu et al., Recurrent Spike-based Image Restoration under General Illumination, ACM MM 2023"
    )

    calibration: str | None = None
    ahead: int = 79

    def __post_init__(self) -> None:
        self.require("ahead", 0, FRAMES * STEPS - 1)

    @property
    def span(self) -> Span:
        """160 frames; `ahead` of them are later than the centre frame."""
        return FRAMES * STEPS - 1 - self.ahead, self.ahead

    def parameters(self) -> dict[str, Any]:
        """The parameters by name; the calibration as its sha256, because its content decides the image."""
        digest = None if self.calibration is None else self._calibration_digest(self.calibration)
        return super().parameters() | {"calibration": digest}

    def unavailable(self) -> str | None:
        """Why it cannot run: no weights, or no calibration file; None if it can."""
        if self.calibration is not None and not Path(self.calibration).is_file():
            return f"no calibration file `{self.calibration}`"
        return super().unavailable()

    network = RSIRNetwork

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        """(B, 160, H, W) to (B, H, W) spikes per frame, 0 or more.

        Raises:
            MethodError: the calibration cannot be read, or has another size.
        """
        dark, response = self._maps(spikes)
        exposures = torch.unflatten(spikes, 1, (STEPS, FRAMES)).mean(2) ** (1 / GAMMA)
        step = network(exposures[:, :1], dark, response, None)
        for index in range(1, STEPS):
            step = network(exposures[:, index : index + 1], dark, response, step.fused)
        return step.refined[:, 0].clamp(min=0) ** GAMMA

    def _maps(self, spikes: Tensor) -> tuple[Tensor, Tensor]:
        """Dark current and response of each pixel, (H, W) on the device of `spikes`."""
        size = spikes.shape[-2:]
        if self.calibration is None:
            return spikes.new_zeros(size), spikes.new_ones(size)
        dark, response = _calibration(self.calibration, self._calibration_digest(self.calibration))
        if dark.shape != size:
            raise MethodError(
                f"the calibration `{self.calibration}` has {dark.shape[0]}x{dark.shape[1]} pixels, "
                f"but the window has {size[0]}x{size[1]}",
                hint="use the calibration of the camera that made the recording",
            )
        return dark.to(spikes.device), response.to(spikes.device)

    def _calibration_digest(self, path: str) -> str:
        if not Path(path).is_file():
            raise MethodError(
                f"no calibration file `{path}`", hint="check the path, or leave out `calibration`"
            )
        return sha256_file(path)
