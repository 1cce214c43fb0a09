"""Firing rates frame by frame, from the intervals between spikes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.spikes.packed import PackedSpikes

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def interval_rates(spikes: PackedSpikes) -> Floats:
    """The firing rate of every pixel in every frame: one over the interval that the frame belongs to.

    An interval is the frames after a spike up to and with the next one. Before a pixel's first and after its
    last spike the interval is not closed; there the rate is that of the interval beside it, or less if not
    even one spike fits. A pixel with one spike has one over the number of frames everywhere, one without any
    0. Over whole intervals the mean is the number of spikes per frame, so counting adds no rounding.

    Returns:
        float32 (T, H, W), spikes per frame in [0, 1], top row first.
    """
    size = spikes.data.shape[1]
    rates = np.empty((len(spikes), size * 8), np.float32)
    _fill_rates(np.ascontiguousarray(spikes.data), rates)
    return np.ascontiguousarray(spikes.image(rates[:, : spikes.height * spikes.width]))


@compiled
def _fill_rates(data: Bytes, rates: Floats) -> None:
    """Rates (T, bytes * 8) of packed frames (T, bytes)."""
    count, size = data.shape
    spikes = np.empty(count, np.int64)
    for pixel in range(size * 8):
        byte, bit = pixel >> 3, pixel & 7
        found = 0
        for frame in range(count):
            if data[frame, byte] >> bit & 1:
                spikes[found] = frame
                found += 1
        if found < 2:
            rates[:, pixel] = np.float32(found) / count
            continue
        for index in range(1, found):
            start, stop = spikes[index - 1] + 1, spikes[index] + 1
            rates[start:stop, pixel] = np.float32(1) / (stop - start)
        first, last = spikes[0], spikes[found - 1]
        rates[: first + 1, pixel] = min(rates[first + 1, pixel], np.float32(1) / (first + 1))
        if last + 1 < count:
            rates[last + 1 :, pixel] = min(rates[last, pixel], np.float32(1) / (count - last))
