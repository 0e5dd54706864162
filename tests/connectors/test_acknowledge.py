"""Functional acknowledgments: ours for what came in, and theirs matched with what went out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlock.connectors.acknowledge import InterchangeBook
from interlock.connectors.formats.document import Interchange, Numbers
from interlock.connectors.formats.edifact import acknowledge as contrl_for
from interlock.connectors.formats.x12 import acknowledge as x12_for
from interlock.connectors.inlet import Inlet, Origin
from interlock.connectors.links import Links
from interlock.connectors.mapping import Mapper
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.estate import Contact, Duty, Estate, FolderOut, Limits, System
from interlock.domain.links import Acknowledge, Envelope, FolderIn, Format, HttpOut, LinkOut, Party
from interlock.domain.values import part_of
from interlock.storage import interchanges, outbox
from interlock.storage.database import Database
from tests.connectors.edi import (
    EDIFACT,
    OURS,
    THEIRS,
    WAREHOUSE_EDIFACT,
    WAREHOUSE_X12,
    X12,
    answers_of,
    envelope_of,
)
from tests.connectors.outgoing import DC, NOW, after, deliver, fill, http_receiver

# What the partner writes: the same addresses, the other way round.
PARTNER = Envelope(ours=THEIRS, theirs=OURS, version="004010")
ISA = "ISA*00*          *00*          *ZZ*WAREHOUSE      *ZZ*INTERLOCK      *260301*1200*U*00401*{:09}*0*P*>~"
GS = "GS*SW*WAREHOUSE*INTERLOCK*20260301*1200*{}*X*004010~"
SHIPPED = "ST*945*{:04}~W06*N*{}*20260301*S1~LX*1~MAN*GM*TRACK~W12*CC*1*1**EA**VN*SKU-1~W03*1*1*LB~SE*7*{:04}~"
READING: dict[str, Any] = {
    "format": ["x12", "edifact"],
    "records": [
        {"when": {"W06": {"exists": True}}, "action": "shipment.acknowledge", "fields": {"assignment": "W06.02"}},
        {"when": {"BGM": {"exists": True}}, "action": "shipment.acknowledge", "fields": {"assignment": "BGM.02"}},
    ],
}


class Door:
    """Takes everything."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []

    def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        self.arrivals += arrivals
        return [
            Outcome(message_id=each.message_id, outcome="processed" if each.command else "quarantined")
            for each in arrivals
        ]


def partner_estate(
    outbound: LinkOut | None, form: Format = X12, acknowledge: Acknowledge = "997", mapping: Any = WAREHOUSE_X12
) -> Estate:
    link = FolderIn(path="in", name="edi", format=form, mapping="reading", acknowledge=acknowledge)
    return Estate(
        retailer="Test",
        currency="USD",
        systems={
            DC: System(
                id=DC,
                name="DC",
                kind="wms",
                owner=Contact(team="dc", escalation="dc@example.test"),
                authority={"fulfillment": "decide"},
                time_zone="UTC",
                currency="USD",
                order_scope="w",
                inbound=(link,),
                outbound=outbound,
            )
        },
        nodes={},
        channels={},
        duties={"functional_ack_overdue": Duty(owner="edi", within_s=600)},
        mappings={"reading": READING, "warehouse": mapping},
    )


class Partner:
    """One trading partner and our way with it: `sends` brings bytes in, `gets` is what lies in its folder."""

    def __init__(self, db: Database, estate: Estate, folder: Path) -> None:
        self.db, self.estate, self.folder = db, estate, folder
        self.now = NOW
        self.door = Door()
        self.book = InterchangeBook(db, estate, clock=lambda: self.now)
        links = Links(estate, Mapper(estate), self.door, self.book.observers)
        system = estate.systems[DC]
        self.inlet: Inlet = links.inlet(system, system.inbound[0])

    def sends(self, body: bytes | str, name: str = "x.edi", now: datetime | None = None) -> Any:
        self.now = now or self.now
        raw = body.encode() if isinstance(body, str) else body
        return self.inlet.take([raw], Origin(name=name, received_at=self.now))

    def is_told(self, now: datetime | None = None) -> list[bytes]:
        """What delivery puts into its folder now."""
        before = set(self.folder.iterdir()) if self.folder.exists() else set()
        deliver(self.db, self.estate, now or self.now)
        after_it = set(self.folder.iterdir()) if self.folder.exists() else set()
        return [path.read_bytes() for path in sorted(after_it - before)]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.db.transaction(lambda tx: tx.query(sql))

    def states(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "select direction, kind, control, state from interchanges order by made_at, direction, control"
        )

    def ours(self) -> list[str]:
        """The states of the messages that went out."""
        rows = self.rows("select state from interchanges where direction = 'out' and kind = 'messages' order by number")
        return [state for (state,) in rows]

    def troubles(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "select subject, exception_id, closed_at is null from exceptions order by subject, exception_id"
        )


