"""What the running program says about itself on ``/metrics``."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from consumer.service.catalogue import BATCH_RECORDS, CACHE_HITS


@dataclass(frozen=True)
class Figures:
    """``batch_size`` is the mean number of comments in a batch, ``None`` while there was none."""

    batch_size: float | None
    cache_hits: int


def read_figures(text: str) -> Figures:
    """Read the Prometheus text format; a metric that is not there counts as zero."""
    values: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            values[sample.name] = values.get(sample.name, 0.0) + sample.value
    batches = values.get(BATCH_RECORDS.count, 0.0)
    return Figures(
        batch_size=values.get(BATCH_RECORDS.sum, 0.0) / batches if batches else None,
        cache_hits=int(values.get(CACHE_HITS.sample, 0.0)),
    )
