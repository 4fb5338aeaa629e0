"""What the running program says about itself on ``/metrics``."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from consumer.service.metrics import PREFIX

CACHE_HITS = f"{PREFIX}_cache_hits_total"
BATCHES = f"{PREFIX}_batch_records"


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
    batches = values.get(f"{BATCHES}_count", 0.0)
    return Figures(
        batch_size=values.get(f"{BATCHES}_sum", 0.0) / batches if batches else None,
        cache_hits=int(values.get(CACHE_HITS, 0.0)),
    )
