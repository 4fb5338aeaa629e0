"""How the process ends, seen from outside: a child is signalled and its exit status read."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from consumer.delivery import errors
from consumer.service.lifecycle import ExitCode

CHILD = """
import ctypes, signal, sys, time
from consumer.service.lifecycle import Ending
ending = Ending({seconds})
ending.install()
signal.signal(signal.SIGHUP, lambda number, frame: None)
print("up", flush=True)
while not ending.asked:
    time.sleep(0.01)
print("asked", flush=True)
{then}
ending.finished()
sys.exit(0)
"""
STUCK_IN_A_LIBRARY = """
mutex = ctypes.create_string_buffer(64)
ctypes.CDLL(None).pthread_mutex_lock(mutex)
ctypes.CDLL(None).pthread_mutex_lock(mutex)
"""  # no signal interrupts it


def start(then: str, seconds: float) -> subprocess.Popen[str]:
    code = CHILD.format(seconds=seconds, then=then)
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    return child


def wait_until_asked(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    assert child.stdout.readline() == "asked\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_and_a_process_that_drains_in_time_ends_with_0(number: signal.Signals):
    child = start("", 30)
    child.send_signal(number)
    wait_until_asked(child)
    _, err = child.communicate(timeout=20)
    assert (child.returncode, err) == (0, "")


def test_a_signal_that_asks_for_something_else_does_not_end_the_process():
    child = start("", 30)
    child.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.5)
    child.send_signal(signal.SIGTERM)
    wait_until_asked(child)
    _, err = child.communicate(timeout=20)
    assert (child.returncode, err) == (0, "")


def test_a_process_that_does_not_drain_in_time_is_ended_with_3_and_says_where_it_hung():
    child = start("time.sleep(60)", 0.2)
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=20)
    assert child.returncode == 3
    assert "delivery.drain_timeout" in err
    assert "Current thread" in err or "Thread 0x" in err


def test_a_second_signal_ends_it_at_once():
    child = start("time.sleep(60)", 60)
    child.send_signal(signal.SIGTERM)
    wait_until_asked(child)
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=20)
    assert child.returncode == -signal.SIGTERM


def stuck(seconds: float) -> subprocess.Popen[str]:
    code = CHILD.replace("while not ending.asked:", STUCK_IN_A_LIBRARY + "while not ending.asked:")
    child = subprocess.Popen(
        [sys.executable, "-c", code.format(seconds=seconds, then="")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    return child


def test_the_deadline_holds_even_if_the_main_thread_never_runs_the_handler():
    child = stuck(0.2)
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=20)
    assert child.returncode == 3


def test_so_does_the_second_signal():
    child = stuck(60)
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=20)
    assert child.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)


def test_an_end_of_its_own_starts_the_deadline_too_and_keeps_its_code():
    code = CHILD.format(seconds=0.2, then="").replace("while", "ending.begin(13)\ntime.sleep(60)\nwhile")
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert child.returncode == 13


def test_a_watchdog_that_is_called_off_before_anybody_asked_ends_too():
    code = CHILD.format(seconds=60, then="").replace("while", "ending.finished()\nsys.exit(0)\nwhile")
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (child.returncode, child.stderr) == (0, "")


def test_each_way_to_stop_has_its_own_exit_code():
    codes = [code.value for code in ExitCode]
    assert len(set(codes)) == len(codes)
    stops = {errors.DeliveryStopped, *errors.DeliveryStopped.__subclasses__(), *errors.SourceFailed.__subclasses__()}
    assert {stop.exit_code for stop in stops} == {1, 10, 11, 12, 13, 14}
    assert {stop.exit_code for stop in stops} <= set(codes)
