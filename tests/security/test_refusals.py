"""Each thing that can be wrong with a login has one line of its own, at ``run`` and in ``check``; nothing is leaked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.program import Program
from tests.security.conftest import Stage
from tests.support.certificates import Authority
from tests.support.tokens import TokenSigner, token_endpoint

pytestmark = [pytest.mark.broker, pytest.mark.container]

Wrong = Callable[[Stage, Path, Authority], tuple[str, dict[str, object]]]
"""Gives where to log in, and the settings."""


def password(stage: Stage, folder: Path, stranger: Authority) -> tuple[str, dict[str, object]]:
    stage.password_file.write_text("hunter2")
    return stage.bootstrap, stage.scram


def mechanism(stage: Stage, folder: Path, stranger: Authority) -> tuple[str, dict[str, object]]:
    return stage.bootstrap, stage.scram | {"kafka__sasl_mechanism": "SCRAM-SHA-256"}


def authority(stage: Stage, folder: Path, stranger: Authority) -> tuple[str, dict[str, object]]:
    (folder / "stranger.crt").write_bytes(stranger.certificate)
    return stage.bootstrap, stage.scram | {"kafka__ssl_ca_location": folder / "stranger.crt"}


def no_authority(stage: Stage, folder: Path, stranger: Authority) -> tuple[str, dict[str, object]]:
    return stage.bootstrap, {name: value for name, value in stage.scram.items() if "ssl_ca" not in name}


def host_name(stage: Stage, folder: Path, stranger: Authority) -> tuple[str, dict[str, object]]:
    return stage.broker.at("LOGIN", "127.0.0.1"), stage.scram


def no_certificate(stage: Stage, folder: Path, stranger: Authority) -> tuple[str, dict[str, object]]:
    settings: dict[str, object] = {"kafka__security_protocol": "ssl", "kafka__ssl_ca_location": stage.broker.ca}
    return stage.broker.at("CERTIFICATE"), settings


def expired_certificate(stage: Stage, folder: Path, stranger: Authority) -> tuple[str, dict[str, object]]:
    return stage.broker.at("CERTIFICATE"), stage.client(stage.broker.authority.issue("labels", expired=True))


def foreign_certificate(stage: Stage, folder: Path, stranger: Authority) -> tuple[str, dict[str, object]]:
    return stage.broker.at("CERTIFICATE"), stage.client(stranger.issue("labels"))


def key_of_another(stage: Stage, folder: Path, stranger: Authority) -> tuple[str, dict[str, object]]:
    settings = stage.client(stage.broker.authority.issue("labels"))
    settings["kafka__ssl_key_location"] = stranger.issue("other").write(folder, "other")[1]
    return stage.broker.at("CERTIFICATE"), settings


def locked_key(stage: Stage, folder: Path, stranger: Authority) -> tuple[str, dict[str, object]]:
    settings = stage.client(stage.broker.authority.issue("labels").locked("s3cret"))
    return stage.broker.at("CERTIFICATE"), settings | {"kafka__ssl_key_password": "hunter2"}


def no_sasl_there(stage: Stage, folder: Path, stranger: Authority) -> tuple[str, dict[str, object]]:
    certificate = stage.client(stage.broker.authority.issue("labels"))
    return stage.broker.at("CERTIFICATE"), certificate | stage.scram


def no_pem(stage: Stage, folder: Path, stranger: Authority) -> tuple[str, dict[str, object]]:
    (folder / "nonsense.crt").write_text("nonsense")
    return stage.bootstrap, stage.scram | {"kafka__ssl_ca_location": folder / "nonsense.crt"}


CASES: dict[Wrong, str] = {
    password: r"the brokers refuse the login by SCRAM-SHA-512: check the user name and its password",
    mechanism: r"the brokers do not take kafka\.sasl_mechanism=SCRAM-SHA-256; they take SCRAM-SHA-512,PLAIN",
    authority: r"certificate of localhost:\d+ is not signed by an authority in kafka\.ssl_ca_location=.*stranger\.crt",
    no_authority: r"is not signed by an authority in this system's store: give kafka\.ssl_ca_location",
    host_name: r"certificate of 127\.0\.0\.1:\d+ is for another host name",
    no_certificate: r"ask for a client certificate and got none: give kafka\.ssl_certificate_location",
    expired_certificate: r"refuse the client certificate .*client\.crt: most likely it has expired",
    foreign_certificate: r"refuse the client certificate .*client\.crt: its authority is not one that they trust",
    key_of_another: r"certificate and private key do not belong together",
    locked_key: r"kafka\.ssl_key_password is missing or wrong",
    no_sasl_there: r"want no SASL login on this port",
    no_pem: r"ssl\.ca\.location failed.*holds no certificate in PEM",
}


@pytest.mark.parametrize("wrong", CASES, ids=lambda case: case.__name__)
def test_what_is_wrong_is_told_in_one_line_and_ends_with_2(
    stage: Stage, tmp_path: Path, stranger: Authority, wrong: Wrong
) -> None:
    stage.allow_all()
    bootstrap, settings = wrong(stage, tmp_path, stranger)
    said, log = refusal(stage, bootstrap, settings)
    assert re.search(CASES[wrong], said), said
    others = [case.__name__ for case, words in CASES.items() if case is not wrong and re.search(words, said)]
    assert others == []
    assert "hunter2" not in log
    assert "s3cret" not in log


def refusal(stage: Stage, bootstrap: str, settings: dict[str, object]) -> tuple[str, str]:
    """Run it to its end; return its one line and the whole log."""
    with Program(bootstrap, stage.topics, ready=False, **settings) as program:
        assert program.process.wait(60) == 2
        log = program.log
    lines = [line for line in log.splitlines() if line.startswith("comment-consumer: ")]
    assert len(lines) == 1, log
    return lines[0], log


@pytest.mark.parametrize("wrong", [password, authority, host_name, expired_certificate], ids=lambda case: case.__name__)
def test_check_says_the_same(stage: Stage, tmp_path: Path, stranger: Authority, wrong: Wrong) -> None:
    bootstrap, settings = wrong(stage, tmp_path, stranger)
    code, found, output = check(stage, bootstrap, settings)
    assert code == 1
    assert re.search(CASES[wrong], found["broker"]["detail"]), found["broker"]
    assert "hunter2" not in output


def check(stage: Stage, bootstrap: str, settings: dict[str, object]) -> tuple[int, dict[str, dict[str, str]], str]:
    """``comment-consumer check`` with the settings of a program; its exit code, findings, and all it printed."""
    program = Program(bootstrap, stage.topics, **settings)
    done = subprocess.run(
        [sys.executable, "-m", "consumer", "check", "--json"],
        env=program._environment | {"CONSUMER_MODEL__THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = {each["check"]: each for each in json.loads(done.stdout)["checks"]}
    return done.returncode, found, done.stdout + done.stderr


def by_token(stage: Stage, url: str, secret: str = "s3cret") -> dict[str, object]:
    return {
        "kafka__security_protocol": "sasl_ssl",
        "kafka__sasl_mechanism": "OAUTHBEARER",
        "kafka__oauth_token_endpoint": url,
        "kafka__oauth_client_id": stage.user,
        "kafka__oauth_client_secret": secret,
        "kafka__ssl_ca_location": stage.broker.ca,
    }


class TestTokens:
    def test_a_wrong_client_secret(self, stage: Stage, signer: TokenSigner) -> None:
        with token_endpoint(signer, {stage.user: "s3cret"}) as endpoint:
            said, log = refusal(stage, stage.broker.at("TOKEN"), by_token(stage, endpoint.url, "hunter2"))
        assert re.search(r"the token endpoint refuses: invalid_client; check kafka\.oauth_client_id", said)
        assert "hunter2" not in log

    def test_an_endpoint_of_an_unknown_authority(self, stage: Stage, signer: TokenSigner, tmp_path: Path) -> None:
        certificate = stage.broker.authority.issue("provider", ["localhost"]).write(tmp_path, "provider")
        with token_endpoint(signer, {stage.user: "s3cret"}, certificate) as endpoint:
            said, log = refusal(stage, stage.broker.at("TOKEN"), by_token(stage, endpoint.url))
        assert "kafka.oauth_ca_location" in said
        assert endpoint.asked == []
        assert "s3cret" not in log

    def test_a_token_that_the_brokers_do_not_take(self, stage: Stage) -> None:
        with token_endpoint(TokenSigner(), {stage.user: "s3cret"}) as endpoint:
            said, log = refusal(stage, stage.broker.at("TOKEN"), by_token(stage, endpoint.url))
        assert "the brokers refuse the token" in said
        assert "s3cret" not in log
