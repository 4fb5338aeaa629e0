"""One secure broker for all tests here, and topics whose rights each test gives itself."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.brokers import why_no_container
from tests.support.certificates import Authority, Issued
from tests.support.secure_broker import SecureBroker, needed_rights, secure_broker
from tests.support.tokens import TokenSigner
from tests.support.traffic import Topics, unique_topics


@pytest.fixture(scope="session")
def signer() -> TokenSigner:
    return TokenSigner()


@pytest.fixture(scope="session")
def secure(signer: TokenSigner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    reason = why_no_container()
    if reason is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run the container tests, but {reason}")
        pytest.skip(f"needs Docker: {reason}")
    with secure_broker(tmp_path_factory.mktemp("secure"), signer) as broker:
        yield broker


@dataclass(frozen=True)
class Stage:
    """Topics, a SCRAM user of its own, and the settings to log in with at the SCRAM listener."""

    broker: SecureBroker
    topics: Topics
    user: str
    password: str
    password_file: Path

    @property
    def principal(self) -> str:
        return f"User:{self.user}"

    @property
    def bootstrap(self) -> str:
        return self.broker.at("LOGIN")

    @property
    def scram(self) -> dict[str, object]:
        return {
            "kafka__security_protocol": "sasl_ssl",
            "kafka__sasl_mechanism": "SCRAM-SHA-512",
            "kafka__sasl_username": self.user,
            "kafka__sasl_password_file": self.password_file,
            "kafka__ssl_ca_location": self.broker.ca,
        }

    def allow_all(self, principal: str | None = None) -> None:
        """Exactly the rights that the README names."""
        names = self.topics
        who = principal or self.principal
        self.broker.grant(*needed_rights(who, names.input, names.output, names.dead_letters, names.group))

    def client(self, issued: Issued, name: str = "client") -> dict[str, object]:
        """Settings to log in by certificate."""
        certificate, key = issued.write(self.password_file.parent, name)
        return {
            "kafka__security_protocol": "ssl",
            "kafka__ssl_ca_location": self.broker.ca,
            "kafka__ssl_certificate_location": certificate,
            "kafka__ssl_key_location": key,
        }


@pytest.fixture
def stage(secure: SecureBroker, tmp_path: Path) -> Stage:
    topics = unique_topics()
    secure.create_topic(topics.input, 4)
    secure.create_topic(topics.output, 2)
    secure.create_topic(topics.dead_letters, 1)
    tag = uuid.uuid4().hex[:8]
    file = tmp_path / "password"
    file.write_text(f"pa55word-{tag}\n")
    file.chmod(0o600)
    secure.set_password(f"labels-{tag}", f"pa55word-{tag}")
    return Stage(secure, topics, f"labels-{tag}", f"pa55word-{tag}", file)


@pytest.fixture(scope="session")
def stranger() -> Authority:
    """An authority that the brokers do not know."""
    return Authority("a stranger")
