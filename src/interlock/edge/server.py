"""Serving on a socket: granian inside our own event loop, stopped gracefully by SIGTERM or `stop`."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from typing import Final

from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.applications import Starlette

from interlock.domain.errors import InvalidValue

CONNECTIONS_WAITING_MAX: Final = 512
REQUESTS_AT_ONCE_MAX: Final = 2_048


class EdgeServer:
    """One listening socket and the app behind it. `run` blocks until `stop`, SIGTERM or SIGINT."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        self.app, self.host, self.port = app, host, port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None
        self._stopped = threading.Event()

    def check_free(self) -> None:
        """Raises InvalidValue where the port is taken: two servers would share the requests between them."""
        try:
            with socket.create_server((self.host, self.port)):
                return
        except OSError as error:
            raise InvalidValue("listen.port", self.port, f"a free port of {self.host} ({error.strerror})") from error

    def run(self) -> None:
        """Serve until told to stop: then no new connection is taken, and what was begun is answered."""
        asyncio.run(self._serve())

    def stop(self) -> None:
        """Tell `run` to end; from any thread."""
        self._stopped.set()
        if self._loop is not None and self._server is not None:
            self._loop.call_soon_threadsafe(self._server.stop)

    async def _serve(self) -> None:
        self._server = Server(
            self.app,
            address=self.host,
            port=self.port,
            interface=Interfaces.ASGI,
            websockets=False,
            backlog=CONNECTIONS_WAITING_MAX,
            backpressure=REQUESTS_AT_ONCE_MAX,
            log_enabled=False,
        )
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self.stop)
        if not self._stopped.is_set():
            await self._server.serve()
