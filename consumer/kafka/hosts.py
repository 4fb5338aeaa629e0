"""Which hosts are this one. Pure."""

from __future__ import annotations

import ipaddress


def is_local(host: str) -> bool:
    """Whether a host is this one, by its name or address alone: nothing is resolved."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
