"""A listening socket and the app behind it: granian inside our own event loop, stopped gracefully by SIGTERM or `stop`.

The API and the edge serve by it; neither knows of the other.
"""

from __future__ import annotations

import asyncio
import signal
import threading

from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.applications import Starlette


class HttpServer:
    """One listening socket and the app behind it. `run` blocks until `stop`, SIGTERM or SIGINT.

    `waiting_max` connections may wait to be taken, and `at_once_max` requests may be under way.
    """

    def __init__(self, app: Starlette, host: str, port: int, *, waiting_max: int, at_once_max: int) -> None:
        self.app, self.host, self.port = app, host, port
        self._waiting_max, self._at_once_max = waiting_max, at_once_max
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None
        self._stopped = threading.Event()

    def run(self) -> None:
        """Serve until told to stop: then no new connection is taken, and what was begun is answered."""
        asyncio.run(self._serve())

    def stop(self) -> None:
        """Tell `run` to end; from any thread."""
        self._stopped.set()
        if self._loop is not None and self._server is not None:
            self._loop.call_soon_threadsafe(self._server.stop)

    async def _serve(self) -> None:
        # The embedded server runs in this loop; the plain one would fork, and need the app to be importable.
        self._server = Server(
            self.app,
            address=self.host,
            port=self.port,
            interface=Interfaces.ASGI,
            websockets=False,
            backlog=self._waiting_max,
            backpressure=self._at_once_max,
            log_enabled=False,
        )
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self.stop)
        if not self._stopped.is_set():
            await self._server.serve()