@pytest.fixture
def partner(db: Database, tmp_path: Path) -> Partner:
    folder = tmp_path / "out"
    out = FolderOut(
        path=str(folder), format=X12, mapping="warehouse", acknowledged_by="997", acknowledged_within_s=3600
    )
    return Partner(db, partner_estate(out), folder)


def shipped(control: int, *assignments: str, group: int | None = None) -> str:
    sets = "".join(SHIPPED.format(n, each, n) for n, each in enumerate(assignments, start=1))
    number = group or control
    return ISA.format(control) + GS.format(number) + sets + f"GE*{len(assignments)}*{number}~IEA*1*{control:09}~"


def acknowledged(body: bytes, number: int = 501, spoiled: Sequence[int] = ()) -> bytes:
    """The partner's 997 for what it got; sets at the places of `spoiled` are rejected."""
    got = envelope_of(body, X12)
    return x12_for(spoil(got, spoiled), "997", PARTNER, Numbers(number, NOW, number))


def spoil(got: Interchange, places: Sequence[int]) -> Interchange:
    replace = msgspec.structs.replace
    (group,) = got.groups
    sets = tuple(
        replace(each, accepted=False, errors=(("W05", 2, 2, "7", "web"),)) if place in places else each
        for place, each in enumerate(group.sets)
    )
    return replace(got, groups=(replace(group, sets=sets),))


# What came in


def test_an_interchange_that_came_in_is_acknowledged_with_a_997(partner: Partner) -> None:
    partner.sends(shipped(7, "w:1/1", "w:2/1"))

    (body,) = partner.is_told()
    (answer,) = answers_of(body, X12)
    assert (answer.scope, answer.control, answer.code, answer.state) == ("group", "7", "SW", "accepted")
    assert envelope_of(body, X12).receiver == ("ZZ", "WAREHOUSE")
    assert partner.states() == [
        ("in", "messages", "000000007", "received"),
        ("out", "acknowledgment", "000000001", "sent"),
    ]
    assert partner.is_told() == []


def test_a_bad_set_is_rejected_in_the_997_and_its_neighbour_accepted(partner: Partner) -> None:
    good, bad = SHIPPED.format(1, "w:1/1", 1), SHIPPED.format(2, "w:2/1", 2).replace("SE*7", "SE*9")
    partner.sends(ISA.format(7) + GS.format(7) + good + bad + "GE*2*7~IEA*1*000000007~")

    (body,) = partner.is_told()
    (answer,) = answers_of(body, X12)
    assert answer.state == "partly"
    assert answer.sets == {"0001": "accepted", "0002": "rejected"}
    assert partner.rows("select sets, rejected, state from interchanges where direction = 'in'") == [(2, 1, "partly")]


def test_the_same_interchange_again_is_known_and_gets_the_same_acknowledgment_again(partner: Partner) -> None:
    partner.sends(shipped(7, "w:1/1"))
    (first,) = partner.is_told()
    for path in partner.folder.iterdir():
        path.unlink()

    partner.sends(shipped(7, "w:1/1"), name="again.edi", now=after(60))

    (again,) = partner.is_told()
    assert again == first
    assert partner.rows("select times from interchanges where direction = 'in'") == [(2,)]
    assert partner.troubles() == []


def test_a_control_number_that_is_used_for_something_else_is_work_for_a_person_and_both_are_taken(
    partner: Partner,
) -> None:
    partner.sends(shipped(7, "w:1/1"))
    partner.sends(shipped(7, "w:2/1"), name="other.edi", now=after(60))

    assert [each.command.order_id for each in partner.door.arrivals] == ["w:1", "w:2"]  # type: ignore[union-attr]
    assert partner.troubles() == [("dc", "control_number_reused/ZZ:WAREHOUSE/000000007", True)]
    assert len(partner.is_told()) == 2


def test_an_acknowledgment_is_never_acknowledged(partner: Partner, db: Database) -> None:
    fill(db, [("w:1", 5)], to=DC)
    (body,) = partner.is_told()

    partner.sends(acknowledged(body))

    assert partner.is_told() == []
    assert ("in", "acknowledgment", "000000501", "received") in partner.states()


