"""What a check found out, and how that is shown. No I/O."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.table import Table
from rich.text import Text


class Status(enum.Enum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"  # it runs, but not as well as it could
    UNKNOWN = "not known"  # nobody could say; it will be seen when it runs
    FAILED = "failed"  # it does not run like this


class Finding(NamedTuple):
    """One check. ``detail`` says what was seen and how; ``remedy`` is what to do, a command where there is one."""

    check: str
    status: Status
    detail: str
    remedy: str = ""


_STYLES = {Status.OK: "green", Status.WARNING: "yellow", Status.UNKNOWN: "cyan", Status.FAILED: "bold red"}


def passed(findings: Iterable[Finding]) -> bool:
    """Whether the consumer would run: nothing failed."""
    return all(finding.status is not Status.FAILED for finding in findings)


def as_table(findings: Sequence[Finding]) -> Table:
    """A table for people."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        status = Text(finding.status.value, style=_STYLES[finding.status])
        table.add_row(Text(finding.check), status, Text(finding.detail))
    return table


def remedies(findings: Iterable[Finding]) -> list[str]:
    """What to do, each once."""
    return list(dict.fromkeys(finding.remedy for finding in findings if finding.remedy))


def as_json(findings: Sequence[Finding]) -> dict[str, object]:
    """The same for programs."""
    return {
        "ok": passed(findings),
        "checks": [
            {"check": f.check, "status": f.status.value, "detail": f.detail, "remedy": f.remedy or None}
            for f in findings
        ],
    }
