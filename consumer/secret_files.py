"""Secrets that are kept in files: read with care, and looked at again while the program runs.

Nothing here ever puts what a file holds into an error, a representation or a log. That is also why errors are raised
outside of ``except``: an exception that led to another one stays in its context, and Python's decoding errors carry the
whole text.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

LIMIT: Final = 64 * 1024
"""Most bytes of a secret. What is larger is a mistake, such as a device or a log."""


class SecretUnreadable(ValueError):
    """A file holds no secret that could be used; the message says why, with its path and nothing of what is in it."""


def read_secret(path: Path) -> str:
    """What a file holds, without the line's end after it.

    Raises:
        SecretUnreadable: it is not there, empty, too large, or no text.
    """
    content, trouble = b"", ""
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT + 1)
    except OSError as error:
        trouble = type(error).__name__
    if trouble:
        raise SecretUnreadable(f"cannot be read ({trouble}): {path}")
    if len(content) > LIMIT:
        raise SecretUnreadable(f"has more than {LIMIT} bytes: {path}")
    text = _decoded(content)
    if text is None:
        raise SecretUnreadable(f"is not UTF-8 text: {path}")
    text = text.rstrip("\r\n")
    if not text.strip():
        raise SecretUnreadable(f"is empty: {path}")
    if "\x00" in text:
        raise SecretUnreadable(f"holds a zero byte, where a client would cut it: {path}")
    return text


def _decoded(content: bytes) -> str | None:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def readable_by_all(path: Path) -> bool:
    """Whether every user of this machine may read a file. False if that cannot be told."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


class SecretFile:
    """One file, looked at now and then. One thread calls everything here.

    It is read each time rather than judged by its time and inode: it is small, and file systems' clocks are coarse.
    The path is opened anew, so it does not matter whether the file is written over, renamed into place, or reached by a
    symbolic link that is pointed elsewhere, as Kubernetes does with the secrets that it mounts.
    """

    def __init__(self, path: Path, value: str) -> None:
        self.path = path
        self._value = value
        self._seen: str | None = None

    def __repr__(self) -> str:
        return f"SecretFile({self.path})"

    def look(self) -> str | None:
        """The new secret if there is one. A change counts when two looks in a row found the same.

        A file that is just being written may be there in part.

        Raises:
            SecretUnreadable: it cannot be used now; the secret known so far goes on.
        """
        seen, self._seen = self._seen, None
        found = read_secret(self.path)
        if found == self._value:
            return None
        if found != seen:
            self._seen = found
            return None
        self._value = found
        return found
