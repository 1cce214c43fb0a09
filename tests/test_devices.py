from __future__ import annotations

import pytest
import torch

from hqgen.devices import exact_arithmetic, one_thread, resolve_device
from hqgen.errors import MethodError, UnknownNameError, UsageError


def test_unknown_device_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError) as error:
        resolve_device("tpu")
    assert "auto, cpu, cuda" in error.value.hint


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there_is_named_in_the_error_of_the_caller() -> None:
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    for name, error in (("cuda", MethodError), ("cuda:1", UsageError)):
        with pytest.raises(error, match=f"the device `{name}` is not there"):
            resolve_device(name, error)


def test_exact_arithmetic_restores_what_the_process_had_set() -> None:
    torch.set_float32_matmul_precision("high")
    try:
        with exact_arithmetic():
            assert torch.get_float32_matmul_precision() == "highest"
            assert torch.backends.cudnn.deterministic
            assert torch.is_inference_mode_enabled()
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_one_thread_restores_what_the_process_had_set() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
