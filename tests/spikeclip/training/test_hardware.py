from __future__ import annotations

import pytest
import torch
from torch import nn

from hqgen.errors import UsageError
from spikeclip.training.hardware import hardware
from spikeclip.training.settings import CoarseSettings, TrainSettings


def test_cpu_runs_eager_in_the_number_format_that_was_asked_for() -> None:
    for asked in (True, False):
        with hardware(TrainSettings(device="cpu", bfloat16=asked)) as here:
            assert (here.device.type, here.compiles, here.world, here.leads) == ("cpu", False, 1, True)
            network = here.place(nn.Conv2d(2, 2, 3))
            assert network.weight.is_contiguous(memory_format=torch.channels_last)
            with here.autocast():
                assert network(torch.rand(1, 2, 5, 5)).dtype == (torch.bfloat16 if asked else torch.float32)


def test_bfloat16_is_the_default_where_the_cpu_computes_in_it() -> None:
    with hardware(TrainSettings(device="cpu")) as here:
        assert here.bfloat16 == torch.cpu._is_avx512_bf16_supported()


def test_batch_without_equal_shares_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    settings = TrainSettings(device="cpu", coarse=CoarseSettings(batch=8), stages=("coarse",))
    with (
        pytest.raises(UsageError, match="the batch of stage `coarse`, 8, has no equal shares for 3"),
        hardware(settings),
    ):
        pass


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_device_that_is_not_there_is_named() -> None:
    with (
        pytest.raises(UsageError, match="the device `cuda:1` is not there"),
        hardware(TrainSettings(device="cuda:1")),
    ):
        pass
