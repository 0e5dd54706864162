"""The run: an estate opens, trades for some days while things go wrong, falls quiet, and comes to rest.

    result = simulate(Plan(seed=1, days=30, profile="storm"), memory)

The same plan gives the same result, byte for byte, in any process. A run that ends in a violation says so in its result.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec

from interlock.domain.estate import Estate
from interlock.domain.values import NodeId, OrderId, Quantity, SystemId
from interlock.simulation.memory import MemoryInterlock
from interlock.simulation.port import InterlockPort, Violation
from interlock.simulation.retail.agenda import DAY, HOUR, MINUTE, START, Agenda, chance_of, moment
from interlock.simulation.retail.auditor import Auditor
from interlock.simulation.retail.books import books_of
from interlock.simulation.retail.estate import MARKET, POS, THREEPL, WEB, WMS, Goods, make_estate
from interlock.simulation.retail.floors import PACES, Floor
from interlock.simulation.retail.office import Forger, Office
from interlock.simulation.retail.post import Post
from interlock.simulation.retail.profiles import PROFILES
from interlock.simulation.retail.result import Result
from interlock.simulation.retail.returns import Returns
from interlock.simulation.retail.running import WAKE_EVERY_S, Running, Violated
from interlock.simulation.retail.shops import Sale, Shop
from interlock.simulation.retail.tills import Replenishment, Tills
from interlock.simulation.retail.trace import PortFactory, Trace

QUIET_DAYS = 18
"""From the last order until all is at rest: goods come back for up to twelve days."""
QUIET_POLL_S = 50 * MINUTE
"""How often nodes look for work once it is quiet."""
ORDERS_A_DAY = 1_250

Progress = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to simulate. `orders_a_day` are those of the web shop and the marketplace; the tills sell a third more."""

    seed: int
    days: float = 30.0
    profile: str = "storm"
    orders_a_day: int = ORDERS_A_DAY


def memory(estate: Estate, _: datetime) -> InterlockPort:
    """Interlock in memory."""
    return MemoryInterlock(estate)


def simulate(
    plan: Plan, port_factory: PortFactory = memory, *, record: bool = False, progress: Progress | None = None
) -> Result:
    """Run the plan. With `record`, the result has the trace, from which it can be run again without the actors."""
    world = Simulation(plan, port_factory, record=record)
    began = time.perf_counter()
    with _few_collections():
        violations = world.run(progress)
    seconds = time.perf_counter() - began
    running = world.running
    books = books_of(world.port)
    states: dict[str, int] = {}
    for order in books.orders.values():
        states[str(order.state)] = states.get(str(order.state), 0) + 1
    reasons: dict[str, int] = {}
    for _, exception in books.exceptions:
        reason = exception.partition("/")[0]
        reasons[reason] = reasons.get(reason, 0) + 1
    return Result(
        plan=msgspec.to_builtins(plan),
        messages=running.messages,
        batches=running.batches,
        seconds=seconds,
        faults=dict(sorted(world.post.faults.items())),
        outcomes=running.outcomes(),
        orders=dict(sorted(states.items())),
        exceptions=dict(sorted(reasons.items())),
        violations=tuple(violations),
        digest=world.port.digest(),
        trace=None
        if running.steps is None
        else Trace(estate=world.estate, start=START, steps=running.steps, rested=world.rested),
    )


