"""The machine that is measured: which CPUs, how busy, and what a process or a container used of them."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil


@contextmanager
def spawning_on(cpus: Sequence[int]) -> Iterator[None]:
    """Processes started inside run on these CPUs, and see no others."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin_container(container: str, cpus: Sequence[int]) -> None:
    """Hold a running container to these CPUs."""
    subprocess.run(
        ["docker", "update", "--cpuset-cpus", ",".join(map(str, cpus)), container], check=True, capture_output=True
    )


def container_pid(container: str) -> int:
    """The process that a container began with, as the host numbers it."""
    shown = subprocess.run(
        ["docker", "inspect", "-f", "{{.State.Pid}}", container], check=True, capture_output=True, text=True
    )
    return int(shown.stdout)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its children until now."""
    root = psutil.Process(pid)
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def busy_seconds(cpus: Sequence[int]) -> float:
    """Time that these CPUs have worked for anybody until now."""
    times = psutil.cpu_times(percpu=True)
    return sum(sum(times[cpu]) - times[cpu].idle - times[cpu].iowait for cpu in cpus)


def sent_bytes(pid: int) -> int:
    """Bytes that the network namespace of a process has sent, loopback left out."""
    lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    return sum(int(line.split(":")[1].split()[8]) for line in lines if not line.strip().startswith("lo:"))


def describe() -> str:
    """The machine in one line."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    return f"{model}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {platform.system()}"


def load_average() -> float:
    """Runnable processes over the last minute."""
    return os.getloadavg()[0]
