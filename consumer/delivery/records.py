"""What travels through the program: plain data, no Kafka, no I/O.

Everything here is immutable. A received :class:`Record` is decoded into a :data:`Decoded`; what is finally
published for it is an :data:`Outcome`, encoded into one :class:`Message`. Exactly one message leaves for every
record, because only its acknowledgement completes the record (see :mod:`consumer.delivery.protocol`).
"""

from __future__ import annotations

import enum
from typing import NamedTuple, TypeAlias

Headers: TypeAlias = tuple[tuple[str, bytes | None], ...]


class Partition(NamedTuple):
    """A topic partition."""

    topic: str
    number: int


class Record(NamedTuple):
    """One record as it was received, byte for byte.

    ``headers`` is ``None`` when the record has headers whose names cannot be read (a name that is not UTF-8);
    a record without headers has ``()``. ``timestamp_ms`` is milliseconds since the epoch, ``None`` when the broker
    gave none. ``leader_epoch`` is handed back with the committed offset so that log truncation is noticed (KIP-320).
    """

    partition: Partition
    offset: int
    timestamp_ms: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers | None = ()
    leader_epoch: int | None = None


class Comment(NamedTuple):
    """What is kept of a valid comment event until its label is published.

    ``text`` is the comment as it came (published only when asked for); the model reads
    :attr:`ToClassify.text`. ``traceparent`` is a validated W3C header value or ``None``.
    """

    id: str
    text: str
    channel: str | None = None
    stream: str | None = None
    author: str | None = None
    lang: str | None = None
    traceparent: str | None = None


class Stage(enum.Enum):
    """Where a record failed."""

    DECODE = "decode"
    MODEL = "model"
    PUBLISH = "publish"


class Failure(NamedTuple):
    """Why a record becomes a dead letter. ``message`` never holds a piece of the payload."""

    type: str
    message: str
    stage: Stage
    attempt: int = 1


class ModelIdentity(NamedTuple):
    """Which model answers: its name, its pinned revision, and the SHA-256 of all that changes its logits."""

    name: str
    revision: str
    digest: str


class Verdict(NamedTuple):
    """A model's answer for one text: the raw logits (one a label, in label order) and whether the text was cut."""

    logits: tuple[float, ...]
    truncated: bool
    model: ModelIdentity


class ToClassify(NamedTuple):
    """A valid comment that needs the model. ``tokens`` is an upper bound on what it costs in a batch."""

    comment: Comment
    text: str
    tokens: int


class Skipped(NamedTuple):
    """A valid comment that needs no model; it is published with ``status: skipped`` and this reason."""

    comment: Comment
    reason: str


class Tombstone(NamedTuple):
    """A key without a value: the comment was deleted. It is forwarded as a tombstone."""


class Labeled(NamedTuple):
    """A comment with its verdict. ``latency_ms`` is from receipt to verdict."""

    comment: Comment
    verdict: Verdict
    latency_ms: float


Decoded: TypeAlias = ToClassify | Skipped | Tombstone | Failure
Outcome: TypeAlias = Labeled | Skipped | Tombstone | Failure


class Destination(enum.Enum):
    """Which topic a message goes to; the sink knows the names."""

    LABELED = "labeled"
    DEAD_LETTER = "dead_letter"


class Message(NamedTuple):
    """One record to publish."""

    destination: Destination
    key: bytes | None
    value: bytes | None
    headers: Headers
