from __future__ import annotations

import os

import pytest
import torch

from consumer.classifier import devices
from consumer.classifier.devices import available_threads, choose_device, choose_dtype

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("files", "threads"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "6400000 100000\n"}, 8),
        ({"cpu.max": "nonsense"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
    ],
    ids=str,
)
def test_threads_are_what_the_containers_quota_allows(tmp_path, monkeypatch, files, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert available_threads(tmp_path) == threads


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": False, "avx2": True}, torch.float32),
        ({}, torch.float32),
    ],
    ids=str,
)
def test_a_cpu_runs_in_bfloat16_where_it_has_it_in_hardware(monkeypatch, capabilities, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_dtype("auto", CPU) is dtype


@pytest.mark.parametrize(("capability", "dtype"), [((9, 0), torch.bfloat16), ((7, 0), torch.float16)])
def test_a_cuda_device_runs_in_bfloat16_or_else_float16(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_dtype("auto", CUDA) is dtype


def test_a_named_dtype_is_taken_by_its_name():
    assert choose_dtype("float32", CUDA) is torch.float32
    assert devices.dtype_name(torch.bfloat16) == "bfloat16"


@pytest.mark.parametrize(("name", "message"), [("float16", "slow and inexact"), ("int4", "no dtype is called")])
def test_a_dtype_that_does_not_suit_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        choose_dtype(name, CPU)


@pytest.mark.parametrize("name", ["toaster", "meta", "cuda:99"])
def test_a_device_that_is_not_here_is_refused(name):
    with pytest.raises(ValueError, match="device"):
        choose_device(name)
