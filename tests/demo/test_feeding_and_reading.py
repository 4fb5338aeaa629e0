import itertools
import json
import queue
import time

import pytest
from confluent_kafka import Producer

from consumer.demo.audit import Coordinates
from consumer.demo.feeder import Feeder
from consumer.demo.readback import ReadBack
from consumer.demo.traffic import Fate, events
from schemas.dead_letter import SOURCE_OFFSET_HEADER, SOURCE_PARTITION_HEADER


def feeder(bootstrap, count, ahead, rate=None):
    fed = queue.SimpleQueue()
    return Feeder(bootstrap, "in", itertools.islice(events(1), count), rate=rate, ahead=ahead, fed=fed), fed


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_every_event_is_told_with_where_it_lies(bootstrap):
    feeding, fed = feeder(bootstrap, 300, ahead=1000)
    feeding.start()
    feeding.join()
    told = [fed.get() for _ in range(fed.qsize())]
    assert feeding.failure is None
    assert len({item.source for item in told}) == 300
    # authors are spread over the partitions, offsets have no gaps
    for number in {item.source.partition for item in told}:
        offsets = sorted(item.source.offset for item in told if item.source.partition == number)
        assert offsets == list(range(len(offsets)))
    assert len({item.source.partition for item in told}) == 4


def test_the_feeder_stays_within_its_distance_until_events_are_answered(bootstrap):
    feeding, fed = feeder(bootstrap, 300, ahead=50)
    feeding.start()
    until(lambda: fed.qsize() == 50)
    feeding.join(0.3)
    assert fed.qsize() == 50
    feeding.answered(20)
    until(lambda: fed.qsize() == 70)
    feeding.answered(230)
    feeding.join(20)
    assert fed.qsize() == 300


def test_a_feeder_that_waits_for_room_can_be_stopped(bootstrap):
    feeding, fed = feeder(bootstrap, 300, ahead=5)
    feeding.start()
    until(lambda: fed.qsize() == 5)
    feeding.stop()
    feeding.join(5)
    assert not feeding.is_alive()
    assert feeding.failure is None


def test_events_are_spread_over_time_at_the_rate(bootstrap):
    feeding, fed = feeder(bootstrap, 100, ahead=1000, rate=100.0)
    feeding.start()
    feeding.join()
    at = [fed.get().at for _ in range(100)]
    assert max(at) - min(at) == pytest.approx(0.99, abs=0.15)


def labeled(offset, status="labeled"):
    labels = [{"label": "Game", "flagged": True}, {"label": "Chat", "flagged": False}]
    event = {"source": {"partition": 2, "offset": offset}, "status": status, "labels": labels, "text": "好球"}
    return json.dumps(event).encode()


def read_all(bootstrap, produced):
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 2})
    for topic, value, headers in produced:
        producer.produce(topic, value=value, headers=headers)
    for topic in ("out", "dead"):
        producer.list_topics(topic, timeout=10)
    producer.flush()
    outputs = queue.SimpleQueue()
    reader = ReadBack(bootstrap, "out", "dead", outputs)
    reader.start()
    reader.finish()
    reader.join()
    return reader, [output for _ in range(outputs.qsize()) for output in outputs.get()]


def test_both_topics_are_read_to_their_end(bootstrap):
    headers = [("own", b"1"), (SOURCE_PARTITION_HEADER, b"3"), (SOURCE_OFFSET_HEADER, b"77")]
    produced = [("out", labeled(i, "skipped" if i == 5 else "labeled"), None) for i in range(200)]
    reader, outputs = read_all(bootstrap, [*produced, ("dead", b"\xff", headers)])
    assert reader.failure is None
    assert len(outputs) == 201
    by_source = {output.source: output for output in outputs}
    assert by_source[Coordinates(3, 77)].fate is Fate.DEAD_LETTERED
    assert by_source[Coordinates(2, 5)].fate is Fate.SKIPPED
    assert by_source[Coordinates(2, 6)].fate is Fate.LABELED
    assert by_source[Coordinates(2, 6)].labels == ("Game",)
    assert by_source[Coordinates(2, 6)].text == "好球"


def test_empty_topics_have_an_end_too(bootstrap):
    reader, outputs = read_all(bootstrap, [])
    assert reader.failure is None
    assert outputs == []


@pytest.mark.parametrize(
    ("topic", "value", "headers"),
    [("out", b"{", None), ("out", '{"祕密": 1}'.encode(), None), ("dead", b"x", None)],
)
def test_an_output_that_is_not_what_its_schema_says_ends_reading_without_being_shown(bootstrap, topic, value, headers):
    reader, _ = read_all(bootstrap, [(topic, value, headers)])
    assert reader.failure is not None
    assert "祕密" not in reader.failure
