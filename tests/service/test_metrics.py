"""The catalogue, and how what happens gets into it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from consumer.classifier.runner import Tally
from consumer.delivery.batcher import CloseReason
from consumer.delivery.ports import Delivery
from consumer.delivery.records import Comment, Failure, Labeled, ModelIdentity, Skipped, Stage, Tombstone, Verdict
from consumer.events.encode import Judged
from consumer.moderation.policy import Policy
from consumer.service.health import Health
from consumer.service.metrics import LATENCY, MAX_TYPES, PREFIX, BulkHistogram, Metrics
from consumer.service.recorder import ModelRecorder, PolicyRecorder, Recorder

MODEL = ModelIdentity("seed", "abc", "00")


def labeled(*logits: float) -> Labeled:
    return Labeled(Comment("1", "text"), Verdict(logits, False, MODEL), 1.0)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture
def recorder(metrics: Metrics) -> Recorder:
    return Recorder(metrics, Health(lambda: 0.0), wall=lambda: 1000.0)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"{PREFIX}_{name}", labels)


def test_every_metric_is_described_and_has_base_units(metrics: Metrics):
    families = list(metrics.registry.collect())
    assert len(families) > 30
    for family in families:
        assert family.name.startswith(PREFIX)
        assert family.documentation.endswith(".")
        assert not family.name.endswith(("_ms", "_milliseconds", "_kb", "_mb"))


@given(st.lists(st.floats(0, 200), max_size=50), st.lists(st.floats(0, 200), max_size=50))
def test_a_bulk_histogram_says_what_an_ordinary_one_says(first: list[float], second: list[float]):
    bulk, plain = CollectorRegistry(), CollectorRegistry()
    histogram = BulkHistogram("age_seconds", "Age.", LATENCY, bulk)
    ordinary = Histogram("age_seconds", "Age.", buckets=LATENCY, registry=plain)
    for values in (first, second):
        histogram.observe(values)
        for each in values:
            ordinary.observe(each)
    for bound in [*LATENCY, float("inf")]:
        labels = {"le": "+Inf" if bound == float("inf") else repr(float(bound))}
        sample = "age_seconds_bucket"
        assert bulk.get_sample_value(sample, labels) == plain.get_sample_value(sample, labels)
    assert bulk.get_sample_value("age_seconds_count") == len(first) + len(second)
    assert bulk.get_sample_value("age_seconds_sum") == pytest.approx(sum(first) + sum(second))


def test_outcomes_are_counted_by_kind(metrics: Metrics, recorder: Recorder):
    comment = Comment("1", "")
    recorder.completed(
        [
            labeled(0.0, 2.0),
            labeled(-1.0, 3.0),
            Skipped(comment, "empty"),
            Tombstone(),
            Failure("invalid_json", "", Stage.DECODE),
        ],
        [0.1, 0.1, 0.2, 0.2, 0.2],
    )
    assert value(metrics, "end_to_end_seconds_count") == 5
    assert value(metrics, "published_records_total", outcome="labeled") == 2
    assert value(metrics, "published_records_total", outcome="tombstone") == 1
    assert value(metrics, "dead_lettered_records_total", stage="decode", type="invalid_json") == 1
    totals = recorder.totals
    assert (totals.labeled, totals.skipped, totals.tombstones, totals.dead_lettered) == (2, 1, 1, 1)


def test_what_the_policy_makes_of_comments_is_counted(metrics: Metrics):
    recorder = PolicyRecorder(metrics)
    recorder.judged(Judged({"A": 2, "B": 0}, {"allow": 1, "hide": 1}, 1))
    recorder.judged(Judged({"A": 1, "B": 1}, {"hide": 2}, 0))
    assert value(metrics, "labels_total", label="A") == 3
    assert value(metrics, "labels_total", label="B") == 1
    assert value(metrics, "actions_total", action="hide") == 3
    assert value(metrics, "actions_total", action="allow") == 1
    assert value(metrics, "audited_events_total") == 1


def test_only_the_policy_in_force_is_told(metrics: Metrics):
    recorder = PolicyRecorder(metrics)
    old, new = (Policy(name=name).compiled(("A",)) for name in ("old", "new"))
    recorder.in_force(old)
    recorder.in_force(new)
    recorder.refused()
    sample = metrics.registry.get_sample_value
    assert sample("comment_consumer_policy_info", {"name": "old", "digest": old.digest}) is None
    assert sample("comment_consumer_policy_info", {"name": "new", "digest": new.digest}) == 1
    assert value(metrics, "policy_refusals_total") == 1


def test_error_types_stay_a_bounded_set(metrics: Metrics):
    names = [metrics.error_type(f"Error{n}") for n in range(MAX_TYPES + 5)]
    assert names[-1] == "other"
    assert len(set(names)) == MAX_TYPES + 1
    assert metrics.error_type("Error0") == "Error0"


def test_lag_in_seconds_is_the_age_of_the_newest_record(metrics: Metrics, recorder: Recorder):
    recorder.received(3, 998_500)
    assert value(metrics, "lag_seconds") == 1.5
    recorder.received(1, None)
    assert value(metrics, "received_records_total") == 4


def test_batches_flow_and_rebalances_are_counted(metrics: Metrics, recorder: Recorder):
    recorder.batch_submitted(CloseReason.DEADLINE, rows=5, tokens=40, waited=0.05, distinct=2, cached=2, collapsed=1)
    recorder.flow_changed(True)
    recorder.rebalanced("revoked", 2)
    recorder.undelivered(Delivery.RETRY)
    recorder.dropped(4)
    recorder.completed([Tombstone(), Tombstone()], [0.1, 0.2])
    assert value(metrics, "batches_total", reason="deadline") == 1
    assert value(metrics, "batch_records_sum") == 5
    assert value(metrics, "cache_hits_total") == 2
    assert value(metrics, "paused") == 1
    assert value(metrics, "rebalances_total", kind="revoked") == 1
    assert value(metrics, "undelivered_messages_total", delivery="retry") == 1
    assert value(metrics, "dropped_records_total") == 4
    assert recorder.take_ages() == [0.1, 0.2]
    assert recorder.take_ages() == []


def test_an_assignment_makes_ready_and_a_refusal_unready(metrics: Metrics):
    health = Health(lambda: 0.0)
    recorder = Recorder(metrics, health, lambda labeled: [])
    health.model_is_warm()
    assert health.why_not_ready() == ["the group has given no assignment yet"]
    recorder.rebalanced("assigned", 0)
    assert health.why_not_ready() == []
    recorder.undelivered(Delivery.REFUSED)
    assert health.why_not_ready() == ["the producer has failed"]


def test_the_runners_tally_becomes_counters(metrics: Metrics):
    watcher = ModelRecorder(metrics, Health(lambda: 0.0))
    tally = Tally(forwards=1, out_of_memory=2, bisections=3)
    watcher.ran(8, 80, 0.1, tally)
    tally.out_of_memory = 5
    watcher.ran(8, 80, 0.1, tally)
    assert value(metrics, "out_of_memory_total") == 5
    assert value(metrics, "bisections_total") == 3
    assert value(metrics, "model_tokens_total") == 160
    assert value(metrics, "inference_seconds_count") == 2


def test_the_build_is_described(metrics: Metrics):
    metrics.describe_build("1.2.3", MODEL)
    assert value(metrics, "build_info", version="1.2.3", model="seed", revision="abc", digest="00") == 1
