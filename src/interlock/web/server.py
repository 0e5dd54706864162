"""Serving the API on a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import structlog
from starlette.applications import Starlette

from interlock.http_server import HttpServer

log = structlog.get_logger(__name__)

CONNECTIONS_WAITING_MAX: Final = 1_024
REQUESTS_AT_ONCE_MAX: Final = 8_192


class WebServer(HttpServer):
    """The API's server."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        super().__init__(app, host, port, waiting_max=CONNECTIONS_WAITING_MAX, at_once_max=REQUESTS_AT_ONCE_MAX)


def serve(app: Starlette, host: str, port: int, *, on_server: Callable[[WebServer], Any] | None = None) -> None:
    """Serve the app until SIGTERM or SIGINT; `on_server` gets the server, whose `stop` ends it from
    elsewhere.
    """
    server = WebServer(app, host, port)
    if on_server is not None:
        on_server(server)
    server.run()
