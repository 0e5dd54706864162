"""Clients over HTTP as clients are: they time out, hang up, send the same bytes again, and some give up and ask later."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Sequence
from typing import Any

from tests.crash.estate import INITIAL_STOCK, KEYS, PLENTY, PRICE, SCARCE
from tests.crash.journal import Answer, Journal, Lines, Request

TIMEOUT_S = 3.0
PAUSE_FIRST_S, PAUSE_S_MAX = 0.05, 0.8
GIVE_UP_S = 120.0
"""How long a patient client goes on; a service that has not answered by then has broken its word."""
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
BULK_MAX = 6


class Caller:
    """One system's way to the API, over a connection that is kept while it works."""

    def __init__(self, port: int, system: str, chance: random.Random) -> None:
        self._port, self._key, self.chance = port, KEYS[system], chance
        self._connection: http.client.HTTPConnection | None = None

    def once(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        hang_up: bool = False,
    ) -> tuple[int, bytes] | None:
        """One try; None if no whole answer came, or the client did not wait for it."""
        connection = self._connection or http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        self._connection = None
        all_headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json", **(headers or {})}
        try:
            connection.request(method, path, body, all_headers)
            if not hang_up:
                answer = connection.getresponse()
                content = answer.read()
                self._connection = connection
                return answer.status, content
        except (OSError, http.client.HTTPException):
            pass
        connection.close()
        return None

    def close(self) -> None:
        """End the connection that was kept."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def send(self, request: Request, *, patience: int = 0, hang_up: float = 0.03) -> Answer | None:
        """Send until it is answered, or `patience` tries were in vain (0: as long as it takes)."""
        until, pause_s, tries = time.monotonic() + GIVE_UP_S, PAUSE_FIRST_S, 0
        path = "/v1/orders" if request.action == "order.create" else f"/v1/actions/{request.action}"
        headers = {"Prefer": "respond-async"} if request.wish == "later" else {}
        while time.monotonic() < until and (patience == 0 or tries < patience):
            tries += 1
            request.sent += 1
            got = self.once("POST", path, request.body, headers, hang_up=self.chance.random() < hang_up)
            answer = _answer(got)
            if answer is not None:
                request.answers.append(answer)
                if answer.status not in TRY_AGAIN:
                    return answer
            else:
                request.lost += 1
            time.sleep(pause_s * self.chance.uniform(0.5, 1.0))
            pause_s = min(PAUSE_S_MAX, pause_s * 2)
        request.gave_up = True
        return None

    def send_many(self, requests: Sequence[Request]) -> None:
        """Send as one bulk request, whole again while no whole answer comes; lines that we failed at go again alone."""
        body = b"".join(_with_action(request) + b"\n" for request in requests)
        until, pause_s = time.monotonic() + GIVE_UP_S, PAUSE_FIRST_S
        while time.monotonic() < until:
            for request in requests:
                request.sent += 1
            hang_up = self.chance.random() < 0.03
            got = self.once("POST", "/v1/bulk", body, {"Content-Type": "application/x-ndjson"}, hang_up=hang_up)
            if got is not None and got[0] == 200:
                for request, line in zip(requests, got[1].splitlines(), strict=True):
                    told = json.loads(line)
                    request.answers.append(Answer(int(told["status"]), told))
                break
            for request in requests:
                request.lost += 1
            time.sleep(pause_s)
            pause_s = min(PAUSE_S_MAX, pause_s * 2)
        for request in requests:
            if request.final is None:
                request.gave_up = True
            elif request.final.status in TRY_AGAIN:
                time.sleep(pause_s)
                self.send_many([request])

    def ask(self, path: str) -> tuple[int, Any]:
        """GET until there is an answer."""
        until = time.monotonic() + GIVE_UP_S
        while time.monotonic() < until:
            got = self.once("GET", path)
            if got is not None and got[0] not in TRY_AGAIN:
                return got[0], json.loads(got[1])
            time.sleep(self.chance.uniform(0.05, 0.3))
        return 0, {}


class Shopper(threading.Thread):
    """Orders, pays, changes its mind and asks for its money, one order after the other, until told to stop."""

    def __init__(self, number: int, seed: int, port: int, journal: Journal, stop: threading.Event) -> None:
        super().__init__(name=f"shopper-{number}", daemon=True)
        self.chance = random.Random(f"{seed}/shopper/{number}")
        self._shop = Caller(port, "webshop", self.chance)
        self._watcher = Caller(port, "watcher", self.chance)
        self._number, self._journal, self._stop_told = number, journal, stop
        self._count = 0

    def run(self) -> None:
        """One story after the other; a mistake of the test itself is told, not lost with the thread."""
        stories = ((self._ordinary, 60), (self._many, 8), (self._later, 10), (self._impatient, 12), (self._odd, 10))
        try:
            while not self._stop_told.is_set():
                (story,) = self.chance.choices([s for s, _ in stories], [w for _, w in stories])
                story()
        except Exception as error:
            self._journal.violations.append(f"{self.name}: {type(error).__name__}: {error}")
        finally:
            self._shop.close()
            self._watcher.close()

    def _ordinary(self) -> None:
        """Order; pay if that was not done; perhaps cancel, before or after; perhaps have money back."""
        order, paid = self._order(), self.chance.random() < 0.7
        request = self._create(order, paid=paid)
        early = self.chance.random() < 0.05
        if early:
            self._act("order.cancel", request, "EARLY", {})
        self._patiently(self._shop, request)
        if self.chance.random() < 0.1:
            self._patiently(self._shop, request)  # it does not trust the answer
        if not paid:
            self._act("order.authorize", request, "A", {"amount": request.amount})
        if self.chance.random() < 0.25:
            whole = self.chance.random() < 0.5
            self._act("order.cancel", request, "C", {} if whole else {"lines": [{"line_no": 1, "quantity": 1}]})
            self._act("refund.issue", request, "R", {"amount": "5.00", "lines": [{"line_no": 1, "quantity": 1}]})
        if request.captured == "0" and self.chance.random() < 0.3:
            self._act("order.capture", request, "P", {"amount": request.amount})
        if self.chance.random() < 0.05:
            self._act("refund.issue", request, "TOO-MUCH", {"amount": "99999.00"})

    def _many(self) -> None:
        self._shop.send_many([self._create(self._order()) for _ in range(self.chance.randint(2, BULK_MAX))])

    def _later(self) -> None:
        """It only wants to know that the message is kept, and asks from time to time what became of it."""
        request = self._create(self._order(), wish="later")
        answer = self._patiently(self._shop, request)
        if answer is None or answer.status != 202:
            return
        until = time.monotonic() + GIVE_UP_S
        while not request.settled and time.monotonic() < until:
            time.sleep(self.chance.uniform(0.05, 0.4))
            status, found = self._shop.ask(f"/v1/messages/{answer.body['message_id']}?subject={request.subject}")
            if status != 200:
                self._journal.violations.append(f"{request.subject}: its kept message is not there ({status})")
                return
            request.settled = "" if found["outcome"] in (None, "received") else found["outcome"]
        if not request.settled:
            self._journal.violations.append(f"{request.subject}: no worker has taken it in {GIVE_UP_S:.0f} s")

    def _impatient(self) -> None:
        """It does not wait for the answer, or only once; later it asks whether there is an order."""
        request = self._create(self._order())
        if self._shop.send(request, patience=1, hang_up=0.6) is None:
            time.sleep(self.chance.uniform(0.0, 0.5))
            look_up(self._shop, request)

    def _odd(self) -> None:
        """What must be refused: other lines under the same number, a misspelt field, a sender without authority."""
        order = self._order()
        what = self.chance.choice(("conflict", "unreadable", "no authority"))
        if what == "conflict":
            first = self._create(order)
            if self._patiently(self._shop, first) is not None:
                self._patiently(self._shop, self._create({**order, "lines": [_line("SKU-1", 77)]}))
        elif what == "unreadable":
            self._patiently(self._shop, self._create({**order, "chanel": "web"}))
        else:
            self._patiently(self._watcher, self._create(order, system="watcher"))

    def _patiently(self, caller: Caller, request: Request) -> Answer | None:
        answer = caller.send(request)
        if answer is None:
            self._journal.violations.append(f"{request.action} of {request.subject}: no answer in {GIVE_UP_S:.0f} s")
        return answer

    def _order(self) -> dict[str, Any]:
        self._count += 1
        skus = self.chance.sample(PLENTY, self.chance.randint(1, 3))
        if self.chance.random() < 0.15:
            skus[0] = self.chance.choice(SCARCE)
        return {
            "order_id": f"{self._number}-{self._count}",
            "channel": "web",
            "placed_at": "2026-03-01T09:30:00-05:00",
            "currency": "USD",
            "destination": {"country": "US", "region": "NY", "latitude": 40.7, "longitude": -74.0},
            "lines": [_line(sku, self.chance.randint(1, 3)) for sku in skus],
        }

    def _create(self, order: dict[str, Any], *, paid: bool = True, wish: str = "", system: str = "webshop") -> Request:
        lines: Lines = tuple((line["sku"], line["quantity"]) for line in order["lines"])
        total = f"{sum(units for _, units in lines) * float(PRICE):.2f}"
        captured = total if paid and self.chance.random() < 0.5 else "0"
        body = {**order, **({"payment": {"authorized": total, "captured": captured}} if paid else {})}
        return self._journal.add(
            Request(
                sender=self.name,
                system=system,
                action="order.create",
                subject=f"{system}:{order['order_id']}",
                key="",
                body=json.dumps(body).encode(),
                lines=lines,
                amount=total,
                captured=captured if paid else "0",
                wish=wish or ("paid" if paid else "unpaid"),
            )
        )

    def _act(self, action: str, order: Request, ref: str, fields: dict[str, Any]) -> None:
        body = json.dumps({"order": order.subject, "ref": ref, **fields}).encode()
        amount = str(fields.get("amount", "0"))
        act = Request(
            sender=self.name, system="webshop", action=action, subject=order.subject, key=ref, body=body, amount=amount
        )  # fmt: skip
        self._patiently(self._shop, self._journal.add(act))


def look_up(caller: Caller, request: Request) -> None:
    """Ask whether the order is there, and note what was said."""
    status, _ = caller.ask(f"/v1/orders/{request.subject}")
    if status in (200, 404):
        request.asked.append(status == 200)


def stock_up(port: int, seed: int, journal: Journal) -> None:
    """Tell the stock that everything begins with. Raises AssertionError if it is not taken."""
    requests = [
        Request(
            sender="backoffice",
            system="backoffice",
            action="stock.count",
            subject=sku,
            key=f"{node}/INITIAL",
            body=json.dumps({"sku": sku, "node": node, "ref": "INITIAL", "counted": units}).encode(),
        )
        for (sku, node), units in INITIAL_STOCK.items()
    ]
    journal.requests += requests
    caller = Caller(port, "backoffice", random.Random(f"{seed}/stock"))
    caller.send_many(requests)
    caller.close()
    assert all(request.accepted for request in requests), [r.final for r in requests if not r.accepted][:3]


def _line(sku: str, quantity: int) -> dict[str, Any]:
    return {"sku": sku, "quantity": quantity, "unit_price": PRICE}


def _with_action(request: Request) -> bytes:
    """The body as a line of a bulk request; from now on these are the bytes that were sent."""
    if b'"action"' not in request.body:
        request.body = json.dumps({"action": request.action, **json.loads(request.body)}).encode()
    return request.body


def _answer(got: tuple[int, bytes] | None) -> Answer | None:
    if got is None:
        return None
    try:
        return Answer(got[0], json.loads(got[1]))
    except ValueError:
        return Answer(got[0], {})
