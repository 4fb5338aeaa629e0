"""Records and outcomes for these tests."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, settings

from consumer.delivery.records import Comment, Headers, Labeled, ModelIdentity, Partition, Record, Verdict

# Hypothesis reckons the table of all characters, a second's work, to the first test that draws a text.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MODEL = ModelIdentity("org/model", "r1", "d" * 64)
LABELS = ("Cheer", "Game", "Chat")


def record(
    value: bytes | None = b"{}",
    *,
    key: bytes | None = b"channel",
    headers: Headers | None = (),
    partition: int = 3,
    offset: int = 41,
    timestamp_ms: int | None = 1_769_860_800_000,
) -> Record:
    return Record(Partition("comments", partition), offset, timestamp_ms, key, value, headers)


def comment_record(event: dict[str, Any], **parts: Any) -> Record:
    return record(json.dumps(event, ensure_ascii=False).encode(), **parts)


def labeled(
    *logits: float, comment: Comment | None = None, truncated: bool = False, latency_ms: float = 1.0
) -> Labeled:
    return Labeled(comment or Comment("c1", "hi"), Verdict(logits, truncated, MODEL), latency_ms)
