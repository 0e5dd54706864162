"""What the working tree may do to what was released: `interlock contracts check` and `release`, on copies of both."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from interlock.cli import app
from interlock.contracts.catalog import RELEASED, CatalogWrong, NoSuchContract, find, read_catalog
from interlock.contracts.generate import MEANINGS, generate
from interlock.contracts.release import BreaksContract, check, release
from interlock.contracts.wire import EVENTS
from interlock.domain.events import PaymentCaptured

TODAY = date(2027, 3, 1)
UOM = '      uom: {is: key, means: "The unit of measure that the quantity counts in; each if it is left out."}\n'


class Copy:
    """The released contracts and the tables of meanings, to be changed."""

    def __init__(self, folder: Path) -> None:
        self.released = folder / "released"
        self.meanings = folder / "meanings"
        shutil.copytree(RELEASED, self.released)
        shutil.copytree(MEANINGS, self.meanings)

    def change(self, file: str, old: str, new: str) -> None:
        """Change a table of meanings, at one place."""
        path = self.meanings / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} stands there {text.count(old)} times"
        path.write_text(text.replace(old, new))
        # The tables are read once in the life of a process, by their paths.
        moved = self.meanings.with_name(self.meanings.name + "_")
        self.meanings.rename(moved)
        self.meanings = moved

    def catalog(self, old: str, new: str) -> None:
        """Change the catalog, wherever the text stands."""
        path = self.released / "catalog.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def run(self, command: str, *words: str, on: date = TODAY) -> tuple[int, str]:
        """The exit code and the output of `interlock contracts`."""
        options = ["--released", str(self.released), "--meanings", str(self.meanings), "--on", str(on)]
        result = CliRunner().invoke(app, ["contracts", command, *words, *options])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_the_working_tree_is_as_it_was_released() -> None:
    assert [each for each in check(TODAY) if each.state != "released"] == []


def test_check_fails_on_a_breaking_change_made_on_purpose_and_names_it(copy: Copy) -> None:
    copy.change("commands.yaml", "      shipping: {is: amount,", "      shipping: {is: amount, presence: required,")

    code, output = copy.run("check")

    assert code == 1
    assert "commands/order.create (version 1, BACKWARD_TRANSITIVE): breaks what was released" in output
    assert "  /required/shipping: REQUIRED_ATTRIBUTE_ADDED (BACKWARD, version 1)" in output


def test_check_names_a_breaking_change_of_an_event_made_in_the_code(copy: Copy) -> None:
    class Renamed(PaymentCaptured, frozen=True, kw_only=True, tag="payment.captured"):
        """An event whose amount has become a number of units."""

        amount: int  # type: ignore[assignment]

    made = generate(copy.meanings, {**EVENTS, "payment.captured": Renamed})
    (found,) = (each for each in check(TODAY, copy.released, generated=made) if each.is_wrong)

    assert (found.contract, found.state) == ("events/payment.captured", "breaking")
    assert [(each.pointer, each.kind, each.mode) for each in found.breaks] == [
        ("/properties/amount", "TYPE_CHANGED", "FORWARD")
    ]


@pytest.mark.parametrize(
    ("file", "old", "new", "contract", "pointer", "kind"),
    [
        (
            "commands.yaml",
            '      customer: {is: text, means: "The source\'s own number of the customer."}\n',
            "",
            *("commands/order.create", "/properties/customer", "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL"),
        ),
        (
            "commands.yaml",
            UOM + "      unit_price",
            "      unit_price",
            *("commands/order.create", "/properties/lines/items/properties/uom"),
            "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL",
        ),
        (
            "messages.yaml",
            "      lines: {list_of: canceled_line, presence: required,",
            "      lines: {list_of: canceled_line,",
            *("messages/shipment.cancel", "/required/lines", "REQUIRED_ATTRIBUTE_ADDED"),
        ),
    ],
)
def test_every_break_is_named_by_contract_place_and_kind(
    copy: Copy, file: str, old: str, new: str, contract: str, pointer: str, kind: str
) -> None:
    copy.change(file, old, new)

    code, output = copy.run("check", "--json")

    (found,) = (each for each in json.loads(output) if each["state"] == "breaking")
    assert (code, found["contract"]) == (1, contract)
    assert (pointer, kind) in [(each["pointer"], each["kind"]) for each in found["breaks"]]


def test_a_released_file_that_was_edited_is_found(copy: Copy) -> None:
    path = copy.released / "events" / "order.created" / "1.json"
    path.write_text(path.read_text().replace('"tax"', '"taxes"'))

    code, output = copy.run("check")

    assert (code, "events/order.created" in output) == (1, True)
    assert "version 1: the file was edited after its release" in output
    with pytest.raises(BreaksContract, match="edited after its release"):
        release("events", "order.created", TODAY, released=copy.released)


def test_a_contract_that_the_working_tree_has_lost_is_found(copy: Copy) -> None:
    copy.catalog(
        "  order.authorize:\n", "  order.gone:\n    mode: NONE\n    current: 0\n    versions: {}\n  order.authorize:\n"
    )
    assert copy.run("check")[0] == 0  # nothing of it was released

    made = generate(copy.meanings)
    del made["messages", "shipment.cancel"]
    lost = [each for each in check(TODAY, copy.released, generated=made) if each.is_wrong]

    assert [(each.contract, each.state) for each in lost] == [("messages/shipment.cancel", "gone")]


def test_a_compatible_change_is_told_and_released_as_the_next_version(copy: Copy) -> None:
    gift = '      gift: {is: flag, means: "Whether it is a gift."}\n      customer: {is: text, means:'
    copy.change("commands.yaml", "      customer: {is: text, means:", gift)

    code, output = copy.run("check")
    assert code == 0
    assert "changed compatibly, not released: run `interlock contracts release commands/order.create`" in output

    assert copy.run("release")[0] == 0
    contract = read_catalog(copy.released)["commands", "order.create"]
    assert (contract.current, sorted(contract.versions), contract.versions[2].released) == (2, [1, 2], TODAY)
    written = json.loads((copy.released / "commands" / "order.create" / "2.json").read_text())
    assert written["$id"] == "urn:interlock:contract:commands:order.create:2"
    assert "gift" in written["properties"]
    assert copy.run("check") == (0, copy.run("check")[1])
    assert [each.state for each in check(TODAY, copy.released, copy.meanings) if each.state != "released"] == []
    assert release("commands", "order.create", TODAY, released=copy.released, meanings=copy.meanings) == (2, False)


def test_a_draft_may_change_until_it_is_released(copy: Copy) -> None:
    copy.change(
        "commands.yaml",
        "      customer: {is: text,",
        '      gift: {is: flag, means: "A gift?"}\n      customer: {is: text,',
    )
    assert copy.run("release", "order.create", "--draft")[0] == 0
    assert read_catalog(copy.released)["commands", "order.create"].current == 1
    assert "version 2 is a draft, not released" in copy.run("check")[1]

    copy.change("commands.yaml", "gift: {is: flag,", "gift: {is: text,")
    assert copy.run("release", "order.create", "--draft")[0] == 0
    assert copy.run("release", "order.create")[0] == 0

    contract = read_catalog(copy.released)["commands", "order.create"]
    assert (contract.current, sorted(contract.versions)) == (2, [1, 2])
    written = json.loads((copy.released / "commands" / "order.create" / "2.json").read_text())
    assert written["properties"]["gift"]["maxLength"] == 500


def test_a_draft_is_released_as_it_is(copy: Copy) -> None:
    copy.change(
        "commands.yaml",
        "      customer: {is: text,",
        '      gift: {is: flag, means: "A gift?"}\n      customer: {is: text,',
    )
    copy.run("release", "order.create", "--draft")

    assert copy.run("release", "order.create")[0] == 0
    assert read_catalog(copy.released)["commands", "order.create"].versions[2].released == TODAY


def test_what_breaks_is_not_released(copy: Copy) -> None:
    copy.change("commands.yaml", "      shipping: {is: amount,", "      shipping: {is: amount, presence: required,")

    with pytest.raises(BreaksContract, match="(?s)breaks what was:.*/required/shipping: REQUIRED_ATTRIBUTE_ADDED"):
        copy.run("release", "commands/order.create")
    assert copy.run("release")[0] == 1
    assert sorted(read_catalog(copy.released)["commands", "order.create"].versions) == [1]


def test_a_field_may_go_when_its_sunset_is_over_and_not_a_day_sooner(copy: Copy) -> None:
    dying = "    deprecated:\n      customer: {since: 2027-01-01, sunset: 2027-06-30, instead: number}\n  order.void:\n"
    copy.catalog("  order.void:\n", dying)
    copy.change("commands.yaml", '      customer: {is: text, means: "The source\'s own number of the customer."}\n', "")

    assert copy.run("check", on=date(2027, 6, 29))[0] == 1
    code, output = copy.run("check", on=date(2027, 6, 30))

    assert code == 0, output
    assert "excused: customer was deprecated on 2027-01-01, and its sunset was 2027-06-30" in output
    assert copy.run("release", "order.create", on=date(2027, 6, 30))[0] == 0


def test_a_transitive_mode_looks_at_every_version_whose_sunset_is_not_over(copy: Copy) -> None:
    copy.change(
        "commands.yaml",
        "      customer: {is: text,",
        '      gift: {is: flag, means: "A gift?"}\n      customer: {is: text,',
    )
    copy.run("release", "order.create")
    copy.change("commands.yaml", '      gift: {is: flag, means: "A gift?"}\n', "")

    _, output = copy.run("check")
    assert "/properties/gift: PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL (BACKWARD, version 2)" in output
    assert "version 1)" not in output.split("breaks what was released")[1]

    text = (copy.released / "catalog.yaml").read_text()
    at = text.index("  order.create:")
    until = text.index("sha256", text.index("      2:", at))
    line_end = text.index("\n", until) + 1
    dying = "        deprecated: {since: 2027-01-01, sunset: 2027-02-01}\n"
    (copy.released / "catalog.yaml").write_text(text[:line_end] + dying + text[line_end:])
    assert copy.run("check")[0] == 0


def test_a_contract_without_a_mode_may_change_as_it_likes(copy: Copy) -> None:
    copy.catalog("  order.create:\n    mode: BACKWARD_TRANSITIVE\n", "  order.create:\n    mode: NONE\n")
    copy.change("commands.yaml", "      shipping: {is: amount,", "      shipping: {is: amount, presence: required,")

    code, output = copy.run("check")

    assert (code, "changed compatibly, not released" in output) == (0, True)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (
            lambda copy: copy.change("commands.yaml", "measures: demand,", "measures: hope,"),
            "measures 'hope', expected one of",
        ),
        (
            lambda copy: copy.change("commands.yaml", "contracts:\n  order.create:", "contracts: [\n  order.create:"),
            "commands.yaml",
        ),
        (
            lambda copy: copy.change("events.yaml", "  order.reopened:", "  order.reborn:"),
            "order.reborn is in only one of",
        ),
        (
            lambda copy: copy.change("events.yaml", "      because: {", "      reasons: {"),
            "because, reasons: in only one of",
        ),
        (lambda copy: copy.catalog("    current: 1\n", "    current: one\n"), "catalog.yaml: "),
    ],
)
def test_tables_that_make_no_sense_are_refused_by_name(
    copy: Copy, break_it: Callable[[Copy], None], words: str
) -> None:
    break_it(copy)

    with pytest.raises(CatalogWrong, match=words):
        copy.run("check")


def test_a_contract_is_found_by_its_name_where_one_kind_alone_has_it() -> None:
    known: Any = read_catalog(RELEASED)

    assert find(known, "order.create") == ("commands", "order.create")
    assert find(known, "messages/shipment.release") == ("messages", "shipment.release")
    with pytest.raises(NoSuchContract, match="say commands/shipment.release or messages/shipment.release"):
        find(known, "shipment.release")
    with pytest.raises(NoSuchContract, match="there is no contract order.eat"):
        find(known, "order.eat")


def test_list_and_show_print_what_a_person_wants_to_know() -> None:
    listed = CliRunner().invoke(app, ["contracts", "list"])
    shown = CliRunner().invoke(app, ["contracts", "show", "order.create"])
    schema = CliRunner().invoke(app, ["contracts", "show", "order.create", "--json"])

    assert "events/order.created" in listed.output
    assert "lines.quantity" in shown.output and "demand" in shown.output
    assert json.loads(schema.output)["title"] == "order.create"
