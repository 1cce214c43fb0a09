"""Find the geometry of a file without a header from its bits alone.

A pixel that has fired is silent for a while. So the bits of the file, compared with themselves some bytes
later, agree less than elsewhere at just one frame. Frames of that length are added up, and the picture,
compared with itself some pixels later, agrees most at just one row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from hqgen.spikes.kernels import count_spikes
from hqgen.spikes.packed import PackedSpikes

BYTES = 1 << 20
"""Bytes of the file that are looked at: 80 frames of 250x400 pixels, 8 of 1000x1000."""

FRAMES = 41
SHORTEST_FRAME, NARROWEST = 256, 32
"""Bytes of the smallest frame, and columns of the narrowest row, that are looked for."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def discover(data: Bytes) -> tuple[int, int] | None:
    """Rows, and columns with any padding, of the frames in a file.

    Args:
        data: uint8 (bytes,), from the start of the file; more than the first MiB is not read.

    Returns:
        None where the bits do not show it: too few frames, too little light, no picture.
    """
    frame = _frame_bytes(data[:BYTES])
    if frame is None:
        return None
    count = min(FRAMES, len(data) // frame)
    counts = count_spikes(PackedSpikes(data[: count * frame].reshape(count, frame), 1, 8 * frame))
    width = _row(counts.reshape(-1).astype(np.float32))
    return None if width is None else (8 * frame // width, width)


def _agreement(sequence: Floats) -> Floats:
    """Mean product of a sequence and itself `lag` places later, for every lag up to half its length."""
    count = len(sequence)
    spectrum = rfft(sequence - sequence.mean(), next_fast_len(2 * count, real=True))
    power = irfft((spectrum * spectrum.conj()).real, next_fast_len(2 * count, real=True))[: count // 2]
    return np.asarray(power / (count - np.arange(len(power))), np.float32)


def _frame_bytes(data: Bytes) -> int | None:
    if len(data) < 4 * SHORTEST_FRAME:
        return None
    bits = np.unpackbits(data[:, None], axis=1).astype(np.float32)
    agreement = np.sum([_agreement(bits[:, bit]) for bit in range(8)], axis=0)
    around = (agreement[:-4] + agreement[1:-3] + agreement[3:-1] + agreement[4:]) / 4
    dip = np.zeros_like(agreement)
    dip[2:-2] = around - agreement[2:-2]
    dip[:SHORTEST_FRAME] = 0
    noise = 1.4826 * float(np.median(np.abs(dip[SHORTEST_FRAME:])))
    deepest = float(dip.max())
    if deepest <= 12 * noise:
        return None
    return int(np.argmax(dip > deepest / 2))  # the first of its multiples


def _row(counts: Floats) -> int | None:
    agreement = _agreement(counts)
    if agreement[0] <= 0:
        return None
    widths = [
        width
        for width in range(NARROWEST, len(agreement) - 8)
        if len(counts) % width == 0 and len(counts) // width >= NARROWEST
    ]
    peaks = {w: float(2 * agreement[w] - agreement[w - 8] - agreement[w + 8]) for w in widths}
    highest = max(peaks.values(), default=0)
    if highest <= 0.02 * agreement[0]:
        return None
    return next(w for w in widths if peaks[w] > highest / 2)  # the first of its multiples


def padding_columns(counts: Floats) -> int:
    """Columns at the end of the rows that do not belong to the picture, in whole bytes.

    Args:
        counts: float32 (H, W), spikes of each pixel.

    Returns:
        How many columns, a multiple of 8; 0 where the picture is too dim to say.
    """
    left, right = counts[:, :-1] - counts[:, :-1].mean(0), counts[:, 1:] - counts[:, 1:].mean(0)
    scale = np.sqrt((left**2).mean(0) * (right**2).mean(0))
    similar = np.divide((left * right).mean(0), scale, out=np.zeros_like(scale), where=scale > 0)
    usual = float(np.median(similar))
    if counts.shape[1] % 8 or usual < 0.2:
        return 0
    # Neighbours within each byte; those over the limit of two bytes belong to neither.
    parts = np.median(np.append(similar, usual).reshape(-1, 8)[:, :7], axis=1)
    outside = int(np.argmax(parts[::-1] >= 0.3 * usual))
    return 8 * outside if outside < len(parts) // 2 else 0
