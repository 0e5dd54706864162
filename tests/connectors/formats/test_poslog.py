"""POSLog of all versions: one normalised dict for each transaction."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.connectors.formats import poslog
from interlock.connectors.formats.document import Document, Flaw
from interlock.connectors.formats.poslog_words import KNOWN
from interlock.domain.links import Format
from interlock.domain.sequences import MarkKind

DATA = Path(__file__).parents[2] / "data" / "poslog"
CORPORA = Path(__file__).parents[3].parent / "shared" / "corpora" / "03-pos"
FORM = Format(kind="poslog")


def documents(name: str) -> list[Document]:
    found = list(poslog.read([(DATA / name).read_bytes()], FORM))
    assert all(isinstance(each, Document) for each in found)
    return [each for each in found if isinstance(each, Document)]


def one(inside: str, head: str = "", body: str = "RetailTransaction") -> dict[str, Any]:
    """A transaction with these lines (and totals)."""
    whole = f"""<POSLog><Transaction {head}><RetailStoreID>S1</RetailStoreID><WorkstationID>2</WorkstationID>
        <SequenceNumber>7</SequenceNumber><BusinessDayDate>2026-03-07</BusinessDayDate>
        <EndDateTime>2026-03-07T10:00:00</EndDateTime><{body}>{inside}</{body.split()[0]}></Transaction></POSLog>"""
    [found] = poslog.read([whole.encode()], FORM)
    assert isinstance(found, Document)
    return dict(found.data)


def line(
    kind: str = "Sale",
    number: int = 1,
    more: str = "",
    flags: str = "",
    quantity: str = "<Quantity>1</Quantity>",
    extended: str = "5.00",
) -> str:
    return (
        f"<LineItem {flags}><SequenceNumber>{number}</SequenceNumber><{kind}><ItemID>SKU-{number}</ItemID>"
        f"<ActualSalesUnitPrice>5.00</ActualSalesUnitPrice><ExtendedAmount>{extended}</ExtendedAmount>{quantity}{more}</{kind}></LineItem>"
    )


# Whole files


def test_every_transaction_of_a_day_has_its_kind_and_its_number() -> None:
    assert [(each.data["sequence"], each.kind, each.data["mark_kind"]) for each in documents("v2-day.xml")] == [
        ("451", "sale", "sale"),
        ("452", "return", "return"),
        ("453", "exchange", "exchange"),
        ("454", "no_sale", "no_sale"),
        ("455", "training", "training"),
        ("456", "void", "void"),
        ("457", "suspend", "suspend"),
        ("458", "control", "control"),
        ("459", "post_void", "post_void"),
        ("460", "close", "close"),
    ]


def test_a_sale_of_version_2_is_read_whole() -> None:
    sale = documents("v2-day.xml")[0]
    data = sale.data
    assert (data["key"], data["version"], data["till"], data["operator"]) == (
        "0101-3-20260307-451",
        "2.2",
        "33",
        "1077",
    )
    assert (data["begin"], data["end"], data["currency"]) == ("2026-03-07T09:14:02", "2026-03-07T09:15:40", "USD")
    assert (data["total"], data["net"], data["tax"], data["sold_total"]) == ("138.24", "128.00", "10.24", "138.24")
    assert data["tenders"] == [{"kind": "Cash", "type": "sale", "amount": "140.00", "change": "1.76"}]
    assert data["paid"] == "138.24"
    assert data["lines"][0] == {
        "number": 1,
        "kind": "sale",
        "item": "TENT-2P-GRN",
        "pos_item": "4006381333931",
        "gtin": "4006381333931",
        "description": "Tent, two persons",
        "type": "Stock",
        "quantity": 1,
        "uom": "each",
        "unit_price": "119.00",
        "extended": "119.00",
        "discount": "10.00",
        "voided": False,
    }
    assert sale.raw.startswith(b"<Transaction CancelFlag") and sale.raw.endswith(b"</Transaction>")


def test_a_line_that_voids_another_one_takes_both_away() -> None:
    sale = documents("v2-day.xml")[0]
    assert [(each["number"], each["voided"]) for each in sale.data["lines"][:4]] == [
        (1, False),
        (2, False),
        (3, True),
        (4, True),
    ]
    assert [each["item"] for each in sale.data["sold"]] == ["TENT-2P-GRN", "PEG-10"]
    assert sale.notes == ("not read: Aisle", "lines voided by other lines")


def test_a_return_names_the_line_of_the_sale_that_it_gives_back() -> None:
    back = documents("v2-day.xml")[1].data
    [group] = back["returns"]
    assert (group["original"], group["total"]) == ("0101-3-20260307-451", "4.86")
    [returned] = group["lines"]
    assert (returned["line"], returned["quantity"], returned["disposal"], returned["disposition"]) == (
        2,
        1,
        "Damaged",
        "damaged",
    )
    assert back["tenders"][0]["type"] == "refund"


def test_an_exchange_is_divided_into_what_was_sold_and_what_came_back() -> None:
    exchange = documents("v2-day.xml")[2].data
    assert [(each["item"], each["quantity"]) for each in exchange["sold"]] == [("KETTLE-1", 1)]
    assert [(each["item"], each["quantity"], each["kind"]) for each in exchange["blind"]] == [("POT-1", 1, "return")]
    assert exchange["sold_total"] == "42.00"


def test_a_post_void_names_what_it_voids() -> None:
    assert documents("v2-day.xml")[8].data["voided"] == {
        "store": "0101",
        "register": "3",
        "day": "2026-03-07",
        "sequence": "453",
        "key": "0101-3-20260307-453",
    }


def test_the_close_of_a_day_says_its_numbers() -> None:
    close = documents("v2-day.xml")[9].data
    assert (close["first"], close["last"], close["count"]) == (451, 460, 10)


def test_layaways_orders_and_their_pickups_of_version_3() -> None:
    layaway, order, pickup = [each.data for each in documents("v3-orders.xml")]
    assert (layaway["kind"], layaway["version"], layaway["customer"]) == ("layaway", "3.0", "C-9")
    assert (layaway["order"]["key"], layaway["order"]["total"], layaway["order"]["paid"]) == (
        "0102-1-20260307-7001",
        "500.00",
        "50.00",
    )
    assert (order["kind"], order["order"]["delivery"]) == (
        "customer_order",
        {
            "name": "Ann Reed",
            "address": "9 Dock Road",
            "city": "Bath",
            "region": "ME",
            "postal_code": "04530",
            "country": "US",
        },
    )
    [picked] = pickup["picked_up"]
    assert (picked["original"]["key"], picked["line"]) == ("0102-1-20260307-7001", 1)


def test_a_sale_of_version_6_has_its_store_times_currency_and_weight() -> None:
    sale, void = [each.data for each in documents("v6-store.xml")]
    assert (sale["store"], sale["register"], sale["id"], sale["version"], sale["offline"]) == (
        "0102",
        "002",
        "Q7Z1-0088",
        "6.0",
        True,
    )
    assert (sale["begin"], sale["end"]) == ("2026-03-07T16:42:40.973456+01:00", "2026-03-07T16:44:19.716000+01:00")
    assert (sale["business_day"], sale["currency"], sale["customer"], sale["loyalty"]) == (
        "2026-03-07",
        "EUR",
        "L-55",
        "778899",
    )
    fuel, rope = sale["sold"]
    assert (fuel["item"], fuel["gtin"], fuel["pos_item"], fuel["discount"]) == (
        "4006381333931",
        "4006381333931",
        "000705438",
        "2.40",
    )
    assert (fuel["tax"], fuel["tax_included"]) == ("3.45", True)
    assert (rope["quantity"], rope["uom"]) == (Decimal("1.25"), "kg")
    assert (void["kind"], void["voided"]["key"], void["returns"][0]["total"]) == (
        "post_void",
        "0102-002-20260307-88",
        "25.60",
    )


# Cases


def test_a_voided_line_counts_nothing() -> None:
    data = one(line() + line(number=2, flags="VoidFlag='true'"))
    assert [each["item"] for each in data["sold"]] == ["SKU-1"]


def test_part_of_a_line_may_be_voided_by_another_one() -> None:
    three, one_less = "<Quantity>3</Quantity>", "<Quantity>1</Quantity><ItemLink>1</ItemLink>"
    second = line(number=2, quantity=one_less, flags="VoidFlag='true'").replace("SKU-2", "SKU-1")
    assert [each["quantity"] for each in one(line(quantity=three) + second)["sold"]] == [2]


@pytest.mark.parametrize("quantity", ["-2", "2-", "-2.000"])
def test_a_sale_of_less_than_nothing_is_a_return(quantity: str) -> None:
    data = one(line(quantity=f"<Quantity>{quantity}</Quantity>", extended="-10.00"))
    assert data["kind"] == "return"
    assert [(each["quantity"], each["kind"], each["extended"]) for each in data["blind"]] == [(2, "return", "10.00")]


def test_a_return_without_the_line_of_its_sale_is_blind() -> None:
    link = "<RetailStoreID>S1</RetailStoreID><WorkstationID>2</WorkstationID><SequenceNumber>1</SequenceNumber>"
    data = one(line("Return", more=f"<TransactionLink>{link}</TransactionLink>"))
    assert "returns" not in data
    assert data["blind"][0]["original"] == {"store": "S1", "register": "2", "sequence": "1"}


def test_returns_of_two_sales_are_two_groups() -> None:
    def link(number: int) -> str:
        return (
            "<TransactionLink><RetailStoreID>S1</RetailStoreID><WorkstationID>2</WorkstationID><BusinessDayDate>20260301</BusinessDayDate>"
            f"<SequenceNumber>000{number}</SequenceNumber><LineItemSequenceNumber>1</LineItemSequenceNumber></TransactionLink>"
        )

    data = one(line("Return", 1, link(5)) + line("Return", 2, link(6)))
    assert [(each["original"], each["total"]) for each in data["returns"]] == [
        ("S1-2-20260301-5", "5.00"),
        ("S1-2-20260301-6", "5.00"),
    ]


@pytest.mark.parametrize(
    ("head", "body", "kind"),
    [
        ("CancelFlag='true'", "RetailTransaction", "void"),
        ("CancelFlag='1' TrainingModeFlag='1'", "RetailTransaction", "training"),
        ("", "RetailTransaction TransactionStatus='Voided'", "void"),
        ("", "RetailTransaction TransactionStatus='ns:Suspended'", "suspend"),
        ("SuspendFlag='true'", "RetailTransaction", "suspend"),
        ("", "RetailTransaction TransactionStatus='Delivered'", "sale"),
        ("", "RetailTransaction TransactionStatus='PostVoided'", "post_void"),
        ("", "RetailTransaction TypeCode='PostVoid'", "post_void"),
        ("", "TenderControlTransaction", "tender_control"),
        ("", "InventoryControlTransaction", "control"),
        ("", "SomethingElseTransaction", "control"),
    ],
)
def test_flags_and_status_say_what_a_transaction_is(head: str, body: str, kind: str) -> None:
    assert one(line(), head, body)["kind"] == kind


@pytest.mark.parametrize(
    "word", ["POSEOD", "BusinessEOD", "StoreClose", "EndOfDay", "WorkstationClose", "CloseBusinessDay"]
)
def test_a_day_is_closed_in_many_words(word: str) -> None:
    assert one(f"<{word}/>", body="ControlTransaction")["kind"] == "close"
    assert one(f"<ReasonCode>{word}</ReasonCode>", body="ControlTransaction")["kind"] == "close"


@pytest.mark.parametrize("word", ["SignOff", "TillClose", "SessionSettle", "PrinterEndOfPaper"])
def test_other_control_transactions_close_nothing(word: str) -> None:
    assert one(f"<{word}/>", body="ControlTransaction")["kind"] == "control"


def test_a_post_void_that_names_nothing_is_about_itself() -> None:
    data = one(line(), body="RetailTransaction TransactionStatus='PostVoided'")
    assert data["voided"]["key"] == data["key"] == "S1-2-20260307-7"
    assert [(each["original"], [entry["line"] for entry in each["lines"]]) for each in data["returns"]] == [
        ("S1-2-20260307-7", [1])
    ]


def test_a_sale_without_goods_has_no_lines() -> None:
    data = one("<Total TotalType='TransactionGrandAmount'>0.00</Total>")
    assert (data["kind"], "lines" in data, "sold" in data) == ("sale", False, False)


def test_lines_that_are_numbered_twice_are_numbered_by_their_places() -> None:
    data = one(line(number=1) + line(number=1))
    assert [each["number"] for each in data["lines"]] == [1, 2]


def test_a_price_for_several_is_the_price_of_one() -> None:
    data = one(line().replace("<ActualSalesUnitPrice>5.00", "<ActualSalesUnitPrice Quantity='4'>5.00"))
    assert data["sold"][0]["unit_price"] == "1.2500"


def test_a_price_that_is_not_told_is_what_was_paid_for_one() -> None:
    whole = line(quantity="<Quantity>3</Quantity>", extended="10.00").replace(
        "<ActualSalesUnitPrice>5.00</ActualSalesUnitPrice>", ""
    )
    assert one(whole)["sold"][0]["unit_price"] == "3.3333"


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-03-07T10:00:00", "2026-03-07T10:00:00"),
        ("2026-03-07 10:00:00", "2026-03-07T10:00:00"),
        ("2026-03-07T10:00Z", "2026-03-07T10:00:00+00:00"),
        ("20260307100000", "2026-03-07T10:00:00"),
        ("2026-03-07T10:00:00.1234567+01:00", "2026-03-07T10:00:00.123456+01:00"),
        ("2026-03-07T10:00:00-0500", "2026-03-07T10:00:00-05:00"),
        ("yesterday", "yesterday"),
    ],
)
def test_times_are_read_in_many_forms(written: str, at: str) -> None:
    whole = f"""<POSLog><Transaction><RetailStoreID>S</RetailStoreID><EndDateTime>{written}</EndDateTime>
        <RetailTransaction/></Transaction></POSLog>"""
    [found] = poslog.read([whole.encode()], FORM)
    assert isinstance(found, Document)
    assert found.data["end"] == at


def test_what_stands_once_for_the_whole_log_counts_for_each_transaction() -> None:
    whole = b"""<POSLog><RetailStoreID>S9</RetailStoreID><BusinessDayDate>2026-03-07</BusinessDayDate>
        <Transaction><WorkstationID>1</WorkstationID><SequenceNumber>3</SequenceNumber><RetailTransaction/></Transaction></POSLog>"""
    [found] = poslog.read([whole], FORM)
    assert isinstance(found, Document)
    assert found.data["key"] == "S9-1-20260307-3"


def test_a_log_inside_of_an_answer_of_a_service_is_read() -> None:
    log = b"<LogDocuments><Transaction><RetailTransaction/></Transaction></LogDocuments>"
    whole = b"<r:LookupResponse xmlns:r='urn:x'><Header/>" + log + b"</r:LookupResponse>"
    assert [each.kind for each in poslog.read([whole], FORM)] == ["sale"]


def test_an_empty_log_is_a_day_without_transactions() -> None:
    assert list(poslog.read([b"<POSLog/>"], FORM)) == []


def test_transactions_before_a_broken_end_are_given() -> None:
    whole = (DATA / "v2-day.xml").read_bytes()
    found = list(poslog.read([whole[: whole.index(b"<!-- 3:") + 200]], FORM))
    assert [type(each) for each in found] == [Document, Document, Flaw]
    last = found[-1]
    assert isinstance(last, Flaw)
    assert (last.reason, last.place) == ("truncated", "Transaction 3, line 106")


ODD_TEXTS = st.sampled_from(
    ["", " ", "1", "-1", "²", "1E+999999999", "0E-999999999", "NaN", "true", "2026-03-07", "void", "Sale", "x" * 50]
)
ODD_NAMES = st.sampled_from(
    sorted(KNOWN - {"#text"})
    + ["@VoidFlag", "@TotalType", "@Units", "@UnitOfMeasureCode", "@TypeCode", "@ReasonCode", "#text"]
)
ODD_TREES = st.recursive(
    ODD_TEXTS,
    lambda inner: st.dictionaries(ODD_NAMES, inner | st.lists(inner, min_size=1, max_size=3), max_size=6),
    max_leaves=40,
)


def _as_read(tree: Any) -> Any:
    """Attributes and texts of a made-up tree hold text only, as those of XML do."""
    if isinstance(tree, dict):
        return {name: (str(value)[:9] if name[0] in "@#" else _as_read(value)) for name, value in tree.items()}
    return [_as_read(each) for each in tree] if isinstance(tree, list) else tree


@given(
    ODD_TREES,
    st.sampled_from(["RetailTransaction", "ControlTransaction", "CustomerOrderTransaction", "PostVoidTransaction"]),
)
def test_nothing_that_stands_in_odd_places_breaks_the_reading(tree: Any, body: str) -> None:
    """Whatever is where it should not be, a transaction is read as far as it can be."""
    odd = _as_read(tree)
    whole = {**odd, body: odd} if isinstance(odd, dict) else {body: odd}
    data = poslog.transaction(whole, {"root": {"name": "POSLog"}, "envelope": {}}, set())
    assert data["mark_kind"] in get_args(MarkKind)
    assert len(repr(data)) < 200_000


def test_real_examples_are_read() -> None:
    if not CORPORA.is_dir():
        pytest.skip("the corpora of real inputs are not beside this checkout")
    [found] = poslog.read([(CORPORA / "arts_ixretail_v1__stockview_example.xml").read_bytes()], FORM)
    assert isinstance(found, Document)
    assert (found.data["key"], found.data["version"]) == ("HighStreet-POS5-20010813-4294967295", "1.0")
    [sold] = found.data["sold"]
    assert (sold["item"], sold["gtin"], sold["quantity"], sold["extended"]) == ("CA7865", "01234567890123", 3, "4.89")