def test_a_bad_envelope_is_told_by_a_ta1_as_well(partner: Partner) -> None:
    partner.sends(shipped(7, "w:1/1").replace("IEA*1*000000007", "IEA*1*000000008"))

    bodies = partner.is_told()
    answers = [answer for body in bodies for answer in answers_of(body, X12)]
    assert sorted((each.scope, each.code) for each in answers) == [("group", "SW"), ("interchange", "TA1")]


def test_edifact_is_acknowledged_with_a_contrl(db: Database, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    out = FolderOut(path=str(folder), format=EDIFACT, mapping="warehouse")
    partner = Partner(db, partner_estate(out, EDIFACT, "contrl", WAREHOUSE_EDIFACT), folder)

    partner.sends(
        "UNB+UNOC:3+WAREHOUSE:ZZ+INTERLOCK:ZZ+260301:1200+42'UNH+1+DESADV:D:96A:UN'BGM+351+w?:1/1+9'"
        "DTM+137:20260301:102'UNT+4+1'UNZ+1+42'"
    )

    (body,) = partner.is_told()
    (answer,) = answers_of(body, EDIFACT)
    assert (answer.scope, answer.control, answer.state) == ("interchange", "42", "accepted")


def test_an_acknowledgment_goes_by_whatever_transport_the_system_has_and_again_until_it_is_there(
    db: Database, tmp_path: Path
) -> None:
    with http_receiver() as receiver:
        receiver.answers = [(503, {}), (200, {})]
        partner = Partner(db, partner_estate(HttpOut(url=receiver.url)), tmp_path / "none")
        partner.sends(shipped(7, "w:1/1"))

        partner.is_told(after(0))
        assert receiver.got[0][2]["Content-Type"] == "application/edi-x12"
        partner.is_told(after(0.1))
        assert len(receiver.got) == 1
        partner.is_told(after(10))

        (first, again) = receiver.got
        assert first[:2] == again[:2]
        assert partner.states()[1][3] == "sent"


def test_an_acknowledgment_that_nobody_takes_is_work_for_a_person(db: Database, tmp_path: Path) -> None:
    partner = Partner(db, partner_estate(None), tmp_path / "none")
    partner.sends(shipped(7, "w:1/1"))

    partner.is_told()

    assert partner.troubles() == [("dc", "delivery_dead/acknowledgment/000000001", True)]
    assert partner.states()[1] == ("out", "acknowledgment", "000000001", "dead")


def test_an_acknowledgment_that_cannot_be_written_fails_nothing_else(db: Database, tmp_path: Path) -> None:
    broken = Format(kind="x12", envelope=Envelope(ours=Party(id="X" * 40), theirs=THEIRS))
    partner = Partner(db, partner_estate(FolderOut(path=str(tmp_path / "out")), broken), tmp_path / "out")

    taken = partner.sends(shipped(7, "w:1/1"))

    assert taken.outcomes["processed"] == 1
    assert partner.is_told() == []
    ((explanation,),) = partner.rows("select explanation from exceptions")
    assert "the 997 cannot be written" in explanation and "X" * 40 in explanation


# What went out


def test_what_went_out_is_accepted_by_a_997(partner: Partner, db: Database) -> None:
    fill(db, [("w:1", 5), ("w:2", 3)], to=DC)
    (body,) = partner.is_told()

    partner.sends(acknowledged(body), now=after(60))

    rows = partner.rows("select state, rejected, answered_at, contents from interchanges where direction = 'out'")
    assert rows[0][:3] == ("accepted", 0, after(60))
    assert [(each["message"], each["state"]) for each in rows[0][3]] == sorted(
        [("w:1/5/1", "accepted"), ("w:2/3/1", "accepted")], key=lambda pair: part_of(pair[0][:3])
    )
    assert partner.troubles() == []


def test_a_rejected_set_is_work_for_a_person_with_what_the_partner_said_and_its_neighbours_are_accepted(
    partner: Partner, db: Database
) -> None:
    fill(db, [("w:1", 5), ("w:2", 3)], to=DC)
    (body,) = partner.is_told()

    partner.sends(acknowledged(body, spoiled=[0]))

    ((state, contents),) = partner.rows("select state, contents from interchanges where direction = 'out'")
    assert state == "partly"
    guilty, other = contents
    assert (guilty["state"], other["state"]) == ("rejected", "accepted")
    assert partner.troubles() == [(guilty["subject"], f"interchange_rejected/{guilty['message']}", True)]
    ((explanation, system),) = partner.rows("select explanation, system from exceptions")
    assert system == "dc"
    assert "dc rejected" in explanation and "W05 at segment 2, element 2: error 7" in explanation


def test_what_was_rejected_goes_again_in_another_interchange_and_its_acceptance_closes_the_exception(
    partner: Partner, db: Database
) -> None:
    fill(db, [("w:1", 5), ("w:2", 3)], to=DC)
    (body,) = partner.is_told()
    partner.sends(acknowledged(body, spoiled=[0]))
    ((contents,),) = partner.rows("select contents from interchanges where direction = 'out'")
    guilty = contents[0]

    again = db.transaction(
        lambda tx: outbox.begin_again_many(tx, DC, [(guilty["subject"], guilty["message"])], now=after(60))
    )
    (second,) = partner.is_told(after(60))
    partner.sends(acknowledged(second, number=502), now=after(120))

    assert again == 1
    assert envelope_of(second, X12).control == "000000002"
    assert partner.troubles() == [(guilty["subject"], f"interchange_rejected/{guilty['message']}", False)]


def test_a_missing_acknowledgment_is_chased_once_and_the_exception_closes_by_itself_when_it_comes(
    partner: Partner, db: Database
) -> None:
    fill(db, [("w:1", 5)], to=DC)
    (body,) = partner.is_told()

    def chase(now: datetime) -> int:
        duty = partner.estate.duty("functional_ack_overdue")
        return db.transaction(lambda tx: interchanges.overdue_many(tx, part_of(DC), now, duty))

    assert [chase(after(s)) for s in (3599, 3601, 3700, 9999)] == [0, 1, 0, 0]
    assert partner.troubles() == [("dc", "functional_ack_overdue/000000001", True)]
    ((owner, due_at),) = partner.rows("select owner, due_at from exceptions")
    assert (owner, due_at) == ("edi", after(3601 + 600))

    partner.sends(acknowledged(body), now=after(10_000))

    ((closed_by, evidence),) = partner.rows("select closed_by, evidence from exceptions")
    assert (closed_by, evidence) == ("interlock", "dc answered in interchange 000000501: accepted")
    assert chase(after(20_000)) == 0


def test_without_an_acknowledgment_that_is_awaited_nothing_is_chased(db: Database, tmp_path: Path) -> None:
    out = FolderOut(path=str(tmp_path / "out"), format=X12, mapping="warehouse")
    partner = Partner(db, partner_estate(out), tmp_path / "out")
    fill(db, [("w:1", 5)], to=DC)
    partner.is_told()

    duty = partner.estate.duty("functional_ack_overdue")
    assert db.transaction(lambda tx: interchanges.overdue_many(tx, part_of(DC), after(10**6), duty)) == 0


def test_an_acknowledgment_of_what_was_never_sent_is_work_for_a_person(partner: Partner, db: Database) -> None:
    fill(db, [("w:1", 5)], to=DC)
    (body,) = partner.is_told()

    partner.sends(acknowledged(body.replace(b"*1200*1*X*", b"*1200*77*X*").replace(b"GE*1*1~", b"GE*1*77~")))

    assert partner.troubles() == [("dc", "unknown_acknowledgment/group/77", True)]
    assert partner.ours() == ["sent"]


def test_a_rejecting_ta1_rejects_all_sets_and_an_accepting_one_says_nothing_of_them(
    partner: Partner, db: Database
) -> None:
    fill(db, [("w:1", 5)], to=DC)
    (body,) = partner.is_told()
    ta1 = ISA.format(900) + "TA1*000000001*260301*1200*{}*{}~IEA*0*000000900~"

    partner.sends(ta1.format("A", "000"))
    assert partner.ours() == ["sent"]
    partner.sends(ta1.format("R", "006").replace("000000900", "000000901"))

    assert partner.ours() == ["rejected"]
    assert partner.troubles() == [("w:1", "interchange_rejected/w:1/5/1", True)]
    assert envelope_of(body, X12).control == "000000001"


def test_a_contrl_that_rejects_one_message_of_an_edifact_interchange_is_matched(db: Database, tmp_path: Path) -> None:
    replace = msgspec.structs.replace
    folder = tmp_path / "out"
    out = FolderOut(path=str(folder), format=EDIFACT, mapping="warehouse", acknowledged_by="contrl")
    partner = Partner(db, partner_estate(out, EDIFACT, "contrl", WAREHOUSE_EDIFACT), folder)
    fill(db, [("w:1", 5), ("w:2", 3)], to=DC)
    (body,) = partner.is_told()
    got = envelope_of(body, EDIFACT)
    (group,) = got.groups
    spoiled = replace(group.sets[1], accepted=False, errors=(("LIN", 5, 3, "12", "?"),))
    got = replace(got, groups=(replace(group, sets=(group.sets[0], spoiled)),))
    theirs = Envelope(ours=THEIRS, theirs=OURS, version="D96A")

    partner.sends(contrl_for(got, "contrl", theirs, Numbers(9, NOW, 9)))

    ((state, contents),) = partner.rows("select state, contents from interchanges where direction = 'out'")
    assert (state, [each["state"] for each in contents]) == ("partly", ["accepted", "rejected"])
    assert partner.troubles() == [(contents[1]["subject"], f"interchange_rejected/{contents[1]['message']}", True)]
    assert partner.is_told() == []


def test_a_lost_interchange_is_sent_again_byte_for_byte_and_its_clock_starts_anew(
    partner: Partner, db: Database
) -> None:
    fill(db, [("w:1", 5)], to=DC)
    (body,) = partner.is_told()
    for path in partner.folder.iterdir():
        path.unlink()

    found = db.transaction(lambda tx: interchanges.resend(tx, DC, 1, after(5000)))
    assert found is not None and (found["kind"], found["sets"]) == ("messages", 1)

    assert partner.is_told(after(5000)) == [body]
    ((state, answer_due_at),) = partner.rows("select state, answer_due_at from interchanges")
    assert (state, answer_due_at) == ("sent", after(5000 + 3600))
    assert db.transaction(lambda tx: interchanges.resend(tx, DC, 99, NOW)) is None
    assert db.transaction(lambda tx: outbox.count_many(tx))[0].state == "sent"


def test_what_is_told_twice_in_one_interchange_is_work_once(partner: Partner) -> None:
    group = "GS*FA*WAREHOUSE*INTERLOCK*20260301*1200*900*X*004010~"
    answers = "".join(f"ST*997*{n:04}~AK1*OW*77~AK9*R*1*1*0~SE*4*{n:04}~" for n in (1, 2))

    partner.sends(ISA.format(900) + group + answers + "GE*2*900~IEA*1*000000900~")

    assert partner.troubles() == [("dc", "unknown_acknowledgment/group/77", True)]


def test_bytes_that_are_taken_again_after_a_failure_are_the_same_interchange(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "interlock.connectors.inlet.ARRIVALS_MAX", 1
    )  # so that the first set is committed before it fails
    origin = Origin(name="x.edi", received_at=NOW)
    sets = shipped(7, *(f"w:{n}/1" for n in range(1, 6000))).encode()
    with pytest.raises(ConnectionError):
        partner.inlet.take(_cut_off(sets[:-40]), origin)
    assert partner.door.arrivals != []

    partner.inlet.take([sets], origin)
    partner.inlet.take([sets], Origin(name="y.edi", received_at=NOW))

    assert partner.rows("select times from interchanges where direction = 'in'") == [(2,)]
    assert partner.troubles() == []


def _cut_off(body: bytes) -> Any:
    for start in range(0, len(body), 500):
        yield body[start : start + 500]
    raise ConnectionError("the disk is away")


def test_acknowledgments_keep_the_pace_of_their_receiver(db: Database, tmp_path: Path) -> None:
    with http_receiver() as receiver:
        made = partner_estate(HttpOut(url=receiver.url))
        slow = msgspec.structs.replace(made.systems[DC], limits=Limits(requests_per_s=1.0, burst=2))
        partner = Partner(db, msgspec.structs.replace(made, systems={DC: slow}), tmp_path / "none")
        for control in (7, 8, 9, 10):
            partner.sends(shipped(control, f"w:{control}/1"))

        sizes = []
        for second in (0, 0.1, 1, 10):
            partner.is_told(after(second))
            sizes.append(len(receiver.got))

    assert sizes == [2, 2, 3, 4]


def test_an_interchange_that_was_sent_again_in_vain_can_be_sent_again_once_more(partner: Partner, db: Database) -> None:
    fill(db, [("w:1", 5)], to=DC)
    (body,) = partner.is_told()
    for path in partner.folder.iterdir():
        path.unlink()
    partner.folder.rmdir()
    partner.folder.write_text("no folder")
    db.transaction(lambda tx: interchanges.resend(tx, DC, 1, after(1)))
    now = 1.0
    while partner.ours() != ["dead"]:
        deliver(db, partner.estate, after(now))
        now += 1000
    assert partner.troubles() == [("dc", "delivery_dead/messages/000000001", True)]

    partner.folder.unlink()
    assert db.transaction(lambda tx: interchanges.resend(tx, DC, 1, after(now))) is not None
    assert partner.is_told(after(now)) == [body]
