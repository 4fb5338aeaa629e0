"""A new policy against what was decided: through the command, as a moderation team runs it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from consumer.commands.policy import COULD_NOT, DONE, MAX_LINE, SOME_NO_EVENTS, TOLD, policy
from consumer.moderation.comparison import Comparison, NoEvent, read_event
from consumer.moderation.policy import Policy

SECRET = "what a viewer wrote"
NEW = 'name = "new"\nlabels.Game = {threshold = 0.8, action = "hide", reason = "spoiler", review = [0.6, 0.9]}\n'


def event(number: int, game: float, *, action: str = "allow", **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"comments/0/{number}",
        "status": "labeled",
        "labels": [
            {"label": "Cheer", "score": 0.1, "threshold": 0.5, "flagged": False},
            {"label": "Game", "score": game, "threshold": 0.5, "flagged": game >= 0.5},
        ],
        "action": action,
        "reasons": [],
        "policy": {"name": "old", "digest": "a" * 64},
        "text": SECRET,
        **more,
    }


SKIPPED = event(9, 0) | {"status": "skipped", "labels": [], "skip_reason": "empty"}
EVENTS = [event(0, 0.2), event(1, 0.55), event(2, 0.7), event(3, 0.95), event(4, 0.95, action="hide"), SKIPPED]


@pytest.fixture
def new(tmp_path: Path) -> str:
    (tmp_path / "new.toml").write_text(NEW)
    return str(tmp_path / "new.toml")


@pytest.fixture
def events(tmp_path: Path) -> str:
    (tmp_path / "labeled.jsonl").write_text("".join(json.dumps(each) + "\n" for each in EVENTS))
    return str(tmp_path / "labeled.jsonl")


def test_counts_and_differences_are_told(new: str, events: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert policy(["test", new, "--events", events, "--json"]) == DONE
    found = json.loads(capsys.readouterr().out)
    assert (found["labeled"], found["skipped"], found["changed"]) == (5, 1, 2)
    assert found["actions"] == {
        "allow": {"before": 4, "after": 2},
        "review": {"before": 0, "after": 1},
        "hide": {"before": 1, "after": 2},
    }
    assert found["moves"] == [
        {"before": "allow", "after": "review", "events": 1},
        {"before": "allow", "after": "hide", "events": 1},
    ]
    assert found["labels"]["Game"] == {"before": 4, "after": 2, "gained": 0, "lost": 2}
    assert found["reasons"] == {"spoiler": 2, "unsure:spoiler": 1}
    assert found["differences"] == [
        {"event_id": "comments/0/2", "before": "allow", "after": "review", "reasons": ["unsure:spoiler"]},
        {"event_id": "comments/0/3", "before": "allow", "after": "hide", "reasons": ["spoiler"]},
    ]
    assert found["earlier_policies"] == [{"name": "old", "digest": "a" * 64, "events": 5}]


def test_people_get_a_page_that_quotes_no_comment(new: str, events: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert policy(["test", new, "--events", events, "--show", "1"]) == DONE
    page = capsys.readouterr().out
    assert "allow → hide" in page
    assert "comments/0/2" in page
    assert "comments/0/3" not in page
    assert SECRET not in page


def test_lines_without_an_event_are_told_by_number_and_never_quoted(
    new: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [b"no json " + SECRET.encode(), json.dumps({"text": SECRET}).encode(), b"5", b" ", b"x" * (MAX_LINE + 9)]
    good = json.dumps(event(0, 0.95)).encode()
    (tmp_path / "mixed.jsonl").write_bytes(b"\n".join([*bad, good]))
    assert policy(["test", new, "--events", str(tmp_path / "mixed.jsonl"), "--json"]) == SOME_NO_EVENTS
    out, err = capsys.readouterr()
    assert (json.loads(out)["labeled"], json.loads(out)["no_events"]) == (1, 4)
    assert [line.split(": ")[1] for line in err.splitlines()] == ["line 1", "line 2", "line 3", "line 5"]
    assert SECRET not in out + err


def test_a_file_full_of_nonsense_does_not_fill_the_screen(
    new: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jsonl").write_bytes(b"nonsense\n" * 500)
    assert policy(["test", new, "--events", str(tmp_path / "bad.jsonl")]) == SOME_NO_EVENTS
    assert len(capsys.readouterr().err.splitlines()) == TOLD + 1


def test_events_can_come_through_a_pipe(
    new: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pipe:
        buffer = io.BytesIO(json.dumps(event(0, 0.95)).encode())

    monkeypatch.setattr(sys, "stdin", Pipe)
    assert policy(["test", new, "--events", "-", "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["changed"] == 1


def test_without_events_the_file_is_checked(new: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert policy(["test", new]) == DONE
    assert "new: a policy, digest" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["name = ", 'name = "a"\nlabels.Ghost.threshold = 0.5'])
def test_a_policy_that_cannot_be_used_is_refused_in_a_line(
    content: str, events: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.toml").write_text(content)
    assert policy(["test", str(tmp_path / "bad.toml"), "--events", events]) == COULD_NOT
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "bad.toml" in err


def test_files_that_are_not_there_are_refused_in_a_line(new: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert policy(["test", "/nowhere.toml"]) == COULD_NOT
    assert policy(["test", new, "--events", "/nowhere.jsonl"]) == COULD_NOT
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_the_same_policy_changes_nothing() -> None:
    same = Policy.model_validate({"name": "same", "labels": {"Game": {"threshold": 0.5}}})
    comparison = Comparison(same)
    for each in EVENTS[:4]:
        comparison.add(read_event(json.dumps(each).encode()))
    assert comparison.changed == 0
    assert all(change.gained == change.lost == 0 for change in comparison.labels.values())


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b'{"event_id": 5}', b"\xff"])
def test_what_is_no_event_is_told_apart(line: bytes) -> None:
    with pytest.raises(NoEvent):
        read_event(line)
