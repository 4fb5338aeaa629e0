"""Which hosts are this one. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


def is_local(host: str) -> bool:
    """Whether a host is this one, by its name or address alone: nothing is resolved."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def explain_strangers(hosts: Iterable[str]) -> str | None:
    """One line if brokers that were found on this host name themselves as elsewhere, else ``None``.

    Clients go where the brokers say that they are, whatever address they began with.
    """
    strangers = sorted(host for host in hosts if not is_local(host))
    if not strangers:
        return None
    return (
        f"the brokers say that they are at {strangers[0]}, which is not this host, and kafka.security_protocol gives "
        "plain text: use ssl or sasl_ssl, correct their advertised.listeners, or say kafka.allow_plaintext=true if the "
        "network is yours alone"
    )
