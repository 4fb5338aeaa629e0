"""Every setting of the program; :mod:`consumer.settings.everything` puts the groups together."""

from consumer.settings.catch_up import CatchUpSettings
from consumer.settings.events import DeadLetterSettings, EventSettings, PolicySettings
from consumer.settings.everything import AnySettings, Settings
from consumer.settings.group import Group
from consumer.settings.kafka import KafkaSettings
from consumer.settings.model import ModelSettings
from consumer.settings.pace import BatchSettings, CacheSettings, DeliverySettings, FlowSettings
from consumer.settings.registry import RegistrySettings
from consumer.settings.service import HttpSettings, LogSettings, TracingSettings

__all__ = [
    "AnySettings",
    "BatchSettings",
    "CacheSettings",
    "CatchUpSettings",
    "DeadLetterSettings",
    "DeliverySettings",
    "EventSettings",
    "FlowSettings",
    "Group",
    "HttpSettings",
    "KafkaSettings",
    "LogSettings",
    "ModelSettings",
    "PolicySettings",
    "RegistrySettings",
    "Settings",
    "TracingSettings",
]
