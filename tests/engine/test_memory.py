"""Memory that runs out says what to lower."""

import pytest
import torch

from decant.engine.memory import told_of_full_memory
from decant.recipe import TrainSettings


def test_the_allocator_of_the_cpu_is_understood() -> None:
    with (
        pytest.raises(MemoryError, match=r"out of memory: lower train\.batch_size, 64 now: .*=32 .*accumulate=4 takes"),
        told_of_full_memory(TrainSettings(accumulate=2)),
    ):
        torch.empty(1 << 60, dtype=torch.uint8)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried ..."),
        MemoryError(),
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"),
    ],
)
def test_every_kind_is_understood(error: Exception) -> None:
    with (
        pytest.raises(MemoryError, match=r"precision = \"bf16\" halves") as caught,
        told_of_full_memory(TrainSettings()),
    ):
        raise error
    assert caught.value.__cause__ is error


def test_what_helps_no_more_is_not_recommended() -> None:
    with pytest.raises(MemoryError) as caught, told_of_full_memory(TrainSettings(batch_size=1, precision="bf16")):
        raise MemoryError
    assert "batch_size" not in str(caught.value)
    assert "bf16" not in str(caught.value)


def test_other_faults_are_left_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), told_of_full_memory(TrainSettings()):
        raise RuntimeError("shapes do not fit")
