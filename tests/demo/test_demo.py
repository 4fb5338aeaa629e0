"""The demo as a user starts it: every process is real."""

import json
import os
import subprocess
import sys
import time

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

DEMO = [sys.executable, "-c", "import sys; from consumer.commands.main import main; sys.exit(main())", "demo"]


def test_five_thousand_comments_come_out_once_each_within_half_a_minute():
    started = time.monotonic()
    ended = subprocess.run([*DEMO, "--comments", "5000", "--json"], capture_output=True, text=True, check=False)
    took = time.monotonic() - started
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told["consumed"] == 5000 == told["labeled"] + told["skipped"] + told["dead_lettered"]
    assert told["dead_lettered"] == 10
    assert told["duplicate_outputs"] == told["missing"] == 0
    assert told["cache_hits"] > 0
    assert took < 30


def test_settings_of_the_users_own_deployment_do_not_reach_the_demo():
    theirs = {**os.environ, "CONSUMER_KAFKA__BOOTSTRAP_SERVERS": "elsewhere:9092", "CONSUMER_CONFIG": "/nowhere"}
    ended = subprocess.run([*DEMO, "--comments", "50"], capture_output=True, text=True, check=False, env=theirs)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1].startswith("50 comments in ")


def test_the_program_ends_when_the_demo_that_started_it_is_gone():
    program = (
        "import runpy, time, consumer.commands.main as commands;"
        "commands.main = lambda: (print('up', flush=True), time.sleep(60));"
        "runpy.run_module('consumer.demo.leash', run_name='__main__')"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    assert process.poll() is None
    process.stdin.close()
    assert process.wait(20) == -15
    process.stdout.close()
