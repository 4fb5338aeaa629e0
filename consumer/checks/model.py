"""Is the model there and sound, does the policy fit it, and does a batch go through?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import orjson
from pydantic import ValidationError

from consumer.checks.findings import Finding, Status
from consumer.classifier.runner import Runner
from consumer.delivery.errors import ModelBroken
from consumer.delivery.records import Labeled, Partition, Record, ToClassify, Verdict
from consumer.events.mapping import REQUIRED, FieldMapping
from consumer.events.paths import Path, exclude_each_other, nested
from consumer.service import assembly
from consumer.service.mapped_fields import map_fields
from consumer.settings import Settings
from consumer.settings.loading import BadSettings
from schemas.labeled import LabeledEvent

TEXTS: Final = ("加油！", "GG", "哈囉 大家好", "This was a great rally!", "好球 🔥🔥", "12:10")


def check_model(settings: Settings) -> list[Finding]:
    """Open and load the checkpoint as the consumer would, and run a batch through all of it but Kafka."""
    try:
        mapping = map_fields(settings.events)
    except BadSettings as wrong:
        refused = [Finding("mapping", Status.FAILED, line) for line in wrong.lines]
        return [*refused, *_not_tried("the mapping", "model", "policy", "dry run")]
    mapped = Finding("mapping", Status.OK, _told(mapping))
    return [mapped, *_check_engine(settings, mapping)]


def _check_engine(settings: Settings, mapping: FieldMapping) -> list[Finding]:
    try:
        checkpoint = assembly.open_checkpoint(settings.model)
        engine = assembly.load(settings.model, checkpoint)
    except BadSettings as wrong:
        return [
            *(Finding("model", Status.FAILED, line) for line in wrong.lines),
            *_not_tried("the model", "policy", "dry run"),
        ]
    name, revision, digest = engine.identity
    model = Finding("model", Status.OK, f"{name} {revision}, digest {digest[:16]}…, labels {', '.join(engine.labels)}")
    try:
        policy = assembly.compile_policy(settings.policy, engine.labels)
        codec = assembly.make_codec(settings, checkpoint, engine, policy)
    except BadSettings as wrong:
        refused = [Finding("policy", Status.FAILED, line) for line in wrong.lines]
        return [model, *refused, *_not_tried("the policy", "dry run")]
    fits = Finding("policy", Status.OK, f"{policy.name}, digest {policy.digest[:16]}…")

    records = [_record(offset, text, mapping) for offset, text in enumerate(TEXTS)]
    began = time.perf_counter()
    try:
        engine.warm_up()
        warm = time.perf_counter()
        rows = [(record, found) for record, found in zip(records, codec.decode(records), strict=True)]
        comments = [(record, found) for record, found in rows if isinstance(found, ToClassify)]
        batch = engine.tokenize([found.text for _, found in comments])
        verdicts = Runner(engine, time.sleep).run(batch)
        answered = [
            (record, Labeled(found.comment, verdict, 0.0))
            for (record, found), verdict in zip(comments, verdicts, strict=True)
            if isinstance(verdict, Verdict)
        ]
        for message in codec.encode(answered):
            LabeledEvent.model_validate_json(message.value or b"")
    except (ModelBroken, ValidationError) as error:
        return [model, fits, Finding("dry run", Status.FAILED, f"a batch does not go through: {type(error).__name__}")]
    except Exception as error:  # whatever the framework raises
        return [model, fits, Finding("dry run", Status.FAILED, f"the model does not run here: {type(error).__name__}")]
    if len(answered) < len(TEXTS):
        failed = f"only {len(answered)} of {len(TEXTS)} texts were labeled"
        return [model, fits, Finding("dry run", Status.FAILED, failed)]
    seconds = time.perf_counter() - warm
    took = f"{seconds * 1000:.0f} ms after {warm - began:.1f} s of warm-up"
    detail = f"{len(TEXTS)} comments, {batch.tokens} tokens in {took}; the events fit their schema"
    return [model, fits, Finding("dry run", Status.OK, detail)]


def _not_tried(because: str, *checks: str) -> Sequence[Finding]:
    return [Finding(check, Status.UNKNOWN, f"not tried: {because} cannot be used") for check in checks]


def _told(mapping: FieldMapping) -> str:
    """Where comments are, in a line."""
    told = [f"{name} at {' or '.join(path.spelled for path in mapping.places[name])}" for name in REQUIRED]
    if mapping.kinds is not None:
        kinds = " or ".join(path.spelled for path in mapping.all_places["kind.path"])
        told.append(f"comments are where {kinds} is {' or '.join(mapping.kinds.comments)}")
    return ", ".join(told)


def _record(offset: int, text: str, mapping: FieldMapping) -> Record:
    """A record in the shape that the settings expect."""
    values = {"id": f"check-{offset}", "text": text}
    if mapping.kinds is not None:
        values["kind.path"] = mapping.kinds.comments[0]
    taken: list[tuple[Path, str]] = []
    for name, value in values.items():
        free = (p for p in mapping.all_places[name] if not any(exclude_each_other(p, other) for other, _ in taken))
        taken += [(path, value) for path in free][:1]
    event = nested((path.steps, value) for path, value in taken if path.header is None)
    headers = tuple((path.header, value.encode()) for path, value in taken if path.header is not None)
    return Record(Partition("check", 0), offset, None, None, orjson.dumps(event), headers)
