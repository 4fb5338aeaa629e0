"""Confluent Schema Registry: asked once, at the start, for the id of a schema. Needs the extra ``registry``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

ANSWER_TIMEOUT: Final = 3.0  # seconds; the client itself would wait for ever
RETRIES: Final = 2  # of a request that no registry answered, or answered with a passing error
RETRY_WAIT_MS: Final = 500

_NO_SUBJECT: Final = 40401
_MISSING: Final = (40400, _NO_SUBJECT, 40402, 40403)
_REFUSED: Final = (401, 403)


class RegistryUnusable(Exception):
    """No id can be had; the message says why and what to do, and quotes no answer."""


class SchemaMissing(RegistryUnusable):
    """The registry answers as it should, and does not have this schema."""


def connect(urls: Sequence[str], username: str | None, password: str | None, ca: Path | None) -> SchemaRegistryClient:
    """A client; nothing is asked yet.

    Raises:
        RegistryUnusable: the certificates to trust cannot be read.
    """
    conf: dict[str, str | float] = {
        "url": ",".join(urls),
        "timeout": ANSWER_TIMEOUT,
        "max.retries": RETRIES,
        "retries.wait.ms": RETRY_WAIT_MS,
        "retries.max.wait.ms": 2 * RETRY_WAIT_MS,
    }
    if username is not None:
        conf["basic.auth.user.info"] = f"{username}:{password}"
    if ca is not None:
        conf["ssl.ca.location"] = str(ca)
    try:
        return SchemaRegistryClient(conf)
    except OSError as error:  # ssl.SSLError is one
        raise RegistryUnusable(f"the certificates to trust cannot be read ({type(error).__name__})") from error


def find_schema_id(client: SchemaRegistryClient, subject: str, schema: str, *, register: bool) -> int:
    """The id of this very schema under this subject.

    Args:
        client: Asked at most twice.
        subject: Such as ``labeled-comments-value``.
        schema: A JSON Schema's text.
        register: Register it if it is not there.

    Raises:
        RegistryUnusable: there is no answer, or no such schema, or the registry refuses.
    """
    asked = Schema(schema, "JSON")
    try:
        if register:
            found: int | None = client.register_schema(subject, asked, normalize_schemas=True)
        else:
            found = client.lookup_schema(subject, asked, normalize_schemas=True).schema_id
    except SchemaRegistryError as error:
        missing = error.http_status_code == 404 and error.error_code in _MISSING
        raise (SchemaMissing if missing else RegistryUnusable)(_explain(error, subject)) from error
    except Exception as error:  # what the HTTP library raises, and what reading a strange answer may
        kinds = {kind.__name__ for kind in type(error).__mro__}  # which library that is, the client chooses
        if "TransportError" in kinds:
            why = f"no schema registry answers there ({type(error).__name__}): is it up, and is this its address?"
        else:
            why = f"what answers there does not speak as a schema registry does ({type(error).__name__})"
        raise RegistryUnusable(why) from error
    if found is None:
        raise RegistryUnusable(f"the registry's answer about {subject} names no id")
    return found


def _explain(error: SchemaRegistryError, subject: str) -> str:
    status = error.http_status_code
    if status in _REFUSED:
        return (
            f"the registry refuses the login or the right to {subject} (HTTP {status}): see registry.username and "
            "registry.password_file"
        )
    if status == 404 and error.error_code not in _MISSING:
        return "what answers there knows nothing of schemas (HTTP 404): is this the registry's address?"
    if status == 404:
        missing = "there is no subject" if error.error_code == _NO_SUBJECT else "this version's schema is not under"
        return (
            f"{missing} {subject}: register what comment-consumer schemas show labeled prints, as JSON, or say "
            "registry.auto_register=true"
        )
    if status == 409:
        return (
            f"the schema is not compatible with those under {subject} (HTTP 409): it only ever gains fields and its "
            "readers ignore unknown ones, so FORWARD is the compatibility to set"
        )
    if status == 422:
        return f"the registry does not take the schema for {subject} (HTTP 422): it must know JSON Schema 2020-12"
    return f"the registry answers with an error (HTTP {status}, code {error.error_code})"
