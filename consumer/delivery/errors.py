"""Why the program must stop. Each error ends the process with its own exit code; offsets stay where they are."""

from __future__ import annotations


class DeliveryStopped(Exception):
    """The protocol cannot go on without losing or wrongly rejecting something.

    The message says in one line what was wrong, where, and what to do. ``exit_code`` is the process's.
    """

    exit_code = 1


class SourceFailed(DeliveryStopped):
    """The Kafka consumer is fenced, refused, or lost track of what it delivered."""

    exit_code = 10


class OffsetOutOfRange(SourceFailed):
    """The committed offset is no longer in the log: records were deleted before they were read."""

    exit_code = 11


class OutputRefused(DeliveryStopped):
    """The output or dead-letter topic refuses everything, or the producer is fenced."""

    exit_code = 12


class ModelBroken(DeliveryStopped):
    """The model fails on inputs that it handled before, or its device is gone."""

    exit_code = 13


class DeadLetterLimitExceeded(DeliveryStopped):
    """Too many records became dead letters."""

    exit_code = 14
