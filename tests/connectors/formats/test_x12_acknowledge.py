"""Functional acknowledgments in X12: what we say of what came in, and what partners say of what we sent."""

from __future__ import annotations

from datetime import datetime

import pytest

from interlock.connectors.formats.document import Answer, Interchange, Numbers, WriteRefused
from interlock.connectors.formats.x12 import acknowledge
from interlock.domain.links import Envelope, Party
from tests.connectors.formats.x12_making import (
    ORDER,
    a_group,
    a_set,
    an_interchange,
    as_bytes,
    everything,
    interchanges,
)

ENVELOPE = Envelope(ours=Party(id="US"), theirs=Party(id="SHOP", qualifier="ZZ"), line_ends=True)
NUMBERS = Numbers(interchange=31, at=datetime(2026, 3, 2, 10, 15))
BAD_PO1 = [ORDER[0], "PO1*1*two*EA*5*PE*VN*", "ZZZ*1", *ORDER[7:]]


def said(kind: str, rows: list[str]) -> list[str]:
    """The segments of our acknowledgment between ST and SE."""
    [received] = interchanges(as_bytes(rows))
    text = acknowledge(received, kind, ENVELOPE, NUMBERS).decode()  # type: ignore[arg-type]
    lines = text.replace("~", "").split("\r\n")
    return [each for each in lines if each[:3] not in ("ISA", "GS*", "ST*", "SE*", "GE*", "IEA", "")]


def test_what_is_right_is_accepted_in_its_envelope() -> None:
    [received] = interchanges(as_bytes(an_interchange(a_group(a_set(), a_set(control="0002")))))

    assert acknowledge(received, "997", ENVELOPE, NUMBERS).decode().split("\r\n") == [
        "ISA*00*          *00*          *ZZ*US             *ZZ*SHOP           *260302*1015*U*00401*000000031*0*P*>~",
        "GS*FA*US*SHOP*20260302*1015*31*X*004010~",
        "ST*997*0001~",
        "AK1*PO*7~",
        "AK2*850*0001~",
        "AK5*A~",
        "AK2*850*0002~",
        "AK5*A~",
        "AK9*A*2*2*2~",
        "SE*8*0001~",
        "GE*1*31~",
        "IEA*1*000000031~",
        "",
    ]


def test_a_refused_set_is_told_by_segment_and_element() -> None:
    assert said("997", an_interchange(a_group(a_set(), a_set(body=BAD_PO1, control="0002")))) == [
        "AK1*PO*7",
        *("AK2*850*0001", "AK5*A"),
        "AK2*850*0002",
        "AK3*PO1*3**8",
        "AK4*2**6*two",
        "AK4*7**2",
        "AK3*ZZZ*4**1",
        "AK5*R*5",
        "AK9*P*2*2*1",
    ]


def test_the_999_says_the_same_in_its_own_segments() -> None:
    assert said("999", an_interchange(a_group(a_set(body=BAD_PO1, control="0002"), version="005010"))) == [
        "AK1*PO*7*005010",
        "AK2*850*0002",
        "IK3*PO1*3**8",
        "IK4*2**6*two",
        "IK4*7**2",
        "IK3*ZZZ*4**1",
        "IK5*R*5",
        "AK9*R*1*1*0",
    ]


def test_what_is_only_strange_is_accepted_with_errors() -> None:
    body = [*ORDER[:3], "N4*A*ILLINOIS", *ORDER[5:]]

    assert said("997", an_interchange(a_group(a_set(body=body)))) == [
        "AK1*PO*7",
        "AK2*850*0001",
        "AK3*N4*5**8",
        "AK4*2**5*ILLINOIS",
        "AK5*E*5",
        "AK9*E*1*1*1",
    ]


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (a_set(count=99), "4"),
        ([*a_set()[:-1], "SE*11*0009"], "3"),
        (a_set()[:-1], "2"),
    ],
)
def test_an_error_of_the_sets_envelope_is_told_in_ak5(rows: list[str], code: str) -> None:
    assert said("997", an_interchange(a_group(rows))) == ["AK1*PO*7", "AK2*850*0001", f"AK5*R*{code}", "AK9*R*1*1*0"]


def test_a_segment_that_is_missing_is_told_where_it_should_be() -> None:
    assert said("997", an_interchange(a_group(a_set(body=ORDER[1:]))))[2] == "AK3*BEG*2**3"


@pytest.mark.parametrize(
    ("wrong", "last"),
    [
        ({"count": "3"}, "AK9*E*3*1*1*5"),
        ({"trailer": "8"}, "AK9*E*1*1*1*4"),
    ],
)
def test_an_error_of_the_groups_envelope_is_told_in_ak9(wrong: dict[str, str], last: str) -> None:
    assert said("997", an_interchange(a_group(a_set(), **wrong)))[-1] == last


def test_a_group_of_a_version_that_is_too_old_is_refused() -> None:
    assert said("997", an_interchange(a_group(a_set(), version="002040")))[-2:] == ["AK5*R*1", "AK9*R*1*1*0*2"]


