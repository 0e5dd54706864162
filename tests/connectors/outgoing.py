"""What tests of delivery share: an HTTP receiver that misbehaves as told, estates of receivers, and a filled outbox."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from interlock.connectors.deliver import Delivery
from interlock.domain.estate import Contact, Duty, Estate, HttpOut, RetryPolicy, System
from interlock.domain.links import LinkOut
from interlock.domain.values import SystemId, part_of
from interlock.storage import outbox
from interlock.storage.arrays import Ints, Jsons, SmallInts, Texts
from interlock.storage.database import Database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WMS, DC = SystemId("wms"), SystemId("dc")


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


class Receiver(ThreadingHTTPServer):
    """A warehouse: it notes what it gets and answers as `answers` says, the last for ever after."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[str, Any, dict[str, str]]] = []
        self.answers: list[tuple[int, dict[str, str]] | str] = [(202, {})]
        self.guard = threading.Lock()
        self.at_once = self.at_once_max = 0
        self.delay_s = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/release"

    def ids(self) -> list[str]:
        return [message_id for message_id, _, _ in self.got]

    def handle_error(self, *_: object) -> None:
        """A caller that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(raw) if self.headers["Content-Type"] == "application/json" else raw
        server = self.server
        with server.guard:
            server.at_once += 1
            server.at_once_max = max(server.at_once_max, server.at_once)
            server.got.append((self.headers["Idempotency-Key"], body, dict(self.headers)))
            answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
        time.sleep(server.delay_s)
        with server.guard:
            server.at_once -= 1
        if isinstance(answer, str):  # hang up without a word
            self.close_connection = True
            return
        status, headers = answer
        said = b'{"said": "%d"}' % status
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(said))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    """A receiver that runs until the block ends."""
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def system(system_id: SystemId, outbound: LinkOut | None, **more: Any) -> System:
    return System(
        id=system_id,
        name=system_id,
        kind="wms",
        owner=Contact(team="dc", escalation="dc@example.test"),
        authority={},
        time_zone="UTC",
        currency="USD",
        order_scope=system_id,
        outbound=outbound,
        retry=more.pop("retry", RetryPolicy(first_s=10, factor=2, attempts_max=3, jitter=0)),
        **more,
    )


def estate(*systems: System) -> Estate:
    return Estate(
        retailer="Test",
        currency="USD",
        systems={each.id: each for each in systems},
        nodes={},
        channels={},
        duties={"delivery_dead": Duty(owner="integration", within_s=600)},
    )


def http(receiver: Receiver, **more: Any) -> HttpOut:
    return HttpOut(url=receiver.url, **{"timeout_s": 2.0, **more})


def body(order_id: str, seq: int, lines: int = 1, message: str = "shipment.release") -> bytes:
    return json.dumps(
        {
            "message": message,
            "id": f"{order_id}/{seq}/1",
            "assignment": f"{order_id}/1",
            "order": order_id,
            "number": order_id.upper(),
            "node": "DC-1",
            "fulfillment": "delivery",
            "destination": {"country": "US", "region": "NY", "postal_code": "01001"},
            "pickup_node": None,
            "lines": [{"line_no": n, "sku": f"SKU-{n}", "quantity": n, "uom": "each"} for n in range(1, lines + 1)],
            "released_at": "2026-03-01T12:00:00Z",
        }
    ).encode()


def fill(
    db: Database, rows: list[tuple[str, int]], to: SystemId = WMS, lines: int = 1, message: str = "shipment.release"
) -> None:
    db.transaction(
        lambda tx: tx.execute(
            "insert into outbox (part, order_id, seq, receiver, message, assignment_no, body, created_at, due_at) "
            "select part, order_id, seq, %(to)s, %(message)s, 1, body, %(now)s, %(now)s "
            "from unnest(%(parts)s, %(order_ids)s, %(seqs)s, %(bodies)s) t (part, order_id, seq, body)",
            to=to,
            message=message,
            now=NOW,
            parts=SmallInts([part_of(order_id) for order_id, _ in rows]),
            order_ids=Texts([order_id for order_id, _ in rows]),
            seqs=Ints([seq for _, seq in rows]),
            bodies=Jsons([body(order_id, seq, lines, message) for order_id, seq in rows]),
        )
    )


def states(db: Database) -> dict[tuple[str, str], int]:
    return {(queue.receiver, queue.state): queue.messages for queue in db.transaction(outbox.count_many)}


def deliver(db: Database, where: Estate, now: datetime = NOW, **more: Any) -> Any:
    delivery = Delivery(db, where, chance=lambda: 0.5, **more)
    try:
        return delivery.run_once(now)
    finally:
        delivery.close()
