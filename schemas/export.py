"""Writes the JSON Schemas and the AsyncAPI document in ``schemas/json``.

``python -m schemas.export``, or ``--check`` to compare only.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from schemas import asyncapi
from schemas.base import Event
from schemas.comment import CommentEvent
from schemas.dead_letter import DeadLetterHeaders, DeadLetterStub
from schemas.deployment import Deployment
from schemas.json_schema import json_schema
from schemas.labeled import LabeledEvent

FOLDER: Final = Path(__file__).parent / "json"
MODELS: Final[Mapping[str, type[Event]]] = MappingProxyType(
    {
        "comment": CommentEvent,
        "labeled": LabeledEvent,
        "dead-letter-headers": DeadLetterHeaders,
        "dead-letter-stub": DeadLetterStub,
    }
)
VERSION: Final = 1


def render(name: str) -> str:
    """The JSON Schema (draft 2020-12) of one of :data:`MODELS`, as the text of its file."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:comment-consumer:{name}:{VERSION}",
        **json_schema(MODELS[name]),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def files(folder: Path = FOLDER, deployment: Deployment = Deployment()) -> dict[Path, str]:  # noqa: B008 - it is frozen
    """What each file should hold; the AsyncAPI document is that of this deployment."""
    schemas = {folder / f"{name}.schema.json": render(name) for name in MODELS}
    return {**schemas, folder / "asyncapi.json": asyncapi.render(deployment)}


def stale(folder: Path = FOLDER) -> list[Path]:
    """The files that differ from the code, are missing, or have no model any more."""
    wanted = files(folder)
    differing = [path for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text]
    return differing + sorted(set(folder.glob("*.json")) - set(wanted))


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m schemas.export", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file differs from the code")
    check = parser.parse_args(arguments).check
    different = stale(folder)
    wanted = files(folder)
    for path in different:
        if check:
            print(f"{path.name} differs from the code; run python -m schemas.export", file=sys.stderr)
        elif path in wanted:
            path.write_text(wanted[path], encoding="utf-8")
            print(f"{path.name} written")
        else:
            path.unlink()
            print(f"{path.name} deleted: it has no model any more")
    return 1 if check and different else 0


if __name__ == "__main__":
    sys.exit(main())
