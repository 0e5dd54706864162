"""Interlock through HTTP: a real server process on a real socket, one order a request, many connections.

The client is its own process and as cheap as can be, since it takes its CPU from the same cores: requests are made before
the clock starts, each connection has one of them under way, and of an answer only the status and the length are read.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Final

import msgspec

from interlock.bench import workload
from interlock.bench.processes import BenchFailed, Clock, Usage, context
from interlock.bench.workload import Workload
from interlock.bootstrap import steady_memory
from interlock.engine.door import Door
from interlock.storage.database import Database
from interlock.terminal import log_to_stderr
from interlock.web.api import WebServer, create_app

HOST: Final = "127.0.0.1"
BATCH_THREADS: Final = 3
START_S_MAX: Final = 30.0
ANSWER_S_MAX: Final = 60.0
WARM_UP_PER_CONNECTION: Final = 4

_OK: Final = b"HTTP/1.1 201"
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "


class Servers:
    """The server processes, asked from outside what they used."""

    def __init__(self, port: int, pipes: Sequence[Connection]) -> None:
        self.port = port
        self._pipes = pipes

    def usage(self) -> list[Usage]:
        """CPU and memory of each server process so far."""
        for pipe in self._pipes:
            pipe.send("usage")
        return [pipe.recv() for pipe in self._pipes]


@contextmanager
def serving(dsn: str, processes: int = 1) -> Iterator[Servers]:
    """Interlock's HTTP server on a free port, in so many processes that share it, until the block ends."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        port = found.getsockname()[1]
    pipes: list[Connection] = []
    started = []
    try:
        for _ in range(processes):
            mine, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(dsn, port, theirs), daemon=True)
            process.start()
            theirs.close()
            pipes.append(mine)
            started.append(process)
        servers = Servers(port, pipes)
        _wait_until_it_listens(port)
        servers.usage()  # each answers when it is up
        yield servers
        for pipe in pipes:
            pipe.send("stop")
        for process in started:
            process.join(START_S_MAX)
    finally:
        for process in started:
            if process.is_alive():
                process.kill()
            process.join()


def _serve(dsn: str, port: int, pipe: Connection) -> None:
    log_to_stderr(logging.WARNING)
    estate = workload.estate()
    with Database(dsn, pool_max=8) as db:
        app = create_app(db, estate, Door(db, estate), batch_threads=BATCH_THREADS)
        server = WebServer(app, HOST, port)
        steady_memory()

        def obey() -> None:
            try:
                while pipe.recv() == "usage":
                    pipe.send(Usage.now())
            except EOFError:  # the benchmark is gone
                pass
            server.stop()

        threading.Thread(target=obey, daemon=True).start()
        server.run()


def _wait_until_it_listens(port: int) -> None:
    deadline = time.monotonic() + START_S_MAX
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise BenchFailed(f"the HTTP server did not listen on {HOST}:{port} in {START_S_MAX:.0f} s") from None
            time.sleep(0.05)


class ClientSpec(msgspec.Struct, frozen=True):
    """What the client sends: the workload's orders over this many connections, for at most `seconds`."""

    port: int
    work: Workload
    connections: int
    seconds: float


class Sent(msgspec.Struct, frozen=True):
    """What was answered with 201: measured and warm-up orders, and the time of each measured one in seconds."""

    orders: int
    warm_up_orders: int
    took_s: list[float]


def work_client(spec: ClientSpec, clock: Clock) -> Sent:
    """Send all orders, one a request; every answer must be 201."""
    warm_up = WARM_UP_PER_CONNECTION * spec.connections
    requests = [_request(spec.port, spec.work.body(number)) for number in range(1, spec.work.orders + warm_up + 1)]
    sockets = [socket.create_connection((HOST, spec.port), timeout=ANSWER_S_MAX) for _ in range(spec.connections)]
    try:
        for one in sockets:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _drive(sockets, requests[:warm_up], float("inf"))
        clock.start()
        took = _drive(sockets, requests[warm_up:], clock.began + spec.seconds)
        clock.stop()
    finally:
        for one in sockets:
            one.close()
    return Sent(len(took), warm_up, took)


def _request(port: int, body: bytes) -> bytes:
    return (
        f"POST /v1/orders HTTP/1.1\r\nHost: {HOST}:{port}\r\nX-API-Key: {workload.API_KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _drive(sockets: Sequence[socket.socket], requests: Sequence[bytes], until: float) -> list[float]:
    """One request under way on each connection; the next as soon as it is answered. Gives each answer's time."""
    waiting = iter(requests)
    began: dict[socket.socket, float] = {}
    partial: dict[socket.socket, bytes] = {}
    took: list[float] = []
    with selectors.DefaultSelector() as ready:
        for one in sockets:
            request = next(waiting, None)
            if request is None:
                break
            ready.register(one, selectors.EVENT_READ)
            began[one] = time.monotonic()
            one.sendall(request)
        while began:
            events = ready.select(ANSWER_S_MAX)
            if not events:
                raise BenchFailed(f"{len(began)} requests were not answered in {ANSWER_S_MAX:.0f} s")
            for key, _ in events:
                answered: Any = key.fileobj
                answer = partial.pop(answered, b"") + answered.recv(65_536)
                if not _is_whole(answer):
                    partial[answered] = answer
                    continue
                now = time.monotonic()
                took.append(now - began.pop(answered))
                request = next(waiting, None) if now < until else None
                if request is None:
                    ready.unregister(answered)
                    continue
                began[answered] = now
                answered.sendall(request)
    return took


def _is_whole(answer: bytes) -> bool:
    """Whether the answer is there to its end. Raises BenchFailed for any other than 201."""
    if len(answer) >= len(_OK) and not answer.startswith(_OK):
        raise BenchFailed(f"an order was not accepted: {answer[:1_000].decode(errors='replace')}")
    if not answer:
        raise BenchFailed("the server closed a connection")
    end = answer.find(_HEAD_END)
    if end < 0:
        return False
    at = answer.find(_LENGTH) + len(_LENGTH)
    if not len(_LENGTH) <= at < end:
        raise BenchFailed(f"an answer does not tell its length: {answer[:end].decode(errors='replace')}")
    return len(answer) >= end + len(_HEAD_END) + int(answer[at : answer.find(b"\r\n", at)])
