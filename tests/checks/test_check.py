"""``comment-consumer check`` on both brokers, in this process."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from confluent_kafka import Consumer

from consumer.checks import cluster
from consumer.commands.check import check
from consumer.events.shipped import mapping_names
from consumer.kafka.config import LIBRARY_LOG
from tests.support.brokers import Broker
from tests.support.traffic import Topics, committed, end_offsets, unique_topics

MODEL = Path(__file__).resolve().parents[2] / "consumer" / "demo" / "model"

Checked = Callable[..., tuple[int, dict[str, dict[str, Any]]]]


@pytest.fixture
def checked(
    request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Checked]:
    """The command's exit code and its findings; logging is put back afterwards."""
    root = logging.getLogger()
    logs = (root.handlers[:], root.level, structlog.get_config())
    library_level = LIBRARY_LOG.level
    monkeypatch.delenv("CONSUMER_CONFIG", raising=False)
    if request.cls is TestWithoutABroker:
        monkeypatch.setattr(cluster, "ASK_TIMEOUT", 0.5)

    def run(*arguments: object, model: object = MODEL) -> tuple[int, dict[str, dict[str, Any]]]:
        code = check(["--json", *map(str, arguments), "--model.source", str(model), "--model.threads", "1"])
        said = json.loads(capfd.readouterr().out)
        assert said["ok"] is (code == 0)
        return code, {each["check"]: each for each in said["checks"]}

    yield run
    root.handlers[:], level, config = logs
    root.setLevel(level)
    LIBRARY_LOG.setLevel(library_level)
    structlog.configure(**config)


def flags(broker: Broker, topics: Topics) -> list[str]:
    return [
        *("--kafka.bootstrap-servers", broker.bootstrap, "--kafka.group-id", topics.group),
        *("--kafka.input-topic", topics.input, "--kafka.output-topic", topics.output),
        *("--kafka.dead-letter-topic", topics.dead_letters),
    ]


class TestWithABroker:
    def test_what_is_there_passes_and_nothing_is_left_behind(self, broker: Broker, topics: Topics, checked: Checked):
        code, found = checked(*flags(broker, topics))
        assert code == 0, found
        assert {name for name, each in found.items() if each["status"] in ("failed", "warning")} == set()
        for name in ("settings", "model", "policy", "dry run", "broker", f"topic {topics.input}"):
            assert found[name]["status"] == "ok", found[name]
        assert found[f"right Read topic {topics.input}"]["detail"].startswith("tried")
        if broker.kind == "real":
            assert {each["status"] for each in found.values()} == {"ok"}
            assert found[f"right Read group {topics.group}"]["detail"].startswith("tried: joined")
        for topic in (topics.input, topics.output, topics.dead_letters):
            assert end_offsets(broker.bootstrap, topic, 1) == {0: 0}
        assert set(committed(broker.bootstrap, topics.group, topics.input, 4).values()) == {-1001}

    def test_missing_topics_are_named_and_not_made(self, broker: Broker, checked: Checked):
        names = unique_topics()
        broker.create_topic(names.output, 1)
        code, found = checked(*flags(broker, names))
        assert code == 1
        failed = {name for name, each in found.items() if each["status"] == "failed"}
        assert failed == {f"topic {names.input}", f"topic {names.dead_letters}"}
        assert "kafka.input_topic" in found[f"topic {names.input}"]["detail"]
        assert checked(*flags(broker, names))[0] == 1


@pytest.mark.broker
@pytest.mark.container
def test_a_group_that_is_at_work_is_not_disturbed(container_broker: Broker, checked: Checked):
    names = unique_topics()
    for topic in (names.input, names.output, names.dead_letters):
        container_broker.create_topic(topic, 1)
    member = Consumer({"bootstrap.servers": container_broker.bootstrap, "group.id": names.group})
    told: list[object] = []
    member.subscribe([names.input], on_assign=lambda *_: told.append("assigned"), on_revoke=lambda *_: told.append("x"))
    try:
        while not told:
            member.poll(0.1)
        code, found = checked(*flags(container_broker, names))
        member.poll(0.1)
        assert code == 0
        assert "rebalance" in found[f"right Read group {names.group}"]["detail"]
        assert told == ["assigned"]
    finally:
        member.close()


NOWHERE = ("--kafka.bootstrap-servers", "127.0.0.1:1")


class TestWithoutABroker:
    def test_a_broker_that_does_not_answer_fails_and_the_model_is_checked_all_the_same(self, checked: Checked):
        code, found = checked(*NOWHERE, "--policy.name", "mine")
        assert code == 1
        assert {name for name, each in found.items() if each["status"] == "failed"} == {"broker"}
        assert "refused" in found["broker"]["detail"]
        assert found["dry run"]["status"] == "ok"
        assert found["policy"]["detail"].startswith("mine")

    @pytest.mark.parametrize(
        ("setting", "value", "check"),
        [
            ("--model.label-names", "A,B", "model"),
            ("--policy.thresholds", '{"Nonsense": 0.5}', "policy"),
            ("--events.mapping", "nowhere.toml", "mapping"),
            ("--events.fields", '{"text": "id.text"}', "mapping"),
            ("--events.fields", '{"text": "a..b"}', "settings"),
            ("--batch.max-comments", "0", "settings"),
        ],
    )
    def test_what_is_wrong_is_found_where_it_is(self, checked: Checked, setting: str, value: str, check: str):
        code, found = checked(*NOWHERE, setting, value)
        assert code == 1
        assert found[check]["status"] == "failed"
        assert setting.lstrip("-").split(".")[0] in found[check]["detail"]

    def test_the_dry_run_goes_through_the_fields_that_the_settings_name(self, checked: Checked):
        _, found = checked(*NOWHERE, "--events.fields", '{"text": "snippet.text", "id": "snippet.id"}')
        assert found["dry run"]["status"] == "ok"

    @pytest.mark.parametrize("mapping", mapping_names())
    def test_the_dry_run_goes_through_every_shipped_mapping(self, checked: Checked, mapping: str):
        _, found = checked(*NOWHERE, "--events.mapping", mapping, "--events.cloudevents", "binary")
        assert found["dry run"]["status"] == "ok", found["dry run"]
        assert "text at " in found["mapping"]["detail"]

    def test_a_wrong_mapping_is_told_without_waiting_for_the_model(self, checked: Checked):
        _, found = checked(*NOWHERE, "--events.mapping", "nowhere.toml")
        assert {found[name]["status"] for name in ("model", "policy", "dry run")} == {"not known"}

    def test_people_get_a_table_and_what_to_do(self, capfd: pytest.CaptureFixture[str], checked: Checked):
        assert check([*NOWHERE, "--model.source", str(MODEL / "nothing")]) == 1
        shown = capfd.readouterr().out
        assert "broker" in shown
        assert "failed" in shown
        assert "would not run like this" in shown
