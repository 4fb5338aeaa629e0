"""The catalogue of metrics: the one place where their names stand. Data only; :mod:`consumer.service.metrics` counts.

Everything that makes, reads or draws a metric names an entry of this module. ``comment-consumer config metrics``
prints it as ``consumer/metrics.md``. Units are seconds, bytes, records and tokens, and stand in the name. Labels have
few and known values: never a text, a key, or a name that came from outside. Points in time are seconds since the epoch:
``time() - x`` is how long ago it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

PREFIX: Final = "comment_consumer"

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]

LATENCY: Final = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0,
                  120.0)  # fmt: skip
MODEL_TIME: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0)
TOKENS: Final = (16.0, 64.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32768.0, 65536.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. ``name`` is its family's; ``help`` says what it is, ``why`` what to do with it.

    ``buckets`` are a histogram's upper bounds. ``borrowed`` are prometheus_client's own, which are there as it names
    them.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    why: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    borrowed: bool = False

    @property
    def sample(self) -> str:
        """The name of its sample in the text format, a histogram's without suffix."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    @property
    def count(self) -> str:
        """The name of a histogram's count."""
        return f"{self.name}_count"

    @property
    def sum(self) -> str:
        """The name of a histogram's sum."""
        return f"{self.name}_sum"

    @property
    def bucket(self) -> str:
        """The name of a histogram's buckets; their upper bound is the label ``le``."""
        return f"{self.name}_bucket"


def _counter(name: str, unit: str, about: str, why: str, *labels: str) -> Metric:
    return Metric(f"{PREFIX}_{name}", "counter", unit, about, why, labels)


def _gauge(name: str, unit: str, about: str, why: str, *labels: str) -> Metric:
    return Metric(f"{PREFIX}_{name}", "gauge", unit, about, why, labels)


def _histogram(name: str, unit: str, about: str, why: str, buckets: tuple[float, ...]) -> Metric:
    return Metric(f"{PREFIX}_{name}", "histogram", unit, about, why, (), buckets)


def _borrowed(name: str, kind: Kind, unit: str, about: str, why: str, *labels: str) -> Metric:
    return Metric(name, kind, unit, about, why, labels, borrowed=True)


# ---- Input -----------------------------------------------------------------------------------------------------------

RECEIVED_RECORDS: Final = _counter(
    "received_records", "records", "Records received from the input topic.", "Its rate is what comes in."
)
NEWEST_RECORD: Final = _gauge(
    "newest_record_timestamp_seconds",
    "seconds since the epoch",
    "When the newest record of the last poll was written, by its own timestamp.",
    "A feed that has gone silent: time() minus it grows while lag stays 0.",
)
LAG_RECORDS: Final = _gauge(
    "lag_records",
    "records",
    "Records of the input topic that were not received yet.",
    "How much waits outside. Scale by it. While no broker answers it stands still: alert on lag_seconds, which does "
    "not. A partition whose position is not known yet has no value.",
    "partition",
)
LAG_SECONDS: Final = _gauge(
    "lag_seconds",
    "seconds",
    "Age of the oldest record that has no acknowledged output yet; 0 when nothing waits.",
    "How late labels are: the one to alert on, by its maximum. Counted from the record's timestamp (a replay of old "
    "records looks old). Of what was not received yet at most this is known: the time since this partition was last "
    "caught up with, or its last record was written. It goes on growing if the poll thread hangs or the input is "
    "paused.",
    "partition",
)
ASSIGNED_PARTITIONS: Final = _gauge(
    "assigned_partitions",
    "partitions",
    "Partitions this member owns now.",
    "0 is a standby; their sum over the group must be the topic's.",
)
REBALANCES: Final = _counter(
    "rebalances",
    "rebalances",
    "Changes of the assignment: assigned, revoked, lost.",
    "Many of them are a group that does not come to rest; lost is a member that was too slow to poll.",
    "kind",
)
PAUSED: Final = _gauge(
    "paused",
    "0 or 1",
    "1 while the input is paused because too much is in flight.",
    "What is behind it is slower than the input: the model or the output.",
)
PAUSES: Final = _counter(
    "pauses", "pauses", "Times the input was paused.", "Each throws away what the client had fetched ahead."
)
INPUT_WAIT: Final = _counter(
    "input_wait_seconds",
    "seconds",
    "Time that the poll thread waited for records.",
    "Its rate is the share of time in which nothing came. High while there is lag: the brokers deliver slowly.",
)
POLL_LOOPS: Final = _counter(
    "poll_loops", "rounds", "Rounds of the poll loop: its beat.", "Standing still is a hanging poll thread."
)

# ---- In flight -------------------------------------------------------------------------------------------------------

