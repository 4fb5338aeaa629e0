"""Asking a running process over HTTP."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from consumer.status.scrape import NotOurs, Scrape, read_scrape

TIMEOUT = 5.0  # seconds for one answer
LARGEST = 8 * 1024 * 1024  # bytes of an answer
MANY = 16  # processes asked at once

# No proxy: what is asked is on this host, or inside the cluster.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Unreachable(Exception):
    """A process cannot be asked; the message says where and why."""


def base_of(given: str) -> str:
    """The URL without a path; ``host:port`` is http.

    Raises:
        ValueError: it is no URL of a host.
    """
    url = urlsplit(given if "//" in given else f"http://{given}")
    if url.scheme not in ("http", "https") or not url.hostname or url.username is not None:
        raise ValueError(f"{given} is no http://HOST:PORT")
    try:
        url.port  # noqa: B018  (raises ValueError when it is no number)
    except ValueError:
        raise ValueError(f"{given} has a port that is no number") from None
    return f"{url.scheme}://{url.netloc}"


def ask(base: str) -> Scrape:
    """What a process says now.

    Raises:
        Unreachable: it does not answer, or is no comment-consumer.
    """
    not_alive = _reasons(base, "/livez")
    not_ready = _reasons(base, "/readyz")
    status, text = _get(base, "/metrics")
    at = time.monotonic()
    if status != 200:
        raise Unreachable(f"{base}: /metrics answers {status}; is this the port of http.port?")
    try:
        return read_scrape(text, at, not_alive, not_ready)
    except NotOurs as error:
        raise Unreachable(f"{base}: {error}") from None


def ask_all(bases: list[str]) -> list[Scrape | Unreachable]:
    """What each says, asked at the same time."""

    def one(base: str) -> Scrape | Unreachable:
        try:
            return ask(base)
        except Unreachable as unreachable:
            return unreachable

    with ThreadPoolExecutor(min(MANY, len(bases))) as asking:
        return list(asking.map(one, bases))


def _reasons(base: str, path: str) -> tuple[str, ...]:
    status, text = _get(base, path)
    if status == 200:
        return ()
    if status != 503:
        raise Unreachable(f"{base}: {path} answers {status}; is this the port of http.port?")
    return tuple(line for line in text.splitlines()[:20] if line)


def _get(base: str, path: str) -> tuple[int, str]:
    try:
        try:
            with _open(base + path, timeout=TIMEOUT) as answer:
                return answer.status, answer.read(LARGEST).decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(LARGEST).decode("utf-8", "replace")
    except urllib.error.URLError as error:
        raise Unreachable(f"{base} cannot be reached: {error.reason}") from None
    except (OSError, ValueError) as error:
        raise Unreachable(f"{base} cannot be reached: {type(error).__name__}") from None
    except Exception as error:  # http.client's own
        raise Unreachable(f"{base} does not speak HTTP: {type(error).__name__}") from None
