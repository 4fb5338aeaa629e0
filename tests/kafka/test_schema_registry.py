"""The schema registry: the client's own mock, its own deserialiser, and answers of every kind over HTTP."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from consumer.checks.findings import Finding, Status
from consumer.checks.registry import check_registry
from consumer.delivery.records import Labeled, Skipped, ToClassify, Verdict
from consumer.events.framing import FramedCodec, frame
from consumer.kafka import schema_registry
from consumer.kafka.schema_registry import RegistryUnusable, connect, find_schema_id
from consumer.service.assembly import find_frame
from consumer.settings.loading import BadSettings, load_settings
from schemas.export import render
from tests.events.records import MODEL, record
from tests.events.test_codec import codec

SUBJECT = "labeled-comments-value"
LABELED = render("labeled")


@pytest.fixture
def mock() -> SchemaRegistryClient:
    return SchemaRegistryClient.new_client({"url": "mock://"})


class TestMock:
    def test_a_schema_that_is_not_there_is_not_registered_unasked(self, mock: SchemaRegistryClient) -> None:
        with pytest.raises(RegistryUnusable, match=r"schemas show labeled.*auto_register"):
            find_schema_id(mock, SUBJECT, LABELED, register=False)
        assert mock.get_subjects() == []

    def test_registering_gives_an_id_that_looking_up_finds_again(self, mock: SchemaRegistryClient) -> None:
        mock.register_schema("other", Schema('{"type": "object"}', "JSON"))
        found = find_schema_id(mock, SUBJECT, LABELED, register=True)
        assert find_schema_id(mock, SUBJECT, LABELED, register=False) == found
        assert find_schema_id(mock, SUBJECT, LABELED, register=True) == found
        assert mock.get_subjects() == ["other", SUBJECT]
        assert mock.get_schema(found).schema_type == "JSON"

    def test_the_clients_deserialiser_reads_our_events(self, mock: SchemaRegistryClient) -> None:
        framed = FramedCodec(
            codec(), max_bytes=1000, frame=frame(find_schema_id(mock, SUBJECT, LABELED, register=True))
        )
        comment = record(b'{"id": "1", "text": "hi", "channel": "tvl"}')
        (decoded,) = framed.decode([comment])
        assert isinstance(decoded, ToClassify)
        outcomes = [
            Labeled(decoded.comment, Verdict((1.0, 0.0, -1.0), False, MODEL), 1.0),
            Skipped(decoded.comment, "empty"),
        ]
        messages = framed.encode([(comment, outcome) for outcome in outcomes])
        deserialiser = JSONDeserializer(None, schema_registry_client=mock, conf={"validate": True})
        context = SerializationContext("labeled-comments", MessageField.VALUE)
        events = [deserialiser(message.value, context) for message in messages]
        assert [(event["comment_id"], event["status"]) for event in events] == [("1", "labeled"), ("1", "skipped")]

    def test_we_read_what_the_clients_serialiser_writes(self, mock: SchemaRegistryClient) -> None:
        serialiser = JSONSerializer(render("comment"), mock, conf={"auto.register.schemas": True})
        value = serialiser({"id": "1", "text": "hi"}, SerializationContext("comments", MessageField.VALUE))
        assert value is not None
        assert value[0] == 0
        (decoded,) = FramedCodec(codec(), max_bytes=1000, frame=None).decode([record(value)])
        assert isinstance(decoded, ToClassify)
        assert (decoded.comment.id, decoded.comment.text) == ("1", "hi")


@contextmanager
def registry(status: int, body: bytes, asked: list[tuple[str, str | None, bytes]] | None = None) -> Iterator[str]:
    """A registry that gives one answer to everything."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if asked is not None:
                asked.append((self.path, self.headers["Authorization"], content))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(code: int, message: str = "hunter2") -> bytes:
    return json.dumps({"error_code": code, "message": message}).encode()


