from __future__ import annotations

import pytest
import torch

from consumer.classifier.engine import FailureKind
from consumer.classifier.failures import classify_error

OOM, LOST, TRANSIENT, INPUT = (
    FailureKind.OUT_OF_MEMORY,
    FailureKind.DEVICE_LOST,
    FailureKind.TRANSIENT,
    FailureKind.INPUT,
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), OOM),
        (MemoryError(), OOM),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), OOM),
        (RuntimeError("CUDA error: out of memory"), OOM),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), OOM),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"), TRANSIENT),
        (RuntimeError("CUDA error: device-side assert triggered"), LOST),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), LOST),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), LOST),
        (RuntimeError("cudaErrorECCUncorrectable"), LOST),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), INPUT),
        (IndexError("index out of range in self"), INPUT),
        (ValueError("a comment that talks of a CUDA error: out of memory"), INPUT),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_error_is_told_by_its_type_and_its_fixed_words(error, kind):
    assert classify_error(error) is kind


def test_an_allocation_that_the_cpu_refuses_is_out_of_memory():
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**60, dtype=torch.uint8)
    assert classify_error(refused.value) is OOM
