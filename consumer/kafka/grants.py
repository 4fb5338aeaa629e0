"""The command that grants a right, as it stands in messages. Pure."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

UNKNOWN_PRINCIPAL: Final = "User:NAME"
"""Who logs in by a certificate or a token is called by the brokers as their rules say; only they know."""


class Grantee(NamedTuple):
    """Who needs a right, and at which brokers; without brokers the line is one to be completed."""

    bootstrap: str = ""
    principal: str = UNKNOWN_PRINCIPAL


def grant_line(to: Grantee, operation: str, kind: Literal["topic", "group", "transactional-id"], name: str) -> str:
    """A line for the shell."""
    at = f"--bootstrap-server {to.bootstrap} " if to.bootstrap else ""
    return (
        f"kafka-acls {at}--add --allow-principal {quoted(to.principal)} --operation {operation} --{kind} {quoted(name)}"
    )


def quoted(text: str) -> str:
    """As one word of a shell's command."""
    plain = all(char.isalnum() or char in "._:-" for char in text)
    return text if plain else "'" + text.replace("'", "'\\''") + "'"
