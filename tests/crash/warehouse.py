"""A small warehouse on HTTP: takes releases badly now and then, and answers them with acknowledgments and shipments."""

from __future__ import annotations

import json
import queue
import random
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.crash.clients import Caller
from tests.crash.journal import Journal, Request


class Warehouse:
    """The receiver and its workers.

    `bodies` has every message that came, by id, with every body seen under it; `in_hand` counts releases not worked off yet.
    """

    def __init__(self, seed: int, journal: Journal, *, workers: int = 2) -> None:
        self.bodies: dict[str, Counter[bytes]] = {}
        self.canceled: set[str] = set()
        self.turned_away = 0
        self.in_hand = 0
        self._chance = random.Random(f"{seed}/receiver")
        self._guard = threading.Lock()
        self._taken: set[str] = set()
        self._todo: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._journal, self._seed, self._worker_count = journal, seed, workers
        self._workers: list[threading.Thread] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def seen_again(self) -> int:
        """Deliveries of what had been delivered before."""
        return sum(sum(bodies.values()) - 1 for bodies in self.bodies.values())

    def work_on(self, port: int) -> None:
        """Start the workers that answer to the API at this port."""
        for number in range(self._worker_count):
            chance = random.Random(f"{self._seed}/warehouse/{number}")
            thread = threading.Thread(target=self._work, args=(Caller(port, "warehouse", chance),), daemon=True)
            thread.start()
            self._workers.append(thread)

    def finish(self) -> None:
        """Work off what was taken, and end the workers; the receiver goes on."""
        for _ in self._workers:
            self._todo.put(None)
        for worker in self._workers:
            worker.join()

    def close(self) -> None:
        """Take nothing any more."""
        self._server.shutdown()
        self._server.server_close()

    def take(self, message_id: str, body: bytes) -> str:
        """What to do with a message: take it, take it and say nothing, take it late, or turn it away."""
        with self._guard:
            drawn = self._chance.random()
            if drawn < 0.05:
                self.turned_away += 1
                return "turn away"
            self.bodies.setdefault(message_id, Counter())[body] += 1
            if message_id not in self._taken:
                self._taken.add(message_id)
                message = json.loads(body)
                if message["message"] == "shipment.release":
                    self.in_hand += 1
                    self._todo.put(message)
                else:
                    self.canceled.add(message["assignment"])
            return "say nothing" if drawn < 0.08 else "late" if drawn < 0.12 else "take"

    def _work(self, caller: Caller) -> None:
        try:
            while (message := self._todo.get()) is not None:
                self._fulfill(caller, message)
                with self._guard:
                    self.in_hand -= 1
        except Exception as error:
            self._journal.violations.append(f"warehouse: {type(error).__name__}: {error}")
        finally:
            caller.close()

    def _fulfill(self, caller: Caller, message: dict[str, Any]) -> None:
        """Most are acknowledged and shipped; some only one of both; some are not on the shelf."""
        assignment, drawn = message["assignment"], caller.chance.random()
        if assignment in self.canceled:
            return
        if drawn < 0.9:
            self._tell(caller, message, "shipment.acknowledge", "ACK", {"warehouse_ref": f"PICK-{assignment}"})
        if drawn < 0.06:
            self._tell(caller, message, "shipment.reject", "SHORT", {"reason": "short_pick"})
        elif drawn > 0.12:
            lines = [{"line_no": line["line_no"], "quantity": line["quantity"]} for line in message["lines"]]
            package = {"tracking": f"T{assignment}".replace(":", "-").replace("/", "-"), "carrier": "UPS"}
            self._tell(caller, message, "shipment.confirm", "SHIP", {"lines": lines, "packages": [package]})

    def _tell(self, caller: Caller, message: dict[str, Any], action: str, kind: str, fields: dict[str, Any]) -> None:
        assignment = message["assignment"]
        ref = f"{kind}-{assignment}"
        request = Request(
            sender="warehouse",
            system="warehouse",
            action=action,
            subject=message["order"],
            key=f"{assignment.rpartition('/')[2]}/{ref}",
            body=json.dumps({"assignment": assignment, "ref": ref, **fields}).encode(),
        )
        if caller.send(self._journal.add(request)) is None:
            self._journal.violations.append(f"{action} of {assignment}: no answer")


def _handler(warehouse: Warehouse) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:
                self.close_connection = True  # the sender was killed in the middle of it
                return
            how = warehouse.take(self.headers["Idempotency-Key"], body)
            if how == "say nothing":
                self.close_connection = True
                return
            if how == "late":
                time.sleep(0.3)
            self.send_response(503 if how == "turn away" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """The test's own log is enough."""

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True  # the sender was killed

        def finish(self) -> None:
            try:
                super().finish()
            except OSError:
                self.close_connection = True

    return Handler
