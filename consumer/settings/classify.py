"""The settings of ``comment-consumer classify``: those of the consumer that have nothing to do with Kafka."""

from __future__ import annotations

from consumer.settings.events import EventSettings, PolicySettings
from consumer.settings.everything import AnySettings
from consumer.settings.model import ModelSettings
from consumer.settings.pace import BatchSettings, CacheSettings


class ClassifySettings(AnySettings):
    """The same groups under the same names, so that one file and one set of variables serves both commands."""

    model: ModelSettings
    batch: BatchSettings = BatchSettings()
    cache: CacheSettings = CacheSettings()
    policy: PolicySettings = PolicySettings()
    events: EventSettings = EventSettings()
