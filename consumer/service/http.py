"""/livez, /readyz and /metrics, served from a thread of its own."""

from __future__ import annotations

import os
import socket
import threading

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from consumer.service.health import Health
from consumer.settings.loading import BadSettings


def application(health: Health, registry: CollectorRegistry) -> Starlette:
    """The three answers: 200, or 503 with a reason a line."""

    def verdict(reasons: list[str]) -> Response:
        return PlainTextResponse("\n".join(reasons or ["ok"]) + "\n", status_code=503 if reasons else 200)

    async def livez(request: Request) -> Response:
        return verdict(health.why_not_alive())

    async def readyz(request: Request) -> Response:
        return verdict(health.why_not_ready())

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)])


class HttpEndpoint:
    """The server in its thread. ``port`` is the real one, also when 0 was asked for."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        """Take the port and start serving.

        Raises:
            BadSettings: the address cannot be listened on.
        """
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        except OSError as error:
            raise BadSettings([f"http.host: {host} is no address to listen on: {error.strerror}"]) from None
        try:
            self._socket = socket.create_server(address[:2], family=family, backlog=64)
        except OSError as error:
            why = f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}"
            raise BadSettings([f"http.port: {why}. Give a free --http.port (0 takes any)"]) from None
        self.port: int = self._socket.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def close(self, timeout: float) -> None:
        """Stop serving, within ``timeout`` seconds."""
        self._server.should_exit = True
        self._thread.join(timeout)
        self._socket.close()
