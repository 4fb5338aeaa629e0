"""The three answers over HTTP."""

from __future__ import annotations

import socket

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from consumer.service.health import Health
from consumer.service.http import HttpEndpoint, application
from consumer.settings.loading import BadSettings


def test_health_and_metrics_are_served_on_a_free_port():
    health = Health(lambda: 0.0)
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    endpoint = HttpEndpoint(application(health, registry), "127.0.0.1", 0)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{endpoint.port}", trust_env=False) as client:
            assert client.get("/livez").status_code == 200
            refused = client.get("/readyz")
            assert refused.status_code == 503
            assert "the model is not warm yet\n" in refused.text
            health.model_is_warm()
            health.was_assigned()
            assert client.get("/readyz").text == "ok\n"
            assert "things_total 3.0" in client.get("/metrics").text
            assert client.get("/other").status_code == 404
    finally:
        endpoint.close(5)


def test_a_host_that_is_none_is_blamed_and_not_the_port():
    with pytest.raises(BadSettings) as refusal:
        HttpEndpoint(application(Health(lambda: 0.0), CollectorRegistry()), "no such host", 0)
    (line,) = refusal.value.lines
    assert line.startswith("http.host: no such host is no address to listen on: ")


def test_a_taken_port_is_one_clear_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadSettings) as refusal:
            HttpEndpoint(application(Health(lambda: 0.0), CollectorRegistry()), "127.0.0.1", port)
    (line,) = refusal.value.lines
    assert line.startswith(f"http.port: cannot listen on 127.0.0.1 port {port}: ")
