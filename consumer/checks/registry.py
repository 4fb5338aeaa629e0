"""Does the schema registry answer, and does it have the schema of labeled events?"""

from __future__ import annotations

from typing import Final

from consumer.checks.findings import Finding, Status
from consumer.service.assembly import find_frame
from consumer.settings import Settings
from consumer.settings.loading import BadSettings

_WHAT: Final = "schema registry"


def check_registry(settings: Settings) -> list[Finding]:
    """Ask it, if there is one; nothing is registered."""
    registry = settings.registry
    if registry.url is None:
        return []
    asking = settings.model_copy(update={"registry": registry.model_copy(update={"auto_register": False})})
    try:
        frame = find_frame(asking, asking.kafka.output_topic)
    except BadSettings as wrong:
        # By its name: without the extra there is no such class to compare with.
        if registry.auto_register and type(wrong.__cause__).__name__ == "SchemaMissing":
            return [Finding(_WHAT, Status.OK, "answers; the schema is not there and is registered at the start")]
        return [Finding(_WHAT, Status.FAILED, line) for line in wrong.lines]
    assert frame is not None
    subject = f"{settings.kafka.output_topic}-value"
    return [Finding(_WHAT, Status.OK, f"answers; {subject} has the schema, id {int.from_bytes(frame[1:], 'big')}")]
