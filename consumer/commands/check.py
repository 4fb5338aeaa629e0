"""``comment-consumer check``: try everything that ``run`` needs, change nothing."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence

import orjson

from consumer.checks.findings import Finding, Status, as_json, as_table, passed, remedies
from consumer.checks.judge import OUR_BATCH, Needs, judge
from consumer.commands.arguments import split
from consumer.commands.terminal import console
from consumer.kafka.grants import UNKNOWN_PRINCIPAL
from consumer.kafka.hosts import is_local
from consumer.settings import Settings
from consumer.settings.loading import BadSettings, Program, load

GOOD = 0
BAD = 1

_PURPOSE = (
    "Try settings, model folder, policy, brokers, TLS, topics and rights as run would use them, and label one batch. "
    "Nothing is written to a topic and nothing committed."
)


def check(arguments: Sequence[str]) -> int:
    """Check as the arguments say; return 0 if the consumer would run, else 1."""
    parser = argparse.ArgumentParser(
        prog="comment-consumer check",
        usage="comment-consumer check [--json] [the settings of run]",
        description=_PURPOSE,
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("-h", "--help", action="store_true", help="show this and the settings")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    own, rest = split(parser, arguments)
    program = Program("comment-consumer check [--json]", _PURPOSE)
    if own.help:
        print(parser.format_help() + "\nThe settings:\n")
        rest = ["--help"]
    try:
        settings = load(Settings, rest, os.environ, program)
    except BadSettings as wrong:
        findings = [Finding("settings", Status.FAILED, line) for line in wrong.lines]
    else:
        findings = [Finding("settings", Status.OK, "complete, and nothing unknown among them"), *_tried(settings)]
    _show(findings, as_one_object=own.json)
    return GOOD if passed(findings) else BAD


def _tried(settings: Settings) -> list[Finding]:
    # Only now: torch takes seconds to import, and a wrong setting is told at once.
    from confluent_kafka import KafkaException  # noqa: PLC0415

    from consumer.checks.cluster import ask_cluster  # noqa: PLC0415
    from consumer.checks.model import check_model  # noqa: PLC0415
    from consumer.checks.registry import check_registry  # noqa: PLC0415
    from consumer.kafka.config import LIBRARY_LOG, ConfigError  # noqa: PLC0415
    from consumer.kafka.errors import find_kafka_error  # noqa: PLC0415
    from consumer.kafka.login_errors import explain_refused_option  # noqa: PLC0415
    from consumer.service.kafka import connection_of, membership_of  # noqa: PLC0415
    from consumer.service.logs import configure_logging  # noqa: PLC0415
    from consumer.service.secret_rotation import exposed_files  # noqa: PLC0415

    configure_logging("error", "auto", sys.stderr)
    LIBRARY_LOG.setLevel(logging.CRITICAL)  # what goes wrong is told by the findings
    kafka = settings.kafka
    topics = (kafka.input_topic, kafka.output_topic, kafka.dead_letter_topic)
    try:
        facts = ask_cluster(connection_of(kafka), membership_of(kafka), topics)
    except ConfigError as error:
        cluster = [Finding("broker", Status.FAILED, f"kafka.extra: {error}")]
    except KafkaException as error:
        reason = find_kafka_error(error)
        said = reason.str() if reason is not None else type(error).__name__
        cluster = [Finding("broker", Status.FAILED, f"the client refuses a setting: {explain_refused_option(said)}")]
    else:
        cluster = judge(needs_of(settings), facts)
    exposed = [
        Finding(
            "secret files", Status.WARNING, f"{name}: every user of this machine may read {path}", f"chmod 400 {path}"
        )
        for name, path in exposed_files(kafka)
    ]
    return [*exposed, *check_model(settings), *cluster, *check_registry(settings)]


def needs_of(settings: Settings) -> Needs:
    """What the consumer will do with the cluster."""
    kafka = settings.kafka
    largest = min(_number(kafka.extra, "batch.size", OUR_BATCH), _number(kafka.extra, "message.max.bytes", OUR_BATCH))
    return Needs(
        topics=(
            ("kafka.input_topic", kafka.input_topic),
            ("kafka.output_topic", kafka.output_topic),
            ("kafka.dead_letter_topic", kafka.dead_letter_topic),
        ),
        group=kafka.group_id,
        bootstrap=kafka.bootstrap_servers,
        principal=f"User:{kafka.sasl_username}" if kafka.sasl_username else UNKNOWN_PRINCIPAL,
        security=kafka.security_protocol,
        local=all(map(is_local, kafka.hosts)),
        batch_bytes=largest,
        event_bytes=settings.events.max_bytes,
        with_text=settings.events.include_text,
    )


def _number(options: Mapping[str, object], name: str, default: int) -> int:
    try:
        return int(str(options.get(name, default)))
    except ValueError:
        return default


def _show(findings: Sequence[Finding], *, as_one_object: bool) -> None:
    if as_one_object:
        print(orjson.dumps(as_json(findings)).decode(), flush=True)
        return
    console().print(as_table(findings))
    if todo := remedies(findings):
        print("\nTo do:")
        for line in todo:
            print(f"  {line}")
    print(f"\n{_verdict(findings)}", flush=True)


def _verdict(findings: Sequence[Finding]) -> str:
    if not passed(findings):
        return "The consumer would not run like this."
    unknown = sum(finding.status is Status.UNKNOWN for finding in findings)
    return f"Nothing is wrong; {unknown} of {len(findings)} things could not be told." if unknown else "All is well."
