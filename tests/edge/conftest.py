"""A centre that says what the test wants, the real centre, and the edge as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

KEY = "web-secret"
LOCAL_KEY = "till-secret"

Answer = tuple[int, dict[str, str], bytes]
JSON = {"Content-Type": "application/json"}
PROBLEM = {"Content-Type": "application/problem+json"}
OK: Answer = (200, JSON, b'{"outcome": "processed"}')


class FakeCentre:
    """Answers as it is told, and remembers what came, in order."""

    def __init__(self, port: int = 0) -> None:
        self.came: list[tuple[str, str, bytes, dict[str, str]]] = []
        self.answer: Callable[[str, bytes, dict[str, str]], Answer] = lambda _path, _body, _headers: OK
        self.lock = threading.Lock()
        centre = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with centre.lock:
                    centre.came.append((headers.get("idempotency-key", ""), self.path, body, headers))
                    answer = centre.answer
                status, said, text = answer(self.path, body, headers)
                self.send_response(status)
                for name, value in {**said, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def keys(self) -> list[str]:
        """The Idempotency-Keys that came, in order."""
        with self.lock:
            return [key for key, *_ in self.came]

    def stop(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def centre() -> Iterator[FakeCentre]:
    """A centre that takes everything."""
    fake = FakeCentre()
    yield fake
    fake.stop()


class Edge:
    """The edge as a process, which may be killed and started again."""

    def __init__(self, directory: Path, centre_url: str, *, key: str = KEY, **settings: Any) -> None:
        self.directory = directory
        self.key = key
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.file = directory / "edge.yaml"
        self.program = ["interlock.edge", str(self.file)]
        self.process: subprocess.Popen[bytes] | None = None
        forward = {"wait_first_s": 0.05, "wait_s_max": 0.4, "backlog_per_s": 100_000.0, "timeout_s": 10.0}
        self.settings = {
            "name": "store-12",
            "system": settings.pop("system", "webshop"),
            "centre": centre_url,
            "directory": str(directory / "edge"),
            "listen": {"port": self.port, "key_env": "LOCAL_KEY"},
            "limits": {"free_bytes_min": 0, **settings.pop("limits", {})},
            "forward": forward | settings.pop("forward", {}),
            **settings,
        }
        self.file.write_text(json.dumps(self.settings))  # JSON is YAML
        self.http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {LOCAL_KEY}"}, timeout=10, trust_env=False
        )

    def start(self) -> Edge:
        """Start it, and wait until it takes something."""
        environment = {**os.environ, "INTERLOCK_EDGE_KEY": self.key, "LOCAL_KEY": LOCAL_KEY}
        with (self.directory / "edge.log").open("ab") as logged:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.program], env=environment, stdout=logged, stderr=logged
            )
        until(lambda: self._is_up() or self.process.poll() is not None, "the edge did not start")  # type: ignore[union-attr]
        assert self.process.poll() is None, self.log()
        return self

    def kill(self) -> None:
        """Kill it as a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Tell it to end, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=20)
        self.http.close()

    def post(self, path: str, body: Any, key: str | None = None, stream: str | None = None) -> httpx.Response:
        """Post something to it."""
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        if stream is not None:
            headers["Interlock-Stream"] = stream
        return self.http.post(path, content=body if isinstance(body, bytes) else json.dumps(body), headers=headers)

    def status(self) -> dict[str, Any]:
        """How it stands."""
        found: dict[str, Any] = self.http.get("/status").json()
        return found

    def log(self) -> str:
        """What it logged."""
        return (self.directory / "edge.log").read_text()

    def _is_up(self) -> bool:
        try:
            return self.http.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def make_edge(tmp_path: Path) -> Iterator[Callable[..., Edge]]:
    """Makes edges of a centre's URL and settings; all end with the test."""
    made: list[Edge] = []

    def make(centre_url: str, **settings: Any) -> Edge:
        directory = tmp_path / f"edge-{len(made)}"
        directory.mkdir()
        made.append(Edge(directory, centre_url, **settings))
        return made[-1]

    yield make
    for edge in made:
        edge.stop()


def until(holds: Callable[[], Any], otherwise: str, timeout_s: float = 20.0) -> None:
    """Return as soon as it holds."""
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
