"""What tests of subscriptions share: a webhook that misbehaves as told, estates of subscriptions, and a history to be sent."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from interlock.connectors.publish import Publication
from interlock.domain.estate import Estate
from interlock.domain.links import RetryPolicy
from interlock.domain.subscriptions import Subscription, Webhook
from interlock.domain.values import part_of
from interlock.storage.arrays import Ints, SmallInts, Texts
from interlock.storage.database import Database
from tests.builders import make_estate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET, OTHER = b"a secret of twenty-four b", b"another secret, also good"
ENVIRONMENT = {f"{name}_SECRET": f"whsec_{base64.b64encode(each).decode()}" for name, each in
               (("CRM", SECRET), ("NEXT", OTHER))}  # fmt: skip
Answer = tuple[int, dict[str, str]]


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


class Got(NamedTuple):
    """One request as it came."""

    webhook_id: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


class Subscriber(ThreadingHTTPServer):
    """It notes what it gets, and answers as `answer` says."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[Got] = []
        self.taken: list[str] = []
        self.answer: Callable[[Got], Answer | None] = lambda _: (204, {})
        self.guard = threading.Lock()
        self.delay_s = 0.0
        self.closes = False
        self.said = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/events"

    def ids(self) -> list[str]:
        """The ids of the requests that it took, in their order."""
        return list(self.taken)

    def handle_error(self, *_: object) -> None:
        """A caller that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Subscriber

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        got = Got(self.headers["webhook-id"], {name.lower(): value for name, value in self.headers.items()}, raw)
        with self.server.guard:
            answer = self.server.answer(got)
            self.server.got.append(got)
            if answer is not None and 200 <= answer[0] < 300:
                self.server.taken.append(got.webhook_id)
        time.sleep(self.server.delay_s)
        if answer is None:  # hang up without a word
            self.close_connection = True
            return
        status, headers = answer
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(self.server.said))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.said)
        if self.server.closes:  # without a word of it before
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@contextmanager
def webhook() -> Iterator[Subscriber]:
    """A subscriber that runs until the block ends."""
    server = Subscriber()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def subscription(subscriber: Subscriber | str, name: str = "crm", **more: Any) -> Subscription:
    url = subscriber if isinstance(subscriber, str) else subscriber.url
    to = Webhook(url=url, secrets_env=more.pop("secrets_env", ("CRM_SECRET",)), timeout_s=more.pop("timeout_s", 5.0))
    fields: dict[str, Any] = {
        "start": "beginning",
        "retry": RetryPolicy(first_s=10, factor=2, attempts_max=3, jitter=0),
        "pause_after": 0,
    }
    return Subscription(name=name, to=more.pop("to", to), **fields | more)


def estate(*subscriptions: Subscription) -> Estate:
    return make_estate(subscriptions={each.name: each for each in subscriptions})


@contextmanager
def publishing(db: Database, *subscriptions: Subscription, **more: Any) -> Iterator[Publication]:
    """Publication for these subscriptions, with the secrets of the tests, and no chance."""
    fields = {"environment": ENVIRONMENT, "chance": lambda: 0.5, **more}
    publication = Publication(db, estate(*subscriptions), **fields)
    try:
        yield publication
    finally:
        publication.close()


def history(db: Database, orders: Sequence[str], events: int, first: int = 1) -> list[str]:
    """Events of orders as the engine would write them, `events` of each from number `first` on; gives their ids."""
    keys = [(part_of(order), order, seq) for seq in range(first, first + events) for order in orders]
    db.transaction(
        lambda tx: tx.execute(
            "insert into events (part, order_id, seq, type, body, message_id, system, recorded_at, position)"
            " select part, order_id, seq, 'assignment.released',"
            " json_build_object('type', 'assignment.released', 'assignment_no', seq, 'at', '2026-03-01T12:00:00Z'),"
            " gen_random_uuid(), 'web', '2026-03-01T11:00Z', "
            " coalesce((select max(position) from events as e where e.part = t.part), 0)"
            " + row_number() over (partition by part order by place)"
            " from unnest(%(parts)b::smallint[], %(orders)b::text[], %(seqs)b::integer[]) with ordinality"
            " as t (part, order_id, seq, place)",
            parts=SmallInts([part for part, _, _ in keys]),
            orders=Texts([order for _, order, _ in keys]),
            seqs=Ints([seq for _, _, seq in keys]),
        )
    )
    return [f"{order}/{seq}" for _, order, seq in keys]


def assert_in_order(ids: Sequence[str], *, repeated: bool = False) -> None:
    """Each order's events came in their order; where some were repeated, each came first in its order."""
    last: dict[str, int] = defaultdict(int)
    for each in ids:
        order, seq = each.rsplit("/", 1)
        if repeated and int(seq) <= last[order]:
            continue
        assert int(seq) == last[order] + 1, each
        last[order] = int(seq)


def is_signed_by(got: Got, secret: bytes) -> bool:
    """Whether one of the request's signatures is right by the secret, worked out apart from our own code."""
    content = f"{got.webhook_id}.{got.headers['webhook-timestamp']}.".encode() + got.raw
    right = base64.b64encode(hmac.new(secret, content, "sha256").digest()).decode()
    return f"v1,{right}" in got.headers["webhook-signature"].split(" ")
