"""The consumer, put together and run: the model is warm before the group is joined; then the loop, then the drain.

Tests put failpoints between the protocol and Kafka by ``wrap_source`` and ``wrap_sink``.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import structlog
from prometheus_client import CollectorRegistry

from consumer import __version__
from consumer.classifier.packing import PackedBatch
from consumer.classifier.runner import Runner
from consumer.delivery.errors import DeliveryStopped
from consumer.delivery.follower import Follower, Several
from consumer.delivery.ports import Clock, Codec, RebalanceListener, Sink, Source
from consumer.delivery.protocol import DeliveryProtocol
from consumer.delivery.records import Partition
from consumer.delivery.results import ResultCache
from consumer.delivery.row import Row
from consumer.events.framing import FramedCodec
from consumer.service import assembly
from consumer.service.health import Health
from consumer.service.http import HttpEndpoint, application
from consumer.service.interpreter import settle
from consumer.service.lifecycle import Ending, ExitCode
from consumer.service.logs import configure_logging, describe_exception
from consumer.service.mapped_fields import map_fields
from consumer.service.metrics import Metrics, read_at_scrape
from consumer.service.model_pipeline import ModelPipeline, Watcher
from consumer.service.policy_reload import PolicyReload
from consumer.service.recorder import ModelRecorder, PolicyRecorder, Recorder
from consumer.service.step_log import StepLog
from consumer.service.summary import Summary
from consumer.service.vitals import Vitals
from consumer.settings import Settings
from consumer.settings.loading import BadSettings

if TYPE_CHECKING:
    from consumer.tracing.opening import Tracing

DRAIN_SHARE = 0.8  # of the time that is left goes to the drain, the rest to leaving the group and closing
TRACING_TIMEOUT = 2.0  # seconds at the end for the last spans
CLOSE_SHARE = 0.9  # of what is left then; the last bit is for the process to end by itself


class Connection(Protocol):
    """Kafka, connected. Everything but ``close`` belongs to the poll thread."""

    @property
    def source(self) -> Source: ...

    @property
    def sink(self) -> Sink[Row]: ...

    @property
    def backlog(self) -> Mapping[Partition, int]:
        """Records not received yet of each partition, as the last :meth:`refresh` saw it; without those unknown."""
        ...

    def join(self, listener: RebalanceListener) -> None:
        """Check the topics and join the group.

        Raises:
            BadSettings: a topic is missing, or access to it.
        """
        ...

    def refresh(self) -> None:
        """Called once a round of the loop; keeps metrics and health up to date, and is cheap."""
        ...

    def close(self, timeout: float) -> bool:
        """Leave the group, committing what is stored; return whether that was done within ``timeout`` seconds."""
        ...


Connect: TypeAlias = Callable[[Settings, Metrics, Health, Ending], Connection]
WrapSource: TypeAlias = Callable[[Source], Source]
WrapSink: TypeAlias = Callable[[Sink[Row]], Sink[Row]]


@dataclass(slots=True)
class Worker:
    """Everything that runs. :meth:`build` makes one, :meth:`run` is its life."""

    ending: Ending
    health: Health
    metrics: Metrics
    pipeline: ModelPipeline[PackedBatch]
    connection: Connection
    protocol: DeliveryProtocol
    summary: Summary
    reload: PolicyReload | None
    vitals: Vitals
    endpoint: HttpEndpoint | None
    tracing: Tracing | None

    @classmethod
    def build(
        cls,
        settings: Settings,
        ending: Ending,
        connect: Connect,
        wrap_source: WrapSource = lambda source: source,
        wrap_sink: WrapSink = lambda sink: sink,
    ) -> Worker:
        """Make the Kafka clients, load and warm the model, and put all together; the group is not joined yet.

        Raises:
            BadSettings: something is not as the settings say.
            ModelBroken: the model does not run here.
        """
        log = structlog.get_logger()
        clock = time.monotonic
        health = Health(clock)
        metrics = Metrics(CollectorRegistry(), clock)
        endpoint = None
        if settings.http.enabled:
            endpoint = HttpEndpoint(application(health, metrics.registry), settings.http.host, settings.http.port)
            log.info("listening", host=settings.http.host, port=endpoint.port)

        map_fields(settings.events)  # a wrong mapping, too, is told before the model is loaded
        tracing = _open_tracing(settings, metrics, clock)
        checkpoint = assembly.open_checkpoint(settings.model)
        connection = connect(settings, metrics, health, ending)  # a wrong option is told before the model is loaded
        frame = assembly.find_frame(settings, settings.kafka.output_topic)
        engine = assembly.load(settings.model, checkpoint)
        policy = assembly.compile_policy(settings.policy, engine.labels)
        policy_recorder = PolicyRecorder(metrics)
        events = assembly.make_codec(settings, checkpoint, engine, policy, policy_recorder.judged)
        policy_recorder.in_force(policy)
        reload = None
        if settings.policy.file is not None:
            reload = PolicyReload(settings.policy.file, policy, events.use, clock, policy_recorder)
        codec: Codec = FramedCodec(events, max_bytes=settings.events.max_bytes, frame=frame)
        watcher: Watcher = ModelRecorder(metrics, health)
        followers: list[Follower] = [StepLog()] if settings.log.level == "debug" else []
        if tracing is not None:
            codec = tracing.around_codec(codec)
            watcher = tracing.around_watcher(watcher)
            followers.append(tracing.follower)
        pipeline = ModelPipeline(engine, Runner(engine, time.sleep), watcher)
        assembly.warm_up(pipeline)
        health.model_is_warm()
        metrics.describe_build(__version__, engine.identity)
        log.info("model is warm", labels=engine.labels, **engine.identity._asdict())

        recorder = Recorder(metrics, health)
        protocol = DeliveryProtocol(
            source=wrap_source(connection.source),
            sink=wrap_sink(connection.sink),
            classifier=pipeline,
            codec=codec,
            clock=clock,
            batching=assembly.batch_policy(settings),
            limits=assembly.flow_limits(settings),
            dead_letter_limits=assembly.dead_letter_limits(settings.dead_letters),
            cache=ResultCache(settings.cache.max_entries),
            observer=recorder,
            revoke_timeout=settings.delivery.revoke_timeout,
            follower=Several(followers) if followers else None,
        )
        flow = protocol.flow
        read_at_scrape(
            {
                metrics.in_flight_records: lambda: flow.records,
                metrics.in_flight_bytes: lambda: flow.bytes,
                metrics.in_flight_tokens: lambda: flow.tokens,
                metrics.in_flight_load: lambda: flow.load,
                metrics.waiting: lambda: protocol.waiting,
                metrics.assigned: lambda: len(protocol.assigned_partitions),
                metrics.ready: lambda: not health.why_not_ready(),
            }
        )
        vitals = Vitals(metrics, lambda: protocol.progress, lambda: connection.backlog, clock)
        summary = Summary(
            recorder, flow, lambda: len(protocol.assigned_partitions), clock, settings.log.summary_interval
        )
        return cls(ending, health, metrics, pipeline, connection, protocol, summary, reload, vitals, endpoint, tracing)

    def run(self) -> ExitCode:
        """Join the group and work until the end is asked for; then drain and close.

        A reason to stop is logged in one line that says what to do, and the group is left, within the same deadline.

        Raises:
            BadSettings: a topic or a right is missing.
        """
        log = structlog.get_logger()
        try:
            if not self.ending.asked:
                self.connection.join(self.protocol)
            drained = self._work()
            code = ExitCode.DRAINED if drained else ExitCode.DEADLINE_PASSED
        except DeliveryStopped as stopped:
            code = ExitCode(stopped.exit_code)
            log.error("stopped", reason=str(stopped), exit_code=int(code), raised=describe_exception(stopped))
            self.ending.begin(code)
        except Exception:
            self.ending.begin(ExitCode.FAILED)
            self._close()
            raise
        closed = self._close()
        return code if closed or code is not ExitCode.DRAINED else ExitCode.DEADLINE_PASSED

    def _work(self) -> bool:
        while not self.ending.asked:
            self.protocol.step()
            self.connection.refresh()
            self.vitals.tick()
            self.health.beat()
            self.metrics.loop.inc()
            self.summary.tick()
            if self.reload is not None:
                self.reload.tick()
        self._drains()
        drained = self.protocol.drain(self.ending.remaining * DRAIN_SHARE)
        self.summary.write()
        return drained

    def _drains(self) -> None:
        self.health.drains()
        self.metrics.draining.set(1)

    def _close(self) -> bool:
        self._drains()
        closed = self.connection.close(self.ending.remaining * CLOSE_SHARE)
        closed &= self.pipeline.close(self.ending.remaining * CLOSE_SHARE)
        if self.tracing is not None:
            self.tracing.close(min(TRACING_TIMEOUT, self.ending.remaining * CLOSE_SHARE))  # late spans are no failure
        if self.endpoint is not None:
            self.endpoint.close(min(1.0, self.ending.remaining))
        return closed


def _open_tracing(settings: Settings, metrics: Metrics, clock: Clock) -> Tracing | None:
    """Tracing, if it is wanted; nothing of it is imported otherwise.

    Raises:
        BadSettings: it is not installed.
    """
    if settings.tracing.endpoint is None:
        return None
    try:
        from consumer.tracing.opening import open_tracing  # noqa: PLC0415
    except ImportError as error:
        if (error.name or "").startswith("consumer"):
            raise
        why = f"OpenTelemetry is not installed ({error.name} is missing)"
        raise BadSettings(
            [f'tracing.endpoint: {why}; pip install "comment-consumer[tracing]", or leave it out']
        ) from None
    return open_tracing(settings, metrics, clock)


def run_worker(settings: Settings, ending: Ending, connect: Connect) -> ExitCode:
    """Build a worker and run it to its end.

    Raises:
        BadSettings: the settings, the checkpoint, the topics or the rights are wrong.
    """
    configure_logging(settings.log.level, settings.log.format, sys.stderr)
    log = structlog.get_logger()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is a policy file to read again; it must not end anything
    log.info("starting", version=__version__, topic=settings.kafka.input_topic, group=settings.kafka.group_id)
    try:
        worker = Worker.build(settings, ending, connect)
        if worker.reload is not None:
            worker.reload.install()
        settle()
        code = worker.run()
    except BadSettings:
        raise
    except DeliveryStopped as stopped:
        code = ExitCode(stopped.exit_code)
        log.error("stopped", reason=str(stopped), exit_code=int(code), raised=describe_exception(stopped))
    except Exception as error:
        code = ExitCode.FAILED
        log.error("failed: this is a defect of the program", raised=describe_exception(error))
    log.info("ended", exit_code=int(code))
    return code
