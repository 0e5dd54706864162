"""Between format and mapping: documents of every format against a contract, as links read them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from interlock.connectors.contracted import Contracted, held, warned
from interlock.connectors.formats.document import Document, Flaw
from interlock.connectors.formats.readers import reader
from interlock.connectors.links import Links
from interlock.connectors.mapping import Mapper
from interlock.contracts.external.drift import Checked, Drift
from interlock.domain.errors import InvalidValue
from interlock.domain.links import Format, FormatKind
from interlock.domain.partner_contracts import Column, ContractVersion, PartnerContract, SegmentRule
from tests.contracts.tiny_estate import SMALL, estate
from tests.operations.test_drift import agreed, order

ONE = ContractVersion(version="1", schema={"type": "object", "required": ["id"]})
TWO = ContractVersion(version="2", schema={"type": "object", "required": ["number"]})


class Nobody:
    """A door that nobody goes through."""

    def process(self, arrivals: Any) -> Any:
        raise AssertionError(arrivals)


def document(data: Any, kind: str = "object", **context: Any) -> Document:
    return Document(kind, "object", data, b"", context)


def contracted(**more: Any) -> Contracted:
    return Contracted(PartnerContract(**({"name": "agreed", "versions": (ONE, TWO)} | more)))


@pytest.mark.parametrize(
    ("version_at", "data", "context", "version"),
    [
        ("meta.schema_version", {"id": 1, "meta": {"schema_version": "1"}}, {}, "1"),
        ("meta.schema_version", {"number": 1, "meta": {"schema_version": 2}}, {}, "2"),
        ("versions", {"id": 1, "versions": ["1", "2"]}, {}, "1"),
        ("@headers.x-api-version", {"id": 1}, {"headers": {"x-api-version": "1"}}, "1"),
        ("@topic", {"number": 1}, {"topic": "2"}, "2"),
        ("@around.v", {"id": 1}, {"around": {"v": 1}}, "1"),
    ],
)
def test_the_version_is_in_the_document_or_beside_it(
    version_at: str, data: Any, context: dict[str, Any], version: str
) -> None:
    assert contracted(version_at=version_at).check(document(data, **context)) == Checked("agreed", version)


@pytest.mark.parametrize("data", [{}, {"v": None}, {"v": {"a": 1}}, {"v": []}, {"v": ""}, 5, [], None])
def test_a_version_that_is_not_there_or_is_no_version_is_none_that_was_agreed(data: Any) -> None:
    checked = contracted(version_at="v").check(document(data))

    assert checked is not None
    assert [each.kind for each in checked.drifts] == ["unknown_version"]


def test_the_kind_of_document_may_be_beside_it() -> None:
    made = contracted(
        kind_at="@topic",
        versions=(
            ContractVersion(version="1", kind="orders/create", schema={"required": ["id"]}),
            ContractVersion(version="1", kind="refunds/create", schema={"required": ["refund"]}),
        ),
    )

    assert made.check(document({"id": 1}, topic="orders/create")) == Checked("agreed", "1")
    found = made.check(document({"id": 1}, topic="refunds/create"))
    assert found is not None
    assert found.drifts[0].path == "refund"
    assert made.check(document({}, topic="app/uninstalled")) is None


def test_a_path_that_is_none_is_told_when_the_link_is_wired() -> None:
    with pytest.raises(InvalidValue, match="version_at"):
        contracted(version_at="a..b")

    spoilt = agreed()
    contract = PartnerContract(name="shop-orders", versions=(ONE,), kind_at="[")
    spoilt.contracts["shop-orders"] = contract
    (mistake,) = Links(spoilt, Mapper(spoilt), Nobody()).mistakes()
    assert mistake.startswith("shop, inbound hook: kind_at: '['")


def test_a_problem_names_every_difference_and_a_note_every_kind_and_place() -> None:
    drifts = (
        Drift("changed_type", "a[0].b", "string", "integer 1"),
        Drift("changed_type", "a[1].b", "string", "integer 2"),
    )
    checked = Checked("agreed", "1", drifts, "quarantine")

    problem = held(document({}), checked)
    assert problem.reason == "contract_drift"
    assert problem.explanation == (
        "this object is not what the contract agreed, version 1, says, in 2 places: change the contract and the mapping, "
        "or have the sender mend it"
    )
    assert [(each.field, each.value, each.expected) for each in problem.errors] == [
        ("a[0].b", "integer 1", "string (changed_type)"),
        ("a[1].b", "integer 2", "string (changed_type)"),
    ]
    assert warned(checked) == ("drift from agreed/1: changed_type a[].b",)


def test_every_record_of_a_document_that_is_held_stays_behind_and_drift_is_noted_once() -> None:
    links = Links(agreed(), Mapper(agreed()), Nobody())
    translator = links.translator(*links.named("shop", "hook"))

    (good, warned_of, bad) = translator.read([json.dumps([order(1), order(2, gift=1), {"number": 3}]).encode()])

    assert [getattr(each, "checked", None) and each.checked.verdict for each in (good, warned_of, bad)] == [  # type: ignore[union-attr]
        "ok",
        "warn",
        "quarantine",
    ]
    assert warned_of.notes == ("drift from shop-orders/1: unknown_field gift",)  # type: ignore[union-attr]
    assert bad.command is None  # type: ignore[union-attr]
    assert bad.problem.reason == "contract_drift"  # type: ignore[union-attr]


def test_a_link_without_a_contract_checks_nothing() -> None:
    world = estate(SMALL)

    links = Links(world, Mapper(world), Nobody())

    assert list(links.mapped()) == []
    ours = agreed()
    link = ours.systems["shop"].inbound[0]  # type: ignore[index]
    assert links.contracted(type(link)(name="x", contract="")) is None  # type: ignore[call-arg]


def test_rows_and_groups_of_rows_are_checked_as_the_reader_gives_them() -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["order", "sku", "n"], ["1", "A", "1"], ["1", "B", "x"], ["2", "A", "2"]])
    columns = ContractVersion(
        version="1", columns=(Column(name="order"), Column(name="sku"), Column(name="n", type="integer"))
    )
    made = contracted(versions=(columns,))

    def found(form: Format) -> list[list[str]]:
        items = reader("csv")([text.getvalue().encode()], form)
        return [[each.path for each in made.check(item).drifts] for item in items if isinstance(item, Document)]  # type: ignore[union-attr]

    assert found(Format(kind="csv")) == [[], ["n"], []]
    assert found(Format(kind="csv", group_by=("order",))) == [["rows[1].n"], []]


X12 = (
    f"ISA*00*{'':10}*00*{'':10}*ZZ*{'PEER':15}*ZZ*{'US':15}*260301*0930*U*00401*000000001*0*P*>~"
    "GS*PO*PEER*US*20260301*0930*1*X*004010~ST*850*0001~BEG*00*SA*P1**20260301~PO1*1*5*EA*1.50**VN*A-1~PID*F****Thing~"
    "CTT*1~SE*6*0001~GE*1*1~IEA*1*000000001~"
)
EDIFACT = (
    "UNB+UNOC:3+PEER:14+US:14+260301:0930+1'UNH+1+ORDERS:D:96A:UN'BGM+220+P1+9'DTM+137:20260301:102'LIN+1++A-1:SA'"
    "QTY+21:5:PCE'UNS+S'UNT+7+1'UNZ+1+1'"
)


@pytest.mark.parametrize(
    ("kind", "text", "rules", "drifts"),
    [
        ("x12", X12, ["BEG", "PO1", "PO1/PID", "CTT"], []),
        ("x12", X12, ["BEG", "PO1", "CTT"], ["PO1/PID"]),
        ("edifact", EDIFACT, ["BGM", "DTM", "LIN", "LIN/QTY", "UNS"], []),
        ("edifact", EDIFACT, ["BGM", "LIN", "LIN/QTY", "UNS"], ["DTM"]),
    ],
)
def test_messages_are_checked_as_the_reader_gives_them(
    kind: FormatKind, text: str, rules: list[str], drifts: list[str]
) -> None:
    segments = ContractVersion(version="1", segments=tuple(SegmentRule(segment=rule, min=1) for rule in rules))
    made = contracted(versions=(segments,))

    items = list(reader(kind)([text.encode()], Format(kind=kind)))

    (message,) = [item for item in items if isinstance(item, Document)]
    checked = made.check(message)
    assert checked is not None
    assert [each.path for each in checked.drifts] == drifts


@pytest.mark.parametrize("kind", ["json", "ndjson"])
@pytest.mark.parametrize("depth", [100, 480, 500, 700, 980, 1_000, 100_000, 1_000_000])
def test_json_that_is_nested_however_deeply_is_a_document_or_a_flaw(kind: FormatKind, depth: int) -> None:
    for text in (b"[" * depth + b'{"a":1}' + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth, b"[" * depth):
        (item,) = reader(kind)([text], Format(kind=kind))

        assert isinstance(item, Document | Flaw)
        if isinstance(item, Document):
            assert contracted(versions=(ONE,)).check(item) is not None
