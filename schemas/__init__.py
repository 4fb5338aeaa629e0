"""The events on the topics, for readers and writers in Python; ``schemas/json`` holds them for every other language.

Within a version fields are only added, and added ones may be absent: ignore what you do not know. A version's number
changes only when a reader of the old one would misunderstand the new one.
"""

from schemas.comment import CommentEvent
from schemas.dead_letter import DeadLetterHeaders, DeadLetterStub
from schemas.labeled import LabeledEvent, LabelScore, ModelRef, PolicyRef, SourceRef

__all__ = [
    "CommentEvent",
    "DeadLetterHeaders",
    "DeadLetterStub",
    "LabelScore",
    "LabeledEvent",
    "ModelRef",
    "PolicyRef",
    "SourceRef",
]
