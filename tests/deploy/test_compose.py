"""The compose file: Compose accepts it, and it fits the program's own settings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from consumer.demo.feed import FeedSettings
from consumer.settings import Settings
from consumer.settings.loading import RUN, load

FILE = Path(__file__).parents[2] / "deploy" / "compose.yaml"


def compose() -> list[str] | None:
    """Compose as a part of docker, or the older program of its own."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        if subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    return None


def config(**variables: str) -> dict[str, Any]:
    """The file as Compose reads it: checked, and with variables put in."""
    command = compose()
    if command is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must try the compose file, but Compose is not installed")
        pytest.skip("needs Compose")
    own = set(re.findall(r"\$\{(\w+)", FILE.read_text("utf-8")))
    kept = {name: value for name, value in os.environ.items() if name not in own}
    done = subprocess.run(
        [*command, "--file", str(FILE), "config"],
        env={**kept, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


@cache
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))["services"]
    return found


def environment(service: str) -> dict[str, str]:
    return {name: str(value) for name, value in services()[service]["environment"].items()}


def seconds(duration: str) -> int:
    parts = {unit: int(number) for number, unit in re.findall(r"(\d+)(m|s)", duration)}
    return 60 * parts.get("m", 0) + parts.get("s", 0)


def test_compose_accepts_it() -> None:
    assert set(config()["services"]) == {"broker", "topics", "consumer", "producer"}


def test_another_broker_image_can_be_named() -> None:
    found = config(KAFKA_IMAGE="other/kafka:1")["services"]
    assert {found[name]["image"] for name in ("broker", "topics")} == {"other/kafka:1"}
    assert {config()["services"][name]["image"] for name in ("broker", "topics")} == {"confluentinc/cp-kafka:8.1.0"}


def test_the_consumers_variables_are_settings_and_complete() -> None:
    settings = load(Settings, [], environment("consumer"), RUN)
    assert settings.kafka.bootstrap_servers == "broker:29092"
    assert seconds(services()["consumer"]["stop_grace_period"]) > settings.delivery.drain_timeout


def test_the_producer_feeds_the_brokers_and_the_topic_that_the_consumer_reads() -> None:
    fed = load(FeedSettings, [], environment("producer"), RUN).kafka
    read = load(Settings, [], environment("consumer"), RUN).kafka
    assert (fed.bootstrap_servers, fed.input_topic) == (read.bootstrap_servers, read.input_topic)


def test_the_topics_that_are_made_are_those_that_are_needed() -> None:
    (script,) = services()["topics"]["command"]
    kafka = load(Settings, [], environment("consumer"), RUN).kafka
    assert set(re.findall(r"^create (\S+) \d+$", script, re.MULTILINE)) == {
        kafka.input_topic,
        kafka.output_topic,
        kafka.dead_letter_topic,
    }


def test_nothing_starts_before_what_it_needs_is_there() -> None:
    needs = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in services().items()
    }
    assert needs == {
        "broker": {},
        "topics": {"broker": "service_healthy"},
        "consumer": {"topics": "service_completed_successfully"},
        "producer": {"consumer": "service_healthy"},
    }
    assert "test" in services()["broker"]["healthcheck"]


@pytest.mark.parametrize("name", ["consumer", "producer"])
def test_the_program_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_no_port_is_open_to_other_hosts() -> None:
    ports = [port for service in services().values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
