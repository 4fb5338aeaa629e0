"""A relabelling put together: the consumer's own protocol, model and sink; a window of the topic for its source."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Final

import orjson
from confluent_kafka import KafkaException

from consumer.classifier.checkpoint import Checkpoint
from consumer.classifier.loading import LoadedEngine
from consumer.classifier.packing import PackedBatch
from consumer.classifier.runner import Runner
from consumer.delivery.errors import DeliveryStopped
from consumer.delivery.protocol import DeliveryProtocol
from consumer.delivery.results import ResultCache
from consumer.delivery.row import Row
from consumer.events.framing import FramedCodec
from consumer.kafka.config import ConfigError
from consumer.kafka.producer import KafkaSink
from consumer.kafka.settings import Outputs
from consumer.kafka.topics import TopicsUnusable, check_topics
from consumer.moderation.judgement import CompiledPolicy
from consumer.replay.bounded import kafka_trouble
from consumer.replay.progress import Gauge, display_on_stderr
from consumer.replay.tally import Tally
from consumer.replay.window import fingerprint
from consumer.replay.window_source import OtherRun, WindowSource
from consumer.service import assembly
from consumer.service.interpreter import settle
from consumer.service.kafka import connection_of
from consumer.service.lifecycle import Ending, ExitCode
from consumer.service.logs import configure_logging
from consumer.service.mapped_fields import map_fields
from consumer.service.model_pipeline import ModelPipeline, Unwatched
from consumer.settings import Settings
from consumer.settings.catch_up import CatchUpSettings
from consumer.settings.loading import BadSettings

DRAIN_SHARE: Final = 0.8  # of the time that is left goes to the drain, the rest to closing
CLOSE_SHARE: Final = 0.9
SOME_DEAD_LETTERS: Final = 1


@dataclass(frozen=True)
class Plan:
    """What the command line says beside the settings. Times are ms since the epoch."""

    to: str
    since_ms: int | None
    until_ms: int | None
    run_id: str | None


class Relabelling:
    """One process of a run. :meth:`prepare`, then :meth:`work`, then :meth:`close`."""

    def __init__(self, plan: Plan, settings: Settings, ending: Ending) -> None:
        self._plan = plan
        self._settings = settings
        self._ending = ending
        self._connection = connection_of(settings.kafka)
        self.tally = Tally()
        self.run_id = ""
        self._pipeline: ModelPipeline[PackedBatch] | None = None
        self._source: WindowSource | None = None
        self._sink: KafkaSink[Row] | None = None
        self._protocol: DeliveryProtocol | None = None

    def prepare(self) -> str:
        """Check topics, load the model, find or capture the window; return a line that says what will be done.

        Raises:
            BadSettings: something is not as the settings say, or the run was begun with something else.
            DeliveryStopped: the model does not run here, or records of the window are gone.
        """
        settings = self._settings
        try:
            self._check_topics()
        except ConfigError as error:
            raise BadSettings([f"kafka.extra: {error}"]) from None
        except KafkaException as failed:
            raise BadSettings([f"kafka: {kafka_trouble(failed, topic=settings.kafka.input_topic)}"]) from failed
        if self._ending.asked:
            return "stopped before it began"
        checkpoint = assembly.open_checkpoint(settings.model)
        engine = assembly.load(settings.model, checkpoint)
        policy = assembly.compile_policy(settings.policy, engine.labels)
        made_of = self._fingerprint(engine, policy)
        self.run_id = self._plan.run_id or f"relabel-{made_of}"
        try:
            self._sink = KafkaSink(self._connection, Outputs(self._plan.to, settings.kafka.dead_letter_topic))
            group = f"{settings.kafka.group_id}-relabel-{self.run_id}"
            self._source = WindowSource(self._connection, group, settings.kafka.input_topic, made_of)
        except KafkaException as failed:
            raise BadSettings([f"kafka: {kafka_trouble(failed, topic=settings.kafka.input_topic)}"]) from failed
        source = self._source
        try:
            resumed = source.recall()
            if not resumed:
                source.capture(self._plan.since_ms, self._plan.until_ms)
        except OtherRun:
            raise BadSettings(
                [
                    f"--run-id={self.run_id}: that run was begun with another window, --to, model, policy or events "
                    "setting. Go on with those, or give a new name"
                ]
            ) from None
        except KafkaException as failed:
            raise BadSettings([f"kafka: {source.trouble(failed)}"]) from failed
        if not source.finished:
            self._load(checkpoint, engine, policy)
        what = f"run {self.run_id}: {source.total:,} offsets of {settings.kafka.input_topic} into {self._plan.to}"
        if not resumed:
            return what
        before = "all were done before" if source.finished else f"going on, {source.done:,} were done before"
        return f"{what}; {before}"

    def _check_topics(self) -> None:
        kafka = self._settings.kafka
        topics = {
            "kafka.input_topic": kafka.input_topic,
            "--to": self._plan.to,
            "kafka.dead_letter_topic": kafka.dead_letter_topic,
        }
        try:
            check_topics(self._connection, topics, lambda: self._ending.asked, self._sleep)
        except TopicsUnusable as unusable:
            raise BadSettings(unusable.lines) from None

    def _fingerprint(self, engine: LoadedEngine, policy: CompiledPolicy) -> str:
        return fingerprint(
            input=self._settings.kafka.input_topic,
            to=self._plan.to,
            since=self._plan.since_ms,
            until=self._plan.until_ms,
            model=[*engine.identity, *engine.labels, engine.activation.value],
            policy=policy.digest,
            events=self._settings.events.model_dump(mode="json"),
            mapping=repr(map_fields(self._settings.events)),  # of a file, what it said
        )

    def _load(self, checkpoint: Checkpoint, engine: LoadedEngine, policy: CompiledPolicy) -> None:
        # A window is chosen by its age: the limit of the live service says nothing of it.
        settings = self._settings.model_copy(update={"catch_up": CatchUpSettings()})
        events = assembly.make_codec(settings, checkpoint, engine, policy, run_id=self.run_id)
        frame = assembly.find_frame(settings, self._plan.to)
        self._pipeline = ModelPipeline(engine, Runner(engine, time.sleep), Unwatched())
        assembly.warm_up(self._pipeline)
        assert self._source is not None
        assert self._sink is not None
        self._protocol = DeliveryProtocol(
            source=self._source,
            sink=self._sink,
            classifier=self._pipeline,
            codec=FramedCodec(events, max_bytes=settings.events.max_bytes, frame=frame),
            clock=time.monotonic,
            batching=assembly.batch_policy(settings),
            limits=assembly.flow_limits(settings),
            dead_letter_limits=assembly.dead_letter_limits(settings.dead_letters),
            cache=ResultCache(settings.cache.max_entries),
            observer=self.tally,
            revoke_timeout=settings.delivery.revoke_timeout,
        )
        settle()

    def work(self, gauge: Gauge) -> bool:
        """Label until the window is done or the end is asked for; return whether nothing was left half done.

        Raises:
            DeliveryStopped: as :class:`~consumer.delivery.protocol.DeliveryProtocol`.
        """
        source, protocol = self._source, self._protocol
        if source is None or protocol is None:
            return True
        source.join(protocol)
        while not self._ending.asked and not source.finished:
            protocol.step()
            gauge.update(source.done, source.total, "offsets", f"{self.tally.dead_letters.total():,} dead letters")
        if source.finished:
            return source.confirm()
        return protocol.drain(self._ending.remaining * DRAIN_SHARE)

    @property
    def finished(self) -> bool:
        """Whether the whole window is done."""
        return self._source is not None and self._source.finished

    def close(self) -> bool:
        """Commit what is stored and end the threads; return whether that was done in time."""
        closed = True
        if self._source is not None:
            closed &= self._source.close(self._ending.remaining * CLOSE_SHARE)
        if self._sink is not None:
            self._sink.close(self._ending.remaining * CLOSE_SHARE)
        if self._pipeline is not None:
            closed &= self._pipeline.close(self._ending.remaining * CLOSE_SHARE)
        return closed

    def report(self) -> dict[str, object]:
        """For the last line of ``--json``: offsets of the whole run, and what this process did."""
        source, tally = self._source, self.tally
        return {
            "run_id": self.run_id,
            "finished": self.finished,
            "offsets": 0 if source is None else source.total,
            "offsets_done": 0 if source is None else source.done,
            "labeled": tally.labeled,
            "skipped": tally.skipped,
            "tombstones": tally.tombstones,
            "dead_letters": dict(sorted(tally.dead_letters.items())),
        }

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._ending.asked and time.monotonic() < end:
            time.sleep(0.05)


def relabel(plan: Plan, settings: Settings, ending: Ending, *, as_json: bool) -> int:
    """Run to the window's end, or until a signal; return the exit code.

    Raises:
        BadSettings: see :meth:`Relabelling.prepare`.
    """
    configure_logging("warning", "auto", sys.stderr)
    run = Relabelling(plan, settings, ending)
    code = 0
    with display_on_stderr() as display:
        try:
            display.say(run.prepare())
            if not run.work(Gauge(display)):
                code = ExitCode.DEADLINE_PASSED
        except DeliveryStopped as stopped:
            display.say(f"comment-consumer: {stopped}")
            code = stopped.exit_code
        except BaseException:
            ending.begin(ExitCode.FAILED)
            run.close()
            raise
        ending.begin(code or ExitCode.DEADLINE_PASSED)
        if not run.close() and not code:
            code = ExitCode.DEADLINE_PASSED
    _tell(run, as_json=as_json)
    if code:
        return code
    if not run.finished:
        print("comment-consumer: stopped: the same command goes on from here", file=sys.stderr)
        return 128 + ending.signal
    return SOME_DEAD_LETTERS if run.tally.dead_letters else 0


def _tell(run: Relabelling, *, as_json: bool) -> None:
    report = run.report()
    if as_json:
        print(orjson.dumps(report).decode(), flush=True)
        return
    tally = run.tally
    print(
        f"run {run.run_id}: {report['offsets_done']:,} of {report['offsets']:,} offsets done; just now "
        f"{tally.labeled:,} labeled, {tally.skipped:,} skipped, {tally.tombstones:,} tombstones, "
        f"{tally.dead_letters.total():,} dead letters",
        flush=True,
    )
