"""Serving the edge on a socket that nobody else has."""

from __future__ import annotations

import socket
from typing import Final

from starlette.applications import Starlette

from interlock.domain.errors import InvalidValue
from interlock.http_server import HttpServer

CONNECTIONS_WAITING_MAX: Final = 512
REQUESTS_AT_ONCE_MAX: Final = 2_048


class EdgeServer(HttpServer):
    """The edge's server."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        super().__init__(app, host, port, waiting_max=CONNECTIONS_WAITING_MAX, at_once_max=REQUESTS_AT_ONCE_MAX)

    def check_free(self) -> None:
        """Raises InvalidValue where the port is taken: two servers would share the requests between them."""
        try:
            with socket.create_server((self.host, self.port)):
                return
        except OSError as error:
            raise InvalidValue("listen.port", self.port, f"a free port of {self.host} ({error.strerror})") from error
