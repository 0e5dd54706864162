"""HTTP/1.1 over plain asyncio streams: a client with kept connections, and a server for one address.

Small on purpose: the estate shares its two cores with what it tests, and must be cheap. Loopback only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec

HEAD_BYTES_MAX = 65_536
BODY_BYTES_MAX = 64 * 1_048_576
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 429: "Too Many Requests",
           503: "Service Unavailable"}  # fmt: skip


class HttpFailed(Exception):
    """No whole answer came: refused, cut, late or unreadable."""


class Response(msgspec.Struct, frozen=True):
    """An answer; header names are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[str, str, Mapping[str, str], bytes], Awaitable[Response | None]]
"""method, path, headers, body -> the answer; None cuts the connection without one."""


class HttpClient:
    """Requests to one address, at most `connections_max` at a time."""

    def __init__(self, host: str, port: int, connections_max: int = 64) -> None:
        self.host = host
        self.port = port
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(connections_max)

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", timeout_s: float = 30.0
    ) -> Response:
        """One request and its answer; raises HttpFailed, after which it is unknown whether it had an effect."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        async with self._free:
            connection: Connection | None = None
            try:
                async with asyncio.timeout(timeout_s):
                    connection = self._idle.pop() if self._idle else await self._open()
                    connection[1].write(head.encode() + b"\r\n" + body)
                    response = await _read_response(connection[0])
            except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
                if connection:
                    connection[1].close()
                raise HttpFailed(f"{type(error).__name__}: {error}") from None
            except asyncio.CancelledError:
                if connection:
                    connection[1].close()
                raise
            if response.headers.get("connection", "").lower() == "close":
                connection[1].close()
            else:
                self._idle.append(connection)
            return response

    async def _open(self) -> Connection:
        return await asyncio.open_connection(self.host, self.port, limit=HEAD_BYTES_MAX)

    async def close(self) -> None:
        """Close the kept connections."""
        writers = [writer for _, writer in self._idle]
        self._idle.clear()
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


async def _read_response(reader: asyncio.StreamReader) -> Response:
    """One answer; raises ValueError or EOFError where it cannot be read."""
    status = 100
    while status == 100:
        first, headers = await _read_head(reader)
        protocol, _, rest = first.partition(" ")
        if not protocol.startswith("HTTP/1."):
            raise ValueError(f"{first[:50]!r} is not an HTTP/1 answer")
        status = int(rest[:3])
    if status in (204, 304):
        return Response(status, headers, b"")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return Response(status, headers, await _read_chunks(reader))
    return Response(status, headers, await reader.readexactly(_length(headers)))


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    """The first line and the headers."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return lines[0], {name.lower(): value.strip() for name, _, value in pairs}


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body."""
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        if len(body) + size > BODY_BYTES_MAX:
            raise ValueError(f"a body of more than {BODY_BYTES_MAX} bytes")
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while (await reader.readuntil(b"\r\n")) != b"\r\n":
        pass
    return bytes(body)


def _length(headers: Mapping[str, str]) -> int:
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= BODY_BYTES_MAX:
        raise ValueError(f"a body of {length} bytes")
    return length


class HttpServer:
    """Answers requests on a port of the loopback address with a handler."""

    def __init__(self, port: int, handler: Handler) -> None:
        self._port = port
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> HttpServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=HEAD_BYTES_MAX)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        serving = list(self._open)
        for writer in list(self._open.values()):
            writer.close()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            while True:
                first, headers = await _read_head(reader)
                method, path, _ = first.split(" ", 2)
                chunked = headers.get("transfer-encoding", "").lower() == "chunked"
                body = await _read_chunks(reader) if chunked else await reader.readexactly(_length(headers))
                answer = await self._handler(method, path, headers, body)
                if answer is None:
                    return
                head = f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Other')}\r\n"
                head += f"Content-Length: {len(answer.body)}\r\n"
                head += "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
                writer.write(head.encode() + b"\r\n" + answer.body)
                await writer.drain()
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            pass  # the caller went away, or does not speak HTTP
        finally:
            self._open.pop(task, None)
            writer.close()
