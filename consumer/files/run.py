"""A classify run put together: input, model, outputs, and what is left of an earlier run."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from consumer import __version__
from consumer.classifier.checkpoint import Checkpoint
from consumer.classifier.loading import LoadedEngine
from consumer.classifier.runner import Runner
from consumer.delivery.batcher import BatchPolicy
from consumer.delivery.ports import Classifier
from consumer.events.dead_letters import DeadLetters
from consumer.events.decode import Decoder
from consumer.events.encode import Encoder
from consumer.events.mapping import FieldMapping
from consumer.files.encoding import CsvForm, JsonForm, Lines
from consumer.files.inputs import OpenInput, open_input
from consumer.files.job import Counts, Ids, Job
from consumer.files.journal import SUFFIX, CannotResume, Journal, JournaledClassifier
from consumer.files.labeler import Labeler
from consumer.files.lines import UnreadableInput
from consumer.files.outputs import Output, Stream, TakenUpFile
from consumer.files.progress import Bar, PlainLines, Teller
from consumer.moderation.judgement import CompiledPolicy
from consumer.service import assembly
from consumer.service.logs import configure_logging
from consumer.service.mapped_fields import map_fields
from consumer.service.model_pipeline import ModelPipeline, Unwatched
from consumer.settings.classify import ClassifySettings

CLOSE_TIMEOUT = 5.0  # seconds for the model's threads to end
REPORT = ".rejected.jsonl"


@dataclass(frozen=True)
class Plan:
    """What the command line says beside the settings. ``given`` is a path or ``-``; ``out`` None is standard output."""

    given: str
    out: str | None
    report: str | None
    input_format: Literal["jsonl", "csv", "parquet", "text"] | None
    output_format: Literal["jsonl", "csv"] | None


def run(plan: Plan, settings: ClassifySettings, asked_to_stop: Callable[[], bool]) -> Counts:
    """Label what the plan names; tell how it goes on standard error.

    Raises:
        BadSettings: the model or the policy is not as the settings say.
        UnreadableInput: the input is not there, not what it should be, or was changed while it was read.
        CannotResume: the output is there already, and is not this run's.
        Stopped: it was asked to end.
        OSError: reading or writing failed; ``BrokenPipeError`` when nobody reads any more.
        ModelBroken: the model fails on everything.
    """
    configure_logging("warning", "auto", sys.stderr)
    mapping = map_fields(settings.events)
    with ExitStack() as stack:
        source = open_input(plan.given, plan.input_format, settings.events.max_bytes, mapping)
        if source.form == "text":
            mapping = FieldMapping()  # its lines are texts, whatever the JSON of others looks like
        stack.callback(source.file.close)
        before = source.state()
        out = None if plan.out is None else _usable(Path(plan.out), source)
        _check_report(plan, source, out)
        checkpoint = assembly.open_checkpoint(settings.model)
        engine = assembly.load(settings.model, checkpoint)
        policy = assembly.compile_policy(settings.policy, engine.labels)
        form = plan.output_format or ("csv" if out is not None and out.suffix.lower() == ".csv" else "jsonl")

        journal = None
        if out is not None and source.path is not None and _is_ordinary(out):
            journal = Journal(_progress(out), _stamp(plan, source, settings, mapping, engine, policy, form))
            stack.callback(journal.close)
        output = _output(stack, out)
        report_path, report = _report(stack, plan, out)
        pipeline = ModelPipeline(engine, Runner(engine, time.sleep), Unwatched())
        stack.callback(pipeline.close, CLOSE_TIMEOUT)
        assembly.warm_up(pipeline)
        classifier: Classifier = pipeline if journal is None else JournaledClassifier(pipeline, journal)

        labeler = Labeler(classifier, _batching(settings, source), settings.cache.max_entries)
        display = _display(plan)
        with display:
            if journal is not None and journal.left:
                display.say(f"going on: {journal.left:,} batches were done before")
            teller = Teller(display, time.monotonic, tell_rejected=report is None)
            job = Job(
                reader=source.reader,
                ids=Ids(_decoder(settings, checkpoint, engine, mapping), source.name, fill_in=mapping.id == "id"),
                labeler=labeler,
                lines=Lines(
                    source.name,
                    _encoder(settings, checkpoint, engine, policy),
                    CsvForm(policy.labels, with_text=settings.events.include_text) if form == "csv" else JsonForm(),
                ),
                output=output,
                report=report,
                clock=time.monotonic,
                asked_to_stop=asked_to_stop,
                watching=teller,
            )
            counts = job.run()
        if source.path is not None and source.state() != before:
            raise UnreadableInput(
                f"{plan.given} was changed while it was read: what was written is of neither version. Remove the "
                "output and run again when nobody writes to the input"
            )
        if journal is not None:
            journal.finish()
    if report_path is not None and not report_path.stat().st_size:
        report_path.unlink()
    print(_told(counts, labeler, teller.seconds), file=sys.stderr)
    return counts


def _is_ordinary(path: Path) -> bool:
    """Whether it is a file that can be read back, or will be one."""
    return not path.exists() or stat.S_ISREG(path.stat().st_mode)


def _usable(out: Path, source: OpenInput) -> Path:
    """The output's path, if it may be written to."""
    if not out.parent.is_dir():
        raise CannotResume(f"--out: there is no folder {out.parent}")
    if out.is_dir():
        raise CannotResume(f"--out: {out} is a folder: name a file")
    if source.path is not None and out.exists() and os.path.samefile(out, source.path):
        raise CannotResume("--out is the input itself: name another file")
    if out.exists() and _is_ordinary(out) and out.stat().st_size and not _progress(out).exists():
        raise CannotResume(f"{out} is there already, and is no run that was begun: remove it or name another file")
    return out


