"""The matrix of disorders, cell by cell, on the real engine; and its page.

All cells are played in one database, each with an order and SKUs of its own, step by step side by side; in the end the audit
reads what all of them have left.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from interlock.connectors.mapping import Mapper, MappingFailed
from interlock.connectors.receive import receive
from interlock.domain import commands, disorder
from interlock.domain.commands import COMMANDS, AnyCommand, CountStock, CreateOrder, OrderCommand
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.disorder import DISORDERS, Cell, cell
from interlock.domain.estate import FACTS, Estate
from interlock.domain.values import NodeId, SystemId
from interlock.engine.door import Door
from interlock.operations.audit import audit
from interlock.storage.database import Database
from tests.builders import arrival, make_estate, make_system, order
from tests.engine.disorder_cases import CASES, Case, Goods, Said
from tests.engine.test_parking import work
from tests.engine.truths import check_database, rows

PAGE = Path(__file__).resolve().parents[2] / "docs" / "disorder.md"
YEAR = timedelta(days=365)
CONTROL = "as it should be"


def make_disorder_estate() -> Estate:
    """The small estate, and three more: one that may only observe, one that numbers, one that times its updates."""
    estate = make_estate()
    more = (
        make_system("watcher", "erp", observes=FACTS),
        make_system("numbers", "erp", updates="numbered"),
        make_system("clock", "erp", updates="timed"),
    )
    return msgspec.structs.replace(estate, systems=estate.systems | {system.id: system for system in more})


ESTATE = make_disorder_estate()


class Play(msgspec.Struct):
    """One cell: what is said before, one step after the other; the moment of the disorder, whose last arrival is the one that
    is judged; what must go on afterwards; and what is sent again after a downtime.
    """

    goods: Goods
    before: list[Arrival]
    moment: list[Arrival]
    after: list[Arrival] = []
    again: bool = False

    @property
    def judged(self) -> UUID:
        """The disordered message."""
        return self.moment[-1].message_id


def said(pairs: list[Said]) -> list[Arrival]:
    """What was said, as it arrived."""
    return [arrival(command, system) for command, system in pairs]


def twice_at_once(g: Goods, case: Case) -> Play:
    return Play(g, said(case.due.said), said([(case.due.command, case.by)] * 2))


def twice_after_days(g: Goods, case: Case) -> Play:
    first, again = said([(case.due.command, case.by)] * 2)
    days_ago = datetime.now(UTC) - timedelta(days=9)
    before = [msgspec.structs.replace(a, received_at=days_ago) for a in [*said(case.due.said), first]]
    return Play(g, before, [again])


def same_key_other_payload(g: Goods, case: Case) -> Play:
    return Play(g, [*said(case.due.said), arrival(case.due.command, case.by)], [arrival(case.other, case.by)])


def before_its_precondition(g: Goods, case: Case) -> Play:
    return Play(g, said(case.early.said), [arrival(case.early.command, case.by)])


def after_the_state_moved_on(g: Goods, case: Case) -> Play:
    return Play(g, said(case.late.said), [arrival(case.late.command, case.by)])


def older_version(g: Goods, case: Case) -> Play:
    newer, older = (
        msgspec.structs.replace(command, version=version)
        for command, version in ((case.another, 7), (case.due.command, 6))
    )
    return Play(g, [*said(case.due.said), arrival(newer, "numbers")], [arrival(older, "numbers")])


def after_close(g: Goods, case: Case) -> Play:
    return Play(g, said(case.closed.said), [arrival(case.closed.command, case.by)])


def half_of_it(g: Goods, case: Case) -> Play:
    return Play(g, said(case.half.said), [arrival(case.half.command, case.by)])


def cut_off(g: Goods, case: Case) -> Play:
    body = msgspec.json.encode(case.wire)
    system = ESTATE.systems[SystemId(case.by)]
    return Play(
        g, said(case.due.said), [receive(Mapper(ESTATE), system, case.due.command.action, body[: len(body) // 2])]
    )


def unknown_order(g: Goods, case: Case) -> Play:
    return Play(g, [], [arrival(case.due.command, case.by)])


def wrong_source(g: Goods, case: Case) -> Play:
    refused = cell(case.due.command.action, "wrong_source").outcome == "refused"
    rightly = [arrival(case.due.command, case.by)] if refused else []  # the key is free for it
    return Play(g, said(case.due.said), [arrival(case.due.command, "pos")], rightly)


def no_authority(g: Goods, case: Case) -> Play:
    return Play(g, said(case.due.said), [arrival(case.due.command, "watcher")], [arrival(case.due.command, case.by)])


def clock_ahead(g: Goods, case: Case) -> Play:
    ahead = at(case.due.command, datetime.now(UTC) + YEAR)
    follow = [arrival(at(next_of(g, case), datetime.now(UTC) + timedelta(minutes=5)), "clock")]
    return Play(g, said(case.due.said), [arrival(ahead, "clock")], follow)


def clock_behind(g: Goods, case: Case) -> Play:
    right = [arrival(at(case.another, datetime.now(UTC)), "clock")] if states_a_whole(case.due.command) else []
    return Play(g, [*said(case.due.said), *right], [arrival(at(case.due.command, datetime.now(UTC) - YEAR), "clock")])


def resent_after_downtime(g: Goods, case: Case) -> Play:
    before = [*said(case.due.said), arrival(case.due.command, case.by)]
    return Play(
        g, before, [msgspec.structs.replace(a, message_id=arrival(None).message_id) for a in before], again=True
    )


def same_fact_two_message_ids(g: Goods, case: Case) -> Play:
    one, two = (arrival(case.due.command, case.by, source_message_id=f"{g.name} {n}") for n in (1, 2))
    return Play(g, [*said(case.due.said), one], [two])


def same_message_id_two_systems(g: Goods, case: Case) -> Play:
    sale = order(
        f"{g.name} stranger",
        ["no such thing"],
        channel="stores",
        fulfillment="carry_out",
        pickup_node=NodeId("store1"),
    )
    stranger = arrival(sale, "pos", source_message_id=g.name)
    mine = arrival(case.due.command, case.by, source_message_id=g.name)
    return Play(g, [*said(case.due.said), stranger], [mine])


def as_it_should_be(g: Goods, case: Case) -> Play:
    """No disorder at all: what the others are held against."""
    return Play(g, said(case.due.said), [arrival(case.due.command, case.by)])


BUILDERS: dict[str, Callable[[Goods, Case], Play]] = {
    builder.__name__: builder
    for builder in (
        twice_at_once,
        twice_after_days,
        same_key_other_payload,
        before_its_precondition,
        after_the_state_moved_on,
        older_version,
        after_close,
        half_of_it,
        cut_off,
        unknown_order,
        wrong_source,
        no_authority,
        clock_ahead,
        clock_behind,
        resent_after_downtime,
        same_fact_two_message_ids,
        same_message_id_two_systems,
    )
}
PROCESSED = Cell("processed", "it is as it should be")
NOTHING = (0, 0)


def at(command: AnyCommand, when: datetime) -> AnyCommand:
    """The command, as happened then."""
    return msgspec.structs.replace(command, occurred_at=when)


def states_a_whole(command: AnyCommand) -> bool:
    """Whether versions count for it."""
    return isinstance(command, CreateOrder | CountStock)


def next_of(g: Goods, case: Case) -> AnyCommand:
    """What the same source says next: of a whole the next statement, of all else something about the same subject."""
    command = case.due.command
    if isinstance(command, CreateOrder):
        fewer = msgspec.structs.replace(command.lines[0], quantity=3)
        return msgspec.structs.replace(command, lines=(fewer, *command.lines[1:]))
    if isinstance(command, CountStock):
        return case.other
    return (
        g.of(commands.AuthorizeOrder, ref="next", amount=1) if isinstance(command, OrderCommand) else g.adjust("next")
    )


def test_every_cell_of_the_matrix_comes_out_as_it_says(db: Database) -> None:
    plays = {
        (action, name): build(goods := Goods(f"{action} {name}"), CASES[action](goods))
        for action in COMMANDS
        for name, build in [*BUILDERS.items(), (CONTROL, as_it_should_be)]
    }
    side_by_side(Door(db, ESTATE).process, [play.before for play in plays.values()])
    before = effects(db)

    door = Door(db, ESTATE)  # as a process that has just been started: it has seen nothing of all this
    moment = door.process([each for play in plays.values() if not play.again for each in play.moment])
    resent = [play.moment for play in plays.values() if play.again]
    side_by_side(door.accept, resent)
    work(door)
    outcomes = {outcome.message_id: outcome for outcome in moment}
    outcomes.update(kept_outcomes(db, [each.message_id for some in resent for each in some]))
    now = effects(db)

    played = {at: outcomes[play.judged] for at, play in plays.items()}
    assert {at: shown(outcome) for at, outcome in played.items()} == {at: expected(*at) for at in plays}
    assert {outcomes[each.message_id].outcome for some in resent for each in some} == {"duplicate"}
    added = {at: more(before, now, play.goods.name) for at, play in plays.items()}
    assert {at for at, effect in added.items() if effect == NOTHING} == {
        at for at, outcome in played.items() if outcome.outcome != "processed" and at[1] != "twice_at_once"
    }
    assert {a: added[a, "twice_at_once"] for a in COMMANDS} == {a: added[a, CONTROL] for a in COMMANDS}

    after = {at: play.after for at, play in plays.items() if play.after}
    went_on = door.process([play[0] for play in after.values()])
    assert {at: outcome.outcome for at, outcome in zip(after, went_on, strict=True)} == dict.fromkeys(
        after, "processed"
    )
    check_database(db, ESTATE)
    findings = audit(db, estate=ESTATE, now=datetime.now(UTC))
    assert {f.name: f.rows for f in findings if not f.holds} == {}


def side_by_side(say: Callable[[list[Arrival]], object], stories: list[list[Arrival]]) -> None:
    """The first message of every story, then the second of every story, and so on."""
    for step in zip_longest(*stories):
        say([each for each in step if each is not None])


def expected(action: str, name: str) -> tuple[str, str]:
    """What the matrix says, as `shown` shows it: what waits for its order names it."""
    wanted = PROCESSED if name == CONTROL else cell(action, name)
    the_order = Goods(f"{action} {name}").order_id if wanted.outcome == "parked" else ""
    return wanted.outcome, wanted.code or the_order


def shown(outcome: Outcome) -> tuple[str, str]:
    """The outcome with its code: what it waits for, or the reason of what was refused or stale."""
    if outcome.outcome == "parked":
        return outcome.outcome, outcome.waits_for
    if outcome.outcome not in ("stale", "refused"):
        return outcome.outcome, ""
    return outcome.outcome, msgspec.json.decode(bytes(outcome.answer)).get("reason", "")


def kept_outcomes(db: Database, ids: list[UUID]) -> dict[UUID, Outcome]:
    """What a worker has made of messages."""
    found = rows(db, "select message_id, outcome from messages where message_id = any(%(ids)s)", ids=ids)
    return {message_id: Outcome(message_id=message_id, outcome=word) for message_id, word in found}


def effects(db: Database) -> dict[str, tuple[int, int]]:
    """By case: how many events its order has, and how many movements its SKUs."""
    events = dict(rows(db, "select substr(order_id, 5), count(*) from events group by 1"))
    moved = dict(rows(db, "select regexp_replace(sku, ' [AB]$', ''), count(*) from movements group by 1"))
    return {name: (events.get(name, 0), moved.get(name, 0)) for name in events.keys() | moved.keys()}


def more(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]], name: str) -> tuple[int, int]:
    """Events and movements that a case has got since."""
    (events, moved), (events_now, moved_now) = before.get(name, NOTHING), after.get(name, NOTHING)
    return events_now - events, moved_now - moved


@pytest.mark.parametrize("action", COMMANDS)
def test_a_body_is_read_whole_or_not_at_all_wherever_it_is_cut(action: str) -> None:
    goods = Goods(f"{action} cut")
    case = CASES[action](goods)
    mapper, system = Mapper(ESTATE), ESTATE.systems[SystemId(case.by)]
    body = msgspec.json.encode(case.wire)

    assert mapper.read(system, action, body).subject == case.due.command.subject
    for length in range(len(body)):
        with pytest.raises(MappingFailed):
            mapper.read(system, action, body[:length])


def test_the_matrix_has_a_case_for_every_action_and_a_play_for_every_disorder() -> None:
    assert sorted(CASES) == sorted(COMMANDS)
    assert list(BUILDERS) == list(DISORDERS)
    assert len(CASES) * len(BUILDERS) == 323


def test_every_exception_of_the_matrix_differs_from_its_default_and_names_an_action() -> None:
    for name, row in DISORDERS.items():
        assert row.others.keys() <= COMMANDS.keys(), name
        for action, other in row.others.items():
            assert other != row.default, (name, action)
            assert (other.code == "") or other.outcome in ("parked", "refused", "stale"), (name, action)


@pytest.mark.parametrize(("action", "name"), [("order.beam", "cut_off"), ("order.create", "struck_by_lightning")])
def test_what_is_not_in_the_matrix_is_an_error(action: str, name: str) -> None:
    with pytest.raises(KeyError):
        cell(action, name)


def test_the_page_shows_the_matrix_as_it_is() -> None:
    between = re.search(r"<!-- the table begins.*?-->\n(.*)<!-- the table ends -->", PAGE.read_text(), flags=re.DOTALL)

    assert between is not None
    assert between[1].strip() == disorder.as_markdown().strip(), "run scripts/write_pages.py"


def test_the_table_of_the_page_has_a_cell_for_every_action_and_disorder() -> None:
    table = [line for line in disorder.as_markdown().splitlines() if line.startswith("| `")][: len(COMMANDS)]

    assert [line.split("`")[1] for line in table] == list(COMMANDS)
    assert {line.count(" | ") for line in table} == {len(DISORDERS)}
