"""The catalogue of metrics as a page, ``consumer/metrics.md``. No I/O."""

from __future__ import annotations

from typing import Final

from consumer.service.catalogue import CATALOGUE, Metric

_HEAD: Final = """# Metrics

Made by `comment-consumer config metrics` from the catalogue; a test keeps it current. Change
`consumer/service/catalogue.py`, not this.

Served at `/metrics` in the Prometheus text format. A counter is read by `rate()`, a histogram (`_bucket`, `_sum`,
`_count`) by `histogram_quantile()`; for a group, sum over its processes, and take the maximum of ages.

| metric | type | unit | labels | what it is | why |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The whole page, in Markdown."""
    return _HEAD + "".join(map(_row, CATALOGUE))


def _row(entry: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in entry.labels)
    return f"| `{entry.sample}` | {entry.kind} | {entry.unit} | {labels} | {entry.help} | {entry.why} |\n"