def _check_report(plan: Plan, source: OpenInput, out: Path | None) -> None:
    """Refuse to write a report over something else. Whether one that is there is this run's, the journal knows."""
    if plan.report is None:
        return
    report = Path(plan.report)
    if not report.parent.is_dir() or not _is_ordinary(report):
        raise CannotResume(f"--report: {report} is no ordinary file in a folder that is there: name another one")
    taken = {"the input": source.path, "--out": out, "the progress file": None if out is None else _progress(out)}
    for what, path in taken.items():
        if path is not None and report.resolve() == path.resolve():
            raise CannotResume(f"--report is {what} itself: name another file")
    begun = out is not None and _progress(out).exists()
    if report.exists() and report.stat().st_size and not begun:
        raise CannotResume(f"--report: {report} is there already: remove it or name another file")


def _progress(out: Path) -> Path:
    return out.with_name(out.name + SUFFIX)


def _stamp(
    plan: Plan,
    source: OpenInput,
    settings: ClassifySettings,
    mapping: FieldMapping,
    engine: LoadedEngine,
    policy: CompiledPolicy,
    form: str,
) -> dict[str, object]:
    """All that decides what is written, for :class:`~consumer.files.journal.Journal`."""
    return {
        "program version": __version__,
        "input": [source.name, source.form, source.digest()],
        "model": [*engine.identity, *engine.labels, engine.activation.value],
        "policy": policy.digest,
        "batch, cache or events setting": [
            group.model_dump(mode="json") for group in (settings.batch, settings.cache, settings.events)
        ],
        "mapping": repr(mapping),  # of a file, what it said
        "output format": form,
        "--report": None if plan.report is None else str(Path(plan.report).resolve()),
    }


def _batching(settings: ClassifySettings, source: OpenInput) -> BatchPolicy:
    """The consumer's rule; a file is all there, so nothing of it waits for a deadline or an idle model."""
    batch = settings.batch
    if source.path is not None:
        return BatchPolicy(batch.max_comments, batch.max_tokens, float("inf"), idle_dispatch=False)
    return BatchPolicy(batch.max_comments, batch.max_tokens, batch.max_wait, batch.idle_dispatch)


def _output(stack: ExitStack, out: Path | None) -> Output:
    if out is None:
        sys.stdout.flush()
        return Stream(lambda data: os.write(sys.stdout.fileno(), data))
    if not _is_ordinary(out):
        return Stream(stack.enter_context(out.open("wb", buffering=0)).write)
    output = TakenUpFile(out)
    stack.callback(output.close)
    return output


def _report(stack: ExitStack, plan: Plan, out: Path | None) -> tuple[Path | None, Output | None]:
    """The list of rejected lines; standard error has the first of them where there is neither."""
    path = plan.report or (None if out is None or not _is_ordinary(out) else f"{out}{REPORT}")
    if path is None:
        return None, None
    report = TakenUpFile(Path(path))
    stack.callback(report.close)
    return Path(path), report


def _decoder(
    settings: ClassifySettings, checkpoint: Checkpoint, engine: LoadedEngine, mapping: FieldMapping
) -> Decoder:
    return Decoder(
        preprocess=checkpoint.preprocess,
        max_tokens=engine.max_tokens,
        max_bytes=settings.events.max_bytes,
        mapping=mapping,
        token_bound=assembly.token_bound_of(checkpoint),
    )


def _encoder(
    settings: ClassifySettings, checkpoint: Checkpoint, engine: LoadedEngine, policy: CompiledPolicy
) -> Encoder:
    return Encoder(
        activation=engine.activation,
        policy=policy,
        dead_letters=DeadLetters(model_revision=engine.identity.revision, app_version=__version__),
        wall_clock=time.time,
        is_cut=_decoder(settings, checkpoint, engine, FieldMapping()).cuts,
        include_text=settings.events.include_text,
    )


def _display(plan: Plan) -> Bar | PlainLines:
    """A bar where it cannot get between the labels."""
    if sys.stderr.isatty() and (plan.out is not None or not sys.stdout.isatty()):
        return Bar(Console(stderr=True))
    return PlainLines(lambda line: print(line, file=sys.stderr, flush=True))


def _told(counts: Counts, labeler: Labeler, seconds: float) -> str:
    rate = counts.records / seconds if seconds > 0 else 0.0
    return (
        f"{counts.records:,} comments in {seconds:.1f} s ({rate:,.0f}/s): {counts.labeled:,} labeled, "
        f"{counts.skipped:,} skipped, {counts.rejected:,} rejected; {labeler.work.texts:,} texts went through the "
        f"model, {labeler.work.repeats:,} were known"
    )
