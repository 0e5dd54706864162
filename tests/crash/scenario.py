"""One crash run: load over HTTP and files, kills at random moments, a quiet time, then everything is compared.

report = run(folder, seed, SHORT)
assert report.violations == []
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

import msgspec

from interlock.bootstrap import App, Settings, open_app
from interlock.operations.audit import audit
from tests.crash.clients import Caller, Shopper, look_up, stock_up
from tests.crash.droppers import Dropper, counts, sales
from tests.crash.estate import COUNTS, SALES, write_estate
from tests.crash.journal import Journal
from tests.crash.killers import POSTGRES_KILLS, SERVICE_KILLS, Killer, Kind, Plan, Postgres, Program, Victims
from tests.crash.ledger_of_truth import disagreements
from tests.crash.warehouse import Warehouse
from tests.engine.truths import rows

SHOPPERS = 8
KILLS_WAIT_S = 240.0
REST_WAIT_S = 120.0
REST_LOOKS = 2
"""So many times in a row the database must look the same before it is at rest."""

SHORT = Plan(
    service=("serve", "serve", "serve", "starter", "helper", "work", "everything"),
    postgres=("postmaster", "postmaster", "backend", "backend"),
)
"""For every test run: seven kills of the service and five of PostgreSQL, one of them of both."""

_LONG_SERVICE: tuple[Kind, ...] = ("serve", "serve", "starter", "helper", "work", "everything")
_LONG_POSTGRES: tuple[Kind, ...] = ("postmaster", "backend", "backend")
LONG = Plan(
    service=_LONG_SERVICE * 5,
    postgres=_LONG_POSTGRES * 6,
    service_pause_s=(0.2, 3.0),
    postgres_pause_s=(0.5, 6.0),
)
"""One round of a soak: a minute or two of load, with thirty kills of the service and some twenty of PostgreSQL."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in a run. `violations` are sentences; there must be none."""

    seed: int
    seconds: float
    kills: dict[str, int]
    starts_in_vain: int
    orders: int
    requests: int
    answers_lost: int
    gave_up: int
    files: int
    told: int
    told_again: int
    outcomes: dict[str, int]
    violations: list[str]

    @property
    def service_kills(self) -> int:
        """Kills of a process of `serve` or `work`."""
        return sum(self.kills.get(kind, 0) for kind in SERVICE_KILLS)

    @property
    def postgres_kills(self) -> int:
        """Kills of the postmaster or one of its children."""
        return sum(self.kills.get(kind, 0) for kind in POSTGRES_KILLS)

    def line(self) -> str:
        """The run in one line."""
        kills = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kills.items()))
        outcomes = ", ".join(f"{count} {word}" for word, count in sorted(self.outcomes.items()))
        return (
            f"seed {self.seed}: {self.seconds:.0f} s, kills: {kills}; {self.orders} orders, {self.requests} requests,"
            f" {self.answers_lost} answers lost, {self.gave_up} gave up, {self.files} files, {self.told} told"
            f" ({self.told_again} again); {outcomes}; {len(self.violations)} violations"
        )


def run(folder: Path, seed: int, plan: Plan) -> Report:
    """Play one run in an empty folder. What goes wrong is in the report; the senders' journal lies in journal.ndjson."""
    begun = time.monotonic()
    journal = Journal()
    warehouse = Warehouse(seed, journal)
    try:
        settings = Settings(estate=write_estate(folder, warehouse.port), data_dir=folder / "data")
        with _programs(settings, folder) as (victims, port):
            stage = _Stage(folder, seed, port, journal, warehouse)
            stage.open()
            kills = _kill_all(victims, plan, seed, journal)
            stage.close()
            outcomes, orders = _compare(settings, victims, stage)
        vain = victims.serve.starts_in_vain + victims.work.starts_in_vain
    finally:
        warehouse.close()
        journal.write(folder / "journal.ndjson")
    return Report(
        seed=seed,
        seconds=time.monotonic() - begun,
        kills=dict(kills),
        starts_in_vain=vain,
        orders=orders,
        requests=sum(request.sent for request in journal.requests),
        answers_lost=sum(request.lost for request in journal.requests),
        gave_up=sum(request.gave_up for request in journal.requests),
        files=sum(len(dropper.dropped) for dropper in stage.droppers),
        told=len(warehouse.bodies),
        told_again=warehouse.seen_again,
        outcomes=outcomes,
        violations=journal.violations,
    )


class _Stage:
    """Everybody who sends something, from the first order to the last."""

    def __init__(self, folder: Path, seed: int, port: int, journal: Journal, warehouse: Warehouse) -> None:
        self.folder, self.seed, self.port, self.journal, self.warehouse = folder, seed, port, journal, warehouse
        self._stop = threading.Event()
        self.shoppers = [Shopper(number, seed, port, journal, self._stop) for number in range(1, SHOPPERS + 1)]
        self.droppers = [
            Dropper("pos", folder, sales, seed, journal, self._stop),
            Dropper("backoffice", folder, counts, seed, journal, self._stop),
        ]

    def open(self) -> None:
        """Tell the stock, then let everybody begin."""
        stock_up(self.port, self.seed, self.journal)
        self.warehouse.work_on(self.port)
        for thread in (*self.shoppers, *self.droppers):
            thread.start()

    def close(self) -> None:
        """Nobody begins anything new; what was begun is brought to its end."""
        self._stop.set()
        for thread in (*self.shoppers, *self.droppers):
            thread.join()

    def ask_for_the_unknown(self) -> None:
        """Those who gave up ask what became of their orders; those who were told to wait send the same once more."""
        callers = {system: Caller(self.port, system, Random(self.seed)) for system in ("webshop", "warehouse")}
        for request in self.journal.requests:
            if request.gave_up and request.action == "order.create":
                look_up(callers["webshop"], request)
            elif request.was_parked:
                callers[request.system].send(request, hang_up=0)
        for caller in callers.values():
            caller.close()