IN_FLIGHT_RECORDS: Final = _gauge(
    "in_flight_records",
    "records",
    "Records received and neither acknowledged nor dropped.",
    "The most that a crash makes anyone see twice.",
)
IN_FLIGHT_BYTES: Final = _gauge("in_flight_bytes", "bytes", "Bytes of the records in flight.", "Bounds memory.")
IN_FLIGHT_TOKENS: Final = _gauge(
    "in_flight_tokens", "tokens", "Upper bound of the tokens in flight.", "How much work for the model is on hand."
)
IN_FLIGHT_LOAD: Final = _gauge(
    "in_flight_load_ratio",
    "ratio",
    "The fullest of the three limits in flight: 1 is full, and the input waits.",
    "Near 1 for long: bound by the model or by the output.",
)
WAITING_RECORDS: Final = _gauge(
    "waiting_records",
    "records",
    "Records in the line for a batch.",
    "Many of the records in flight: the model is the bottleneck.",
)
UNACKNOWLEDGED_MESSAGES: Final = _gauge(
    "unacknowledged_messages",
    "messages",
    "Messages published and not acknowledged yet.",
    "Most of the records in flight: the output is the bottleneck.",
)
OLDEST_IN_FLIGHT: Final = _gauge(
    "oldest_in_flight_seconds",
    "seconds",
    "Time since the oldest record in flight was received; 0 when there is none.",
    "What the committed offset waits for. Minutes of it are a stuck model or an output that is not acknowledged.",
)
DROPPED_RECORDS: Final = _counter(
    "dropped_records",
    "records",
    "Records given up because their partition moved on.",
    "Nothing is lost: their next owner reads them. Work done twice.",
)

# ---- Batches and the model -------------------------------------------------------------------------------------------

BATCHES: Final = _counter(
    "batches",
    "batches",
    "Batches closed, by the bound that closed them: count, tokens, deadline, idle.",
    "Mostly idle is light load; mostly count or tokens is full load.",
    "reason",
)
LAST_BATCH: Final = _gauge(
    "last_batch_timestamp_seconds",
    "seconds since the epoch",
    "When the last batch closed.",
    "Long ago while records are in flight: the model does not take any.",
)
BATCH_RECORDS: Final = _histogram(
    "batch_records", "records", "Records in a batch.", "Larger is more throughput, smaller less latency.", ROWS
)
BATCH_TOKENS: Final = _histogram(
    "batch_tokens", "tokens", "Upper bound of a batch's tokens.", "What a forward pass costs follows it.", TOKENS
)
BATCH_WAIT: Final = _histogram(
    "batch_wait_seconds",
    "seconds",
    "Age of the oldest record when its batch closed.",
    "The part of the latency that comes before the model.",
    LATENCY,
)
CACHE_HITS: Final = _counter(
    "cache_hits", "comments", "Comments answered by the result cache.", "What cache.max_entries is worth."
)
COLLAPSED_COMMENTS: Final = _counter(
    "collapsed_comments",
    "comments",
    "Comments answered by an equal text of the same batch.",
    "Repetition, as cache_hits.",
)
TOKENIZE_SECONDS: Final = _histogram(
    "tokenize_seconds",
    "seconds",
    "Time to tokenise a batch.",
    "Hidden by the model unless longer.",
    MODEL_TIME,
)
INFERENCE_SECONDS: Final = _histogram(
    "inference_seconds",
    "seconds",
    "Time the model spent on a batch.",
    "Slower than it was: fewer cores, a warm GPU, longer comments.",
    MODEL_TIME,
)
MODEL_BUSY: Final = _counter(
    "model_busy_seconds",
    "seconds",
    "Time the model has been at work, the batch it is on included.",
    "Its rate is the model's share of time. Near 1: it is the bottleneck; add processes or a faster device.",
)
MODEL_TEXTS: Final = _counter(
    "model_texts", "texts", "Texts that went through the model.", "What cache and collapsing left."
)
MODEL_TOKENS: Final = _counter(
    "model_tokens",
    "tokens",
    "Tokens that went through the model, padding left out.",
    "Tokens a second is the model's pace, whatever the comments' length.",
)
OUT_OF_MEMORY: Final = _counter(
    "out_of_memory",
    "times",
    "Times the device ran out of memory and a batch was halved.",
    "More than a few: lower batch.max_tokens.",
)
BISECTIONS: Final = _counter(
    "bisections",
    "times",
    "Times a batch was split to find the text that breaks the model.",
    "Somebody sends texts that break it; see the dead letters.",
)

# ---- Output ----------------------------------------------------------------------------------------------------------

