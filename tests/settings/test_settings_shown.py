"""``config show`` and the settings reference."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from consumer.commands.config import config
from consumer.settings import Settings
from consumer.settings.classify import ClassifySettings
from consumer.settings.loading import RUN, build, load, read_layers, setting_names
from consumer.settings.reference import documented, reference
from consumer.settings.shown import HIDDEN, Shown, show_settings

REFERENCE = Path(__file__).parents[2] / "consumer" / "settings.md"
NEEDED = ["--kafka.bootstrap-servers", "localhost:9092", "--model.source", "checkpoint"]


def shown(*flags: str, needed: list[str] = NEEDED, **variables: str) -> dict[str, Shown]:
    layers = read_layers(Settings, [*needed, *flags], variables, RUN)
    return {each.name: each for each in show_settings(build(Settings, layers), layers)}


class TestShow:
    def test_every_setting_is_shown_with_the_place_that_won(self, tmp_path: Path):
        file = tmp_path / "worker.toml"
        file.write_text('preset = "tvl-general-layer"\n[kafka]\ngroup_id = "file"\nclient_id = "file"\n')
        found = shown("--config", str(file), "--kafka.group-id", "flag", CONSUMER_BATCH__MAX_WAIT="0.5")
        assert list(found) == list(setting_names())
        assert {name: (found[name].value, found[name].origin) for name in (
            "kafka.group_id", "kafka.client_id", "batch.max_wait", "model.max_tokens", "flow.max_records",
        )} == {
            "kafka.group_id": ("flag", "flag --kafka.group-id"),
            "kafka.client_id": ("file", f"file {file}"),
            "batch.max_wait": (0.5, "environment CONSUMER_BATCH__MAX_WAIT"),
            "model.max_tokens": (512, "preset tvl-general-layer"),
            "flow.max_records": (4096, "default"),
        }  # fmt: skip

    def test_a_map_names_all_the_places_it_was_put_together_from(self):
        found = shown("--kafka.extra", '{"linger.ms": 1}', CONSUMER_KAFKA__EXTRA='{"batch.size": 2}')
        assert found["kafka.extra"].value == {"batch.size": 2, "linger.ms": 1}
        assert found["kafka.extra"].origin == "flag --kafka.extra and environment CONSUMER_KAFKA__EXTRA"

    @pytest.mark.parametrize("form", [[], ["--json"], ["--toml"]])
    def test_no_secret_is_shown_in_any_form(
        self, form: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ):
        file = tmp_path / "password"
        file.write_text("hunter2")
        monkeypatch.setenv("CONSUMER_KAFKA__SASL_PASSWORD_FILE", str(file))
        monkeypatch.setenv("CONSUMER_KAFKA__EXTRA", '{"ssl.key.pem": "hunter2", "linger.ms": 7}')
        flags = ["--kafka.security-protocol", "sasl_ssl", "--kafka.sasl-mechanism", "PLAIN"]
        assert config(["show", *form, *NEEDED, *flags, "--kafka.sasl-username", "labels"]) == 0
        said = capsys.readouterr().out
        assert "hunter2" not in said
        assert "linger.ms" in said or form == ["--toml"]
        if form:
            assert f"file {file}" in said

    def test_a_password_from_a_file_says_which(self, tmp_path: Path):
        file = tmp_path / "password"
        file.write_text("hunter2")
        flags = ["--kafka.security-protocol", "sasl_ssl", "--kafka.sasl-mechanism", "PLAIN"]
        found = shown(*flags, "--kafka.sasl-username", "u", "--kafka.sasl-password-file", str(file))
        secret = found["kafka.sasl_password"]
        assert (secret.value, secret.origin) == (HIDDEN, f"file {file} (kafka.sasl_password_file)")

    def test_the_file_it_prints_gives_the_same_settings(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        flags = ["--preset", "tvl-general-layer", "--policy.thresholds", '{"Chat": 0.3, "a \\"b\\"": 0.1}']
        flags += ["--kafka.start-position", "2026-01-31T18:00:00Z", "--policy.name", "好 \x7f \\ name"]
        assert config(["show", "--toml", *NEEDED, *flags]) == 0
        file = tmp_path / "again.toml"
        file.write_text(capsys.readouterr().out, encoding="utf-8")
        tomllib.loads(file.read_text(encoding="utf-8"))
        again = load(Settings, ["--config", str(file)], {}, RUN)
        assert again.model_dump(exclude={"config", "preset"}) == load(Settings, [*NEEDED, *flags], {}, RUN).model_dump(
            exclude={"config", "preset"}
        )

    def test_json_is_by_name(self, capsys: pytest.CaptureFixture[str]):
        assert config(["show", *NEEDED, "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["model.source"] == {"value": "checkpoint", "from": "flag --model.source"}

    def test_wrong_settings_are_told_as_by_run(self, capsys: pytest.CaptureFixture[str]):
        assert config(["show", "--kafka.nothing", "hunter2"]) == 2
        said = capsys.readouterr()
        assert said.err.startswith("comment-consumer: --kafka.nothing: there is no such setting")
        assert "hunter2" not in said.err


class TestReference:
    def test_the_committed_reference_is_current(self):
        assert REFERENCE.read_text(encoding="utf-8") == reference(), (
            "python -m consumer config reference > consumer/settings.md"
        )

    def test_every_setting_is_in_it_once_by_flag_and_variable(self):
        assert [each.name for each in documented()] == list(setting_names())

    def test_every_number_has_a_unit(self):
        numbers = [each for each in documented() if each.kind.startswith(("number", "whole number"))]
        assert len(numbers) > 15
        assert [each.name for each in numbers if not each.unit] == []

    def test_every_setting_says_what_it_is_and_how_to_choose(self):
        """Advice is a second part: after a full stop, a semicolon, a colon or a comma."""
        thin = [
            each.name
            for each in documented()
            if len(each.description) < 40 or not any(sign in each.description.rstrip(".") for sign in ".;:,")
        ]
        assert thin == []

    def test_the_command_prints_it(self, capsys: pytest.CaptureFixture[str]):
        assert config(["reference"]) == 0
        assert capsys.readouterr().out == reference()


class TestClassifySettings:
    def test_its_groups_are_the_consumers_own(self):
        for name, field in ClassifySettings.model_fields.items():
            assert field.annotation is Settings.model_fields[name].annotation

    def test_it_needs_no_kafka_and_shares_file_and_variables_with_the_consumer(self, tmp_path: Path):
        file = tmp_path / "worker.toml"
        file.write_text('[kafka]\nbootstrap_servers = "b:1"\n[model]\nsource = "m"\n[batch]\nmax_comments = 3\n')
        found = load(ClassifySettings, ["--config", str(file)], {"CONSUMER_KAFKA__GROUP_ID": "g"}, RUN)
        assert (found.model.source, found.batch.max_comments) == ("m", 3)
