"""How near simulated screens are to the one real recording: U-CALTECH's helicopter, and six pictures of ours.

The sensor is judged where the scene stands still, in the surround of the screen; the light by its levels. The
table shows what the picture decides (the spread of the screen, and the intervals where its texture drifts
past), but six pictures of ours are not the helicopter.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, median_filter

from hqgen.pictures import labelled_pictures
from hqgen.simulation.camera import preset
from spikeclip.data.screen import SCREENS, film

NAMES = ("helicopter", "faces", "car", "lotus", "camera", "dolphin")
SIDE = 250

Mask = NDArray[np.bool_]
Row = dict[str, float]


def box(*boxes: tuple[int, int, int, int]) -> Mask:
    mask = np.zeros((SIDE, SIDE), bool)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


def real(data_root: Path) -> Row:
    spikes = np.load(data_root / "u-caltech/helicopter_04144.npz")["spk"]
    surround = box((5, 15, 20, 140), (205, 232, 10, 90), (40, 180, 0, 8), (40, 180, 243, 250))
    return measured(spikes, surround, box((30, 185, 25, 235)))


def simulated(data_root: Path, screen: str, light: str) -> list[Row]:
    first = {item.label: item for item in reversed(labelled_pictures(data_root / "caltech101/test.zip"))}
    rows = []
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    for number, name in enumerate(NAMES):
        picture = np.asarray(first[name].gray(), np.float32) / np.float32(255)
        spikes = film(picture, (SIDE, SIDE), 200, preset(light), SCREENS[screen], seed=[0, number]).spikes
        scale = SCREENS[screen].size * SIDE / max(picture.shape)
        down, across = (side * scale / 2 for side in picture.shape)
        inner = (abs(y) < down - 12) & (abs(x) < across - 12)
        outer = (abs(y) > down + 12) | (abs(x) > across + 12)
        rows.append(measured(spikes.frames(), outer, inner))
    return rows


def measured(spikes: NDArray[np.uint8], surround: Mask, screen: Mask) -> Row:
    rate = spikes.mean(0)
    slow, per_frame = gaussian_filter(rate, 6)[surround], spikes[:, screen].mean(1)
    steps = per_frame - per_frame.mean()
    energy = abs(np.fft.rfft(steps * np.hanning(len(steps)))[1:]) ** 2
    binomial = np.sqrt(per_frame.mean() * (1 - per_frame.mean()) / screen.sum())
    return {
        "mean rate": rate.mean(),
        "screen: rate": rate[screen].mean(),
        "screen: spread of the smoothed rate": gaussian_filter(rate, 2)[screen].std(),
        "surround: rate": rate[surround].mean(),
        "surround: 2 to 98 % of the smoothed rate": float(np.ptp(np.quantile(slow, [0.02, 0.98]))),
        "surround: fixed pattern": fixed_pattern(spikes, surround),
        "surround: interval CV": interval_cv(spikes, surround),
        "screen: interval CV": interval_cv(spikes, screen),
        "screen: noise of frames over binomial": steps.std() / binomial,
        "screen: largest share of a frequency": energy.max() / energy.sum(),
        "screen: correlation of frames at lag 1": float((steps[1:] * steps[:-1]).mean() / (steps**2).mean()),
    }


def fixed_pattern(spikes: NDArray[np.uint8], mask: Mask) -> float:
    """Spread of the pixels' rates by time about their neighbours' median; without quantisation of counts."""
    counts = spikes.sum(0, dtype=np.int64)
    first, last = spikes.argmax(0), len(spikes) - 1 - spikes[::-1].argmax(0)
    rate = np.where(counts >= 2, (counts - 1) / np.maximum(last - first, 1), 0)
    relative = (rate / np.maximum(median_filter(rate, 7), 1e-9))[mask]
    return float(1.4826 * np.median(abs(relative - np.median(relative))))


def interval_cv(spikes: NDArray[np.uint8], mask: Mask) -> float:
    intervals = [np.diff(np.flatnonzero(pixel)) for pixel in spikes[:, mask].T]
    return float(np.median([item.std() / item.mean() for item in intervals if len(item) >= 3]))


@pytest.mark.bench
@pytest.mark.real
def test_screens_beside_the_helicopter(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found: Mapping[str, list[Row]] = {
        "helicopter": [real(data_root)],
        "plain, low": simulated(data_root, "plain", "low"),
        "glass, uhsr": simulated(data_root, "glass", "uhsr"),
    }
    with capsys.disabled():
        print(f"\n{'':42}" + "".join(f"{name:>26}" for name in found))
        for key in found["helicopter"][0]:
            cells = [np.array([row[key] for row in rows]) for rows in found.values()]
            shown = [
                f"{cell.mean():.4f}" + (f" ({cell.min():.4f}-{cell.max():.4f})" if len(cell) > 1 else "")
                for cell in cells
            ]
            print(f"{key:42}" + "".join(f"{text:>26}" for text in shown))
