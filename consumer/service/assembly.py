"""From settings to the parts that need them: each function makes one part, and names the setting that is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from consumer import __version__
from consumer.classifier.checkpoint import Checkpoint
from consumer.classifier.checkpoint_error import CheckpointError
from consumer.classifier.engine import TokenizedT
from consumer.classifier.loading import LoadedEngine, load_engine
from consumer.classifier.token_bounds import bert_tokens, byte_tokens
from consumer.delivery.batcher import BatchPolicy
from consumer.delivery.dead_letter_limits import DeadLetterLimit, DeadLetterLimits
from consumer.delivery.flow import FlowLimits
from consumer.delivery.records import Stage
from consumer.events.cloudevents import CloudEvents
from consumer.events.codec import EventCodec
from consumer.events.dead_letters import DeadLetters
from consumer.events.decode import Decoder
from consumer.events.encode import Encoder, Judged
from consumer.events.framing import frame
from consumer.moderation.judgement import CompiledPolicy
from consumer.moderation.policy import LabelPolicy, Policy
from consumer.moderation.policy_file import PolicyError
from consumer.service.mapped_fields import map_fields
from consumer.service.model_pipeline import ModelPipeline
from consumer.service.policy_reload import load_policy
from consumer.settings import DeadLetterSettings, EventSettings, ModelSettings, PolicySettings, Settings
from consumer.settings.loading import BadSettings
from schemas.export import render

UNLIMITED = 2**62


def open_checkpoint(settings: ModelSettings) -> Checkpoint:
    """Find and check the checkpoint.

    Raises:
        BadSettings: it is not there, damaged, or not what the settings say.
    """
    try:
        return Checkpoint.open(
            settings.source,
            settings.revision,
            label_names=settings.label_names,
            preprocessing=settings.preprocessing,
            max_tokens=settings.max_tokens,
            problem_type=settings.problem_type,
            allow_download=settings.allow_download,
        )
    except CheckpointError as error:
        raise BadSettings([f"model.source: {error}"]) from error


def load(settings: ModelSettings, checkpoint: Checkpoint) -> LoadedEngine:
    """Load the model onto its device.

    That happens on a thread which ends with it. OpenMP keeps a team of threads for each thread that has ever called it;
    while one for this thread lives, the model thread's team sleeps between two operations where it would else spin for
    a moment, and the forward pass takes a third longer.

    Raises:
        BadSettings: there is no such device, or its files do not hold what they should.
    """
    try:
        with ThreadPoolExecutor(1, "loading") as passing:
            return passing.submit(
                load_engine, checkpoint, device=settings.device, dtype=settings.dtype, threads=settings.threads
            ).result()
    except CheckpointError as error:
        raise BadSettings([f"model.source: {error}"]) from error
    except ValueError as error:
        raise BadSettings([f"model.device or model.dtype: {error}"]) from error


def warm_up(pipeline: ModelPipeline[TokenizedT]) -> None:
    """Start the model's threads and wait until it has answered its own probe.

    Raises:
        BadSettings: its answers are no numbers.
        ModelBroken: it does not run here.
    """
    try:
        pipeline.start()
    except CheckpointError as error:
        raise BadSettings([f"model.source: {error}"]) from error


def token_bound_of(checkpoint: Checkpoint) -> Callable[[str], int]:
    """The most tokens that a text can come to, by the kind of vocabulary."""
    return bert_tokens if checkpoint.packed else byte_tokens


def compile_policy(settings: PolicySettings, labels: tuple[str, ...]) -> CompiledPolicy:
    """The policy for this model's labels.

    Raises:
        BadSettings: the file is no policy, or the policy names a label that the model does not have.
    """
    if settings.file is not None:
        try:
            return load_policy(settings.file).compiled(labels)
        except PolicyError as error:
            raise BadSettings([f"policy.file: {line}" for line in error.lines]) from error
        except ValueError as error:
            raise BadSettings([f"policy.file: {settings.file}: {error}"]) from error
    try:
        return Policy(
            name=settings.name,
            default=LabelPolicy(threshold=settings.default_threshold),
            labels={label: LabelPolicy(threshold=threshold) for label, threshold in settings.thresholds.items()},
        ).compiled(labels)
    except ValueError as error:
        raise BadSettings([f"policy.thresholds: {error}"]) from error


def make_codec(
    settings: Settings,
    checkpoint: Checkpoint,
    engine: LoadedEngine,
    policy: CompiledPolicy,
    judged: Callable[[Judged], None] = lambda judged: None,
    *,
    run_id: str | None = None,
) -> EventCodec:
    """Decoder, encoder and dead letters; ``judged`` is told what the policy makes of the comments.

    ``run_id`` names a deliberate relabelling.

    Raises:
        BadSettings: a field path is wrong.
    """
    decoder = Decoder(
        preprocess=checkpoint.preprocess,
        max_tokens=engine.max_tokens,
        max_bytes=settings.events.max_bytes,
        mapping=map_fields(settings.events),
        token_bound=token_bound_of(checkpoint),
        max_age=settings.catch_up.max_age,
        wall_clock=time.time,
    )
    dead_letters = DeadLetters(
        model_revision=engine.identity.revision,
        app_version=__version__,
        coordinates_only=settings.dead_letters.coordinates_only,
        run_id=run_id,
    )
    encoder = Encoder(
        activation=engine.activation,
        policy=policy,
        dead_letters=dead_letters,
        wall_clock=time.time,
        is_cut=decoder.cuts,
        include_text=settings.events.include_text,
        cloudevents=_cloudevents(settings.events),
        judged=judged,
        run_id=run_id,
    )
    return EventCodec(decoder, encoder, dead_letters)


def _cloudevents(settings: EventSettings) -> CloudEvents | None:
    return CloudEvents(settings.cloudevents_source) if settings.cloudevents == "binary" else None


def find_frame(settings: Settings, topic: str) -> bytes | None:
    """What stands before every labeled event in a topic, asked of the schema registry; ``None`` without one.

    Takes some seconds if the registry does not answer.

    Raises:
        BadSettings: it is away, refuses the login, or does not have the schema.
    """
    if settings.registry.url is None:
        return None
    try:
        from consumer.kafka.schema_registry import RegistryUnusable, connect, find_schema_id  # noqa: PLC0415
    except ImportError:
        raise BadSettings(["registry.url needs the extra: pip install 'comment-consumer[registry]'"]) from None
    registry = settings.registry
    password = None if registry.password is None else registry.password.get_secret_value()
    try:
        with connect(registry.urls, registry.username, password, registry.ssl_ca_location) as client:
            return frame(find_schema_id(client, f"{topic}-value", render("labeled"), register=registry.auto_register))
    except (RegistryUnusable, ValueError) as error:
        raise BadSettings([f"registry.url: {error}"]) from error


def batch_policy(settings: Settings) -> BatchPolicy:
    """When a batch closes."""
    batch = settings.batch
    return BatchPolicy(batch.max_comments, batch.max_tokens, batch.max_wait, batch.idle_dispatch)


def flow_limits(settings: Settings) -> FlowLimits:
    """How much may be in flight."""
    flow = settings.flow
    return FlowLimits(flow.max_records, flow.max_bytes, flow.max_tokens, flow.low_mark)


def dead_letter_limits(settings: DeadLetterSettings) -> DeadLetterLimits:
    """How many dead letters are too many; 0 in the settings is no limit."""
    bounds = {
        Stage.MODEL: (settings.model_run, settings.model_ratio),
        Stage.DECODE: (settings.decode_run, settings.decode_ratio),
    }
    return DeadLetterLimits(
        {
            stage: DeadLetterLimit(run or UNLIMITED, ratio or 1.0, settings.window)
            for stage, (run, ratio) in bounds.items()
            if run or ratio
        }
    )
