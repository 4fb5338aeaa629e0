"""``comment-consumer schemas``."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from consumer.commands import schemas as command
from consumer.commands.main import main
from consumer.commands.schemas import deployment_of, schemas
from consumer.events.mapping import FIELDS
from consumer.settings.loading import load_settings
from schemas import export
from schemas.asyncapi import asyncapi
from schemas.deployment import Deployment

NEEDED = ["--kafka.bootstrap-servers", "localhost:9092", "--model.source", "m"]


class TestDeployment:
    def test_its_defaults_are_those_of_the_settings(self) -> None:
        assert deployment_of(load_settings(NEEDED, {}, "")) == Deployment()

    def test_everything_that_the_document_says_comes_from_the_settings(self, tmp_path: Path) -> None:
        file = tmp_path / "pem"
        file.write_text("")
        settings = load_settings(
            [
                *("--kafka.bootstrap-servers", "b1:9093, [::1]:9093", "--model.source", "m"),
                *("--kafka.input-topic", "in", "--kafka.output-topic", "out", "--kafka.dead-letter-topic", "dead"),
                *("--kafka.group-id", "g", "--kafka.client-id", "c", "--kafka.security-protocol", "sasl_ssl"),
                *("--kafka.sasl-mechanism", "SCRAM-SHA-512", "--kafka.sasl-username", "u"),
                *("--kafka.sasl-password", "hunter2", "--kafka.ssl-certificate-location", str(file)),
                *("--kafka.ssl-key-location", str(file), "--events.fields", '{"text": "snippet.text"}'),
                *("--events.include-text", "true", "--events.cloudevents", "binary"),
                *("--dead-letters.coordinates-only", "true"),
                *("--registry.url", "https://r1:1, https://r2:1"),
            ],
            {},
            "",
        )
        found = deployment_of(settings)
        assert found == Deployment(
            input_topic="in",
            output_topic="out",
            dead_letter_topic="dead",
            group_id="g",
            client_id="c",
            servers=("b1:9093", "[::1]:9093"),
            tls=True,
            login="SCRAM-SHA-512",
            client_certificate=True,
            fields={name: (name,) for name in FIELDS} | {"text": ("snippet.text",)},
            includes_text=True,
            cloudevents=True,
            coordinates_only=True,
            registry="https://r1:1,https://r2:1",
        )
        assert "hunter2" not in json.dumps(asyncapi(found))

    def test_a_login_by_token_is_named_too(self) -> None:
        flags = ["--kafka.security-protocol", "sasl_ssl", "--kafka.sasl-mechanism", "OAUTHBEARER"]
        flags += ["--kafka.oauth-token-endpoint", "https://id.example/token"]
        flags += ["--kafka.oauth-client-id", "c", "--kafka.oauth-client-secret", "hunter2"]
        found = deployment_of(load_settings([*NEEDED, *flags], {}, ""))
        assert found.login == "OAUTHBEARER"
        assert "hunter2" not in json.dumps(asyncapi(found))


class TestShowAndExport:
    @pytest.mark.parametrize("name", export.MODELS)
    def test_show_prints_the_committed_schema(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["schemas", "show", name]) == 0
        assert capsys.readouterr().out == (export.FOLDER / f"{name}.schema.json").read_text("utf-8")

    def test_asyncapi_without_settings_is_the_committed_document(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("CONSUMER_CONFIG", "CONSUMER_PRESET"):
            monkeypatch.delenv(name, raising=False)
        assert schemas(["asyncapi"]) == 0
        assert capsys.readouterr().out == (export.FOLDER / "asyncapi.json").read_text("utf-8")

    def test_asyncapi_is_that_of_the_settings_from_everywhere(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "worker.toml"
        file.write_text('[kafka]\noutput_topic = "from-file"\n')
        monkeypatch.setenv("CONSUMER_KAFKA__DEAD_LETTER_TOPIC", "from-environment")
        assert schemas(["asyncapi", "--config", str(file), "--kafka.input-topic", "from-flag"]) == 0
        channels = json.loads(capsys.readouterr().out)["channels"]
        assert {channel["address"] for channel in channels.values()} == {"from-file", "from-environment", "from-flag"}

    def test_export_writes_what_is_committed_and_says_where(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = tmp_path / "a" / "b"
        assert schemas(["export", str(folder)]) == 0
        assert export.stale(folder) == []
        assert capsys.readouterr().out.splitlines() == [str(path) for path in export.files(folder)]
        assert schemas(["export", str(folder), "--kafka.output-topic", "other"]) == 0
        assert [path.name for path in export.stale(folder)] == ["asyncapi.json"]

    def test_a_folder_that_cannot_be_written_is_told(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "file").write_text("")
        assert schemas(["export", str(tmp_path / "file")]) == 2
        assert str(tmp_path / "file") in capsys.readouterr().err

    @pytest.mark.parametrize(
        "arguments",
        [[], ["nothing"], ["show"], ["show", "other"], ["check"], ["check", "labeled", "a", "b"]],
        ids=str,
    )
    def test_what_is_no_command_shows_how_it_is_used(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert schemas(arguments) == 2
        assert "usage: comment-consumer schemas export" in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [["--help"], ["show", "-h"], ["check", "--help"]], ids=str)
    def test_help_is_no_mistake(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert schemas(arguments) == 0
        assert "usage: comment-consumer schemas export" in capsys.readouterr().out

    def test_a_wrong_setting_is_told_and_not_quoted(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert schemas(["asyncapi", "--kafka.nothing", "hunter2"]) == 2
        said = capsys.readouterr().err
        assert "--kafka.nothing: there is no such setting" in said
        assert "hunter2" not in said


class TestCheck:
    def check(self, content: bytes, tmp_path: Path, name: str = "comment") -> int:
        file = tmp_path / "events.jsonl"
        file.write_bytes(content)
        return schemas(["check", name, str(file)])

    def test_good_lines_are_counted(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.check(b'{"id": 1, "text": ""}\r\n\n{"id": "b", "text": "x", "later": 1}', tmp_path) == 0
        said = capsys.readouterr()
        assert (said.out, said.err) == ("", "2 lines, 2 good, 0 wrong\n")

    def test_wrong_ones_are_told_by_their_numbers(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        lines = [b'{"id": "5ecret"}', b'{"id": "b", "text": "x"}', b"", b"5ecret", b'{"id": ["5ecret"], "text": 1}']
        assert self.check(b"\n".join(lines), tmp_path) == 1
        said = capsys.readouterr()
        assert [line.split(": ")[0] for line in said.out.splitlines()] == ["line 1", "line 4", "line 5", "line 5"]
        assert said.err == "4 lines, 1 good, 3 wrong\n"
        assert "5ecret" not in said.out + said.err

    def test_a_line_that_is_too_long_is_not_parsed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(command, "MAX_LINE", 30)
        good = b'{"id": "b", "text": "x"}'
        assert self.check(good + b"\n" + good[:-1] + b" " * 20 + b"}\n" + good, tmp_path) == 1
        assert capsys.readouterr().out == "line 2: 44 bytes, more than 30\n"

    def test_standard_input_is_read_where_no_file_is_named(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stream = io.TextIOWrapper(io.BytesIO(b'{"id": 1}\n'))
        monkeypatch.setattr("sys.stdin", stream)
        assert schemas(["check", "comment"]) == 1
        assert capsys.readouterr().out.startswith("line 1: text")

    def test_what_cannot_be_read_is_told(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert schemas(["check", "comment", str(tmp_path / "nowhere")]) == 2
        assert "nowhere: No such file" in capsys.readouterr().err
        assert self.check("{}".encode("utf-16"), tmp_path) == 2
        assert "UTF-16" in capsys.readouterr().err