def test_several_groups_have_a_set_each() -> None:
    rows = an_interchange(
        a_group(a_set(), control="1"), a_group(a_set("945", ["W06*F*A", "LX*1"]), code="SW", control="2")
    )

    assert [each for each in said("997", rows) if each.startswith("AK1")] == ["AK1*PO*1", "AK1*SW*2"]


def test_acknowledgments_are_never_acknowledged() -> None:
    body = ["AK1*PO*7", "AK9*A*1*1*1"]
    [received] = interchanges(as_bytes(an_interchange(a_group(a_set("997", body), code="FA"))))
    [mixed] = interchanges(as_bytes(an_interchange(a_group(a_set("997", body), code="PO"))))

    assert acknowledge(received, "997", ENVELOPE, NUMBERS) == b""
    assert acknowledge(mixed, "997", ENVELOPE, NUMBERS) == b""


@pytest.mark.parametrize(
    ("rows", "ta1"),
    [
        (an_interchange(a_group(a_set())), "TA1*000000042*260302*0930*A*000"),
        (an_interchange(a_group(a_set()), count="2"), "TA1*000000042*260302*0930*E*021"),
        (an_interchange(a_group(a_set()), trailer="1"), "TA1*000000042*260302*0930*E*001"),
        (an_interchange(a_group(a_set()))[:-1], "TA1*000000042*260302*0930*E*023"),
    ],
)
def test_ta1_speaks_of_the_interchange(rows: list[str], ta1: str) -> None:
    assert said("TA1", rows) == [ta1]


@pytest.mark.parametrize("kind", ["997", "999", "TA1"])
@pytest.mark.parametrize("separators", ["*>~^", "|:\n^", "+;'!"])
def test_what_we_say_is_read_back_as_an_answer_without_a_flaw(kind: str, separators: str) -> None:
    envelope = Envelope(ours=Party(id="US"), theirs=Party(id="SHOP"), separators=separators)
    rows = an_interchange(a_group(a_set(), a_set(body=BAD_PO1, control="0002")))
    [received] = interchanges(as_bytes(rows))

    [answered] = everything(acknowledge(received, kind, envelope, NUMBERS))  # type: ignore[arg-type]

    assert isinstance(answered, Interchange)
    [answer] = answered.answers
    if kind == "TA1":
        assert (answer.scope, answer.control, answer.state) == ("interchange", "000000042", "accepted")
    else:
        assert (answer.scope, answer.control, answer.code, answer.state) == ("group", "7", "PO", "partly")
        assert answer.sets == {"0001": "accepted", "0002": "rejected"}


def test_an_acknowledgment_of_another_kind_is_refused() -> None:
    [received] = interchanges(as_bytes(an_interchange(a_group(a_set()))))

    with pytest.raises(WriteRefused):
        acknowledge(received, "824", ENVELOPE, NUMBERS)  # type: ignore[arg-type]


# What partners say


@pytest.mark.parametrize(
    ("state", "verdict"),
    [("A", "accepted"), ("E", "with_errors"), ("P", "partly"), ("R", "rejected"), ("X", "rejected"), ("M", "rejected")],
)
def test_a_997_that_came_in_is_an_answer_and_no_document(state: str, verdict: str) -> None:
    body = ["AK1*OW*31", "AK2*940*0001", "AK3*W05*2**8", "AK4*2*22*5*TOOLONG", "AK5*R*5", f"AK9*{state}*1*1*0*5"]

    [envelope] = everything(as_bytes(an_interchange(a_group(a_set("997", body), code="FA"))))

    assert isinstance(envelope, Interchange)
    assert envelope.answers == (
        Answer(
            scope="group",
            control="31",
            code="OW",
            state=verdict,  # type: ignore[arg-type]
            sets={"0001": "rejected"},
            errors=("AK9 5", "set 0001: W05 at segment 2, element 2: error 5 (TOOLONG)", "set 0001: AK5 5"),
        ),
    )


def test_a_ta1_that_came_in_is_an_answer() -> None:
    rows = an_interchange(["TA1*000000031*260302*1015*R*009"], count="0")

    [envelope] = everything(as_bytes(rows))

    assert isinstance(envelope, Interchange)
    assert envelope.answers == (
        Answer(scope="interchange", control="000000031", code="TA1", state="rejected", errors=("TA1 009",)),
    )


def test_a_997_that_is_wrong_is_refused_and_answers_nothing() -> None:
    body = ["AK1*NOT A CODE*31", "AK9*A*1*1*1"]

    flaw, envelope = everything(as_bytes(an_interchange(a_group(a_set("997", body), code="FA"))))

    assert isinstance(envelope, Interchange)
    assert envelope.answers == ()
    assert (flaw.reason, flaw.field, flaw.value) == ("syntax", "AK101", "NOT A CODE")  # type: ignore[union-attr]
