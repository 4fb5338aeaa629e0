"""Where settings come from, which wins, and what is said when one is wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from consumer.settings import Settings, loading
from consumer.settings.loading import BadSettings, load_settings, setting_names

if TYPE_CHECKING:
    from pathlib import Path

NEEDED = ["--kafka.bootstrap-servers", "localhost:9092", "--model.source", "checkpoint"]
REMOTE = ["--kafka.bootstrap-servers", "one.example:9092,two.example:9092", "--model.source", "checkpoint"]


def load(*flags: str, needed: list[str] = NEEDED, **variables: str) -> Settings:
    return load_settings([*needed, *flags], variables, "comment-consumer run")


def refused(*flags: str, needed: list[str] = NEEDED, **variables: str) -> tuple[str, ...]:
    with pytest.raises(BadSettings) as refusal:
        load(*flags, needed=needed, **variables)
    return refusal.value.lines


@pytest.fixture
def toml(tmp_path: Path):
    def write(text: str) -> str:
        file = tmp_path / "settings.toml"
        file.write_text(text)
        return str(file)

    return write


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "known.toml").write_text(
        '[model]\nsource = "hub/known"\n[batch]\nmax_comments = 7\n[kafka]\ngroup_id = "preset"\n'
    )
    monkeypatch.setattr(loading, "PRESETS", tmp_path / "presets")


class TestSources:
    def test_two_settings_are_enough(self):
        settings = load()
        assert settings.kafka.group_id == "comment-consumer"
        assert settings.batch.idle_dispatch is True

    @pytest.mark.parametrize("flag", ["--kafka.group-id", "--kafka.group_id"])
    def test_a_flag_may_be_written_in_kebab_or_snake_case(self, flag: str):
        assert load(flag, "moderation").kafka.group_id == "moderation"
        assert load(f"{flag}=moderation").kafka.group_id == "moderation"

    def test_flag_wins_over_environment_over_file_over_preset_over_default(self, toml, shipped):
        file = toml('preset = "known"\n[kafka]\ngroup_id = "file"\n')
        needed = ["--kafka.bootstrap-servers", "localhost:9092"]
        only_preset = load("--preset", "known", needed=needed)
        assert (only_preset.kafka.group_id, only_preset.batch.max_comments) == ("preset", 7)
        from_file = load("--config", file, needed=needed)
        assert (from_file.kafka.group_id, from_file.batch.max_comments) == ("file", 7)
        from_environment = load(needed=needed, CONSUMER_CONFIG=file, CONSUMER_KAFKA__GROUP_ID="environment")
        assert from_environment.kafka.group_id == "environment"
        from_flag = load("--kafka.group-id", "flag", needed=needed, CONSUMER_CONFIG=file, CONSUMER_KAFKA__GROUP_ID="e")
        assert (from_flag.kafka.group_id, from_flag.model.source) == ("flag", "hub/known")

    def test_sources_are_merged_setting_by_setting(self, toml):
        settings = load(
            "--batch.max-wait", "1", CONSUMER_BATCH__MAX_TOKENS="99", CONSUMER_CONFIG=toml("[batch]\nmax_comments=3")
        )
        assert (settings.batch.max_wait, settings.batch.max_tokens, settings.batch.max_comments) == (1.0, 99, 3)

    def test_the_process_environment_is_not_read_behind_the_callers_back(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("CONSUMER_KAFKA__GROUP_ID", "outside")
        assert load().kafka.group_id == "comment-consumer"
        made = Settings.model_validate(
            {"kafka": {"bootstrap_servers": "localhost:1"}, "model": {"source": "checkpoint"}}
        )
        assert made.kafka.group_id == "comment-consumer"

    def test_maps_and_lists_can_be_given_in_every_source(self, toml):
        by_flag = load("--policy.thresholds", '{"Cheer": 0.3}', "--model.label-names", "Cheer,Game")
        by_variable = load(CONSUMER_POLICY__THRESHOLDS='{"Cheer": 0.3}', CONSUMER_MODEL__LABEL_NAMES="Cheer, Game")
        by_file = load("--config", toml('[policy.thresholds]\nCheer = 0.3\n[model]\nlabel_names = ["Cheer", "Game"]'))
        for settings in (by_flag, by_variable, by_file):
            assert settings.policy.thresholds == {"Cheer": 0.3}
            assert settings.model.label_names == ("Cheer", "Game")

    def test_a_path_or_several_can_be_given_in_every_source(self, toml):
        fields = {"text": ("a.b", "c"), "lang": "", "id": 'd."e.f"'}
        given = json.dumps(fields)
        by_file = toml("[events.fields]\ntext = ['a.b', 'c']\nlang = ''\nid = 'd.\"e.f\"'")
        for settings in (
            load("--events.fields", given),
            load(CONSUMER_EVENTS__FIELDS=given),
            load("--config", by_file),
        ):
            assert settings.events.fields == fields

    def test_an_empty_variable_is_as_good_as_none(self):
        assert load(CONSUMER_KAFKA__GROUP_ID="").kafka.group_id == "comment-consumer"

    def test_settings_cannot_be_changed(self):
        with pytest.raises(ValueError, match="frozen"):
            load().kafka.group_id = "other"

    def test_every_setting_says_what_it_is(self):
        groups = [
            field.annotation for field in Settings.model_fields.values() if hasattr(field.annotation, "model_fields")
        ]
        fields = [(name, field) for group in groups for name, field in group.model_fields.items()]
        assert len(fields) + 2 == len(list(setting_names()))
        assert [name for name, field in fields if not field.description] == []

    def test_help_shows_each_setting_and_reads_no_settings(self, capsys: pytest.CaptureFixture[str]):
        with pytest.raises(SystemExit) as left:
            load("--help", needed=[])
        assert left.value.code == 0
        shown = capsys.readouterr().out
        for name in setting_names():
            assert f"--{name.replace('_', '-')}" in shown


class TestUnknownNames:
    def test_an_unknown_flag_is_refused_with_what_was_probably_meant(self):
        assert refused("--kafka.groupid", "x") == (
            "--kafka.groupid: there is no such setting; did you mean --kafka.group-id?",
        )

    def test_a_shortened_flag_is_unknown(self):
        assert "--kafka.group-i:" in refused("--kafka.group-i", "x")[0]

    def test_a_whole_group_cannot_be_given_at_once(self):
        assert "--kafka:" in refused("--kafka", '{"group_id": "x"}')[0]

    def test_an_unknown_variable_of_ours_is_refused(self):
        (line,) = refused(CONSUMER_KAFKA__GRUOP_ID="x")
        assert line == "CONSUMER_KAFKA__GRUOP_ID: there is no such setting; did you mean CONSUMER_KAFKA__GROUP_ID?"

    def test_variables_that_kubernetes_makes_are_not_ours(self):
        load(
            CONSUMER_SERVICE_HOST="10.0.0.1",
            CONSUMER_KAFKA_PORT="tcp://10.0.0.1:9092",
            CONSUMER_MODEL="?",
            OTHER__X="y",
        )

    def test_an_unknown_key_names_its_file(self, toml):
        file = toml("[kafka]\ngroup = 1\n[nothing]\nx = 1\n")
        lines = refused("--config", file)
        assert lines[0].startswith(f"kafka.group in {file}: there is no such setting")
        assert lines[1].startswith(f"nothing in {file}:")

    def test_all_unknown_names_of_a_source_are_told_at_once(self):
        assert len(refused("--a.b", "1", "--c.d", "2")) == 2

    def test_an_unknown_preset_is_refused_with_those_that_there_are(self, shipped):
        assert refused("--preset", "other") == ("preset: there is no 'other'; there are: known",)


@pytest.mark.parametrize("name", loading.preset_names())
def test_a_shipped_preset_holds_only_settings_that_there_are(name: str):
    settings = load("--preset", name, needed=["--kafka.bootstrap-servers", "localhost:9092"])
    assert settings.model.source


class TestWrongValues:
    def test_missing_settings_are_named_with_all_three_ways_to_give_them(self):
        lines = refused(needed=[])
        assert [line.split()[0] for line in lines] == ["kafka.bootstrap_servers", "model.source"]
        for way in ("--model.source", "CONSUMER_MODEL__SOURCE", "[model]"):
            assert way in lines[1]

    @pytest.mark.parametrize(
        ("flag", "value"),
        [
            ("--kafka.bootstrap-servers", "localhost"),
            ("--kafka.bootstrap-servers", "localhost:99999"),
            ("--kafka.input-topic", "a topic"),
            ("--kafka.start-position", "yesterday"),
            ("--kafka.start-position", "2026-01-31T18:00:00"),
            ("--model.device", "tpu"),
            ("--model.preprocessing", "shouting"),
            ("--model.label-names", "A,A"),
            ("--model.threads", "100000"),
            ("--batch.max-comments", "0"),
            ("--batch.max-wait", "soon"),
            ("--flow.low-mark", "1"),
            ("--policy.default-threshold", "1.5"),
            ("--http.port", "65536"),
            ("--events.mapping", "youtube"),
            ("--events.fields", '{"txt": "a"}'),
            ("--events.fields", '{"text": "a..b"}'),
            ("--events.fields", '{"text": ["a", "b["]}'),
            ("--events.fields", '{"id": ""}'),
            ("--events.cloudevents", "structured"),
            ("--events.cloudevents-source", "not a uri"),
        ],
    )
    def test_a_wrong_value_is_named_in_one_line(self, flag: str, value: str):
        (line,) = refused(flag, value)
        assert line.startswith(flag[2:].replace("-", "_") + ": ")
        assert "\n" not in line

    def test_a_start_time_needs_its_zone(self):
        settings = load("--kafka.start-position", "2026-01-31T18:00:00Z")
        assert settings.kafka.start_position == datetime(2026, 1, 31, 18, tzinfo=UTC)

    def test_broken_json_names_its_variable(self):
        assert refused(CONSUMER_POLICY__THRESHOLDS='{"Cheer": ') == ("CONSUMER_POLICY__THRESHOLDS: give a JSON object",)

    def test_a_file_that_cannot_be_read_or_is_not_toml_is_named(self, toml, tmp_path: Path):
        assert "cannot be read" in refused("--config", str(tmp_path / "none.toml"))[0]
        assert "is not TOML" in refused("--config", toml("kafka ="))[0]

    def test_a_batch_must_fit_what_may_be_in_flight(self):
        assert "flow.max_records" in refused("--flow.max-records", "10")[0]

    @pytest.mark.parametrize("beside", [("name", "mine"), ("default-threshold", "0.6"), ("thresholds", '{"A": 0.1}')])
    def test_a_policy_file_says_all_of_it(self, beside: tuple[str, str]):
        (line,) = refused("--policy.file", "p.toml", f"--policy.{beside[0]}", beside[1])
        assert line.startswith("policy: policy.file says all of it: leave out")
        assert beside[0].replace("-", "_") in line

    def test_an_empty_flag_is_a_value_and_not_the_default(self):
        (line,) = refused("--kafka.group-id", "")
        assert line.startswith("kafka.group_id: ")

    def test_an_empty_variable_is_none(self):
        assert load(CONSUMER_KAFKA__GROUP_ID="").kafka.group_id == "comment-consumer"

    def test_a_flag_that_takes_an_object_says_so(self):
        assert refused("--kafka.extra", "notjson")[0].startswith("--kafka.extra: give a JSON object")

    def test_a_value_where_a_group_stands_is_named(self, toml):
        lines = refused("--config", toml('kafka = "x"'), needed=["--model.source", "m"])
        assert lines == ("kafka: give a table of settings, such as [kafka] in a file",)

    def test_a_variable_with_one_underscore_too_few_is_told_when_something_is_wrong(self):
        lines = refused(needed=["--model.source", "m"], CONSUMER_KAFKA_BOOTSTRAP_SERVERS="localhost:1")
        assert lines[1] == (
            "CONSUMER_KAFKA_BOOTSTRAP_SERVERS is not read: did you mean CONSUMER_KAFKA__BOOTSTRAP_SERVERS?"
        )
        load(CONSUMER_HTTP_PORT="tcp://10.0.0.1:80")  # as Kubernetes makes for a service of that name

    def test_topics_must_differ(self):
        assert "three different topics" in refused("--kafka.output-topic", "comments")[0]


class TestSecurity:
    @pytest.mark.parametrize("servers", ["localhost:1", "127.0.0.1:1,[::1]:2", "127.3.2.1:9"])
    def test_plain_text_is_fine_on_this_host(self, servers: str):
        load(needed=["--kafka.bootstrap-servers", servers, "--model.source", "m"])

    @pytest.mark.parametrize(
        "servers", ["broker:9092", "localhost:1,10.0.0.1:2", "localhost.evil.example:1", "[fe80::1]:2"]
    )
    def test_plain_text_over_the_network_must_be_asked_for(self, servers: str):
        needed = ["--kafka.bootstrap-servers", servers, "--model.source", "m"]
        assert "kafka.allow_plaintext" in refused(needed=needed)[0]
        load("--kafka.allow-plaintext", "true", needed=needed)
        load("--kafka.security-protocol", "ssl", needed=needed)

    def test_librdkafka_options_that_would_undo_the_guarantee_are_refused_without_their_value(self):
        (line,) = refused("--kafka.extra", '{"enable.auto.commit": "hunter2"}')
        assert line.startswith("kafka.extra: ")
        assert "enable.auto.commit" in line
        assert "hunter2" not in line

    def test_a_login_is_complete(self):
        assert "needs sasl_mechanism" in refused("--kafka.security-protocol", "sasl_ssl", needed=REMOTE)[0]

    def test_a_secret_may_come_from_a_file(self, tmp_path: Path):
        file = tmp_path / "password"
        file.write_text("hunter2\n")
        settings = load(
            "--kafka.security-protocol=sasl_ssl",
            "--kafka.sasl-mechanism=SCRAM-SHA-512",
            "--kafka.sasl-username=labels",
            needed=REMOTE,
            CONSUMER_KAFKA__SASL_PASSWORD_FILE=str(file),
        )
        assert settings.kafka.sasl_password is not None
        assert settings.kafka.sasl_password.get_secret_value() == "hunter2"
        assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()

    def test_a_secret_file_that_cannot_be_read_is_named(self, tmp_path: Path):
        assert "sasl_password_file cannot be read" in refused("--kafka.sasl-password-file", str(tmp_path / "no"))[0]

    def test_a_secret_and_its_file_are_not_both_given(self, tmp_path: Path):
        file = tmp_path / "password"
        file.write_text("other")
        (line,) = refused("--kafka.sasl-password", "hunter2", "--kafka.sasl-password-file", str(file))
        assert line == "kafka: give sasl_password or sasl_password_file, not both"

    @pytest.mark.parametrize(
        "flags",
        [
            ["--kafka.sasl-password", "hunter2"],
            ["--kafka.sasl-pasword", "hunter2"],
            ["--kafka.sasl-password", "hunter2", "hunter2"],
            ["--kafka.sasl-password", "hunter2", "--kafka.sasl-password-file", "file"],
            ["--kafka.group-id", "--kafka.sasl-password=hunter2"],
        ],
    )
    def test_no_error_repeats_a_secret(self, flags: list[str]):
        assert "hunter2" not in "\n".join(refused(*flags))
