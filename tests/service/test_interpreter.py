"""What lives as long as the process is not gone through by the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from consumer.service.interpreter import YOUNG_OBJECTS, settle


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


class _Cycle:
    def __init__(self) -> None:
        self.own = self


def test_what_is_there_already_is_left_alone_and_what_comes_is_still_collected():
    kept = [[] for _ in range(1000)]
    settle()
    assert gc.get_freeze_count() > len(kept)
    made = _Cycle()
    assert any(each is made for each in gc.get_objects())
    assert not any(each is kept for each in gc.get_objects())


def test_the_collector_stays_on_and_looks_more_rarely():
    settle()
    assert gc.isenabled()
    assert gc.get_threshold()[0] == YOUNG_OBJECTS
