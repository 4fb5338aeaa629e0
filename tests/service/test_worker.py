"""The whole program but for Kafka: settings in, the shipped demo model, labels out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.resources import files

import pytest
import structlog

from consumer.delivery.ports import Delivery, Sink
from consumer.delivery.records import Destination, Message
from consumer.delivery.row import Row
from consumer.service.lifecycle import Ending, ExitCode
from consumer.service.worker import Worker, run_worker
from consumer.settings import Settings
from consumer.settings.loading import BadSettings
from tests.service.fake_kafka import FakeKafka

MODEL = files("consumer.demo") / "model"
pytestmark = pytest.mark.skipif(not MODEL.is_dir(), reason="the demo model is not in this checkout")
COMMENTS = [json.dumps({"id": f"c{n}", "text": f"加油{n % 7}"}).encode() for n in range(60)]


class Told(Ending):
    """An ending that no signal reaches."""

    def __init__(self) -> None:
        super().__init__(30)
        self.late: list[int] = []

    def begin(self, late: int) -> None:
        self.late.append(late)


@pytest.fixture(autouse=True)
def _log_to_nowhere() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def settings(**groups: dict[str, object]) -> Settings:
    return Settings.model_validate(
        {
            "kafka": {"bootstrap_servers": "localhost:9092"},
            "http": {"enabled": False},
            "log": {"format": "json"},
            **groups,
            "model": {"source": str(MODEL), "preprocessing": "seed", "threads": 1, "device": "cpu"}
            | groups.get("model", {}),
        }
    )


def run(values: Sequence[bytes], capsys: pytest.CaptureFixture[str], **arguments: object):
    ending = Told()
    kafka = FakeKafka(values, ending, **arguments)  # type: ignore[arg-type]
    code = run_worker(settings(), ending, kafka.connect)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    return code, kafka, lines


def test_every_comment_is_labeled_once_stored_and_committed(capsys: pytest.CaptureFixture[str]):
    code, kafka, lines = run(COMMENTS, capsys)
    events = [json.loads(message.value or b"") for message in kafka.sent_to(Destination.LABELED)]
    assert code == ExitCode.DRAINED
    assert [event["comment_id"] for event in events] == [f"c{n}" for n in range(60)]
    assert {label["label"] for label in events[0]["labels"]} >= {"Cheer", "Chat"}
    assert kafka.committed == 60
    assert lines[-1]["event"] == "ended"


def test_what_was_published_is_acknowledged_and_committed_before_the_end(capsys: pytest.CaptureFixture[str]):
    code, kafka, _ = run(COMMENTS, capsys, hasty=True)
    assert code == ExitCode.DRAINED
    assert len(kafka.messages) == kafka.committed > 0


def test_the_last_summary_counts_everything_and_the_log_never_holds_a_comment(capsys: pytest.CaptureFixture[str]):
    values = [*COMMENTS, b"no json", json.dumps({"id": "s", "text": " "}).encode()]
    _, kafka, lines = run(values, capsys)
    summary = next(line for line in reversed(lines) if line["event"] == "summary")
    counts = {name: summary[name] for name in ("received", "completed", "labeled", "skipped", "dead_lettered")}
    assert counts == {"received": 62, "completed": 62, "labeled": 60, "skipped": 1, "dead_lettered": 1}
    assert len(kafka.sent_to(Destination.DEAD_LETTER)) == 1
    assert "加油" not in json.dumps(lines, ensure_ascii=False)


def test_a_refused_output_stops_it_with_its_own_exit_code_and_one_line(capsys: pytest.CaptureFixture[str]):
    code, kafka, lines = run(COMMENTS, capsys, delivery=Delivery.REFUSED)
    assert code == ExitCode.OUTPUT_REFUSED
    stopped = [line for line in lines if line["event"] == "stopped"]
    assert len(stopped) == 1
    assert "refused" in stopped[0]["reason"]
    assert (kafka.stored, kafka.closed) == (0, True)


def test_leaving_after_a_failure_has_a_deadline_that_keeps_the_exit_code():
    ending = Told()
    worker = Worker.build(settings(), ending, FakeKafka(COMMENTS, ending, delivery=Delivery.REFUSED).connect)
    worker.run()
    assert ending.late == [ExitCode.OUTPUT_REFUSED]


def test_a_missing_checkpoint_names_its_setting_before_kafka_is_touched():
    with pytest.raises(BadSettings, match=r"model\.source"):
        Worker.build(settings(model={"source": "/nowhere/at/all"}), Told(), FakeKafka([], Told()).connect)


def test_a_threshold_for_a_label_that_is_not_there_names_its_setting():
    with pytest.raises(BadSettings, match=r"policy\.thresholds.*Ghost"):
        Worker.build(settings(policy={"thresholds": {"Ghost": 0.1}}), Told(), FakeKafka([], Told()).connect)


@pytest.mark.parametrize(
    ("events", "named"),
    [({"mapping": "nowhere.toml"}, r"events\.mapping"), ({"fields": {"text": "id.text"}}, r"events\.fields")],
)
def test_a_wrong_mapping_names_its_setting_before_the_model_is_looked_for(events: dict[str, object], named: str):
    wrong = settings(events=events, model={"source": "/nowhere/at/all"})
    with pytest.raises(BadSettings, match=named):
        Worker.build(wrong, Told(), FakeKafka([], Told()).connect)


def test_ports_can_be_wrapped_so_that_a_test_can_stand_between_protocol_and_kafka():
    class Counting:
        def __init__(self, sink: Sink[Row]) -> None:
            self._sink = sink
            self.published = 0

        def publish(self, message: Message, receipt: Row) -> None:
            self.published += 1
            self._sink.publish(message, receipt)

        def acknowledgements(self, timeout: float):
            return self._sink.acknowledgements(timeout)

    ending = Told()
    kafka = FakeKafka(COMMENTS, ending)
    wrapped: list[Counting] = []

    def wrap(sink: Sink[Row]) -> Counting:
        wrapped.append(Counting(sink))
        return wrapped[-1]

    worker = Worker.build(settings(), ending, kafka.connect, wrap_sink=wrap)
    assert worker.run() == ExitCode.DRAINED
    assert wrapped[0].published == 60


def test_metrics_tell_what_happened_and_hold_only_known_label_values(capsys: pytest.CaptureFixture[str]):
    ending = Told()
    kafka = FakeKafka([*COMMENTS, b"no json"], ending)
    worker = Worker.build(settings(), ending, kafka.connect)
    worker.run()
    sample = worker.metrics.registry.get_sample_value
    assert sample("comment_consumer_received_records_total") == 61
    assert sample("comment_consumer_published_records_total", {"outcome": "dead_letter"}) == 1
    assert sample("comment_consumer_end_to_end_seconds_count") == 61
    assert sample("comment_consumer_end_to_end_seconds_bucket", {"le": "+Inf"}) == 61
    assert sample("comment_consumer_dead_lettered_records_total", {"stage": "decode", "type": "invalid_json"}) == 1
    assert sample("comment_consumer_labels_total", {"label": "Cheer"}) == sum(
        label["label"] == "Cheer" and label["flagged"]
        for message in kafka.sent_to(Destination.LABELED)
        for label in json.loads(message.value or b"")["labels"]
    )
    assert sample("comment_consumer_in_flight_records") == 0
    hits, repeats = sample("comment_consumer_cache_hits_total"), sample("comment_consumer_collapsed_comments_total")
    assert (hits or 0) + (repeats or 0) + (sample("comment_consumer_model_texts_total") or 0) == 60


def test_nothing_is_written_to_standard_output(capsys: pytest.CaptureFixture[str]):
    ending = Told()
    run_worker(settings(), ending, FakeKafka(COMMENTS[:1], ending).connect)
    assert capsys.readouterr().out == ""
