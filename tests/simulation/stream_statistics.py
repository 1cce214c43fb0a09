"""What a spike stream looks like, in the numbers by which sensors and simulators are compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.spikes.packed import PackedSpikes

Floats = NDArray[np.float64]

_TILE = 10
_FLAT_TILES = 0.25


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """Statistics of one stream. They describe the sensor where the scene stands still.

    Attributes:
        rate: mean firing rate, spikes per frame.
        rate_low: its 1st percentile over the pixels.
        rate_high: its 99th percentile.
        interval_cv: median over the pixels of their intervals' standard deviation divided by their mean.
        interval_deviation: median over the pixels of that standard deviation, frames.
        fixed_pattern: spread of the pixels' rates about their neighbours' median, as a share, in the quarter
            of the tiles where it is smallest: there the scene adds least.
        hot_share: share of pixels that fire more than twice as often as the median of their neighbourhood.
        flicker: (spikes of even frames - spikes of odd frames) / all spikes, from as many of each.

    Where no pixel has the spikes that a number needs, it is NaN.
    """

    rate: float
    rate_low: float
    rate_high: float
    interval_cv: float
    interval_deviation: float
    fixed_pattern: float
    hot_share: float
    flicker: float


def stream_statistics(spikes: PackedSpikes) -> StreamStatistics:
    """Measure a stream in one pass over its packed bits.

    Intervals are those of pixels with at least 4 spikes. The fixed pattern is taken of rates by the time
    between a pixel's first and last spike, because counts are quantised: at 3 to 12 spikes that alone would
    spread them by 10 to 30 %.

    Raises:
        ValueError: the stream has no frame or no pixel.
    """
    if 0 in spikes.shape:
        raise ValueError(f"a stream of the shape {spikes.shape} has no statistics")
    count, first, last, squares = (np.zeros(spikes.height * spikes.width, kind) for kind in "qqqd")
    per_frame = np.zeros(len(spikes), np.int64)
    _accumulate(spikes.data, count, first, last, squares, per_frame)
    rate = count / len(spikes)
    mean, deviation = _intervals(count, last - first, squares)
    many = count >= 4
    low, high = np.percentile(rate, (1, 99))
    by_time = np.divide(count - 1, last - first, out=np.full(len(rate), np.nan), where=count >= 2)
    return StreamStatistics(
        rate=float(rate.mean()),
        rate_low=float(low),
        rate_high=float(high),
        interval_cv=_median((deviation / mean)[many]),
        interval_deviation=_median(deviation[many]),
        fixed_pattern=_fixed_pattern(by_time.reshape(spikes.shape[1:])),
        hot_share=float(np.mean(rate > 2 * _neighbourhood(rate.reshape(spikes.shape[1:])).ravel())),
        flicker=_flicker(per_frame),
    )


def _intervals(count: NDArray[np.int64], time: NDArray[np.int64], squares: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each pixel's intervals; 1 and 0 for pixels without any."""
    number = np.maximum(count - 1, 1)
    mean = np.where(count >= 2, time, number) / number
    variance = np.where(count >= 2, squares / number - mean**2, 0)
    return mean, np.sqrt(np.maximum(variance, 0))


def _median(values: Floats) -> float:
    return float(np.median(values)) if values.size else float("nan")


def _neighbourhood(image: Floats) -> Floats:
    from scipy.ndimage import median_filter

    filtered: Floats = median_filter(image, 5)
    return filtered


def _fixed_pattern(rate: Floats) -> float:
    rows, columns = (side // _TILE for side in rate.shape)
    local = _neighbourhood(np.nan_to_num(rate))
    relative = np.divide(rate, local, out=np.full(rate.shape, np.nan), where=local > 0)
    tiles = relative[: rows * _TILE, : columns * _TILE].reshape(rows, _TILE, columns, _TILE).swapaxes(1, 2)
    tiles = tiles.reshape(rows * columns, _TILE * _TILE)
    tiles = tiles[np.isfinite(tiles).sum(axis=1) > 0.8 * _TILE * _TILE]
    if not len(tiles):
        return float("nan")
    centred = np.abs(tiles - np.nanmedian(tiles, axis=1, keepdims=True))
    # 1.4826: from a median absolute deviation to the standard deviation of a normal distribution; hot pixels,
    # which have a number of their own, do not move it
    return float(np.quantile(1.4826 * np.nanmedian(centred, axis=1), _FLAT_TILES))


def _flicker(per_frame: NDArray[np.int64]) -> float:
    pairs = per_frame[: len(per_frame) // 2 * 2].reshape(-1, 2).sum(axis=0)
    total = int(pairs.sum())
    return float((pairs[0] - pairs[1]) / total) if total else float("nan")


@compiled
def _accumulate(
    data: NDArray[np.uint8],
    count: NDArray[np.int64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    squares: Floats,
    per_frame: NDArray[np.int64],
) -> None:
    for time in range(data.shape[0]):
        for place in range(data.shape[1]):
            byte = data[time, place]
            for bit in range(8):
                if byte >> bit & 1:
                    pixel = 8 * place + bit
                    if count[pixel] == 0:
                        first[pixel] = time
                    else:
                        squares[pixel] += (time - last[pixel]) ** 2
                    last[pixel] = time
                    count[pixel] += 1
                    per_frame[time] += 1
