"""What is known about a sample beside its picture: the truth of a simulated one, and the spikes themselves.

The three measures leave the gain of a picture free, so that dark and bright rows can be compared. PSNR and
SSIM are of the output at the gain that brings it nearest to the truth (least squares), cut to [0, 1]; nothing
else is fitted, no black level either. Consistency is of the picture after the brightness rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hqgen.quality.consistency import consistency
from hqgen.quality.fidelity import at_best_gain, psnr, ssim
from hqgen.spikes.exposure import key_exposure
from hqgen.spikes.packed import PackedSpikes, Window
from spikeclip.data.lowlight import LowLightSet, LowLightSplit
from spikeclip.data.voxels import centre_crop
from spikeclip.evaluation.quality import Image, Score

TRUTH = ("psnr", "ssim")
"""The measures that need the truth."""

CONSISTENCY = "consistency"


@dataclass(frozen=True)
class Reference:
    """What one sample is compared with.

    Attributes:
        exposure: float32 (h, w), spikes counted around the middle frame.
        truth: float64 (h, w), the light at the middle frame, in [0, 1]; None where it is not known.
    """

    exposure: Image
    truth: NDArray[np.float64] | None

    def scores(self, image: Image, bright: NDArray[np.uint8] | str) -> dict[str, Score]:
        """Compare an output with it.

        Args:
            image: float32 (h, w) in any unit.
            bright: the picture that the brightness rule makes of it, or the reason why there is none.

        Returns:
            `consistency`, lower is better; where the truth is known, `psnr` in dB and `ssim`, higher is
            better.
        """
        if isinstance(bright, str):
            agreement = Score(np.inf, bright)
        else:
            value = float(consistency(bright[None], self.exposure)[0])
            agreement = Score(value, None if np.isfinite(value) else "no spike was counted around the frame")
        return {CONSISTENCY: agreement} | self._beside_truth(image)

    def _beside_truth(self, image: Image) -> dict[str, Score]:
        if self.truth is None:
            return {}
        if not np.isfinite(image).all():
            return dict.fromkeys(TRUTH, Score(np.inf, "some pixels are not finite"))
        fitted = at_best_gain(image, self.truth)
        decibels = psnr(fitted, self.truth)
        noise = Score(np.inf, "the picture is the truth") if decibels is None else Score(decibels)
        return {"psnr": noise, "ssim": Score(ssim(fitted, self.truth))}


def references(
    samples: LowLightSplit, indices: Sequence[int], packed: NDArray[np.uint8], crop: int | None
) -> list[Reference]:
    """What the middle squares of some samples, packed uint8 (B, T, bytes), are compared with."""
    height, width = samples.height, samples.width
    area = centre_crop(height, width, crop)
    truths = samples.truths(indices)
    lights = [None] * len(packed) if truths is None else [truth[area] / 255 for truth in truths]
    streams = [Window(PackedSpikes(stream, height, width), samples.frames // 2) for stream in packed]
    exposures = [key_exposure(stream)[area] for stream in streams]
    return [Reference(exposure, light) for exposure, light in zip(exposures, lights, strict=True)]


def missing_truth(low_light: LowLightSet) -> str:
    """Why a set knows no truth; empty where it does."""
    if low_light.truth is not None:
        return ""
    if "sensor" in low_light.made_from:
        return "it was simulated before clean pictures were kept: remove it and simulate it again"
    return "it was made of recordings, of which nobody knows the truth"
