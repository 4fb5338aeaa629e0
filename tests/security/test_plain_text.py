"""Plain text to a broker on this host, which names itself as elsewhere: then it would leave this host after all."""

from __future__ import annotations

import pytest

from tests.security.conftest import Stage
from tests.security.test_refusals import check, refusal
from tests.support.secure_broker import ELSEWHERE

pytestmark = [pytest.mark.broker, pytest.mark.container]


def test_brokers_that_say_they_are_elsewhere_are_refused(stage: Stage) -> None:
    said, _ = refusal(stage, stage.broker.at("ELSEWHERE"), {})
    assert f"the brokers say that they are at {ELSEWHERE}, which is not this host" in said
    assert "kafka.allow_plaintext=true" in said


def test_check_says_the_same(stage: Stage) -> None:
    code, found, _ = check(stage, stage.broker.at("ELSEWHERE"), {})
    assert code == 1
    assert found["broker"]["status"] == "failed"
    assert f"the brokers say that they are at {ELSEWHERE}" in found["broker"]["detail"]
