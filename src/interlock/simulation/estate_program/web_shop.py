"""The web shop: posts its orders one by one, with everything that real shops and customers do to them."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import msgspec

from interlock.simulation.estate_program.chance import Fate, Profile, fate_of, share
from interlock.simulation.estate_program.floor import Floor, listed
from interlock.simulation.estate_program.interlock_api import Answer, Bulk, Caller
from interlock.simulation.estate_program.plan import Night, Plan
from interlock.simulation.estate_program.returns_desk import ReturnsDesk

OK = (200, 201)
REFUSABLE = (200, 422)
"""A cancellation may come too late, which is no surprise."""
PARKABLE = (200, 202)
SCOPE = "webshop"


class Sold(msgspec.Struct):
    """What the shop remembers of an order: price and open units by line, its fate, and what its last answer said."""

    lines: dict[int, tuple[int, Decimal]]
    open_units: int
    fate: Fate
    returned: bool = False


class WebShop:
    """Posts with a bounded number of requests; `sold` holds every order that was accepted, by its number."""

    def __init__(
        self,
        plan: Plan,
        profile: Profile,
        caller: Caller,
        bulk: Bulk,
        floor: Floor,
        desk: ReturnsDesk,
        concurrency: int,
    ) -> None:
        self.sold: dict[str, Sold] = {}
        self._plan = plan
        self._profile = profile
        self._caller = caller
        self._bulk = bulk
        self._floor = floor
        self._desk = desk
        self._concurrency = concurrency
        floor.on_shipped = self.shipped

    async def post_night(self, night: Night) -> None:
        """All orders of a day, in their order but `concurrency` at a time."""
        orders = self._plan.web_orders(night)

        async def work() -> None:
            for order in orders:
                await self._take(order)

        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(work())

    async def _take(self, order: dict[str, Any]) -> None:
        """One order, from the customer's click on: its payment, its repetitions, its cancellation."""
        number, total = order["order_id"], order["total"]
        fate = fate_of(self._profile, self._plan.seed, number)
        lines = {line["line_no"]: (line["quantity"], Decimal(line["unit_price"])) for line in order["lines"]}
        self.sold[number] = Sold(lines, sum(quantity for quantity, _ in lines.values()), fate)
        if fate.payment == "with_order":
            order = {**order, "payment": {"authorized": total}}
        if fate.cancel == "early":
            await self._cancel(number, fate, PARKABLE, "before its order")
        if fate.payment == "early":
            self._count("authorizations sent before their order")
            await self._authorize(number, total, PARKABLE)
        await self._create(order, fate)
        if fate.payment == "later":
            self._count("authorizations sent apart")
            await self._authorize(number, total, REFUSABLE if fate.cancel == "early" else OK)
        if fate.cancel and fate.cancel != "early":
            await self._cancel(number, fate, REFUSABLE, "before release" if fate.cancel == "unpaid" else "at once")

    async def _create(self, order: dict[str, Any], fate: Fate) -> None:
        """Post the order; post it again where it is fated to be, and once with other content."""
        number = order["order_id"]
        key = f"create-{number}"
        self._count("orders posted")
        self._count("lines posted", len(order["lines"]))
        self._count("units posted", sum(line["quantity"] for line in order["lines"]))
        if fate.twin == "at_once":
            first = self._caller.post("order.create", order, key=key)
            answers = list(await asyncio.gather(first, self._caller.post("order.create", order, key=key)))
        else:
            answers = [await self._caller.post("order.create", order, key=key)]
            if fate.twin:
                answers.append(await self._caller.post("order.create", order, key=key))
        if any(answer.accepted for answer in answers):
            self._count("orders accepted")
        if fate.twin:
            self._count("duplicates sent on purpose")
            self._count("duplicates answered as the first", all(answer.accepted for answer in answers))
        if fate.conflict:
            lines = [{**line, "quantity": line["quantity"] + 1} for line in order["lines"]]
            changed = {name: value for name, value in order.items() if name != "total"} | {"lines": lines}
            self._count("conflicts sent on purpose")
            answer = await self._caller.post("order.create", changed, key=f"changed-{number}", expected=(409,))
            self._count("conflicts answered as such", answer.status == 409)

    def _count(self, deed: str, times: int = 1) -> None:
        self._floor.journal.count("webshop", deed, times)

    async def _authorize(self, number: str, total: str, expected: tuple[int, ...]) -> None:
        body = {"order": number, "ref": f"AUTH-{number}", "amount": total}
        await self._caller.post("order.authorize", body, key=f"auth-{number}", expected=expected)

    async def _cancel(self, number: str, fate: Fate, expected: tuple[int, ...], when: str) -> None:
        """Cancel all, the last line, or one unit of the first line."""
        sold = self.sold[number]
        body: dict[str, Any] = {"order": number, "ref": f"CAN-{number}", "reason": "customer changed their mind"}
        units = sold.open_units
        if fate.cancel == "line":
            line_no, (units, _) = max(sold.lines.items())
            body["lines"] = [{"line_no": line_no, "quantity": units}]
        elif fate.cancel == "units":
            units = 1
            body["lines"] = [{"line_no": min(sold.lines), "quantity": 1}]
        self._count(f"cancellations sent: {fate.cancel}, {when}")
        answer = await self._caller.post("order.cancel", body, key=f"cancel-{number}", expected=expected)
        if answer.accepted:
            sold.open_units -= units

    async def shipped(self, order: str, ref: str, node: str, lines: dict[int, Any]) -> None:
        """Goods of an order left: capture their price, and let some of them come back."""
        scope, _, number = order.partition(":")
        sold = self.sold.get(number)
        if scope != SCOPE or sold is None:
            return  # paid at the till
        sold.open_units -= sum(lines.values())
        amount = sum((quantity * sold.lines[line_no][1] for line_no, quantity in lines.items()), Decimal(0))
        if amount:
            self._count("captures asked")
            body = {"order": number, "ref": f"CAP-{ref}", "amount": f"{amount:f}"}
            captured = await self._bulk.submit("order.capture", body)
            if not captured.accepted:
                return
        if sold.fate.returned and not sold.returned:
            sold.returned = True
            await self._return(number, sold, ref, node, lines)

    async def _return(self, number: str, sold: Sold, ref: str, node: str, lines: dict[int, Any]) -> None:
        """Up to two units of the shipment's first line come back, and their price goes back."""
        line_no = min(lines)
        units = {line_no: min(lines[line_no], 2)}
        amount = units[line_no] * sold.lines[line_no][1]
        if not amount or not await self._desk.take_back(f"{SCOPE}:{number}", ref, node, units):
            return
        if share(self._plan.seed, "greedy", number) < self._profile.greedy_refund:
            self._count("refunds above what was captured asked on purpose")
            await self._refund(number, "MUCH-", amount + 100_000, units, (422,))
        self._count("refunds asked")
        answer = await self._refund(number, "", amount, units, OK)
        self._count("refunds accepted", answer.accepted)

    async def _refund(
        self, number: str, mark: str, amount: Decimal, units: dict[int, Any], expected: tuple[int, ...]
    ) -> Answer:
        body = {"order": number, "ref": f"REF-{mark}{number}", "amount": f"{amount:f}", "lines": listed(units)}
        return await self._caller.post("refund.issue", body, expected=expected)

    async def make_wrong_calls(self) -> None:
        """Calls that must be refused: unreadable orders, each with three mistakes."""
        for place in range(self._profile.wrong_calls):
            body = {
                "order_id": f"BAD-{place}", "channel": "wen", "currency": "USD", "placed_at": "2017-07-01T10:00:00Z",
                "colour": "red", "lines": [{"sku": "1", "quantity": "two"}],
                "destination": {"country": "US"},
            }  # fmt: skip
            self._count("unreadable orders sent on purpose")
            await self._caller.post("order.create", body, key=f"bad-{place}", expected=(400,))
