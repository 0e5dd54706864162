"""Who may decide what: a refusal of the sender is shown to a person, and leaves the key free for the rightful one."""

from __future__ import annotations

import msgspec
import pytest

from interlock.domain.authority import INTERLOCK
from interlock.domain.commands import AdjustStock, AnyCommand, AuthorizeOrder, CountStock, HoldReservation, IssueRefund
from interlock.domain.decide import UNRECORDED
from interlock.domain.estate import Estate
from interlock.domain.values import NodeId, OrderId, SystemId
from tests.domain.worlds import (
    EAST,
    EAST_WMS,
    OFFICE,
    ORDER,
    SHIRT,
    SHOP,
    STORE,
    TILL,
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
    system,
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


@pytest.mark.parametrize(
    ("command", "by", "explanation"),
    [
        (create((SHIRT, 1)), TILL, "orders of channel web are told by shop, not by till"),
        (create((SHIRT, 1), order_id=OrderId("till:1"), channel="till", fulfillment="carry_out", pickup_node=STORE), SHOP,
         "orders of channel till are told by till, not by shop"),
        (CountStock(sku=SHIRT, node=EAST, ref="c", counted=9), WEST_WMS,
         "the stock of node east is told by wms-east, not by wms-west"),
        (AdjustStock(sku=SHIRT, node=EAST, ref="a", delta=-1), TILL,
         "the stock of node east is told by wms-east, not by till"),
    ],
)  # fmt: skip
def test_the_orders_of_a_channel_and_the_stock_of_a_node_are_told_by_their_own_system(
    command: AnyCommand, by: SystemId, explanation: str
) -> None:
    stage = Stage({(SHIRT, EAST): 1})

    decision = stage.send(command, by)

    assert (decision.outcome, decision.reason) == ("refused", "wrong_source")
    assert decision.explanation == explanation
    assert troubles(decision) == [("wrong_source", command.action)]
    assert (stage.world.orders, stage.stock(SHIRT, EAST)) == ({}, (1, 0, 0))


@pytest.mark.parametrize(
    ("command", "by"),
    [
        (create((SHIRT, 1)), SHOP),
        (CountStock(sku=SHIRT, node=EAST, ref="c", counted=9), EAST_WMS),
        (AdjustStock(sku=SHIRT, node=EAST, ref="a", delta=-1), EAST_WMS),
        (CountStock(sku=SHIRT, node=STORE, ref="c", counted=9), TILL),
    ],
)
def test_a_channel_s_and_a_node_s_own_system_is_believed(command: AnyCommand, by: SystemId) -> None:
    Stage({(SHIRT, EAST): 1}).does(command, by)


@pytest.mark.parametrize("kind", ["backoffice", "erp", "replenishment", "edi"])
@pytest.mark.parametrize(
    "command",
    [
        create((SHIRT, 1)),
        CountStock(sku=SHIRT, node=EAST, ref="c", counted=9),
        AdjustStock(sku=SHIRT, node=EAST, ref="a", delta=-1),
    ],
)
def test_systems_whose_trade_it_is_tell_of_every_channel_and_node(command: AnyCommand, kind: str) -> None:
    Stage({(SHIRT, EAST): 1}, estate=with_other(kind)).does(command, OTHER)


@pytest.mark.parametrize("kind", ["pos", "wms", "marketplace", "webshop", "returns", "3pl"])
def test_systems_of_all_other_kinds_do_not(kind: str) -> None:
    stage = Stage({(SHIRT, EAST): 1}, estate=with_other(kind))

    assert stage.refuses(create((SHIRT, 1)), OTHER) == "wrong_source"
    assert stage.refuses(CountStock(sku=SHIRT, node=EAST, ref="c", counted=9), OTHER) == "wrong_source"


OTHER = SystemId("other")


def with_other(kind: str) -> Estate:
    """The estate with a further system of this kind, which may decide every fact, and whose channel or node nothing is."""
    estate = make_estate()
    other = system(OFFICE, id=OTHER, kind=kind)
    return msgspec.structs.replace(estate, systems=estate.systems | {OTHER: other})


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (create((SHIRT, 1), channel="fax"), "unknown_channel"),
        (CountStock(sku=SHIRT, node=NodeId("moon"), ref="c", counted=1), "unknown_node"),
    ],
)
def test_what_the_estate_does_not_have_is_nobody_s_and_refused_as_such(command: AnyCommand, reason: str) -> None:
    assert Stage().refuses(command, TILL) == reason


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
    assert {"unknown_system", "no_authority", "wrong_source", "too_many_parked"} == UNRECORDED


def test_a_refusal_of_the_request_opens_no_exception() -> None:
    stage = Stage()

    decision = stage.send(create((SHIRT, 1), channel="fax"))

    assert (decision.reason, decision.troubles) == ("unknown_channel", [])
