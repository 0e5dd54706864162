"""Folding history: what cannot have happened is our own mistake, and is said so."""

from __future__ import annotations

import pytest

from interlock.domain.events import AnyEvent, OrderClosed, OrderCreated, UnitsShipped
from interlock.domain.evolve import evolve, fold
from tests.domain.worlds import EAST, NOW, ORDER, SHIRT, Stage, create, units


def history() -> list[AnyEvent]:
    stage = Stage({(SHIRT, EAST): 2})
    return list(stage.does(create((SHIRT, 2))).events)


def test_a_history_counts_its_events() -> None:
    events = history()

    assert (fold(events).seq, fold(events[:1]).seq) == (len(events), 1)


def test_a_history_must_begin_with_the_order() -> None:
    with pytest.raises(ValueError, match=r"^order\.closed comes before order\.created$"):
        fold([OrderClosed(at=NOW)])
    with pytest.raises(ValueError, match="^there is no event to fold$"):
        fold([])


def test_an_order_is_created_once() -> None:
    events = history()
    assert isinstance(events[0], OrderCreated)

    with pytest.raises(ValueError, match="^shop:1 is created twice$"):
        evolve(fold(events), events[0])


def test_more_units_than_an_assignment_holds_cannot_have_moved() -> None:
    shipped = UnitsShipped(shipment_no=1, assignment_no=1, ref="s", at=NOW, units=units((1, 3)))

    with pytest.raises(ValueError, match=f"^{ORDER} line 1: 1 more units to shipped than assignment 1 holds$"):
        evolve(fold(history()), shipped)
