"""The field mapping that the settings make. Apart from the other parts because it needs no model."""

from __future__ import annotations

from consumer.events.mapping import FieldMapping
from consumer.events.shipped import load_mapping
from consumer.settings import EventSettings
from consumer.settings.loading import BadSettings


def map_fields(settings: EventSettings) -> FieldMapping:
    """Where the input's fields are, and which records are comments.

    Raises:
        BadSettings: the mapping's file cannot be read or is wrong, or a path is.
    """
    try:
        mapping = FieldMapping() if settings.mapping is None else load_mapping(settings.mapping)
    except ValueError as error:
        raise BadSettings([f"events.mapping: {error}"]) from None
    try:
        return mapping.replaced(settings.fields)
    except ValueError as error:
        raise BadSettings([f"events.fields: {error}"]) from None
