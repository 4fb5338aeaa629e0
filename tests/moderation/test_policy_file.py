"""Policies out of files: both formats say the same, and what is wrong is told with its place."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.moderation.policy_file import MAX_BYTES, PolicyError, read_policy

TOML = b"""
name = "broadcast"
actions = ["allow", "review", "hide"]

[default]
threshold = 0.6

[labels.Game]
threshold = 0.7
action = "hide"
reason = "spoiler"
review = [0.5, 0.9]

[no_label]
action = "review"

[[overrides]]
channels = ["kids"]
languages = ["en", "zh"]
labels.Game.threshold = 0.55

[audit]
share = 0.01
"""
YAML = b"""
name: broadcast
actions: [allow, review, hide]
default: {threshold: 0.6}
labels:
  Game: {threshold: 0.7, action: hide, reason: spoiler, review: [0.5, 0.9]}
no_label: {action: review}
overrides:
  - channels: [kids]
    languages: [en, zh]
    labels: {Game: {threshold: 0.55}}
audit: {share: 0.01}
"""


def refused(name: str, content: bytes) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        read_policy(name, content)
    return caught.value.lines


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".YAML"])
def test_both_formats_give_the_same_policy(suffix: str) -> None:
    one, other = read_policy("a.toml", TOML), read_policy("a" + suffix, YAML)
    assert one == other
    assert one.digest == other.digest
    assert one.overrides[0].labels["Game"].threshold == 0.55


def test_comments_and_layout_do_not_change_the_digest() -> None:
    assert read_policy("a.toml", TOML).digest == read_policy("b.toml", b"# why\n" + TOML + b"\n\n").digest


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert read_policy("a.toml", b"\xef\xbb\xbf" + TOML) == read_policy("a.toml", TOML)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", b"{}", "a.json: a policy is a .toml, .yaml or .yml file"),
        ("a", b"", "a: a policy is"),
        ("a.toml", b"", "a.toml: name: Field required"),
        ("a.yaml", b"", "a.yaml: it holds no settings of a policy"),
        ("a.yaml", b"- name", "a.yaml: it holds no settings"),
        ("a.yaml", b"just text", "a.yaml: it holds no settings"),
        ("a.toml", b"name = ", "a.toml is not TOML: Invalid value (at end of document)"),
        ("a.toml", b'name = "a"\nname = "b"', "a.toml is not TOML: Cannot overwrite a value"),
        ("a.yaml", b"name: a\nname: b", "a.yaml is not YAML: name stands twice (at line 2"),
        ("a.yaml", b"name: [", "a.yaml is not YAML"),
        ("a.yaml", b"a: &x 1\nb: *x", "a.yaml is not YAML: aliases are not allowed (at line 2"),
        ("a.yaml", b"name: !!python/object/apply:os.system ['true']", "a.yaml is not YAML"),
        ("a.yaml", b"[" * 100_000, "a.yaml is not YAML"),
        ("a.toml", b"\xff", "a.toml: it is not UTF-8, at byte 0"),
        ("a.yaml", b"name: {{ .Values.name }}", "a.yaml is not YAML: a name stands before a colon"),
        ("a.yaml", b"? [a, b]\n: c", "a.yaml is not YAML: a name stands before a colon"),
        ("a.yaml", b"name: !!bool abc", "a.yaml is not YAML of a policy (KeyError)"),
        ("a.yaml", b"name: !!timestamp abc", "a.yaml is not YAML of a policy"),
        ("a.yaml", b"name: !!int ''", "a.yaml is not YAML of a policy"),
        ("a.yaml", b"name: 2026-13-45", "a.yaml is not YAML of a policy (ValueError)"),
        ("a.yaml", b"name: " + b"9" * 5000, "a.yaml is not YAML of a policy (ValueError)"),
        ("a.toml", b"a = " + b"9" * 5000, "a.toml is not TOML of a policy (ValueError)"),
        ("a.toml", b"a = " + b"[" * 5000, "a.toml is not TOML of a policy (RecursionError)"),
        (
            "a.toml",
            b'name = "a"\nlabels.B = {threshold = 0.95, review = [0.5, 0.9]}',
            "a.toml: labels.B: the threshold",
        ),
        ("a.toml", b'name = "a"\ndefault.review = [0.6, 0.9]', "a.toml: default: the threshold"),
        ("a.toml", b"name = 5", "a.toml: name: Input should be a valid string"),
        ("a.toml", b'name = "a"\nlabel.Game.threshold = 1', "a.toml: label: there is no such setting of a policy"),
        ("a.toml", b'name = "a"\nlabels.Game.treshold = 1', "a.toml: labels.Game.treshold: there is no such setting"),
        ("a.toml", b'name = "a"\nlabels.Game.threshold = 7', "a.toml: labels.Game.threshold: Input should be less"),
        ("a.toml", b'name = "a"\nlabels.Game.action = "x"', "a.toml: no such action: labels.Game.action (x)"),
        (
            "a.yaml",
            b"name: a\nlabels: {no: {}}",
            "a.yaml is not YAML: no is not read as a name; put it in quotes",
        ),
        ("a.toml", b'name = "a"\n[[overrides]]', "a.toml: overrides.0: an override names channels or languages"),
    ],
)
def test_what_is_wrong_is_told_in_a_line_with_its_place(name: str, content: bytes, said: str) -> None:
    assert any(line.startswith(said) for line in refused(name, content)), refused(name, content)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    lines = refused("a.toml", b"labels.A.threshold = 2\nlabels.B.review = [1]")
    assert len(lines) == 3


def test_a_huge_file_is_not_even_parsed() -> None:
    assert "more than a policy may have" in refused("a.yaml", b"#" * (MAX_BYTES + 1))[0]


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.sampled_from(["a.toml", "a.yaml"]))
def test_any_bytes_at_all_are_a_policy_or_an_error_in_lines(content: bytes, name: str) -> None:
    with suppress(PolicyError):
        read_policy(name, content)