PUBLISHED_RECORDS: Final = _counter(
    "published_records",
    "records",
    "Records whose output was acknowledged, by what it was: labeled, skipped, tombstone, dead_letter.",
    "Its rate is what goes out.",
    "outcome",
)
LABELS: Final = _counter(
    "labels",
    "labels",
    "Labels flagged in labeled events, by the policy's thresholds.",
    "A share that shifts is a changed feed, a changed model or a changed policy.",
    "label",
)
ACTIONS: Final = _counter(
    "actions",
    "events",
    "Labeled events, by the action that the policy asks for.",
    "What moderators will be asked to look at, and what is hidden from viewers.",
    "action",
)
AUDITED_EVENTS: Final = _counter(
    "audited_events",
    "events",
    "Labeled events in the policy's sample for people.",
    "The auditors' work; its share of labeled events is the policy's audit.share.",
)
DEAD_LETTERED_RECORDS: Final = _counter(
    "dead_lettered_records",
    "records",
    "Dead letters, by stage (decode, model, publish) and error type.",
    "Alert on any at stage model; on many at decode: a producer is broken.",
    "stage",
    "type",
)
UNDELIVERED_MESSAGES: Final = _counter(
    "undelivered_messages",
    "messages",
    "Messages that were not accepted, by why: too_large, rejected, retry, refused.",
    "retry is brokers in trouble, the others a topic's settings or rights.",
    "delivery",
)
END_TO_END_SECONDS: Final = _histogram(
    "end_to_end_seconds",
    "seconds",
    "Time from receipt to acknowledged output.",
    "The latency that this program adds.",
    LATENCY,
)
ACKNOWLEDGE_SECONDS: Final = _histogram(
    "acknowledge_seconds",
    "seconds",
    "Time from publishing a message to its acknowledgement, of a sample of them.",
    "The brokers' part of the latency.",
    LATENCY,
)
STORED_OFFSETS: Final = _counter(
    "stored_offsets", "offsets", "Offsets handed over for committing.", "Progress, before it is committed."
)
COMMITS: Final = _counter("commits", "commits", "Commits that the brokers accepted.", "About one a second under load.")
LAST_COMMIT: Final = _gauge(
    "last_commit_timestamp_seconds",
    "seconds since the epoch",
    "When the last accepted commit was seen; 0 before the first.",
    "Long ago while records are published: a crash now would label all since then again.",
)
COMMIT_ERRORS: Final = _counter(
    "commit_errors",
    "commits",
    "Commits that failed; the offsets are committed later.",
    "A few come with rebalances; more are brokers in trouble.",
)

# ---- The process -----------------------------------------------------------------------------------------------------

READY: Final = _gauge("ready", "0 or 1", "1 while /readyz says so.", "0 for long: the log and /readyz say why.")
DRAINING: Final = _gauge(
    "draining", "0 or 1", "1 from the signal to stop until the end.", "Leave draining processes out of other alerts."
)
BROKERS_REACHABLE: Final = _gauge(
    "brokers_reachable",
    "0 or 1",
    "0 while no broker can be reached.",
    "Nothing moves then and lag is not known; the process waits, alive.",
)
BUILD_INFO: Final = _gauge(
    "build_info",
    "always 1",
    "Always 1; tells version and model.",
    "Join it to others: which model, which version.",
    "version",
    "model",
    "revision",
    "digest",
)
POLICY_INFO: Final = _gauge(
    "policy_info",
    "always 1",
    "Always 1; tells the policy in force.",
    "More than one digest among the pods for long: a policy that some did not take.",
    "name",
    "digest",
)
POLICY_REFUSALS: Final = _counter(
    "policy_refusals",
    "files",
    "Policy files that could not be used; the old policy goes on.",
    "Alert on any: somebody believes that a new policy holds.",
)
SPANS_EXPORTED: Final = _counter(
    "spans_exported", "spans", "Spans that the trace collector accepted.", "That tracing works; 0 where it is off."
)
SPANS_DROPPED: Final = _counter(
    "spans_dropped",
    "spans",
    "Spans given up: queue_full, or export_failed.",
    "Traces have holes. A collector that is away or slow; nothing else suffers.",
    "reason",
)

PROCESS_CPU: Final = _borrowed(
    "process_cpu_seconds",
    "counter",
    "seconds",
    "CPU time of the process, user and system.",
    "Its rate is the cores in use; compare with the limit.",
)
PROCESS_RESIDENT: Final = _borrowed(
    "process_resident_memory_bytes", "gauge", "bytes", "Resident memory.", "Flat after warm-up; compare with the limit."
)
PROCESS_VIRTUAL: Final = _borrowed(
    "process_virtual_memory_bytes", "gauge", "bytes", "Virtual memory.", "Says little; torch reserves much."
)
PROCESS_START: Final = _borrowed(
    "process_start_time_seconds",
    "gauge",
    "seconds since the epoch",
    "When the process began.",
    "Restarts: its changes().",
)
PROCESS_OPEN_FILES: Final = _borrowed(
    "process_open_fds", "gauge", "file descriptors", "Open file descriptors.", "Flat; growing is a leak."
)
PROCESS_MOST_FILES: Final = _borrowed(
    "process_max_fds", "gauge", "file descriptors", "Most that may be open.", "The limit of process_open_fds."
)
PYTHON_INFO: Final = _borrowed(
    "python_info",
    "gauge",
    "always 1",
    "Always 1; tells the interpreter.",
    "Which Python runs.",
    "implementation",
    "major",
    "minor",
    "patchlevel",
    "version",
)

CATALOGUE: Final = tuple(entry for entry in tuple(globals().values()) if isinstance(entry, Metric))
"""Every entry, in the order of this file."""