@contextmanager
def _programs(settings: Settings, folder: Path) -> Iterator[tuple[Victims, int]]:
    """`interlock serve --processes 2` and `interlock work` on a fresh data directory, up and working."""
    port = _free_port()
    where = ["--estate", str(settings.estate), "--data-dir", str(settings.data_dir)]
    interlock = [sys.executable, "-m", "interlock.cli"]
    serve = Program(
        [*interlock, "serve", "--port", str(port), "--processes", "2", *where],
        folder / "serve.log",
        "interlock serves",
        partial(_is_ready, port),
    )
    work = Program([*interlock, "work", "--folders", *where], folder / "work.log", "interlock works", lambda: True)
    victims = Victims(serve, work, Postgres(settings.data_dir))
    try:
        serve.start()
        serve.wait_up()
        work.start()
        work.wait_up()
        yield victims, port
    finally:
        for program in (serve, work):
            if program.is_alive:
                program.kill()
        victims.postgres.kill_all()


def _kill_all(victims: Victims, plan: Plan, seed: int, journal: Journal) -> Counter[str]:
    """Both killers at once, each through its own list; gives what was killed how often."""
    killers = [
        Killer("service", plan.service, plan.service_pause_s, seed, victims.kill_service),
        Killer("postgres", plan.postgres, plan.postgres_pause_s, seed, victims.kill_postgres),
    ]
    for killer in killers:
        killer.start()
    kills: Counter[str] = Counter()
    for killer in killers:
        killer.join(KILLS_WAIT_S)
        if killer.is_alive():
            journal.violations.append(f"{killer.name} was not done after {KILLS_WAIT_S:.0f} s")
        if killer.trouble:
            journal.violations.append(f"{killer.name}: {killer.trouble}")
        kills += killer.done
    return kills


def _compare(settings: Settings, victims: Victims, stage: _Stage) -> tuple[dict[str, int], int]:
    """Wait until everything has come to rest, stop the service in order, and compare. Gives outcomes and orders."""
    journal = stage.journal
    try:
        for program in (victims.serve, victims.work):
            program.wait_up()
        with open_app(settings) as interlock:
            _wait_for_rest(interlock, stage)
            stage.ask_for_the_unknown()
            for program in (victims.work, victims.serve):
                program.stop()
            dropped = [file for dropper in stage.droppers for file in dropper.dropped]
            journal.violations += disagreements(interlock.db, journal, dropped, stage.folder, stage.warehouse)
            findings = audit(interlock.db, estate=interlock.estate, now=datetime.now(UTC))
            journal.violations += [f"audit: {f.name}: {f.count} rows: {f.rows[:3]}" for f in findings if not f.holds]
            outcomes = dict(rows(interlock.db, "select outcome, count(*) from messages group by 1"))
            (orders,) = rows(interlock.db, "select count(*) from orders")[0]
            return {str(word): int(count) for word, count in outcomes.items()}, int(orders)
    except AssertionError as error:
        journal.violations.append(str(error))
        return {}, 0


def _wait_for_rest(interlock: App, stage: _Stage) -> None:
    """Return when nothing is under way any more. Raises AssertionError, with what still is, if that takes too long."""
    until, before, same = time.monotonic() + REST_WAIT_S, _Rest(), 0
    while same < REST_LOOKS:
        look = _look(interlock, stage)
        same = same + 1 if look == before and look.is_still else 0
        before = look
        assert time.monotonic() < until, f"not at rest after {REST_WAIT_S:.0f} s: {look}"
        time.sleep(0.2)
    stage.warehouse.finish()


class _Rest(NamedTuple):
    """What is under way, and how much there is."""

    messages: int = 0
    orders: int = 0
    to_tell: int = 0
    files: int = 0
    in_warehouse: int = 0
    rows: int = 0

    @property
    def is_still(self) -> bool:
        """Whether nothing is under way."""
        return not any(self[:-1])


def _look(interlock: App, stage: _Stage) -> _Rest:
    messages, orders, to_tell, there = rows(
        interlock.db,
        "select (select count(*) from messages where outcome is null),"
        " (select count(*) from orders where wake_at <= now()),"
        " (select count(*) from outbox where state = 'waiting'),"
        " (select count(*) from messages) + (select count(*) from events)",
    )[0]
    places = [stage.folder / exchange / taken for exchange in (SALES, COUNTS) for taken in ("", ".taken")]
    files = sum(not path.is_dir() for place in places if place.exists() for path in place.iterdir())
    return _Rest(messages, orders, to_tell, files, stage.warehouse.in_hand, there)


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
