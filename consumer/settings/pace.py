"""The settings of batches, of what may be under way, and of how long things may take to end."""

from __future__ import annotations

from pydantic import Field

from consumer.settings.group import Group


class BatchSettings(Group):
    """When a batch closes: at the first of these bounds."""

    max_comments: int = Field(
        default=128, ge=1, description="Most comments in a batch. 64 to 256 on a CPU, 512 to 4096 on a GPU."
    )
    max_tokens: int = Field(
        default=2048,
        ge=1,
        description="Most tokens in a batch; about half a second of work on two CPU cores with a BERT of base size: "
        "more is no faster there, and slower to answer under load. 16384 and more on a GPU.",
    )
    max_wait: float = Field(
        default=0.05,
        ge=0,
        le=60,
        description="Seconds the oldest comment waits for company while the model is busy. Lower for latency under "
        "light load; under full load batches fill before it passes.",
    )
    idle_dispatch: bool = Field(
        default=True,
        description="Hand over what there is as soon as the model has nothing to do: lowest latency. Off for fewer, "
        "fuller batches on a GPU that others share.",
    )


class FlowSettings(Group):
    """How much may be on its way at once; at a limit, reading pauses."""

    max_records: int = Field(
        default=4096,
        ge=1,
        description="Records in flight: also the most that a crash makes anyone see twice. Some ten times "
        "batch.max_comments.",
    )
    max_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=1024,
        description="Bytes in flight, as received. Bounds memory where comments are large.",
    )
    max_tokens: int = Field(
        default=128 * 1024,
        ge=1,
        description="Tokens in flight, by the bound known before tokenising. At least a few times batch.max_tokens.",
    )
    low_mark: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="Share of the limits at which a paused reader goes on. Lower pauses less often and refetches less.",
    )


class DeliverySettings(Group):
    """How long things may take to end."""

    drain_timeout: float = Field(
        default=25.0,
        gt=0,
        le=3600,
        description="Seconds from SIGTERM to the end of the process, at most; Kubernetes' grace period must be longer.",
    )
    revoke_timeout: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="Seconds a partition that moves away may wait for the batch that holds it. Some batches' "
        "time; longer delays the whole group's rebalance.",
    )


class CacheSettings(Group):
    """Results kept for texts that come again."""

    max_entries: int = Field(
        default=50_000,
        ge=0,
        description="Results kept, about 500 bytes each; 0 keeps none. Live chat repeats itself: a "
        "larger one saves forward passes as long as memory is there.",
    )
