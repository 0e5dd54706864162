"""The table of the lifecycle: whole, true to its page, and obeyed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from interlock.domain import lifecycle
from interlock.domain.commands import COMMANDS, AnyCommand, AssignmentCommand, ReleaseShipment, StockCommand
from interlock.domain.decide import DECIDERS
from interlock.domain.errors import Refusal
from interlock.domain.lifecycle import ARRIVALS, ASSIGNMENT_STANDINGS, ORDER_STANDINGS
from interlock.domain.model import State
from tests.domain.worlds import (
    EAST,
    SHIRT,
    Stage,
    acknowledge,
    cancel,
    confirm,
    create,
    make_estate,
    pack,
    reject,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "lifecycle.md"


def test_the_page_shows_the_table_as_it_is() -> None:
    page = PAGE.read_text()
    between = re.search(r"<!-- the table begins.*?-->\n(.*)<!-- the table ends -->", page, flags=re.DOTALL)

    assert between is not None
    assert between[1].strip() == lifecycle.as_markdown().strip(), "run scripts/write_pages.py"


def test_every_action_is_decided_somewhere_and_has_a_row_for_every_standing() -> None:
    assert list(DECIDERS.keys() ^ COMMANDS.keys()) == []
    for action, kind in COMMANDS.items():
        if issubclass(kind, StockCommand):
            assert action not in ARRIVALS
        elif issubclass(kind, AssignmentCommand):
            assert tuple(ARRIVALS[action]) == ASSIGNMENT_STANDINGS
        else:
            assert tuple(ARRIVALS[action]) == ORDER_STANDINGS


def test_every_state_of_an_order_is_a_standing() -> None:
    assert ("unknown", *State) == ORDER_STANDINGS


def test_only_an_order_s_creation_does_not_wait_for_the_order() -> None:
    unknown = {action: table["unknown"].verdict for action, table in ARRIVALS.items()}

    assert unknown.pop("order.create") == "accept"
    assert set(unknown.values()) == {"park"}


def test_every_refusal_has_a_code_what_parks_a_token_and_every_verdict_but_accept_says_why() -> None:
    for action, table in ARRIVALS.items():
        for standing, rule in table.items():
            named = rule.verdict == "refuse" or (rule.verdict == "park" and standing != "unknown")
            assert (rule.reason != "") == named, (action, standing)  # what is unknown waits for the order itself
            assert rule.because or rule.verdict == "accept", (action, standing)


def test_goods_that_moved_are_never_refused_for_how_far_we_thought_they_were() -> None:
    verdicts = {rule.verdict for standing, rule in ARRIVALS["shipment.confirm"].items() if standing != "no assignment"}

    assert verdicts == {"park", "accept"}


def test_a_row_that_refuses_raises_with_its_code() -> None:
    with pytest.raises(Refusal) as refused:
        lifecycle.verdict("order.cancel", "shipped")

    assert refused.value.reason == "too_late"
    assert refused.value.explanation == "order.cancel on shipped: the goods have left: authorize a return instead"


STEPS: dict[str, AnyCommand] = {
    "create": create((SHIRT, 2)),
    "release": ReleaseShipment(order_id="shop:1", ref="go"),
    "acknowledge": acknowledge(),
    "pack": pack(),
    "confirm": confirm(ref="s1"),
    "confirm 2": confirm((1, 2), ref="s1"),
    "confirm again": confirm((1, 2), ref="s2"),
    "reject": reject(),
    "cancel": cancel(),
}

AFTERNOONS = {
    "the confirmation overtakes the acknowledgment": """
        create         processed  allocated  -
        release        processed  released   -
        confirm        processed  shipped    -
        acknowledge    stale      shipped    -
        confirm again  stale      shipped    over_shipped
        cancel         refused    shipped    -
    """,
    "everything as it should be": """
        cancel         parked     -          -
        create         processed  allocated  -
        acknowledge    parked     allocated  -
        release        processed  released   -
        acknowledge    processed  released   -
        pack           processed  packed     -
        cancel         refused    packed     -
        confirm        processed  shipped    -
        release        stale      shipped    -
        pack           stale      shipped    -
        reject         stale      shipped    -
    """,
    "the node ships what was canceled": """
        create         processed  allocated  -
        release        processed  released   -
        cancel         processed  canceled   -
        cancel         stale      canceled   -
        release        refused    canceled   -
        pack           refused    canceled   -
        reject         stale      canceled   -
        acknowledge    stale      canceled   -
        confirm 2      processed  shipped    shipped_after_cancel
    """,
    "nobody told the node": """
        create         processed  allocated  -
        pack           processed  packed     -
        confirm        processed  shipped    -
        release        stale      shipped    -
    """,
    "the goods leave before the release": """
        create         processed  allocated  -
        confirm        processed  shipped    shipped_without_release
        release        stale      shipped    -
        acknowledge    stale      shipped    -
    """,
    "the node cannot": """
        create         processed  allocated  -
        release        processed  released   -
        reject         processed  authorized -
        pack           refused    authorized -
        release        parked     authorized -
        confirm 2      stale      authorized over_shipped
        cancel         processed  canceled   -
    """,
}
"""What is said, what comes of it, how the order stands then, and which exception a person gets."""


@pytest.mark.parametrize("name", AFTERNOONS)
def test_an_afternoon_goes_as_the_table_says(name: str) -> None:
    stage = Stage({(SHIRT, EAST): 2}, estate=make_estate(channel={"release": "by_command"}))
    for row in AFTERNOONS[name].strip().splitlines():
        step, outcome, state, trouble = re.split(r"\s{2,}|(?<=authorized) ", row.strip())

        decision = stage.send(STEPS[step])

        stands = str(stage.order.state) if stage.world.orders else "-"
        reasons = ", ".join(t.reason for t in decision.troubles) or "-"
        assert [step, decision.outcome, stands, reasons] == [step, outcome, state, trouble], row
