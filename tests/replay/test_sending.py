"""A batch is written whole or not at all, and whoever sends it knows which, or ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError

from consumer.delivery.errors import OutputRefused
from consumer.kafka.settings import Connection
from consumer.replay.sending import BatchRefused, Outgoing, TransactionalSender
from tests.support.brokers import MockBroker
from tests.support.traffic import read_all

pytestmark = pytest.mark.broker
TOPIC = "back"


@pytest.fixture
def sender(mock_broker: MockBroker) -> Iterator[TransactionalSender]:
    mock_broker.create_topic(TOPIC, 2)
    sender = TransactionalSender(Connection(mock_broker.bootstrap), "ledger")
    sender.open()
    yield sender
    sender.close()


def batch(*values: bytes) -> list[Outgoing]:
    return [Outgoing(TOPIC, 1, b"k", value, (("h", None),)) for value in values]


def written(broker: MockBroker) -> list[bytes | None]:
    return [message.value() for message in read_all(broker.bootstrap, TOPIC)]


def test_batches_are_written_in_order_to_their_partition(mock_broker: MockBroker, sender: TransactionalSender) -> None:
    sender.send(batch(b"1", b"2"))
    sender.send(batch(b"3"))
    messages = read_all(mock_broker.bootstrap, TOPIC)
    assert [(m.partition(), m.value()) for m in messages] == [(1, b"1"), (1, b"2"), (1, b"3")]


@pytest.mark.parametrize("code", [KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD])
def test_a_batch_that_is_refused_for_its_content_is_not_the_end(
    mock_broker: MockBroker, sender: TransactionalSender, code: int
) -> None:
    mock_broker.embedded.push_errors("Produce", [code])
    with pytest.raises(BatchRefused):
        sender.send(batch(b"bad"))
    sender.send(batch(b"good"))
    assert written(mock_broker)[-1:] == [b"good"]


@pytest.mark.parametrize(
    ("api", "code", "said"),
    [
        ("AddPartitionsToTxn", KafkaError.TOPIC_AUTHORIZATION_FAILED, "kafka-acls .* --operation Write --topic back;"),
        ("EndTxn", KafkaError.INVALID_TXN_STATE, "run the same command again"),
        ("EndTxn", KafkaError.INVALID_PRODUCER_EPOCH, "another replay"),
        ("Produce", KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "run the same command again"),
    ],
)
def test_anything_else_ends_the_run_with_a_word_on_what_to_do(
    mock_broker: MockBroker, sender: TransactionalSender, api: str, code: int, said: str
) -> None:
    mock_broker.embedded.push_errors(api, [code])
    with pytest.raises(OutputRefused, match=said):
        sender.send(batch(b"1"))
