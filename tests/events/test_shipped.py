"""The shipped mappings on records as their sources write them, and mappings in files of an operator."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from consumer.classifier.preprocessing import preset
from consumer.delivery.records import Comment, Failure, Headers, Skipped, Stage, ToClassify
from consumer.events.decode import Decoder
from consumer.events.mapping import FieldMapping, Kinds, check_overrides
from consumer.events.shipped import FOLDER, check_name, load_mapping, mapping_names, parse_mapping
from tests.events.records import TRACEPARENT, comment_record

SAMPLES = Path(__file__).parent / "samples"


def sample(mapping: str, name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((SAMPLES / f"{mapping}.json").read_text("utf-8"))[name]
    return event


def decode(mapping: str, event: dict[str, Any], headers: Headers | None = (), **overrides: Any) -> Any:
    decoder = Decoder(
        preprocess=preset("none"),
        max_tokens=512,
        max_bytes=262_144,
        mapping=load_mapping(mapping).replaced(overrides),
    )
    (decoded,) = decoder.decode([comment_record(event, headers=headers)])
    return decoded


def comment(mapping: str, name: str, headers: Headers | None = (), **overrides: Any) -> Comment:
    decoded = decode(mapping, sample(mapping, name), headers, **overrides)
    assert isinstance(decoded, ToClassify), decoded
    return decoded.comment


def skipped(mapping: str, name: str) -> tuple[Comment, str]:
    decoded = decode(mapping, sample(mapping, name))
    assert isinstance(decoded, Skipped), decoded
    return decoded


def missing(mapping: str, event: dict[str, Any], headers: Headers | None = ()) -> str:
    decoded = decode(mapping, event, headers)
    assert isinstance(decoded, Failure), decoded
    assert (decoded.type, decoded.stage) == ("missing_field", Stage.DECODE)
    return decoded.message


def test_all_that_are_shipped_can_be_loaded() -> None:
    assert mapping_names() == [
        "cloudevents-binary",
        "cloudevents-structured",
        "kafka-connect-row",
        "twitch-eventsub-chat",
        "youtube-live-chat",
    ]
    for name in mapping_names():
        assert load_mapping(name) == parse_mapping((FOLDER / f"{name}.toml").read_text("utf-8"))


class TestYouTube:
    NAME = "youtube-live-chat"

    def test_a_text_message(self) -> None:
        assert comment(self.NAME, "text message") == Comment(
            "LCC.EhwKGkNOcVN4ZjNhX1lrREZRa1VyUVlkWHhz",
            "台灣加油！🔥",
            stream="KicKGFVDdGVzdC1saXZlLWNoYXQtaWQtMDAx",
            author="UCk3vX2f8wQbN1sT7pLm0aZg",
        )

    def test_a_text_message_of_which_only_the_snippet_was_asked_for(self) -> None:
        found = comment(self.NAME, "text message, part=snippet only")
        assert (found.text, found.author) == ("好球", "UC-author")

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("super chat", "第三局拿下！"),
            ("member milestone", "一週年了"),
            ("super chat without words", "NT$15.00 from 阿明"),
        ],
    )
    def test_what_people_write_beside_a_gift_is_a_comment(self, name: str, text: str) -> None:
        assert comment(self.NAME, name).text == text

    @pytest.mark.parametrize(
        ("name", "about"),
        [
            ("deleted by a moderator", "LCC.super-chat"),
            ("retracted by its author", "LCC.snippet-only"),
            ("tombstone", "LCC.milestone"),
        ],
    )
    def test_a_deletion_names_the_comment_that_is_gone_and_nobody(self, name: str, about: str) -> None:
        assert skipped(self.NAME, name) == (Comment(about, "", stream="chat-1"), "deleted")

    @pytest.mark.parametrize(
        ("name", "about"),
        [("super sticker", "LCC.sticker"), ("new sponsor", "LCC.sponsor"), ("chat ended", "LCC.ended")],
    )
    def test_all_else_is_of_another_kind(self, name: str, about: str) -> None:
        assert skipped(self.NAME, name) == (Comment(about, "", stream="chat-1"), "other_kind")

    def test_a_text_message_without_a_text_says_where_it_was_looked_for_and_where_that_stopped(self) -> None:
        event = sample(self.NAME, "text message")
        del event["snippet"]["displayMessage"], event["snippet"]["textMessageDetails"]["messageText"]
        message = missing(self.NAME, event)
        assert message.startswith(
            "text: nothing at snippet.textMessageDetails.messageText (no messageText in textMessageDetails), "
            "nor at snippet.superChatDetails.userComment (no superChatDetails in snippet), nor at "
        )
        assert message.endswith("nor at snippet.displayMessage (no displayMessage in snippet)")
        assert len(message) < 500  # what a dead letter's header holds

    def test_json_of_another_shape_is_no_skipped_event_but_a_dead_letter(self) -> None:
        assert missing(self.NAME, {"id": "1", "text": "x"}) == "kind: nothing at snippet.type (no snippet)"
        answer = {"kind": "youtube#liveChatMessageListResponse", "items": [sample(self.NAME, "text message")]}
        assert missing(self.NAME, answer) == "kind: nothing at snippet.type (no snippet)"


class TestTwitch:
    NAME = "twitch-eventsub-chat"

    def test_the_body_of_a_webhook(self) -> None:
        assert comment(self.NAME, "webhook body") == Comment(
            "6d1fbd4a-94a3-4be2-a5fd-2c1c9fd1d3a1", "加油 PogChamp @tvl_live", "40934651", author="88221140"
        )

    def test_the_message_of_a_websocket(self) -> None:
        assert comment(self.NAME, "websocket message, highlighted") == Comment(
            "f3c2e8a0-2f0f-4a58-8d3a-9f0b6b1c7e55", "看我看我", "40934651", author="88221141"
        )

    def test_a_deletion_names_the_comment_that_is_gone(self) -> None:
        gone = comment(self.NAME, "webhook body")
        assert skipped(self.NAME, "message deleted") == (Comment(gone.id, "", gone.channel), "deleted")

    @pytest.mark.parametrize(("name", "channel"), [("another subscription", "40934651"), ("keepalive", None)])
    def test_what_names_no_comment_is_told_by_its_coordinates(self, name: str, channel: str | None) -> None:
        assert skipped(self.NAME, name) == (Comment("comments/3/41", "", channel), "other_kind")

    def test_a_notification_without_its_message_says_where_both_ways_stopped(self) -> None:
        event = sample(self.NAME, "webhook body")
        event["event"]["message"] = "加油"
        assert missing(self.NAME, event) == (
            "text: nothing at event.message.text (message is no object), nor at payload.event.message.text (no payload)"
        )


class TestKafkaConnect:
    NAME = "kafka-connect-row"

    def test_a_row_without_schema(self) -> None:
        found = comment(self.NAME, "without schema")
        assert found == Comment("90031", "這球有觸網吧", "tvl-1", author="5512")

    def test_a_row_in_the_converters_envelope(self) -> None:
        assert comment(self.NAME, "with schema") == Comment("90032", "好攔網", "tvl-1")

    def test_a_changed_row_is_an_ordinary_comment_with_the_same_id(self) -> None:
        before, after = comment(self.NAME, "without schema"), comment(self.NAME, "changed")
        assert before.id == after.id
        assert before.text != after.text

    @pytest.mark.parametrize(("name", "about"), [("deleted", "90031"), ("deleted, with schema", "90032")])
    def test_a_deleted_row_names_its_comment(self, name: str, about: str) -> None:
        assert skipped(self.NAME, name) == (Comment(about, ""), "deleted")

    def test_columns_of_other_names_are_told_by_fields(self) -> None:
        assert decode(self.NAME, {"id": 1, "body": "x"}, text="body").comment == Comment("1", "x")
        wrapped = {"schema": None, "payload": {"id": 1, "body": "x"}}
        assert decode(self.NAME, wrapped, text="payload.body").comment == Comment("1", "x")

    def test_a_row_without_text_says_where_both_ways_stopped(self) -> None:
        assert missing(self.NAME, {"id": 1, "body": "x"}) == "text: nothing at text, nor at payload.text (no payload)"


class TestCloudEvents:
    STRUCTURED, BINARY = "cloudevents-structured", "cloudevents-binary"
    HEADERS: Headers = (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", b"A234-1234-1234"),
        ("ce_source", b"https://chat.example/rooms/tvl-1"),
        ("ce_type", b"example.chat.comment.posted.v1"),
        ("ce_time", b"2026-11-22T11:04:31.204Z"),
        ("traceparent", TRACEPARENT.encode()),
    )

    def test_structured_the_comments_own_id_wins_over_the_events(self) -> None:
        found = comment(self.STRUCTURED, "data with an id of its own")
        assert found == Comment("c-77", "殺得漂亮", "tvl-1", author="u-9", lang="zh-TW")

    def test_structured_an_event_whose_data_has_no_id_gives_its_own(self) -> None:
        assert comment(self.STRUCTURED, "data without one") == Comment("A234-1234-1235", "GG")

    def test_binary_the_comments_own_id_wins_over_the_header(self) -> None:
        decoded = decode(self.BINARY, {"id": "c-77", "text": "殺得漂亮", "author": "u-9"}, self.HEADERS)
        assert decoded.comment == Comment("c-77", "殺得漂亮", author="u-9", traceparent=TRACEPARENT)

    def test_binary_an_event_whose_data_has_no_id_gives_its_header(self) -> None:
        decoded = decode(self.BINARY, {"text": "GG"}, self.HEADERS)
        assert decoded.comment == Comment("A234-1234-1234", "GG", traceparent=TRACEPARENT)

    def test_binary_any_header_can_be_a_field(self) -> None:
        decoded = decode(self.BINARY, {"text": "GG"}, self.HEADERS, id="header:ce_id", channel="header:ce_source")
        assert decoded.comment.channel == "https://chat.example/rooms/tvl-1"

    @pytest.mark.parametrize(
        ("headers", "why"), [((), "there is no such header"), (None, "the headers cannot be read")], ids=str
    )
    def test_binary_without_an_id_says_what_became_of_the_header(self, headers: Headers | None, why: str) -> None:
        assert missing(self.BINARY, {"text": "GG"}, headers) == f"id: nothing at id, nor at header:ce_id ({why})"

    def test_binary_a_header_that_is_no_text_is_named_and_not_shown(self) -> None:
        failure = decode(self.BINARY, {"text": "GG"}, (("ce_id", b"secret\xff"),))
        assert failure == Failure("invalid_field", "header:ce_id: Input should be a valid string", Stage.DECODE)

    def test_binary_headers_are_bounded_before_they_are_read(self) -> None:
        failure = decode(self.BINARY, {"text": "GG"}, (("ce_id", b"x" * 262_145),))
        assert failure == Failure("too_large", "the headers have 262145 bytes, more than 262144", Stage.DECODE)

    def test_a_mapping_that_reads_no_headers_does_not_care_about_their_size(self) -> None:
        event = sample(self.STRUCTURED, "data without one")
        assert isinstance(decode(self.STRUCTURED, event, (("x", b"x" * 262_145),)), ToClassify)

    def test_one_mode_under_the_mapping_of_the_other_is_a_dead_letter(self) -> None:
        event = sample(self.STRUCTURED, "data without one")
        assert missing(self.BINARY, event) == "text: nothing at text"
        assert missing(self.STRUCTURED, {"text": "GG"}, self.HEADERS).startswith(
            "id: nothing at data.id (no data), nor"
        )


class TestReadme:
    """What the README tells a stranger to type."""

    SECTION = (
        (Path(__file__).parents[2] / "README.md").read_text("utf-8").split("### Your own JSON\n")[1].split("\n### ")[0]
    )

    def test_its_record_is_labeled_by_its_setting(self) -> None:
        (message,) = re.findall(r"```json\n(.*?)```", self.SECTION, re.DOTALL)
        (mapping,) = set(re.findall(r"--events\.mapping (\S+)", self.SECTION))
        decoded = decode(mapping, json.loads(message.replace("\n", "")))
        assert decoded.comment.text == "加油加油 🔥🔥"
        assert f'"comment_id":"{decoded.comment.id}"' in self.SECTION

    def test_its_table_names_what_is_shipped(self) -> None:
        named = re.findall(r"^\| `([a-z/.-]+)` \| (?!reads)", self.SECTION, re.MULTILINE)
        assert sorted(named) == ["./mine.toml", *mapping_names()]

    def test_its_paths_are_paths(self) -> None:
        given = re.findall(r"^\| `({.*})` \|", self.SECTION, re.MULTILINE)
        assert len(given) == 6
        for fields in given:
            check_overrides(json.loads(fields))


class TestFiles:
    TEXT = """
        [fields]
        id = "n"
        text = ["m.text", "m.body"]
        [kind]
        path = "t"
        comments = ["c"]
    """

    def test_a_file_of_ones_own_is_named_by_its_path(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.toml"
        file.write_text(self.TEXT)
        nothing = dict.fromkeys(["channel", "stream", "author", "published_at", "lang", "metadata"])
        expected = FieldMapping(id="n", text=("m.text", "m.body"), kinds=Kinds("t", ("c",)), **nothing)  # type: ignore[arg-type]
        assert load_mapping(str(file)) == expected

    def test_a_file_that_cannot_be_read_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"absent\.toml cannot be read \(FileNotFoundError\)"):
            load_mapping(str(tmp_path / "absent.toml"))
        (tmp_path / "binary.toml").write_bytes(b"\xff")
        with pytest.raises(ValueError, match=r"cannot be read \(UnicodeDecodeError\)"):
            load_mapping(str(tmp_path / "binary.toml"))

    @pytest.mark.parametrize("name", ["youtube", "", "../mappings/youtube-live-chat", "nothing"])
    def test_an_unknown_name_is_refused_with_those_that_there_are(self, name: str) -> None:
        with pytest.raises(ValueError, match=r"no such mapping.*youtube-live-chat"):
            check_name(name)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("x", "not TOML"),
            ("", r"fields\.id is missing"),
            ('[fields]\nid = "a"', r"fields\.text is missing"),
            ('[fields]\nid = "a"\ntxt = "b"', r"fields\.txt is unknown"),
            ('[fields]\nid = "a"\ntext = 1', r"fields\.text is a path, or a list of paths"),
            ('[fields]\nid = "a"\ntext = ["b", 1]', r"fields\.text is a list of texts"),
            ('[fields]\nid = "a"\ntext = []', "text: give at least one path"),
            ('[fields]\nid = "a"\ntext = "b..c"', "text: a path is names"),
            ('[fields]\nid = "a"\ntext = "b"\nlang = ""', "lang: a path is names"),
            ("fields = 1", r"\[fields\] is a table"),
            ('extra = 1\n[fields]\nid = "a"\ntext = "b"', "extra is unknown"),
            ('[fields]\nid = "a"\ntext = "b"\n[kind]\ncomments = ["c"]', r"kind\.path is missing"),
            ('[fields]\nid = "a"\ntext = "b"\n[kind]\npath = "k"', r"kind\.comments: name at least one"),
            ('[fields]\nid = "a"\ntext = "b"\n[kind]\npath = "k"\ncomments = "c"\noptional = 1', "true or false"),
            (
                '[fields]\nid = "a"\ntext = "b"\n[kind]\npath = "k"\ncomments = "c"',
                r"kind\.comments is a list of texts",
            ),
            ('[fields]\nid = "a"\ntext = "b"\n[kind]\npath = "k"\nwhen = "c"', r"kind\.when is unknown"),
        ],
        ids=str,
    )
    def test_a_wrong_file_says_what_is_wrong(self, text: str, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            parse_mapping(text)