class TestAnswers:
    @pytest.fixture(autouse=True)
    def _hurry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(schema_registry, "RETRY_WAIT_MS", 1)

    def ask(self, url: str, *, register: bool = False) -> int:
        with connect([url], "team", "s3cret", None) as client:
            return find_schema_id(client, SUBJECT, LABELED, register=register)

    def test_the_login_and_the_schema_are_sent_to_the_subject(self) -> None:
        asked: list[tuple[str, str | None, bytes]] = []
        found = json.dumps({"subject": SUBJECT, "id": 41, "version": 3, "schema": LABELED, "schemaType": "JSON"})
        with registry(200, found.encode(), asked) as url:
            assert self.ask(url) == 41
        ((path, login, content),) = asked
        assert path.startswith(f"/subjects/{SUBJECT}?")
        assert login == "Basic " + base64.b64encode(b"team:s3cret").decode()
        sent = json.loads(content)
        assert (sent["schemaType"], json.loads(sent["schema"])) == ("JSON", json.loads(LABELED))

    @pytest.mark.parametrize(
        ("status", "body", "said"),
        [
            (401, answer(401), "refuses the login"),
            (403, answer(40301), "refuses the login or the right"),
            (404, answer(40401), f"there is no subject {SUBJECT}"),
            (404, answer(40403), f"this version's schema is not under {SUBJECT}"),
            (404, b"<html>hunter2</html>", "knows nothing of schemas"),
            (404, answer(404), "knows nothing of schemas"),
            (409, answer(409), "FORWARD"),
            (422, answer(42201), "2020-12"),
            (500, answer(50001), "HTTP 500, code 50001"),
            (200, b"<html>hunter2</html>", "does not speak as a schema registry"),
            (200, b"{}", "names no id"),
            (302, b"hunter2", "HTTP 302"),
        ],
    )
    @pytest.mark.parametrize("register", [False, True])
    def test_every_refusal_has_its_own_message_and_quotes_nothing(
        self, status: int, body: bytes, said: str, register: bool
    ) -> None:
        with registry(status, body) as url, pytest.raises(RegistryUnusable, match=said) as refused:
            self.ask(url, register=register)
        assert "hunter2" not in str(refused.value)
        assert "s3cret" not in str(refused.value)

    def test_a_registry_that_is_away_is_said_to_be(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{probe.getsockname()[1]}"
            with pytest.raises(RegistryUnusable, match="no schema registry answers there"):
                self.ask(url)

    def test_one_that_never_answers_does_not_hold_up_the_start_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(schema_registry, "ANSWER_TIMEOUT", 0.05)
        away = pytest.raises(RegistryUnusable, match=r"no schema registry answers there \(ReadTimeout\)")
        with socket.create_server(("127.0.0.1", 0)) as silent, away:
            self.ask(f"http://127.0.0.1:{silent.getsockname()[1]}")

    def test_certificates_that_are_none_are_said_to_be(self, tmp_path: Path) -> None:
        file = tmp_path / "ca.pem"
        file.write_text("nothing")
        with pytest.raises(RegistryUnusable, match="certificates"):
            connect(["https://localhost:1"], None, None, file)


NEEDED = ["--kafka.bootstrap-servers", "localhost:9092", "--model.source", "m", "--kafka.output-topic", "out"]


class TestSettings:
    def test_the_frame_of_a_deployment_is_that_of_its_output_topics_subject(self, tmp_path: Path) -> None:
        password = tmp_path / "password"
        password.write_text("s3cret\n")
        asked: list[tuple[str, str | None, bytes]] = []
        with registry(200, b'{"id": 258}', asked) as url:
            flags = ["--registry.url", url, "--registry.username", "team", "--registry.password-file", str(password)]
            settings = load_settings([*NEEDED, *flags, "--registry.auto-register", "true"], {}, "")
            assert find_frame(settings, "out") == b"\0\0\0\x01\x02"
        ((path, login, _),) = asked
        assert path.startswith("/subjects/out-value/versions")
        assert login == "Basic " + base64.b64encode(b"team:s3cret").decode()

    def test_without_a_registry_there_is_no_frame(self) -> None:
        assert find_frame(load_settings(NEEDED, {}, ""), "labeled-comments") is None

    def test_what_is_wrong_names_the_setting(self) -> None:
        with registry(401, answer(401)) as url:
            settings = load_settings([*NEEDED, "--registry.url", url], {}, "")
            with pytest.raises(BadSettings, match=r"^registry\.url: the registry refuses the login"):
                find_frame(settings, "labeled-comments")

    def test_a_missing_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "consumer.kafka.schema_registry", None)
        settings = load_settings([*NEEDED, "--registry.url", "https://r:1"], {}, "")
        with pytest.raises(BadSettings, match=r"comment-consumer\[registry\]"):
            find_frame(settings, "labeled-comments")

    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (["--registry.url", "mock://labels"], "give https://HOST:PORT"),
            (["--registry.url", "registry:8081"], "give https://HOST:PORT"),
            (["--registry.url", "https://a:1,,https://b:1"], "give https://HOST:PORT"),
            (["--registry.url", "https://u:hunter2@r:1"], "a login does not belong into the address"),
            (["--registry.url", "https://r:99999"], "give https://HOST:PORT"),
            (["--registry.auto-register", "true"], "url is missing"),
            (["--registry.url", "https://r:1", "--registry.username", "u"], "go together"),
            (
                ["--registry.url", "http://r:1", "--registry.username", "u", "--registry.password", "hunter2"],
                "unencrypted: use https",
            ),
            (["--registry.url", "https://r:1", "--registry.ssl-ca-location", "/nope"], "no such file"),
        ],
    )
    def test_settings_that_make_no_sense_are_refused_without_being_quoted(self, flags: list[str], said: str) -> None:
        with pytest.raises(BadSettings, match=said) as wrong:
            load_settings([*NEEDED, *flags], {}, "")
        assert "hunter2" not in str(wrong.value)


class TestCheck:
    """What ``comment-consumer check`` says of it."""

    def found(self, status: int, body: bytes, *flags: str) -> tuple[Finding, list[tuple[str, str | None, bytes]]]:
        asked: list[tuple[str, str | None, bytes]] = []
        with registry(status, body, asked) as url:
            (finding,) = check_registry(load_settings([*NEEDED, "--registry.url", url, *flags], {}, ""))
        return finding, asked

    def test_a_schema_that_is_there_is_named(self) -> None:
        finding, _ = self.found(200, b'{"subject": "out-value", "id": 7, "version": 1, "schema": "{}"}')
        assert finding.status is Status.OK
        assert "id 7" in finding.detail

    def test_one_that_is_missing_is_not_registered_by_a_check(self) -> None:
        finding, asked = self.found(404, answer(40401), "--registry.auto-register", "true")
        assert (finding.status, "registered at the start" in finding.detail) == (Status.OK, True)
        assert [path.split("?")[0] for path, _, _ in asked] == ["/subjects/out-value"]

    def test_a_refusal_and_a_missing_schema_fail(self) -> None:
        for status, code in ((401, 401), (404, 40401)):
            finding, _ = self.found(status, answer(code))
            assert finding.status is Status.FAILED
            assert finding.detail.startswith("registry.url: ")
        finding, _ = self.found(401, answer(401), "--registry.auto-register", "true")
        assert finding.status is Status.FAILED

    def test_without_a_registry_nothing_is_said(self) -> None:
        assert check_registry(load_settings(NEEDED, {}, "")) == []
