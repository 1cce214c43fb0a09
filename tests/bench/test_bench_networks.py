"""Speed of the networks in a build against the plain float32 modules, and what less precision costs.

`pytest -m bench -s tests/bench/test_bench_networks.py`, 2 minutes; one thread on 2 cores of an AMD EPYC with
AVX-512 and its bfloat16 instructions, with 1.6 runnable processes a core. Images a second of the plain module
image by image, of the build, and of autocast to bfloat16 in the layout channels last:

    96x96, untrained    plain   build   bf16
    wgse                1.05    1.07    1.92   differs by up to 1.4 % of the output's range
    spk2imgnet          0.384   0.394   -      deform_conv2d has no bfloat16 on a CPU
    ssml, full          2.04    2.04    3.60   0.7 %
    spikeformer         3.73    3.44    7.73   8.6 %
    rsir                3.82    3.79    5.30   2.6 %
    bsf                 0.400   0.422   -      deform_conv2d
    stir                9.11    9.14    15.3   0.6 %

    250x400, trained    plain   build   bf16
    base                4.74    4.70    8.20   NIQE of a picture moves by up to 0.04
    ssml, simple        0.662   0.707   1.09   0.07
    ssir                0.628   0.662   1.15   0.37

So on a CPU a build costs what the module costs, bfloat16 is 1.4 to 2.1 times as fast, and every network whose
score can be told moves by 0.03 to 0.4 in NIQE, enough to change winners: builds stay in float32. On a GPU the
same lines come out for the batches of a build, tf32 and bfloat16; no GPU was at hand.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hqgen.devices import one_thread
from hqgen.methods.learned.network import NetworkMethod
from hqgen.spikes.packed import Window
from hqgen.spikes.recording import open_recording
from tests.bench.networks import Images, network_method, niqe_change, rings, share_of_range, ways

pytestmark = pytest.mark.bench

UNTRAINED = ("wgse", "spk2imgnet", "ssml:variant=full", "spikeformer", "rsir", "bsf", "stir")
TRAINED = {"base": None, "ssml:variant=simple": "nbsn_83000_simple.pth", "ssir": "SSIR_e80.pth"}
"""Networks whose weights are at hand: those in `shared/weights`, and the shipped ones."""

REDS = ("200_part1_key_id151", "200_part3_key_id151", "203_part1_key_id151")
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=NO_GPU)]


def compare(method: NetworkMethod, windows: list[Window], cost: Callable[[Images, Images], str]) -> str:
    """One line: images a second of every way, and the cost of those of less precision."""
    first, *others = ways(method, windows)
    assert first.images is not None
    parts = [f"{first.name} {first.rate:.3g}/s"]
    for way in others:
        if way.images is None:
            parts.append(f"{way.name} cannot run: {way.reason}")
            continue
        if way.name == "as built":
            np.testing.assert_allclose(way.images, first.images, atol=1e-3 * float(np.ptp(first.images)))
        parts.append(f"{way.name} {way.rate:.3g} ({way.rate / first.rate:.2f}x)")
        if way.name != "as built":
            parts.append(cost(way.images, first.images))
    return ", ".join(parts)


def share_text(images: Images, exact: Images) -> str:
    return f"differs by {share_of_range(images, exact):.1%} of the range"


def niqe_text(images: Images, exact: Images) -> str:
    return f"NIQE moves by {niqe_change(images, exact):.3f}"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", UNTRAINED)
def test_networks_without_trained_weights(name: str, device: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(network_method(name).network().state_dict(), tmp_path / "fresh.pth")
    method = network_method(name, weights=str(tmp_path / "fresh.pth"), device=device)
    frames, count = sum(method.span) + 1, {"cpu": 1, "cuda": 8}[device]
    windows = [Window(rings(seed, (96, 96), frames), method.span[0]) for seed in range(count)]
    with one_thread():
        print(f"\n{name} on {device}, 96x96: {compare(method, windows, share_text)}, {load()}")


@pytest.mark.real
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", TRAINED)
def test_networks_with_trained_weights(name: str, device: str, shared: Path) -> None:
    file = TRAINED[name]
    method = network_method(name, weights=str(shared / "weights" / file) if file else None, device=device)
    folder = shared / "data" / "spike-reds" / "test" / "spike"
    recordings = [open_recording(folder / f"{stream}.dat", height=250, width=400) for stream in REDS]
    windows = [recording.window(150, *method.span) for recording in recordings]
    with one_thread():
        print(f"\n{name} on {device}, 250x400: {compare(method, windows, niqe_text)}, {load()}")


def load() -> str:
    """How busy the machine was, in runnable processes a core."""
    return f"load {os.getloadavg()[0] / (os.cpu_count() or 1):.1f} a core"
