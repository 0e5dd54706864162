"""A store is cut off: its tills post to the edge, and when the line is back every number is there, late and counted once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from hashlib import sha256

import httpx
import pytest

from interlock.bootstrap import App
from interlock.domain.estate import Channel, Contact, Estate, Limits, Node, Place, SourcingPolicy, System
from interlock.domain.links import Format, WebhookIn
from interlock.domain.values import NodeId, SystemId, part_of
from interlock.operations.pos import PosWatch
from interlock.storage import pos_marks
from interlock.storage.database import Database
from interlock.web.api import WebServer, create_app
from tests.edge.conftest import Edge, free_port, until
from tests.web.conftest import wait_until_up

MakeEdge = Callable[..., Edge]
DAY = date(2026, 3, 2)
TILL_KEY = "till-system-secret"


def estate() -> Estate:
    """One POS with a store in New York, whose tills post POSLog; the POS calls the store 12."""
    pos = System(
        id=SystemId("pos"),
        name="POS",
        kind="pos",
        owner=Contact(team="stores", escalation="stores@example.com"),
        authority={
            "order": "decide",
            "payment": "decide",
            "fulfillment": "decide",
            "stock": "decide",
            "return": "decide",
        },
        time_zone="America/New_York",
        currency="USD",
        order_scope="pos",
        api_key_sha256=(sha256(TILL_KEY.encode()).hexdigest(),),
        inbound=(
            WebhookIn(
                name="tills",
                format=Format(kind="poslog"),
                mapping="poslog-store",
                settings={"channel": "till", "pos_gap_grace_s": "0"},
            ),
        ),
        limits=Limits(body_bytes_max=10_000_000),
    )
    store = Node(
        id=NodeId("S12"),
        name="Store 12",
        kind="store",
        system=pos.id,
        place=Place(country="US"),
        time_zone="America/New_York",
        fulfills=("carry_out", "bopis"),
    )
    channel = Channel(
        id="till", system=pos.id, currency="USD", fulfills=("carry_out", "bopis"), sourcing=SourcingPolicy(version="1")
    )
    return Estate(
        retailer="Test",
        currency="USD",
        systems={pos.id: pos},
        nodes={store.id: store},
        channels={channel.id: channel},
        node_aliases={pos.id: {"12": store.id}},
    )


def sale(number: int) -> str:
    """A sale of one tent, so many minutes after ten."""
    return f"""<Transaction><RetailStoreID>12</RetailStoreID><WorkstationID>3</WorkstationID>
      <SequenceNumber>{number}</SequenceNumber><BusinessDayDate>{DAY}</BusinessDayDate>
      <BeginDateTime>2026-03-02T10:{number:02}:00</BeginDateTime><EndDateTime>2026-03-02T10:{number:02}:30</EndDateTime>
      <CurrencyCode>USD</CurrencyCode><RetailTransaction>
        <LineItem><SequenceNumber>1</SequenceNumber><Sale ItemType="Stock"><ItemID>TENT</ItemID>
          <ActualSalesUnitPrice>119.00</ActualSalesUnitPrice><ExtendedAmount>119.00</ExtendedAmount><Quantity>1</Quantity>
        </Sale></LineItem>
        <LineItem><SequenceNumber>2</SequenceNumber><Tender TenderType="Cash"><Amount>119.00</Amount></Tender></LineItem>
        <Total TotalType="TransactionGrandAmount">119.00</Total>
      </RetailTransaction></Transaction>"""


def control(number: int, what: str) -> str:
    """A transaction without goods."""
    return f"""<Transaction><RetailStoreID>12</RetailStoreID><WorkstationID>3</WorkstationID>
      <SequenceNumber>{number}</SequenceNumber><BusinessDayDate>{DAY}</BusinessDayDate>
      <EndDateTime>2026-03-02T18:{number:02}:00</EndDateTime>
      <ControlTransaction><{what}/></ControlTransaction></Transaction>"""


def poslog(*transactions: str) -> bytes:
    """The transactions as a POSLog."""
    body = "".join(transactions)
    return f'<POSLog xmlns="http://www.nrf-arts.org/IXRetail/namespace/">{body}</POSLog>'.encode()


@pytest.fixture
def app(db: Database) -> App:
    """The wired app of that estate."""
    return App(db, estate())


@pytest.fixture
def centre(db: Database, app: App) -> Iterator[str]:
    """The centre on a socket."""
    server = WebServer(create_app(db, app.estate, app.door, links=app.links), "127.0.0.1", free_port())
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until_up(url := f"http://127.0.0.1:{server.port}")
    yield url
    server.stop()
    thread.join(15)


def look(db: Database, app: App) -> dict[str, object]:
    """The chore comes by; then what is stated of the day."""
    watch, now = PosWatch(app.estate), datetime.now(UTC).replace(year=2027)
    db.transaction(lambda tx: [watch(tx, part, now) for part in range(64)])
    (day,) = pos_marks.days(db, store="S12", day=DAY)
    return day


def test_what_the_edge_held_is_late_counted_once_and_dated_by_the_till(
    make_edge: MakeEdge, centre: str, app: App, db: Database
) -> None:
    with httpx.Client(base_url=centre, headers={"X-API-Key": TILL_KEY}, timeout=30, trust_env=False) as direct:
        headers = {"Content-Type": "application/xml"}
        said = direct.post("/v1/in/pos/tills", content=poslog(sale(1), sale(2)), headers=headers)
        assert said.json()["outcomes"] == {"processed": 2}, said.text

        edge = make_edge(f"http://127.0.0.1:{free_port()}", key=TILL_KEY, system="pos")
        edge.start()
        for number in (3, 4, 5):
            edge.http.post(
                "/v1/in/pos/tills", content=poslog(sale(number)), headers={**headers, "Interlock-Stream": "register-3"}
            )
        # The till's close comes by another way; of three to five nobody knows yet.
        closed = direct.post(
            "/v1/in/pos/tills", content=poslog(control(6, "NoSale"), control(7, "BusinessEOD")), headers=headers
        )
        assert closed.status_code == 200, closed.text
        before = look(db, app)
        assert (before["state"], before["missing"], before["late"]) == ("incomplete", [[3, 5]], 0)
        edge.stop()

        again = Edge(edge.directory, centre, key=TILL_KEY, system="pos").start()
        until(lambda: again.status()["waiting"] == 0, "it does not drain")
        assert again.status()["dead"] == 0, again.status()["dead_letters"]
        twice = direct.post("/v1/in/pos/tills", content=poslog(sale(4)), headers=headers)
        assert twice.json()["outcomes"] == {"duplicate": 1}
        again.stop()

        after = look(db, app)
        assert (after["state"], after["missing"], after["transactions"]) == ("complete", [], 7)
        assert (after["late"], after["repeats"], after["reused"]) == (3, 1, 0)
        shown = direct.get("/v1/pos/days", params={"store": "S12", "day": "2026-03-02"}).json()["days"]
        assert [(day["register"], day["state"]) for day in shown] == [("3", "complete")]
        assert direct.get("/v1/pos/days", params={"open": "true"}).json() == {"days": []}
        assert direct.get("/v1/pos/days", params={"day": "yesterday"}).status_code == 400

    gaps = db.transaction(
        lambda tx: tx.query("select explanation, evidence, closed_by from exceptions where reason = 'pos_gap'")
    )
    assert gaps == [
        (
            "register 3 of S12 on 2026-03-02: 3 are missing: 3-5",
            "all 7 transactions from 1 to 7 are here",
            "interlock",
        )
    ]
    placed = db.transaction(lambda tx: tx.query("select placed_at from orders order by placed_at"))
    # Ten o'clock in New York is 15:00 UTC: the till's time, whenever it came.
    assert [at.astimezone(UTC).strftime("%H:%M") for (at,) in placed] == ["15:01", "15:02", "15:03", "15:04", "15:05"]
    happened = db.transaction(
        lambda tx: tx.query(
            "select occurred_at::date::text, count(*) from events where type = 'order.created' group by 1"
        )
    )
    assert happened == [("2026-03-02", 5)]


def test_the_centre_knows_what_waits_at_an_edge_and_takes_no_clock_from_it(
    make_edge: MakeEdge, centre: str, db: Database
) -> None:
    edge = make_edge(centre, name="S12", key=TILL_KEY, system="pos", forward={"in_flight": 1})
    edge.start()
    for number in range(5):
        body = {"sku": "TENT", "node": "S12", "delta": 1, "ref": f"r{number}", "occurred_at": "2026-03-02T10:00:00Z"}
        edge.post("/v1/actions/stock.adjust", body, stream="till")
    until(lambda: edge.status()["waiting"] == 0, "it does not drain")

    def report() -> list[tuple[object, ...]]:
        return db.transaction(
            lambda tx: tx.query("select system, edge, waiting, oldest_at is not null, part from edges")
        )

    until(report, "the centre did not note it", 5)
    assert [row[:4] for row in report()] == [("pos", "S12", 0, True)]
    assert report()[0][4] == part_of("pos/S12")
    assert edge.status()["dead"] == 0, edge.status()["dead_letters"]
    assert db.transaction(lambda tx: tx.query("select * from clock_lags")) == []


def test_a_header_that_is_no_edge_s_is_left_alone(centre: str, db: Database) -> None:
    body = {"sku": "TENT", "node": "S12", "delta": 1}
    with httpx.Client(base_url=centre, headers={"X-API-Key": TILL_KEY}, timeout=30, trust_env=False) as direct:
        for number, said in enumerate(
            ["", "S12", "S12; waiting=-1", "S12; waiting=" + "9" * 30, "; waiting=1", "a b; waiting=1"]
        ):
            answer = direct.post(
                "/v1/actions/stock.adjust", json={**body, "ref": f"r{number}"}, headers={"Interlock-Edge": said}
            )
            assert answer.status_code == 200, answer.text
        direct.post(
            "/v1/actions/stock.adjust",
            json={**body, "ref": "last"},
            headers={"Interlock-Edge": 'S12; waiting=7; queued="some day"'},
        )

    def rows() -> list[tuple[object, ...]]:
        return db.transaction(lambda tx: tx.query("select edge, waiting, oldest_at from edges"))

    until(rows, "it was not noted", 5)
    assert rows() == [("S12", 7, None)]


def test_the_workers_of_a_running_service_tell_of_a_hole_by_themselves(centre: str, app: App, db: Database) -> None:
    with (
        app.services(workers=1, folders=False, delivery=False),
        httpx.Client(base_url=centre, headers={"X-API-Key": TILL_KEY}, timeout=30, trust_env=False) as direct,
    ):
        said = direct.post(
            "/v1/in/pos/tills",
            content=poslog(sale(1), sale(4), control(5, "BusinessEOD")),
            headers={"Content-Type": "application/xml"},
        )
        assert said.status_code == 200, said.text

        def told() -> list[tuple[object, ...]]:
            return db.transaction(lambda tx: tx.query("select exception_id from exceptions where reason = 'pos_gap'"))

        until(told, "nobody was told", 30)
    assert told() == [("pos_gap/3/2026-03-02",)]
