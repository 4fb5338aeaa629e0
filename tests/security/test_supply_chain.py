"""What the audit and the bill of materials rest on: everything is pinned, and no exception goes unexplained."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUPPLY_CHAIN = ROOT / "deploy" / "supply-chain"


def entries(file: Path) -> list[str]:
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_exception_of_the_audit_says_why() -> None:
    for line in entries(SUPPLY_CHAIN / "exceptions.txt"):
        assert re.fullmatch(r"(PYSEC|GHSA|CVE)-[\w-]+ {2,}\S.{20,}", line), line


def test_what_is_audited_is_pinned_and_is_all_that_is_installed() -> None:
    pinned = {}
    for file in (ROOT / "constraints.txt", SUPPLY_CHAIN / "tools.txt"):
        for line in entries(file):
            assert re.fullmatch(r"[\w.-]+==[\w.+!]+", line), line
        pinned[file.name] = {normal(line.partition("==")[0]) for line in entries(file)}
    assert {"pip-audit", "cyclonedx-bom"} <= pinned["tools.txt"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [each for extra in project["optional-dependencies"].values() for each in extra]
    names = {normal(re.match(r"[\w.-]+", each)[0]) for each in wanted}  # type: ignore[index]
    assert names - pinned["constraints.txt"] == set()


def test_the_tools_are_not_part_of_the_product() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "pip-audit" not in project
    assert "cyclonedx" not in project