class Simulation:
    """Everything wired together."""

    def __init__(self, plan: Plan, port_factory: PortFactory, *, record: bool) -> None:
        seed, orders = plan.seed, plan.orders_a_day
        self.plan = plan
        self.profile = PROFILES[plan.profile]
        self.estate = make_estate(capacity=max(5, orders // 4))
        self.port = port_factory(self.estate, START)
        self.agenda = Agenda()
        self.post = Post(self.agenda, self.profile, seed, self.estate.systems)
        self.running = Running(self.port, self.agenda, self.post, Auditor(self.estate), seed, record=record)
        self.goods = Goods(seed, skus=max(12, min(240, orders // 5)))
        self.sales: dict[OrderId, Sale] = {}
        self.office = Office(self.agenda, self.post, self.goods, seed, acts_a_day=max(20.0, orders * 0.1))
        self.returns = Returns(self.agenda, self.post, seed, self.sales)
        self.shops = [
            Shop(WEB, self.agenda, self.post, self.goods, seed, orders - orders * 2 // 5, self._sold),
            Shop(MARKET, self.agenda, self.post, self.goods, seed, orders * 2 // 5, self._sold),
        ]
        self.tills = Tills(self.agenda, self.post, self.goods, seed, orders // 3)
        self.replenishment = Replenishment(self.agenda, self.post, self.goods, seed, orders * 2.0, self.tills.shelves)
        self.floors = {name: Floor(name, self.agenda, self.post, seed, self._left) for name in (WMS, THREEPL, POS)}
        self.post.forge = Forger(self.agenda, self.post, seed).forge
        self.die = chance_of(seed, "weather")
        self.ends = plan.days * DAY
        self.rested = False

    def run(self, progress: Progress | None = None) -> list[Violation]:
        """Trade, fall quiet, and rest; gives what was violated, and stops there."""
        try:
            self.run_until(self.ends, progress)
            self._fall_quiet()
            self._go_on_until(self.ends + QUIET_DAYS * DAY, progress)
            for letter in list(self.post.parked.values()):
                self.post.ask_again(letter)
            self._go_on_until(self.ends + (QUIET_DAYS + 2) * DAY, progress)
            self.rested = True
            return self._at_rest()
        except Violated as violated:
            return list(violated.violations)

    def run_until(self, end: float, progress: Progress | None = None) -> None:
        """Open, and trade until this time. Raises Violated."""
        self._open()
        self._go_on_until(end, progress)

    def _open(self) -> None:
        agenda = self.agenda
        self.replenishment.open(self.ends)
        self.tills.open(self.ends)
        for shop in self.shops:
            shop.open(self.ends)
        self.office.open(self.ends)
        for name, floor in self.floors.items():
            self.running.heard[name] = floor.hear
            agenda.after(PACES[name].poll_s, self._poll, name)
        agenda.after(WAKE_EVERY_S, self._wake)
        agenda.at(0.0, self._weather, 0.0)

    def _go_on_until(self, end: float, progress: Progress | None) -> None:
        agenda, day = self.agenda, -1
        while agenda.next_at() <= end:
            agenda.step()
            if progress is not None and int(agenda.now / DAY) != day:
                day = int(agenda.now / DAY)
                progress(f"day {day + 1}: {self.running.messages:,} messages")
        agenda.now = end

    def _at_rest(self) -> list[Violation]:
        now, running = moment(self.agenda.now), self.running
        unheard = [
            Violation(
                "nothing_vanishes",
                letter.command.subject,
                f"{letter.command.action} of {letter.system} has no answer",
            )
            for letter in self.post.open.values()
        ]
        return [*unheard, *self.port.check_all(now), *self.port.check_rest(now), *running.auditor.rest(self.port)]

    # What happens by itself

    def _poll(self, receiver: SystemId) -> None:
        wait = QUIET_POLL_S if self.post.quiet else PACES[receiver].poll_s
        while self.running.tell(receiver, wait) and self.post.quiet:
            pass
        self.agenda.after(wait, self._poll, receiver)

    def _wake(self, _: Any) -> None:
        self.running.wake()
        self.agenda.after(WAKE_EVERY_S, self._wake)

    def _weather(self, _: Any) -> None:
        """What goes wrong with whole systems in the day that begins."""
        profile, die, agenda = self.profile, self.die, self.agenda
        if agenda.now >= self.ends:
            return
        agenda.after(DAY, self._weather)
        for system in self.estate.systems:
            if die.random() < profile.outages_a_day:
                agenda.after(die.random() * DAY, self._outage, system)
            if die.random() < profile.replays_a_day:
                agenda.after(die.random() * DAY, self._replay, system)
            if die.random() < profile.skews_a_day:
                agenda.after(die.random() * DAY, self._skew, system)
        for _ in range(int(profile.restarts_a_day + die.random())):
            agenda.after(die.random() * DAY, self.running.restart_database)

    def _outage(self, system: SystemId) -> None:
        if not self.post.quiet and not self.post.roads[system].down:
            self.post.count("outage")
            self.post.go_away(system)
            self.agenda.after(self.die.uniform(1.0, 12.0) * HOUR, self._reconnect, system)

    def _reconnect(self, system: SystemId) -> None:
        if self.post.roads[system].down:
            self.post.come_back(system)

    def _replay(self, system: SystemId) -> None:
        if not self.post.quiet and self.post.roads[system].recent:
            self.post.count("replay_history")
            self.post.replay_hour(system)

    def _skew(self, system: SystemId) -> None:
        if not self.post.quiet:
            self.post.roads[system].skew = self.die.uniform(-3.0, 3.0) * HOUR

    def _fall_quiet(self) -> None:
        self.post.quiet = True
        for system in self.estate.systems:
            self.post.roads[system].skew = 0.0
            self._reconnect(system)

    # What actors hear of each other

    def _sold(self, sale: Sale) -> None:
        self.sales[sale.order_id] = sale
        self.office.lately.append(sale)

    def _left(self, order_id: OrderId, node: NodeId, units: dict[int, Quantity]) -> None:
        self.returns.left(order_id, node, units)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Nearly everything made here is kept to the end, and looking at all of it again and again finds nothing."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
