"""refund.issue."""

from __future__ import annotations

from decimal import Decimal

import pytest

from interlock.domain.commands import CaptureOrder, IssueRefund, NewLine, Received, ReceiveReturn
from interlock.domain.decide.refunds import worth_of
from interlock.domain.events import RefundIssued
from interlock.domain.model import State
from interlock.domain.values import Quantity
from tests.domain.worlds import (
    EAST,
    ORDER,
    RETURNS,
    SHIRT,
    SHOES,
    Stage,
    cancel,
    confirm,
    create,
    kinds,
    units,
)


def refund(amount: str, *pairs: tuple[int, Quantity], ref: str = "r-1") -> IssueRefund:
    return IssueRefund(order_id=ORDER, ref=ref, amount=Decimal(amount), lines=units(*pairs))


def canceled(quantity: int = 2, *, of: int = 3, captured: str = "30") -> Stage:
    """An order of three shirts, paid for, of which some were canceled."""
    stage = Stage({(SHIRT, EAST): of})
    stage.does(create((SHIRT, of), captured=Decimal(captured)))
    stage.does(cancel((1, quantity)))
    return stage


def test_canceled_units_are_refunded_up_to_what_they_cost() -> None:
    stage = canceled(2)
    assert stage.refuses(refund("20.01", (1, 2))) == "over_refunded"

    decision = stage.does(refund("20.00", (1, 2)), by=RETURNS)

    assert decision.events == [RefundIssued(ref="r-1", amount=Decimal("20.00"), units=units((1, 2)))]
    assert (stage.order.payment.refunded, stage.line().refunded) == (Decimal(20), 2)


def test_a_refund_that_names_no_line_is_for_all_units_that_wait_for_one() -> None:
    stage = canceled(2)
    stage.does(refund("10", (1, 1)))

    decision = stage.does(refund("10", ref="r-2"))

    assert decision.events == [RefundIssued(ref="r-2", amount=Decimal(10), units=units((1, 1)))]
    assert stage.parks(refund("1", ref="r-3")) == "return"  # the third shirt may still come back


def test_units_are_refunded_once() -> None:
    stage = canceled(2)
    stage.does(refund("1.00", (1, 2)))

    assert stage.refuses(refund("1.00", (1, 2), ref="r-2")) == "not_returned"


def test_an_order_of_which_every_unit_was_refunded_has_nothing_to_refund() -> None:
    stage = canceled(3)
    stage.does(refund("1.00", (1, 3)))

    assert stage.refuses(refund("1.00", ref="r-2")) == "nothing_to_refund"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (refund("10", (9, 1)), "no_line"),
        (refund("10", (1, 4)), "not_returned"),
        (refund("10", (1, 2), (1, 2)), "not_returned"),
        (refund("10.01", (1, 1)), "over_refunded"),
    ],
)
def test_a_refund_that_has_no_ground_is_refused(command: IssueRefund, reason: str) -> None:
    assert canceled(2).refuses(command) == reason


def test_no_more_is_refunded_than_was_captured() -> None:
    stage = canceled(3, captured="5")

    assert stage.parks(refund("5.01", (1, 3))) == "capture"
    stage.does(refund("5.00", (1, 3)))
    assert stage.order.payment.refunded == stage.order.payment.captured == Decimal(5)


def test_a_refund_of_more_than_could_ever_be_captured_is_refused() -> None:
    stage = canceled(2, captured="5")

    assert stage.refuses(refund("30.01", (1, 2))) == "over_refunded"  # 30 are authorized
    assert stage.parks(refund("20.01", (1, 2))) == "capture"
    stage.does(CaptureOrder(order_id=ORDER, ref="p", amount=Decimal(25)))
    assert stage.refuses(refund("20.01", (1, 2))) == "over_refunded"  # the units are worth 20


def test_a_refund_of_units_that_could_still_come_back_waits_for_their_return() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2), captured=Decimal(20)))
    assert stage.parks(refund("1")) == "return"
    stage.does(confirm())
    assert stage.parks(refund("10", (1, 1))) == "return"

    stage.does(
        ReceiveReturn(order_id=ORDER, ref="b", node=EAST, lines=(Received(line_no=1, quantity=1),)),
    )
    assert kinds(stage.does(refund("10", (1, 1)))) == ["refund.issued"]


def test_returned_units_are_refunded_whatever_their_state_was() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2), captured=Decimal(20)))
    stage.does(confirm())
    stage.does(
        ReceiveReturn(order_id=ORDER, ref="b", node=EAST, lines=(Received(line_no=1, quantity=2, disposition="scrap"),))
    )
    assert stage.order.state == State.RETURNED

    assert kinds(stage.does(refund("20"))) == ["refund.issued"]
    assert stage.order.state == State.REFUNDED


def test_units_are_worth_their_price_with_their_share_of_tax_and_shipping_rounded_up() -> None:
    stage = Stage({(SHIRT, EAST): 3, (SHOES, EAST): 1})
    lines = (
        NewLine(line_no=1, sku=SHIRT, quantity=3, unit_price=Decimal("10")),
        NewLine(line_no=2, sku=SHOES, quantity=1, unit_price=Decimal("70")),
    )
    stage.does(create((SHIRT, 3), lines=lines, total=Decimal("110"), tax=Decimal(7), shipping=Decimal(3)))

    assert worth_of(stage.order, {1: 1}) == Decimal("11.00")
    assert worth_of(stage.order, {1: 3, 2: 1}) == Decimal("110.00")
    stage.order.total = Decimal("110.01")
    assert worth_of(stage.order, {1: 1}) == Decimal("11.01")  # 11.001, and never less than it cost


def test_units_without_a_price_are_worth_what_the_order_costs() -> None:
    stage = Stage({(SHIRT, EAST): 1})
    free = (NewLine(line_no=1, sku=SHIRT, quantity=1),)
    stage.does(create((SHIRT, 1), lines=free, total=Decimal("4.95"), shipping=Decimal("4.95")))

    assert worth_of(stage.order, {1: 1}) == Decimal("4.95")
