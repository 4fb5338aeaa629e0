"""Secrets that change while the program runs, and files that too many people may read.

librdkafka takes a new password for PLAIN and SCRAM at any time and uses it at the next login; connections that stand
are kept. It takes no other secret anew: of those, a change is only told.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from consumer.secret_files import SecretFile, SecretUnreadable, readable_by_all
from consumer.settings.kafka import KafkaSettings

log = structlog.get_logger()

UseLogin = Callable[[str, str], None]
"""Takes a user name and a password."""


class SecretRotation:
    """The secret files of one connection. The poll thread calls everything here; :meth:`look` is cheap.

    ``use`` is given each new password, on the thread that calls :meth:`look`.
    """

    def __init__(self, settings: KafkaSettings, use: UseLogin) -> None:
        self._user = settings.sasl_username
        self._use = use
        self._files: dict[str, SecretFile] = {}
        for name in settings.secrets:
            path, value = getattr(settings, f"{name}_file"), getattr(settings, name)
            if path is not None:
                self._files[name] = SecretFile(path, value.get_secret_value())

    def look(self) -> None:
        """Look at every file once. A change counts when it is seen twice, see :class:`SecretFile`."""
        for name, file in self._files.items():
            try:
                found = file.look()
            except SecretUnreadable as unreadable:
                # Told at every look; the log lets it through once in a while.
                log.warning(
                    "the secret in a file cannot be used; the one known so far goes on",
                    error=str(unreadable),
                    setting=f"kafka.{name}_file",
                )
                continue
            if found is None:
                continue
            if name == "sasl_password" and self._user is not None:
                self._use(self._user, found)
                log.info("the password changed; it is used from the next login on", setting=f"kafka.{name}_file")
            else:
                log.warning(
                    "a secret changed that cannot be changed while the program runs: restart it",
                    error=name,
                    setting=f"kafka.{name}_file",
                )


def exposed_files(settings: KafkaSettings) -> list[tuple[str, str]]:
    """Settings, and the files they name, that hold a secret and that every user of this machine may read."""
    names = [f"{name}_file" for name in settings.secrets] + ["ssl_key_location"]
    named = ((f"kafka.{name}", getattr(settings, name)) for name in names)
    return [(name, str(path)) for name, path in named if path is not None and readable_by_all(path)]


def warn_of_exposed_files(settings: KafkaSettings) -> None:
    """Log each of them."""
    for name, path in exposed_files(settings):
        log.warning(
            "every user of this machine may read a secret: chmod 400, or defaultMode 0400 of a mounted secret",
            error=name,
            setting=name,
            file=path,
        )
