"""The real program logs in to a real broker in every way there is a setting for, with just the rights it needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conformance.ledger import all_committed, read_ledger
from tests.conformance.program import Program, until
from tests.security.conftest import Stage
from tests.support.secure_broker import PLAIN_PASSWORD, PLAIN_USER
from tests.support.tokens import TokenSigner, token_endpoint
from tests.support.traffic import produce

pytestmark = [pytest.mark.broker, pytest.mark.container]

GOOD, BAD = 300, 10
VALUES = [json.dumps({"id": str(n), "text": f"加油{n}"}).encode() for n in range(GOOD)] + [b"no json"] * BAD


def works(stage: Stage, bootstrap: str, **settings: object) -> str:
    """Feed it, see everything labeled once and committed, stop it; return its log."""
    produce(stage.broker.bootstrap, stage.topics.input, VALUES)
    with Program(bootstrap, stage.topics, **settings) as program:
        until(lambda: all_committed(stage.broker, stage.topics), 60, "committed", program)
        assert program.stop() == 0
        log = program.log
    ledger = read_ledger(stage.broker, stage.topics)
    assert (len(ledger.labeled), len(ledger.dead)) == (GOOD, BAD)
    assert (ledger.missing, ledger.duplicates) == (0, 0)
    return log


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_scram_over_tls_with_exactly_the_rights_that_are_needed(stage: Stage, protocol: str) -> None:
    stage.allow_all()
    log = works(stage, stage.bootstrap, **stage.scram, kafka__group_protocol=protocol)
    assert stage.password not in log
    assert "may read a secret" not in log


def test_plain_over_tls(stage: Stage) -> None:
    stage.allow_all(f"User:{PLAIN_USER}")
    stage.password_file.write_text(PLAIN_PASSWORD)
    settings = stage.scram | {"kafka__sasl_mechanism": "PLAIN", "kafka__sasl_username": PLAIN_USER}
    assert PLAIN_PASSWORD not in works(stage, stage.bootstrap, **settings)


def test_a_client_certificate(stage: Stage) -> None:
    name = f"client-{stage.user}"
    stage.allow_all(f"User:CN={name}")
    works(stage, stage.broker.at("CERTIFICATE"), **stage.client(stage.broker.authority.issue(name)))


def test_a_client_certificate_whose_key_has_a_password(stage: Stage, tmp_path: Path) -> None:
    name = f"client-{stage.user}"
    stage.allow_all(f"User:CN={name}")
    secret = tmp_path / "key-password"
    secret.write_text("k3y-s3cret")
    settings = stage.client(stage.broker.authority.issue(name).locked("k3y-s3cret"))
    log = works(stage, stage.broker.at("CERTIFICATE"), **settings, kafka__ssl_key_password_file=secret)
    assert "k3y-s3cret" not in log
    assert "may read a secret" in log  # it was written for everybody


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_tokens_of_an_identity_provider(stage: Stage, signer: TokenSigner, tmp_path: Path, scheme: str) -> None:
    stage.allow_all()
    secret = tmp_path / "client-secret"
    secret.write_text("cl1ent-s3cret\n")
    over_tls = scheme == "https"
    certificate = stage.broker.authority.issue("provider", ["localhost"]).write(tmp_path, "provider")
    with token_endpoint(signer, {stage.user: "cl1ent-s3cret"}, certificate if over_tls else None) as endpoint:
        endpoint.lifetime = 20.0  # so that it is renewed while it runs
        settings: dict[str, object] = {
            "kafka__security_protocol": "sasl_ssl",
            "kafka__sasl_mechanism": "OAUTHBEARER",
            "kafka__oauth_token_endpoint": endpoint.url,
            "kafka__oauth_client_id": stage.user,
            "kafka__oauth_client_secret_file": secret,
            "kafka__oauth_scope": "kafka",
            "kafka__oauth_extensions": "cluster=one",
            "kafka__ssl_ca_location": stage.broker.ca,
        }
        if over_tls:
            settings["kafka__oauth_ca_location"] = stage.broker.ca
        log = works(stage, stage.broker.at("TOKEN"), **settings)
    assert endpoint.refused == 0
    assert {(asked["client"], asked["scope"]) for asked in endpoint.asked} == {(stage.user, "kafka")}
    assert "cl1ent-s3cret" not in log
