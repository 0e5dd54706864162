"""Every real input of others is read to the right records, or refused for the right reason; the page counts both."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.connectors.corpora import BEGIN, END, PAGE, became, survey, table
from tests.connectors.ready.taking import CORPORA, NO_CORPORA

pytestmark = pytest.mark.skipif(not CORPORA.is_dir(), reason=NO_CORPORA)


def test_the_page_says_of_every_file_what_became_of_it() -> None:
    assert PAGE.read_text("utf-8").split(BEGIN)[1].split(END)[0].strip("\n") == table()


def test_a_file_that_is_refused_says_why_and_all_others_are_read() -> None:
    for seen in survey():
        assert seen.documents or seen.reasons, seen.name


def test_files_that_were_malformed_on_purpose_are_refused() -> None:
    wrong = ("malformed", "_bad.", "_fail_", "ERR", "Failed", "invalid")
    broken = [seen for seen in survey() if any(mark in seen.name for mark in wrong)]

    assert len(broken) >= 12
    assert [seen.name for seen in broken if not seen.reasons] == []


def test_a_month_of_invoices_is_taken_to_the_last_row() -> None:
    rows = next(each for each in became() if each.family.startswith("08-datasets"))
    assert rows.commands == Counter({"order.create": 2_884, "stock.adjust": 2_289})
    assert not rows.refused


def test_the_orders_of_shops_and_idocs_become_orders() -> None:
    orders = {each.mapping: each.commands["order.create"] for each in became() if each.commands["order.create"]}
    assert {"shopify", "amazon-vendor", "lightspeed", "sap-idoc", "x12-marketplace", "poslog-store"} <= orders.keys()
