"""From settings to the parts that need them: each function makes one part, and names the setting that is wrong."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from consumer import __version__
from consumer.classifier.checkpoint import Checkpoint
from consumer.classifier.checkpoint_error import CheckpointError
from consumer.classifier.loading import LoadedEngine, load_engine
from consumer.delivery.batcher import BatchPolicy
from consumer.delivery.dead_letter_limits import DeadLetterLimit, DeadLetterLimits
from consumer.delivery.flow import FlowLimits
from consumer.delivery.records import Stage
from consumer.events.codec import EventCodec
from consumer.events.dead_letters import DeadLetters
from consumer.events.decode import Decoder
from consumer.events.encode import Encoder
from consumer.events.mapping import FieldMapping
from consumer.moderation.policy import CompiledPolicy, Policy
from consumer.settings import DeadLetterSettings, EventSettings, ModelSettings, PolicySettings, Settings
from consumer.settings_loading import BadSettings

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


def compile_policy(settings: PolicySettings, labels: tuple[str, ...]) -> CompiledPolicy:
    """The policy for this model's labels.

    Raises:
        BadSettings: a threshold names a label that the model does not have.
    """
    try:
        return Policy(settings.name, settings.thresholds, settings.default_threshold).compiled(labels)
    except ValueError as error:
        raise BadSettings([f"policy.thresholds: {error}"]) from error


def make_codec(settings: Settings, checkpoint: Checkpoint, engine: LoadedEngine, policy: CompiledPolicy) -> EventCodec:
    """Decoder, encoder and dead letters.

    Raises:
        BadSettings: a field path is wrong.
    """
    decoder = Decoder(
        preprocess=checkpoint.preprocess,
        max_tokens=engine.max_tokens,
        max_bytes=settings.events.max_bytes,
        mapping=map_fields(settings.events),
        max_age=settings.catch_up.max_age,
        wall_clock=time.time,
    )
    dead_letters = DeadLetters(
        model_revision=engine.identity.revision,
        app_version=__version__,
        coordinates_only=settings.dead_letters.coordinates_only,
    )
    encoder = Encoder(
        activation=engine.activation,
        policy=policy,
        dead_letters=dead_letters,
        wall_clock=time.time,
        is_cut=decoder.cuts,
        include_text=settings.events.include_text,
    )
    return EventCodec(decoder, encoder, dead_letters)


def map_fields(settings: EventSettings) -> FieldMapping:
    """Where the input's fields are; an empty path of an optional field says that there is none.

    Raises:
        BadSettings: there is no such field, or its path is wrong.
    """
    paths = {field: path or (None if field not in ("id", "text") else "") for field, path in settings.fields.items()}
    try:
        return FieldMapping(**paths)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        known = ", ".join(FieldMapping.__dataclass_fields__)
        raise BadSettings(
            [f"events.fields: {error}; the fields are {known}, of which id and text must be there"]
        ) from None


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
