"""Parts made from settings."""

from __future__ import annotations

import threading

import pytest

from consumer.service import assembly
from consumer.settings import ModelSettings


def test_the_model_is_loaded_on_a_thread_that_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch):
    """A team of OpenMP threads that stayed with the main thread would slow the model thread's down."""
    threads: list[threading.Thread] = []
    monkeypatch.setattr(assembly, "load_engine", lambda *_, **__: threads.append(threading.current_thread()))
    assembly.load(ModelSettings(source="anywhere"), None)  # type: ignore[arg-type]
    assert threads[0] is not threading.current_thread()
    assert not threads[0].is_alive()
