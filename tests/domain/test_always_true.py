"""Whatever happens, in whatever order: units are conserved, counts agree, history folds, refusals leave no trace."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.domain import commands, events
from interlock.domain.commands import COMMANDS, AnyCommand, ReleaseShipment
from interlock.domain.estate import Estate
from interlock.domain.values import Quantity
from tests.domain.worlds import (
    EAST,
    OFFICE,
    ORDER,
    SHIRT,
    SHOES,
    STORE,
    WEST,
    Stage,
    acknowledge,
    check_units,
    confirm,
    counts,
    create,
    make_estate,
    pack,
)
from tests.strategies import stories, values_of

STOCK = {(SHIRT, EAST): 4, (SHIRT, WEST): 3, (SHOES, WEST): 2, (SHOES, STORE): 2}
ESTATES = {
    "as it comes": make_estate(),
    "by command, canceling": make_estate(channel={"release": "by_command"}, policy={"unfillable": "cancel"}),
    "at once, one node": make_estate(channel={"release": "at_once"}, policy={"split_max": 1, "exclusion_s": 0.0}),
    "complete, little capacity": make_estate(policy={"complete": True}, capacities={EAST: 1, WEST: 1}),
}


@settings(max_examples=400, deadline=None)
@given(estate=st.sampled_from(list(ESTATES.values())), story=stories())
def test_whatever_happens_units_stock_and_money_agree(estate: Estate, story: list[AnyCommand]) -> None:
    stage = Stage(STOCK, estate=estate)
    causes: set[tuple[str, str, str]] = set()
    for command in story:
        decision = stage.send(command, OFFICE)  # which proves that refusals leave no trace and that history folds
        check_units(stage.world.orders.values(), stage.world.positions)
        for movement in decision.movements:
            cause = (movement.sku, movement.node, movement.cause)
            assert cause not in causes
            causes.add(cause)
            if movement.kind == "reserve":
                assert stage.world.position(movement.sku, movement.node).sellable >= 0
        for event in decision.events:
            assert events.decode(events.encode(event)) == event


@settings(max_examples=150, deadline=None)
@given(story=stories(12))
def test_the_same_story_is_decided_the_same_way_twice(story: list[AnyCommand]) -> None:
    first, second = Stage(STOCK), Stage(STOCK)
    for command in story:
        assert first.send(command) == second.send(command)


NODE_MESSAGES = (
    ReleaseShipment(order_id=ORDER, ref="go"),
    acknowledge(1),
    pack(number=1),
    confirm(number=1),
    acknowledge(2),
    pack((2, 1), number=2),
    confirm((2, 1), number=2),
)


@settings(max_examples=200, deadline=None)
@given(messages=st.permutations(NODE_MESSAGES))
def test_nodes_may_tell_their_story_in_any_order(messages: list[AnyCommand]) -> None:
    stage = Stage({(SHIRT, EAST): 2, (SHOES, WEST): 1}, estate=make_estate(channel={"release": "by_command"}))
    stage.does(create((SHIRT, 2), (SHOES, 1)))
    for message in messages:
        stage.send(message)

    ends: list[dict[str, Quantity]] = [counts(line) for line in stage.order.lines.values()]
    assert ends == [{"shipped": 2}, {"shipped": 1}]
    assert [counts(r) for r in stage.order.reservations.values()] == ends
    assert [stage.stock(SHIRT, EAST), stage.stock(SHOES, WEST)] == [(0, 0, 0), (0, 0, 0)]
    assert len(stage.order.shipments) == 2
    assert all(a.acknowledged_at for a in stage.order.assignments.values())


@settings(max_examples=300, deadline=None)
@given(st.one_of([values_of(kind) for kind in COMMANDS.values()]))
def test_every_command_survives_its_encoding(command: AnyCommand) -> None:
    again = commands.decode(commands.encode(command))

    assert again == command
    assert type(again) is type(command)
    assert commands.encode(again) == commands.encode(command)
    assert commands.payload_hash(again) == commands.payload_hash(command)


@settings(max_examples=300, deadline=None)
@given(st.one_of([values_of(kind) for kind in events.AnyEvent.__args__]))
def test_every_event_survives_its_encoding(event: events.AnyEvent) -> None:
    again = events.decode(events.encode(event))

    assert again == event
    assert type(again) is type(event)
    assert events.encode(again) == events.encode(event)
