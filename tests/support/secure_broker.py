"""A real Kafka that asks who is there: TLS, SCRAM, PLAIN, client certificates and tokens, and rights for each.

Its listeners are not named after protocols: Confluent's image would then want its own key store files.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.support.brokers import DEFAULT_IMAGE, RealBroker
from tests.support.certificates import Authority
from tests.support.tokens import AUDIENCE, ISSUER, TokenSigner

INNER, CONTROLLER = 9092, 9093
LISTENERS = {
    "LOGIN": (9094, "SASL_SSL"),  # SCRAM-SHA-512 and PLAIN
    "SHORT": (9095, "SASL_SSL"),  # SCRAM; who is logged in must log in again after a few seconds
    "CERTIFICATE": (9096, "SSL"),  # client certificates
    "TOKEN": (9097, "SASL_SSL"),  # OAUTHBEARER
    "ELSEWHERE": (9098, "PLAINTEXT"),  # gives the brokers' address as one that is not on this host
}
ELSEWHERE = "broker.elsewhere.example"
SHORT_SESSION_MS = 4_000
PLAIN_USER, PLAIN_PASSWORD = "plain-user", "plain-pa55word"
IN_CONTAINER = "/etc/kafka/secrets"
_OAUTH = "org.apache.kafka.common.security.oauthbearer"

Right = tuple[str, AclOperation, ResourceType, str]
"""Principal, operation, kind of resource, its name."""


class SecureBroker(RealBroker):
    """The broker; ``bootstrap`` is its inner listener, where everything is allowed."""

    def __init__(self, ports: dict[str, int], container_id: str, authority: Authority, folder: Path) -> None:
        super().__init__(f"localhost:{ports['INNER']}", container_id)
        self._ports = ports
        self.authority = authority
        self.folder = folder
        self.ca = folder / "authority.crt"

    def at(self, listener: str, host: str = "localhost") -> str:
        """The address of a listener."""
        return f"{host}:{self._ports[listener]}"

    def set_password(self, user: str, password: str) -> None:
        """Make a SCRAM user, or give it another password."""
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        change = UserScramCredentialUpsertion(user, credential, password.encode())
        for future in self.admin.alter_user_scram_credentials([change]).values():
            future.result(30)

    def grant(self, *rights: Right) -> None:
        """Give rights, and wait until the broker knows them."""
        for future in self.admin.create_acls([_binding(right) for right in rights]).values():
            future.result(30)
        self._until_described(rights, there=True)

    def revoke(self, *rights: Right) -> None:
        """Take rights away."""
        filters = [_binding(right, filtering=True) for right in rights]
        for future in self.admin.delete_acls(filters).values():
            future.result(30)
        self._until_described(rights, there=False)

    def _until_described(self, rights: Sequence[Right], *, there: bool) -> None:
        deadline = time.monotonic() + 30
        for right in rights:
            while bool(self.admin.describe_acls(_binding(right, filtering=True)).result(30)) is not there:
                assert time.monotonic() < deadline, "the broker does not apply its ACLs"
                time.sleep(0.05)


def _binding(right: Right, *, filtering: bool = False) -> AclBinding:
    from confluent_kafka.admin import AclBindingFilter

    principal, operation, kind, name = right
    made = AclBindingFilter if filtering else AclBinding
    return made(kind, name, ResourcePatternType.LITERAL, principal, "*", operation, AclPermissionType.ALLOW)


def needed_rights(principal: str, input_: str, output: str, dead_letters: str, group: str) -> list[Right]:
    """Exactly what the consumer needs."""
    return [
        (principal, AclOperation.READ, ResourceType.TOPIC, input_),
        (principal, AclOperation.WRITE, ResourceType.TOPIC, output),
        (principal, AclOperation.WRITE, ResourceType.TOPIC, dead_letters),
        (principal, AclOperation.READ, ResourceType.GROUP, group),
    ]


@contextmanager
def secure_broker(folder: Path, signer: TokenSigner) -> Iterator[SecureBroker]:
    """Start it. Certificates are written into ``folder``."""
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")  # read once, and real_broker() needs it too
    from testcontainers.core.container import DockerContainer

    authority = Authority("authority of the tests")
    (folder / "authority.crt").write_bytes(authority.certificate)
    server = authority.issue("broker", ["localhost"])
    ports = dict(zip(["INNER", *LISTENERS], free_ports(1 + len(LISTENERS)), strict=True))
    container = DockerContainer(os.environ.get("KAFKA_TEST_IMAGE", DEFAULT_IMAGE))
    container.with_command("/etc/confluent/docker/run")
    container.with_copy_into_container(server.key + server.certificate, f"{IN_CONTAINER}/broker.pem")
    container.with_copy_into_container(authority.certificate, f"{IN_CONTAINER}/authority.pem")
    container.with_copy_into_container(signer.public_keys, f"{IN_CONTAINER}/keys.json")
    for name, value in environment(ports).items():
        container.with_env(name, value)
    for name, port in ports.items():
        container.with_bind_ports(INNER if name == "INNER" else LISTENERS[name][0], port)
    with container as running:
        broker = SecureBroker(ports, running.get_wrapped_container().id, authority, folder)
        deadline = time.monotonic() + 90
        while True:
            try:
                AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0}).list_topics(timeout=5)
                break
            except KafkaException:
                if time.monotonic() > deadline:
                    print(running.get_wrapped_container().logs().decode()[-6000:])
                    raise
        yield broker


def environment(ports: dict[str, int]) -> dict[str, str]:
    """The broker's settings, in the image's spelling."""
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    protocols = {name: protocol for name, (_, protocol) in LISTENERS.items()}
    return {
        "CLUSTER_ID": "MkU3OEVBNTcwNTJENDM2Qk",
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@localhost:{CONTROLLER}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "INNER",
        "KAFKA_LISTENERS": f"INNER://0.0.0.0:{INNER},CONTROLLER://localhost:{CONTROLLER},"
        + ",".join(f"{name}://0.0.0.0:{port}" for name, (port, _) in LISTENERS.items()),
        "KAFKA_ADVERTISED_LISTENERS": ",".join(
            f"{name}://{ELSEWHERE if name == 'ELSEWHERE' else 'localhost'}:{port}" for name, port in ports.items()
        ),
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "INNER:PLAINTEXT,CONTROLLER:PLAINTEXT,"
        + ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_AUTHORIZER_CLASS_NAME": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "KAFKA_SUPER_USERS": "User:ANONYMOUS",  # whoever comes through the inner listener
        "KAFKA_SSL_KEYSTORE_TYPE": "PEM",
        "KAFKA_SSL_KEYSTORE_LOCATION": f"{IN_CONTAINER}/broker.pem",
        "KAFKA_SSL_TRUSTSTORE_TYPE": "PEM",
        "KAFKA_SSL_TRUSTSTORE_LOCATION": f"{IN_CONTAINER}/authority.pem",
        "KAFKA_LISTENER_NAME_CERTIFICATE_SSL_CLIENT_AUTH": "required",
        "KAFKA_LISTENER_NAME_LOGIN_SASL_ENABLED_MECHANISMS": "SCRAM-SHA-512,PLAIN",
        "KAFKA_LISTENER_NAME_LOGIN_SCRAM___SHA___512_SASL_JAAS_CONFIG": scram,
        "KAFKA_LISTENER_NAME_LOGIN_PLAIN_SASL_JAAS_CONFIG": "org.apache.kafka.common.security.plain.PlainLoginModule "
        f'required user_{PLAIN_USER}="{PLAIN_PASSWORD}";',
        "KAFKA_LISTENER_NAME_SHORT_SASL_ENABLED_MECHANISMS": "SCRAM-SHA-512",
        "KAFKA_LISTENER_NAME_SHORT_SCRAM___SHA___512_SASL_JAAS_CONFIG": scram,
        "KAFKA_LISTENER_NAME_SHORT_SCRAM___SHA___512_CONNECTIONS_MAX_REAUTH_MS": str(SHORT_SESSION_MS),
        "KAFKA_LISTENER_NAME_TOKEN_SASL_ENABLED_MECHANISMS": "OAUTHBEARER",
        "KAFKA_LISTENER_NAME_TOKEN_OAUTHBEARER_SASL_JAAS_CONFIG": f"{_OAUTH}.OAuthBearerLoginModule required;",
        "KAFKA_LISTENER_NAME_TOKEN_OAUTHBEARER_SASL_SERVER_CALLBACK_HANDLER_CLASS": f"{_OAUTH}."
        "OAuthBearerValidatorCallbackHandler",
        "KAFKA_SASL_OAUTHBEARER_JWKS_ENDPOINT_URL": f"file://{IN_CONTAINER}/keys.json",
        "KAFKA_SASL_OAUTHBEARER_EXPECTED_AUDIENCE": AUDIENCE,
        "KAFKA_SASL_OAUTHBEARER_EXPECTED_ISSUER": ISSUER,
        "KAFKA_OPTS": f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{IN_CONTAINER}/keys.json",
    }


def free_ports(count: int) -> list[int]:
    """Ports of this host that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
