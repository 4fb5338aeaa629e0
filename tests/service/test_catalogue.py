"""The catalogue of metrics is the only place of their names, it is what is served, and promtool has no complaint."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

import consumer
from consumer.commands.config import config
from consumer.service import catalogue
from consumer.service.catalogue import CATALOGUE, PREFIX, Metric
from consumer.service.catalogue_page import page
from consumer.service.metrics import Metrics
from tests.conformance.program import Program, until
from tests.support.brokers import MockBroker
from tests.support.traffic import produce, unique_topics

PRODUCT = Path(consumer.__file__).parent
PAGE = PRODUCT / "metrics.md"
BASE_UNITS = ("seconds", "bytes", "ratio")
NOT_BASE = re.compile(r"_(ms|milliseconds|minutes|kb|mb|percent)(_|$)")


def by_name() -> dict[str, Metric]:
    return {entry.name: entry for entry in CATALOGUE}


class TestEntries:
    def test_names_are_unique_and_those_of_this_program_begin_alike(self):
        assert [name for name, times in Counter(entry.name for entry in CATALOGUE).items() if times > 1] == []
        assert [entry.name for entry in CATALOGUE if entry.name.startswith(PREFIX) is entry.borrowed] == []
        assert len(CATALOGUE) > 50

    def test_each_says_what_it_is_and_why(self):
        assert [entry.name for entry in CATALOGUE if not (entry.help.endswith(".") and entry.why.endswith("."))] == []
        assert [entry.name for entry in CATALOGUE if not entry.unit] == []

    def test_units_are_base_units_and_stand_in_the_name(self):
        assert [entry.name for entry in CATALOGUE if NOT_BASE.search(entry.name)] == []
        without = [
            entry.name
            for entry in CATALOGUE
            for unit in BASE_UNITS
            if entry.unit.split(" ")[0] == unit and not entry.name.endswith(f"_{unit}")
        ]
        assert without == []

    def test_histograms_and_only_they_have_rising_buckets(self):
        assert [e.name for e in CATALOGUE if bool(e.buckets) is not (e.kind == "histogram")] == []
        assert [e.name for e in CATALOGUE if list(e.buckets) != sorted(set(e.buckets))] == []

    def test_entries_cannot_be_changed(self):
        with pytest.raises(AttributeError):
            catalogue.LAG_SECONDS.name = "other"  # type: ignore[misc]


@pytest.mark.skipif(sys.platform != "linux", reason="the process's own metrics are read from /proc")
def test_what_is_registered_is_the_catalogue_with_its_kinds_and_help():
    families = {family.name: family for family in Metrics(CollectorRegistry()).registry.collect()}
    assert families.keys() == by_name().keys()
    for name, entry in by_name().items():
        assert families[name].type == entry.kind
        assert entry.borrowed or families[name].documentation == entry.help


def names_in(text: str) -> set[str]:
    """The metrics that a text names, by family or sample."""
    found = set()
    for entry in CATALOGUE:
        if re.search(rf"\b{entry.name}(_total|_sum|_count|_bucket)?\b", text):
            found.add(entry.name)
    return found


def strings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_metrics_name_stands_anywhere_else_in_the_product():
    files = [file for file in PRODUCT.rglob("*.py") if file.name != "catalogue.py"]
    assert len(files) > 100
    assert {f"{file.name}: {text}" for file in files for text in strings(file) if names_in(text)} == set()
    assert {
        f"{file.name}: {text}" for file in files for text in strings(file) if re.search(rf"\b{PREFIX}(_|$)", text)
    } == set()


class TestPage:
    def test_the_committed_page_is_current(self):
        assert PAGE.read_text(encoding="utf-8") == page(), "python -m consumer config metrics > consumer/metrics.md"

    def test_every_metric_is_in_it_by_the_name_of_its_sample(self):
        for entry in CATALOGUE:
            assert f"| `{entry.sample}` | {entry.kind} | {entry.unit} |" in page()

    def test_no_cell_breaks_the_table(self):
        rows = [line for line in page().splitlines() if line.startswith("| `")]
        assert len(rows) == len(CATALOGUE)
        assert {line.count("|") for line in rows} == {7}

    def test_the_command_prints_it(self, capsys: pytest.CaptureFixture[str]):
        assert config(["metrics"]) == 0
        assert capsys.readouterr().out == page()


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        reason = "promtool is not here (Debian's package prometheus has it)"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must check the metrics, but {reason}")
        pytest.skip(reason)
    return found


@pytest.mark.broker
def test_the_running_programs_scrape_is_the_catalogue_and_promtool_has_no_complaint(mock_broker: MockBroker):
    topics = unique_topics()
    for name in (topics.input, topics.output, topics.dead_letters):
        mock_broker.create_topic(name, 2)
    values = [json.dumps({"id": str(n), "text": f"加油{n}"}).encode() for n in range(50)]
    with Program(mock_broker.bootstrap, topics) as program:
        produce(mock_broker.bootstrap, topics.input, [*values, b"no json"])
        until(lambda: program.metric(catalogue.PUBLISHED_RECORDS.sample) == 51, 60, "done", program)
        until(lambda: program.metric(catalogue.LAST_COMMIT.sample) > 0, 30, "committing", program)
        until(lambda: '_lag_seconds{partition="1"} 0.0' in program.get("/metrics")[1], 30, "caught up", program)
        status, scrape = program.get("/metrics")
        assert program.metric(catalogue.READY.sample) == 1
        assert program.metric(catalogue.BROKERS_REACHABLE.sample) == 1
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(scrape)}
    assert families.keys() == by_name().keys()
    for name, family in families.items():
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == set(by_name()[name].labels), sample
    lint = subprocess.run([promtool(), "check", "metrics"], input=scrape, capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")
