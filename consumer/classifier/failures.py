"""What an exception out of PyTorch means for the batch that met it."""

from __future__ import annotations

import torch

from consumer.classifier.engine import FailureKind

_OUT_OF_MEMORY = (
    "out of memory",  # CUDA's, also where it does not come as torch.OutOfMemoryError
    "can't allocate memory",  # the CPU's allocator
    "cannot allocate memory",  # and the operating system's word for it
    "not enough memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)
_DEVICE_LOST = (
    "cuda error",  # after any of these the process's context answers nothing but errors
    "cuda driver error",
    "cudaerror",
    "cuda_error_",
    "device-side assert",
    "illegal memory access",
    "unspecified launch failure",
    "cublas_status_execution_failed",
    "cudnn_status_execution_failed",
)
# Initialising a library's handle fails when other work on the device leaves it no room for a moment.
_TRANSIENT = ("cublas_status_not_initialized", "cudnn_status_not_initialized")


def classify_error(error: BaseException) -> FailureKind:
    """Tell by type first and by the message's fixed words second; what nothing is known of may be the input's fault."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return FailureKind.OUT_OF_MEMORY
    accelerator_error = getattr(torch, "AcceleratorError", None)
    text = str(error).lower() if isinstance(error, RuntimeError) else ""
    if any(words in text for words in _OUT_OF_MEMORY):
        return FailureKind.OUT_OF_MEMORY
    if any(words in text for words in _TRANSIENT):
        return FailureKind.TRANSIENT
    if accelerator_error is not None and isinstance(error, accelerator_error):
        return FailureKind.DEVICE_LOST
    if any(words in text for words in _DEVICE_LOST):
        return FailureKind.DEVICE_LOST
    return FailureKind.INPUT
