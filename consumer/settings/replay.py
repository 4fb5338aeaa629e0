"""The settings of ``comment-consumer replay dead-letters``: those of the consumer that have to do with Kafka alone."""

from __future__ import annotations

from consumer.settings.everything import AnySettings
from consumer.settings.kafka import KafkaSettings


class ReplaySettings(AnySettings):
    """The same group under the same name, so that one file and one set of variables serves both commands."""

    kafka: KafkaSettings
