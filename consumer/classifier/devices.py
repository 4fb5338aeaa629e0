"""Which device, dtype and number of threads a model runs with."""

from __future__ import annotations

import os
from pathlib import Path

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Settings' names of dtypes."""


def choose_device(name: str) -> torch.device:
    """The device of this name; ``auto`` is CUDA where there is one.

    Raises:
        ValueError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"no device is called {name!r}; use auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device {name!r} is not supported; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not (torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()):
        raise ValueError(f"device {name!r} is not here; this process sees {torch.cuda.device_count()} CUDA devices")
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of this name; ``auto`` is the fastest that the device has in hardware.

    On a CPU that is bfloat16 with AVX512-BF16 or AMX, else float32; on CUDA bfloat16, else float16.

    Raises:
        ValueError: no such dtype, or not on this device.
    """
    if name == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
        return torch.bfloat16 if _cpu_has_bfloat16() else torch.float32
    if name not in DTYPES:
        raise ValueError(f"no dtype is called {name!r}; use auto, {', '.join(DTYPES)}")
    if device.type == "cpu" and name == "float16":
        raise ValueError("float16 is slow and inexact on a CPU; use auto, float32 or bfloat16")
    return DTYPES[name]


def dtype_name(dtype: torch.dtype) -> str:
    """A dtype's name as the settings give it."""
    return str(dtype).removeprefix("torch.")


def _cpu_has_bfloat16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def available_threads(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """How many threads may run at once: the CPU affinity, or the container's quota where that is less; at least 1.

    A quota of 1.5 CPUs gives 1: a thread too many is throttled together with all others.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, min(cpus, int(quota))) if quota is not None else cpus


def _quota(cgroup: Path) -> float | None:
    """CPUs that the control group allows, or ``None``: version 2 first, then version 1."""
    try:
        allowed, period = (cgroup / "cpu.max").read_text("ascii").split()
        return None if allowed == "max" else int(allowed) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        pass
    for controller in ("cpu", "cpu,cpuacct"):
        try:
            allowed = (cgroup / controller / "cpu.cfs_quota_us").read_text("ascii")
            period = (cgroup / controller / "cpu.cfs_period_us").read_text("ascii")
            return None if int(allowed) <= 0 else int(allowed) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None
