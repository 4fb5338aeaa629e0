"""The settings of catching up after an outage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from consumer.settings.group import Group


class CatchUpSettings(Group):
    """What becomes of a backlog."""

    max_age: float = Field(
        default=0.0,
        ge=0,
        description="Seconds after which a comment matters no more, by its record's timestamp; older ones are "
        "published as skipped (too_old), without a forward pass. 0: no limit. As long as somebody would still act on a "
        "label. Producers set the timestamp unless the topic's message.timestamp.type is LogAppendTime: use that "
        "where they are not trusted. Records without a timestamp, or from the future, are never too old.",
    )
    order: Literal["oldest_first", "newest_first"] = Field(
        default="oldest_first",
        description="What is labeled first when a partition that is far behind is assigned. newest_first: new comments "
        "at once, the backlog beside them, newest chunk first, until all of it is done; meanwhile the order of a key "
        "is given up (an older edit may come out after a newer one: source.offset tells). For live moderation. Let a "
        "catch-up end before this is switched back: else what it had done is labeled again, under the same event_id; "
        "nothing is lost.",
    )
    behind: float = Field(
        default=60.0,
        ge=0,
        description="Seconds since the next record to read was written, from which on newest_first divides a "
        "partition, looked at when it is assigned. 0: whatever its age. Longer than a restart takes, so that only "
        "outages count.",
    )
    chunk: int = Field(
        default=2000,
        ge=1,
        le=1_000_000,
        description="Records (offsets, to be exact) of a backlog that newest_first reads in one piece, in their order; "
        "a partition that is no further behind is not divided. Smaller is stricter about newest first, and fetches "
        "more.",
    )
