"""Parts made from settings."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from consumer.events.mapping import FieldMapping
from consumer.service import assembly
from consumer.service.mapped_fields import map_fields
from consumer.settings import EventSettings, ModelSettings
from consumer.settings.loading import BadSettings


def test_the_model_is_loaded_on_a_thread_that_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch):
    """A team of OpenMP threads that stayed with the main thread would slow the model thread's down."""
    threads: list[threading.Thread] = []
    monkeypatch.setattr(assembly, "load_engine", lambda *_, **__: threads.append(threading.current_thread()))
    assembly.load(ModelSettings(source="anywhere"), None)  # type: ignore[arg-type]
    assert threads[0] is not threading.current_thread()
    assert not threads[0].is_alive()


class TestMapping:
    def test_without_a_setting_comments_are_the_programs_own(self):
        assert map_fields(EventSettings()) == FieldMapping()

    def test_fields_win_over_the_mapping(self):
        mapped = map_fields(EventSettings(mapping="youtube-live-chat", fields={"channel": "room"}))
        assert (mapped.id, mapped.channel, mapped.lang) == ("id", "room", None)
        assert mapped.kinds is not None

    @pytest.mark.parametrize(
        ("text", "fields", "said"),
        [
            (None, {}, "events.mapping: "),
            ('[fields]\nid = "a"', {}, "events.mapping: "),
            ('[fields]\nid = "a"\ntext = "b"', {"id": "b.c"}, "events.fields: "),
        ],
    )
    def test_what_is_wrong_is_one_line_that_names_the_setting(
        self, tmp_path: Path, text: str | None, fields: dict[str, str], said: str
    ):
        file = tmp_path / "mine.toml"
        if text is not None:
            file.write_text(text)
        with pytest.raises(BadSettings) as refusal:
            map_fields(EventSettings(mapping=str(file), fields=fields))
        (line,) = refusal.value.lines
        assert line.startswith(said)
