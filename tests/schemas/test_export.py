from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from schemas import export
from schemas.comment import CommentEvent
from tests.schemas.test_released_versions import SAMPLES


def test_the_committed_schemas_equal_the_code() -> None:
    assert export.stale() == [], "run python -m schemas.export"


def test_check_names_what_differs_is_missing_or_has_no_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main([], tmp_path) == 0
    assert export.main(["--check"], tmp_path) == 0
    (tmp_path / "comment.schema.json").write_text("{}")
    (tmp_path / "labeled.schema.json").unlink()
    (tmp_path / "gone.schema.json").write_text("{}")
    capsys.readouterr()
    assert export.main(["--check"], tmp_path) == 1
    said = capsys.readouterr().err
    names = ("comment", "labeled", "gone", "dead-letter-stub")
    assert [name for name in names if f"{name}.schema" in said] == ["comment", "labeled", "gone"]
    assert export.main([], tmp_path) == 0
    assert export.stale(tmp_path) == []


@pytest.mark.parametrize("name", export.MODELS)
def test_a_schema_is_valid_open_and_describes_every_field(name: str) -> None:
    schema = json.loads(export.render(name))
    jsonschema.Draft202012Validator.check_schema(schema)
    for part in (schema, *schema.get("$defs", {}).values()):
        assert part["description"]
        assert part.get("additionalProperties", True) is True
        for field in part["properties"].values():
            assert field.get("description"), field


# Header values are text on the wire, so the headers' schema speaks of what they say.
VALUES_ON_THE_WIRE = [sample for sample in SAMPLES if not sample.stem.startswith("dead-letter-headers")]


@pytest.mark.parametrize("sample", VALUES_ON_THE_WIRE, ids=lambda sample: sample.stem)
def test_the_samples_are_valid_by_the_schemas(sample: Path) -> None:
    name = next(n for n in export.MODELS if sample.stem.startswith(n + "-"))
    schema = json.loads((export.FOLDER / f"{name}.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(sample.read_text("utf-8")))


VALUES = ["a", "", 1, -1, True, 1.5, None, [], {}, {"a": [1]}]


@pytest.mark.parametrize("field", CommentEvent.model_fields)
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_comment_schema_and_the_model_accept_the_same(field: str, value: object) -> None:
    event = {"id": "i", "text": "t", field: value}
    schema = jsonschema.Draft202012Validator(json.loads(export.render("comment")))
    try:
        CommentEvent.model_validate(event)
        accepted = True
    except ValidationError:
        accepted = False
    assert schema.is_valid(event) is accepted
