from __future__ import annotations

import pytest
import torch
from torch import nn

from hqgen.errors import UsageError
from hqgen.training.hardware import hardware


def test_cpu_runs_eager_in_the_number_format_that_was_asked_for() -> None:
    for asked in (True, False):
        with hardware("cpu", bfloat16=asked) as place:
            assert (place.device.type, place.compiles, place.world, place.leads) == ("cpu", False, 1, True)
            network = place.place(nn.Conv2d(2, 2, 3))
            assert network.weight.is_contiguous(memory_format=torch.channels_last)
            with place.autocast():
                assert network(torch.rand(1, 2, 5, 5)).dtype == (torch.bfloat16 if asked else torch.float32)


def test_bfloat16_is_the_default_where_the_cpu_computes_in_it() -> None:
    with hardware("cpu") as place:
        assert place.bfloat16 == torch.cpu._is_avx512_bf16_supported()


@pytest.mark.skipif(torch.cuda.is_available(), reason="tthere is a GPU")
def test_device_that_is_not_there_is_named() -> None:
    with (
        pytest.raises(UsageError, match="the device `cuda:1` is not there"),
        hardware("cuda:1"),
    ):
        pass
