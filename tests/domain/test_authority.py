"""Who may decide what: a refusal of the sender is shown to a person, and leaves the key free for the rightful one."""

from __future__ import annotations

import pytest

from interlock.domain.authority import INTERLOCK
from interlock.domain.commands import AnyCommand, AuthorizeOrder, CountStock, HoldReservation, IssueRefund
from interlock.domain.decide import UNRECORDED
from interlock.domain.values import SystemId
from tests.domain.worlds import (
    EAST,
    EAST_WMS,
    OFFICE,
    ORDER,
    SHIRT,
    SHOP,
    WATCHER,
    WEST_WMS,
    Stage,
    acknowledge,
    cancel,
    confirm,
    create,
    make_estate,
    pack,
    reject,
    troubles,
)


def test_a_system_that_the_estate_does_not_have_may_do_nothing() -> None:
    stage = Stage({(SHIRT, EAST): 1})

    decision = stage.send(create((SHIRT, 1)), by=SystemId("nobody"))

    assert (decision.outcome, decision.reason) == ("refused", "unknown_system")
    assert troubles(decision) == [("unknown_system", "order.create")]
    assert stage.world.orders == {}


@pytest.mark.parametrize(
    ("command", "by"),
    [
        (create((SHIRT, 1)), EAST_WMS),
        (cancel(), EAST_WMS),
        (AuthorizeOrder(order_id=ORDER, ref="a", amount=1), EAST_WMS),  # type: ignore[arg-type]
        (confirm(), SHOP),
        (CountStock(sku=SHIRT, node=EAST, ref="c", counted=1), SHOP),
        (IssueRefund(order_id=ORDER, ref="r", amount=1), SHOP),  # type: ignore[arg-type]
        (create((SHIRT, 1)), WATCHER),
    ],
)
def test_a_system_that_only_observes_a_fact_cannot_change_it(command: AnyCommand, by: SystemId) -> None:
    stage = Stage({(SHIRT, EAST): 1})

    decision = stage.send(command, by)

    assert (decision.outcome, decision.reason) == ("refused", "no_authority")
    assert decision.explanation == (f"systems.{by}.authority.{command.fact} is observe: {by} may not {command.action}")
    assert troubles(decision) == [("no_authority", command.action)]


@pytest.mark.parametrize("command", [acknowledge(), pack(), confirm(), reject()])
def test_only_the_node_s_own_system_speaks_for_its_assignment(command: AnyCommand) -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))

    decision = stage.send(command, by=WEST_WMS)

    assert (decision.outcome, decision.reason) == ("refused", "wrong_source")
    assert decision.explanation == ("shop:1/1 is at node east, for which wms-east speaks, not wms-west")
    stage.does(command, by=EAST_WMS)


def test_the_back_office_and_interlock_itself_speak_for_every_node() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))

    stage.does(acknowledge(), by=OFFICE)
    stage.does(confirm(), by=INTERLOCK)


def test_interlock_itself_may_decide_every_fact() -> None:
    stage = Stage(estate=make_estate())
    stage.does(create((SHIRT, 2)))

    stage.does(HoldReservation(order_id=ORDER, ref="wake/1"), by=INTERLOCK)


def test_authority_comes_before_the_lifecycle() -> None:
    assert Stage().send(cancel(), by=EAST_WMS).reason == "no_authority"  # not parked


def test_refusals_of_the_sender_are_those_that_leave_the_key_free() -> None:
    assert {"unknown_system", "no_authority", "wrong_source"} == UNRECORDED


def test_a_refusal_of_the_request_opens_no_exception() -> None:
    stage = Stage()

    decision = stage.send(create((SHIRT, 1), channel="fax"))

    assert (decision.reason, decision.troubles) == ("unknown_channel", [])
