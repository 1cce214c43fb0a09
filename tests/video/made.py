"""A small moving scene for the tests of videos."""

from __future__ import annotations

import numpy as np

from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import ArrayRecording


def recording(length: int, height: int = 16, width: int = 24) -> ArrayRecording:
    """Random spikes, rarer on the left; frames differ."""
    rates = np.linspace(0.05, 0.8, width)
    spikes = np.random.default_rng(length).random((length, height, width)) < rates
    return ArrayRecording(PackedSpikes.pack(spikes), name="made.dat")
