"""The policy file of a running program: changed under load, broken, and read again on SIGHUP."""

from __future__ import annotations

import itertools
import os
import signal
from collections import Counter
from pathlib import Path

from consumer.moderation.policy_file import read_policy
from consumer.service.lifecycle import ExitCode
from tests.conformance.ledger import all_committed, outputs_so_far, read_ledger
from tests.conformance.program import Program, until
from tests.conformance.test_delivery import comment
from tests.support.brokers import Broker
from tests.support.traffic import Topics, feeding


def put(path: Path, name: str, threshold: float, action: str) -> str:
    """Write a policy into place; return its digest."""
    text = f'name = "{name}"\n[default]\nthreshold = {threshold}\naction = "{action}"\n'
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)
    return read_policy(path.name, text.encode()).digest


def digest_in_force(program: Program) -> str:
    lines = program.get("/metrics")[1].splitlines()
    found = [line for line in lines if line.startswith("comment_consumer_policy_info{")]
    return found[0].split('digest="')[1].split('"')[0] if found else ""


def test_a_policy_is_changed_under_load_and_every_event_is_judged_by_one_alone(
    broker: Broker, topics: Topics, tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    strict = {put(path, "strict", 0.0, "hide"): (0.0, "hide")}
    with Program(broker.bootstrap, topics, policy__file=path, batch__max_comments=16) as program:
        with feeding(broker.bootstrap, topics.input, map(comment, itertools.count())):
            until(lambda: outputs_so_far(broker, topics) >= 100, 30, "at work", program)
            lax = {put(path, "lax", 1.0, "hide"): (1.0, "allow")}
            (digest,) = lax
            until(lambda: digest_in_force(program) == digest, 30, "under the new policy", program)

            path.write_text("name = ")
            refusals = "comment_consumer_policy_refusals_total"
            until(lambda: program.metric(refusals) == 1, 30, "refusing the broken file", program)
            assert digest_in_force(program) == digest
            so_far = outputs_so_far(broker, topics)
            until(lambda: outputs_so_far(broker, topics) >= so_far + 50, 30, "going on", program)

            third = {put(path, "third", 0.0, "review"): (0.0, "review")}
            program.process.send_signal(signal.SIGHUP)
            (digest,) = third
            until(lambda: digest_in_force(program) == digest, 30, "under the third policy", program)
            so_far = outputs_so_far(broker, topics)
            until(lambda: outputs_so_far(broker, topics) >= so_far + 50, 30, "going on", program)
        until(lambda: all_committed(broker, topics), 60, "committed to the end", program)
        assert program.stop() == ExitCode.DRAINED
    ledger = read_ledger(broker, topics)
    assert (ledger.missing, ledger.duplicates) == (0, 0)
    said = strict | lax | third
    judged: Counter[str] = Counter()
    for event in ledger.events:
        threshold, action = said[event["policy"]["digest"]]
        judged[event["policy"]["name"]] += 1
        assert {label["threshold"] for label in event["labels"]} == {threshold}
        assert event["action"] == action
        assert all(label["flagged"] == (label["score"] >= threshold) for label in event["labels"])
    assert min(judged[name] for name in ("strict", "lax", "third")) >= 50
